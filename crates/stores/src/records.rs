//! What a region's record database promises to the mover.
//!
//! One trait, two engines, one conformance suite (`tests/conformance.rs`). The guard (DESIGN section
//! 4) lives in the database; this is the mover's side of it. Every call that writes as the mover takes
//! a [`Lease`] and reads its token first in the same transaction (finding 6): a worker that was
//! replaced gets [`Error::LeaseLost`](crate::Error::LeaseLost) and has changed nothing.

use crate::Result;
use async_trait::async_trait;
use bytes::Bytes;
use domicile_datamap::Numbers;
use domicile_datamap::catalogue::{Catalogue, Engine};
use domicile_datamap::layout::{Layout, TableIx};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A subject's key as canonical text (`42`, `0190a6f2-...`, `ann@example`): PostgreSQL's output text
/// of the root's key column, SQLite's `CAST(key AS TEXT)`. Never printed, logged or put into a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectId(pub String);

/// A row's primary key as the text of a JSON array, one element a key column, e.g. `[12, "a"]`.
/// PostgreSQL: `jsonb_build_array(k1, k2)::text`; SQLite: `json_array(k1, k2)`, blobs as `{"x":"<hex>"}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub String);

/// Keys by table.
pub type KeySet = BTreeMap<TableIx, BTreeSet<Key>>;

/// A stream of encoded rows. The encoding belongs to the engine (PostgreSQL: COPY text; SQLite: see
/// `sqlite::rows`) and is understood by another store of the same engine and layout.
pub type RowStream<'a> = BoxStream<'a, Result<Bytes>>;

/// States of a subject's row in `domicile.home` (DESIGN section 4). Who sets it, and is it durable?
/// All are committed before the next step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The application writes here. Set by adoption, sign-up and activate.
    Home,
    /// Step 1 of marking: refused until the writers in flight have ended. Set by copy.
    Marking,
    /// Writes pass and every changed key is recorded. Set by copy.
    Moving,
    /// Step 1 of the fence: refused; writers in flight may still commit. Set by fence.
    Fencing,
    /// Step 2: nobody can write. Ends by its deadline unless sealed. Set by fence.
    Fenced,
    /// No clock un-fences any more; only the directory's answer does. Set by cutover.
    Sealed,
    /// At the new home before activate: refused. Set by copy.
    Arriving,
    /// At the old home after activate, until erased: refused. Set by activate.
    Away,
}

/// What the guard does with a subject it has no row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Passes and is counted.
    Observe,
    /// Refused, except sign-up.
    Enforce,
    /// Triggers are armed only while a wave is open; unknown subjects pass.
    Wave,
}

/// How to install the guard.
#[derive(Debug, Clone)]
pub struct GuardSpec {
    /// This region's id: in refusals and the guard's own row.
    pub region: String,
    /// The service.
    pub service: String,
    /// `guard = "always" | "wave"`: wave means [`Mode::Wave`] instead of `Enforce`.
    pub wave_only: bool,
    /// Which countries' subjects may sign up or be inserted here, with the rule that says so.
    pub admission: Vec<Admission>,
}

/// Policy's word on one country at this region, kept in the database so that the guard can ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// As it may stand in the country column, upper-cased: code or name; the caller lists every spelling in use.
    pub country: String,
    /// May be stored here.
    pub allowed: bool,
    /// The rule in words: law and reason; part of the RS002 message.
    pub rule: String,
}

/// What `guard status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardStatus {
    /// False: the guard is not installed, the rest is empty.
    pub installed: bool,
    /// The mode; `None` where not installed.
    pub mode: Option<Mode>,
    /// Subjects by state.
    pub subjects: BTreeMap<State, u64>,
    /// Rows of the root without a row in `domicile.home`.
    pub unhomed: u64,
    /// Would-be refusals counted in observe mode: (table, reason, how many).
    pub observed: Vec<(String, String, u64)>,
    /// Entries waiting in `domicile.changed`.
    pub changed: u64,
    /// Milliseconds until the first fence under way ends by itself, by the region's clock; negative: since it
    /// could have ended, which the next writer does. `None`: nobody is fenced.
    #[serde(default)]
    pub fence_left_ms: Option<i64>,
    /// Mapped tables whose triggers are missing, disabled or altered, a line each.
    pub faults: Vec<String>,
}

