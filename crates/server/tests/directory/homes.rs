//! Homes: sign-up by policy and latency, look-ups, epochs as tags, removal.

use crate::stage::{Stage, TOKEN};
use domicile_server::directory::OPENAPI;
use http::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn a_new_subject_goes_where_law_and_then_latency_send_it() {
    let stage = Stage::start().await;
    for (country, region) in
        [("IN", "mumbai"), ("France", "frankfurt"), ("SG", "mumbai"), ("FR", "frankfurt")]
    {
        let subject = format!("a {country}/1");
        let new =
            stage.post("/v1/services/shop/homes", json!({ "subject": subject, "country": country })).await;
        assert_eq!(
            (new.status, new.json()["region"].as_str()),
            (StatusCode::CREATED, Some(region)),
            "{}",
            new.text
        );
        assert_eq!((new.tag(), &new.json()["epoch"]), ("\"1\"", &json!(1)));
        // Where it says it is, it is.
        let found = stage.get(new.headers["location"].to_str().unwrap()).await;
        assert_eq!((found.status, found.json()), (StatusCode::OK, new.json()));
        // Again, and from another country: who has a home keeps it.
        let again =
            stage.post("/v1/services/shop/homes", json!({ "subject": subject, "country": "CN" })).await;
        assert_eq!((again.status, again.json()), (StatusCode::OK, new.json()));
    }
    let refused = json!({ "subject": "pilot", "country": "IN", "flags": ["air-force"] });
    let refused = stage.post("/v1/services/shop/homes", refused).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "refused".into()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("air force"), "{}", refused.text);
    let unknown = stage.get("/v1/services/shop/homes/pilot").await;
    assert_eq!((unknown.status, unknown.code()), (StatusCode::NOT_FOUND, "unknown-home".into()));
}

/// Who has agreed to it may be placed where the others may not; a consent is a word, as a flag is.
#[tokio::test]
async fn a_policy_that_asks_for_a_consent_is_told_of_it() {
    let stage = Stage::start().await;
    let sign_up = async |consents: Value| {
        let body = json!({ "subject": "bia", "country": "BR", "consents": consents });
        stage.post("/v1/services/shop/homes", body).await
    };
    for none in [json!([]), json!(["marketing"])] {
        let refused = sign_up(none).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "refused".into()));
        assert!(refused.json()["detail"].as_str().unwrap().contains("if they agree"), "{}", refused.text);
    }
    for bad in [json!([""]), json!(["x".repeat(65)]), json!(vec!["x"; 33]), json!([7]), json!("region_move")]
    {
        let refused = sign_up(bad).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, "invalid-body".into()));
    }
    let agreed = sign_up(json!(["marketing", "region_move"])).await;
    assert_eq!(agreed.status, StatusCode::CREATED, "{}", agreed.text);
}

#[tokio::test]
async fn an_epoch_is_the_answers_tag() {
    let stage = Stage::start().await;
    let path = "/v1/services/shop/homes/ann";
    stage.post("/v1/services/shop/homes", json!({ "subject": "ann", "country": "FR" })).await;
    let known = stage.ask(Method::GET, path, &[("if-none-match", "\"1\"")], None).await;
    assert_eq!((known.status, known.tag(), known.text.as_str()), (StatusCode::NOT_MODIFIED, "\"1\"", ""));
    stage.swap("ann", "frankfurt", 1, "mumbai").await;
    let moved = stage.ask(Method::GET, path, &[("if-none-match", "\"1\"")], None).await;
    assert_eq!((moved.status, moved.tag()), (StatusCode::OK, "\"2\""));
    assert_eq!(moved.json(), json!({ "region": "mumbai", "epoch": 2, "endpoint": null }));
    let head = stage.ask(Method::HEAD, path, &[], None).await;
    assert_eq!((head.status, head.tag(), head.text.as_str()), (StatusCode::OK, "\"2\"", ""));
}

#[tokio::test]
async fn many_are_looked_up_at_once() {
    let stage = Stage::start().await;
    stage.post("/v1/services/shop/homes", json!({ "subject": "ann", "country": "FR" })).await;
    let body = json!({ "subjects": ["bob", "ann", "ann"] });
    let found = stage.post("/v1/services/shop/homes/lookup", body).await;
    let ann = json!({ "subject": "ann", "region": "frankfurt", "epoch": 1, "endpoint": null });
    assert_eq!(found.json(), json!({ "homes": [null, ann, ann] }));
    let all: Vec<String> = (0..1000).map(|n| format!("{n:0>500}")).collect();
    let most = stage.post("/v1/services/shop/homes/lookup", json!({ "subjects": all })).await;
    assert_eq!((most.status, most.json()["homes"].as_array().map(Vec::len)), (StatusCode::OK, Some(1000)));
    let beyond = vec!["x"; 1001];
    let beyond = stage.post("/v1/services/shop/homes/lookup", json!({ "subjects": beyond })).await;
    assert_eq!((beyond.status, beyond.code()), (StatusCode::BAD_REQUEST, "invalid-body".into()));
}

