//! Rows of every awkward type arrive as they were.

use crate::layouts::Way;
use crate::{cluster, database, ids, leased, open};
use domicile_stores::Records;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::{Key, KeySet, Pick, SubjectId};

const SCHEMA: &str = r#"
create schema "Ünï ""x""";
create schema archive;
create type archive.mood as enum ('sad', 'it''s "fine"', 'ok');
create domain archive.short as varchar(5) check (value <> 'bad');
create type archive.pair as (a integer, b text);
create table "Ünï ""x"""."Üser's" (
  "Kéy" uuid primary key default gen_random_uuid(), "land" char(2) not null, seq bigint generated always as identity,
  "sel ect" text, loud text generated always as (upper("sel ect")) stored);
create table archive.extremes (
  owner uuid not null references "Ünï ""x"""."Üser's", at timestamptz, part text, part_id integer,
  f4 real, f8 double precision, num numeric, money money, b bytea, j json, jb jsonb, mood archive.mood,
  short archive.short, pair archive.pair, ints integer[], texts text[][], r int4range, tr tstzrange, mr int4multirange,
  i interval, d date, ts timestamp(3), tt timetz, ip inet, net cidr, mac macaddr, bits bit(5), vbits bit varying(9),
  c char(5), vc varchar(5), x xml, tsv tsvector, pt point, one "char", bool boolean, o oid, "null" text,
  primary key (at, part, part_id));
create table archive.log (owner uuid not null references "Ünï ""x"""."Üser's", day date not null, n bigint not null, what text,
  primary key (day, n)) partition by range (day);
create table archive.log_old partition of archive.log for values from (minvalue) to ('2020-01-01');
create table archive.log_new partition of archive.log for values from ('2020-01-01') to (maxvalue) partition by list (n);
create table archive.log_new_1 partition of archive.log_new for values in (1);
create table archive.log_new_rest partition of archive.log_new default;
create table archive.slug (slug text primary key, owner uuid not null references "Ünï ""x"""."Üser's" deferrable);
create table archive.tag (slug text not null references archive.slug (slug), tag text not null, primary key (slug, tag));
"#;

const ROWS: &str = r#"
insert into "Ünï ""x"""."Üser's" ("Kéy", land, "sel ect") values
  ('11111111-1111-1111-1111-111111111111', 'IN', E'tab\tline\nback\\slash \\N \r \x01'),
  ('22222222-2222-2222-2222-222222222222', 'CN', '');
