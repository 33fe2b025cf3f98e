//! What an operator sees of a wave under way, on PostgreSQL: status and metrics from elsewhere, pause and resume
//! by another process, a JSON log; and that none of it ever names a subject.

use crate::servers::Servers;
use crate::shop::Shop;
use crate::workers::until;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A process whose stderr is read along.
struct Watched {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    fn begin(shop: &Shop, args: &[&str]) -> Self {
        let mut command = shop.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let said = Arc::<Mutex<String>>::default();
        let (hears, err) = (said.clone(), child.stderr.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                hears.lock().expect("nobody panics").push_str(&format!("{line}\n"));
            }
        });
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().expect("nobody panics").clone()
    }

    /// What it serves, once it says where.
    fn get(&self, path: &str) -> String {
        let mut port = None;
        until("it says where its metrics are", || {
            let said = self.said();
            let at = said.split("metrics: http://127.0.0.1:").nth(1).and_then(|s| s.split('/').next());
            port = at.and_then(|port| port.parse::<u16>().ok());
            port.is_some()
        });
        let mut stream = TcpStream::connect(("127.0.0.1", port.expect("a port"))).expect("it listens");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        answer
    }

    /// The sum of a metric's series whose labels have this in them.
    fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self.get("/metrics");
        let series = text.lines().filter(|l| l.split(['{', ' ']).next() == Some(name) && l.contains(labels));
        series.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Asks it to stop at its next safe point.
    fn stop(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    }

    fn ended(&mut self) -> (i32, String) {
        let status = self.child.wait().expect("it ends");
        let mut out = String::new();
        self.child.stdout.take().expect("a pipe").read_to_string(&mut out).expect("text");
        (status.code().unwrap_or(-1), out)
    }
}

fn status(shop: &Shop) -> Value {
    serde_json::from_str(&shop.ok(&["status", "--json"]).stdout).expect("JSON")
}

const SLOW: &str = "\n[limits]\ngrace = \"0s\"\nbatch_subjects = 4\nbatches_in_flight = 2\nrows_per_s = 3\n";

/// 52 customers of 3 rows, a batch in four seconds: long enough for whoever looks, on a busy machine too.
#[test]
fn a_wave_is_watched_paused_and_resumed_from_elsewhere() {
    let servers = Servers::planned(4);
    let shop = &servers.shop;
    shop.append("domicile.toml", SLOW);
    let mut moving = Watched::begin(shop, &["move", "--metrics", "0", "--log", "json", "plan.json"]);
    until("two batches are in flight", || moving.metric("domicile_batches_in_flight", "") == 2.0);
    assert!(moving.get("/healthz").ends_with("\r\n\r\nok\n"));
    until("subjects have moved", || {
        moving.metric("domicile_subjects_moved_total", "from=\"us\",to=\"de\"") > 0.0
    });
    until("and status has a rate and a time left", || {
        let wave = &status(shop)["waves"][0];
        wave["speed"]["rows_per_s"].as_f64().is_some_and(|r| r > 0.0) && wave["eta_s"].is_number()
    });
    let said = shop.ok(&["status"]).stdout;
    assert!(said.contains(" subjects/s (") && said.contains(" left"), "{said}");

    assert!(moving.get("/metrics").contains("\ndomicile_paused 0\n"), "it is there before it is needed");
    shop.ok(&["pause"]);
    until("it says that it is paused", || moving.metric("domicile_paused", "") == 1.0);
    let paused = shop.ok(&["status"]).stdout;
    assert!(paused.contains("paused: its worker waits (seen"), "{paused}");
    let wave = status(shop)["waves"][0].clone();
    assert!(wave["eta_s"].is_null() && wave["speed"].is_null(), "it does not go on: {wave}");
    until("its batches have ended", || moving.metric("domicile_batches_in_flight", "") == 0.0);
    let moved = moving.metric("domicile_wave_subjects_moved", "wave=\"w1\"");
    assert!(moved < 52.0, "nothing was left to pause");
    assert_eq!(status(shop)["waves"][0]["asked"], "pause");
    assert_eq!(status(shop)["waves"][0]["moved"].as_f64(), Some(moved));
    let guard = moving.metric("domicile_guard_subjects", "region=\"de\",state=\"home\"");
    assert!(guard <= moved, "{guard} of {moved}");
    assert_eq!(moving.metric("domicile_region_up", ""), 2.0);

    shop.ok(&["resume", "w1"]);
    until("it goes on", || moving.metric("domicile_wave_subjects_moved", "wave=\"w1\"") > moved);
    // What is left need not be slow.
    moving.stop();
    let (code, out) = moving.ended();
    assert_eq!(code, 4, "{out}\n{}", moving.said());
    shop.edit("domicile.toml", "rows_per_s = 3\n", "");
    shop.ok(&["resume"]);
    assert_eq!(servers.de.sql("shop", "SELECT count(*) FROM customer"), "52");
    let events: Vec<Value> = moving
        .said()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
        .collect();
    for event in ["said", "wave", "stage", "copied", "fenced", "activated", "paused", "batch-ended"] {
        assert!(events.iter().any(|e| e["event"] == event), "{event}\n{}", moving.said());
    }
    let staged = events.iter().find(|e| e["event"] == "stage").expect("there is one");
    assert_eq!((&staged["wave"], &staged["level"]), (&"w1".into(), &"info".into()));
    let activated = events.iter().find(|e| e["event"] == "activated").expect("there is one");
    assert!(activated["pause_ms"].is_u64(), "{activated}");
    assert!(staged["batch"].as_str().is_some_and(|b| b.starts_with("w1/")), "{staged}");
    shop.consistent();
}

