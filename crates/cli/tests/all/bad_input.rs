//! Databases, maps and plans that are not as they must be: each message whole, and nothing lost.

use crate::shop::{Ran, Shop};
use insta::assert_snapshot;

/// Everybody is where they were before.
fn nothing_moved(shop: &Shop) {
    assert_eq!(shop.number("shop.db", "SELECT count(*) FROM customer"), 28);
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM customer"), 0);
    shop.consistent();
}

/// A ready shop with a plan.
fn planned() -> Shop {
    let shop = Shop::ready(1);
    shop.ok(&["plan", "-o", "plan.json"]);
    shop
}

fn refused(ran: &Ran, code: &str) -> String {
    assert!(ran.stderr.contains(&format!("code:  {code}\n")), "{}", ran.whole());
    ran.whole()
}

#[test]
fn a_question_without_an_answer() {
    let shop = Shop::bare(1);
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    shop.ok(&["answer", "stores", "none"]);
    assert_snapshot!("map_unanswered", refused(&shop.run(&["plan"]), "map-question-unanswered"));
    assert_snapshot!("map_wrong_answer", shop.run(&["answer", "personal:main.employee", "perhaps"]).whole());
    assert_snapshot!("map_no_question", shop.run(&["answer", "colour", "blue"]).whole());
}

#[test]
fn a_map_that_can_not_be_read() {
    let shop = Shop::bare(1);
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    shop.append("datamap.toml", "\ncolour = \"blue\"\n");
    assert_snapshot!("map_unreadable", refused(&shop.run(&["plan"]), "map-unreadable"));
}

#[test]
fn a_table_that_is_gone() {
    let shop = planned();
    for db in ["shop.db", "de/shop.db"] {
        shop.db(db).execute_batch("DROP TABLE purchase_line").expect("dropped");
    }
    let ran = shop.run(&["move", "plan.json"]);
    assert_eq!(ran.code, 3, "{}", ran.whole());
    assert_snapshot!("map_table_gone", ran.whole());
}

#[test]
fn a_region_without_tables() {
    let shop = Shop::bare(1);
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    shop.answer_all();
    shop.add_germany();
    shop.ok(&["guard", "install"]);
    assert_snapshot!("region_unprepared", refused(&shop.run(&["plan"]), "region-unprepared"));
    assert_snapshot!("region_unknown", refused(&shop.run(&["region", "prepare", "ed"]), "region-unknown"));
}

#[test]
fn a_region_with_another_schema() {
    let shop = planned();
    shop.db("de/shop.db").execute_batch("ALTER TABLE product ADD COLUMN weight INTEGER").expect("altered");
    shop.db("shop.db").execute_batch("ALTER TABLE customer ADD COLUMN nickname TEXT").expect("altered");
    assert_snapshot!("schema_differs_prepare", shop.run(&["region", "prepare", "de"]).whole());
    let moved = shop.run(&["move", "plan.json"]);
    assert_eq!(moved.code, 3, "{}", moved.whole());
    assert_snapshot!("schema_differs_move", moved.whole());
}

#[test]
fn no_move_before_enforce() {
    let shop = Shop::bare(1);
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    shop.answer_all();
    shop.add_germany();
    shop.ok(&["region", "prepare", "de"]);
    shop.ok(&["guard", "install"]);
    assert_snapshot!("enforce_unhomed", refused(&shop.run(&["guard", "enforce"]), "guard-unhomed"));
    shop.ok(&["guard", "backfill"]);
    shop.ok(&["plan", "-o", "plan.json"]);
    assert_snapshot!("preflight", refused(&shop.run(&["move", "plan.json"]), "preflight"));
    nothing_moved(&shop);
}

#[test]
fn a_subject_without_a_country() {
    let shop = planned();
    let plan = shop.ok(&["plan"]);
    assert!(plan.stdout.contains("no known country"), "{}", plan.stdout);
    assert!(plan.stdout.contains("at us: IN (2)"), "{}", plan.stdout);
}

