//! Claims: reserved, committed, given back, found, imported; by everybody at once.

use crate::stage::{Fault, Stage, home, id, swap};
use domicile_directory::{
    CLAIMS_MAX, Claim, ClaimKind, Committed, Directory, Error, RESERVATION_MAX, Reserved,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);
const OVER: Duration = Duration::ZERO;

fn email(n: impl ToString) -> Claim {
    Claim::new(ClaimKind::Email, &format!("user-{}@example.com", n.to_string())).unwrap()
}

async fn reserve(directory: &Directory, subject: u32, n: u32, attempt: &str, time: Duration) -> Reserved {
    directory.reserve("shop", &id(subject), &[email(n)], attempt, time).await.unwrap()[0]
}

async fn commit(directory: &Directory, subject: u32, n: u32, attempt: &str) -> Committed {
    directory.commit("shop", &id(subject), &[email(n)], attempt).await.unwrap()[0]
}

/// The subject whose claim it is.
async fn owner(directory: &Directory, n: u32) -> Option<domicile_directory::SubjectHash> {
    directory.resolve("shop", &[email(n)]).await.unwrap()[0].as_ref().map(|c| c.subject)
}

#[tokio::test]
async fn a_claim_is_one_subjects_until_it_is_given_back() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.register("shop", "bj", &[id(1)]).await.unwrap();
        directory.register("shop", "or", &[id(2)]).await.unwrap();
        assert_eq!(reserve(&directory, 1, 7, "a", LONG).await, Reserved::Yes);
        assert_eq!(owner(&directory, 7).await, None, "reserved is not committed");
        assert_eq!(reserve(&directory, 2, 7, "b", LONG).await, Reserved::Taken);
        assert_eq!(commit(&directory, 2, 7, "b").await, Committed::Lost);
        assert_eq!(commit(&directory, 1, 7, "a").await, Committed::Yes);
        assert_eq!(commit(&directory, 1, 7, "a").await, Committed::Yes, "again");
        assert_eq!(reserve(&directory, 1, 7, "c", LONG).await, Reserved::Own);
        assert_eq!(reserve(&directory, 2, 7, "d", LONG).await, Reserved::Taken);
        let found = directory.resolve("shop", &[email(8), email(7)]).await.unwrap();
        assert_eq!(found[0], None);
        let found = found[1].clone().unwrap();
        assert_eq!((found.subject, found.home), (directory.hash("shop", &id(1)), home("bj", 1, 0)));
        // Another service, another kind: other claims.
        assert_eq!(directory.resolve("cloud", &[email(7)]).await.unwrap(), [None]);
        let name = Claim::new(ClaimKind::UserName, "user-7@example.com").unwrap();
        assert_eq!(directory.resolve("shop", &[name]).await.unwrap(), [None]);
        // Somebody else gives nothing back.
        assert_eq!(directory.release("shop", &id(2), &[email(7)], None).await.unwrap(), 0);
        assert_eq!(directory.release("shop", &id(1), &[email(7)], Some("c")).await.unwrap(), 0);
        assert_eq!(directory.release("shop", &id(1), &[email(7)], None).await.unwrap(), 1);
        assert_eq!(directory.release("shop", &id(1), &[email(7)], None).await.unwrap(), 0);
        assert_eq!(reserve(&directory, 2, 7, "e", LONG).await, Reserved::Yes);
        assert_eq!(commit(&directory, 2, 7, "e").await, Committed::Yes);
        assert_eq!(owner(&directory, 7).await, Some(directory.hash("shop", &id(2))));
    }
}

#[tokio::test]
async fn a_move_takes_the_claim_along() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.register("shop", "bj", &[id(1)]).await.unwrap();
        reserve(&directory, 1, 7, "a", LONG).await;
        commit(&directory, 1, 7, "a").await;
        directory.cutover("shop", &[swap(1, "bj", 1, 0)], "or").await.unwrap();
        let found = directory.resolve("shop", &[email(7)]).await.unwrap()[0].clone().unwrap();
        assert_eq!(found.home, home("or", 2, 0));
    }
}

