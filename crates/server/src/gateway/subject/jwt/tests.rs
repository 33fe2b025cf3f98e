use super::*;
use http::Request;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

/// An issuer with one Ed25519 key, and what a gateway knows of it.
struct Issuer {
    folder: tempfile::TempDir,
    key: EncodingKey,
    public: Value,
}

impl Issuer {
    fn new(id: &str) -> Self {
        use base64::Engine as _;
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let x = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        let public = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "use": "sig"});
        let key = EncodingKey::from_ed_der(&pair.serialize_der());
        Self { folder: tempfile::tempdir().unwrap(), key, public }
    }

    fn keys(&self) -> Arc<Keys> {
        let path = self.folder.path().join("jwks.json");
        std::fs::write(&path, json!({ "keys": [self.public] }).to_string()).unwrap();
        Keys::read(&path).unwrap()
    }

    fn sign(&self, id: &str, claims: &Value) -> String {
        let header = Header { kid: Some(id.into()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &self.key).unwrap()
    }
}

fn soon() -> i64 {
    jiff::Timestamp::now().as_second() + 600
}

fn asked(rule: &JwtRule, token: &str) -> Result<Option<String>, Nobody> {
    let request = Request::builder().uri("/").header("authorization", format!("Bearer {token}"));
    rule.subject(&request.body(()).unwrap().into_parts().0)
}

fn refused(rule: &JwtRule, token: &str) -> &'static str {
    match asked(rule, token) {
        Err(Nobody::Token(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_of_our_issuer_names_its_subject() {
    let issuer = Issuer::new("k1");
    let rule = JwtRule::new(issuer.keys(), "sub".into(), 10).or_in_cookie(Some("session".into()));
    let token = issuer.sign("k1", &json!({"sub": "ann", "exp": soon()}));
    for _ in 0..2 {
        assert_eq!(asked(&rule, &token), Ok(Some("ann".into())));
    }
    let numbered = issuer.sign("k1", &json!({"sub": 4711, "exp": soon()}));
    assert_eq!(asked(&rule, &numbered), Ok(Some("4711".into())));
    let request = Request::builder().uri("/").header("cookie", format!("session={token}"));
    assert_eq!(rule.subject(&request.body(()).unwrap().into_parts().0), Ok(Some("ann".into())));
    let request = Request::builder().uri("/").body(()).unwrap();
    assert_eq!(rule.subject(&request.into_parts().0), Ok(None));
}

#[test]
fn tokens_that_must_not_be_believed() {
    let issuer = Issuer::new("k1");
    let rule = JwtRule::new(issuer.keys(), "sub".into(), 10)
        .of_issuer(Some("us".into()))
        .for_audience(Some("notes".into()));
    let good = json!({"sub": "ann", "exp": soon(), "iss": "us", "aud": "notes"});
    assert!(asked(&rule, &issuer.sign("k1", &good)).is_ok());
    let with = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        issuer.sign("k1", &claims)
    };
    assert_eq!(refused(&rule, &with("exp", json!(1))), "it has expired");
    assert_eq!(refused(&rule, &with("nbf", json!(soon()))), "it is not valid yet");
    assert_eq!(refused(&rule, &with("iss", json!("them"))), "its issuer is another");
    assert_eq!(refused(&rule, &with("aud", json!("mail"))), "it is for another audience");
    assert!(asked(&rule, &with("sub", json!(["ann"]))).is_err());
    assert_eq!(refused(&rule, &with("sub", json!(1.5))), "it has no claim that names a subject");
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("exp");
    assert_eq!(refused(&rule, &issuer.sign("k1", &without)), "it lacks a claim that it must have");
    assert_eq!(refused(&rule, &issuer.sign("k2", &good)), "its key is not one of ours");
    assert_eq!(refused(&rule, &Issuer::new("k1").sign("k1", &good)), "its signature is not our key's");
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(refused(&rule, &long), "it is too long");
    for garbage in ["", "a.b.c", "....", "\u{e9}"] {
        assert_ne!(asked(&rule, garbage).ok().flatten(), Some("ann".to_owned()), "{garbage}");
    }
}

/// RFC 8725 section 2.1: no signature at all, and our public key used as a shared secret.
#[test]
fn a_token_does_not_choose_its_algorithm() {
    use base64::Engine as _;
    let issuer = Issuer::new("k1");
    let rule = JwtRule::new(issuer.keys(), "sub".into(), 10);
    let base64 = |value: Value| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = base64(json!({"sub": "ann", "exp": soon()}));
    let none = format!("{}.{claims}.", base64(json!({"alg": "none", "kid": "k1"})));
    assert_eq!(refused(&rule, &none), "it is no signed JWT");
    let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
    let secret = EncodingKey::from_base64_secret(issuer.public["x"].as_str().unwrap());
    let confused = encode(
        &header,
        &json!({"sub": "ann", "exp": soon()}),
        &secret.unwrap_or_else(|_| EncodingKey::from_secret(issuer.public["x"].as_str().unwrap().as_bytes())),
    );
    assert_eq!(refused(&rule, &confused.unwrap()), "its algorithm is not its key's");
}

/// What an older set of keys verified is not believed on after a key was withdrawn.
#[test]
fn a_key_that_was_withdrawn_verifies_nothing_more() {
    let (issuer, other) = (Issuer::new("k1"), Issuer::new("k2"));
    let keys = issuer.keys();
    let rule = JwtRule::new(keys.clone(), "sub".into(), 10);
    let token = issuer.sign("k1", &json!({"sub": "ann", "exp": soon()}));
    assert!(asked(&rule, &token).is_ok());
    let path = issuer.folder.path().join("jwks.json");
    std::fs::write(&path, "{}").unwrap();
    assert!(keys.reload().is_err());
    assert!(asked(&rule, &token).is_ok(), "the old keys stay");
    std::fs::write(&path, json!({ "keys": [other.public] }).to_string()).unwrap();
    keys.reload().unwrap();
    assert_eq!(refused(&rule, &token), "its key is not one of ours");
}

/// A key for HMAC in the set is not used, and a memory of ten holds ten.
#[test]
fn secrets_are_no_keys_and_memory_is_bounded() {
    let issuer = Issuer::new("k1");
    let path = issuer.folder.path().join("secret.json");
    std::fs::write(&path, json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}]}).to_string())
        .unwrap();
    assert!(Keys::read(&path).unwrap_err().why.contains("no public key"));
    let rule = JwtRule::new(issuer.keys(), "sub".into(), SHARDS);
    for n in 0..500 {
        let token = issuer.sign("k1", &json!({"sub": n, "exp": soon()}));
        assert_eq!(asked(&rule, &token), Ok(Some(n.to_string())));
    }
    let held: usize = rule.verified.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
    assert!(held <= SHARDS, "{held}");
}
