//! A fault double: at one call the worker dies, either before the call is done or after it was done
//! and before its answer arrived. From then on every call fails: a dead worker does nothing more.
//! Or something happens to the world just before the call, which then is made all the same.

use async_trait::async_trait;
use bytes::Bytes;
use domicile_datamap::catalogue::Catalogue;
use domicile_datamap::layout::{Layout, TableIx};
use domicile_stores::control::{Control, ControlStore, Dialect, Rows, Statement};
use domicile_stores::records::*;
use domicile_stores::{Error, Records, Result, Snapshot, Writing};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dies {
    BeforeDone,
    AfterDone,
}

pub struct Fuse {
    at: usize,
    dies: Dies,
    /// Instead of dying.
    act: Option<Box<dyn Fn() + Send + Sync>>,
    /// The worker's own threads stand still meanwhile.
    freezes: bool,
    calls: AtomicUsize,
    pub blown: AtomicBool,
    /// Which batches' records are in the worker's hands.
    pub in_hand: InHand,
}

impl Fuse {
    pub fn new(at: usize, dies: Dies) -> Arc<Self> {
        let (calls, blown) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { at, dies, act: None, freezes: false, calls, blown, in_hand: InHand::default() })
    }

    /// One that never blows: it only watches.
    pub fn watching() -> Arc<Self> {
        Self::new(usize::MAX, Dies::BeforeDone)
    }

    /// Does something to the world before call number `at`; the worker lives on.
    pub fn acting(at: usize, act: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Self::doing(at, act, false)
    }

    /// The same, while the whole worker stands still as by SIGSTOP: it has to be on a runtime of one thread.
    pub fn freezing(at: usize, act: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Self::doing(at, act, true)
    }

    fn doing(at: usize, act: impl Fn() + Send + Sync + 'static, freezes: bool) -> Arc<Self> {
        let (calls, blown, act) = (AtomicUsize::new(0), AtomicBool::new(false), Some(Box::new(act) as _));
        Arc::new(Self { at, dies: Dies::BeforeDone, act, freezes, calls, blown, in_hand: InHand::default() })
    }

    /// Whether the worker dies of it.
    pub fn kills(&self) -> bool {
        self.act.is_none()
    }

    async fn pass<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let dead = || Error::Unreachable { store: "fuse".into(), why: "the worker is dead".into() };
        if self.kills() && self.blown.load(Ordering::SeqCst) {
            return Err(dead());
        }
        if self.calls.fetch_add(1, Ordering::SeqCst) != self.at {
            return call.await;
        }
        if let Some(act) = &self.act {
            self.blown.store(true, Ordering::SeqCst);
            if self.freezes {
                act();
            } else {
                tokio::task::block_in_place(act);
            }
            return call.await;
        }
        if self.dies == Dies::AfterDone {
            let _ = call.await;
        }
        self.blown.store(true, Ordering::SeqCst);
        Err(dead())
    }
}

/// A batch's record is in hand from the first time it is read until one is written that says it has reached
/// its end. The journal has no call that returns more than one.
#[derive(Debug, Default)]
pub struct InHand(Mutex<Hands>);

#[derive(Debug, Default)]
struct Hands {
    now: BTreeSet<String>,
    ended: BTreeSet<String>,
    most: usize,
}

impl InHand {
    fn read(&self, batch: &str) {
        let mut hands = self.0.lock().unwrap();
        if !hands.ended.contains(batch) {
            hands.now.insert(batch.to_owned());
            hands.most = hands.most.max(hands.now.len());
        }
    }

    fn wrote(&self, batch: &str, record: &Value) {
        if ["activated", "erased"].contains(&record["reached"].as_str().unwrap_or_default()) {
            let mut hands = self.0.lock().unwrap();
            hands.now.remove(batch);
            hands.ended.insert(batch.to_owned());
        }
    }

    /// The most records at once, and the batches that reached an end, since this was asked last.
    pub fn told(&self) -> (usize, usize) {
        let hands = std::mem::take(&mut *self.0.lock().unwrap());
        (hands.most, hands.ended.len())
    }
}

