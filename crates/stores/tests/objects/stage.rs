//! Stores to test.

use bytes::Bytes;
use domicile_stores::objects::{Meta, Objects};
use domicile_testbed::seaweed::Seaweed;
use futures::TryStreamExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub fn server() -> &'static Seaweed {
    static SERVER: OnceLock<Seaweed> = OnceLock::new();
    SERVER.get_or_init(|| Seaweed::start().expect("SeaweedFS"))
}

/// What a test gives a store instead of the environment.
pub fn environment(name: &str) -> Option<String> {
    match name {
        "AWS_ACCESS_KEY_ID" => Some(server().access_key().to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(server().secret_key().to_owned()),
        _ => None,
    }
}

fn bucket() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("bucket{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub async fn open_s3(bucket: &str, prefix: &str, endpoint: &str) -> Objects {
    let url = format!("s3://{bucket}/{prefix}?endpoint={endpoint}");
    Objects::open_with(&url, Path::new("/"), &environment).await.expect("a bucket")
}

/// An empty bucket's name.
pub fn new_bucket() -> String {
    let name = bucket();
    server().create_bucket(&name);
    name
}

/// An empty bucket that keeps versions.
pub fn new_bucket_with_versions() -> String {
    let name = bucket();
    server().create_bucket_with_versions(&name);
    name
}

pub async fn s3() -> Objects {
    open_s3(&new_bucket(), "", &server().endpoint()).await
}

/// An empty folder; it lasts as long as the first value.
pub async fn folder() -> (tempfile::TempDir, Objects) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Objects::open("file:.", dir.path()).await.expect("a folder");
    (dir, store)
}

/// One store of each kind: a folder, a bucket, a part of a bucket, a bucket that keeps versions.
pub async fn all() -> (tempfile::TempDir, Vec<Objects>) {
    let (dir, folder) = folder().await;
    let endpoint = server().endpoint();
    let part = open_s3(&new_bucket(), "regions/bj", &endpoint).await;
    let kept = open_s3(&new_bucket_with_versions(), "", &endpoint).await;
    (dir, vec![folder, s3().await, part, kept])
}

/// All objects whose key begins so, by key.
pub async fn listed(store: &Objects, prefix: &str) -> Vec<Meta> {
    let mut all: Vec<_> = store.list(prefix).try_collect().await.expect("a listing");
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

pub async fn keys(store: &Objects, prefix: &str) -> Vec<String> {
    listed(store, prefix).await.into_iter().map(|meta| meta.key).collect()
}

pub async fn put(store: &Objects, key: &str, bytes: &[u8]) {
    store.put(key, Bytes::copy_from_slice(bytes)).await.unwrap_or_else(|e| panic!("{}: {e}", store.name()));
}

/// Bytes that differ everywhere.
pub fn noise(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
