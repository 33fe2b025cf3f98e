//! Subjects whose keys are odd: none of them may jam its wave, or keep others from being erased.

use crate::shop::Shop;

const SCHEMA: &str = "
CREATE TABLE tenant (id TEXT PRIMARY KEY NOT NULL, country TEXT);
CREATE TABLE paper (id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant (id), body TEXT);
";

fn odd_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "", " ", "  ", "\n", "a\nb", "\u{1}", "\u{7f}", "\u{2028}", "'", "\"", "\\", "%", "--", "-5", "-x9",
        "[]", "null", "7", "07", "7.0", "+7", "1e3", "é", "e\u{301}", "A", "a",
    ]
    .map(str::to_owned)
    .into();
    ids.push("x".repeat(1 << 20));
    ids.push("\u{1}".repeat(100_000));
    ids
}

fn shop() -> Shop {
    let shop = Shop::empty();
    let db = shop.db("shop.db");
    db.execute_batch(SCHEMA).expect("the schema");
    for (at, id) in odd_ids().iter().enumerate() {
        db.execute("INSERT INTO tenant VALUES (?1, 'Germany')", [id]).expect("a tenant");
        db.execute("INSERT INTO paper VALUES (?1, ?2, 'text')", rusqlite::params![at as i64, id])
            .expect("a paper");
    }
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    shop.ok(&["answer", "stores", "none"]);
    shop.add_germany();
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    shop.ok(&["guard", "install"]);
    shop.ok(&["region", "prepare", "de"]);
    for step in ["install", "backfill", "enforce"] {
        shop.ok(&["guard", step]);
    }
    shop
}

#[test]
fn every_key_moves_is_erased_and_has_a_receipt() {
    let (shop, many) = (shop(), odd_ids().len() as i64);
    shop.ok(&["plan", "-o", "plan.json"]);
    shop.ok(&["move", "plan.json"]);
    shop.ok(&["erase"]);
    assert_eq!(
        shop.number("shop.db", "SELECT (SELECT count(*) FROM tenant) + (SELECT count(*) FROM paper)"),
        0
    );
    assert_eq!(
        shop.number("de/shop.db", "SELECT count(*) FROM tenant JOIN paper ON tenant_id = tenant.id"),
        many
    );
    // What a command line can carry.
    for id in odd_ids().iter().filter(|id| id.len() < 100_000) {
        // `--` alone is that sign itself; any other id needs none before it.
        let typed = if id == "--" { vec!["--", id] } else { vec![id.as_str()] };
        let extracted = shop.ok(&[&["receipt", "extract", "-o", "one.receipt"], &typed[..]].concat());
        assert!(extracted.stdout.contains("verifies by itself"), "{}", extracted.whole());
        std::fs::remove_file(shop.path("one.receipt")).expect("removed");
        assert!(shop.ok(&[&["locate"], &typed[..]].concat()).stdout.contains("de"), "{id:?}");
    }
}
