//! The shop on two PostgreSQL clusters, us and de, as a plain role with the documented GRANTs.

use crate::shop::{COUNTRIES, Shop};
use domicile_testbed::postgres::Cluster;
use std::process::{Child, Stdio};

/// In the environment of every run; must never be printed. The clusters ask nobody for it.
pub const SECRET: &str = "s3cret-canary";

const SHOP: &str = "
CREATE TABLE employee (id bigint PRIMARY KEY, name text NOT NULL, email text, phone text);
CREATE TABLE customer (
  id bigint PRIMARY KEY, name text NOT NULL, email text UNIQUE, country text,
  rep_id bigint REFERENCES employee (id));
CREATE TABLE purchase (
  id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customer (id), placed_on date NOT NULL);
CREATE INDEX ON purchase (customer_id);
INSERT INTO employee VALUES (1, 'Ann Other', 'ann@shop.example', '+1 555 0100');
";

const CLUB: &str = "
CREATE TABLE member (card uuid PRIMARY KEY, country text NOT NULL);
CREATE TABLE visit (card uuid REFERENCES member (card), day date, PRIMARY KEY (card, day));
";

/// Regions `us` and `de`.
pub struct Servers {
    pub us: Cluster,
    pub de: Cluster,
    pub shop: Shop,
}

impl Servers {
    /// Both clusters with the roles and databases `shop` and `club`, filled at `us`; `times` as many customers.
    pub fn start(times: usize) -> Self {
        let (us, de) = (Cluster::start(), Cluster::start());
        for cluster in [&us, &de] {
            for sql in [
                "CREATE ROLE keeper LOGIN",
                "CREATE ROLE domicile LOGIN",
                "CREATE DATABASE shop OWNER keeper",
                "CREATE DATABASE club OWNER keeper",
            ] {
                cluster.sql("postgres", sql);
            }
        }
        us.sql("shop", &format!("SET ROLE keeper; {SHOP} {}", customers(times)));
        let members = "INSERT INTO member SELECT gen_random_uuid(), 'Germany' FROM generate_series(1, 30); \
                       INSERT INTO visit SELECT card, '2014-10-01' FROM member";
        us.sql("club", &format!("SET ROLE keeper; {CLUB} {members}"));
        Self { us, de, shop: Shop::empty() }
    }

    /// Where a service's records are, with a password that stands in the environment.
    pub fn url(cluster: &Cluster, database: &str) -> String {
        cluster.url("domicile", database).replace("domicile@", "domicile:${SHOP_PASSWORD}@")
    }

    /// The service `main` on the databases `shop`, enforced, with a plan.
    pub fn planned(times: usize) -> Self {
        Self::planned_with(times, None)
    }

    /// The same with another control store than a file.
    pub fn planned_with(times: usize, control: Option<&str>) -> Self {
        let servers = Self::start(times);
        let shop = &servers.shop;
        servers.grant_plainly("shop");
        let from = servers.us.url("domicile", "shop");
        shop.ok(&["init", "--from", &from, "--country", "US", "--region", "us"]);
        shop.ok(&["answer", "personal:public.employee", "stub"]);
        shop.ok(&["answer", "stores", "none"]);
        shop.edit("domicile.toml", &from, &Self::url(&servers.us, "shop"));
        if let Some(store) = control {
            shop.edit("domicile.toml", "sqlite:control.db", store);
        }
        let de = Self::url(&servers.de, "shop");
        shop.append(
            "domicile.toml",
            &format!("\n[[region]]\nid = \"de\"\ncountry = \"DE\"\nrecords = \"{de}\"\n"),
        );
        servers.open("shop", &[]);
        shop.ok(&["plan", "-o", "plan.json"]);
        servers
    }

    /// What `init` needs before `guard grants` can say the rest.
    pub fn grant_plainly(&self, database: &str) {
        self.us.sql(database, "GRANT keeper TO domicile");
    }

    /// Grants, schema and guard everywhere; `flags` name the service.
    pub fn open(&self, database: &str, flags: &[&str]) {
        let with = |args: &[&str]| self.shop.ok(&[args, flags].concat());
        for (id, cluster) in [("us", &self.us), ("de", &self.de)] {
            let piped =
                cluster.script("postgres", database, &with(&["guard", "grants", "--region", id]).stdout);
            assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
        }
        with(&["region", "prepare", "de"]);
        for step in ["install", "backfill", "enforce"] {
            with(&["guard", step]);
        }
    }

    /// Starts a `move` and comes back once its wave has begun.
    pub fn begun(&self, args: &[&str]) -> Child {
        let mut command = self.shop.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        crate::interrupted::once_begun(command.spawn().expect("the binary runs"))
    }
}

fn customers(times: usize) -> String {
    let mut sql = String::new();
    let mut last = 0;
    for (country, many) in COUNTRIES {
        let (first, many) = (last + 1, many * times);
        last += many;
        sql.push_str(&format!(
            "INSERT INTO customer SELECT i, 'customer ' || i, 'c' || i || '@example.org', '{country}', 1 \
             FROM generate_series({first}, {last}) AS i; "
        ));
    }
    sql.push_str("INSERT INTO purchase SELECT 2 * c.id + n, c.id, '2014-10-01' FROM customer AS c, generate_series(0, 1) AS n;");
    sql
}