pub struct FaultyControl {
    pub inner: ControlStore,
    pub fuse: Arc<Fuse>,
}

#[async_trait]
impl Control for FaultyControl {
    fn name(&self) -> String {
        self.inner.name()
    }
    async fn dialect(&self) -> Result<Dialect> {
        self.fuse.pass(self.inner.dialect()).await
    }
    async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>> {
        self.fuse.pass(self.inner.run(statements)).await
    }
}

pub struct Faulty {
    pub inner: Arc<dyn Records>,
    pub fuse: Arc<Fuse>,
}

macro_rules! pass {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Records for Faulty {
            fn name(&self) -> String { self.inner.name() }
            fn layout(&self) -> &Arc<Layout> { self.inner.layout() }
            $(async fn $name(&self, $($arg: $type),*) -> Result<$answer> {
                self.fuse.pass(self.inner.$name($($arg),*)).await
            })*
            async fn batch(&self, batch: &str) -> Result<Option<BatchRow>> {
                self.fuse.in_hand.read(batch);
                self.fuse.pass(self.inner.batch(batch)).await
            }
            async fn put_batch(&self, lease: &Lease, record: &Value) -> Result<()> {
                self.fuse.pass(self.inner.put_batch(lease, record)).await?;
                self.fuse.in_hand.wrote(&lease.batch, record);
                Ok(())
            }
            async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
                let inner = self.fuse.pass(self.inner.snapshot()).await?;
                Ok(Box::new(FaultySnapshot { inner, fuse: self.fuse.clone() }))
            }
            async fn begin(&self, lease: &Lease) -> Result<Box<dyn Writing>> {
                let inner = self.fuse.pass(self.inner.begin(lease)).await?;
                Ok(Box::new(FaultyWriting { inner, fuse: self.fuse.clone() }))
            }
        }
    };
}

