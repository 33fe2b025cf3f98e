//! An object store: keys, metadata, bodies, old versions.

use crate::wanted::{MAIL, report};
use domicile_audit::Report;
use domicile_audit::objects::{self, Objects, OldVersion};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions};
use std::sync::Arc;
use tokio::runtime::Handle;

async fn search(store: Arc<dyn ObjectStore>, prefix: &str, versions: Option<Vec<OldVersion>>) -> Report {
    let objects = Objects { store, name: "s3://bucket".into(), prefix: prefix.into(), versions };
    let runtime = Handle::current();
    let searched = tokio::task::spawn_blocking(move || {
        report(|examiner| objects::examine(&runtime, &objects, examiner).expect("listed"))
    });
    searched.await.expect("a report")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_metadata_and_bodies() {
    let store = InMemory::new();
    let body = [vec![b'x'; 3_000_000], format!(" {MAIL} ").into_bytes()].concat();
    store.put(&Path::from("a/body"), body.into()).await.expect("put");
    store.put(&Path::from("a/other"), "nothing".into()).await.expect("put");
    store.put(&Path::from("b/outside"), MAIL.to_owned().into()).await.expect("put");
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::Metadata("owner".into()), MAIL.into());
    let options = PutOptions { attributes, ..PutOptions::default() };
    store.put_opts(&Path::from("a/meta"), "nothing".into(), options).await.expect("put");
    let report = search(Arc::new(store), "a", None).await;
    let places: Vec<String> = report.findings.iter().map(|f| f.place.to_string()).collect();
    assert_eq!(places, ["s3://bucket/a/body", "s3://bucket/a/meta > metadata owner"]);
    assert_eq!(report.findings[0].offset_bytes, 3_000_001);
    assert!(report.unseen.iter().any(|u| u.why.contains("versions")), "{:?}", report.unseen);
    assert_eq!(report.scanned.targets, 3);
}
