//! A region's record store with its writes named, by what is written.

use async_trait::async_trait;
use bytes::Bytes;
use domicile_datamap::catalogue::Catalogue;
use domicile_datamap::layout::{Layout, TableIx};
use domicile_stores::failpoints::durable;
use domicile_stores::records::*;
use domicile_stores::{Records, Result, Snapshot, Writing};
use futures::StreamExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A store at whose writes something may happen.
pub struct Pointed(pub Arc<dyn Records>);

/// The name of a change of states.
fn named(change: &Transition<'_>) -> &'static str {
    match (change.from, change.to) {
        ([State::Home], State::Marking) => "mark-begin",
        ([State::Marking], State::Moving) => "mark",
        ([State::Marking], State::Home) => "mark-undo",
        ([State::Moving], State::Fencing) => "fence-begin",
        ([State::Fencing], State::Fenced) => "fence",
        ([State::Fencing, State::Fenced], State::Moving) => "unfence",
        ([State::Fenced], State::Sealed) => "seal",
        ([State::Sealed], State::Moving) => "unseal",
        ([State::Arriving], State::Home) => "activate",
        ([State::Sealed], State::Away) => "away",
        (_, State::Home) => "go-home",
        _ => "unnamed",
    }
}

macro_rules! records {
    (
        reads { $($read:ident($($r:ident: $rt:ty),*) -> $ra:ty;)* }
        writes { $($point:literal $write:ident($($w:ident: $wt:ty),*) -> $wa:ty;)* }
    ) => {
        #[async_trait]
        impl Records for Pointed {
            fn name(&self) -> String { self.0.name() }
            fn layout(&self) -> &Arc<Layout> { self.0.layout() }
            $(async fn $read(&self, $($r: $rt),*) -> Result<$ra> { self.0.$read($($r),*).await })*
            $(async fn $write(&self, $($w: $wt),*) -> Result<$wa> {
                durable($point, || self.name(), self.0.$write($($w),*)).await
            })*
            async fn change_state(&self, lease: &Lease, subjects: &[SubjectId], change: Transition<'_>) -> Result<Vec<SubjectId>> {
                durable(named(&change), || self.name(), self.0.change_state(lease, subjects, change)).await
            }
            async fn change_state_waiting(&self, lease: &Lease, subjects: &[SubjectId], change: Transition<'_>, limit: Duration) -> Result<Vec<SubjectId>> {
                durable(named(&change), || self.name(), self.0.change_state_waiting(lease, subjects, change, limit)).await
            }
            async fn forget(&self, lease: &Lease, entries: &[i64]) -> Result<()> {
                if entries.is_empty() {
                    // Asks whether the lease still holds, and writes nothing.
                    return self.0.forget(lease, entries).await;
                }
                durable("changes-forget", || self.name(), self.0.forget(lease, entries)).await
            }
            async fn begin(&self, lease: &Lease) -> Result<Box<dyn Writing>> {
                let inner = self.0.begin(lease).await?;
                let fragile = self.layout().tables.iter().position(|t| t.name.name == "parts");
                Ok(Box::new(PointedWriting { inner, point: "catch-up-commit", store: self.name(), fragile }))
            }
        }
    };
}

records! {
    reads {
        identity() -> String;
        incarnation() -> String;
        catalogue() -> Catalogue;
        numbers() -> Vec<domicile_datamap::Numbers>;
        tied(subjects: &[SubjectId]) -> Vec<SubjectId>;
        hazards() -> Vec<domicile_stores::Hazard>;
        missing_privileges() -> Vec<(String, String)>;
        pressure() -> Pressure;
        status(deep: bool) -> GuardStatus;
        canonical(subjects: &[SubjectId]) -> Vec<SubjectId>;
        unhomed(after: Option<&SubjectId>, limit: u32) -> Vec<SubjectId>;
        subjects(after: Option<&SubjectId>, limit: u32) -> Vec<SubjectFacts>;
        facts(subjects: &[SubjectId]) -> Vec<SubjectFacts>;
        measure(subjects: &[SubjectId]) -> BTreeMap<TableIx, Size>;
        column(table: TableIx, column: &str, subjects: &[SubjectId]) -> Vec<(SubjectId, String)>;
        homes(subjects: &[SubjectId]) -> Vec<HomeRow>;
        known(after: Option<&SubjectId>, limit: u32) -> Vec<HomeRow>;
        list(list: &str, after: Option<&SubjectId>, limit: u32) -> Vec<SubjectId>;
        batch_ids(wave: &str) -> Vec<String>;
        known_batches() -> Vec<String>;
        batch(batch: &str) -> Option<BatchRow>;
        members(wave: &str, subjects: &[SubjectId]) -> Vec<SubjectId>;
        count_members(wave: &str) -> u64;
        snapshot() -> Box<dyn Snapshot>;
        warm(connections: usize) -> ();
        fingerprint() -> BTreeMap<String, String>;
        wait_for_standbys(limit: Duration) -> Vec<String>;
        reference_rows(table: usize) -> Vec<Bytes>;
        schema_dump() -> String;
    }
    writes {
        "install" install(spec: &GuardSpec) -> ();
        "set-mode" set_mode(mode: Mode) -> ();
        "remove" remove() -> ();
        "adopt" adopt(subjects: &[(SubjectId, u64)]) -> u64;
        "put-reference" put_reference(table: usize, rows: Vec<Bytes>) -> u64;
        "run-schema" run_schema(sql: &str) -> ();
        "arm" arm(armed: bool) -> ();
        "list-extend" extend_list(list: &str, subjects: &[SubjectId]) -> ();
        "list-drop" drop_list(list: &str) -> ();
        "batches-open" open_batches(batches: &[BatchRow]) -> ();
        "record-save" put_batch(lease: &Lease, record: &Value) -> ();
        "lease-take" take_lease(batch: &str) -> Lease;
        "batch-close" close_batch(lease: &Lease) -> ();
        "arrive" arrive(lease: &Lease, subjects: &[(SubjectId, u64)]) -> ();
        "erase-homes" drop_homes(lease: &Lease, subjects: &[SubjectId], state: State) -> u64;
        "erase-rows" erase_some(lease: &Lease, subjects: &[(SubjectId, u64)], limit: u32) -> BTreeMap<TableIx, u64>;
        "flush" flush() -> ();
        "scrub" scrub() -> String;
    }
}

/// A write transaction: what was done in it gives its commit a name.
struct PointedWriting {
    inner: Box<dyn Writing>,
    point: &'static str,
    store: String,
    /// The table whose rows may get lost on their way.
    fragile: Option<TableIx>,
}

#[async_trait]
impl Snapshot for PointedWriting {
    async fn changes(&mut self, subjects: &[SubjectId], limit: u32) -> Result<Vec<Change>> {
        self.inner.changes(subjects, limit).await
    }
    async fn expand(&mut self, changes: &[Change]) -> Result<KeySet> {
        self.inner.expand(changes).await
    }
    async fn owned(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<KeySet> {
        self.inner.owned(keys, subjects).await
    }
    async fn rows<'a>(
        &'a mut self,
        table: TableIx,
        pick: Pick<'a>,
        null_first: bool,
    ) -> Result<RowStream<'a>> {
        self.inner.rows(table, pick, null_first).await
    }
    async fn digests(&mut self, subjects: &[SubjectId]) -> Result<Vec<TableDigest>> {
        self.inner.digests(subjects).await
    }
    async fn row_digests(
        &mut self,
        keys: &KeySet,
        subjects: &[SubjectId],
    ) -> Result<BTreeMap<(TableIx, Key), String>> {
        self.inner.row_digests(keys, subjects).await
    }
    async fn counts(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<(SubjectId, TableIx), u64>> {
        self.inner.counts(subjects).await
    }
    async fn row_digests_and_counts(
        &mut self,
        keys: &KeySet,
        subjects: &[SubjectId],
        few: &[SubjectId],
    ) -> Result<RowsAndCounts> {
        self.inner.row_digests_and_counts(keys, subjects, few).await
    }
    async fn objects(&mut self, subjects: &[SubjectId], keys: Option<&KeySet>) -> Result<Vec<ObjectRef>> {
        self.inner.objects(subjects, keys).await
    }
    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl Writing for PointedWriting {
    async fn clear(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, u64>> {
        self.point = "copy-commit";
        self.inner.clear(subjects).await
    }
    async fn drop_arriving(&mut self, subjects: &[SubjectId]) -> Result<u64> {
        self.point = "clear-commit";
        self.inner.drop_arriving(subjects).await
    }
    async fn load(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64> {
        if super::loses_rows(self.fragile == Some(table)) {
            // Bad copying, for verify to find: rows of a table that no other refers to never arrive.
            let whole = rows.skip(1).boxed();
            return self.inner.load(table, whole).await;
        }
        self.inner.load(table, rows).await
    }
    async fn upsert(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64> {
        self.inner.upsert(table, rows).await
    }
    async fn delete(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<u64> {
        self.inner.delete(keys, subjects).await
    }
    async fn push_aside(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        self.inner.push_aside(keys, subjects).await
    }
    async fn commit(self: Box<Self>) -> Result<()> {
        let Self { inner, point, store, .. } = *self;
        durable(point, || store.clone(), inner.commit()).await
    }
}
