//! `audit residual`: what an erase left is found, and the receipts tell it.

use crate::shop::Shop;
use insta::assert_snapshot;
use serde_json::Value;

const AUDIT: &str = "\n[audit]\nidentifiers = [{ kind = \"email\", column = \"main.customer.email\" }]\n";

/// Wave w1 moved 13 customers from `us` to `de`.
fn moved() -> Shop {
    let shop = Shop::ready(1);
    shop.append("domicile.toml", AUDIT);
    shop.ok(&["plan", "-o", "plan.json"]);
    shop.ok(&["move", "plan.json"]);
    shop
}

fn erased() -> Shop {
    let shop = moved();
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    shop.ok(&["erase"]);
    shop
}

const RESIDUAL: [&str; 6] = ["audit", "residual", "--region", "us", "--wave", "w1"];

#[test]
fn nothing_is_left_where_nothing_was_left() {
    let shop = erased();
    let before = shop.ok(&["receipt", "verify", "receipts/w1.receipts"]).stdout;
    assert!(!before.contains("residue search"));
    let ran = shop.run(&RESIDUAL);
    assert_eq!(ran.code, 0, "{}", ran.whole());
    assert!(
        ran.stdout.contains("13 identifiers: 13 e-mail") && ran.stdout.contains("domicile receipt verify"),
        "{}",
        ran.whole()
    );
    let after = shop.ok(&["receipt", "verify", "receipts/w1.receipts"]).stdout;
    assert!(after.contains("residue search") && after.contains("nothing found"), "{after}");
    // One subject's receipt has it, too, and still verifies by itself.
    shop.ok(&["receipt", "extract", "13", "-o", "13.receipt"]);
    let single = shop.ok(&["receipt", "verify", "13.receipt", "--keys", "keys/us.pub", "keys/de.pub"]).stdout;
    assert!(single.contains("residue search"), "{single}");
}

#[test]
fn what_was_left_in_an_unmapped_table_and_a_file_is_told_by_the_receipts() {
    let shop = erased();
    let db = shop.db("shop.db");
    db.execute_batch(
        "CREATE TABLE old_export (line TEXT); INSERT INTO old_export VALUES ('7;c13@example.org;x')",
    )
    .expect("a leftover");
    shop.write("access.log", "GET /?mail=c14%40example.org 200\n");
    let ran = shop.run(&[&RESIDUAL[..], &["--also", "access.log"]].concat());
    assert_eq!(ran.code, 3, "{}", ran.whole());
    assert!(
        ran.stdout.contains("table old_export > column line") && ran.stdout.contains("access.log"),
        "{}",
        ran.whole()
    );
    let told = shop.ok(&["receipt", "verify", "receipts/w1.receipts"]).stdout;
    let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("FOUND 2 traces (file: 1, table: 1)"), "{told}");
    assert!(flat.contains("that nothing of the subjects is left at the source: the search of"), "{told}");
    for text in [&told, &ran.whole(), &shop.read("receipts/w1.receipts")] {
        assert!(!text.contains("c13@") && !text.contains("c14@") && !text.contains("c14%40"), "{text}");
    }
    // Mended, and searched again: the latest search counts.
    db.execute_batch("DROP TABLE old_export").expect("mended");
    let again = shop.run(&[&RESIDUAL[..], &["--json"]].concat());
    assert_eq!(again.code, 0, "{}", again.whole());
    let json: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(
        (&json["subjects"]["looked_for"], &json["subjects"]["not_there"]),
        (&Value::from(13), &Value::from(0))
    );
    let told = shop.ok(&["receipt", "verify", "receipts/w1.receipts"]).stdout;
    assert!(!told.contains("is left at the source: the search"), "{told}");
    assert_eq!(told.matches("residue search").count(), 1, "two under one label: {told}");
}

#[test]
fn who_moved_on_is_counted() {
    let shop = erased();
    let de = shop.db("de/shop.db");
    for table in [
        "purchase_line WHERE purchase_id IN (26, 27)",
        "purchase WHERE customer_id = 13",
        "customer WHERE id = 13",
    ] {
        de.execute(&format!("DELETE FROM {table}"), []).expect("a customer leaves");
    }
    let ran = shop.run(&RESIDUAL);
    assert_eq!(ran.code, 0, "{}", ran.whole());
    assert!(
        ran.stdout.contains("12 identifiers") && ran.stdout.contains("1 subject had moved on"),
        "{}",
        ran.whole()
    );
    let told = shop.ok(&["receipt", "verify", "receipts/w1.receipts"]).stdout;
    let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("that nothing is left of 1 subject(s) that had moved on or were deleted"),
        "{told}"
    );
}

#[test]
fn what_it_refuses() {
    let shop = moved();
    assert_snapshot!("residual_not_erased", shop.run(&RESIDUAL).whole());
    assert_snapshot!(
        "residual_region",
        shop.run(&["audit", "residual", "--region", "de", "--wave", "w1"]).whole()
    );
    assert_snapshot!("residual_wave", shop.run(&["audit", "residual", "--wave", "w9"]).whole());
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    shop.ok(&["erase"]);
    shop.edit("domicile.toml", AUDIT, "\n");
    assert_snapshot!("residual_columns", shop.run(&RESIDUAL).whole());
    shop.append("domicile.toml", AUDIT);
    shop.append("receipts/w1.receipts", "x\n");
    let ran = shop.run(&RESIDUAL);
    assert!(ran.code == 3 && ran.stderr.contains("receipt-wrong"), "{}", ran.whole());
}
