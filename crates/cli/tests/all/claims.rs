//! Existing users' claims, imported by `guard backfill`.

use crate::servers::Servers;
use crate::shop::{Ran, Shop, customer};
use std::os::unix::fs::PermissionsExt;

fn claims(ran: &Ran) -> [u64; 4] {
    let json: serde_json::Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}\n{}", ran.whole()));
    let kind = &json["claims"]["kinds"][0];
    assert_eq!(kind["kind"], "email", "{}", ran.whole());
    ["imported", "already", "duplicate", "unclaimable"].map(|key| kind[key].as_u64().expect(key))
}

/// The list's lines in order.
fn lines(shop: &Shop, file: &str) -> Vec<String> {
    let mode = std::fs::metadata(shop.path(file)).expect("the list").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut lines: Vec<String> = shop.read(file).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn claims_of_who_is_there_are_imported_and_duplicates_named_on_request() {
    let shop = Shop::ready(1);
    shop.append("domicile.toml", "\n[[claim]]\nkind = \"email\"\ncolumn = \"main.customer.email\"\n");
    let checked = shop.run(&["check"]);
    assert!(checked.stdout.contains("claims\n  ok  email in main.customer.email"), "{}", checked.whole());
    shop.ok(&["register", "900", "--region", "de"]);
    let de = shop.db("de/shop.db");
    de.execute("INSERT INTO domicile_signup(subject, epoch) VALUES (900, 1)", []).expect("the door");
    customer(&de, 900, Some("DE"));
    de.execute("UPDATE customer SET email = ' C1@Example.ORG ' WHERE id = 900", []).expect("an address");
    let us = shop.db("shop.db");
    us.execute("UPDATE customer SET email = 'no address' WHERE id = 2", []).expect("a text");
    us.execute("UPDATE customer SET email = '' WHERE id = 3", []).expect("none");
    us.execute("UPDATE customer SET email = NULL WHERE id = 4", []).expect("none");

    let first = shop.run(&["guard", "backfill", "--json"]);
    assert_eq!((first.code, claims(&first)), (3, [25, 0, 1, 1]), "{}", first.whole());
    let told = shop.run(&["guard", "backfill"]);
    assert!(told.stdout.contains("domicile guard backfill --list FILE"), "{}", told.whole());
    let named = shop.run(&["guard", "backfill", "--list", "found.txt"]);
    assert_eq!(named.code, 3, "{}", named.whole());
    assert_eq!(
        lines(&shop, "found.txt"),
        ["duplicate-email\tde\t900\t1", "owner-email\tus\t1\t1", "unclaimable-email\tus\t2"]
    );
    for ran in [&first, &told, &named] {
        assert!(!ran.whole().to_lowercase().contains("example.org"), "{}", ran.whole());
        assert!(!ran.whole().contains("900"), "{}", ran.whole());
    }
    let alone = shop.run(&["guard", "backfill", "--region", "de", "--list", "de.txt"]);
    assert!(alone.stdout.contains("1 claim with no owner in the list"), "{}", alone.whole());
    assert_eq!(lines(&shop, "de.txt"), ["duplicate-email\tde\t900\t1"]);
    // A list is never written over another file, and nothing is begun then.
    let there = shop.run(&["guard", "backfill", "--list", "found.txt"]);
    assert_eq!((there.code, there.stderr.contains("list-exists")), (2, true), "{}", there.whole());

    de.execute("UPDATE customer SET email = 'c900@example.org' WHERE id = 900", []).expect("an address");
    let mended = shop.ok(&["guard", "backfill", "--json"]);
    assert_eq!(claims(&mended), [1, 25, 0, 1]);
    let control = std::fs::read(shop.path("control.db")).expect("the control store");
    assert!(!control.windows(11).any(|w| w == b"example.org"), "the control store holds an address");
}

#[test]
fn a_column_that_is_not_there_is_said() {
    let shop = Shop::ready(1);
    let toml = shop.read("domicile.toml");
    for (column, fix) in [
        ("main.customer.emial", "did you mean email?"),
        ("main.custommer.email", "did you mean main.customer?"),
        ("main.employee.email", "is no mapped table"),
    ] {
        shop.write("domicile.toml", &format!("{toml}\n[[claim]]\nkind = \"email\"\ncolumn = \"{column}\"\n"));
        let checked = shop.run(&["check"]);
        let said = checked.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((checked.code, said.contains(fix)), (3, true), "{}", checked.whole());
        let filled = shop.run(&["guard", "backfill"]);
        assert_eq!((filled.code, filled.stderr.contains("claim-column")), (2, true), "{}", filled.whole());
    }
    for (kind, column, said) in [
        ("e-mail", "main.customer.email", "did you mean \"email\"?"),
        ("phone", "customer.email", "schema.table.column"),
    ] {
        shop.write(
            "domicile.toml",
            &format!("{toml}\n[[claim]]\nkind = \"{kind}\"\ncolumn = \"{column}\"\n"),
        );
        let ran = shop.run(&["check"]);
        assert_eq!((ran.code, ran.stderr.contains(said)), (2, true), "{}", ran.whole());
    }
}

/// On PostgreSQL, from a table below the root and from the root, with the control store on a server, too.
#[test]
fn claims_on_postgres() {
    let control = domicile_testbed::postgres::Cluster::start();
    control.sql("postgres", "CREATE DATABASE control");
    let servers = Servers::planned_with(1, Some(&control.url("postgres", "control")));
    let shop = &servers.shop;
    shop.append("domicile.toml", "\n[[claim]]\nkind = \"email\"\ncolumn = \"public.customer.email\"\n");
    shop.append(
        "domicile.toml",
        "\n[[claim]]\nkind = \"user-name\"\ncolumn = \"public.purchase.placed_on\"\n",
    );
    servers.us.sql("shop", "UPDATE customer SET email = upper(email) WHERE id < 5");
    let ran = shop.run(&["guard", "backfill", "--list", "found.txt", "--json"]);
    assert_eq!((ran.code, claims(&ran)), (3, [27, 0, 0, 0]), "{}", ran.whole());
    // All purchases were placed on one day: the first customer has it, the other 26 share it, twice each and counted once.
    let lines = lines(shop, "found.txt");
    assert_eq!(lines.iter().filter(|l| l.starts_with("duplicate-user-name\tus\t")).count(), 26);
    assert!(lines.iter().all(|l| l.ends_with("\t1")), "{lines:?}");
    assert_eq!(lines.iter().filter(|l| l.starts_with("owner-user-name\tus\t")).count(), 1);
}
