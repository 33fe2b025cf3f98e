//! `serve --directory` with the real binary: asked, stopped, started again.

use crate::shop::Shop;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A directory service that runs; killed where a test forgets it.
struct Served {
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(shop: &Shop) -> Served {
    let child = shop.command(&["serve", "--directory"]).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut served = Served { child, address: String::new() };
    let mut told = Vec::new();
    for line in BufReader::new(served.child.stderr.take().expect("stderr")).lines() {
        let line = line.expect("a line");
        if let Some(address) = line.strip_prefix("directory: http://") {
            served.address = address.to_owned();
            return served;
        }
        told.push(line);
    }
    panic!("it ended: {told:#?}");
}

impl Served {
    /// Status line and body.
    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: d\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }

    /// SIGTERM; its exit code.
    fn stop(mut self) -> Option<i32> {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill").success());
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn the_directory_service_tells_homes() {
    let shop = Shop::ready(1);
    shop.append("domicile.toml", "\n[directory]\nlisten = [\"127.0.0.1:0\"]\n");
    let mut first = None;
    for _ in 0..2 {
        let served = start(&shop);
        let tokens = shop.read("keys/directory.tokens");
        let token = tokens.trim();
        // Made once, and kept.
        assert_eq!(first.get_or_insert_with(|| token.to_owned()), token);
        let (status, body) = served.ask("GET", "/v1/services/main/homes/0001", token, "");
        assert_eq!(
            (status.as_str(), body.as_str()),
            ("HTTP/1.1 200 OK", r#"{"region":"us","epoch":1,"endpoint":null}"#)
        );
        let (status, _) = served.ask("GET", "/v1/services/main/homes/1", "another token than that", "");
        assert_eq!(status, "HTTP/1.1 401 Unauthorized");
        assert_eq!(served.stop(), Some(0));
    }
    let served = start(&shop);
    let token = first.expect("a token");
    let new = r#"{"subject":"900","country":"DE"}"#;
    let (status, body) = served.ask("POST", "/v1/services/main/homes", &token, new);
    assert_eq!(
        (status.as_str(), body.contains(r#""region":"de""#)),
        ("HTTP/1.1 201 Created", true),
        "{body}"
    );
    let located = shop.run(&["locate", "900"]);
    assert!(located.stdout.contains("de"), "{}", located.whole());
    let claim = r#"{"kind":"email","value":"n@example.org","subject":"900","attempt":"a"}"#;
    for (step, said) in [("reserve", "reserved"), ("commit", "committed")] {
        let (_, body) = served.ask("POST", &format!("/v1/services/main/claims/{step}"), &token, claim);
        assert!(body.contains(said), "{body}");
    }
    let login = r#"{"kind":"email","value":"N@example.org"}"#;
    let (_, body) = served.ask("POST", "/v1/services/main/claims/resolve", &token, login);
    assert!(body.contains(r#""region":"de""#), "{body}");
    assert_eq!(served.stop(), Some(0));
}