/// `007` is `7` where keys are numbers: or a subject could get two homes.
#[tokio::test]
async fn a_key_has_one_spelling() {
    let stage = Stage::start().await;
    let new = stage.post("/v1/services/numbers/homes", json!({ "subject": "007", "country": "FR" })).await;
    assert_eq!(new.status, StatusCode::CREATED);
    assert_eq!(new.headers["location"], "/v1/services/numbers/homes/7");
    let again = stage.post("/v1/services/numbers/homes", json!({ "subject": "7", "country": "IN" })).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, new.json()));
    let wrong = stage.get("/v1/services/numbers/homes/seven").await;
    assert_eq!(wrong.code(), "invalid-subject");
}

#[tokio::test]
async fn who_is_deleted_has_no_home() {
    let stage = Stage::start().await;
    let path = |region: &str| format!("/v1/services/shop/homes/ann?region={region}");
    stage.post("/v1/services/shop/homes", json!({ "subject": "ann", "country": "FR" })).await;
    let delete =
        |region: &'static str| stage.ask(Method::DELETE, Box::leak(path(region).into_boxed_str()), &[], None);
    assert_eq!(delete("mumbai").await.code(), "elsewhere");
    assert_eq!(delete("nowhere").await.code(), "unknown-region");
    for _ in 0..2 {
        assert_eq!(delete("frankfurt").await.status, StatusCode::NO_CONTENT);
        assert_eq!(stage.get("/v1/services/shop/homes/ann").await.code(), "unknown-home");
    }
    // Signed up again, its epoch goes on.
    let again = stage.post("/v1/services/shop/homes", json!({ "subject": "ann", "country": "FR" })).await;
    assert_eq!((again.status, again.tag()), (StatusCode::CREATED, "\"3\""));
}

#[tokio::test]
async fn only_a_token_lets_somebody_in() {
    let stage = Stage::start().await;
    let wrong = format!("Bearer {TOKEN}x");
    for headers in [&[][..], &[("authorization", wrong.as_str())], &[("authorization", "Basic YTpi")]] {
        for (method, path) in
            [(Method::GET, "/homes/ann"), (Method::POST, "/homes"), (Method::POST, "/claims/resolve")]
        {
            let answer = stage.raw(method, &format!("/v1/services/shop{path}"), headers, String::new()).await;
            assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "unauthorized".into()));
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    let described = stage.raw(Method::GET, "/openapi.json", &[], String::new()).await;
    assert_eq!(described.text, OPENAPI);
}

/// The file in the repository is what is answered, and names every path that there is.
#[tokio::test]
async fn the_description_is_the_repositorys() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/directory.openapi.json");
    assert_eq!(std::fs::read_to_string(file).unwrap(), OPENAPI);
    let described: Value = serde_json::from_str(OPENAPI).unwrap();
    assert_eq!(described["openapi"], "3.1.0");
    let stage = Stage::start().await;
    for (path, methods) in described["paths"].as_object().unwrap() {
        let path = path.replace("{service}", "shop").replace("{subject}", "ann");
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = stage.ask(method.clone(), &path, &[], Some(json!({}))).await;
            let known = !["no-such-path", "no-such-method"].iter().any(|code| answer.text.contains(code));
            assert!(known, "{method} {path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn what_can_not_be_understood_is_said_and_not_repeated() {
    let stage = Stage::start().await;
    let homes = "/v1/services/shop/homes";
    for (method, path, status, code) in [
        (Method::GET, "/nowhere", 404, "no-such-path"),
        (Method::PUT, homes, 405, "no-such-method"),
        (Method::GET, "/v1/services/cloud/homes/ann", 404, "unknown-service"),
        (Method::GET, "/v1/services/shop/homes/%FF", 400, "invalid-path"),
        (Method::GET, "/v1/services/shop/homes/a%00b", 422, "invalid-subject"),
        (Method::GET, "/v1/services/shop/homes/ann?wait=61", 400, "invalid-query"),
        (Method::GET, "/v1/services/shop/homes/ann?wait=-1", 400, "invalid-query"),
        (Method::GET, "/v1/services/shop/homes/ann?weight=1", 400, "invalid-query"),
    ] {
        let answer = stage.ask(method, path, &[], None).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
    }
    let put = stage.ask(Method::PUT, homes, &[], None).await;
    assert_eq!(put.headers["allow"], "POST");
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"subject\":\"canary\"}",
        "{\"subject\":7,\"country\":\"FR\"}",
        "{\"subject\":\"canary\",\"country\":\"FR\",\"planet\":\"canary\"}",
        "{\"subject\":\"canary\",\"country\":\"FR\"} x",
    ] {
        let headers = [("authorization", &*format!("Bearer {TOKEN}")), ("content-type", "application/json")];
        let answer = stage.raw(Method::POST, homes, &headers, body.into()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid-body"), "{body}");
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    let headers = [("authorization", &*format!("Bearer {TOKEN}")), ("content-type", "text/plain")];
    let answer = stage.raw(Method::POST, homes, &headers, "{}".into()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (415, "no-json"));
    let nowhere = stage.post(homes, json!({ "subject": "ann", "country": "Atlantis" })).await;
    assert_eq!(nowhere.code(), "invalid-country");
}
