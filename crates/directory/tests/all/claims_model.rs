//! Random calls about claims, with random faults, against a model of the promises.

use crate::stage::{Fault, Faulty, Stage, id};
use domicile_directory::{Claim, ClaimKind, Committed, Directory, Reserved};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SUBJECTS: usize = 3;
const CLAIMS: usize = 2;
const REGIONS: [&str; SUBJECTS] = ["bj", "or", "sg"];

#[derive(Debug, Clone)]
enum Doing {
    Register,
    Remove,
    /// `same`: as the same attempt as before; `over`: for no time.
    Reserve {
        same: bool,
        over: bool,
    },
    Commit,
    /// With its attempt, or as the owner.
    Release {
        attempt: bool,
    },
    Import,
    /// Lets late transactions happen one after the other.
    Late {
        newest_first: bool,
    },
}

#[derive(Debug, Clone)]
struct Call {
    doing: Doing,
    subject: usize,
    claim: usize,
    fault: Option<Fault>,
}

fn call() -> impl Strategy<Value = Call> {
    let doing = prop_oneof![
        3 => Just(Doing::Register),
        1 => Just(Doing::Remove),
        5 => (any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(same, over)| Doing::Reserve { same, over }),
        5 => Just(Doing::Commit),
        2 => any::<bool>().prop_map(|attempt| Doing::Release { attempt }),
        1 => Just(Doing::Import),
        2 => any::<bool>().prop_map(|newest_first| Doing::Late { newest_first }),
    ];
    let fault = prop_oneof![
        3 => Just(None),
        2 => prop_oneof![Just(Fault::NotDone), Just(Fault::Lost), Just(Fault::Late), Just(Fault::Again)].prop_map(Some),
    ];
    (doing, 0..SUBJECTS, 0..CLAIMS, fault).prop_map(|(doing, subject, claim, fault)| Call {
        doing,
        subject,
        claim,
        fault,
    })
}

/// What the callers were told, and what must hold because of it.
struct World<'a> {
    service: String,
    directory: &'a Directory,
    faulty: &'a Faulty,
    /// By claim: whose it is for good.
    own: BTreeMap<usize, usize>,
    /// By claim: for whom it is kept, for so long that the test does not see the end.
    kept: BTreeMap<usize, (usize, String)>,
    /// The last attempt of a subject at a claim.
    attempts: BTreeMap<(usize, usize), String>,
    /// Subjects whose removal may still come: what is kept for them may go at any moment.
    leaving: BTreeSet<usize>,
    number: u32,
}

fn email(claim: usize) -> Claim {
    Claim::new(ClaimKind::Email, &format!("user-{claim}@example.com")).unwrap()
}

