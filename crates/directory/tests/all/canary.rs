//! No subject's id gets into the control store's bytes.

use crate::stage::{Stage, cluster, id, swap};
use domicile_directory::{Claim, ClaimKind, NewWave};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CANARY: &str = "canary-6f1e0c";
const CANARY_PHONE: &str = "+14155550132";
const CONTROL: &str = "control-77ab19";

#[tokio::test]
async fn no_subject_is_in_the_stores_bytes() {
    let both = Stage::both().await;
    for stage in &both {
        let directory = stage.directory();
        let subjects: Vec<_> = (0..20).map(|n| id(format!("{CANARY}-{n}"))).collect();
        directory.register("shop", "bj", &subjects).await.unwrap();
        let first = format!("{CANARY}-0");
        directory.settle("shop", &swap(&first, "bj", 1, 0), "or").await.unwrap();
        directory.cutover("shop", &[swap(&first, "bj", 1, 1)], "or").await.unwrap();
        directory.remove("shop", "bj", &subjects[4..5]).await.unwrap();
        // Claims, and the names of attempts.
        let claim = |n: u32| Claim::new(ClaimKind::Email, &format!("{CANARY}-{n}@example.com")).unwrap();
        let (attempt, hour) = (format!("{CANARY} attempt"), Duration::from_secs(3600));
        directory.reserve("shop", &subjects[1], &[claim(1), claim(2)], &attempt, hour).await.unwrap();
        directory.commit("shop", &subjects[1], &[claim(1)], &attempt).await.unwrap();
        let phone = Claim::new(ClaimKind::Phone, CANARY_PHONE).unwrap();
        let name = Claim::new(ClaimKind::UserName, &format!("{CANARY}-name")).unwrap();
        let imported =
            [(subjects[2].clone(), phone), (subjects[3].clone(), name), (subjects[3].clone(), claim(1))];
        assert_eq!(directory.import_claims("shop", &imported).await.unwrap().taken.len(), 1);
        // A planted word that must be found, or the search is blind.
        let wave = NewWave {
            service: "shop".into(),
            source: "bj".into(),
            target: "or".into(),
            plan_hash: "p".into(),
            predicate: CONTROL.into(),
            counts: json!({}),
            note: json!(null),
        };
        directory.open_wave(&wave).await.unwrap();
    }
    cluster().sql("postgres", "checkpoint");
    let sqlite = bytes(both[0].folder.path());
    let postgres = bytes(&cluster().dir().join("data"));
    for (store, bytes) in [("SQLite", sqlite), ("PostgreSQL", postgres)] {
        assert!(found(&bytes, CONTROL), "{store}: the planted word was not found");
        assert!(!found(&bytes, CANARY), "{store} holds a subject's id");
        assert!(!found(&bytes, &hex::encode(CANARY)), "{store} holds a subject's id in hex");
        assert!(!found(&bytes, &CANARY_PHONE[1..]), "{store} holds a phone number");
    }
}

fn found(files: &[(PathBuf, Vec<u8>)], word: &str) -> bool {
    files.iter().any(|(_, bytes)| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
}

fn bytes(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(bytes(&path));
        } else if entry.metadata().is_ok_and(|m| m.len() > 0) {
            all.extend(std::fs::read(&path).ok().map(|bytes| (path, bytes)));
        }
    }
    all
}
