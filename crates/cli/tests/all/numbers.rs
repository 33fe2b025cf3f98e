//! Keys that two regions both give out: `check` and `region prepare` say so with the statements that end
//! it, and a region joins the strides of the others.

use crate::servers::Servers;
use crate::shop::{Ran, Shop};
use domicile_testbed::postgres::Cluster;

const CLUB: &str = "
CREATE TABLE member (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, country text NOT NULL);
CREATE TABLE visit (no serial PRIMARY KEY, member bigint NOT NULL REFERENCES member (id));
CREATE INDEX ON visit (member);
INSERT INTO member (country) SELECT 'Germany' FROM generate_series(1, 30);
INSERT INTO visit (member) SELECT id FROM member;
";

/// Region us with the club, and the configuration of de and fr beside it.
fn club(clusters: &[(&str, &Cluster)]) -> Shop {
    let shop = Shop::empty();
    for (_, cluster) in clusters {
        for sql in
            ["CREATE ROLE keeper LOGIN", "CREATE ROLE domicile LOGIN", "CREATE DATABASE club OWNER keeper"]
        {
            cluster.sql("postgres", sql);
        }
        cluster.sql("club", "GRANT keeper TO domicile");
    }
    let us = clusters[0].1;
    us.sql("club", &format!("SET ROLE keeper; {CLUB}"));
    let from = us.url("domicile", "club");
    shop.ok(&["init", "--from", &from, "--country", "US", "--region", "us"]);
    shop.ok(&["answer", "stores", "none"]);
    shop.edit("domicile.toml", &from, &Servers::url(us, "club"));
    shop
}

fn add(shop: &Shop, id: &str, cluster: &Cluster) {
    let records = Servers::url(cluster, "club");
    let country = id.to_uppercase();
    shop.append(
        "domicile.toml",
        &format!("\n[[region]]\nid = \"{id}\"\ncountry = \"{country}\"\nrecords = \"{records}\"\n"),
    );
    assert!(
        cluster
            .script("postgres", "club", &shop.ok(&["guard", "grants", "--region", id]).stdout)
            .status
            .success()
    );
}

/// Runs the statements of the fix lines, each at its region.
fn mend(ran: &Ran, clusters: &[(&str, &Cluster)]) -> usize {
    let lines = ran.stdout.lines().filter_map(|line| line.trim().strip_prefix("fix: ALTER "));
    let statements: Vec<_> = lines.filter_map(|line| line.split_once(" -- at ")).collect();
    for (sql, region) in &statements {
        let (_, cluster) = clusters.iter().find(|(id, _)| id == region).expect("a region of ours");
        cluster.sql("club", &format!("ALTER {sql}"));
    }
    statements.len()
}

#[test]
fn sequences_that_clash_are_told_and_a_new_region_joins_the_stride() {
    let (us, de, fr) = (Cluster::start(), Cluster::start(), Cluster::start());
    let clusters = [("us", &us), ("de", &de), ("fr", &fr)];
    let shop = club(&clusters);
    assert!(
        us.script("postgres", "club", &shop.ok(&["guard", "grants", "--region", "us"]).stdout)
            .status
            .success()
    );
    assert!(!shop.run(&["check"]).stdout.contains(" risk "), "one region counts for itself");
    add(&shop, "de", &de);
    let prepared = shop.ok(&["region", "prepare", "de"]);
    assert_eq!(prepared.stdout.matches(" risk ").count(), 2, "{}", prepared.whole());
    for step in ["install", "backfill", "enforce"] {
        shop.ok(&["guard", step]);
    }
    let checked = shop.ok(&["check"]);
    assert!(
        checked.stdout.contains("ready: domicile plan"),
        "a risk holds nothing back: {}",
        checked.whole()
    );
    assert_eq!(mend(&checked, &clusters), 4);
    assert!(!shop.ok(&["check"]).stdout.contains(" risk "));

    // A third region, with the strides of the first two in the schema that it is made from.
    add(&shop, "fr", &fr);
    let joined = shop.ok(&["region", "prepare", "fr"]);
    assert!(joined.stdout.contains("Sequences at fr count in strides"), "{}", joined.whole());
    assert!(!joined.stdout.contains(" risk "), "{}", joined.whole());
    shop.ok(&["guard", "install"]);
    let mut given = Vec::new();
    for (_, cluster) in clusters {
        for _ in 0..20 {
            given.push(cluster.sql("club", "SELECT nextval('visit_no_seq')"));
        }
    }
    let many = given.len();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), many, "no number twice");
}

/// Members move while each region still counts from 1: the numbers to come are taken, and that is no risk
/// any more but a fault.
#[test]
fn numbers_that_are_taken_already_hold_check_back() {
    let (us, de) = (Cluster::start(), Cluster::start());
    let clusters = [("us", &us), ("de", &de)];
    let shop = club(&clusters);
    assert!(
        us.script("postgres", "club", &shop.ok(&["guard", "grants", "--region", "us"]).stdout)
            .status
            .success()
    );
    add(&shop, "de", &de);
    shop.ok(&["region", "prepare", "de"]);
    for step in ["install", "backfill", "enforce"] {
        shop.ok(&["guard", step]);
    }
    shop.ok(&["plan", "-o", "plan.json"]);
    shop.ok(&["move", "plan.json"]);
    let checked = shop.run(&["check"]);
    assert_eq!(checked.code, 3, "{}", checked.whole());
    assert!(checked.stdout.contains("at de numbers to come are taken"), "{}", checked.whole());
    assert_eq!(mend(&checked, &clusters), 4);
    shop.ok(&["check"]);
}
