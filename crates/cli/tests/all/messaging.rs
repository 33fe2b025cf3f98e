//! Opt-in messages by the command line alone, on PostgreSQL, as docs/messaging.md has it; and that a relay tells nothing of
//! whom it serves.

use crate::served::{Running, raw};
use crate::shop::Shop;
use domicile_testbed::free_ports;
use domicile_testbed::postgres::Cluster;

const NUMBERS: [(&str, &str); 2] = [("alice", "+8613912345678"), ("bob", "+8613912345679")];
const TEXT: &str = "canary-of-a-text";

/// A region on a PostgreSQL server of its own, with what `messaging init` wrote for a relay at this port.
fn initialised(cluster: &Cluster, port: u16) -> Shop {
    let shop = Shop::empty();
    let region = format!(
        "[control]\nstore = \"sqlite:control.db\"\n\n[[region]]\nid = \"beijing\"\ncountry = \"CN\"\nrecords = \"{}\"\n\n",
        cluster.url("domicile", "{service}")
    );
    shop.write("domicile.toml", &format!("map = \"m\"\npolicies = [\"p\"]\n{region}"));
    let who = ["--controller", "Phone Example Ltd", "--contact", "privacy@phone.example"];
    shop.ok(&[&["messaging", "init", "--port", &port.to_string()][..], &who].concat());
    let fragment = "messaging/domicile.fragment.toml";
    shop.edit(
        fragment,
        "postgres://domicile_relay@HOST/DATABASE",
        &cluster.url("domicile_relay", "messaging"),
    );
    let limits = "\n[messaging.limits]\nfilter_every_s = 1\n";
    shop.write("domicile.toml", &format!("{region}{}{limits}", shop.read(fragment)));
    shop
}

/// Runs a file of SQL that was written for psql.
fn psql(cluster: &Cluster, role: &str, text: &str) {
    let piped = cluster.script(role, "messaging", &format!("\\set ON_ERROR_STOP on\n{text}"));
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
}

/// Tables, roles, guard: what docs/messaging.md prints.
fn opened(cluster: &Cluster, shop: &Shop) {
    for sql in [
        "CREATE ROLE keeper LOGIN",
        "CREATE ROLE domicile LOGIN IN ROLE keeper",
        "CREATE DATABASE messaging OWNER keeper",
    ] {
        cluster.sql("postgres", sql);
    }
    psql(cluster, "keeper", &shop.read("messaging/schema.postgres.sql"));
    psql(cluster, "postgres", &shop.read("messaging/grants.postgres.sql"));
    let grants = ["guard", "grants", "--service", "messaging", "--region", "beijing"];
    psql(cluster, "postgres", &shop.ok(&grants).stdout);
    for step in ["install", "backfill", "enforce"] {
        shop.ok(&["guard", step, "--service", "messaging"]);
    }
    shop.ok(&["check", "--service", "messaging"]);
}

/// The code that was sent last.
fn code(shop: &Shop) -> String {
    let sent = shop.read("messaging/sms.jsonl");
    let last: serde_json::Value =
        serde_json::from_str(sent.lines().last().expect("a text message")).expect("JSON");
    last["text"].as_str().expect("a text")[..8].to_owned()
}

/// The device's owner agrees and proves the number.
fn registers(shop: &Shop, name: &str, number: &str) {
    let device = |args: &[&str]| shop.ok(&[&["device"], args, &["--device", name]].concat());
    device(&["new", "--statement", "region.json"]);
    for purpose in ["cloud_messaging", "contact_discovery"] {
        device(&["consent", "give", purpose]);
    }
    device(&["register", number]);
    device(&["register", "--code", &code(shop)]);
}