/// Sessions of the application at work hold the wave back; `status` says so from another process.
#[test]
fn status_says_which_ceiling_is_waited_for() {
    let servers = Servers::planned(1);
    let shop = &servers.shop;
    shop.append("domicile.toml", "\n[limits]\nactive_sessions = 1\n");
    let checked = shop.run(&["check"]);
    assert_eq!(checked.code, 3, "{}", checked.whole());
    assert!(checked.stdout.contains("fix: GRANT pg_read_all_stats TO \"domicile\""), "{}", checked.whole());
    for (id, cluster) in [("us", &servers.us), ("de", &servers.de)] {
        let grants = shop.ok(&["guard", "grants", "--region", id]).stdout;
        assert!(grants.contains("GRANT pg_read_all_stats TO domicile;"), "{grants}");
        assert!(cluster.script("postgres", "shop", &grants).status.success());
        cluster.sql("postgres", "CREATE ROLE app LOGIN");
    }
    shop.ok(&["check"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for _ in 0..2 {
        let url = servers.us.url("app", "shop");
        runtime.spawn(async move {
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a session");
            tokio::spawn(connection);
            client.execute("SELECT pg_sleep(3600)", &[]).await
        });
    }
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'";
    until("both are at work", || servers.us.sql("postgres", at_work) == "2");
    let mut moving = Watched::begin(shop, &["move", "--metrics", "0", "plan.json"]);
    let why = "active sessions at us are 2, ceiling 1";
    until("status says it", || status(shop)["waves"][0]["waits"][0]["why"] == why);
    assert!(shop.ok(&["status"]).stdout.contains(&format!("waits: {why}")));
    assert!(moving.said().contains(&format!("waits: {why}")), "{}", moving.said());
    assert_eq!(moving.metric("domicile_ceiling_waiting", "ceiling=\"active_sessions\""), 1.0);
    assert_eq!(servers.de.sql("shop", "SELECT count(*) FROM customer"), "0");
    servers
        .us
        .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    let (code, out) = moving.ended();
    assert_eq!(code, 0, "{out}\n{}", moving.said());
    assert!(moving.said().contains("goes on: below the ceilings again"), "{}", moving.said());
    assert_eq!(servers.de.sql("shop", "SELECT count(*) FROM customer"), "13");
}

/// In every key; nobody but the regions may ever show it.
const CANARY: &str = "canary";

const ACCOUNTS: &str = "
CREATE TABLE account (email text PRIMARY KEY, country text NOT NULL, nick text UNIQUE);
CREATE TABLE note (id bigint PRIMARY KEY, email text NOT NULL REFERENCES account (email), body text);
CREATE INDEX ON note (email);
INSERT INTO account SELECT 'canary' || i || '@example.org', 'Germany', 'canary-nick' || i FROM generate_series(1, 20) AS i;
INSERT INTO note SELECT i, 'canary' || i || '@example.org', 'canary text' FROM generate_series(1, 20) AS i;
";

/// Subjects whose keys are e-mail addresses: one that a unique value keeps from moving, in a wave that is stopped,
/// resumed and erased. Logs, metrics and answers name none of them.
#[test]
fn nothing_that_is_shown_names_a_subject() {
    let servers = Servers::start(1);
    let shop = &servers.shop;
    for cluster in [&servers.us, &servers.de] {
        cluster.sql("postgres", "CREATE DATABASE mail OWNER keeper");
    }
    servers.us.sql("mail", &format!("SET ROLE keeper; {ACCOUNTS}"));
    servers.grant_plainly("mail");
    shop.ok(&["init", "--from", &servers.us.url("domicile", "mail"), "--country", "US", "--region", "us"]);
    shop.ok(&["answer", "stores", "none"]);
    let de = servers.de.url("domicile", "mail");
    shop.append(
        "domicile.toml",
        &format!("\n[[region]]\nid = \"de\"\ncountry = \"DE\"\nrecords = \"{de}\"\n"),
    );
    shop.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\nbatch_subjects = 4\nrows_per_s = 3\n");
    for (id, cluster) in [("us", &servers.us), ("de", &servers.de)] {
        let grants = shop.ok(&["guard", "grants", "--region", id]).stdout;
        assert!(cluster.script("postgres", "mail", &grants).status.success());
    }
    shop.ok(&["region", "prepare", "de"]);
    // Somebody at `de` has a nick already that would come there: its subject stays.
    servers.de.sql("mail", "INSERT INTO account VALUES ('other@example.org', 'Germany', 'canary-nick3')");
    for step in ["install", "backfill", "enforce"] {
        shop.ok(&["guard", step]);
    }
    let mut shown = vec![("plan", shop.ok(&["plan", "-o", "plan.json"]).whole())];
    let log = ["--log", "json"];
    let mut moving = Watched::begin(shop, &[&["move", "--metrics", "0"][..], &log, &["plan.json"]].concat());
    until("rows have arrived", || moving.metric("domicile_rows_copied_total", "") > 0.0);
    shown.push(("metrics", moving.get("/metrics")));
    shown.push(("status", shop.ok(&["status"]).whole()));
    shown.push(("status --json", shop.ok(&["status", "--json"]).whole()));
    moving.stop();
    let (code, out) = moving.ended();
    assert_eq!(code, 4, "{out}\n{}", moving.said());
    let failed = moving
        .said()
        .lines()
        .last()
        .map(|l| serde_json::from_str::<Value>(l).expect("JSON"))
        .expect("a line");
    assert_eq!((&failed["event"], &failed["error"]["code"]), (&"failed".into(), &"stopped".into()));
    shown.push(("move", out + &moving.said()));
    shop.edit("domicile.toml", "rows_per_s = 3\n", "");
    let resumed = shop.run(&[&["resume"][..], &log].concat());
    assert_eq!(resumed.code, 3, "{}", resumed.whole());
    assert!(resumed.stderr.contains("account_nick_key"), "{}", resumed.whole());
    shown.push(("resume", resumed.whole()));
    shown.push(("erase", shop.ok(&[&["erase"][..], &log].concat()).whole()));
    shown.push(("status at the end", shop.ok(&["status", "--deep"]).whole()));
    assert_eq!(servers.de.sql("mail", "SELECT count(*) FROM account"), "20");
    for (what, text) in shown {
        assert!(!text.is_empty(), "{what} says nothing");
        assert!(!text.contains(CANARY), "{what} names a subject:\n{text}");
    }
}
