//! Sign-up, adoption, removal and the feed.

use crate::stage::{Stage, home, id, swap};
use domicile_directory::{Cursor, Error};
use std::collections::BTreeMap;
use std::sync::Arc;

#[tokio::test]
async fn who_registers_first_stays_there() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        let first = directory.register("shop", "bj", &[id(1), id(2), id(1)]).await.unwrap();
        let there = |n: u32| (id(n), home("bj", 1, 0));
        assert_eq!((first.new.len(), first.already.len(), first.elsewhere.len()), (2, 0, 0));
        let second = directory.register("shop", "or", &[id(2), id(3)]).await.unwrap();
        assert_eq!(second.new, [(id(3), home("or", 1, 0))]);
        assert_eq!(second.elsewhere, [there(2)]);
        let third = directory.register("shop", "bj", &[id(2)]).await.unwrap();
        assert_eq!(third.already, [there(2)]);
        // Another service knows nothing of it.
        assert_eq!(directory.home("cloud", &id(1)).await.unwrap(), None);
        let homes = directory.homes("shop", &[id(3), id(9), id(1)]).await.unwrap();
        assert_eq!(homes, [Some(home("or", 1, 0)), None, Some(home("bj", 1, 0))]);
        let counts = directory.counts("shop").await.unwrap();
        assert_eq!(counts, BTreeMap::from([("bj".into(), 2), ("or".into(), 1)]));
    }
}

/// Page by page, in the order of their hashes; who moved on, or was removed, is no resident any more.
#[tokio::test]
async fn residents_are_told_page_by_page() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        let whom: Vec<_> = (0..25).map(id).collect();
        directory.register("shop", "bj", &whom).await.unwrap();
        directory.register("shop", "or", &[id(30)]).await.unwrap();
        directory.register("cloud", "bj", &[id(31)]).await.unwrap();
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = directory.residents("shop", "bj", after, 10).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 10);
            after = Some(last.0);
            all.extend(page);
        }
        let mut wanted: Vec<_> = whom.iter().map(|one| (directory.hash("shop", one), 1)).collect();
        wanted.sort();
        assert_eq!(all, wanted);
        assert_eq!(directory.still_residents("shop", "bj", &all).await.unwrap(), all);
        directory.cutover("shop", &[swap(3, "bj", 1, 0)], "or").await.unwrap();
        directory.remove("shop", "bj", &[id(4)]).await.unwrap();
        let still = directory.still_residents("shop", "bj", &all).await.unwrap();
        let gone: Vec<_> = all.iter().filter(|one| !still.contains(one)).map(|(hash, _)| *hash).collect();
        let mut left = [3, 4].map(|n| directory.hash("shop", &id(n)));
        left.sort();
        assert_eq!(gone, left);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_home_under_concurrent_registration() {
    for stage in Stage::both().await {
        let directory = Arc::new(stage.directory());
        let subjects: Vec<_> = (0..700).map(id).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..8_usize {
            let (directory, mut subjects) = (Arc::clone(&directory), subjects.clone());
            subjects.rotate_left(worker * 90);
            tasks.spawn(async move {
                let region = ["bj", "or", "sg", "in"][worker % 4];
                (region, directory.register("shop", region, &subjects).await.unwrap())
            });
        }
        let mut owners = BTreeMap::new();
        let mut answers = Vec::new();
        while let Some(answer) = tasks.join_next().await {
            let (region, registered) = answer.unwrap();
            for (subject, _) in &registered.new {
                assert_eq!(owners.insert(subject.clone(), region), None, "two were told they are first");
            }
            answers.push((region, registered));
        }
        assert_eq!(owners.len(), subjects.len());
        for (region, registered) in answers {
            for (subject, home) in
                registered.new.iter().chain(&registered.already).chain(&registered.elsewhere)
            {
                assert_eq!(home.region, owners[subject]);
                assert_eq!(home.epoch, 1);
            }
            assert!(registered.already.iter().all(|(subject, _)| owners[subject] == region));
            assert!(registered.elsewhere.iter().all(|(subject, _)| owners[subject] != region));
        }
        assert_eq!(directory.counts("shop").await.unwrap().values().sum::<u64>(), 700);
    }
}