#[tokio::test]
async fn a_reservation_ends_by_itself() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.register("shop", "bj", &[id(1), id(2)]).await.unwrap();
        assert_eq!(reserve(&directory, 1, 7, "a", OVER).await, Reserved::Yes);
        assert_eq!(reserve(&directory, 2, 7, "b", OVER).await, Reserved::Yes, "the first one's time is over");
        assert_eq!(commit(&directory, 1, 7, "a").await, Committed::Lost);
        // Late, and nobody came meanwhile.
        assert_eq!(commit(&directory, 2, 7, "b").await, Committed::Yes);
        assert_eq!(reserve(&directory, 1, 7, "c", LONG).await, Reserved::Taken, "a commit has no time");
        // Two attempts of one subject: the second one must not give back what is the first one's.
        assert_eq!(reserve(&directory, 1, 8, "a", LONG).await, Reserved::Yes);
        assert_eq!(reserve(&directory, 1, 8, "b", LONG).await, Reserved::Taken);
        assert_eq!(directory.release("shop", &id(1), &[email(8)], Some("b")).await.unwrap(), 0);
        assert_eq!(commit(&directory, 1, 8, "a").await, Committed::Yes);
    }
}

#[tokio::test]
async fn nobody_commits_without_a_home() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        reserve(&directory, 1, 7, "a", LONG).await;
        let homeless = directory.commit("shop", &id(1), &[email(7)], "a").await.unwrap_err();
        assert!(matches!(homeless, Error::Homeless { .. }), "{homeless}");
        assert_eq!(owner(&directory, 7).await, None);
        directory.register("shop", "bj", &[id(1)]).await.unwrap();
        assert_eq!(commit(&directory, 1, 7, "a").await, Committed::Yes);
    }
}

#[tokio::test]
async fn who_was_removed_leaves_the_claims_free() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.register("shop", "bj", &[id(1), id(2)]).await.unwrap();
        for subject in [1, 2] {
            reserve(&directory, subject, subject, "a", LONG).await;
            commit(&directory, subject, subject, "a").await;
        }
        directory.remove("shop", "or", &[id(1)]).await.unwrap();
        assert!(owner(&directory, 1).await.is_some(), "it lives elsewhere, and stays");
        directory.remove("shop", "bj", &[id(1)]).await.unwrap();
        assert_eq!(owner(&directory, 1).await, None);
        assert!(owner(&directory, 2).await.is_some());
        assert_eq!(reserve(&directory, 2, 1, "b", LONG).await, Reserved::Yes);
        // One that was committed while its subject was being removed: as if it had been left behind.
        let raw =
            "UPDATE directory_home SET region = NULL, epoch = epoch + 1, attempt = 0 WHERE region = 'bj'";
        let statement = domicile_stores::control::Statement::new(raw, vec![]);
        domicile_stores::control::Control::run(&stage.store, vec![statement]).await.unwrap();
        assert_eq!(owner(&directory, 2).await, None);
        directory.register("shop", "or", &[id(3)]).await.unwrap();
        assert_eq!(reserve(&directory, 3, 2, "c", LONG).await, Reserved::Yes);
        assert_eq!(commit(&directory, 3, 2, "c").await, Committed::Yes);
    }
}

