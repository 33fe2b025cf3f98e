//! Sign-up as documented, sign-up without its first step, and the second home that comes of it.

use crate::shop::{Shop, customer};
use std::io::Write;
use std::process::Stdio;

/// The steps in the region: the door, then the rows.
fn sign_up(shop: &Shop, db: &str, id: i64, epoch: i64, country: &str) {
    let db = shop.db(db);
    db.execute("INSERT INTO domicile_signup(subject, epoch) VALUES (?1, ?2)", [id, epoch]).expect("sign up");
    customer(&db, id, Some(country));
}

fn subjects(text: &str) -> Vec<(String, String, u64)> {
    let json: serde_json::Value = serde_json::from_str(text).expect(text);
    let word = |v: &serde_json::Value| v.as_str().expect("a text").to_owned();
    let one =
        |s: &serde_json::Value| (word(&s["subject"]), word(&s["outcome"]), s["epoch"].as_u64().unwrap());
    json["subjects"].as_array().expect("subjects").iter().map(one).collect()
}

#[test]
fn signing_up_begins_with_register() {
    let shop = Shop::ready(1);
    let ran = shop.ok(&["register", "900", "--region", "us"]);
    assert!(ran.stdout.starts_with("900: home us, epoch 1\n"), "{}", ran.whole());
    assert!(ran.stdout.contains("INSERT INTO domicile_signup(subject, epoch)"), "{}", ran.whole());
    sign_up(&shop, "shop.db", 900, 1, "USA");
    // Safe to repeat, and one key has one spelling.
    let again = shop.ok(&["register", "900", "0900", " 900", "--region", "us", "--json"]);
    let all = ("900".to_owned(), "already".to_owned(), 1);
    assert_eq!(subjects(&again.stdout), [all.clone(), all.clone(), all]);
    // Refused with where, and the home stays.
    let refused = shop.run(&["register", "900", "901", "--region", "de"]);
    assert_eq!(refused.code, 3, "{}", refused.whole());
    assert!(
        refused.stdout.contains("900: refused: its home is us, epoch 1\n901: home de"),
        "{}",
        refused.whole()
    );
    let unknown = shop.run(&["register", "902", "--region", "nowhere"]);
    assert_eq!((unknown.code, unknown.stderr.contains("region-unknown")), (2, true), "{}", unknown.whole());
    sign_up(&shop, "de/shop.db", 901, 1, "DE");
    shop.consistent();
}

