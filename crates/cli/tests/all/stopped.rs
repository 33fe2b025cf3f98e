//! PostgreSQL servers that were stopped: before a command begins, and in the middle of a wave.

use crate::servers::{SECRET, Servers};
use crate::shop::{Ran, ran};
use domicile_testbed::postgres::Cluster;

/// Says which place does not answer, what is true, and nothing secret; did not panic.
fn says_it_is_down(ran: &Ran, place: &str) {
    let whole = ran.whole();
    assert!([1, 3].contains(&ran.code), "{whole}");
    let flat = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(place), "no `{place}` in:\n{whole}");
    let said = ["can't be reached", "cannot be reached", "unreachable", "does not answer"];
    assert!(said.iter().any(|words| flat.contains(words)), "not said to be down:\n{whole}");
    nothing_secret(ran);
}

fn nothing_secret(ran: &Ran) {
    let whole = ran.whole();
    for word in [SECRET, "panicked", "Error {"] {
        assert!(!whole.contains(word), "`{word}` in:\n{whole}");
    }
}

fn every_command_says_so(servers: &Servers, cluster: &Cluster, place: &str) {
    cluster.crash();
    // No wave is open, so `resume` needs no region; it must only not fall over.
    nothing_secret(&servers.shop.run(&["resume"]));
    for args in [&["plan"][..], &["move", "plan.json"], &["status"], &["verify"]] {
        let ran = servers.shop.run(args);
        says_it_is_down(&ran, place);
        if args[0] == "move" {
            assert!(ran.stderr.contains("code:  store-unreachable\n"), "{}", ran.whole());
            assert!(ran.stderr.contains("state: "), "{}", ran.whole());
            assert_eq!(ran.code, 1, "{}", ran.whole());
        }
    }
    cluster.up();
}

fn customers(cluster: &Cluster) -> String {
    cluster.sql("shop", "SELECT count(*) FROM customer")
}

#[test]
fn a_database_that_is_down_is_named() {
    let servers = Servers::planned(20);
    let shop = &servers.shop;
    every_command_says_so(&servers, &servers.de, "de");
    every_command_says_so(&servers, &servers.us, "us");
    // A control store that is not there.
    let config = shop.read("domicile.toml");
    let nobody = domicile_testbed::free_port();
    shop.edit(
        "domicile.toml",
        "store = \"sqlite:control.db\"",
        &format!("store = \"postgres://domicile:${{SHOP_PASSWORD}}@127.0.0.1:{nobody}/control\""),
    );
    for args in [&["plan"][..], &["move", "plan.json"], &["status"], &["verify"]] {
        says_it_is_down(&shop.run(args), "the control store");
    }
    shop.write("domicile.toml", &config);
    assert_eq!((customers(&servers.us), customers(&servers.de)), ("540".into(), "0".into()));

    // And in the middle of a wave.
    shop.append(
        "domicile.toml",
        "\n[limits]\nbatch_subjects = 20\nbatches_in_flight = 1\nrows_per_s = 200\n",
    );
    let child = servers.begun(&["move", "plan.json"]);
    servers.de.crash();
    let stopped = ran(&child.wait_with_output().expect("it ends"), &shop.path(""));
    says_it_is_down(&stopped, "region de");
    assert_eq!(stopped.code, 1, "{}", stopped.whole());
    for part in ["state: wave w1 is open:", "fix:   domicile resume w1", "code:  store-unreachable"] {
        assert!(stopped.stderr.contains(part), "no `{part}` in:\n{}", stopped.whole());
    }
    servers.de.up();
    shop.edit("domicile.toml", "rows_per_s = 200\n", "");
    shop.ok(&["resume"]);
    assert_eq!(customers(&servers.de), "260");
    let purchases = "SELECT count(*) FROM purchase AS p JOIN customer AS c ON c.id = p.customer_id";
    assert_eq!(servers.de.sql("shop", purchases), "520");
    shop.consistent();
}
