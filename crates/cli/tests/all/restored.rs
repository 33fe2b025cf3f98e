//! `region reconcile`: a region's file is restored from a backup of before its erase.

use crate::shop::{Ran, Shop};

const ALL: &str = "SELECT count(*) FROM customer";

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}\n{}", ran.whole()))
}

#[test]
fn what_a_backup_brings_back_is_shut_and_erased() {
    let shop = Shop::ready(2);
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    let clean = shop.ok(&["region", "reconcile", "us"]);
    assert!(clean.stdout.contains("nothing came back"), "{}", clean.whole());
    let all = shop.number("shop.db", ALL);
    let id = shop.number("shop.db", "SELECT min(id) FROM customer WHERE country = 'Germany'");
    shop.db("shop.db").execute("VACUUM INTO ?1", [shop.path("backup.db").to_str()]).expect("a backup");
    shop.ok(&["plan", "-o", "plan.json"]);
    let moved = shop.run(&["move", "plan.json"]);
    assert!([0, 3].contains(&moved.code), "{}", moved.whole());
    shop.ok(&["erase"]);
    let who = shop.number("de/shop.db", ALL);
    assert!(who > 1 && shop.number("shop.db", ALL) == all - who);
    for also in ["shop.db-wal", "shop.db-shm"] {
        let _ = std::fs::remove_file(shop.path(also));
    }
    std::fs::copy(shop.path("backup.db"), shop.path("shop.db")).expect("restored");
    let write = format!("UPDATE customer SET name = 'x' WHERE id = {id}");
    assert_eq!(shop.db("shop.db").execute(&write, []), Ok(1), "the revived copy takes writes");

    let found = shop.run(&["region", "reconcile", "us"]);
    assert_eq!(found.code, 3, "{}", found.whole());
    let said = format!("{who} subjects came back to us and live elsewhere; shut here (RS001)");
    assert!(found.stdout.contains(&said), "{}", found.whole());
    assert!(found.stdout.contains("main.purchase_line"), "{}", found.whole());
    assert!(found.stdout.contains("domicile region reconcile us --erase"), "{}", found.whole());
    assert!(!found.whole().contains("customer 1"), "nobody is named");
    let refused = shop.db("shop.db").execute(&write, []).expect_err("shut");
    assert!(refused.to_string().contains("RS001"), "{refused}");
    let again = shop.run(&["region", "reconcile", "us", "--json"]);
    assert_eq!((again.code, json(&again)["came_back"].as_i64()), (3, Some(who)), "{}", again.whole());

    let erased = shop.ok(&["region", "reconcile", "us", "--erase", "--json"]);
    assert_eq!(json(&erased)["erased"]["subjects"].as_i64(), Some(who), "{}", erased.whole());
    assert_eq!((shop.number("shop.db", ALL), shop.number("de/shop.db", ALL)), (all - who, who));
    shop.ok(&["region", "reconcile", "us"]);
    shop.consistent();

    let nowhere = shop.run(&["region", "reconcile", "mars"]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.whole());
}

#[test]
fn a_backup_of_before_the_guard_is_told_the_way() {
    let shop = Shop::ready(1);
    shop.ok(&["guard", "remove", "--region", "us"]);
    let refused = shop.run(&["region", "reconcile", "us", "--erase"]);
    assert_eq!(refused.code, 3, "{}", refused.whole());
    for said in
        ["code:  guard-absent", "domicile guard install --region us", "domicile guard enforce --region us"]
    {
        assert!(refused.stderr.contains(said), "no `{said}` in {}", refused.whole());
    }
    // The way that it tells.
    shop.ok(&["guard", "install", "--region", "us"]);
    shop.ok(&["guard", "backfill", "--region", "us"]);
    let observes = shop.run(&["region", "reconcile", "us"]);
    assert_eq!((observes.code, observes.stdout.contains("only observes")), (3, true), "{}", observes.whole());
    shop.ok(&["guard", "enforce", "--region", "us"]);
    shop.ok(&["region", "reconcile", "us"]);
}
