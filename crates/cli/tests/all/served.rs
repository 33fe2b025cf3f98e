//! `serve`: configurations that can't be used, and what a running gateway says of itself.

use crate::shop::Shop;
use insta::assert_snapshot;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A `[gateway]` that can be used.
const GATEWAY: &str = "\n[gateway]\nlisten = [\"127.0.0.1:0\"]\nsubject = [\"header:X-Subject\"]\n";

fn configured() -> Shop {
    let shop = Shop::bare(1);
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    shop.answer_all();
    shop.add_germany();
    shop
}

/// Runs `serve` with these tables behind the configuration, and wants exit code 2.
fn refused(tables: &str) -> String {
    let shop = configured();
    shop.append("domicile.toml", tables);
    let ran = shop.run(&["serve", "--gateway"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.whole());
    ran.stderr
}

/// The same with a `[gateway]` in which `from` is `to`, and `more` behind it.
fn changed(from: &str, to: &str, more: &str) -> String {
    assert!(GATEWAY.contains(from), "{from}");
    refused(&(GATEWAY.replace(from, to) + more))
}

#[test]
fn nothing_to_serve() {
    let shop = configured();
    assert_snapshot!("serve_nothing", shop.run(&["serve"]).whole());
    assert_snapshot!("serve_no_gateway", refused(""));
    assert_snapshot!("serve_no_directory", shop.run(&["serve", "--directory"]).stderr);
}

#[test]
fn keys_that_are_not_known() {
    assert_snapshot!("serve_unknown_key", changed("subject", "subjects", ""));
    assert_snapshot!("serve_unknown_limit", changed("\n[", "\n[", "[gateway.limits]\npark_s = 3\n"));
    assert_snapshot!("serve_unknown_jwt", changed("\n[", "\n[", "[gateway.jwt]\nkey = \"jwks.json\"\n"));
}

#[test]
fn upstreams_and_regions_that_are_not_there() {
    let more = "[gateway.upstreams]\nuss = \"http://127.0.0.1:1\"\n";
    assert_snapshot!("serve_upstream_region", changed("\n[", "\n[", more));
    let more = "[gateway.upstreams]\nus = \"127.0.0.1:1/shop\"\n";
    assert_snapshot!("serve_upstream_address", changed("\n[", "\n[", more));
    assert_snapshot!("serve_region", changed("subject", "region = \"paris\"\nsubject", ""));
    assert_snapshot!("serve_upstream_missing", changed("subject", "key = \"integer\"\nsubject", ""));
}

#[test]
fn subjects_that_nobody_could_find() {
    assert_snapshot!("serve_subject", changed("header:X-Subject", "query:subject", ""));
    assert_snapshot!("serve_subject_path", changed("header:X-Subject", "path:users", ""));
    assert_snapshot!("serve_subject_none", changed("\"header:X-Subject\"", "", ""));
    assert_snapshot!("serve_jwt_without_keys", changed("header:X-Subject", "jwt", ""));
    let more = "[gateway.jwt]\nkeys = \"jwks.json\"\n";
    assert_snapshot!("serve_keys_without_jwt", changed("\n[", "\n[", more));
    assert_snapshot!("serve_key", changed("subject", "key = \"number\"\nsubject", ""));
    let more = "[[gateway.login]]\npath = \"/login\"\nkind = \"mail\"\nfield = \"email\"\n";
    assert_snapshot!("serve_login_kind", changed("\n[", "\n[", more));
    assert_snapshot!("serve_log", changed("subject", "log = \"all\"\nsubject", ""));
}

#[test]
fn addresses_that_can_not_be_listened_at() {
    assert_snapshot!("serve_listen", changed("127.0.0.1:0", "localhost", ""));
    assert_snapshot!("serve_listen_none", changed("\"127.0.0.1:0\"", "", ""));
    assert_snapshot!("serve_listen_clear", changed("127.0.0.1:0", "0.0.0.0:8080", ""));
    let half = "certificate = \"chain.pem\"\nsubject";
    assert_snapshot!("serve_half_certificate", changed("subject", half, ""));
    assert_snapshot!("serve_admin_open", changed("\n[", "\n[", "[admin]\nlisten = \"0.0.0.0:9466\"\n"));
}

/// An application that answers everything with 200 and what it was sent.
fn application() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().expect("a clone")).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }
}