/// How hard a region's server works at other things than the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// How far the standby that is furthest behind is, in time; zero where there is none.
    pub lag: Duration,
    /// The same in bytes of the write-ahead log.
    pub lag_bytes: u64,
    /// Sessions of other roles that are at a statement now, in all databases of the server.
    pub active_sessions: u64,
}

/// Rows in a piece of a [`RowStream`] between two stores of that engine. A row cut in two counts with its end.
pub fn rows_in(engine: Engine, piece: &[u8]) -> u64 {
    match engine {
        // In COPY's text form a line feed always ends a row.
        Engine::Postgres => piece.iter().filter(|b| **b == b'\n').count() as u64,
        Engine::Sqlite => crate::sqlite::frames_in(piece),
    }
}

/// What policy needs to know of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectFacts {
    /// Who.
    pub subject: SubjectId,
    /// The country as the database has it, trimmed; `None` for NULL or a path that ends early.
    pub country: Option<String>,
    /// Citizenship, if the map has a path to it.
    pub citizenship: Option<String>,
    /// Flags, sorted, if the map has a path to them.
    pub flags: Vec<String>,
    /// Purposes consented to, sorted, if the map has a path to them.
    pub consents: Vec<String>,
    /// State here; `None`: no row in `domicile.home`.
    pub state: Option<State>,
}

/// The words of a text such as flags stand in, sorted, each once.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> =
        text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.sort();
    words.dedup();
    words
}

/// One row of `domicile.home`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeRow {
    /// Who.
    pub subject: SubjectId,
    /// State.
    pub state: State,
    /// The epoch the state belongs to.
    pub epoch: u64,
    /// Bumped to shut out writers with older snapshots.
    pub generation: i64,
    /// The batch that moves the subject.
    pub batch: Option<String>,
}

/// Rows and bytes of one table for a set of subjects. Bytes are the text form's, an estimate of what travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Size {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The right to move one batch, proven in every transaction by its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The batch, e.g. `w7/12`.
    pub batch: String,
    /// Drawn at each takeover. It does not count: a server that takes the place of another may know an older lease, and
    /// a number after that one would be given twice.
    pub token: i64,
}

impl Lease {
    /// A token that nobody has: of 63 random bits.
    pub(crate) fn draw(store: &str) -> Result<i64> {
        let drawn = getrandom::u64().map_err(|e| crate::Error::Failed {
            store: store.to_owned(),
            what: "drawing a lease's token".to_owned(),
            why: e.to_string(),
        })?;
        Ok((drawn >> 1) as i64)
    }
}

/// What the batch of a lease ends with that keeps the triggers of `guard = "wave"` armed: taken before they are armed,
/// so that another wave's end can't disarm them before the first subject is marked.
pub const ARMED: &str = "/armed";

/// One recorded change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Entry number; entries are removed by exactly these numbers after the target's commit.
    pub id: i64,
    /// Whose.
    pub subject: SubjectId,
    /// Which table.
    pub table: TableIx,
    /// Which row.
    pub key: Key,
    /// The row's whole subtree may have changed owner or gone: expand it (finding 3).
    pub subtree: bool,
}

/// Which rows to read.
#[derive(Debug, Clone, Copy)]
pub enum Pick<'a> {
    /// All rows of these subjects.
    Subjects(&'a [SubjectId]),
    /// These keys of the table, where the owner is one of the subjects.
    Keys(&'a BTreeSet<Key>, &'a [SubjectId]),
}

/// Digest of one subject's rows in one table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableDigest {
    /// Whose.
    pub subject: SubjectId,
    /// Which table.
    pub table: TableIx,
    /// Rows.
    pub rows: u64,
    /// Bytes of canonical text.
    pub bytes: u64,
    /// SHA-256 over the rows' own SHA-256 values in ascending order of those values (so no collation
    /// can make two equal sets differ); each over the row's canonical text, hex.
    pub sha256: String,
}

