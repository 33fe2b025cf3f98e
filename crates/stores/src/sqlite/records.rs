//! The promise of [`Records`], kept: one line each.

use super::snapshot::Open;
use super::{Sqlite, catalogue};
use crate::error::{Error, Result};
use crate::records::{
    BatchRow, GuardSpec, GuardStatus, HomeRow, Lease, Mode, Pressure, Records, Size, Snapshot, State,
    SubjectFacts, SubjectId, Transition, Writing,
};
use async_trait::async_trait;
use bytes::Bytes;
use domicile_datamap::Numbers;
use domicile_datamap::catalogue::Catalogue;
use domicile_datamap::layout::{Layout, TableIx};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[async_trait]
impl Records for Sqlite {
    fn name(&self) -> String {
        self.cell.name().to_owned()
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    async fn identity(&self) -> Result<String> {
        self.file_identity().await
    }

    async fn incarnation(&self) -> Result<String> {
        self.file_identity().await
    }

    async fn catalogue(&self) -> Result<Catalogue> {
        self.read("read the catalogue", catalogue::read).await
    }

    async fn numbers(&self) -> Result<Vec<Numbers>> {
        self.read_numbers().await
    }

    async fn tied(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        self.read_tied(subjects).await
    }

    async fn hazards(&self) -> Result<Vec<crate::Hazard>> {
        // A file has no subscriptions, no row security, and nothing prepared that outlives its connection.
        Ok(Vec::new())
    }
    async fn missing_privileges(&self) -> Result<Vec<(String, String)>> {
        Sqlite::missing_privileges(self).await
    }

    async fn pressure(&self) -> Result<Pressure> {
        let what = format!(
            "{}: SQLite has neither replication nor sessions, so a ceiling on them can't be kept",
            self.cell.name()
        );
        Err(Error::Setting { what })
    }

    async fn install(&self, spec: &GuardSpec) -> Result<()> {
        self.enter_wal().await?;
        Sqlite::install(self, spec).await
    }

    async fn set_mode(&self, mode: Mode) -> Result<()> {
        Sqlite::set_mode(self, mode).await
    }

    async fn status(&self, deep: bool) -> Result<GuardStatus> {
        Sqlite::status(self, deep).await
    }

    async fn remove(&self) -> Result<()> {
        Sqlite::remove(self).await
    }

    async fn arm(&self, armed: bool) -> Result<()> {
        Sqlite::arm(self, armed).await
    }

    async fn canonical(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        Sqlite::canonical(self, subjects).await
    }

    async fn unhomed(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectId>> {
        Sqlite::unhomed(self, after, limit).await
    }

    async fn adopt(&self, subjects: &[(SubjectId, u64)]) -> Result<u64> {
        Sqlite::adopt(self, subjects).await
    }

    async fn subjects(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectFacts>> {
        Sqlite::subjects(self, after, limit).await
    }

    async fn facts(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectFacts>> {
        Sqlite::facts(self, subjects).await
    }

    async fn measure(&self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, Size>> {
        self.measure_rows(subjects).await
    }

    async fn column(
        &self,
        table: TableIx,
        column: &str,
        subjects: &[SubjectId],
    ) -> Result<Vec<(SubjectId, String)>> {
        self.read_column(table, column, subjects).await
    }

    async fn homes(&self, subjects: &[SubjectId]) -> Result<Vec<HomeRow>> {
        Sqlite::homes(self, subjects).await
    }

    async fn known(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<HomeRow>> {
        self.read_known(after, limit).await
    }

    async fn extend_list(&self, list: &str, subjects: &[SubjectId]) -> Result<()> {
        Sqlite::extend_list(self, list, subjects).await
    }

    async fn list(&self, list: &str, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectId>> {
        Sqlite::list(self, list, after, limit).await
    }

    async fn drop_list(&self, list: &str) -> Result<()> {
        Sqlite::drop_list(self, list).await
    }

    async fn open_batches(&self, batches: &[BatchRow]) -> Result<()> {
        Sqlite::open_batches(self, batches).await
    }

    async fn put_batch(&self, lease: &Lease, record: &serde_json::Value) -> Result<()> {
        Sqlite::put_batch(self, lease, record).await
    }

    async fn batch_ids(&self, wave: &str) -> Result<Vec<String>> {
        Sqlite::batch_ids(self, wave).await
    }

    async fn known_batches(&self) -> Result<Vec<String>> {
        Sqlite::known_batches(self).await
    }

    async fn batch(&self, batch: &str) -> Result<Option<BatchRow>> {
        Sqlite::batch(self, batch).await
    }

    async fn members(&self, wave: &str, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        Sqlite::members(self, wave, subjects).await
    }

    async fn count_members(&self, wave: &str) -> Result<u64> {
        Sqlite::count_members(self, wave).await
    }

    async fn take_lease(&self, batch: &str) -> Result<Lease> {
        self.cell.end_writings(batch).await?;
        Sqlite::take_lease(self, batch).await
    }

    async fn close_batch(&self, lease: &Lease) -> Result<()> {
        Sqlite::close_batch(self, lease).await
    }

    async fn change_state(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
    ) -> Result<Vec<SubjectId>> {
        Sqlite::change_state(self, lease, subjects, change).await
    }

    async fn change_state_waiting(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
        limit: Duration,
    ) -> Result<Vec<SubjectId>> {
        Sqlite::change_state_waiting(self, lease, subjects, change, limit).await
    }

    async fn arrive(&self, lease: &Lease, subjects: &[(SubjectId, u64)]) -> Result<()> {
        Sqlite::arrive(self, lease, subjects).await
    }

    async fn drop_homes(&self, lease: &Lease, subjects: &[SubjectId], state: State) -> Result<u64> {
        Sqlite::drop_homes(self, lease, subjects, state).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Open::reading(&self.cell, &self.layout).await?))
    }

    async fn begin(&self, lease: &Lease) -> Result<Box<dyn Writing>> {
        Ok(Box::new(Open::writing(&self.cell, &self.layout, lease).await?))
    }

    async fn forget(&self, lease: &Lease, entries: &[i64]) -> Result<()> {
        Sqlite::forget(self, lease, entries).await
    }

    async fn fingerprint(&self) -> Result<BTreeMap<String, String>> {
        Sqlite::fingerprint(self).await
    }

    /// Every commit waits for the disk.
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// A file has no standby.
    async fn wait_for_standbys(&self, _limit: Duration) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn erase_some(
        &self,
        lease: &Lease,
        subjects: &[(SubjectId, u64)],
        limit: u32,
    ) -> Result<BTreeMap<TableIx, u64>> {
        self.erase_rows(lease, subjects, limit).await
    }

    async fn scrub(&self) -> Result<String> {
        self.scrub_file().await
    }

    async fn reference_rows(&self, table: usize) -> Result<Vec<Bytes>> {
        self.read_reference(table).await
    }

    async fn put_reference(&self, table: usize, rows: Vec<Bytes>) -> Result<u64> {
        self.write_reference(table, rows).await
    }

    async fn schema_dump(&self) -> Result<String> {
        self.dump_schema().await
    }

    async fn run_schema(&self, sql: &str) -> Result<()> {
        self.apply_schema(sql).await
    }
}
