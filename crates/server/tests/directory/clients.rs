//! The clients in Python and JavaScript: their example runs while the subject moves.

use crate::stage::{Stage, TOKEN};
use domicile_directory::Directory;
use domicile_server::body;
use domicile_server::directory::DirectoryLimits;
use domicile_server::listen::{ConnectionLimits, Listener, Stop, serve};
use domicile_stores::records::SubjectId;
use http::{Response, StatusCode};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Applications of both regions: each keeps notes of those alone whose home it is, and answers 421 to the others.
struct Applications {
    endpoints: BTreeMap<String, String>,
    directory: Arc<OnceLock<Arc<Directory>>>,
    stop: Stop,
}

fn applications() -> Applications {
    let (directory, stop) = (Arc::new(OnceLock::<Arc<Directory>>::new()), Stop::default());
    let mut endpoints = BTreeMap::new();
    for region in ["mumbai", "frankfurt"] {
        let at = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(at, None, false, ConnectionLimits::default()).unwrap();
        endpoints.insert(region.to_owned(), format!("http://{}", listener.address().unwrap()));
        let directory = directory.clone();
        let answer = move |_, request: http::Request<hyper::body::Incoming>| {
            let directory = directory.clone();
            async move {
                let subject = request.uri().path().trim_start_matches("/notes/");
                let subject = percent_encoding::percent_decode_str(subject).decode_utf8().unwrap();
                let subject = SubjectId(subject.into_owned());
                let home = directory.get().unwrap().home("shop", &subject).await.unwrap().unwrap();
                let (status, text) = match home.region == region {
                    true => (StatusCode::OK, format!("kept at {region}")),
                    false => (StatusCode::MISDIRECTED_REQUEST, format!("not at {region}")),
                };
                Response::builder()
                    .status(status)
                    .header("domicile-retry", "1")
                    .body(body::full(text))
                    .unwrap()
            }
        };
        tokio::spawn(serve(listener, stop.clone(), answer));
    }
    Applications { endpoints, directory, stop }
}

/// Runs an example; its subject moves as soon as it has written its first note.
async fn example(program: &str, file: &str) {
    let applications = applications();
    let stage = Stage::with(DirectoryLimits::default(), applications.endpoints.clone()).await;
    applications.directory.set(stage.directory.clone()).unwrap_or_else(|_| panic!("once"));
    let path = format!("{}/../../clients/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(program)
        .args([&path, "ann 1", "Ann@Example.com", "FR", "--until-moved"])
        .envs([("DOMICILE_URL", stage.url.as_str()), ("DOMICILE_TOKEN", TOKEN), ("DOMICILE_SERVICE", "shop")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}; `cargo xtask tools` installs it"));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "note 1: kept at frankfurt" {
            stage.swap("ann 1", "frankfurt", 1, "mumbai").await;
        }
        told.push(line);
    }
    assert!(child.wait().await.unwrap().success(), "{told:#?}");
    assert_eq!(
        told[..3],
        ["signed up at frankfurt, epoch 1", "found at frankfurt", "note 1: kept at frankfurt"]
    );
    assert!(told.last().unwrap().ends_with("kept at mumbai"), "{told:#?}");
    applications.stop.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn python() {
    example("python3", "python/example.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript() {
    example("node", "javascript/example.mjs").await;
}
