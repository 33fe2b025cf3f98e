//! What every store promises.

use crate::stage::{all, keys, listed, noise, put, sha256};
use domicile_stores::Error;

#[tokio::test]
async fn an_object_is_read_as_it_was_written() {
    let (_dir, stores) = all().await;
    for store in stores {
        assert_eq!(store.head("photos/1").await.unwrap(), None, "{}", store.name());
        assert!(matches!(store.digest("photos/1").await, Err(Error::NotFound { .. })));
        put(&store, "photos/1", b"one").await;
        let first = store.head("photos/1").await.unwrap().unwrap();
        assert_eq!((first.key.as_str(), first.size), ("photos/1", 3));
        assert!(!first.etag.is_empty());
        assert_eq!(store.digest("photos/1").await.unwrap(), (3, sha256(b"one")));
        put(&store, "photos/1", b"two").await;
        let second = store.head("photos/1").await.unwrap().unwrap();
        assert_ne!(first.etag, second.etag, "{}", store.name());
        put(&store, "empty", b"").await;
        assert_eq!(store.digest("empty").await.unwrap(), (0, sha256(b"")));
        assert!(store.delete("photos/1").await.unwrap());
        assert_eq!(store.head("photos/1").await.unwrap(), None);
        assert_eq!(keys(&store, "").await, ["empty"]);
        store.delete("photos/1").await.unwrap();
    }
}

#[tokio::test]
async fn any_key_an_application_would_use() {
    let (_dir, stores) = all().await;
    let odd = [
        "a b/c d.jpg",
        "percent/100%.jpg",
        "percent/%41%2F%20",
        "plus/a+b=c&d;e,f",
        "unicode/写真/é/👤.jpg",
        "hash/photo#1",
        "question/why?.txt",
        "quote/it's \"so\"",
        "tilde/~a~",
        "at/a@b.c:80",
        "star/(*)!$",
        "dots/...",
        "dots/.hidden",
    ];
    for store in stores {
        for (n, key) in odd.iter().enumerate() {
            put(&store, key, format!("{n}").as_bytes()).await;
        }
        let mut expected: Vec<String> = odd.iter().map(|key| (*key).to_owned()).collect();
        expected.sort();
        assert_eq!(keys(&store, "").await, expected, "{}", store.name());
        for (n, key) in odd.iter().enumerate() {
            let digest = store.digest(key).await.unwrap();
            assert_eq!(digest.1, sha256(format!("{n}").as_bytes()), "{}: {key}", store.name());
        }
        let erased = store.erase(&expected).await.unwrap();
        assert_eq!((erased.objects, erased.newer), (odd.len() as u64, 0), "{}", store.name());
        assert_eq!(keys(&store, "").await, [""; 0], "{}", store.name());
    }
}

#[tokio::test]
async fn keys_that_could_leave_the_store_are_refused() {
    let (dir, stores) = all().await;
    std::fs::write(dir.path().parent().unwrap().join("domicile-outside"), "x").unwrap();
    for store in stores {
        for key in ["", "/etc/passwd", "../domicile-outside", "a/../../b", "a//b", "a/", "./a", "a/."] {
            let refused = [
                store.head(key).await.map(drop),
                store.digest(key).await.map(drop),
                store.put(key, noise(1, 1)).await,
                store.delete(key).await.map(drop),
            ];
            for refused in refused {
                let error = refused.expect_err(key);
                assert!(matches!(error, Error::Failed { .. }), "{}: {key}: {error}", store.name());
            }
        }
    }
    std::fs::remove_file(dir.path().parent().unwrap().join("domicile-outside")).unwrap();
}

#[tokio::test]
async fn a_prefix_is_the_beginning_of_a_key() {
    let (_dir, stores) = all().await;
    for store in stores {
        for key in ["u/1/a", "u/1/b/c", "u/10/a", "u/1.jpg", "v/1/a"] {
            put(&store, key, b"x").await;
        }
        assert_eq!(keys(&store, "u/1/").await, ["u/1/a", "u/1/b/c"], "{}", store.name());
        assert_eq!(keys(&store, "u/1").await, ["u/1.jpg", "u/1/a", "u/1/b/c", "u/10/a"]);
        assert_eq!(keys(&store, "u/1/b/c").await, ["u/1/b/c"]);
        assert_eq!(keys(&store, "w").await, [""; 0]);
        assert_eq!(keys(&store, "u/2/").await, [""; 0]);
        let sizes: u64 = listed(&store, "").await.iter().map(|meta| meta.size).sum();
        assert_eq!(sizes, 5);
        let head = store.head("u/1/a").await.unwrap().unwrap();
        assert_eq!(listed(&store, "u/1/a").await[0].etag, head.etag, "{}", store.name());
    }
}

#[tokio::test]
async fn a_folder_in_a_bucket_is_not_left() {
    let bucket = crate::stage::new_bucket();
    let endpoint = crate::stage::server().endpoint();
    let whole = crate::stage::open_s3(&bucket, "", &endpoint).await;
    let part = crate::stage::open_s3(&bucket, "bj", &endpoint).await;
    put(&whole, "bj-other/a", b"x").await;
    put(&part, "a", b"y").await;
    assert_eq!(keys(&whole, "").await, ["bj-other/a", "bj/a"]);
    assert_eq!(keys(&part, "").await, ["a"]);
    part.erase(&["a".to_owned()]).await.unwrap();
    assert_eq!(keys(&whole, "").await, ["bj-other/a"]);
}
