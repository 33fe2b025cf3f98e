//! Copies between all kinds of stores.

use crate::stage::{all, environment, keys, new_bucket, noise, open_s3, put, s3, server, sha256};
use domicile_stores::Error;
use domicile_stores::objects::{Objects, PART_BYTES};
use futures::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{Attribute, Attributes, GetResult, ObjectStore, ObjectStoreExt, PutOptions};

/// Puts an object, copies it and reads it back.
async fn check(source: &Objects, target: &Objects, key: &str, size: usize) {
    let bytes = noise(size, 7);
    let expected = (size as u64, sha256(&bytes));
    source.put(key, bytes).await.unwrap();
    let copied = source.copy_to(target, key).await.unwrap();
    assert_eq!((copied.size, copied.sha256), expected);
    assert_eq!(copied.etag, source.head(key).await.unwrap().unwrap().etag);
    assert_eq!(target.digest(key).await.unwrap(), expected, "{} {size}", target.name());
}

#[tokio::test]
async fn every_store_copies_to_every_other() {
    let (_dir, stores) = all().await;
    let (_other, targets) = all().await;
    for source in &stores {
        for target in &targets {
            check(source, target, "o/none %", 0).await;
            check(source, target, "o/one %", 1).await;
        }
        let absent = source.copy_to(&targets[0], "o/absent").await;
        assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
    }
}

#[tokio::test]
async fn objects_of_one_part_and_of_several() {
    let (_dir, stores) = all().await;
    for (n, source) in stores.iter().enumerate() {
        for size in [PART_BYTES, PART_BYTES + 1] {
            check(source, &stores[(n + 1) % stores.len()], "large", size).await;
        }
    }
    check(&stores[0], &stores[1], "larger", 2 * PART_BYTES + 5).await;
}

#[tokio::test]
async fn content_type_and_metadata_travel() {
    let (from, to) = (new_bucket(), new_bucket());
    let source = open_s3(&from, "", &server().endpoint()).await;
    let target = open_s3(&to, "", &server().endpoint()).await;
    let raw = |bucket: &str| {
        AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_endpoint(server().endpoint())
            .with_region("us-east-1")
            .with_access_key_id(environment("AWS_ACCESS_KEY_ID").unwrap())
            .with_secret_access_key(environment("AWS_SECRET_ACCESS_KEY").unwrap())
            .with_allow_http(true)
            .build()
            .unwrap()
    };
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, "image/jpeg".into());
    attributes.insert(Attribute::CacheControl, "private".into());
    attributes.insert(Attribute::Metadata("album".into()), "spring".into());
    for (key, size) in [("small", 10), ("large", PART_BYTES + 10)] {
        let options = PutOptions { attributes: attributes.clone(), ..Default::default() };
        raw(&from).put_opts(&Path::from(key), noise(size, 1).into(), options).await.unwrap();
        source.copy_to(&target, key).await.unwrap();
        let there: GetResult = raw(&to).get(&Path::from(key)).await.unwrap();
        assert_eq!(there.attributes, attributes, "{key}");
    }
}

#[tokio::test]
async fn many_small_objects_over_several_pages() {
    let (source, target) = (s3().await, s3().await);
    let (_dir, folder) = crate::stage::folder().await;
    let names: Vec<String> = (0..1100).map(|n| format!("many/{n:04}")).collect();
    for name in &names {
        put(&folder, name, name.as_bytes()).await;
    }
    for (from, to) in [(&folder, &source), (&source, &target)] {
        let copied: Vec<_> = from.copy_many(to, names.clone(), 32).collect().await;
        for (key, copied) in copied {
            assert_eq!(copied.unwrap().sha256, sha256(key.as_bytes()));
        }
        assert_eq!(keys(to, "many/").await, names);
    }
    let erased = source.erase(&names).await.unwrap();
    assert_eq!((erased.objects, erased.newer, erased.unlisted), (1100, 0, false));
    assert_eq!(keys(&source, "").await, [""; 0]);
}