#[test]
fn a_plan_that_is_stale() {
    let shop = planned();
    shop.edit("policies/starter.cedar", "@law(\"GDPR (EU) 2016/679 art. 1(3)\")", "@law(\"another law\")");
    let ran = shop.run(&["move", "plan.json"]);
    assert_eq!(ran.code, 3);
    assert_snapshot!("plan_stale", refused(&ran, "plan-stale"));
    nothing_moved(&shop);
}

#[test]
fn a_plan_that_is_none() {
    let shop = planned();
    assert_snapshot!("plan_exists", refused(&shop.run(&["plan", "-o", "plan.json"]), "plan-exists"));
    assert_snapshot!("plan_missing", refused(&shop.run(&["move", "nothing.json"]), "file-missing"));
    shop.edit("plan.json", "\"format\"", "\"formatt\"");
    let edited = shop.run(&["move", "plan.json"]);
    assert_eq!(edited.code, 2);
    assert_snapshot!("plan_unreadable", refused(&edited, "plan-unreadable"));
    nothing_moved(&shop);
}

#[test]
fn a_unique_value_that_is_taken_at_the_target() {
    let shop = planned();
    // At home in Germany already, with the address of somebody who is to come.
    let shared = "UPDATE customer SET email = 'taken@example.org' WHERE id = 13";
    shop.db("shop.db").execute_batch(shared).expect("updated");
    shop.ok(&["move", "--first", "1", "plan.json"]);
    let again = "UPDATE customer SET email = 'taken@example.org' WHERE id = 14";
    shop.db("shop.db").execute_batch(again).expect_err("taken here, too, until it is erased");
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    shop.db("de/shop.db")
        .execute_batch("UPDATE customer SET email = 'c14@example.org' WHERE id = 13")
        .expect("updated");
    let ran = shop.run(&["move", "plan.json"]);
    assert_eq!(ran.code, 3, "{}", ran.whole());
    assert_snapshot!("unique_taken", ran.whole());
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM customer"), 12);
    shop.consistent();
}

#[test]
fn a_wave_that_is_not_there() {
    let shop = planned();
    for command in ["resume", "abort", "pause", "erase", "verify"] {
        let ran = shop.run(&[command, "w99"]);
        assert_eq!(ran.code, 2, "{}", ran.whole());
        refused(&ran, "wave-unknown");
    }
    assert_snapshot!("wave_unknown", shop.run(&["resume", "w99"]).stderr);
    assert_snapshot!("resume_nothing", shop.ok(&["resume"]).whole());
    shop.ok(&["move", "plan.json"]);
    assert_snapshot!("abort_too_late", refused(&shop.run(&["abort", "w1"]), "wave-state"));
    assert_snapshot!("erase_in_grace", refused(&shop.run(&["erase", "w1"]), "grace"));
}

#[test]
fn a_row_that_got_past_the_guard() {
    let shop = planned();
    shop.ok(&["move", "plan.json"]);
    // Who may write the file may do everything: a copy of a moved subject comes back by a restore.
    let db = shop.db("de/shop.db");
    let triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'purchase'";
    let names: Vec<String> = {
        let mut statement = db.prepare(triggers).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("names");
        rows.map(|r| r.expect("a name")).collect()
    };
    for name in names {
        db.execute_batch(&format!("DROP TRIGGER \"{name}\"")).expect("dropped");
    }
    db.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO purchase VALUES (9001, 1, '2014-10-01')")
        .expect("a stray row");
    let ran = shop.run(&["verify"]);
    assert_eq!(ran.code, 3, "{}", ran.whole());
    assert_snapshot!("verify_outside", ran.whole());
    let status = shop.run(&["guard", "status"]);
    assert_eq!(status.code, 3, "{}", status.whole());
    assert_snapshot!("guard_fault", status.whole());
}