#[tokio::test]
async fn what_grows_has_a_limit() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.register("shop", "bj", &[id(1)]).await.unwrap();
        let all: Vec<_> = (0..CLAIMS_MAX).map(email).collect();
        let reserved = directory.reserve("shop", &id(1), &all, "a", LONG).await.unwrap();
        assert!(reserved.iter().all(|r| *r == Reserved::Yes));
        let committed = directory.commit("shop", &id(1), &all, "a").await.unwrap();
        assert!(committed.iter().all(|c| *c == Committed::Yes));
        for refused in [
            directory.reserve("shop", &id(1), &[email("one-more")], "a", LONG).await,
            directory.reserve("shop", &id(2), &[email("x"), email("y")], "", LONG).await,
            directory.reserve("shop", &id(2), &[email("x")], &"x".repeat(256), LONG).await,
            directory.reserve("shop", &id(2), &[email("x")], "a", RESERVATION_MAX + LONG).await,
            directory.reserve("shop", &id(2), &[], "a", LONG).await,
        ] {
            assert!(matches!(refused, Err(Error::Argument(_))), "{refused:?}");
        }
        assert_eq!(directory.release("shop", &id(1), &all, Some("a")).await.unwrap(), CLAIMS_MAX as u64);
    }
}

/// Reservations that nobody commits don't pile up: each new one takes away old ones.
#[tokio::test]
async fn old_reservations_are_swept() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        for n in 0..20 {
            reserve(&directory, 1, n, "a", OVER).await;
        }
        let count = || async {
            let sql = "SELECT count(*) FROM directory_claim";
            let statement = domicile_stores::control::Statement::new(sql, vec![]);
            domicile_stores::control::Control::run(&stage.store, vec![statement]).await.unwrap()[0].rows[0][0]
                .clone()
        };
        assert_eq!(count().await, 20.into());
        let age = "UPDATE directory_claim SET expires_ms = expires_ms - 7200000";
        let statement = domicile_stores::control::Statement::new(age, vec![]);
        domicile_stores::control::Control::run(&stage.store, vec![statement]).await.unwrap();
        for n in 100..110 {
            reserve(&directory, 2, n, "a", LONG).await;
        }
        assert_eq!(count().await, 10.into());
    }
}

#[tokio::test]
async fn existing_claims_are_imported_and_duplicates_told() {
    for stage in Stage::both().await {
        let (directory, faulty) = stage.faulty();
        let all: Vec<_> = (0..1200_u32).map(id).collect();
        directory.register("shop", "bj", &all).await.unwrap();
        directory.register("shop", "or", &[id("else")]).await.unwrap();
        reserve(&directory, 5, 5, "a", LONG).await;
        let mut pairs: Vec<_> = (0..1200_u32).map(|n| (id(n), email(n))).collect();
        // The same pair twice; one's claim that is another's already; one without a home.
        pairs.extend([(id(0), email(0)), (id(1), email(2)), (id("nobody"), email("nobody"))]);
        faulty.spoil(&[Fault::Lost, Fault::NotDone]);
        let first = directory.import_claims("shop", &pairs).await.unwrap();
        assert_eq!((first.new, first.already, first.homeless, first.taken.len()), (1200, 0, 1, 1));
        assert_eq!((first.taken[0].index, first.taken[0].holder), (1201, directory.hash("shop", &id(2))));
        let second =
            directory.import_claims("shop", &[(id("else"), email(3)), (id(4), email(4))]).await.unwrap();
        assert_eq!((second.new, second.already, second.taken.len()), (0, 1, 1));
        assert_eq!(second.taken[0].holder, directory.hash("shop", &id(3)));
        // What was imported is like what was committed.
        assert_eq!(reserve(&directory, 1, 9, "x", LONG).await, Reserved::Taken);
        assert_eq!(directory.release("shop", &id(9), &[email(9)], None).await.unwrap(), 1);
        assert_eq!(reserve(&directory, 1, 9, "x", LONG).await, Reserved::Yes);
        let third = directory.import_claims("shop", &[(id(9), email(9))]).await.unwrap();
        assert_eq!((third.new, third.taken.len()), (0, 1), "somebody is signing up with it");
    }
}

