//! PostgreSQL 15 to 18: the whole route on each, and from the oldest to the newest and back.

use crate::land::{Case, Land, with_roles};
use crate::types::everything;
use domicile_testbed::postgres::Cluster;
use std::sync::Arc;

/// Keys, partitions, cycles, generated columns and identities: what the catalogues of versions hold in different
/// ways.
const SCHEMA: &str = "
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN short AS varchar(9) NOT NULL DEFAULT '' CHECK (value <> 'bad');
CREATE TABLE posts(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users ON DELETE CASCADE, parent int REFERENCES posts ON DELETE SET NULL,
  mood mood, short short, n int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (id * 2) STORED, tags text[] NOT NULL DEFAULT '{}',
  CONSTRAINT named_one CHECK (id > 0), UNIQUE NULLS NOT DISTINCT (owner, mood, n));
CREATE TABLE events(owner bigint NOT NULL REFERENCES users, day date, n int, what text, PRIMARY KEY (owner, day, n)) PARTITION BY RANGE (day);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE events_new PARTITION OF events DEFAULT PARTITION BY HASH (n);
CREATE TABLE events_new_0 PARTITION OF events_new FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE remarks(id uuid PRIMARY KEY DEFAULT gen_random_uuid(), owner bigint NOT NULL, day date NOT NULL, n int NOT NULL, body jsonb,
  FOREIGN KEY (owner, day, n) REFERENCES events ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE);
";

const ROWS: &str = "
INSERT INTO users VALUES (4, 'IN'), (5, 'DE');
INSERT INTO posts(id, owner, mood) SELECT n, 1 + n % 5, CASE WHEN n % 2 = 0 THEN 'ok'::mood END FROM generate_series(1, 40) n;
UPDATE posts SET parent = id - 5 WHERE id > 5;
INSERT INTO events SELECT o, d, n, 'w' FROM generate_series(1, 5) o, unnest(array['-infinity', '1999-12-31', '2020-01-01']::date[]) d, generate_series(1, 3) n;
INSERT INTO remarks(owner, day, n, body) SELECT owner, day, n, '{\"a\": [1.10, null]}' FROM events;
";

fn case() -> Case {
    let all = everything();
    Case { schema: format!("{}; {SCHEMA}", all.schema), rows: format!("{}; {ROWS}", all.rows), ..all }
}

fn cluster(major: u32) -> Arc<Cluster> {
    let cluster = with_roles(Cluster::start_version(major, &[]));
    let said = cluster.sql("postgres", "SHOW server_version");
    assert!(said.starts_with(&format!("{major}.")), "{said}");
    cluster
}

async fn there_and_back(old: &Arc<Cluster>, new: &Arc<Cluster>) {
    let land = Land::unguarded(case(), [old.clone(), new.clone()]);
    land.adopt().await;
    land.there_and_back(3).await;
}

/// 15 alone is what every other test runs on.
#[tokio::test(flavor = "multi_thread")]
async fn each_version_and_across() {
    let (fifteen, eighteen) = (cluster(15), cluster(18));
    for (old, new) in [(cluster(16), cluster(17)), (fifteen.clone(), eighteen.clone()), (eighteen, fifteen)] {
        there_and_back(&old, &new).await;
    }
}
