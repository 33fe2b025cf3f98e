//! Stores that can't be used: who must act, and no secret in the words.

use crate::stage::{environment, folder, new_bucket, server};
use domicile_stores::Error;
use domicile_stores::objects::Objects;
use std::path::Path;

async fn refused(url: &str, environment: &(dyn Fn(&str) -> Option<String> + Sync)) -> Error {
    let error = Objects::open_with(url, Path::new("/"), environment).await.expect_err(url);
    let words = format!("{error} {error:?}");
    assert!(!words.contains("hunter2") && !words.contains(server().secret_key()), "{words}");
    error
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used() {
    let (bucket, endpoint) = (new_bucket(), server().endpoint());
    let absent = refused(&format!("s3://absent-bucket?endpoint={endpoint}"), &environment).await;
    assert!(matches!(absent, Error::Setting { .. }), "{absent}");
    let wrong = |name: &str| {
        if name == "AWS_SECRET_ACCESS_KEY" { Some("hunter2".to_owned()) } else { environment(name) }
    };
    let denied = refused(&format!("s3://{bucket}?endpoint={endpoint}"), &wrong).await;
    assert!(matches!(denied, Error::Denied { .. }), "{denied}");
    let port = domicile_testbed::free_port();
    let away = refused(&format!("s3://{bucket}?endpoint=http://127.0.0.1:{port}"), &environment).await;
    assert!(away.is_unreachable(), "{away}");
}

#[tokio::test]
async fn credentials_of_a_region_of_its_own() {
    let (bucket, endpoint) = (new_bucket(), server().endpoint());
    let named = |name: &str| environment(name.strip_prefix("OREGON_")?);
    let url = format!("s3://{bucket}?endpoint={endpoint}&credentials=OREGON");
    let store = Objects::open_with(&url, Path::new("/"), &named).await.expect("credentials by name");
    assert_eq!(store.name(), format!("s3://{bucket}/"));
}

#[tokio::test]
async fn a_folder_that_is_not_there() {
    let (dir, _store) = folder().await;
    let absent = Objects::open("file:absent", dir.path()).await.expect_err("absent");
    assert!(matches!(absent, Error::Setting { .. }), "{absent}");
    assert!(absent.to_string().contains("mkdir -p"), "{absent}");
    assert!(!dir.path().join("absent").exists(), "an unmounted disk stays noticed");
}