/// Sends once the other one is found: filters are built after somebody became findable.
fn sends(shop: &Shop) {
    shop.ok(&["device", "contacts", "add", NUMBERS[1].1, "--name", "Bob", "--device", "alice"]);
    for _ in 0..300 {
        shop.ok(&["device", "contacts", "sync", "--device", "alice"]);
        if shop.run(&["device", "send", "Bob", TEXT, "--device", "alice"]).code == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("Bob is not found: {}", shop.run(&["device", "open", "Bob", "--device", "alice"]).whole());
}

/// A record that was exported holds by the region's key alone, and neither changed nor by another key.
fn records_hold_offline(shop: &Shop, other: &Shop, mailbox: &str) {
    // As it is printed: times are masked in what the shop's own run hands over.
    let shown =
        shop.command(&["consent", "show", mailbox, "--json"]).output().expect("the binary runs").stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).expect("JSON");
    let records: Vec<_> =
        shown["records"].as_array().expect("records").iter().map(|r| r["record"].clone()).collect();
    assert_eq!(records.len(), 2);
    let text = serde_json::to_string(&records).expect("JSON");
    let away = Shop::empty();
    away.write("record.json", &text);
    away.write("key.pub", &shop.read("keys/messaging/beijing.service.pub"));
    assert_eq!(verdicts(&away, "record.json", "key.pub"), (0, vec![true, true]));
    away.write("changed.json", &text.replacen("\"given\"", "\"withdrawn\"", 1));
    assert_eq!(verdicts(&away, "changed.json", "key.pub"), (3, vec![false, true]));
    away.write("other.pub", &other.read("keys/messaging/beijing.service.pub"));
    assert_eq!(verdicts(&away, "record.json", "other.pub"), (3, vec![false, false]));
}

/// Exit code, and which of the records hold.
fn verdicts(shop: &Shop, file: &str, key: &str) -> (i32, Vec<bool>) {
    let ran = shop.run(&["consent", "verify", file, "--key", key, "--json"]);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let holds = said["records"].as_array().expect("records").iter().map(|r| r["holds"] == true);
    (ran.code, holds.collect())
}

#[test]
fn a_relay_on_postgres_as_documented() {
    let cluster = Cluster::start();
    let [port] = free_ports::<1>();
    let (shop, other) = (initialised(&cluster, port), initialised(&cluster, port));
    opened(&cluster, &shop);
    let mut relay = Running::start(shop.command(&["serve", "--messaging", "beijing", "--log", "json"]));
    relay.event("listening");
    let said = raw(
        &format!("127.0.0.1:{port}"),
        "GET /v1/messaging/region HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let (head, body) = said.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{said}");
    shop.write("region.json", body);
    for (name, number) in NUMBERS {
        registers(&shop, name, number);
    }
    sends(&shop);
    let received = shop.ok(&["device", "receive", "--wait", "30", "--device", "bob"]).stdout;
    assert!(received.contains(TEXT), "{received}");

    let ids = cluster.sql("messaging", "SELECT id FROM mailbox ORDER BY created_ms");
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 2);
    records_hold_offline(&shop, &other, ids[0]);
    shop.ok(&["consent", "withdraw", ids[0], "contact_discovery"]);
    let listed = shop.ok(&["consent", "list", ids[0]]).stdout;
    assert!(listed.contains("withdrawn") && listed.contains("given"), "{listed}");
    assert_eq!(cluster.sql("messaging", "SELECT count(*) FROM mailbox_tag").trim(), "1");
    shop.ok(&["verify", "--service", "messaging"]);

    relay.signal("-TERM");
    let (code, told) = relay.ended();
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("listening"), "{told}");
    let devices = cluster.sql("messaging", "SELECT device FROM mailbox");
    let codes = shop.read("messaging/sms.jsonl");
    let codes: Vec<String> = codes
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|sent| sent["text"].as_str().expect("a text")[..8].to_owned())
        .collect();
    assert_eq!((devices.lines().count(), codes.len()), (2, 2));
    let numbers = NUMBERS.iter().map(|(_, number)| &number[3..]);
    let never = numbers.chain(ids).chain(devices.lines()).chain([TEXT, "domicile_relay@"]);
    for canary in never {
        assert!(!told.contains(canary), "{canary} in {told}");
    }
    for code in codes {
        assert!(!told.contains(&format!("\"{code}")), "a code in {told}");
    }
}