#[test]
fn keys_may_come_from_stdin() {
    let shop = Shop::ready(1);
    let mut command = shop.command(&["register", "--region", "de", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
    child.stdin.take().expect("stdin").write_all(b"910\n911\r\n\n912").expect("keys");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let found = subjects(&String::from_utf8(output.stdout).expect("text"));
    assert_eq!(found.iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["910", "911", "912"]);
    assert!(found.iter().all(|s| (s.1.as_str(), s.2) == ("new", 1)));
    let none = shop.run(&["register", "--region", "de"]);
    assert_eq!(none.code, 2, "{}", none.whole());
}

#[test]
fn who_signed_up_without_registering_is_registered() {
    let shop = Shop::ready(1);
    sign_up(&shop, "shop.db", 920, 1, "USA");
    shop.db("shop.db")
        .execute("UPDATE customer SET country = 'DE' WHERE id = 920", [])
        .expect("a new country");
    let found = shop.run(&["verify", "--list", "found.txt"]);
    assert_eq!(found.code, 3, "{}", found.whole());
    assert!(
        found.stdout.contains("no-home at us\n  domicile guard backfill --region us"),
        "{}",
        found.whole()
    );
    assert!(shop.read("found.txt").lines().any(|l| l == "no-home\tus\t920"), "{}", shop.read("found.txt"));
    let filled = shop.ok(&["guard", "backfill"]);
    assert!(filled.stdout.contains("1 subject was signed up without registering"), "{}", filled.whole());
    assert!(filled.stdout.contains("domicile register SUBJECT --region us"), "{}", filled.whole());
    shop.consistent();
    // It moves like everybody else.
    shop.ok(&["plan", "-o", "plan.json"]);
    shop.ok(&["move", "plan.json"]);
    assert!(shop.ok(&["locate", "920"]).stdout.contains("home      de (epoch 2)"));
    shop.consistent();
}

#[test]
fn a_second_home_is_shut_and_then_erased() {
    let shop = Shop::ready(1);
    shop.ok(&["register", "930", "--region", "us"]);
    sign_up(&shop, "shop.db", 930, 1, "USA");
    // The application skipped the first step at `de`.
    sign_up(&shop, "de/shop.db", 930, 1, "DE");
    let verified = shop.run(&["verify"]);
    assert!(verified.stdout.contains("domicile guard disown SUBJECT --region de"), "{}", verified.whole());
    // Backfill counts it and leaves both alone.
    let filled = shop.run(&["guard", "backfill"]);
    assert_eq!(filled.code, 3, "{}", filled.whole());
    assert!(filled.stdout.contains("domicile guard disown SUBJECT --region de"), "{}", filled.whole());
    let disown = ["guard", "disown", "930", "--region", "de"];

    // Never the copy at home, never one that is the only one.
    let home = shop.run(&["guard", "disown", "930", "--region", "us"]);
    assert_eq!((home.code, home.stderr.contains("disown-refused")), (3, true), "{}", home.whole());
    let only = shop.run(&["guard", "disown", "1", "--region", "de"]);
    assert_eq!((only.code, only.stderr.contains("disown-refused")), (3, true), "{}", only.whole());
    shop.ok(&["register", "931", "--region", "us"]);
    sign_up(&shop, "de/shop.db", 931, 1, "DE");
    let rowless = shop.run(&["guard", "disown", "931", "--region", "de"]);
    assert_eq!((rowless.code, rowless.stderr.contains("disown-refused")), (3, true), "{}", rowless.whole());
    sign_up(&shop, "shop.db", 931, 1, "USA");

    let shut = shop.ok(&disown);
    assert!(shut.stdout.contains("shut at de; its one home is us"), "{}", shut.whole());
    shop.ok(&disown);
    let write = shop.db("de/shop.db").execute("UPDATE customer SET name = 'x' WHERE id = 930", []);
    assert!(write.expect_err("refused").to_string().contains("RS001"));
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM customer WHERE id = 930"), 1);
    let verified = shop.run(&["verify"]);
    assert!(verified.stdout.contains("1 disowned at de: domicile guard disown"), "{}", verified.whole());
    assert!(!verified.stdout.contains("domicile erase\n"), "{}", verified.whole());

    for id in ["930", "931"] {
        let erased = shop.ok(&["guard", "disown", id, "--region", "de", "--erase"]);
        assert!(erased.stdout.contains("7 rows and 0 objects of it erased at de"), "{}", erased.whole());
    }
    for table in ["customer WHERE id", "purchase WHERE customer_id", "domicile_home WHERE subject"] {
        let sql = format!("SELECT count(*) FROM {table} IN (930, 931)");
        assert_eq!(shop.number("de/shop.db", &sql), 0, "{sql}");
    }
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM domicile_batch"), 0);
    assert_eq!(shop.number("shop.db", "SELECT count(*) FROM purchase WHERE customer_id = 930"), 2);
    shop.consistent();
}

/// The same on PostgreSQL, where a writer in flight is waited for.
#[test]
fn a_second_home_on_postgres() {
    let servers = crate::servers::Servers::planned(1);
    let (shop, us, de) = (&servers.shop, &servers.us, &servers.de);
    let both = [(us, "USA"), (de, "Germany")];
    shop.ok(&["register", "0930", "--region", "us"]);
    for (at, country) in both {
        let row = format!("INSERT INTO customer VALUES (930, 'x', 'x@example.org', '{country}', 1)");
        at.sql("shop", &format!("BEGIN; SELECT domicile.sign_up(930, 1); {row}; COMMIT"));
    }
    let filled = shop.run(&["guard", "backfill"]);
    assert!(filled.stdout.contains("domicile guard disown SUBJECT --region de"), "{}", filled.whole());
    let disown = ["guard", "disown", "930", "--region", "de"];
    assert!(shop.ok(&disown).stdout.contains("shut at de"));
    let refused = de.script("postgres", "shop", "UPDATE customer SET name = 'y' WHERE id = 930");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("away"));
    let erased = shop.ok(&[&disown[..], &["--erase"]].concat());
    assert!(erased.stdout.contains("1 row and 0 objects of it erased at de"), "{}", erased.whole());
    let left = "SELECT (SELECT count(*) FROM customer WHERE id = 930) + (SELECT count(*) FROM domicile.home \
                WHERE subject = 930) + (SELECT count(*) FROM domicile.batch) + (SELECT waves FROM domicile.region)";
    assert_eq!(
        (
            de.sql("shop", left).as_str(),
            us.sql("shop", "SELECT count(*) FROM customer WHERE id = 930").as_str()
        ),
        ("0", "1")
    );
    shop.consistent();
    let wrong = shop.run(&["register", "nobody", "--region", "us"]);
    assert_eq!((wrong.code, wrong.stderr.contains("subject-key")), (2, true), "{}", wrong.whole());
}
