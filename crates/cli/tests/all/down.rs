//! Regions that don't answer: only what needs them stops, and nobody says that all is well.

use crate::shop::{Ran, Shop};
use serde_json::Value;
use std::fs;

/// Three regions: `us` and `de` in use, `mumbai` where Indian customers would go.
fn three() -> Shop {
    let shop = Shop::ready(1);
    shop.append(
        "domicile.toml",
        "\n[[region]]\nid = \"mumbai\"\ncountry = \"IN\"\nrecords = \"sqlite:mumbai/shop.db\"\n",
    );
    shop.append(
        "policies/starter.cedar",
        "\n@id(\"india\")\n@law(\"a law\")\n@reason(\"Indian customers live in India\")\npermit (principal, action, resource)\nwhen { principal.residence == \"IN\" && resource.country == \"IN\" };\n",
    );
    shop.ok(&["region", "prepare", "mumbai"]);
    for step in ["install", "backfill", "enforce"] {
        shop.ok(&["guard", step]);
    }
    shop
}

/// A port that nobody listens on, in the place of a region's database.
fn closed_port(shop: &Shop, region: &str) {
    shop.edit("domicile.toml", &format!("sqlite:{region}/shop.db"), "postgres://nobody@127.0.0.1:1/shop");
}

/// A folder in the place of a region's file; what puts the file back.
fn folder_instead(shop: &Shop, region: &str) -> impl FnOnce() + use<> {
    let (file, aside) = (shop.path(&format!("{region}/shop.db")), shop.path(&format!("{region}/aside")));
    fs::rename(&file, &aside).expect("moved aside");
    fs::create_dir(&file).expect("a folder");
    move || {
        fs::remove_dir(&file).expect("the folder is empty");
        fs::rename(&aside, &file).expect("moved back");
    }
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}\n{}", ran.whole()))
}

fn says(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.whole());
    let flat = ran.whole().split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(flat.contains(word), "`{word}` is not in\n{}", ran.whole());
    }
}

#[test]
fn a_wave_needs_its_two_regions_and_no_other() {
    let shop = three();
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    shop.ok(&["plan", "-o", "plan.json", "--from", "us"]);
    // The plan has a move to each: one of them is carried out while the third region is down.
    let whole: Value = serde_json::from_str(&shop.read("plan.json")).expect("the plan");
    assert_eq!(whole["moves"].as_array().map(Vec::len), Some(2), "{whole:#}");
    fs::remove_file(shop.path("plan.json")).expect("the plan");
    closed_port(&shop, "mumbai");
    let planned = shop.ok(&["plan", "-o", "plan.json", "--from", "us"]);
    says(&planned, 0, &["us -> mumbai: refused for now", "mumbai can't be reached", "us -> de"]);
    says(&shop.ok(&["move", "--first", "4", "plan.json"]), 0, &["subjects moved 4"]);
    shop.ok(&["move", "plan.json"]);
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM customer"), 13);
    shop.ok(&["erase", "w1"]);
    assert_eq!(shop.number("shop.db", "SELECT count(*) FROM customer WHERE country = 'Germany'"), 0);
    shop.ok(&["receipt", "verify", "receipts/w1.receipts"]);
    shop.ok(&["receipt", "extract", "13", "-o", "13.receipt"]);
}

#[test]
fn a_plan_names_the_regions_it_could_not_read() {
    let shop = three();
    closed_port(&shop, "mumbai");
    let all = shop.run(&["plan"]);
    says(&all, 1, &["not read: mumbai", "Whoever lives there is not part of this plan", "us -> de"]);
    assert!(json(&shop.run(&["plan", "--json"]))["plan"]["unread"]["mumbai"].is_string());
    // Asked for by its name it must answer.
    says(
        &shop.run(&["plan", "--from", "mumbai"]),
        1,
        &["region mumbai can't be reached", "store-unreachable"],
    );
}

#[test]
fn status_and_verify_go_on_with_the_others() {
    let shop = three();
    shop.ok(&["plan", "-o", "plan.json"]);
    shop.ok(&["move", "plan.json"]);
    let back = folder_instead(&shop, "de");
    let status = shop.run(&["status"]);
    says(&status, 1, &["de unreachable 13 ? ? ? ? ? ?", "de: can't be reached", "us enforce"]);
    let all = json(&shop.run(&["status", "--json"]));
    let de = all["regions"].as_array().expect("regions").iter().find(|r| r["region"] == "de").expect("de");
    assert!(de["unreachable"].is_string() && de["homes"] == 13 && de["guard"].is_null(), "{de:#}");
    let verify = shop.run(&["verify"]);
    says(&verify, 3, &["not looked at: de can't be reached", "policy"]);
    assert!(!verify.stdout.contains("no row outside"), "{}", verify.whole());
    assert!(json(&shop.run(&["verify", "--json"]))["not_looked_at"]["de"].is_string());
    // Nothing is wrong where it can be looked at, and still that is not the answer yes.
    let policies = shop.read("policies/starter.cedar");
    shop.db("shop.db")
        .execute_batch("UPDATE customer SET country = 'USA' WHERE country IS NULL")
        .expect("updated");
    shop.append(
        "policies/starter.cedar",
        "\n@id(\"all\")\n@law(\"x\")\n@reason(\"y\")\npermit (principal, action, resource);\n",
    );
    let quiet = shop.run(&["verify"]);
    says(&quiet, 1, &["Nothing is wrong where it could be looked at. That says nothing of de"]);
    shop.write("policies/starter.cedar", &policies);
    says(&shop.run(&["locate", "13"]), 0, &["home de", "de unreachable ? ? ?", "us away"]);
    let guard = shop.run(&["guard", "status"]);
    says(&guard, 1, &["de unreachable", "de can't be reached", "us enforce"]);
    says(&shop.run(&["erase", "w1"]), 1, &["region de can't be reached", "nothing was changed"]);
    back();
    shop.ok(&["status"]);
}

#[test]
fn a_file_that_is_gone_is_no_new_region() {
    let shop = three();
    shop.ok(&["plan", "-o", "plan.json"]);
    shop.ok(&["move", "plan.json"]);
    fs::remove_file(shop.path("de/shop.db")).expect("the file");
    for side in ["-wal", "-shm"] {
        let _ = fs::remove_file(shop.path(&format!("de/shop.db{side}")));
    }
    says(&shop.run(&["status"]), 1, &["de unreachable", "does not exist, and it is the home of 13 subjects"]);
    says(&shop.run(&["plan"]), 1, &["not read: de can't be reached", "does not exist"]);
    assert!(!shop.path("de/shop.db").exists(), "nobody made an empty one in its place");
}

#[test]
fn a_command_that_needs_the_region_says_so() {
    let shop = three();
    shop.ok(&["plan", "-o", "plan.json", "--from", "us"]);
    let back = folder_instead(&shop, "de");
    let moved = shop.run(&["move", "plan.json"]);
    says(&moved, 1, &["what: region de can't be reached", "nothing was changed", "store-unreachable"]);
    says(&shop.run(&["guard", "install", "--region", "us"]), 0, &["us"]);
    says(&shop.run(&["guard", "install"]), 1, &["region de can't be reached"]);
    back();
    shop.ok(&["move", "plan.json"]);
    let back = folder_instead(&shop, "mumbai");
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n");
    // One of two waves can be erased; the other waits, and is named.
    let erased = shop.run(&["erase"]);
    says(&erased, 1, &["erased at us", "not erased: region mumbai can't be reached", "domicile erase w"]);
    back();
    shop.ok(&["erase"]);
    shop.consistent();
}