impl World<'_> {
    async fn call(&mut self, call: &Call) {
        self.faulty.spoil(call.fault.as_slice());
        let (subject, claim) = (call.subject, call.claim);
        match call.doing {
            Doing::Register => {
                let region = REGIONS[subject];
                self.directory.register(&self.service, region, &[id(subject)]).await.unwrap();
            }
            Doing::Remove => {
                self.directory.remove(&self.service, REGIONS[subject], &[id(subject)]).await.unwrap();
                self.own.retain(|_, whose| *whose != subject);
                // Reservations go with whoever is removed.
                self.kept.retain(|_, (whose, _)| *whose != subject);
                if call.fault.is_some() {
                    self.leaving.insert(subject);
                }
            }
            Doing::Reserve { same, over } => self.reserve(subject, claim, same, over).await,
            Doing::Commit => self.commit(subject, claim).await,
            Doing::Release { attempt } => self.release(subject, claim, attempt).await,
            Doing::Import => self.import(subject, claim).await,
            Doing::Late { newest_first } => {
                while self.faulty.release_one(newest_first).await {
                    self.forget_the_removed().await;
                    self.check().await;
                }
                self.leaving.clear();
            }
        }
        self.faulty.clear();
        self.forget_the_removed().await;
        self.check().await;
    }

    async fn reserve(&mut self, subject: usize, claim: usize, same: bool, over: bool) {
        let attempt = match self.attempts.get(&(subject, claim)) {
            Some(attempt) if same => attempt.clone(),
            _ => {
                self.number += 1;
                format!("attempt {}", self.number)
            }
        };
        let time = if over { Duration::ZERO } else { Duration::from_secs(600) };
        let said = self.directory.reserve(&self.service, &id(subject), &[email(claim)], &attempt, time).await;
        match said.unwrap()[0] {
            Reserved::Yes => {
                let by = |(whose, by): &(usize, String)| *whose == subject && *by == attempt;
                assert!(self.kept.get(&claim).is_none_or(by), "two have it");
                assert!(
                    self.own.get(&claim).is_none_or(|whose| *whose == subject),
                    "it was another's for good"
                );
                self.kept.remove(&claim);
                if !over && !self.own.contains_key(&claim) && !self.leaving.contains(&subject) {
                    self.kept.insert(claim, (subject, attempt.clone()));
                }
                self.attempts.insert((subject, claim), attempt);
            }
            Reserved::Own => assert!(self.own.get(&claim).is_none_or(|whose| *whose == subject)),
            Reserved::Taken => {
                let own = self.own.get(&claim).is_none_or(|whose| *whose != subject);
                let kept =
                    self.kept.get(&claim).is_none_or(|(whose, by)| (*whose, by) != (subject, &attempt));
                assert!(own && kept, "it was this one's");
            }
        }
    }

    async fn commit(&mut self, subject: usize, claim: usize) {
        let Some(attempt) = self.attempts.get(&(subject, claim)).cloned() else { return };
        let said = self.directory.commit(&self.service, &id(subject), &[email(claim)], &attempt).await;
        let kept = self.kept.get(&claim).cloned();
        match said {
            Ok(said) if said[0] == Committed::Yes => {
                assert!(kept.is_none_or(|(whose, _)| whose == subject), "it was kept for another");
                assert!(self.own.get(&claim).is_none_or(|whose| *whose == subject), "it is another's");
                self.own.entry(claim).or_insert(subject);
                self.kept.remove(&claim);
            }
            Ok(_) => {
                assert!(kept.is_none_or(|kept| kept != (subject, attempt)), "a reservation was lost");
                assert!(self.own.get(&claim).is_none_or(|whose| *whose != subject));
            }
            Err(error) => {
                let home = self.directory.home(&self.service, &id(subject)).await.unwrap();
                assert_eq!(home, None, "{error}");
            }
        }
    }

    async fn release(&mut self, subject: usize, claim: usize, with_attempt: bool) {
        let attempt = self.attempts.get(&(subject, claim)).cloned();
        if with_attempt && attempt.is_none() {
            return;
        }
        let attempt = attempt.filter(|_| with_attempt);
        let service = self.service.clone();
        self.directory.release(&service, &id(subject), &[email(claim)], attempt.as_deref()).await.unwrap();
        if let Some(attempt) = attempt {
            self.kept.retain(|c, (whose, by)| (*c, *whose, &*by) != (claim, subject, &attempt));
        }
        // With an attempt it may be an import's and stay: the store knows that.
        self.own.retain(|c, whose| (*c, *whose) != (claim, subject));
        // What was given back is never reserved again under its old name.
        self.attempts.remove(&(subject, claim));
    }

    async fn import(&mut self, subject: usize, claim: usize) {
        let pair = (id(subject), email(claim));
        let said = self.directory.import_claims(&self.service, &[pair]).await.unwrap();
        if said.new + said.already == 1 {
            assert!(
                self.kept.get(&claim).is_none_or(|(whose, _)| *whose == subject),
                "it was kept for another"
            );
            assert!(self.own.get(&claim).is_none_or(|whose| *whose == subject), "it is another's");
            self.own.entry(claim).or_insert(subject);
            self.kept.remove(&claim);
        }
    }

    /// A late removal takes the claims with it.
    async fn forget_the_removed(&mut self) {
        for subject in 0..SUBJECTS {
            if self.directory.home(&self.service, &id(subject)).await.unwrap().is_none() {
                self.own.retain(|_, whose| *whose != subject);
            }
        }
    }

    /// INVARIANT: who was told that a claim is its own for good has it, with its home.
    async fn check(&self) {
        for (claim, subject) in &self.own {
            let found = self.directory.resolve(&self.service, &[email(*claim)]).await.unwrap()[0].clone();
            let found = found.expect("a committed claim was lost");
            assert_eq!(found.subject, self.directory.hash(&self.service, &id(subject)));
            let home = self.directory.home(&self.service, &id(subject)).await.unwrap();
            assert_eq!(Some(found.home), home);
        }
    }
}

fn check(stage: Stage, runtime: &tokio::runtime::Runtime, cases: u32) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (directory, faulty) = stage.faulty();
    runtime.block_on(directory.migrate()).unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&prop::collection::vec(call(), 1..40), |calls| {
        let mut world = World {
            service: format!("s{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
            directory: &directory,
            faulty: &faulty,
            own: BTreeMap::new(),
            kept: BTreeMap::new(),
            attempts: BTreeMap::new(),
            leaving: BTreeSet::new(),
            number: 0,
        };
        runtime.block_on(async {
            for call in &calls {
                world.call(call).await;
            }
            let last = Call { doing: Doing::Late { newest_first: false }, subject: 0, claim: 0, fault: None };
            world.call(&last).await;
        });
        Ok(())
    });
    run.unwrap();
}

#[test]
fn claims_keep_their_promises_on_sqlite() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    check(runtime.block_on(Stage::sqlite()), &runtime, 96);
}

#[test]
fn claims_keep_their_promises_on_postgres() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    check(runtime.block_on(Stage::postgres()), &runtime, 48);
}
