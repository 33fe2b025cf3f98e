//! Erasing exactly what was listed.

use crate::stage::{folder, keys, new_bucket, new_bucket_with_versions, open_s3, put, s3, server, sha256};
use domicile_stores::Error;
use domicile_stores::objects::{Objects, Version, Versions};

async fn versions(store: &Objects, prefix: &str) -> Vec<Version> {
    match store.versions(prefix).await.unwrap() {
        Versions::Listed(mut all) => {
            all.sort();
            all
        }
        other => panic!("{other:?}"),
    }
}

fn key(key: &str) -> [String; 1] {
    [key.to_owned()]
}

#[tokio::test]
async fn versions_and_markers_are_listed_and_erased_by_id() {
    let store = open_s3(&new_bucket_with_versions(), "bj", &server().endpoint()).await;
    for text in ["one", "two", "three"] {
        put(&store, "u/1/a %", text.as_bytes()).await;
    }
    store.delete("u/1/a %").await.unwrap();
    put(&store, "u/10/a", b"neighbour").await;
    assert_eq!(store.head("u/1/a %").await.unwrap(), None, "a marker hides it");
    let all = versions(&store, "u/1/").await;
    assert_eq!(all.len(), 4);
    assert_eq!(all.iter().filter(|v| v.marker).count(), 1);
    assert!(all.iter().all(|v| v.key == "u/1/a %" && v.latest == v.marker));
    let erased = store.erase(&key("u/1/a %")).await.unwrap();
    assert_eq!((erased.objects, erased.versions, erased.newer, erased.unlisted), (1, 4, 0, false));
    assert_eq!(versions(&store, "u/1/").await, []);
    assert_eq!(versions(&store, "u/1").await.len(), 1, "the neighbour stays");
    let again = store.erase(&key("u/1/a %")).await.unwrap();
    assert_eq!((again.objects, again.versions), (0, 0));
}

#[tokio::test]
async fn a_version_that_came_after_the_listing_stays() {
    let store = open_s3(&new_bucket_with_versions(), "", &server().endpoint()).await;
    put(&store, "photo", b"old").await;
    put(&store, "photo", b"newer").await;
    let listed = versions(&store, "photo").await;
    put(&store, "photo", b"late").await;
    let erased = store.erase_versions(&listed).await.unwrap();
    assert_eq!((erased.versions, erased.newer), (2, 1));
    assert_eq!(store.digest("photo").await.unwrap(), (4, sha256(b"late")));
    assert_eq!(versions(&store, "photo").await.len(), 1);
    // Once more: what is gone is gone, and the late one still stays.
    assert_eq!(store.erase_versions(&listed).await.unwrap().newer, 1);
    assert_eq!(store.digest("photo").await.unwrap(), (4, sha256(b"late")));
}

#[tokio::test]
async fn a_bucket_without_versions_has_one_of_each() {
    let store = open_s3(&new_bucket(), "", &server().endpoint()).await;
    put(&store, "a", b"1").await;
    put(&store, "ab", b"2").await;
    put(&store, "a/b", b"3").await;
    let all = versions(&store, "a").await;
    let told: Vec<_> = all.iter().map(|v| (v.key.as_str(), v.id.as_str(), v.latest)).collect();
    assert_eq!(told, [("a", "null", true), ("a/b", "null", true), ("ab", "null", true)]);
    let erased = store.erase(&key("a")).await.unwrap();
    assert_eq!((erased.objects, erased.versions), (1, 1));
    assert_eq!(keys(&store, "").await, ["a/b", "ab"]);
}

#[tokio::test]
async fn a_folder_keeps_no_versions_and_no_empty_folders() {
    let (dir, store) = folder().await;
    put(&store, "u/1/x/y/photo", b"1").await;
    put(&store, "u/2/photo", b"2").await;
    assert_eq!(store.versions("u/").await.unwrap(), Versions::None);
    assert!(matches!(store.erase_versions(&[]).await, Err(Error::Setting { .. })));
    let erased = store.erase(&["u/1/x/y/photo".into(), "u/absent/photo".into()]).await.unwrap();
    assert_eq!((erased.objects, erased.versions, erased.unlisted), (1, 1, false));
    assert!(!dir.path().join("u/1").exists() && dir.path().join("u/2/photo").exists());
    // The last object takes its folders along, and never the store's own.
    store.erase(&key("u/2/photo")).await.unwrap();
    assert!(!dir.path().join("u").exists() && dir.path().exists());
    put(&store, "u/2/photo", b"2").await;
    assert_eq!(keys(&store, "").await, ["u/2/photo"]);
}

#[tokio::test]
async fn what_a_writer_that_died_left_is_erased_with_its_key() {
    let (dir, store) = folder().await;
    put(&store, "photo", b"1").await;
    let staging = dir.path().join(".domicile-staging");
    let leftover = |key: &str| staging.join(format!("{}-0011", &sha256(key.as_bytes())[..32]));
    std::fs::write(leftover("photo"), "half").unwrap();
    std::fs::write(leftover("other"), "half").unwrap();
    assert_eq!(keys(&store, "").await, ["photo"], "a half is no object");
    store.erase(&key("photo")).await.unwrap();
    assert!(!leftover("photo").exists());
    assert!(leftover("other").exists(), "another key's writer may be alive");
}

#[tokio::test]
async fn a_folder_is_no_object() {
    let (dir, store) = folder().await;
    std::fs::create_dir_all(dir.path().join("u/1")).unwrap();
    put(&store, "u/1/a", b"x").await;
    assert_eq!(store.head("u/1").await.unwrap(), None);
    assert!(matches!(store.digest("u/1").await, Err(Error::NotFound { .. })));
    assert_eq!(store.erase(&key("u/1")).await.unwrap().objects, 0);
    assert_eq!(keys(&store, "").await, ["u/1/a"]);
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_not_followed_out_of_the_folder() {
    let (dir, store) = folder().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
    assert_eq!(keys(&store, "").await, [""; 0]);
    assert_eq!(store.head("file").await.unwrap(), None);
    assert!(store.digest("file").await.is_err());
}

#[tokio::test]
async fn erasing_many_keys_counts_each_once() {
    let store = s3().await;
    put(&store, "a", b"1").await;
    put(&store, "b", b"2").await;
    let twice = ["a".to_owned(), "b".to_owned(), "a".to_owned(), "c".to_owned()];
    assert_eq!(store.erase(&twice).await.unwrap().objects, 2);
    assert_eq!(store.erase(&[]).await.unwrap().objects, 0);
}