#[tokio::test]
async fn a_removed_subject_keeps_its_epoch() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.register("shop", "bj", &[id(1), id(2)]).await.unwrap();
        assert_eq!(directory.remove("shop", "or", &[id(1)]).await.unwrap(), 0, "its home is elsewhere");
        assert_eq!(directory.remove("shop", "bj", &[id(1), id(7)]).await.unwrap(), 1);
        assert_eq!(directory.remove("shop", "bj", &[id(1)]).await.unwrap(), 0);
        assert_eq!(directory.home("shop", &id(1)).await.unwrap(), None);
        // A swap made before the removal comes too late, also after a new sign-up.
        let again = directory.register("shop", "bj", &[id(1)]).await.unwrap();
        assert_eq!(again.new, [(id(1), home("bj", 3, 0))]);
        let late = directory.cutover("shop", &[swap(1, "bj", 1, 0)], "or").await.unwrap();
        assert_eq!(late, []);
        assert_eq!(directory.home("shop", &id(1)).await.unwrap(), Some(home("bj", 3, 0)));
    }
}

#[tokio::test]
async fn the_version_grows_exactly_when_a_home_changes() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        assert_eq!(directory.version("shop").await.unwrap(), 0);
        directory.register("shop", "bj", &[id(1), id(2)]).await.unwrap();
        assert_eq!(directory.version("shop").await.unwrap(), 1);
        directory.register("shop", "or", &[id(1)]).await.unwrap();
        directory.remove("shop", "or", &[id(1)]).await.unwrap();
        directory.cutover("shop", &[swap(1, "or", 1, 0)], "bj").await.unwrap();
        directory.settle("shop", &swap(2, "bj", 1, 0), "or").await.unwrap();
        directory.register("cloud", "bj", &[id(1)]).await.unwrap();
        assert_eq!(directory.version("shop").await.unwrap(), 1, "no home changed");
        directory.cutover("shop", &[swap(1, "bj", 1, 0)], "or").await.unwrap();
        assert_eq!(directory.version("shop").await.unwrap(), 2);
    }
}

#[tokio::test]
async fn the_feed_tells_all_in_pages_of_any_size() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        let subjects: Vec<_> = (0..7).map(id).collect();
        directory.register("shop", "bj", &subjects).await.unwrap();
        directory.cutover("shop", &[swap(3, "bj", 1, 0), swap(5, "bj", 1, 0)], "or").await.unwrap();
        directory.remove("shop", "bj", &[id(6)]).await.unwrap();
        for limit in [1, 2, 3, 100] {
            let (mut seen, mut cursor) = (BTreeMap::new(), Cursor::default());
            loop {
                let page = directory.changes_since("shop", cursor, limit).await.unwrap();
                if page.changes.is_empty() {
                    break;
                }
                assert!(page.changes.len() <= limit as usize);
                cursor = page.next;
                for change in page.changes {
                    let (subject, told) = (change.subject, (change.region, change.epoch));
                    assert_eq!(seen.insert(subject, told), None, "told twice");
                }
            }
            assert_eq!(seen.len(), 7);
            assert_eq!(seen[&directory.hash("shop", &id(3))], (Some("or".into()), 2));
            assert_eq!(seen[&directory.hash("shop", &id(6))], (None, 2));
            assert_eq!(seen[&directory.hash("shop", &id(0))], (Some("bj".into()), 1));
        }
        let head = Cursor::after(directory.version("shop").await.unwrap());
        assert_eq!(directory.changes_since("shop", head, 10).await.unwrap().changes, []);
        directory.register("shop", "bj", &[id(8)]).await.unwrap();
        assert_eq!(directory.changes_since("shop", head, 10).await.unwrap().changes.len(), 1);
    }
}

#[tokio::test]
async fn arguments_that_cannot_be_are_refused() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        let refused = |error: Error| assert!(matches!(error, Error::Argument(_)), "{error}");
        refused(directory.register("", "bj", &[id(1)]).await.unwrap_err());
        refused(directory.register("a\0b", "bj", &[id(1)]).await.unwrap_err());
        refused(directory.register("shop", "", &[id(1)]).await.unwrap_err());
        refused(directory.cutover("shop", &[swap(1, "bj", 1, 0)], "bj").await.unwrap_err());
        refused(directory.cutover("shop", &[swap(1, "bj", u64::MAX, 0)], "or").await.unwrap_err());
        assert_eq!(directory.cutover("shop", &[], "or").await.unwrap(), []);
        assert_eq!(directory.homes("shop", &[]).await.unwrap(), []);
    }
}