/// Sign-ups of the same names in every region at once, with lost answers: each name has one owner, whoever was told
/// so owns it, and nobody else was.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_owner_under_concurrent_sign_ups() {
    const NAMES: u32 = 40;
    for stage in Stage::both().await {
        let mut tasks = tokio::task::JoinSet::new();
        for (r, region) in ["bj", "or", "sg", "in", "fr"].into_iter().enumerate() {
            let (directory, faulty) = stage.faulty();
            let directory = Arc::new(directory);
            tasks.spawn(async move {
                let mut won = Vec::new();
                for i in 0..NAMES {
                    let (n, subject) = ((i + 8 * r as u32) % NAMES, (r as u32) * 1000 + i);
                    let faults = [Fault::Lost, Fault::NotDone, Fault::Again, Fault::Lost];
                    faulty.spoil(&faults[..(n as usize + r) % 5]);
                    if sign_up(&directory, region, subject, n).await {
                        won.push((n, subject));
                    }
                }
                won
            });
        }
        let mut owners = BTreeMap::new();
        while let Some(won) = tasks.join_next().await {
            for (n, subject) in won.unwrap() {
                assert_eq!(owners.insert(n, subject), None, "two own {n}");
            }
        }
        let directory = stage.directory();
        assert_eq!(owners.len(), NAMES as usize);
        for (n, subject) in owners {
            assert_eq!(owner(&directory, n).await, Some(directory.hash("shop", &id(subject))));
        }
    }
}

/// As an application does it. True: the name is the subject's.
async fn sign_up(directory: &Directory, region: &str, subject: u32, n: u32) -> bool {
    let attempt = format!("{region} {subject}");
    loop {
        match reserve(directory, subject, n, &attempt, LONG).await {
            Reserved::Yes => break,
            Reserved::Own => unreachable!("each subject signs up once"),
            // Somebody's for good, or somebody is about to fail: then it is tried again.
            Reserved::Taken if owner(directory, n).await.is_some() => return false,
            Reserved::Taken => tokio::task::yield_now().await,
        }
    }
    // Every third one fails after it has reserved.
    if subject % 3 == 1 && n.is_multiple_of(2) && region != "fr" {
        directory.release("shop", &id(subject), &[email(n)], Some(&attempt)).await.unwrap();
        return false;
    }
    directory.register("shop", region, &[id(subject)]).await.unwrap();
    assert_eq!(commit(directory, subject, n, &attempt).await, Committed::Yes);
    true
}

/// Calls whose answers were lost and that happen after everything else.
#[tokio::test]
async fn what_comes_late_takes_nothing_newer() {
    for stage in Stage::both().await {
        let (directory, faulty) = stage.faulty();
        directory.register("shop", "bj", &[id(1), id(2)]).await.unwrap();
        let hashes = [1, 2].map(|n| directory.hash("shop", &id(n)));
        // A release, and its own subject takes the name anew.
        reserve(&directory, 1, 7, "a", LONG).await;
        commit(&directory, 1, 7, "a").await;
        faulty.spoil(&[Fault::Late]);
        assert_eq!(
            directory.release("shop", &id(1), &[email(7)], None).await.unwrap(),
            1,
            "done by the repetition"
        );
        reserve(&directory, 1, 7, "b", LONG).await;
        commit(&directory, 1, 7, "b").await;
        faulty.release().await;
        assert_eq!(owner(&directory, 7).await, Some(hashes[0]));
        // A reservation and a commit, and another has the name meanwhile.
        faulty.spoil(&[Fault::Late]);
        assert_eq!(reserve(&directory, 1, 8, "c", OVER).await, Reserved::Yes);
        faulty.spoil(&[Fault::Late]);
        assert_eq!(commit(&directory, 1, 8, "c").await, Committed::Yes);
        directory.release("shop", &id(1), &[email(8)], Some("c")).await.unwrap();
        assert_eq!(reserve(&directory, 2, 8, "d", LONG).await, Reserved::Yes);
        faulty.release().await;
        assert_eq!(commit(&directory, 2, 8, "d").await, Committed::Yes);
        assert_eq!(owner(&directory, 8).await, Some(hashes[1]));
    }
}
