//! Partitioned tables: several levels, every strategy, rows that change their partition, and partitions that come
//! and go in the middle of a wave.

use crate::land::{Case, Hooks, Land, assert_same, common, said};
use domicile_mover::{Error, wave};
use std::sync::Arc;

const SCHEMA: &str = "
CREATE TABLE people(id bigint NOT NULL, country text, born date, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE people_0 PARTITION OF people FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE people_1 PARTITION OF people FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events(person bigint NOT NULL REFERENCES people, day date NOT NULL, kind text NOT NULL, n int, what text,
  PRIMARY KEY (person, day, kind, n)) PARTITION BY RANGE (day);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY LIST (kind);
CREATE TABLE events_new_a PARTITION OF events_new FOR VALUES IN ('a') PARTITION BY HASH (n);
CREATE TABLE events_new_a0 PARTITION OF events_new_a FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_new_a1 PARTITION OF events_new_a FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_new_rest PARTITION OF events_new DEFAULT;
CREATE TABLE remarks(id int PRIMARY KEY, person bigint NOT NULL, day date NOT NULL, kind text NOT NULL, n int NOT NULL, text text,
  FOREIGN KEY (person, day, kind, n) REFERENCES events ON UPDATE CASCADE ON DELETE CASCADE);
-- Columns in another order than the table's, and one that was dropped.
CREATE TABLE events_odd(gone int, what text, n int NOT NULL, kind text NOT NULL, day date NOT NULL, person bigint NOT NULL);
ALTER TABLE events_odd DROP COLUMN gone;
ALTER TABLE events_new ATTACH PARTITION events_odd FOR VALUES IN ('odd');
";

const ROWS: &str = "
INSERT INTO people SELECT n, CASE WHEN n % 4 = 0 THEN 'DE' ELSE 'IN' END FROM generate_series(1, 12) n;
INSERT INTO events SELECT id, d, k, n, 'w' FROM people, unnest(array['1999-12-31', '2020-01-01', '-infinity', 'infinity']::date[]) d,
  unnest(array['a', 'b', 'odd']) k, generate_series(1, 3) n;
INSERT INTO remarks SELECT row_number() OVER (), person, day, kind, n, 't' FROM events WHERE n = 1;
";

fn case() -> Case {
    Case {
        schema: SCHEMA.to_owned(),
        admin: String::new(),
        rows: ROWS.to_owned(),
        root: ("public", "people"),
        key: ("id", "bigint"),
        answers: &[("reach:public.spare", "excluded")],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_levels() {
    Land::round_trip(case(), 9).await;
}

const CHANGES: &str = "UPDATE events SET day = '2021-05-05' WHERE day = '1999-12-31' AND n = 2;
    UPDATE events SET kind = 'a', n = 9 WHERE kind = 'odd' AND day = '2020-01-01' AND n = 3;
    UPDATE events SET day = '1990-01-01' WHERE day = 'infinity' AND n = 3;
    DELETE FROM events WHERE day = '-infinity'; UPDATE events SET what = 'late' WHERE n = 1;
    UPDATE events SET kind = 'odd', day = '2030-03-03' WHERE kind = 'b' AND day = '2020-01-01' AND n = 1";

/// Rows go from one partition to another while their subjects move, remarks with them.
#[tokio::test(flavor = "multi_thread")]
async fn rows_change_their_partition() {
    let plain = Land::unguarded(case(), [common(), common()]);
    plain.app("old").await.batch_execute(CHANGES).await.unwrap();
    let land = Land::new(case()).await;
    let (there, handle) = (land.clone(), tokio::runtime::Handle::current());
    let write = move || {
        let write = async { there.app("old").await.batch_execute(CHANGES).await.map_err(|e| said(&e)) };
        tokio::task::block_in_place(|| handle.block_on(write)).unwrap();
    };
    let service = land.service(Arc::new(Hooks::at(&["verify"], write))).await;
    let report = land.run(&service).await.unwrap();
    assert_eq!(report.subjects, 9, "{:?}", report.left);
    wave::erase_wave(&service, &report.wave).await.unwrap();
    assert_same(&plain.rows_of_both(), &land.rows_of_both());
}

/// A partition attached or detached in the middle of a wave, at any level, stops it: its rows were seen by nobody.
async fn stops(what: &str, region: &'static str) {
    let spare = "CREATE TABLE spare(person bigint NOT NULL, day date NOT NULL, kind text NOT NULL, n int NOT NULL, what text,
        PRIMARY KEY (person, day, kind, n))";
    let row = "INSERT INTO spare VALUES (1, '2022-02-02', 'spare', 1, 'nobody saw it come')";
    let case = Case {
        schema: format!("{SCHEMA} {spare}"),
        rows: format!("{ROWS} DELETE FROM remarks; {row}"),
        ..case()
    };
    let land = Land::new(case).await;
    let (there, sql) = (land.clone(), what.to_owned());
    let alter = move || {
        let (there, sql) = (there.clone(), sql.clone());
        std::thread::spawn(move || there.owner(region, &sql)).join().unwrap();
    };
    let service = land.service(Arc::new(Hooks::at(&["fence"], alter))).await;
    match land.run(&service).await {
        Err(Error::SchemaChanged(said)) => {
            assert!(said.contains("events") && said.contains(region), "{said}")
        }
        other => panic!("{what} at {region}: {other:?}"),
    }
    // Nobody has moved, and everybody can write at home.
    let states = land.admin("old", "SELECT DISTINCT state FROM domicile.home");
    assert!(!states.contains(['w', 's']), "{states}");
    land.app("old").await.batch_execute("UPDATE people SET born = '2000-01-01'").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_or_goes_stops_the_wave() {
    stops("ALTER TABLE events_new ATTACH PARTITION spare FOR VALUES IN ('spare')", "old").await;
    stops("ALTER TABLE events_new ATTACH PARTITION spare FOR VALUES IN ('spare')", "new").await;
    stops("ALTER TABLE events_new DETACH PARTITION events_odd", "old").await;
    stops("ALTER TABLE events DETACH PARTITION events_old", "old").await;
    stops("CREATE TABLE events_new_x PARTITION OF events_new FOR VALUES IN ('x')", "old").await;
}
