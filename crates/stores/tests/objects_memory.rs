//! The memory of a copy doesn't grow with the object. A test binary of its own, so that nothing else
//! allocates meanwhile.
#![cfg(target_os = "linux")]

use domicile_stores::objects::{Objects, PART_BYTES};
use domicile_testbed::seaweed::Seaweed;
use std::io::Write;
use std::path::Path;

const SIZE: usize = 96 * 1024 * 1024;

/// Most memory this process has held so far, in bytes.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    let kib: usize = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024
}

#[tokio::test]
async fn a_large_object_streams_through_little_memory() {
    let server = Seaweed::start().expect("SeaweedFS");
    server.create_bucket("large");
    let environment = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some(server.access_key().to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(server.secret_key().to_owned()),
        _ => None,
    };
    let url = format!("s3://large?endpoint={}", server.endpoint());
    let s3 = Objects::open_with(&url, Path::new("/"), &environment).await.expect("a bucket");
    let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let source = Objects::open("file:.", from.path()).await.expect("a folder");
    let target = Objects::open("file:.", to.path()).await.expect("a folder");
    let mut file = std::fs::File::create(from.path().join("large")).expect("a file");
    for n in 0..SIZE / 65536 {
        file.write_all(&[(n % 251) as u8; 65536]).expect("room");
    }
    let before = peak_bytes();
    let up = source.copy_to(&s3, "large").await.expect("up");
    let down = s3.copy_to(&target, "large").await.expect("down");
    assert_eq!((up.size, &up.sha256), (down.size, &down.sha256));
    assert_eq!(target.digest("large").await.expect("a digest"), (SIZE as u64, up.sha256));
    let grown = peak_bytes() - before;
    assert!(grown < 8 * PART_BYTES, "{grown} bytes more for an object of {SIZE}");
}
