//! Keys of every kind, and names of every kind.

use crate::land::{Case, Land};

/// A root with keys of a type, and two tables below it: direct, and by a composite key.
fn keyed(ty: &str, keys: &[&str]) -> Case {
    let schema = format!(
        "CREATE TABLE people(id {ty} PRIMARY KEY, country text NOT NULL);
         CREATE TABLE notes(person {ty} NOT NULL REFERENCES people ON UPDATE CASCADE, n int, what text, PRIMARY KEY (person, n));
         CREATE TABLE marks(p {ty}, n int, color text, PRIMARY KEY (p, n, color), FOREIGN KEY (p, n) REFERENCES notes ON DELETE CASCADE)"
    );
    let mut rows = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        let key = format!("'{}'", key.replace('\'', "''"));
        let country = if at == 1 { "DE" } else { "IN" };
        rows.push(format!(
            "INSERT INTO people VALUES ({key}, '{country}'); INSERT INTO notes VALUES ({key}, 1, 'a'), ({key}, -2147483648, NULL);
             INSERT INTO marks VALUES ({key}, 1, ''), ({key}, 1, 'ü \" '' \\ ,{{}}')"
        ));
    }
    Case {
        schema,
        admin: String::new(),
        rows: rows.join(";"),
        root: ("public", "people"),
        key: ("id", Box::leak(ty.to_owned().into_boxed_str())),
        answers: &[],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_type() {
    let all: [(&str, &[&str]); 10] = [
        ("bigint", &["-9223372036854775808", "0", "9223372036854775807"]),
        ("smallint", &["-32768", "0", "32767"]),
        (
            "uuid",
            &[
                "00000000-0000-0000-0000-000000000000",
                "0190a6f2-0000-7000-8000-000000000001",
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
            ],
        ),
        (
            "text",
            &[
                "",
                "stays",
                " ",
                "a b",
                "it's",
                "\"q\"",
                "{a,\"b\",NULL}",
                "\\N",
                "ключ",
                "a\tb\nc",
                "null",
                "[1]",
                "%_",
            ],
        ),
        ("varchar(5)", &["", "stays", " a ", "ÄÖ"]),
        ("date", &["-infinity", "0001-01-01", "4714-11-24 BC", "5874897-12-31", "infinity"]),
        (
            "timestamptz",
            &[
                "-infinity",
                "2020-01-01 00:00:00+00",
                "0044-03-15 12:00:00+00 BC",
                "294276-12-31 23:59:59.999999+00",
            ],
        ),
        ("bytea", &["\\x", "\\x00", "\\x00ff5c27"]),
        ("inet", &["0.0.0.0/0", "::1", "10.1.2.3/8"]),
        ("name", &["", "stays", "'; --"]),
    ];
    for (ty, keys) in all {
        let moving = keys.len() as u64 - 1;
        Land::round_trip(keyed(ty, keys), moving).await;
    }
}

/// An enum, a domain, and a key that is not the primary key.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_types_that_users_make() {
    let mut case = keyed("mood", &["it's", "NULL", ""]);
    case.schema = format!("CREATE TYPE mood AS ENUM ('', 'NULL', 'it''s'); {}", case.schema);
    Land::round_trip(case, 2).await;
    let mut case = keyed("handle", &["ann", "bob", "é"]);
    case.schema = format!("CREATE DOMAIN handle AS varchar(9) CHECK (value <> 'root'); {}", case.schema);
    Land::round_trip(case, 2).await;
    let schema = "CREATE TABLE people(n int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, id uuid NOT NULL UNIQUE, country text, born date, UNIQUE (born, n));
        CREATE TABLE notes(k bigint PRIMARY KEY, person int NOT NULL REFERENCES people, what text);
        CREATE TABLE pages(k bigint PRIMARY KEY, person uuid NOT NULL REFERENCES people(id), what text);
        CREATE TABLE births(b date, n int, what text, PRIMARY KEY (n, b), FOREIGN KEY (b, n) REFERENCES people(born, n))";
    let rows = "INSERT INTO people(id, country, born) VALUES ('0190a6f2-0000-7000-8000-000000000001', 'IN', '4714-11-24 BC'),
        ('0190a6f2-0000-7000-8000-000000000002', 'DE', NULL); INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b');
        INSERT INTO pages SELECT n, id, 'c' FROM people; INSERT INTO births VALUES ('4714-11-24 BC', 1, 'd')";
    let case = Case {
        schema: schema.to_owned(),
        admin: String::new(),
        rows: rows.to_owned(),
        root: ("public", "people"),
        key: ("id", "uuid"),
        answers: &[],
    };
    Land::round_trip(case, 1).await;
}

