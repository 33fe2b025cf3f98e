//! The whole way, as the guide walks it: from `init` to a verified receipt, every screen pinned.

use crate::shop::Shop;
use insta::assert_snapshot;
use serde_json::Value;

#[test]
fn the_first_words() {
    let shop = Shop::bare(0);
    assert_snapshot!("welcome", shop.ok(&[]).whole());
    assert_snapshot!("help", shop.ok(&["--help"]).whole());
    assert_snapshot!("help_move", shop.ok(&["move", "--help"]).whole());
    assert!(shop.ok(&["completions", "bash"]).stdout.contains("domicile"));
    assert!(shop.ok(&["guide"]).stdout.starts_with("# Move your own database"));
    assert!(shop.ok(&["man"]).stdout.contains(".TH"));
    shop.ok(&["man", "pages"]);
    assert!(shop.path("pages/domicile.1").exists() && shop.path("pages/domicile-guard-install.1").exists());
}

#[test]
fn from_init_to_receipts() {
    let shop = Shop::bare(1);
    let init = shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    assert_snapshot!("walk_01_init", init.whole());
    assert_snapshot!("walk_02_questions", shop.run(&["answer"]).whole());
    assert_snapshot!("walk_03_check_unanswered", shop.run(&["check"]).whole());
    shop.answer_all();
    assert_snapshot!("walk_04_check_no_guard", shop.run(&["check"]).whole());
    assert_snapshot!("walk_05_guard_install", shop.ok(&["guard", "install"]).whole());
    // The application goes on; what the guard would refuse is counted.
    crate::shop::customer(&shop.db("shop.db"), 1000, Some("USA"));
    assert_snapshot!("walk_06_guard_status", shop.ok(&["guard", "status"]).whole());
    assert_snapshot!("walk_07_backfill", shop.ok(&["guard", "backfill"]).whole());
    assert_snapshot!("walk_08_enforce", shop.ok(&["guard", "enforce"]).whole());
    shop.add_germany();
    assert_snapshot!("walk_09_prepare", shop.ok(&["region", "prepare", "de"]).whole());
    assert_snapshot!("walk_10_prepare_again", shop.ok(&["region", "prepare", "de"]).whole());
    for step in ["install", "backfill", "enforce"] {
        shop.ok(&["guard", step, "--region", "de"]);
    }
    assert_snapshot!("walk_11_check_ready", shop.ok(&["check"]).whole());
    assert_snapshot!("walk_12_policy_check", shop.ok(&["policy", "check"]).whole());
    assert_snapshot!("walk_13_explain", shop.ok(&["policy", "explain", "--country", "FR"]).whole());
    assert_snapshot!(
        "walk_14_explain_region",
        shop.ok(&["policy", "explain", "--country", "FR", "de"]).whole()
    );
    assert_snapshot!("walk_15_explain_nowhere", shop.run(&["policy", "explain", "--country", "IN"]).whole());
    assert_snapshot!("walk_16_plan", shop.ok(&["plan", "-o", "plan.json"]).whole());
    assert_snapshot!("walk_17_rehearse", shop.ok(&["move", "--rehearse", "plan.json"]).whole());
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM customer"), 0);
    assert_snapshot!("walk_18_move", shop.ok(&["move", "plan.json"]).whole());
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM purchase_line"), 13 * 4);
    assert_snapshot!("walk_19_status", shop.ok(&["status"]).whole());
    assert_snapshot!("walk_20_verify", shop.run(&["verify"]).whole());
    assert_snapshot!("walk_21_locate", shop.ok(&["locate", "13"]).whole());
    assert_snapshot!("walk_22_erase_too_early", shop.run(&["erase"]).whole());
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    assert_snapshot!("walk_23_erase", shop.ok(&["erase"]).whole());
    assert_eq!(shop.number("shop.db", "SELECT count(*) FROM customer WHERE country IN ('Germany', 'FR')"), 0);
    assert_snapshot!("walk_24_status_after", shop.ok(&["status"]).whole());
    shop.consistent();
    assert_snapshot!("walk_25_plan_after", shop.ok(&["plan"]).whole());
    let file = "receipts/w1.receipts".to_owned();
    assert_snapshot!("walk_26_receipt", shop.ok(&["receipt", "verify", &file]).whole());
    assert_snapshot!("walk_27_extract", shop.ok(&["receipt", "extract", "13", "-o", "13.receipt"]).whole());
    let single = ["receipt", "verify", "13.receipt", "--keys", "keys/us.pub", "keys/de.pub"];
    assert_snapshot!("walk_28_single", shop.ok(&single).whole());
}

#[test]
fn every_answer_has_a_json_form() {
    let shop = Shop::ready(1);
    shop.ok(&["plan", "-o", "plan.json"]);
    for args in [
        &["check"][..],
        &["status"],
        &["plan"],
        &["verify"],
        &["locate", "13"],
        &["guard", "status"],
        &["guard", "grants"],
        &["policy", "check"],
        &["policy", "explain", "13", "de"],
        &["region", "sync-reference"],
        &["answer"],
        &["move", "plan.json"],
    ] {
        let ran = shop.run(&[args, &["--json"]].concat());
        assert!([0, 3].contains(&ran.code), "{args:?}\n{}", ran.whole());
        let json: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}\n{}", ran.stdout));
        assert_eq!(json["format"], 1, "{args:?}");
    }
    let failed = shop.run(&["locate", "99999", "--json"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (3, ""));
    let json: Value = serde_json::from_str(&failed.stderr).expect("JSON on stderr");
    assert_eq!((&json["format"], &json["error"]["code"]), (&Value::from(1), &Value::from("subject-unknown")));
}

#[test]
fn quiet_leaves_only_the_answer() {
    let shop = Shop::ready(1);
    shop.ok(&["plan", "-o", "plan.json", "--quiet"]);
    let ran = shop.ok(&["move", "plan.json", "--quiet"]);
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.contains("subjects moved"));
}

#[test]
fn some_first_then_the_rest() {
    let shop = Shop::ready(1);
    shop.ok(&["plan", "-o", "plan.json"]);
    assert_snapshot!("first", shop.ok(&["move", "--first", "5", "plan.json"]).whole());
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM customer"), 5);
    shop.ok(&["move", "plan.json"]);
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM customer"), 13);
    shop.consistent();
}

#[test]
fn the_guard_refuses_with_the_rule() {
    let shop = Shop::ready(1);
    let db = shop.db("shop.db");
    let refused = db.execute("INSERT INTO customer VALUES (5000, 'x', 'x@example.org', 'India', 1)", []);
    let said = refused.expect_err("an Indian customer may not be stored in the US").to_string();
    assert!(said.contains("RS00"), "{said}");
}

#[test]
fn removing_the_guard_leaves_nothing() {
    let shop = Shop::ready(1);
    assert_snapshot!("guard_remove", shop.ok(&["guard", "remove"]).whole());
    let ours = "SELECT count(*) FROM sqlite_master WHERE name LIKE '%domicile%'";
    assert_eq!(shop.number("shop.db", ours), 0);
    crate::shop::customer(&shop.db("shop.db"), 5000, Some("India"));
}
