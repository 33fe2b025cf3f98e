//! Random calls with random faults against a model of the promises.

use crate::stage::{Fault, Faulty, Stage, home, id, swap};
use domicile_directory::{Cursor, Directory, Error, Settled, SubjectHash, Swap};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

const REGIONS: [&str; 3] = ["bj", "or", "sg"];
const SUBJECTS: usize = 3;

#[derive(Debug, Clone)]
enum Call {
    Register {
        region: usize,
        subject: usize,
        fault: Option<Fault>,
    },
    /// Epoch and attempt as they are, less these.
    Swap {
        subject: usize,
        to: usize,
        stale: (u64, u64),
        fault: Option<Fault>,
    },
    /// Settles one of the swaps that were sent.
    Settle {
        which: usize,
        fault: Option<Fault>,
    },
    Remove {
        region: usize,
        subject: usize,
        fault: Option<Fault>,
    },
    /// Lets every late transaction happen, one after the other, and looks after each: two of them may take a home and
    /// give it back.
    Release {
        newest_first: bool,
    },
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        4 => Just(None),
        1 => prop_oneof![Just(Fault::NotDone), Just(Fault::Lost), Just(Fault::Late), Just(Fault::Again)].prop_map(Some),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let (region, subject) = (0..REGIONS.len(), 0..SUBJECTS);
    let stale = prop_oneof![4 => Just((0, 0)), 1 => Just((1, 0)), 1 => Just((0, 1))];
    prop_oneof![
        2 => (region.clone(), subject.clone(), fault())
            .prop_map(|(region, subject, fault)| Call::Register { region, subject, fault }),
        5 => (subject.clone(), region.clone(), stale, fault())
            .prop_map(|(subject, to, stale, fault)| Call::Swap { subject, to, stale, fault }),
        4 => (0..8_usize, fault()).prop_map(|(which, fault)| Call::Settle { which, fault }),
        1 => (region, subject, fault()).prop_map(|(region, subject, fault)| Call::Remove { region, subject, fault }),
        2 => any::<bool>().prop_map(|newest_first| Call::Release { newest_first }),
    ]
}

