//! Every built-in type with extreme values, alone and in arrays, and the types that users make.

use crate::land::{Case, Land, common, quoted};
use crate::values::{UNWRITABLE, VALUES};
use std::collections::BTreeSet;

/// A column of each type, and one of its array. Row `n` has the types' n-th values, NULL where a type has no more.
pub fn everything() -> Case {
    let columns = VALUES.iter().map(|(ty, _)| {
        format!("{} {}, {} {1}[]", quoted(&format!("v_{ty}")), quoted(ty), quoted(&format!("a_{ty}")))
    });
    let schema = format!(
        "CREATE TABLE everything(owner bigint REFERENCES users, n int, {}, PRIMARY KEY (owner, n))",
        columns.collect::<Vec<_>>().join(", ")
    );
    let rows = VALUES.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let mut sql = vec!["INSERT INTO users VALUES (1, 'IN'), (2, 'DE'), (3, 'IN')".to_owned()];
    for n in 0..=rows {
        let values = VALUES.iter().map(|(ty, values)| {
            let one = values.get(n).map_or("NULL".to_owned(), |v| value(ty, v));
            format!("{one}, {}", array(ty, values, n))
        });
        let values: Vec<_> = values.collect();
        sql.push(format!("INSERT INTO everything VALUES ({}, {n}, {})", 1 + n % 2, values.join(", ")));
    }
    Case::of_users(schema, sql.join(";\n"))
}

fn value(ty: &str, text: &str) -> String {
    match text.strip_prefix('=') {
        Some(expression) => format!("({expression})::{}", quoted(ty)),
        None => format!("'{}'::{}", text.replace('\'', "''"), quoted(ty)),
    }
}

/// With NULL between, with a lower bound of its own, of two dimensions, empty, of NULL alone.
fn array(ty: &str, values: &[&str], n: usize) -> String {
    let all: Vec<String> = values.iter().map(|v| value(ty, v)).collect();
    let (list, of) = (all.join(", "), format!("{}[]", quoted(ty)));
    match n {
        0 => format!("ARRAY[{list}, NULL]::{of}"),
        1 => format!("('[-5:{}]=' || (ARRAY[{list}]::{of})::text)::{of}", all.len() as i64 - 6),
        2 => format!(
            "('[3:4][0:{}]=' || (ARRAY[ARRAY[{list}], ARRAY[{list}]]::{of})::text)::{of}",
            all.len() - 1
        ),
        3 => "'{}'".to_owned(),
        4 => format!("ARRAY[NULL]::{of}"),
        _ => "NULL".to_owned(),
    }
}

