//! Two clusters, and databases with the same made-up rows.

use crate::site::Site;
use crate::{Fallible, profile};
use domicile_testbed::far::Far;
use domicile_testbed::postgres::Cluster;
use std::sync::atomic::{AtomicU32, Ordering};

/// Beyond the server's defaults. Commits are durable: the guard's and the fence's price is mostly theirs.
pub const SETTINGS: [&str; 4] =
    ["fsync=on", "synchronous_commit=on", "shared_buffers=512MB", "max_wal_size=4GB"];

/// Rows of three tables and of photos; `accounts` is the root.
pub const SCHEMA: &str = "
CREATE TABLE products(id BIGINT NOT NULL PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE accounts(id BIGINT NOT NULL PRIMARY KEY, country TEXT NOT NULL, email TEXT UNIQUE, version BIGINT NOT NULL DEFAULT 0);
CREATE TABLE orders(id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, placed TIMESTAMPTZ NOT NULL, note TEXT);
CREATE TABLE items(id BIGINT NOT NULL PRIMARY KEY, order_id BIGINT NOT NULL REFERENCES orders(id) ON DELETE CASCADE, product_id BIGINT REFERENCES products(id), version BIGINT NOT NULL DEFAULT 0, price NUMERIC(10,2), label TEXT);
CREATE INDEX orders_account ON orders(account_id);
CREATE INDEX items_order ON items(order_id);
INSERT INTO products SELECT g, 'product ' || g FROM generate_series(1, 1000) g;
";

/// A table of objects for [`SCHEMA`].
pub const PHOTOS: &str = "
CREATE TABLE photos(id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, object_key TEXT);
CREATE INDEX photos_account ON photos(account_id);
";

/// Orders of a subject in [`rows`]'s small form, each with so many items: 1 + 10 + 49 rows.
const ORDERS: u64 = 10;

/// SQL that makes `subjects` subjects of about `each` rows, all of India; one more of Germany stays.
pub fn rows(subjects: u64, each: u64) -> String {
    let orders = ORDERS.min(each.saturating_sub(1) / 3).max(1);
    let items = each.saturating_sub(1 + orders);
    format!(
        "INSERT INTO accounts SELECT s, 'IN', 'account' || s || '@example', 0 FROM generate_series(1, {subjects}) s;
         INSERT INTO accounts VALUES (0, 'DE', 'stays@example', 0);
         INSERT INTO orders SELECT (s - 1) * {orders} + o, s, timestamptz '2026-01-01' + o * interval '1 hour', 'order ' || o || ' of account ' || s
           FROM generate_series(1, {subjects}) s, generate_series(1, {orders}) o;
         INSERT INTO items SELECT (s - 1) * {items} + i, (s - 1) * {orders} + 1 + (i - 1) % {orders}, 1 + i % 1000, 0, i % 90 + 0.99, md5((s::bigint * 1000003 + i)::text) || ' as chosen on the page'
           FROM generate_series(1, {subjects}) s, generate_series(1, {items}) i;"
    )
}

/// Off loopback the mover insists on TLS otherwise.
const PLAINTEXT: &str = "?sslmode=disable&allow_plaintext=true";

/// Two clusters: where the subjects are and where they go.
pub struct Ground {
    /// The old home's.
    pub old: Cluster,
    /// The new home's.
    pub new: Cluster,
    /// The address that the mover reaches the new home by, where that is not its own.
    through: Option<String>,
    number: AtomicU32,
}

impl Ground {
    /// Starts both with [`SETTINGS`], and those of a profile if asked.
    pub fn start(profile: bool) -> Fallible<Self> {
        let mut settings = SETTINGS.to_vec();
        settings.extend(profile.then_some(profile::SETTINGS).into_iter().flatten());
        Self::of(Cluster::start_with(&settings), Cluster::start_with(&settings), None)
    }

    /// The new home's cluster far away, reached by the mover on the slow way.
    pub fn start_far(far: &Far) -> Fallible<Self> {
        let new = Cluster::start_far(far, &SETTINGS);
        Self::of(Cluster::start_with(&SETTINGS), new, Some(far.slow.clone()))
    }

    fn of(old: Cluster, new: Cluster, through: Option<String>) -> Fallible<Self> {
        for cluster in [&old, &new] {
            cluster.sql("postgres", "CREATE ROLE domicile LOGIN; CREATE ROLE owner NOLOGIN; GRANT owner TO domicile; CREATE ROLE app LOGIN");
        }
        Ok(Self { old, new, through, number: AtomicU32::new(0) })
    }

    /// Makes a database on both clusters, empty of subjects on the new one, to copy others from.
    pub fn template(&self, name: &str, schema: &str, rows: &str) {
        for (cluster, rows) in [(&self.old, rows), (&self.new, "")] {
            cluster.sql("postgres", &format!("CREATE DATABASE {name} OWNER owner"));
            cluster.sql(name, "GRANT ALL ON SCHEMA public TO owner; GRANT USAGE ON SCHEMA public TO app");
            cluster.sql(
                name,
                &format!(
                    "SET ROLE owner; {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app; \
                     GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app; {rows}"
                ),
            );
            cluster.sql(name, "VACUUM ANALYZE");
        }
    }

    /// The same, unless an earlier row made it.
    pub fn template_once(&self, name: &str, schema: &str, rows: &str) {
        let asked = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        if self.old.sql("postgres", &asked) == "0" {
            self.template(name, schema, rows);
        }
    }

    /// A pair of databases like the template's, with guard and homes, ready to be planned. What makes it
    /// ready takes no detour.
    pub async fn site(&self, template: &str) -> Fallible<Site> {
        let name = self.copy(&[&self.old, &self.new], template);
        let site = self.site_of(&name)?;
        site.adopt().await?;
        self.settle();
        // The peers go without TLS, too.
        let slow = self.through.as_ref().map(|_| self.new_url("domicile", &name) + PLAINTEXT);
        Ok(site.reached_by(slow))
    }

    /// A site of two databases of that name, without guard yet.
    pub fn site_of(&self, name: &str) -> Fallible<Site> {
        let mut new = self.new.url("domicile", name);
        if self.through.is_some() {
            new.push_str(PLAINTEXT);
        }
        Site::create(self.old.url("domicile", name), new, name)
    }

    /// The new home's database as the mover and its peers reach it.
    pub fn new_url(&self, role: &str, name: &str) -> String {
        match &self.through {
            Some(host) => self.new.url_by(host, role, name),
            None => self.new.url(role, name),
        }
    }

    /// A copy of the template on these clusters; its name.
    pub fn copy(&self, clusters: &[&Cluster], template: &str) -> String {
        let name = format!("b{}", self.number.fetch_add(1, Ordering::Relaxed));
        for cluster in clusters {
            cluster.sql("postgres", &format!("CREATE DATABASE {name} OWNER owner TEMPLATE {template}"));
            // Rights on the schema come along; they are the template's.
        }
        name
    }

    /// Writes out what earlier steps left, so that nobody pays for them later.
    pub fn settle(&self) {
        for cluster in [&self.old, &self.new] {
            cluster.sql("postgres", "CHECKPOINT");
        }
    }

    /// Removes databases that were measured.
    pub fn drop(&self, name: &str) {
        for cluster in [&self.old, &self.new] {
            cluster.sql("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}