pass! {
    identity() -> String;
    incarnation() -> String;
    catalogue() -> Catalogue;
    numbers() -> Vec<domicile_datamap::Numbers>;
    tied(subjects: &[SubjectId]) -> Vec<SubjectId>;
    hazards() -> Vec<domicile_stores::Hazard>;
    missing_privileges() -> Vec<(String, String)>;
    pressure() -> Pressure;
    install(spec: &GuardSpec) -> ();
    set_mode(mode: Mode) -> ();
    status(deep: bool) -> GuardStatus;
    remove() -> ();
    arm(armed: bool) -> ();
    canonical(subjects: &[SubjectId]) -> Vec<SubjectId>;
    unhomed(after: Option<&SubjectId>, limit: u32) -> Vec<SubjectId>;
    adopt(subjects: &[(SubjectId, u64)]) -> u64;
    subjects(after: Option<&SubjectId>, limit: u32) -> Vec<SubjectFacts>;
    facts(subjects: &[SubjectId]) -> Vec<SubjectFacts>;
    measure(subjects: &[SubjectId]) -> BTreeMap<TableIx, Size>;
    column(table: TableIx, column: &str, subjects: &[SubjectId]) -> Vec<(SubjectId, String)>;
    homes(subjects: &[SubjectId]) -> Vec<HomeRow>;
    known(after: Option<&SubjectId>, limit: u32) -> Vec<HomeRow>;
    extend_list(list: &str, subjects: &[SubjectId]) -> ();
    list(list: &str, after: Option<&SubjectId>, limit: u32) -> Vec<SubjectId>;
    drop_list(list: &str) -> ();
    open_batches(batches: &[BatchRow]) -> ();
    batch_ids(wave: &str) -> Vec<String>;
    known_batches() -> Vec<String>;
    members(wave: &str, subjects: &[SubjectId]) -> Vec<SubjectId>;
    count_members(wave: &str) -> u64;
    take_lease(batch: &str) -> Lease;
    close_batch(lease: &Lease) -> ();
    change_state(lease: &Lease, subjects: &[SubjectId], change: Transition<'_>) -> Vec<SubjectId>;
    change_state_waiting(lease: &Lease, subjects: &[SubjectId], change: Transition<'_>, limit: Duration) -> Vec<SubjectId>;
    arrive(lease: &Lease, subjects: &[(SubjectId, u64)]) -> ();
    drop_homes(lease: &Lease, subjects: &[SubjectId], state: State) -> u64;
    forget(lease: &Lease, entries: &[i64]) -> ();
    fingerprint() -> BTreeMap<String, String>;
    warm(connections: usize) -> ();
    flush() -> ();
    wait_for_standbys(limit: Duration) -> Vec<String>;
    erase_some(lease: &Lease, subjects: &[(SubjectId, u64)], limit: u32) -> BTreeMap<TableIx, u64>;
    scrub() -> String;
    reference_rows(table: usize) -> Vec<Bytes>;
    put_reference(table: usize, rows: Vec<Bytes>) -> u64;
    schema_dump() -> String;
    run_schema(sql: &str) -> ();
}

struct FaultySnapshot {
    inner: Box<dyn Snapshot>,
    fuse: Arc<Fuse>,
}

struct FaultyWriting {
    inner: Box<dyn Writing>,
    fuse: Arc<Fuse>,
}

macro_rules! snapshot {
    ($name:ty) => {
        #[async_trait]
        impl Snapshot for $name {
            async fn changes(&mut self, subjects: &[SubjectId], limit: u32) -> Result<Vec<Change>> {
                self.fuse.pass(self.inner.changes(subjects, limit)).await
            }
            async fn expand(&mut self, changes: &[Change]) -> Result<KeySet> {
                self.fuse.pass(self.inner.expand(changes)).await
            }
            async fn owned(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<KeySet> {
                self.fuse.pass(self.inner.owned(keys, subjects)).await
            }
            async fn rows<'a>(
                &'a mut self,
                table: TableIx,
                pick: Pick<'a>,
                null_first: bool,
            ) -> Result<RowStream<'a>> {
                self.fuse.pass(self.inner.rows(table, pick, null_first)).await
            }
            async fn digests(&mut self, subjects: &[SubjectId]) -> Result<Vec<TableDigest>> {
                self.fuse.pass(self.inner.digests(subjects)).await
            }
            async fn row_digests(
                &mut self,
                keys: &KeySet,
                subjects: &[SubjectId],
            ) -> Result<BTreeMap<(TableIx, Key), String>> {
                self.fuse.pass(self.inner.row_digests(keys, subjects)).await
            }
            async fn counts(
                &mut self,
                subjects: &[SubjectId],
            ) -> Result<BTreeMap<(SubjectId, TableIx), u64>> {
                self.fuse.pass(self.inner.counts(subjects)).await
            }
            async fn row_digests_and_counts(
                &mut self,
                keys: &KeySet,
                subjects: &[SubjectId],
                few: &[SubjectId],
            ) -> Result<RowsAndCounts> {
                self.fuse.pass(self.inner.row_digests_and_counts(keys, subjects, few)).await
            }
            async fn objects(
                &mut self,
                subjects: &[SubjectId],
                keys: Option<&KeySet>,
            ) -> Result<Vec<ObjectRef>> {
                self.fuse.pass(self.inner.objects(subjects, keys)).await
            }
            async fn close(self: Box<Self>) -> Result<()> {
                self.fuse.pass(self.inner.close()).await
            }
        }
    };
}

snapshot!(FaultySnapshot);
snapshot!(FaultyWriting);

#[async_trait]
impl Writing for FaultyWriting {
    async fn clear(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, u64>> {
        self.fuse.pass(self.inner.clear(subjects)).await
    }
    async fn drop_arriving(&mut self, subjects: &[SubjectId]) -> Result<u64> {
        self.fuse.pass(self.inner.drop_arriving(subjects)).await
    }
    async fn load(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64> {
        self.fuse.pass(self.inner.load(table, rows)).await
    }
    async fn upsert(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64> {
        self.fuse.pass(self.inner.upsert(table, rows)).await
    }
    async fn delete(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<u64> {
        self.fuse.pass(self.inner.delete(keys, subjects)).await
    }
    async fn push_aside(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        self.fuse.pass(self.inner.push_aside(keys, subjects)).await
    }
    async fn commit(self: Box<Self>) -> Result<()> {
        self.fuse.pass(self.inner.commit()).await
    }
}