/// What the server calls a type that a column can have, and we do not.
#[test]
fn no_built_in_type_is_forgotten() {
    let sql = "SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace \
        AND typtype IN ('b', 'r', 'm') AND typname !~ '^_'";
    let there = common().sql("postgres", sql);
    let known: BTreeSet<&str> = VALUES.iter().map(|(ty, _)| *ty).chain(UNWRITABLE.iter().copied()).collect();
    let there: BTreeSet<&str> = there.lines().collect();
    assert_eq!(there, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_built_in_type() {
    let land = Land::round_trip(everything(), 2).await;
    let rows = land.admin("old", "SELECT count(*) FROM everything");
    assert!(rows.parse::<usize>().unwrap() > 15, "{rows}");
}

const MADE: &str = r#"
CREATE SCHEMA "Odd ""types""";
CREATE TYPE "Odd ""types""".mood AS ENUM ('', 'it''s "fine"', 'a,b', '{c}', 'NULL', 'ключ');
CREATE DOMAIN "Odd ""types""".short AS varchar(5) CHECK (value <> 'bad');
CREATE DOMAIN "Odd ""types""".named AS text NOT NULL DEFAULT 'x';
CREATE DOMAIN "Odd ""types""".marks AS int[] CHECK (array_length(value, 1) < 4);
CREATE DOMAIN "Odd ""types""".deep AS "Odd ""types""".short CHECK (length(value) > 1);
CREATE TYPE "Odd ""types""".pair AS (a int, "B b" text);
CREATE TYPE "Odd ""types""".nest AS (p "Odd ""types""".pair, ps "Odd ""types""".pair[], m "Odd ""types""".marks, t timestamptz, f float8);
CREATE TYPE "Odd ""types""".span AS RANGE (subtype = float8);
CREATE DOMAIN "Odd ""types""".pairs AS "Odd ""types""".pair[];
CREATE TABLE made(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users,
  mood "Odd ""types""".mood, moods "Odd ""types""".mood[], short "Odd ""types""".short, shorts "Odd ""types""".short[],
  named "Odd ""types""".named, marks "Odd ""types""".marks, marked "Odd ""types""".marks[], deep "Odd ""types""".deep,
  pair "Odd ""types""".pair, nest "Odd ""types""".nest, nests "Odd ""types""".nest[], span "Odd ""types""".span,
  spans "Odd ""types""".span_multirange, pairs "Odd ""types""".pairs, users users);
CREATE TABLE narrow(owner bigint PRIMARY KEY REFERENCES users, b5 bit(5), b9 varbit(9), c5 char(5), v5 varchar(5), cs char(3)[],
  n numeric(10,2), big numeric(3,-2), small numeric(2,5), ts timestamp(0), tz timestamptz(3), t time(2), ttz time(0) with time zone,
  ym interval year to month, ds interval day to second(2), i interval(0), bits bit(3)[], nn numeric(5,1)[]);
CREATE TABLE lonely(owner bigint PRIMARY KEY REFERENCES users);
"#;

const MADE_ROWS: &str = r#"
INSERT INTO users VALUES (1, 'IN'), (2, 'DE'), (3, 'IN');
INSERT INTO made VALUES
 (1, 1, 'it''s "fine"', '{"",NULL,"it''s \"fine\"","a,b","{c}","NULL",ключ}', 'ab   ', '{a,NULL,"\"\\\\"}', '', '[2:4]={1,NULL,3}',
  '{"{1,2}",NULL,"{}"}', 'de', (1, E'a"b\\c''d,(e)\n'), ((NULL, NULL), '{"(1,)",NULL,"(,\"\")"}',
  '{7}', '0044-03-15 BC', '-0'), '{NULL,"(,,,infinity,NaN)"}', '[0.1,Infinity]', '{[1,2],(3,)}',
  '{"(1,x)",NULL}', (9, 'XX')),
 (2, 2, '', '{}', '', '{}', 'n', '{}', '{}', NULL, (NULL, NULL), NULL, '{}', 'empty', '{}', '{}', NULL),
 (3, 1, NULL, NULL, NULL, NULL, 'n', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO narrow VALUES (1, '10101', '1', 'ab', 'abcde', '{a,NULL,"  c"}', -99999999.99, 99900, 0.00099, '2020-01-01 12:34:56', '0044-03-15 12:00:00.123+00 BC',
  '24:00', '23:59:59+15:59', '-3 years 2 mons', '1 day -00:00:01.25', '1 mon -1 day', '{101,NULL}', '{NaN,-9999.9}'),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (3, '00000', '', '', '', '{}', 'NaN', 0, -0.00001, 'infinity', '-infinity', '00:00', '00:00', '0', '0', '-178000000 years', '{}', '{}');
INSERT INTO lonely VALUES (1), (2);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn types_that_users_make() {
    Land::round_trip(Case::of_users(MADE, MADE_ROWS), 2).await;
}

/// More columns than one would write: each is a parameter of the statement that writes by key.
#[tokio::test(flavor = "multi_thread")]
async fn many_columns() {
    let columns: Vec<_> = (0..700).map(|n| format!("\"col {n}\" text")).collect();
    let schema =
        format!("CREATE TABLE wide(owner bigint PRIMARY KEY REFERENCES users, {})", columns.join(", "));
    let values: Vec<_> =
        (0..700).map(|n| if n % 3 == 0 { "NULL".to_owned() } else { format!("'{n}'") }).collect();
    let rows =
        format!("INSERT INTO users VALUES (1, 'IN'); INSERT INTO wide VALUES (1, {})", values.join(", "));
    Land::round_trip(Case::of_users(schema, rows), 1).await;
}
