//! Claims over HTTP: a sign-up, a login, and two who want the same name.

use crate::stage::Stage;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

fn claim(value: &str, subject: &str, attempt: &str) -> Value {
    json!({ "kind": "email", "value": value, "subject": subject, "attempt": attempt })
}

async fn call(stage: &Stage, step: &str, body: Value) -> (u16, String) {
    let answer = stage.post(&format!("/v1/services/shop/claims/{step}"), body).await;
    let word = match answer.status {
        StatusCode::OK => answer.json().get("outcome").and_then(Value::as_str).unwrap_or("").to_owned(),
        _ => answer.code(),
    };
    (answer.status.as_u16(), word)
}

#[tokio::test]
async fn a_name_is_one_persons() {
    let stage = Stage::start().await;
    assert_eq!(call(&stage, "reserve", claim("Ann@Example.com", "ann", "a")).await, (200, "reserved".into()));
    assert_eq!(call(&stage, "reserve", claim("ann@example.com", "bob", "b")).await, (409, "taken".into()));
    assert_eq!(call(&stage, "commit", claim("ann@example.com", "ann", "a")).await, (409, "homeless".into()));
    stage.post("/v1/services/shop/homes", json!({ "subject": "ann", "country": "IN" })).await;
    stage.post("/v1/services/shop/homes", json!({ "subject": "bob", "country": "FR" })).await;
    for _ in 0..2 {
        assert_eq!(
            call(&stage, "commit", claim("ann@example.com", "ann", "a")).await,
            (200, "committed".into())
        );
    }
    assert_eq!(
        call(&stage, "commit", claim("ann@example.com", "bob", "b")).await,
        (409, "not-reserved".into())
    );
    assert_eq!(call(&stage, "reserve", claim("ann@example.com", "ann", "c")).await, (200, "own".into()));
    let login = json!({ "kind": "email", "value": " ANN@example.com " });
    let found = stage.post("/v1/services/shop/claims/resolve", login.clone()).await.json();
    let hash = stage.directory.hash("shop", &domicile_stores::records::SubjectId("ann".into())).to_string();
    assert_eq!(found, json!({ "subject_hash": hash, "region": "mumbai", "epoch": 1, "endpoint": null }));
    let released = json!({ "kind": "email", "value": "ann@example.com", "subject": "ann" });
    for gone in [true, false] {
        let answer = stage.post("/v1/services/shop/claims/release", released.clone()).await;
        assert_eq!(answer.json(), json!({ "released": gone }));
    }
    assert_eq!(call(&stage, "resolve", login).await, (404, "unknown-claim".into()));
    assert_eq!(call(&stage, "reserve", claim("ann@example.com", "bob", "d")).await, (200, "reserved".into()));
}

#[tokio::test]
async fn what_is_no_claim_is_refused_without_repeating_it() {
    let stage = Stage::start().await;
    for (kind, value) in
        [("email", "canary"), ("phone", "0301234canary"), ("user-name", "canary canary"), ("email", "")]
    {
        for step in ["resolve", "reserve", "commit", "release"] {
            let mut body = json!({ "kind": kind, "value": value });
            if step != "resolve" {
                (body["subject"], body["attempt"]) = ("ann".into(), "a".into());
            }
            let answer = stage.post(&format!("/v1/services/shop/claims/{step}"), body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (422, "invalid-claim"),
                "{step} {value}"
            );
            assert!(!answer.text.contains("canary"), "{}", answer.text);
        }
    }
    let mut wrong = claim("ann@example.com", "ann", "a");
    for (key, value) in [("kind", json!("fax")), ("seconds", json!(0)), ("seconds", json!(3601))] {
        let before = wrong.clone();
        wrong[key] = value;
        assert_eq!(call(&stage, "reserve", wrong).await, (400, "invalid-body".into()), "{key}");
        wrong = before;
    }
    let nameless = claim("ann@example.com", "ann", "");
    assert_eq!(call(&stage, "reserve", nameless).await, (422, "out-of-bounds".into()));
}

/// Everybody wants one name at once: one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_gets_a_name() {
    for stage in Stage::both().await {
        one_gets_it(Arc::new(stage)).await;
    }
}

async fn one_gets_it(stage: Arc<Stage>) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..32 {
        let stage = stage.clone();
        tasks.spawn(async move {
            let (subject, country) = (format!("s{n}"), ["IN", "FR", "SG"][n % 3]);
            let body = claim("ann@example.com", &subject, "only");
            if call(&stage, "reserve", body.clone()).await.0 != 200 {
                return 0;
            }
            let home = json!({ "subject": subject, "country": country });
            assert_eq!(stage.post("/v1/services/shop/homes", home).await.status, StatusCode::CREATED);
            assert_eq!(call(&stage, "commit", body).await.0, 200);
            1
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<u32>(), 1);
}