/// An object key found in a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Whose.
    pub subject: SubjectId,
    /// Index into [`Layout::objects`].
    pub rule: usize,
    /// The key.
    pub key: String,
}

/// A batch as journalled in the source region's `domicile` schema, where the real ids may stay.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchRow {
    /// `wave/number`.
    pub batch: String,
    /// The wave.
    pub wave: String,
    /// Its subjects.
    pub subjects: Vec<SubjectId>,
    /// The stage's record, as the mover wrote it last.
    pub record: serde_json::Value,
}

/// How a state changes.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// Only subjects in one of these states.
    pub from: &'a [State],
    /// The state after.
    pub to: State,
    /// The epoch after; `None` keeps it.
    pub epoch: Option<u64>,
    /// For `Fencing` and `Fenced`: the state ends by itself this long after the statement; `None` clears it.
    pub deadline: Option<Duration>,
    /// Only where the deadline has not passed (sealing).
    pub before_deadline: bool,
}

impl Transition<'_> {
    /// Whether a crash of the database may forget it: into or out of a state that ends by its deadline.
    /// The mark and the fence are trusted only as far as the next durable step finds them (the seal
    /// demands `fenced`, the fence demands `moving`), and whatever made that step durable made what stood
    /// before it in the log durable, too. So their commits need not wait for the disk. `home` at the target
    /// is made durable by the first write that is acknowledged there; before `away` is said at the source, the
    /// mover asks for it ([`Records::flush`]).
    pub fn may_be_forgotten(&self) -> bool {
        let ends_by_itself = |s: &State| matches!(s, State::Marking | State::Fencing | State::Fenced);
        let stays_behind = !matches!(self.to, State::Sealed | State::Away | State::Arriving);
        let opens = self.from == [State::Arriving] && self.to == State::Home;
        opens || stays_behind && (ends_by_itself(&self.to) || self.from.iter().all(ends_by_itself))
    }
}

