//! The tables: made once, guarded by triggers, bound to a key.

use crate::stage::{Stage, id};
use domicile_directory::{Claim, ClaimKind, Directory, DirectoryKey, Error};
use domicile_stores::control::{Control, Statement};

#[tokio::test]
async fn before_migrate_there_is_no_directory() {
    for stage in [Stage::sqlite().await, Stage::postgres().await] {
        let directory = stage.directory();
        let absent = directory.home("shop", &id(1)).await.unwrap_err();
        assert!(matches!(absent, Error::Absent { .. }), "{absent}");
        directory.migrate().await.unwrap();
        assert_eq!(directory.home("shop", &id(1)).await.unwrap(), None);
        directory.migrate().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_migrate_at_once() {
    for stage in [Stage::sqlite().await, Stage::postgres().await] {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let directory = stage.directory();
            tasks.spawn(async move { directory.migrate().await });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn another_key_is_refused_before_it_homes_anybody_twice() {
    for stage in Stage::both().await {
        stage.directory().register("shop", "bj", &[id(1)]).await.unwrap();
        let other = Directory::open(stage.store.clone(), DirectoryKey::generate().unwrap());
        for error in [
            other.register("shop", "or", &[id(1)]).await.unwrap_err(),
            other.home("shop", &id(1)).await.unwrap_err(),
            other.migrate().await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::OtherKey { .. }), "{error}");
        }
        assert_eq!(stage.directory().counts("shop").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_newer_directory_is_left_alone() {
    for stage in Stage::both().await {
        let raise = Statement::new("UPDATE directory_meta SET version = version + 1", vec![]);
        stage.store.run(vec![raise]).await.unwrap();
        let error = stage.directory().home("shop", &id(1)).await.unwrap_err();
        assert!(matches!(error, Error::TooNew { found, known, .. } if found == known + 1), "{error}");
    }
}

#[tokio::test]
async fn an_older_directory_gets_what_it_lacks() {
    for stage in Stage::both().await {
        stage.directory().register("shop", "bj", &[id(1)]).await.unwrap();
        for sql in [
            "DROP TABLE directory_batch",
            "DROP TABLE directory_worker",
            "DROP TABLE directory_wait",
            "DROP TABLE directory_claim",
            "UPDATE directory_meta SET version = 1",
        ] {
            stage.store.run(vec![Statement::new(sql, vec![])]).await.unwrap();
        }
        let directory = stage.directory();
        assert_eq!(directory.counts("shop").await.unwrap().len(), 1);
        assert_eq!(directory.workers().await.unwrap(), []);
        assert_eq!(directory.batches_in_hand("w1").await.unwrap(), []);
        assert_eq!(directory.waiting("w1").await.unwrap(), []);
        let email = Claim::new(ClaimKind::Email, "ann@example.com").unwrap();
        assert_eq!(directory.resolve("shop", &[email]).await.unwrap(), [None]);
    }
}

#[tokio::test]
async fn nobody_makes_an_epoch_fall() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.register("shop", "bj", &[id(1)]).await.unwrap();
        let raise = "UPDATE directory_home SET epoch = 2, attempt = 5, changed_seq = 7";
        stage.store.run(vec![Statement::new(raise, vec![])]).await.unwrap();
        for sql in [
            "UPDATE directory_home SET epoch = 1",
            "UPDATE directory_home SET epoch = 0",
            "UPDATE directory_home SET epoch = 4",
            "UPDATE directory_home SET attempt = 4",
            "UPDATE directory_home SET region = 'or'",
            "UPDATE directory_home SET region = NULL",
            "UPDATE directory_home SET changed_seq = 6",
            "UPDATE directory_home SET service = 'cloud'",
            "DELETE FROM directory_home",
            "UPDATE directory_home SET epoch = 3, attempt = -1",
        ] {
            let refused = stage.store.run(vec![Statement::new(sql, vec![])]).await;
            assert!(refused.is_err(), "{sql}");
        }
        let home = directory.home("shop", &id(1)).await.unwrap().unwrap();
        assert_eq!((home.region.as_str(), home.epoch, home.attempt), ("bj", 2, 5));
    }
}
