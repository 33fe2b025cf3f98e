//! `guard grants | psql`, run by whoever has the database, and what is said where something is missing.

use crate::servers::Servers;

const PARTITIONED: &str = "SET ROLE keeper; \
    CREATE TABLE event (customer_id bigint NOT NULL REFERENCES customer (id), day date NOT NULL, \
      PRIMARY KEY (customer_id, day)) PARTITION BY RANGE (day); \
    CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'); \
    INSERT INTO event VALUES (1, '2025-05-05')";

#[test]
fn the_owner_gives_all_but_membership_and_is_told_who_gives_that() {
    let servers = Servers::start(1);
    let (shop, us, de) = (&servers.shop, &servers.us, &servers.de);
    us.sql("shop", PARTITIONED);
    let answers: [[&str; 3]; 2] =
        [["answer", "personal:public.employee", "stub"], ["answer", "stores", "none"]];
    shop.ok(&["init", "--from", &us.url("domicile", "shop"), "--country", "US", "--region", "us"]);
    for answer in answers {
        shop.ok(&answer);
    }
    let url = de.url("domicile", "shop");
    shop.append(
        "domicile.toml",
        &format!("\n[[region]]\nid = \"de\"\ncountry = \"DE\"\nrecords = \"{url}\"\n"),
    );

    // Nothing is granted yet: install names membership first, and everything else at once.
    let early = shop.run(&["guard", "install", "--region", "us"]);
    assert_eq!((early.code, early.stderr.contains("store-denied")), (3, true), "{}", early.whole());
    assert!(early.stderr.contains("fix:   GRANT keeper TO \"domicile\"\n"), "{}", early.whole());
    assert!(early.stderr.contains("domicile guard grants --region us"), "{}", early.whole());

    let grants = shop.ok(&["guard", "grants", "--region", "us"]).stdout;
    assert!(grants.contains("public.event_2025"), "a partition's privileges are its own:\n{grants}");
    // The owner of database and tables runs it: psql stops with an exit code, and all before it holds.
    let piped = us.script("keeper", "shop", &grants);
    assert_eq!(piped.status.code(), Some(3), "{grants}");
    let said = String::from_utf8_lossy(&piped.stderr);
    assert!(said.contains("admin option") || said.contains("ADMIN option"), "{said}");
    let has = "SELECT has_table_privilege('domicile', 'event_2025', 'SELECT')";
    assert_eq!(us.sql("shop", has), "t");
    // Only what he could not give is missing, and it is named as such.
    let late = shop.run(&["guard", "install", "--region", "us"]);
    assert!(late.stderr.contains("membership in"), "{}", late.whole());
    assert!(!late.stderr.contains("GRANT SELECT"), "{}", late.whole());

    assert!(
        us.script("postgres", "shop", &shop.ok(&["guard", "grants", "--region", "us"]).stdout)
            .status
            .success()
    );
    assert!(
        de.script("keeper", "shop", &shop.ok(&["guard", "grants", "--region", "de"]).stdout).status.success()
    );
    shop.ok(&["guard", "install", "--region", "us"]);
    shop.ok(&["region", "prepare", "de"]);
    let done = shop.ok(&["guard", "grants", "--region", "us"]);
    assert!(done.stdout.contains("nothing is missing any more"), "{}", done.whole());
}