/// What the test knows. `rows` follows the store; the verdicts on settled swaps are what must hold.
struct World<'a> {
    service: String,
    directory: &'a Directory,
    faulty: &'a Faulty,
    sent: Vec<(Swap, &'static str)>,
    settled: Vec<(Swap, &'static str, Settled)>,
    rows: BTreeMap<SubjectHash, (Option<String>, u64, u64)>,
    version: u64,
}

impl World<'_> {
    async fn call(&mut self, call: &Call) {
        if let Call::Register { fault, .. }
        | Call::Swap { fault, .. }
        | Call::Settle { fault, .. }
        | Call::Remove { fault, .. } = call
        {
            self.faulty.spoil(fault.as_slice());
        }
        match call {
            Call::Register { region, subject, .. } => self.register(REGIONS[*region], *subject).await,
            Call::Swap { subject, to, stale, .. } => self.swap(*subject, REGIONS[*to], *stale).await,
            Call::Settle { which, .. } => self.settle(*which).await,
            Call::Remove { region, subject, .. } => {
                self.directory.remove(&self.service, REGIONS[*region], &[id(subject)]).await.unwrap();
            }
            Call::Release { newest_first } => {
                while self.faulty.release_one(*newest_first).await {
                    self.check().await;
                }
            }
        }
        // A call that had nothing to do may have left its fault unused.
        self.faulty.clear();
        self.check().await;
    }

    async fn register(&self, region: &str, subject: usize) {
        let before = self.directory.home(&self.service, &id(subject)).await.unwrap();
        let answer = self.directory.register(&self.service, region, &[id(subject)]).await.unwrap();
        let after = self.directory.home(&self.service, &id(subject)).await.unwrap().unwrap();
        match before {
            Some(before) => assert_eq!(before, after, "a home stays"),
            None => assert_eq!(after.region, region),
        }
        assert_eq!(answer.elsewhere.is_empty(), after.region == region);
    }

    async fn swap(&mut self, subject: usize, to: &'static str, stale: (u64, u64)) {
        let Some(now) = self.directory.home(&self.service, &id(subject)).await.unwrap() else { return };
        if now.region == to {
            return;
        }
        let made = swap(
            subject,
            &now.region,
            now.epoch.saturating_sub(stale.0),
            now.attempt.saturating_sub(stale.1),
        );
        let current = (made.epoch, made.attempt) == (now.epoch, now.attempt);
        self.sent.push((made.clone(), to));
        match self.directory.cutover(&self.service, std::slice::from_ref(&made), to).await {
            Ok(swapped) => {
                assert_eq!(swapped.len(), usize::from(current), "only a current swap lands");
                let after = self.directory.home(&self.service, &id(subject)).await.unwrap();
                let expected = if current { home(to, now.epoch + 1, 0) } else { now };
                assert_eq!(after, Some(expected));
            }
            Err(error) => assert!(error.is_unreachable(), "{error}"),
        }
    }

    async fn settle(&mut self, which: usize) {
        if self.sent.is_empty() {
            return;
        }
        let (made, to) = self.sent[which % self.sent.len()].clone();
        match self.directory.settle(&self.service, &made, to).await {
            Ok(settled) => self.settled.push((made, to, settled)),
            // Other swaps of this test moved the subject on.
            Err(error) => assert!(matches!(error, Error::Elsewhere { .. }), "{error}"),
        }
    }

    /// INVARIANT: one row a subject, `(epoch, attempt)` only grows, the epoch by one when the region
    /// changes; what was settled as cancelled never landed; the feed and the version tell of each change.
    async fn check(&mut self) {
        let page = self.directory.changes_since(&self.service, Cursor::default(), 1000).await.unwrap();
        let version = self.directory.version(&self.service).await.unwrap();
        let mut changed = false;
        for told in &page.changes {
            let subject =
                (0..SUBJECTS).map(id).find(|s| self.directory.hash(&self.service, s) == told.subject);
            let home = self.directory.home(&self.service, &subject.unwrap()).await.unwrap();
            let attempt = home.as_ref().map_or(0, |h| h.attempt);
            assert_eq!(home.map(|h| (h.region, h.epoch)), told.region.clone().map(|r| (r, told.epoch)));
            let before = self.rows.insert(told.subject, (told.region.clone(), told.epoch, attempt));
            let Some((region, epoch, old_attempt)) = before else {
                changed = true;
                continue;
            };
            assert!((told.epoch, attempt) >= (epoch, old_attempt), "it fell");
            assert_eq!(region == told.region, epoch == told.epoch, "a region changes with its epoch");
            changed |= epoch != told.epoch;
        }
        assert_eq!(version > self.version, changed, "the version tells of each change");
        assert_eq!(version, page.changes.last().map_or(0, |c| c.sequence));
        self.version = version;
        for (made, to, settled) in &self.settled {
            let Some(now) = self.directory.home(&self.service, &made.subject).await.unwrap() else {
                continue;
            };
            match settled {
                Settled::Moved => assert!(now.epoch > made.epoch),
                Settled::Cancelled { attempt } if now.epoch == made.epoch => {
                    assert!(now.attempt >= *attempt && now.region == made.from, "to {to}");
                }
                Settled::Cancelled { .. } => {}
            }
        }
    }
}

fn check(stage: Stage, runtime: &tokio::runtime::Runtime, cases: u32) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (directory, faulty) = stage.faulty();
    runtime.block_on(directory.migrate()).unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&prop::collection::vec(call(), 1..25), |calls| {
        let service = format!("s{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (directory, faulty) = (&directory, &faulty);
        let mut world = World {
            service,
            directory,
            faulty,
            sent: Vec::new(),
            settled: Vec::new(),
            rows: BTreeMap::new(),
            version: 0,
        };
        runtime.block_on(async {
            for call in &calls {
                world.call(call).await;
            }
            world.call(&Call::Release { newest_first: false }).await;
        });
        Ok(())
    });
    run.unwrap();
}

#[test]
fn the_promises_hold_on_sqlite() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    check(runtime.block_on(Stage::sqlite()), &runtime, 96);
}

#[test]
fn the_promises_hold_on_postgres() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    check(runtime.block_on(Stage::postgres()), &runtime, 48);
}