/// Parts of a key that JSON would nest: arrays, composites, documents; and those whose text is long.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_scalars() {
    let schema = "
        CREATE TYPE pair AS (a int, \"B b\" text); CREATE DOMAIN ints AS int[];
        CREATE TABLE of_arrays(owner bigint REFERENCES users, k int[], t text[], d ints, v int, PRIMARY KEY (owner, k, t, d));
        CREATE TABLE of_pairs(owner bigint REFERENCES users, k pair, ks pair[], v int, PRIMARY KEY (owner, k, ks));
        CREATE TABLE of_documents(owner bigint REFERENCES users, k jsonb, v int, PRIMARY KEY (owner, k));
        CREATE TABLE of_ranges(owner bigint REFERENCES users, k int4range, m nummultirange, v int, PRIMARY KEY (owner, k, m));
        CREATE TABLE of_bits(owner bigint REFERENCES users, k bit(3), b varbit, c char(4), q \"char\", ok bool, v int, PRIMARY KEY (owner, k, b, c, q, ok));
        CREATE TABLE of_numbers(owner bigint REFERENCES users, k numeric, f float4, l pg_lsn, i interval, v int, PRIMARY KEY (owner, k, f, l, i));
        CREATE TABLE of_places(owner bigint REFERENCES users, k cidr, m macaddr8, o oid, r regclass, tt timetz, v int, PRIMARY KEY (owner, k, m, o, r, tt));
        CREATE TABLE of_words(owner bigint REFERENCES users, k tsvector, q tsquery, v int, PRIMARY KEY (owner, k, q))";
    let rows = "INSERT INTO users VALUES (1, 'IN'), (2, 'DE');
        INSERT INTO of_arrays VALUES (1, '{1,NULL}', '{\"a\\\"b\",NULL,\"NULL\"}', '[2:3]={1,2}'), (1, '{}', '{}', '{}'), (2, '{1}', '{x}', '{2}');
        INSERT INTO of_pairs VALUES (1, (1, 'x\"y'), '{\"(1,x)\",NULL}'), (1, (NULL, ''), '{}');
        INSERT INTO of_documents VALUES (1, '\"text\"'), (1, '{\"a\": [1, null]}'), (1, 'null'), (1, '7'), (1, '\"7\"');
        INSERT INTO of_ranges VALUES (1, '[1,5)', '{[1.0,2.00]}'), (1, 'empty', '{}');
        INSERT INTO of_bits VALUES (1, '101', '', 'ab', 'x', true), (1, '000', '1', '', '', false);
        INSERT INTO of_numbers VALUES (1, 'NaN', 'NaN', '0/1', '1 mon -1 day'), (1, '1.10', '-0', 'F/0', '-1 day'), (1, 'Infinity', 1e-45, '0/0', '0');
        INSERT INTO of_places VALUES (1, '10/8', 'ff:ff:ff:ff:ff:ff:ff:ff', 4294967295, 0, '24:00-15:59:59'), (1, '::/0', '00:00:00:00:00:00:00:00', 0, 'pg_class', '0:00+0');
        INSERT INTO of_words VALUES (1, 'a:1 ''b c'':2A', 'a & !b'), (1, '', '')";
    Land::round_trip(Case::of_users(schema, rows), 1).await;
}

/// Quoted, non-ASCII, reserved, and cut at 63 bytes: two tables differ in the last byte alone.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_every_kind() {
    let long = "Ünï: a table's name of sixty-three bytes, and none more: 123";
    assert_eq!(long.len(), 62);
    let q = |n: &str| format!("\"{}\"", n.replace('"', "\"\""));
    let mut schema = String::from(
        "CREATE SCHEMA \"a.b\"; CREATE SCHEMA \"a\"; CREATE SCHEMA \"select\";
         CREATE TABLE \"select\".\"user\"(\"order by\" bigint PRIMARY KEY, \"country\" text, \"it's\" text, \"a\"\"b\" text, \"$1\" text, \"new\" text, \"old\" text);
         CREATE TABLE \"a.b\".c(id int PRIMARY KEY, o bigint NOT NULL REFERENCES \"select\".\"user\", s text, n text, x text, t0 text, k text, h text, who text, tbl text);
         CREATE TABLE \"a\".\"b.c\"(id int PRIMARY KEY, \"domicile_o\" int NOT NULL REFERENCES \"a.b\".c DEFERRABLE, p1 text, a text, \"$domicile$\" text, \"%s\" text, \"new\" text);
         CREATE TABLE \"a\".p1(h int PRIMARY KEY, a int NOT NULL REFERENCES \"a\".\"b.c\", \" \" text, tg_op text, v text);",
    );
    let mut rows = String::from(
        "INSERT INTO \"select\".\"user\" VALUES (1, 'IN', 'a', 'b', 'c', 'd', 'e'), (2, 'DE', '', '', '', '', ''); INSERT INTO \"a.b\".c VALUES (1, 1, 'x'), (2, 2, 'y');
         INSERT INTO \"a\".\"b.c\" VALUES (1, 1, 'x'), (2, 2, 'y'); INSERT INTO \"a\".p1 VALUES (1, 1, 'x'), (2, 2, 'y');",
    );
    for last in ["1", "2"] {
        let (table, column) = (
            q(&format!("{long}{last}")),
            q(&format!("Spaltenname, der mit 63 Bytes so lang ist, wie es nur geht: 12{last}")),
        );
        schema.push_str(&format!(
            "CREATE TABLE \"select\".{table}({column} int PRIMARY KEY, \"U\" bigint NOT NULL REFERENCES \"select\".\"user\" ON DELETE CASCADE, v text);
             CREATE TABLE \"a\".{table}(id int PRIMARY KEY, up int NOT NULL REFERENCES \"select\".{table} DEFERRABLE INITIALLY DEFERRED, v text);"
        ));
        rows.push_str(&format!(
            "INSERT INTO \"select\".{table} VALUES (1, 1, 'x{last}'), (2, 2, 'y'); INSERT INTO \"a\".{table} VALUES (1, 1, 'z{last}'), (2, 2, 'y');"
        ));
    }
    let case = Case {
        schema,
        admin: String::new(),
        rows,
        root: ("select", "user"),
        key: ("order by", "bigint"),
        answers: &[],
    };
    let land = Land::new(case).await;
    let functions =
        "SELECT count(*) FROM pg_proc WHERE proname ~ '^row_' AND pronamespace = 'domicile'::regnamespace";
    assert_eq!(land.admin("old", functions), "9", "one function a table, however alike their names");
    land.there_and_back(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_keys_with_collations_of_their_own() {
    let schema = "CREATE TABLE people(id text COLLATE \"C\" PRIMARY KEY, country text NOT NULL);
        CREATE TABLE notes(n text COLLATE \"POSIX\", person text NOT NULL REFERENCES people, what text, PRIMARY KEY (n, person));";
    let rows = "INSERT INTO people VALUES ('a', 'IN'), ('B', 'DE'), ('Ä', 'IN'), ('aa', 'IN'); INSERT INTO notes SELECT 'n' || id, id, 'x' FROM people";
    let case = Case {
        schema: schema.into(),
        admin: String::new(),
        rows: rows.into(),
        root: ("public", "people"),
        key: ("id", "text"),
        answers: &[],
    };
    Land::round_trip(case, 3).await;
}