/// A region's record database, opened for one service with its layout.
///
/// Implemented by [`crate::postgres`] and [`crate::sqlite`]; a fault double may wrap it.
#[async_trait]
pub trait Records: Send + Sync {
    /// The store's name for messages, without secrets.
    fn name(&self) -> String;
    /// The layout it was opened with.
    fn layout(&self) -> &Arc<Layout>;
    /// What tells this database from any other (PostgreSQL: system identifier and database oid;
    /// SQLite: a random id kept in the guard's tables, or the file's canonical path before install).
    async fn identity(&self) -> Result<String>;
    /// What changes when another server takes this one's place: a fail-over to a standby may have forgotten
    /// what was committed before (ATTACKS A10). PostgreSQL: system identifier and timeline; SQLite: its identity.
    async fn incarnation(&self) -> Result<String>;
    /// The catalogue as it is now.
    async fn catalogue(&self) -> Result<Catalogue>;
    /// Columns of mapped tables whose numbers the database gives and that must differ from row to row.
    async fn numbers(&self) -> Result<Vec<Numbers>>;
    /// Those of the subjects that a row ties to another subject by a column answered `refuse`
    /// ([`MappedTable::refusing`](domicile_datamap::MappedTable::refusing)), whichever of the two owns it.
    /// A subject that is `away` here ties nobody.
    async fn tied(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>>;
    /// What the mover may not do here, each with the GRANT that mends it; empty: all is well.
    async fn missing_privileges(&self) -> Result<Vec<(String, String)>>;
    /// What the guard or a move cannot hold against: rules, large objects, subscriptions that apply into
    /// mapped tables, and more. PostgreSQL only.
    async fn hazards(&self) -> Result<Vec<crate::Hazard>>;

    /// How hard the server works at other things. PostgreSQL only.
    ///
    /// # Errors
    /// `Denied` where the role may not see other roles' sessions and standbys: what it can't see would look
    /// like nothing. `Setting` on SQLite, which has neither.
    async fn pressure(&self) -> Result<Pressure>;

    // ---- adoption -------------------------------------------------------------------------------

    /// Installs or updates the guard's tables, functions and triggers. A new guard starts in
    /// `observe`; an old one keeps its mode. Safe to repeat; one transaction on both engines.
    async fn install(&self, spec: &GuardSpec) -> Result<()>;
    /// Sets the mode. `Enforce` fails with [`Error::Schema`](crate::Error::Schema) while subjects are unhomed.
    async fn set_mode(&self, mode: Mode) -> Result<()>;
    /// Mode, counts and faults. `deep` also counts unhomed subjects (a scan of the root).
    async fn status(&self, deep: bool) -> Result<GuardStatus>;
    /// Removes everything Domicile installed. Refused while a subject is in any state but `home`.
    async fn remove(&self) -> Result<()>;
    /// Arms (or disarms) the triggers of `guard = "wave"`. No effect in other modes. They stay armed while anybody is
    /// under way or away here, and while there is a lease whose batch ends with [`ARMED`].
    async fn arm(&self, armed: bool) -> Result<()>;
    /// Subjects as this database prints its root's keys, in their order: `007` of an integer key is `7`.
    /// Everything that names a subject by its text, the directory's hash above all, needs this spelling.
    /// One that can't be a key here fails the call.
    async fn canonical(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>>;
    /// Subjects of the root without a row in `domicile.home`, by key, after `after`.
    async fn unhomed(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectId>>;
    /// Gives subjects that have no row yet the state `home` with that epoch. Returns how many.
    async fn adopt(&self, subjects: &[(SubjectId, u64)]) -> Result<u64>;

    // ---- planning -------------------------------------------------------------------------------

    /// Facts of subjects by key order, after `after`.
    async fn subjects(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectFacts>>;
    /// Facts of these subjects; absent ones are left out.
    async fn facts(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectFacts>>;
    /// Rows and bytes by table for these subjects.
    async fn measure(&self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, Size>>;
    /// What stands in a column of these subjects' rows in a mapped table, as text, NULLs left out: as many to a subject
    /// as it has rows there.
    async fn column(
        &self,
        table: TableIx,
        column: &str,
        subjects: &[SubjectId],
    ) -> Result<Vec<(SubjectId, String)>>;
    /// The guard's rows of these subjects; absent ones are left out.
    async fn homes(&self, subjects: &[SubjectId]) -> Result<Vec<HomeRow>>;
    /// The guard's rows of everybody whom it knows, also of those without a row in the root, by key order, after `after`.
    async fn known(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<HomeRow>>;
    /// Adds subjects to a plan's list in the region; who is in it already stays in it.
    async fn extend_list(&self, list: &str, subjects: &[SubjectId]) -> Result<()>;
    /// Reads a plan's list by key order, after `after`.
    async fn list(&self, list: &str, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectId>>;
    /// Drops a plan's list.
    async fn drop_list(&self, list: &str) -> Result<()>;

    // ---- the journal of batches (at the source) and leases (at both sides) ---------------------

    /// Writes new batches with their subjects, in one transaction; those that exist are left alone.
    async fn open_batches(&self, batches: &[BatchRow]) -> Result<()>;
    /// Replaces a batch's record.
    async fn put_batch(&self, lease: &Lease, record: &serde_json::Value) -> Result<()>;
    /// The ids of a wave's batches in order of their numbers. There is no call that returns all records of a
    /// wave: they grow with its subjects, and the mover's memory must not.
    async fn batch_ids(&self, wave: &str) -> Result<Vec<String>>;
    /// The ids of all batches that the journal or a lease here knows, of whatever wave, in any order.
    async fn known_batches(&self) -> Result<Vec<String>>;
    /// One batch with its record; `None` where the journal has none of that id.
    async fn batch(&self, batch: &str) -> Result<Option<BatchRow>>;
    /// Those of these subjects that are in a batch of the wave, in any order. Reads no record.
    async fn members(&self, wave: &str, subjects: &[SubjectId]) -> Result<Vec<SubjectId>>;
    /// How many subjects are in batches of the wave. Reads no record.
    async fn count_members(&self, wave: &str) -> Result<u64>;
    /// Takes the lease of a batch here: draws its token anew and ends the transactions of the holder before us that are in
    /// the way (PostgreSQL). It holds at this server alone: one that takes its place knows less (see [`Records::incarnation`]),
    /// and says that the server is another, as if the connection had broken.
    async fn take_lease(&self, batch: &str) -> Result<Lease>;
    /// Forgets a batch, its members and its lease: after erase and evidence, or after abort.
    async fn close_batch(&self, lease: &Lease) -> Result<()>;

    // ---- the route ------------------------------------------------------------------------------

    /// Changes the state of those subjects of the batch that are in a `from` state, without waiting
    /// for anybody (rows that others hold are skipped). Returns those changed. Subjects in another
    /// batch's hands are never touched.
    async fn change_state(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
    ) -> Result<Vec<SubjectId>>;
    /// The same with `gen = gen + 1`, one subject a transaction, all in one round trip where the
    /// engine can: waits for the subject's writers in flight, at most `limit` each. Returns those
    /// changed; the others are stragglers and stay as they were.
    async fn change_state_waiting(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
        limit: Duration,
    ) -> Result<Vec<SubjectId>>;
    /// At the target: gives subjects the state `arriving` with that epoch for this batch. Those that
    /// are `away` here from an earlier move, or `arriving` in this batch, are taken over; one in any
    /// other state fails the call with [`Error::Schema`](crate::Error::Schema).
    async fn arrive(&self, lease: &Lease, subjects: &[(SubjectId, u64)]) -> Result<()>;
    /// Removes the rows of `domicile.home` of these subjects where they are in that state and epoch
    /// (the target's after abort, the source's after erase) and their entries in `domicile.changed`.
    async fn drop_homes(&self, lease: &Lease, subjects: &[SubjectId], state: State) -> Result<u64>;
    /// Opens a read-only snapshot (REPEATABLE READ): every read sees the same instant.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>>;
    /// Opens a write transaction that has checked the lease.
    async fn begin(&self, lease: &Lease) -> Result<Box<dyn Writing>>;
    /// Removes exactly these entries of `domicile.changed`.
    async fn forget(&self, lease: &Lease, entries: &[i64]) -> Result<()>;
    /// File node, columns, triggers and inheritance of every mapped table and leaf, as one text a
    /// table: compared between mark and fence (finding 5).
    async fn fingerprint(&self) -> Result<BTreeMap<String, String>>;
    /// Gets ready for fences: the first one is to take no longer than the others. So many connections are used at once.
    async fn warm(&self, connections: usize) -> Result<()> {
        let _ = connections;
        Ok(())
    }
    /// Returns when everything that was committed before the call is on the disk, also what did not wait
    /// for it (see [`Transition::may_be_forgotten`]).
    async fn flush(&self) -> Result<()>;
    /// Waits until the standbys named in the store's settings have flushed all that was committed
    /// before the call. Returns their names; empty: none is listed.
    async fn wait_for_standbys(&self, limit: Duration) -> Result<Vec<String>>;
    /// Erases up to `limit` rows of these subjects, child-first by explicit keys, in one transaction
    /// that checks `away` and the epoch of each. Returns rows erased by table; empty: nothing is left.
    async fn erase_some(
        &self,
        lease: &Lease,
        subjects: &[(SubjectId, u64)],
        limit: u32,
    ) -> Result<BTreeMap<TableIx, u64>>;
    /// Makes erased rows physically harder to find where the engine lets the mover do so. SQLite:
    /// checkpoint and VACUUM (with `secure_delete`). PostgreSQL: nothing. Returns what was done, in words.
    async fn scrub(&self) -> Result<String>;

    // ---- regions --------------------------------------------------------------------------------

    /// Rows of a reference table at this region, encoded like [`Snapshot::rows`] (stubbed where the
    /// map says so), for [`Records::put_reference`] at another. `table` is an index into `Layout::references`.
    async fn reference_rows(&self, table: usize) -> Result<Vec<Bytes>>;
    /// Upserts reference rows by key. Returns rows written or changed.
    async fn put_reference(&self, table: usize, rows: Vec<Bytes>) -> Result<u64>;
    /// The statements that make an empty database's schema like this one's (`pg_dump --schema-only`
    /// or `sqlite_master`), without Domicile's own objects and without `Layout::dropped_foreign_keys`.
    async fn schema_dump(&self) -> Result<String>;
    /// Runs such statements in one transaction.
    async fn run_schema(&self, sql: &str) -> Result<()>;
}

/// SHA-256 (hex) of single rows, and rows by subject and table.
pub type RowsAndCounts = (BTreeMap<(TableIx, Key), String>, BTreeMap<(SubjectId, TableIx), u64>);

/// A read-only view of one instant.
#[async_trait]
pub trait Snapshot: Send {
    /// Up to `limit` recorded changes of these subjects, oldest first.
    async fn changes(&mut self, subjects: &[SubjectId], limit: u32) -> Result<Vec<Change>>;
    /// The keys of the entries and, for `subtree` entries, of all descendants by path that this
    /// instant shows.
    async fn expand(&mut self, changes: &[Change]) -> Result<KeySet>;
    /// Those of the keys whose row exists and is owned by one of the subjects.
    async fn owned(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<KeySet>;
    /// Rows of one table, columns in the layout's order, `blanked` columns as NULL. With
    /// `null_first`, the columns that close a cycle are NULL too.
    async fn rows<'a>(
        &'a mut self,
        table: TableIx,
        pick: Pick<'a>,
        null_first: bool,
    ) -> Result<RowStream<'a>>;
    /// Digest of every subject in every table; tables where a subject has no row are left out.
    async fn digests(&mut self, subjects: &[SubjectId]) -> Result<Vec<TableDigest>>;
    /// SHA-256 (hex) of single rows, where they exist and belong to one of the subjects.
    async fn row_digests(
        &mut self,
        keys: &KeySet,
        subjects: &[SubjectId],
    ) -> Result<BTreeMap<(TableIx, Key), String>>;
    /// Rows by subject and table; zero counts are left out.
    async fn counts(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<(SubjectId, TableIx), u64>>;
    /// [`Snapshot::row_digests`] of `keys` and [`Snapshot::counts`] of `few`, together.
    async fn row_digests_and_counts(
        &mut self,
        keys: &KeySet,
        subjects: &[SubjectId],
        few: &[SubjectId],
    ) -> Result<RowsAndCounts> {
        Ok((self.row_digests(keys, subjects).await?, self.counts(few).await?))
    }
    /// Object keys named by rows of these subjects: by all rows, or only by rows of `keys`.
    async fn objects(&mut self, subjects: &[SubjectId], keys: Option<&KeySet>) -> Result<Vec<ObjectRef>>;
    /// Ends the view.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// A write transaction of the mover that holds its lease. Dropped without [`Writing::commit`], it rolls back.
#[async_trait]
pub trait Writing: Snapshot {
    /// Deletes all rows of these subjects here, child-first. For a copy that starts again, and for abort.
    async fn clear(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, u64>>;
    /// Removes the rows of `domicile.home` of those of these subjects that are `arriving` in this batch: with
    /// [`Writing::clear`] in one transaction, so that a home without its copy never looks like a copy.
    async fn drop_arriving(&mut self, subjects: &[SubjectId]) -> Result<u64>;
    /// Loads rows into a table that has none of these keys. Returns how many were sent; an error of theirs may be
    /// the next call's, at the latest [`Writing::commit`]'s.
    async fn load(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64>;
    /// Inserts rows or replaces them by primary key.
    async fn upsert(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64>;
    /// Deletes those of the keys whose owner here is one of the subjects, child-first. Cascades may
    /// only hit rows that are in `keys`, too.
    async fn delete(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<u64>;
    /// Deletes those of the keys whose row here belongs to a subject that is `arriving` or `away`
    /// and not in `subjects` (finding 7): they were re-owned. Bumps the generation of those whose rows were
    /// pushed aside, so that their own batch sees it, and returns them.
    async fn push_aside(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<Vec<SubjectId>>;
    /// Commits.
    async fn commit(self: Box<Self>) -> Result<()>;
}
