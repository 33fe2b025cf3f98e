//! Two services in the same regions, each with its own map, plan, waves and receipts.

use crate::servers::Servers;
use crate::shop::{Ran, Shop, ran};

/// One configuration for both services, each with the map that `init` made of its own database.
fn both() -> Servers {
    let servers = Servers::start(20);
    let shop = &servers.shop;
    for service in ["shop", "club"] {
        servers.us.sql(service, "GRANT keeper TO domicile");
        let from = servers.us.url("domicile", service);
        shop.ok(&["init", "--from", &from, "--country", "US", "--region", "us", "--dir", service]);
    }
    let mut config = String::from("[control]\nstore = \"sqlite:control.db\"\nkeys = \"shop/keys\"\n");
    for service in ["shop", "club"] {
        config.push_str(&format!(
            "\n[[service]]\nname = \"{service}\"\nmap = \"{service}/datamap.toml\"\npolicies = [\"{service}/policies/*.cedar\"]\n"
        ));
    }
    for (id, country, cluster) in [("us", "US", &servers.us), ("de", "DE", &servers.de)] {
        let url = Servers::url(cluster, "{service}");
        config.push_str(&format!(
            "\n[[region]]\nid = \"{id}\"\ncountry = \"{country}\"\nrecords = \"{url}\"\n"
        ));
    }
    config.push_str(
        "\n[limits]\ngrace = \"0s\"\nbatch_subjects = 20\nbatches_in_flight = 1\nrows_per_s = 200\nturn_ms = 1500\n",
    );
    shop.write("domicile.toml", &config);
    shop.ok(&["answer", "--service", "shop", "personal:public.employee", "stub"]);
    for service in ["shop", "club"] {
        shop.ok(&["answer", "--service", service, "stores", "none"]);
        servers.open(service, &["--service", service]);
        shop.ok(&["plan", "--service", service, "-o", &format!("{service}.json")]);
    }
    servers
}

/// `status` of a service knows its own waves and no other's.
fn has_only(shop: &Shop, service: &str, wave: &str) {
    let ran = shop.ok(&["status", "--service", service, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let waves: Vec<&str> =
        json["waves"].as_array().expect("waves").iter().filter_map(|w| w["wave"].as_str()).collect();
    assert_eq!(waves, [wave], "{}", ran.whole());
}

/// Every command that is shown can be pasted as it stands: it names its service. Returns what was shown.
fn names_its_service(ran: Ran, service: &str) -> String {
    let (mut seen, whole) = (0, format!("{}\n{}", ran.stdout, ran.stderr));
    let flat = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    for command in flat.split("domicile ").skip(1) {
        let word = command.split(' ').next().unwrap_or_default().trim_end_matches(['`', ',', ':']);
        let reads = [
            "plan", "resume", "abort", "pause", "status", "verify", "check", "erase", "guard", "region",
            "move",
        ];
        if reads.contains(&word) {
            let near = command.split('`').next().unwrap_or_default();
            assert!(
                near.contains(&format!("--service {service}")),
                "`domicile {near}` names no service in:\n{whole}"
            );
            seen += 1;
        }
    }
    assert!(seen > 0, "no command is shown in:\n{whole}");
    whole
}

#[test]
fn two_services_move_side_by_side() {
    let servers = both();
    let shop = &servers.shop;
    let unsaid = shop.run(&["plan"]);
    assert_eq!(unsaid.code, 2, "{}", unsaid.whole());
    assert!(unsaid.stderr.contains("--service"), "{}", unsaid.whole());
    // The shop's wave is slow enough to meet the others.
    let slow = servers.begun(&["move", "shop.json", "--service", "shop"]);
    let second = shop.run(&["move", "shop.json", "--service", "shop"]);
    assert_eq!(second.code, 1, "{}", second.whole());
    assert!(second.stderr.contains("code:  wave-held"), "{}", second.whole());
    assert!(second.stderr.contains(&format!("worked on by pid {}", slow.id())), "{}", second.whole());
    names_its_service(second, "shop");
    for command in
        [&["pause", "w1"][..], &["status"], &["resume", "w2"], &["check"], &["region", "reconcile", "us"]]
    {
        names_its_service(shop.run(&[command, &["--service", "shop"]].concat()), "shop");
    }
    shop.ok(&["resume", "w1", "--service", "shop"]);
    let other = shop.run(&["move", "shop.json", "--service", "club"]);
    assert_ne!(other.code, 0, "a plan of another service is refused: {}", other.whole());
    shop.ok(&["move", "club.json", "--service", "club"]);
    let moved = ran(&slow.wait_with_output().expect("it ends"), &shop.path(""));
    assert_eq!(moved.code, 0, "{}", moved.whole());

    has_only(shop, "shop", "w1");
    has_only(shop, "club", "w2");
    let wrong = shop.run(&["resume", "w2", "--service", "shop"]);
    assert_ne!(wrong.code, 0, "{}", wrong.whole());
    for (service, wave) in [("shop", "w1"), ("club", "w2")] {
        let verified = shop.run(&["verify", "--service", service, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&verified.stdout).expect("JSON");
        let found = json["findings"].as_array().expect("findings");
        assert!(found.iter().all(|f| f["kind"] == "policy"), "{}", verified.whole());
        names_its_service(shop.run(&["verify", "--service", service]), service);
        names_its_service(shop.run(&["pause", wave, "--service", service]), service);
        shop.ok(&["erase", "--service", service]);
        let receipt = shop.ok(&["receipt", "verify", &format!("receipts/{wave}.receipts")]);
        assert!(receipt.stdout.contains(service), "{}", receipt.whole());
    }
    let count = |cluster: &domicile_testbed::postgres::Cluster, service: &str, table: &str| {
        cluster.sql(service, &format!("SELECT count(*) FROM {table}"))
    };
    assert_eq!([count(&servers.us, "club", "visit"), count(&servers.de, "club", "visit")], ["0", "30"]);
    assert_eq!(
        [count(&servers.us, "shop", "customer"), count(&servers.de, "shop", "customer")],
        ["280", "260"]
    );
}
