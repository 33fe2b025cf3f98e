//! The promise of [`Records`], kept: one line each.

use super::Postgres;
use crate::Hazard;
use crate::error::Result;
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
impl Records for Postgres {
    fn name(&self) -> String {
        self.store_name()
    }

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    async fn identity(&self) -> Result<String> {
        self.read_identity().await
    }

    async fn incarnation(&self) -> Result<String> {
        self.read_incarnation().await
    }

    async fn catalogue(&self) -> Result<Catalogue> {
        self.read_catalogue().await
    }

    async fn numbers(&self) -> Result<Vec<Numbers>> {
        self.read_numbers().await
    }

    async fn tied(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        self.read_tied(subjects).await
    }

    async fn hazards(&self) -> Result<Vec<Hazard>> {
        self.look_for_hazards().await
    }

    async fn missing_privileges(&self) -> Result<Vec<(String, String)>> {
        Postgres::missing_privileges(self).await
    }

    async fn pressure(&self) -> Result<Pressure> {
        self.read_pressure().await
    }

    async fn install(&self, spec: &GuardSpec) -> Result<()> {
        Postgres::install(self, spec).await
    }

    async fn set_mode(&self, mode: Mode) -> Result<()> {
        Postgres::set_mode(self, mode).await
    }

    async fn status(&self, deep: bool) -> Result<GuardStatus> {
        Postgres::status(self, deep).await
    }

    async fn remove(&self) -> Result<()> {
        Postgres::remove(self).await
    }

    async fn arm(&self, armed: bool) -> Result<()> {
        Postgres::arm(self, armed).await
    }

    async fn canonical(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        Postgres::canonical(self, subjects).await
    }

    async fn unhomed(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectId>> {
        Postgres::unhomed(self, after, limit).await
    }

    async fn adopt(&self, subjects: &[(SubjectId, u64)]) -> Result<u64> {
        Postgres::adopt(self, subjects).await
    }

    async fn subjects(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectFacts>> {
        Postgres::subjects(self, after, limit).await
    }

    async fn facts(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectFacts>> {
        Postgres::facts(self, subjects).await
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
        Postgres::homes(self, subjects).await
    }

    async fn known(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<HomeRow>> {
        self.read_known(after, limit).await
    }

    async fn extend_list(&self, list: &str, subjects: &[SubjectId]) -> Result<()> {
        Postgres::extend_list(self, list, subjects).await
    }

    async fn list(&self, list: &str, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectId>> {
        Postgres::list(self, list, after, limit).await
    }

    async fn drop_list(&self, list: &str) -> Result<()> {
        Postgres::drop_list(self, list).await
    }

    async fn open_batches(&self, batches: &[BatchRow]) -> Result<()> {
        Postgres::open_batches(self, batches).await
    }

    async fn put_batch(&self, lease: &Lease, record: &serde_json::Value) -> Result<()> {
        Postgres::put_batch(self, lease, record).await
    }

    async fn batch_ids(&self, wave: &str) -> Result<Vec<String>> {
        Postgres::batch_ids(self, wave).await
    }

    async fn known_batches(&self) -> Result<Vec<String>> {
        Postgres::known_batches(self).await
    }

    async fn batch(&self, batch: &str) -> Result<Option<BatchRow>> {
        Postgres::batch(self, batch).await
    }

    async fn members(&self, wave: &str, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        Postgres::members(self, wave, subjects).await
    }

    async fn count_members(&self, wave: &str) -> Result<u64> {
        Postgres::count_members(self, wave).await
    }

    async fn take_lease(&self, batch: &str) -> Result<Lease> {
        Postgres::take_lease(self, batch).await
    }

    async fn close_batch(&self, lease: &Lease) -> Result<()> {
        Postgres::close_batch(self, lease).await
    }

    async fn change_state(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
    ) -> Result<Vec<SubjectId>> {
        Postgres::change_state(self, lease, subjects, change).await
    }

    async fn change_state_waiting(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
        limit: Duration,
    ) -> Result<Vec<SubjectId>> {
        Postgres::change_state_waiting(self, lease, subjects, change, limit).await
    }

    async fn arrive(&self, lease: &Lease, subjects: &[(SubjectId, u64)]) -> Result<()> {
        Postgres::arrive(self, lease, subjects).await
    }

    async fn drop_homes(&self, lease: &Lease, subjects: &[SubjectId], state: State) -> Result<u64> {
        Postgres::drop_homes(self, lease, subjects, state).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.open_snapshot().await?))
    }

    async fn begin(&self, lease: &Lease) -> Result<Box<dyn Writing>> {
        Ok(Box::new(self.open_writing(lease).await?))
    }

    async fn forget(&self, lease: &Lease, entries: &[i64]) -> Result<()> {
        Postgres::forget(self, lease, entries).await
    }

    async fn fingerprint(&self) -> Result<BTreeMap<String, String>> {
        Postgres::fingerprint(self).await
    }

    async fn warm(&self, connections: usize) -> Result<()> {
        Postgres::warm(self, connections).await
    }

    async fn flush(&self) -> Result<()> {
        self.flush_log().await
    }

    async fn wait_for_standbys(&self, limit: Duration) -> Result<Vec<String>> {
        self.wait_until_flushed(limit).await
    }

    async fn erase_some(
        &self,
        lease: &Lease,
        subjects: &[(SubjectId, u64)],
        limit: u32,
    ) -> Result<BTreeMap<TableIx, u64>> {
        self.erase_up_to(lease, subjects, limit).await
    }

    async fn scrub(&self) -> Result<String> {
        Ok("nothing: dead row versions stay in the files until autovacuum, in WAL and in backups until \
            they are recycled"
            .to_owned())
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
        self.execute_schema(sql).await
    }
}