insert into archive.extremes values
 ('11111111-1111-1111-1111-111111111111', 'infinity', '', 1, 'NaN', '-infinity', 'NaN', '-92233720368547758.08', '\x00ff0a5c', '{"a" : 1, "a":2}',
  '{"b":[null,1e400]}', 'it''s "fine"', 'abc  ', row(null, ' "q" '), '{{1,null},{-2147483648,2147483647}}', '{{"a,b",NULL},{"null","{}"}}',
  '[1,5)', '(,infinity]', '{[1,2),[5,6)}', '-1 year 2 mons -3 days 04:05:06.789', '-infinity', '0099-12-31 BC'::timestamp, '23:59:60+15:59', '::ffff:1.2.3.4/96',
  '10.0.0.0/8', '08:00:2b:01:02:03', '10101', '1', 'ab', 'abcde', '<a>&amp;</a>', 'a:1A fat:2', '(1e-300,-0)', '\', true, 4294967295, null),
 ('11111111-1111-1111-1111-111111111111', '2020-02-29 12:34:56.123456+05:30', 'ключ"\,', -1, 1.1754944e-38, 0.1, 'infinity', 0, '', 'null', 'null', 'sad',
  null, row(1, null), '{}', '{}', 'empty', '["2020-01-01 00:00+00",)', '{}', '0', '4713-01-01 BC', 'infinity', '00:00-15:59', '0.0.0.0', '::/0',
  'ff:ff:ff:ff:ff:ff', '00000', '', '', '', 'text only', '', '(NaN,Infinity)', '', false, 0, 'NULL');
insert into archive.extremes values
 ('22222222-2222-2222-2222-222222222222', '-infinity', 'stays', 0);
insert into archive.log select '11111111-1111-1111-1111-111111111111', d, n, 'x' from unnest(array['1999-01-01', '2024-01-01', '-infinity']::date[]) d, generate_series(1, 3) n;
insert into archive.slug values ('ä/b', '11111111-1111-1111-1111-111111111111'), ('["x", 1]', '11111111-1111-1111-1111-111111111111');
insert into archive.tag values ('ä/b', ''), ('ä/b', 'null'), ('["x", 1]', '\N');
"#;

async fn opened(name: &str) -> Postgres {
    let url = database(name, SCHEMA);
    let tables = [
        (r#"Ünï "x".Üser's"#, Way::Root("Kéy")),
        ("archive.extremes", Way::Direct("owner")),
        ("archive.log", Way::Direct("owner")),
        ("archive.slug", Way::Direct("owner")),
        ("archive.tag", Way::By("archive.slug")),
    ];
    // `TableName` quotes a part that holds a quote.
    let quoted = tables.map(|(n, w)| (if n.starts_with('Ü') { r#""Ünï ""x""".Üser's"# } else { n }, w));
    open(&url, &quoted, "land").await
}

#[tokio::test]
async fn a_copy_of_extreme_values_is_equal() {
    let (source, target) = (opened("extreme_source").await, opened("extreme_target").await);
    cluster().sql("extreme_source", ROWS);
    let lease = leased(&target).await;
    let subjects = ids(&["11111111-1111-1111-1111-111111111111"]);
    let mut here = source.snapshot().await.unwrap();
    let mut writing = target.begin(&lease).await.unwrap();
    for table in 0..5 {
        let rows = here.rows(table, Pick::Subjects(&subjects), true).await.unwrap();
        writing.load(table, rows).await.unwrap();
    }
    writing.commit().await.unwrap();
    let digests = here.digests(&subjects).await.unwrap();
    assert_eq!(digests.iter().map(|d| d.rows).collect::<Vec<_>>(), [1, 2, 9, 2, 3]);
    assert_eq!(digests, target.snapshot().await.unwrap().digests(&subjects).await.unwrap());

    // The same by key, over rows that are there already and over none.
    let keys = all_keys(&subjects, &source).await;
    target.arrive(&lease, &[(subjects[0].clone(), 2)]).await.unwrap();
    for clear in [false, true] {
        let mut writing = target.begin(&lease).await.unwrap();
        if clear {
            assert_eq!(writing.clear(&subjects).await.unwrap().values().sum::<u64>(), 17);
        }
        for (table, keys) in &keys {
            let rows = here.rows(*table, Pick::Keys(keys, &subjects), false).await.unwrap();
            assert_eq!(writing.upsert(*table, rows).await.unwrap(), keys.len() as u64, "table {table}");
        }
        writing.commit().await.unwrap();
        assert_eq!(digests, target.snapshot().await.unwrap().digests(&subjects).await.unwrap());
    }
    let size = source.measure(&subjects).await.unwrap();
    assert_eq!(size[&2].rows, 9);
    assert_eq!(size[&1].bytes, digests[1].bytes);
}

/// Keys as the guard would record them; one timestamp in another session's spelling.
async fn all_keys(subjects: &[SubjectId], source: &Postgres) -> KeySet {
    let key = |k: &str| Key(k.to_owned());
    let mut keys = KeySet::from([
        (0, [key(r#"["11111111-1111-1111-1111-111111111111"]"#)].into()),
        (
            1,
            [key(r#"["infinity", "", 1]"#), key(r#"["2020-02-29T09:04:56.123456+02:00", "ключ\"\\,", -1]"#)]
                .into(),
        ),
        (3, [key(r#"["ä/b"]"#), key(r#"["[\"x\", 1]"]"#)].into()),
        (4, [key(r#"["ä/b", ""]"#), key(r#"["ä/b", "null"]"#), key(r#"["[\"x\", 1]", "\\N"]"#)].into()),
    ]);
    let days = ["1999-01-01", "2024-01-01", "-infinity"];
    let log = days.iter().flat_map(|d| (1..=3).map(move |n| Key(format!("[\"{d}\", {n}]"))));
    keys.insert(2, log.collect());
    let owned = source.snapshot().await.unwrap().owned(&keys, subjects).await.unwrap();
    assert_eq!(owned, keys);
    keys
}

/// A subject's key that cannot be one is an error that does not repeat it.
#[tokio::test]
async fn a_bad_subject_is_not_quoted_in_the_error() {
    let store = opened("extreme_bad").await;
    let error = store.measure(&ids(&["not-a-uuid"])).await.unwrap_err().to_string();
    assert!(!error.contains("not-a-uuid") && error.contains("22P02"), "{error}");
    // Quotes and backslashes stay inside COPY's literal.
    let hostile = ids(&[r#"'); drop table archive.tag; --"\"#]);
    let mut snapshot = store.snapshot().await.unwrap();
    assert!(snapshot.rows(0, Pick::Subjects(&hostile), false).await.is_err());
    drop(snapshot);
    assert_eq!(cluster().sql("extreme_bad", "select count(*) from archive.tag"), "0");
}
