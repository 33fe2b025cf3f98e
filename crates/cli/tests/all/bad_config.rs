//! Configurations, policies and command lines that can't be used: each message whole.

use crate::shop::Shop;
use insta::assert_snapshot;
use std::os::unix::fs::PermissionsExt;

/// A shop with the configuration `init` writes, and a second region.
fn configured() -> Shop {
    let shop = Shop::bare(1);
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    shop.answer_all();
    shop.add_germany();
    shop
}

/// Runs `check` with the file so changed and wants exit code 2.
fn refused(change: impl Fn(&Shop)) -> String {
    let shop = configured();
    change(&shop);
    let ran = shop.run(&["check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.whole());
    ran.stderr
}

#[test]
fn a_missing_configuration() {
    let shop = Shop::bare(0);
    assert_snapshot!("config_missing", shop.run(&["plan"]).whole());
}

#[test]
fn an_unknown_key() {
    assert_snapshot!(
        "config_unknown_key",
        refused(|s| s.edit(
            "domicile.toml",
            "country = \"DE\"\nrecords = \"sqlite",
            "contry = \"DE\"\nrecords = \"sqlite"
        ))
    );
}

#[test]
fn a_wrong_url() {
    assert_snapshot!(
        "config_url",
        refused(|s| s.edit("domicile.toml", "sqlite:de/shop.db", "mysql://h/shop"))
    );
}

#[test]
fn a_password_in_the_file() {
    let said = refused(|s| s.edit("domicile.toml", "sqlite:de/shop.db", "postgres://shop:hunter2@h/shop"));
    assert!(!said.contains("hunter2"));
    assert_snapshot!("config_password", said);
}

#[test]
fn a_region_twice() {
    assert_snapshot!(
        "config_region_twice",
        refused(|s| s.edit("domicile.toml", "id = \"de\"", "id = \"us\""))
    );
}

#[test]
fn two_regions_with_one_store() {
    assert_snapshot!(
        "config_same_store",
        refused(|s| s.edit("domicile.toml", "sqlite:de/shop.db", "sqlite:./shop.db"))
    );
}

#[test]
fn a_wrong_country() {
    assert_snapshot!(
        "config_country",
        refused(|s| s.edit(
            "domicile.toml",
            "country = \"DE\"\nrecords = \"sqlite",
            "country = \"Germny\"\nrecords = \"sqlite"
        ))
    );
}

#[test]
fn a_service_with_a_region_that_is_not_there() {
    let said = refused(|s| {
        s.edit(
            "domicile.toml",
            "map = \"datamap.toml\"\npolicies = [\"policies/*.cedar\"]\nguard = \"always\"\n",
            "",
        );
        let service = "\n[[service]]\nname = \"shop\"\nmap = \"datamap.toml\"\npolicies = [\"policies/*.cedar\"]\nregions = [\"us\", \"dee\"]\n";
        s.append("domicile.toml", service);
    });
    assert_snapshot!("config_region_unknown", said);
}

#[test]
fn keys_that_others_can_read() {
    let shop = configured();
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(shop.path("keys/directory.key"), readable).expect("chmod");
    let ran = shop.run(&["status"]);
    assert_eq!(ran.code, 2);
    assert_snapshot!("key_readable", ran.stderr);
}

/// A signing key that is gone is missed before anything is signed with another one.
#[test]
fn a_lost_signing_key() {
    let shop = Shop::ready(1);
    shop.ok(&["plan", "-o", "plan.json"]);
    std::fs::remove_file(shop.path("keys/us.key")).expect("the key");
    let given = shop.read("keys/us.pub");
    let looked = shop.run(&["check", "--json"]);
    assert_eq!((looked.code, looked.stdout.contains("key-missing")), (3, true), "{}", looked.whole());
    let moved = shop.run(&["move", "plan.json"]);
    assert_eq!(moved.code, 2);
    assert_snapshot!("signing_key_missing", moved.stderr);
    assert_eq!(shop.run(&["guard", "install"]).code, 2);
    assert_eq!(shop.read("keys/us.pub"), given, "what was given away is not written over");
    assert!(!shop.path("keys/us.key").exists());
    // A region added later has no half of a pair, and gets one.
    let dir = shop.path("keys");
    std::fs::remove_file(dir.join("de.key"))
        .and_then(|()| std::fs::remove_file(dir.join("de.pub")))
        .expect("a pair");
    assert!(!shop.run(&["check", "--json"]).stdout.contains("de.key"));
}

#[test]
fn another_directory_key() {
    let shop = Shop::ready(1);
    std::fs::remove_file(shop.path("keys/directory.key")).expect("the key");
    let missing = shop.run(&["status"]);
    assert_eq!(missing.code, 2);
    assert_snapshot!("key_missing", missing.stderr);
    shop.write("keys/directory.key", &"ab".repeat(32));
    std::fs::set_permissions(shop.path("keys/directory.key"), std::fs::Permissions::from_mode(0o600))
        .expect("chmod");
    let other = shop.run(&["status"]);
    assert_eq!(other.code, 2);
    assert_snapshot!("key_other", other.stderr);
}

#[test]
fn policies_that_do_not_parse_or_validate() {
    let shop = configured();
    shop.append("policies/starter.cedar", "\n@law(\"x\")\n@reason(\"y\")\npermit (principal, action, resource)\nwhen { principal.residense == \"DE\" };\n");
    let invalid = shop.run(&["policy", "check"]);
    assert_eq!(invalid.code, 2);
    assert_snapshot!("policy_invalid", invalid.stderr);
    shop.append("policies/starter.cedar", "\npermit (principal\n");
    let unparsed = shop.run(&["plan"]);
    assert_eq!(unparsed.code, 2);
    assert_snapshot!("policy_unparsed", unparsed.stderr);
}

#[test]
fn a_policy_for_a_region_that_is_not_there() {
    let shop = configured();
    shop.append(
        "policies/starter.cedar",
        "\n@law(\"x\")\n@reason(\"y\")\npermit (principal, action, resource == Region::\"sydney\");\n",
    );
    let ran = shop.run(&["policy", "check"]);
    assert_eq!(ran.code, 3);
    assert_snapshot!("policy_unknown_region", ran.whole());
}

#[test]
fn init_overwrites_nothing_and_says_what_it_needs() {
    let shop = configured();
    let from = ["init", "--from", "sqlite:shop.db"];
    assert_snapshot!("init_exists", shop.run(&[&from[..], &["--country", "US"]].concat()).whole());
    let elsewhere = [&from[..], &["--dir", "new"]].concat();
    assert_snapshot!("init_country", shop.run(&elsewhere).whole());
    let typed = |more: &[&str]| shop.run(&[&elsewhere[..], more].concat()).whole();
    assert_snapshot!("init_wrong_country", typed(&["--country", "Inda"]));
    assert_snapshot!("init_root", typed(&["--country", "US", "--root", "custmer"]));
    let url = |url: &str| shop.run(&["init", "--country", "US", "--dir", "new", "--from", url]).whole();
    assert_snapshot!("init_password", url("postgres://a:hunter2@h/d"));
    let bare = Shop::bare(0);
    let nothing = bare.run(&["init", "--country", "US", "--from", "sqlite:nothing.db"]);
    assert_snapshot!("init_no_file", nothing.whole());
    assert_snapshot!("init_no_server", url("postgres://a@127.0.0.1:1/d"));
    assert!(!shop.path("new/domicile.toml").exists());
    let into = shop.ok(&[
        "init",
        "--from",
        "sqlite:shop.db",
        "--country",
        "US",
        "--dir",
        "new",
        "--root",
        "customer",
        "--service",
        "shop",
    ]);
    assert!(into.stdout.contains("cd new"), "{}", into.stdout);
    shop.ok(&["policy", "check", "--config", "new/domicile.toml"]);
}

#[test]
fn a_command_line_that_can_not_be_understood() {
    let shop = Shop::bare(0);
    assert_snapshot!("usage_unknown", shop.run(&["mvoe", "plan.json"]).whole());
    assert_snapshot!("usage_missing", shop.run(&["move"]).whole());
    assert_snapshot!("usage_conflict", shop.run(&["move", "--rehearse", "--first", "2", "p"]).whole());
}

#[test]
fn a_number_that_is_too_large() {
    let said = refused(|s| s.append("domicile.toml", "\n[limits]\nrows_per_s = 99999999999999999999\n"));
    assert!(said.contains("the number `99999999999999999999` is too large"), "{said}");
    assert!(!said.contains("i128"), "{said}");
}

/// `check` looks at the address before a worker would.
#[test]
fn metrics_at_an_address_that_can_not_be() {
    for (listen, code) in [("nowhere", "metrics-address"), ("0.0.0.0:9464", "metrics-address"), ("9464", "")]
    {
        let shop = configured();
        shop.append("domicile.toml", &format!("\n[metrics]\nlisten = \"{listen}\"\n"));
        let ran = shop.run(&["check", "--json"]);
        let json: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}\n{}", ran.whole()));
        let found = json["findings"].as_array().expect("findings").iter().find(|f| f["area"] == "metrics");
        let found = found.unwrap_or_else(|| panic!("nothing of metrics in {}", ran.whole()));
        assert_eq!(found["code"].as_str().unwrap_or_default(), code, "{listen}: {}", ran.whole());
    }
}