/// A gateway that runs, and its lines as they come.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    told: Vec<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr"));
        let (to, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { child, lines, told: Vec::new() }
    }

    /// The next line of this event.
    pub fn event(&mut self, event: &str) -> serde_json::Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no {event}:\n{}", self.told.join("\n")));
            self.told.push(line.clone());
            let read: serde_json::Value =
                serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(read["time"].is_string() && read["level"].is_string(), "{line}");
            if read["event"] == event {
                return read;
            }
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Everything that it told, once it has ended.
    pub fn ended(mut self) -> (i32, String) {
        let code = self.child.wait().expect("it ends").code().unwrap_or(-1);
        self.told.extend(self.lines.iter());
        let mut stdout = String::new();
        self.child.stdout.take().expect("stdout").read_to_string(&mut stdout).expect("text");
        (code, self.told.join("\n") + &stdout)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Sends bytes and reads until the other end hangs up.
pub fn raw(url: &str, bytes: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("it listens");
    stream.write_all(bytes.as_bytes()).expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// The whole life of a gateway in its log, and nothing of anybody in it, in its metrics, and in its problems.
#[test]
fn a_gateway_tells_of_itself_and_of_nobody() {
    let shop = Shop::ready(1);
    // A key that is not found in anything else by chance.
    shop.ok(&["register", "7730914552", "--region", "us"]);
    let application = application();
    let tables = GATEWAY.replace("subject", "log = \"requests\"\nkey = \"integer\"\nsubject")
        + &format!("[gateway.upstreams]\nus = \"http://{application}\"\nde = \"http://{application}\"\n")
        + "[admin]\nlisten = \"127.0.0.1:0\"\n";
    shop.append("domicile.toml", &tables);
    let mut command = shop.command(&["serve", "--gateway", "--log", "json"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").env("OTEL_TRACES_SAMPLER", "some_day");
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary-header-secret");
    let mut gateway = Running::start(command);
    let start = gateway.event("start");
    assert_eq!((&start["gateway"], &start["directory"]), (&true.into(), &false.into()));
    assert!(gateway.event("ignored")["what"].as_str().expect("what").starts_with("OTEL_TRACES_SAMPLER"));
    let url = gateway.event("listening")["url"].as_str().expect("a URL").to_owned();
    let admin = gateway.event("listening")["url"].as_str().expect("a URL").to_owned();
    gateway.event("ready");
    let more = "Host: a\r\nAuthorization: Bearer canary-token-93bd\r\nCookie: s=canary-cookie-22c1\r\n\
                User-Agent: canary-agent\r\nConnection: close\r\n";
    let ask = |method: &str, path: &str, subject: &str| {
        raw(&url, &format!("{method} {path} HTTP/1.1\r\nX-Subject: {subject}\r\n{more}\r\n"))
    };
    let path = "/canary.mail@example.com?q=canary-query-value";
    let answer = ask("GET", path, "7730914552");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"), "{answer}");
    let first = gateway.event("request");
    for (key, value) in [
        ("route", "subject".into()),
        ("method", "GET".into()),
        ("status", 200.into()),
        ("region", "us".into()),
        ("bytes", 2.into()),
        ("whole", true.into()),
        ("level", serde_json::Value::from("info")),
    ] {
        assert_eq!(first[key], value, "{key}: {first}");
    }
    assert_eq!(first["trace_id"].as_str().expect("an id").len(), 32);
    assert!(first["duration_us"].as_u64().expect("a number") > 0);
    let mut problems = ask("GET", path, "canary.mail@example.com");
    problems += &ask("canaryMethod", path, "canary.mail@example.com");
    problems +=
        &raw(&url, "GET /canary-query-value HTTP/1.1\r\nHost: a\r\nHost: canary.mail@example.com\r\n\r\n");
    let problem = gateway.event("request");
    assert_eq!((&problem["problem"], &problem["region"]), (&"no-subject".into(), &serde_json::Value::Null));
    assert!(problems.matches("\"code\"").count() >= 3, "{problems}");
    let token = shop.read("keys/admin.tokens").trim().to_owned();
    let metrics = format!(
        "GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let metrics = raw(&admin, &metrics);
    for line in ["domicile_gateway_requests_total 4", "domicile_log_lines_dropped_total 0"] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("domicile_connections_open{at=\"gateway\"} "), "{metrics}");
    gateway.signal("-TERM");
    gateway.event("stopping");
    let (code, told) = gateway.ended();
    assert_eq!(code, 0, "{told}");
    assert!(!told.contains(&token), "{told}");
    for (what, text) in [("the log", &told), ("the metrics", &metrics), ("a problem", &problems)] {
        let text = text.to_lowercase();
        for word in [
            "7730914552",
            "canary",
            // The same in hexadecimal and in Base64, from each of its three places.
            "63616e617279",
            "y2fuyxj5",
            "nhbmfye",
            "jyw5hcn",
            "37373330393134353532",
            "nzczmdkxndu1",
            "mza5mtq1n",
            "nzmwote0nt",
        ] {
            assert!(!text.contains(word), "{word} is in {what}: {text}");
        }
    }
    assert!(!told.replace(&url, "").replace(&admin, "").contains("127.0.0.1"), "{told}");
}

/// A public key of which nobody here has the private half.
const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// What happens to a process that serves is in its log: keys read again or not, the lease lost and regained.
#[test]
fn a_lease_that_is_lost_is_told_and_so_is_a_reload() {
    let shop = Shop::ready(1);
    shop.write("jwks.json", KEYS);
    let application = application();
    let tables = GATEWAY.replace("\"header:X-Subject\"", "\"header:X-Subject\", \"jwt\"")
        + &format!("[gateway.upstreams]\nus = \"http://{application}\"\nde = \"http://{application}\"\n")
        + "[gateway.jwt]\nkeys = \"jwks.json\"\n"
        + "[directory]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    shop.append("domicile.toml", &tables);
    let mut serving = Running::start(shop.command(&["serve", "--gateway", "--directory", "--log", "json"]));
    let mut at = std::collections::BTreeMap::new();
    for _ in 0..3 {
        let line = serving.event("listening");
        let text = |key: &str| line[key].as_str().expect("a text").to_owned();
        at.insert(text("what"), text("url"));
    }
    serving.event("ready");
    serving.signal("-HUP");
    assert_eq!(serving.event("reloaded")["what"], "keys of tokens");
    shop.write("jwks.json", "{}");
    serving.signal("-HUP");
    assert_eq!(serving.event("not-reloaded")["level"], "warn");

    let ask =
        || raw(&at["gateway"], "GET / HTTP/1.1\r\nHost: a\r\nX-Subject: 1\r\nConnection: close\r\n\r\n");
    let ready = || raw(&at["admin"], "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(ask().starts_with("HTTP/1.1 200 "), "{}", ask());
    assert!(ready().starts_with("HTTP/1.1 200 "), "{}", ready());
    let control = shop.db("control.db");
    control.execute_batch("BEGIN EXCLUSIVE").expect("the control store is taken away");
    assert!(serving.event("not-ready")["why"].as_str().expect("why").contains("directory"));
    assert!(ask().contains("\"code\":\"no-lease\""), "{}", ask());
    assert!(ready().starts_with("HTTP/1.1 503 "), "{}", ready());
    control.execute_batch("ROLLBACK").expect("and given back");
    serving.event("ready");
    assert!(ask().starts_with("HTTP/1.1 200 "), "{}", ask());

    let path = "/v1/services/main/homes/canary-subject";
    let refused =
        raw(&at["directory"], &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let token = shop.read("keys/admin.tokens");
    let metrics = format!(
        "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        token.trim()
    );
    let metrics = raw(&at["admin"], &metrics);
    let line = "domicile_directory_requests_total{operation=\"home\",status=\"4xx\"} 1";
    assert!(metrics.lines().any(|l| l == line), "{metrics}");
    serving.signal("-TERM");
    let (code, told) = serving.ended();
    assert_eq!(code, 0, "{told}");
    assert!(!told.contains("canary") && !metrics.contains("canary"), "{told}");
}
