//! `region reconcile`: a region's file is restored from a backup of before its erase.

use crate::interrupted::once_begun;
use crate::shop::{Ran, Shop};
use std::process::Stdio;

const ALL: &str = "SELECT count(*) FROM customer";

fn back_up(shop: &Shop, file: &str, to: &str) {
    shop.db(file).execute("VACUUM INTO ?1", [shop.path(to).to_str()]).expect("a backup");
}

fn restore(shop: &Shop, backup: &str, file: &str) {
    for also in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(shop.path(&format!("{file}{also}")));
    }
    std::fs::copy(shop.path(backup), shop.path(file)).expect("restored");
}

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
    back_up(&shop, "shop.db", "backup.db");
    shop.ok(&["plan", "-o", "plan.json"]);
    let moved = shop.run(&["move", "plan.json"]);
    assert!([0, 3].contains(&moved.code), "{}", moved.whole());
    shop.ok(&["erase"]);
    let who = shop.number("de/shop.db", ALL);
    assert!(who > 1 && shop.number("shop.db", ALL) == all - who);
    restore(&shop, "backup.db", "shop.db");
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
    let found = shop.run(&["verify"]);
    assert_eq!((found.code, found.stdout.contains("no-guard at us")), (3, true), "{}", found.whole());
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

/// Everybody of Germany and France has moved, and their new home is restored from before that: it knows nobody. `verify`
/// says so, and so do `status` and `check`; the erase keeps the copies; and the way back that the documents tell brings
/// everybody home again.
#[test]
fn who_is_lost_is_found_and_brought_back() {
    let shop = Shop::ready(1);
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    back_up(&shop, "de/shop.db", "empty.db");
    shop.ok(&["plan", "-o", "plan.json"]);
    let moved = shop.run(&["move", "plan.json"]);
    assert!([0, 3].contains(&moved.code), "{}", moved.whole());
    let who = shop.number("de/shop.db", ALL);
    assert!(who > 1);
    let quiet = shop.run(&["status"]);
    assert!(!quiet.stdout.contains("nobody here"), "{}", quiet.whole());
    restore(&shop, "empty.db", "de/shop.db");

    let found = shop.run(&["verify", "--list", "found.txt"]);
    assert_eq!(found.code, 3, "{}", found.whole());
    let row = format!("de      {who:>5}  missing");
    assert!(found.stdout.contains(&row), "no `{row}` in {}", found.whole());
    assert!(found.stdout.contains("domicile region reconcile de"), "{}", found.whole());
    let listed = shop.read("found.txt");
    let lost: Vec<&str> = listed.lines().filter_map(|line| line.strip_prefix("missing\tde\t")).collect();
    assert_eq!(lost.len() as i64, who, "{listed}");
    let status = shop.ok(&["status"]);
    assert!(status.stdout.contains(&format!("{who} have nobody here")), "{}", status.whole());
    let check = shop.run(&["check"]);
    assert!(check.stdout.contains("domicile verify"), "{}", check.whole());
    let told = shop.run(&["region", "reconcile", "de", "--json"]);
    assert_eq!((told.code, json(&told)["lost"].as_i64()), (3, Some(who)), "{}", told.whole());

    let kept = shop.run(&["erase"]);
    assert_eq!((kept.code, kept.stderr.contains("code:  copies-kept")), (3, true), "{}", kept.whole());
    for said in ["region reconcile", "docs/operate.md"] {
        assert!(kept.stderr.contains(said), "no `{said}` in {}", kept.whole());
    }
    // The way that docs/operate.md tells: the home is theirs already, the rows are at the old one.
    let mut register = vec!["register", "--region", "de", "--json"];
    register.extend(&lost);
    let homes = json(&shop.ok(&register));
    let db = shop.db("de/shop.db");
    db.execute("ATTACH ?1 AS old", [shop.path("shop.db").to_str()]).expect("attached");
    for one in homes["subjects"].as_array().expect("subjects") {
        assert_eq!(one["outcome"], "already", "{homes}");
        let (id, epoch) = (one["subject"].as_str().expect("a key"), one["epoch"].as_i64().expect("an epoch"));
        let sql = format!(
            "BEGIN; INSERT INTO domicile_signup(subject, epoch) VALUES ({id}, {epoch}); \
             INSERT INTO main.customer SELECT * FROM old.customer WHERE id = {id}; \
             INSERT INTO main.purchase SELECT * FROM old.purchase WHERE customer_id = {id}; \
             INSERT INTO main.purchase_line SELECT l.* FROM old.purchase_line l \
             JOIN old.purchase p ON p.id = l.purchase_id WHERE p.customer_id = {id}; COMMIT"
        );
        db.execute_batch(&sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
    }
    drop(db);
    shop.consistent();
    shop.ok(&["erase"]);
    assert_eq!((shop.number("de/shop.db", ALL), shop.number("shop.db", ALL)), (who, 28 - who));
    shop.consistent();
}

/// A wave's source restored from before its erase: `verify` finds a second home for each, and names the command that shuts
/// them all.
#[test]
fn second_homes_name_the_command_for_many() {
    let shop = Shop::ready(1);
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    back_up(&shop, "shop.db", "backup.db");
    shop.ok(&["plan", "-o", "plan.json"]);
    shop.run(&["move", "plan.json"]);
    shop.ok(&["erase"]);
    restore(&shop, "backup.db", "shop.db");
    let found = shop.run(&["verify"]);
    assert_eq!(found.code, 3, "{}", found.whole());
    for said in
        ["second-home at us", "domicile region reconcile us", "domicile guard disown SUBJECT --region us"]
    {
        assert!(found.stdout.contains(said), "no `{said}` in {}", found.whole());
    }
    shop.run(&["region", "reconcile", "us", "--erase"]);
    shop.consistent();
}

/// The new home is restored from the middle of the wave, and the old copies are erased: what is there is all there is. It is
/// found, nobody can write it, and it is opened when that is said, and every other region could be asked.
#[test]
fn half_copies_are_opened_when_that_is_said() {
    let shop = Shop::ready(20);
    shop.append(
        "domicile.toml",
        "\n[limits]\ngrace = \"0s\"\nbatch_subjects = 20\nbatches_in_flight = 1\nrows_per_s = 200\n",
    );
    shop.ok(&["plan", "-o", "plan.json"]);
    let mut command = shop.command(&["move", "plan.json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut child = once_begun(child);
    let arriving = "SELECT count(*) FROM customer JOIN domicile_home ON subject = id WHERE state = 'a'";
    let began = std::time::Instant::now();
    // In one snapshot: whoever arrives now is at home a moment later.
    back_up(&shop, "de/shop.db", "middle.db");
    while shop.number("middle.db", arriving) == 0 {
        assert!(began.elapsed().as_secs() < 120, "nobody arrives");
        std::fs::remove_file(shop.path("middle.db")).expect("the last one");
        back_up(&shop, "de/shop.db", "middle.db");
    }
    let half = shop.number("middle.db", arriving);
    child.kill().expect("killed");
    child.wait().expect("ended");
    shop.edit("domicile.toml", "rows_per_s = 200\n", "");
    shop.ok(&["resume"]);
    shop.ok(&["erase"]);
    restore(&shop, "middle.db", "de/shop.db");

    let found = shop.run(&["verify"]);
    assert_eq!((found.code, found.stdout.contains("not-home at de")), (3, true), "{}", found.whole());
    let told = shop.run(&["region", "reconcile", "de", "--erase", "--json"]);
    assert_eq!((told.code, json(&told)["half_last"].as_i64()), (3, Some(half)), "{}", told.whole());
    let said = shop.run(&["region", "reconcile", "de"]);
    assert!(said.stdout.contains("domicile region reconcile de --open"), "{}", said.whole());
    let write = "UPDATE customer SET name = 'x' WHERE id = (SELECT min(subject) FROM domicile_home WHERE state = 'a')";
    let refused = shop.db("de/shop.db").execute(write, []).expect_err("nobody can write").to_string();
    assert!(refused.contains("RS001"), "{refused}");

    let mumbai =
        "\n[[region]]\nid = \"mumbai\"\ncountry = \"IN\"\nrecords = \"postgres://nobody@127.0.0.1:1/shop\"\n";
    shop.append("domicile.toml", mumbai);
    let blind = shop.run(&["region", "reconcile", "de", "--open"]);
    assert!(blind.code == 1 && blind.stderr.contains("region mumbai can't be reached"), "{}", blind.whole());
    shop.edit("domicile.toml", mumbai, "");

    let opened = shop.run(&["region", "reconcile", "de", "--open", "--json"]);
    assert_eq!(json(&opened)["half_opened"].as_i64(), Some(half), "{}", opened.whole());
    assert_eq!(shop.number("de/shop.db", arriving), 0);
    let id = shop.number("de/shop.db", "SELECT min(id) FROM customer");
    let write = format!("UPDATE customer SET name = 'x' WHERE id = {id}");
    assert_eq!(shop.db("de/shop.db").execute(&write, []), Ok(1));
}
