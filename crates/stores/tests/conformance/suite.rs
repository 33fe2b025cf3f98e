//! What every record store must do for the mover, written once.
//!
//! An engine brings a [`Fixture`]: pairs of empty databases with [`SCHEMA`] and, at the source,
//! [`ROWS`]. Everything else here is the same for all.

use crate::layouts::{self, Way};
use async_trait::async_trait;
use domicile_datamap::catalogue::Catalogue;
use domicile_datamap::layout::{Layout, ObjectRule, ObjectSource, WithoutRow};
use domicile_stores::records::{
    BatchRow, GuardSpec, KeySet, Lease, Mode, Pick, Snapshot, State, SubjectId, Transition, Writing,
};
use domicile_stores::{Error, Records};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Both engines understand it.
pub const SCHEMA: &str = "
create table person (id integer primary key, name text not null, country text not null, email text unique);
create table orders (id integer primary key, person_id integer not null references person (id), note text, photo text);
create table item (order_id integer not null references orders (id), n integer not null, what text, primary key (order_id, n));
create table message (id integer primary key, person_id integer not null references person (id),
  reply_to integer references message (id), body text);
create index orders_person on orders (person_id);
create index message_person on message (person_id);
create index message_reply on message (reply_to);
";

/// Four persons; 1 and 2 move in these tests, 3 and 4 stay.
pub const ROWS: &str = "
insert into person values (1, 'Ann', 'IN', 'ann@example'), (2, 'Béla', 'IN', null), (3, 'Cao', 'CN', 'c'), (4, 'Dee', 'CN', 'd');
insert into orders values (11, 1, 'tab	and
line', 'photos/11'), (12, 1, '', null), (21, 2, '\\N', 'photos/21'), (31, 3, 'stays', 'photos/31');
insert into item values (11, 1, 'a'), (11, 2, null), (12, 1, ''), (21, 1, 'ü'), (31, 1, 'stays');
insert into message values (1, 1, null, 'first'), (2, 1, 1, 'second'), (3, 2, null, 'other'), (4, 3, null, 'stays');
";

const PERSON: usize = 0;
const ORDERS: usize = 1;
const ITEM: usize = 2;
const MESSAGE: usize = 3;

/// The layout of [`SCHEMA`]; `schema` is `public` or `main`.
pub fn layout(catalogue: &Catalogue, schema: &str) -> Layout {
    let name = |table: &str| format!("{schema}.{table}");
    let (person, orders) = (name("person"), name("orders"));
    let (item, message) = (name("item"), name("message"));
    let tables = [
        (person.as_str(), Way::Root("id")),
        (orders.as_str(), Way::Direct("person_id")),
        (item.as_str(), Way::By(&orders)),
        (message.as_str(), Way::Direct("person_id")),
    ];
    let photo = ObjectRule {
        source: ObjectSource::Column { table: ORDERS, column: "photo".to_owned() },
        without_row: WithoutRow::Sweep,
        category: "photos".to_owned(),
    };
    layouts::with(layouts::layout(catalogue, &tables, "country"), vec![photo], vec![])
}

/// One region of a pair.
pub struct Side {
    /// The store, as the mover opens it.
    pub records: Arc<dyn Records>,
    /// Runs SQL as the application would; the error's text where it is refused.
    pub app: Run,
    /// Runs SQL as if behind the guard's back: how rows get corrupted.
    pub tamper: Run,
}

/// Runs SQL.
pub type Run = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Two regions with [`SCHEMA`]; [`ROWS`] at the source, the guard nowhere yet.
pub struct Pair {
    /// Where the subjects are.
    pub source: Side,
    /// Where they go.
    pub target: Side,
}

/// What an engine brings.
#[async_trait]
pub trait Fixture: Sync {
    /// A fresh pair for the test of that name (letters and underscores).
    async fn pair(&self, test: &str) -> Pair;
}

/// A pair under way: the guard enforces, persons 1 and 2 are copied or about to be.
struct Move {
    pair: Pair,
    leases: [Lease; 2],
    subjects: Vec<SubjectId>,
}

const BATCH: &str = "w1/1";

pub(crate) fn subject(id: u32) -> SubjectId {
    SubjectId(id.to_string())
}

pub(crate) fn spec(region: &str) -> GuardSpec {
    let allowed = |country: &str| domicile_stores::records::Admission {
        country: country.to_owned(),
        allowed: true,
        rule: "test".to_owned(),
    };
    GuardSpec {
        region: region.to_owned(),
        service: "shop".to_owned(),
        wave_only: false,
        admission: vec![allowed("IN"), allowed("CN")],
    }
}

fn step(from: &[State], to: State) -> Transition<'_> {
    Transition { from, to, epoch: None, deadline: None, before_deadline: false }
}

impl Move {
    /// Guards both sides and marks persons 1 and 2 `moving` at the source, `arriving` at the target.
    async fn begin(fixture: &dyn Fixture, test: &str) -> Self {
        let pair = fixture.pair(test).await;
        let subjects = vec![subject(1), subject(2)];
        for (side, region) in [(&pair.source, "here"), (&pair.target, "there")] {
            side.records.install(&spec(region)).await.expect("install");
        }
        let all: Vec<_> = (1..=4).map(|id| (subject(id), 1)).collect();
        assert_eq!(pair.source.records.adopt(&all).await.expect("adopt"), 4);
        for side in [&pair.source, &pair.target] {
            side.records.set_mode(Mode::Enforce).await.expect("enforce");
        }
        let batch = BatchRow {
            batch: BATCH.to_owned(),
            wave: "w1".to_owned(),
            subjects: subjects.clone(),
            record: serde_json::json!({"stage": "copy"}),
        };
        pair.source.records.open_batches(&[batch]).await.expect("open batches");
        let leases = [
            pair.source.records.take_lease(BATCH).await.expect("lease"),
            pair.target.records.take_lease(BATCH).await.expect("lease"),
        ];
        let under_way = Self { pair, leases, subjects };
        under_way.change(&[State::Home], State::Marking).await;
        under_way.change_waiting(&[State::Marking], State::Moving, None).await;
        let arriving: Vec<_> = under_way.subjects.iter().map(|s| (s.clone(), 2)).collect();
        under_way.target().arrive(&under_way.leases[1], &arriving).await.expect("arrive");
        under_way
    }

    fn source(&self) -> &dyn Records {
        self.pair.source.records.as_ref()
    }

    fn target(&self) -> &dyn Records {
        self.pair.target.records.as_ref()
    }

    async fn change(&self, from: &[State], to: State) {
        let changed = self.source().change_state(&self.leases[0], &self.subjects, step(from, to)).await;
        assert_eq!(changed.expect("change").len(), self.subjects.len(), "{to:?}");
    }

    async fn change_waiting(&self, from: &[State], to: State, epoch: Option<u64>) {
        let change = Transition { epoch, ..step(from, to) };
        let limit = Duration::from_secs(5);
        let changed =
            self.source().change_state_waiting(&self.leases[0], &self.subjects, change, limit).await;
        assert_eq!(changed.expect("change waiting").len(), self.subjects.len(), "{to:?}");
    }

    async fn snapshot(&self) -> Box<dyn Snapshot> {
        self.source().snapshot().await.expect("snapshot")
    }

    async fn writing(&self) -> Box<dyn Writing> {
        self.target().begin(&self.leases[1]).await.expect("begin")
    }

    /// All rows, as the mover copies them.
    async fn copy(&self) {
        let mut snapshot = self.snapshot().await;
        let mut writing = self.writing().await;
        writing.clear(&self.subjects).await.expect("clear");
        for table in 0..4 {
            let rows = snapshot.rows(table, Pick::Subjects(&self.subjects), true).await.expect("rows");
            writing.load(table, rows).await.expect("load");
        }
        let rows = snapshot.rows(MESSAGE, Pick::Subjects(&self.subjects), false).await.expect("rows");
        assert_eq!(writing.upsert(MESSAGE, rows).await.expect("upsert"), 3);
        writing.commit().await.expect("commit");
        snapshot.close().await.expect("close");
    }

    /// One round of catch-up: rows first, then what is gone. Returns entries seen.
    async fn catch_up(&self) -> usize {
        let mut snapshot = self.snapshot().await;
        let changes = snapshot.changes(&self.subjects, 1_000).await.expect("changes");
        let mut writing = self.writing().await;
        let mut keys = snapshot.expand(&changes).await.expect("expand");
        for (table, more) in writing.expand(&changes).await.expect("expand at the target") {
            keys.entry(table).or_default().extend(more);
        }
        let present = snapshot.owned(&keys, &self.subjects).await.expect("owned");
        for null_first in [true, false] {
            for (table, keys) in &present {
                let pick = Pick::Keys(keys, &self.subjects);
                let rows = snapshot.rows(*table, pick, null_first).await.expect("rows");
                writing.upsert(*table, rows).await.expect("upsert");
            }
        }
        writing.delete(&without(&keys, &present), &self.subjects).await.expect("delete");
        writing.commit().await.expect("commit");
        snapshot.close().await.expect("close");
        let entries: Vec<i64> = changes.iter().map(|c| c.id).collect();
        self.source().forget(&self.leases[0], &entries).await.expect("forget");
        changes.len()
    }

    /// Digests and counts of both sides are the same; returns the counts by table.
    async fn assert_equal(&self) -> BTreeMap<usize, u64> {
        let (mut here, mut there) =
            (self.snapshot().await, self.target().snapshot().await.expect("snapshot"));
        let digests = here.digests(&self.subjects).await.expect("digests");
        assert_eq!(digests, there.digests(&self.subjects).await.expect("digests"));
        let counts = here.counts(&self.subjects).await.expect("counts");
        assert_eq!(counts, there.counts(&self.subjects).await.expect("counts"));
        let mut by_table = BTreeMap::new();
        for digest in &digests {
            assert_eq!(digest.rows, counts[&(digest.subject.clone(), digest.table)]);
            *by_table.entry(digest.table).or_default() += digest.rows;
        }
        by_table
    }
}

fn without(keys: &KeySet, present: &KeySet) -> KeySet {
    let rest = keys.iter().map(|(table, keys)| {
        let there = present.get(table);
        (*table, keys.iter().filter(|k| there.is_none_or(|p| !p.contains(k))).cloned().collect())
    });
    rest.collect()
}

fn run(run: &Run, sql: &str) {
    run(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// A copy from one snapshot is equal, and brings nobody else's rows.
pub async fn copy(fixture: &dyn Fixture) {
    let under_way = Move::begin(fixture, "copy").await;
    under_way.copy().await;
    let rows = under_way.assert_equal().await;
    assert_eq!(rows, BTreeMap::from([(PERSON, 2), (ORDERS, 3), (ITEM, 4), (MESSAGE, 3)]));
    let mut there = under_way.target().snapshot().await.expect("snapshot");
    assert!(there.digests(&[subject(3), subject(4)]).await.expect("digests").is_empty());
    let mut here = under_way.snapshot().await;
    let mut photos = here.objects(&under_way.subjects, None).await.expect("objects");
    photos.sort();
    let photos: Vec<_> = photos.iter().map(|o| (o.subject.0.as_str(), o.key.as_str())).collect();
    assert_eq!(photos, [("1", "photos/11"), ("2", "photos/21")]);
    drop(there);
    // Safe to repeat: it starts with a clear.
    under_way.copy().await;
    under_way.assert_equal().await;
}

/// What the application changes meanwhile arrives, whatever kind of change it is.
pub async fn catch_up(fixture: &dyn Fixture) {
    let under_way = Move::begin(fixture, "catch_up").await;
    under_way.copy().await;
    let app = &under_way.pair.source.app;
    for sql in [
        "insert into orders values (13, 1, 'new', null)",
        "insert into item values (13, 1, 'new')",
        "update person set name = 'Anna' where id = 1",
        "update item set what = 'changed' where order_id = 11 and n = 2",
        // An item changes its parent, then the parent goes.
        "update item set order_id = 13, n = 2 where order_id = 12",
        "delete from orders where id = 12",
        // An order with its items goes to a subject that stays, another comes from there.
        "update orders set person_id = 4 where id = 21",
        "update orders set person_id = 2 where id = 31",
        "update message set reply_to = null where id = 2",
        "delete from message where id = 1",
    ] {
        run(app, sql);
    }
    assert!(under_way.catch_up().await > 0);
    let rows = under_way.assert_equal().await;
    assert_eq!(rows, BTreeMap::from([(PERSON, 2), (ORDERS, 3), (ITEM, 5), (MESSAGE, 2)]));
    assert_eq!(under_way.catch_up().await, 0, "exactly the entries seen were removed");
}

/// One byte that differs is found and its row is named.
pub async fn corruption(fixture: &dyn Fixture) {
    let under_way = Move::begin(fixture, "corruption").await;
    under_way.copy().await;
    run(&under_way.pair.target.tamper, "update item set what = 'b' where order_id = 11 and n = 1");
    let (mut here, mut there) =
        (under_way.snapshot().await, under_way.target().snapshot().await.expect("snapshot"));
    let mine = here.digests(&under_way.subjects).await.expect("digests");
    let theirs = there.digests(&under_way.subjects).await.expect("digests");
    let different: Vec<_> = mine.iter().zip(&theirs).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
    assert_eq!(different.len(), 1);
    assert_eq!((different[0].table, &different[0].subject), (ITEM, &subject(1)));

    let mut keys = KeySet::new();
    for change in ["[11, 1]", "[11, 2]", "[31, 1]", "[99, 9]"] {
        keys.entry(ITEM).or_default().insert(domicile_stores::records::Key(change.to_owned()));
    }
    let owned = here.owned(&keys, &under_way.subjects).await.expect("owned");
    assert_eq!(owned[&ITEM].len(), 2, "neither another subject's row nor one that isn't there");
    let mine = here.row_digests(&owned, &under_way.subjects).await.expect("row digests");
    let theirs = there.row_digests(&owned, &under_way.subjects).await.expect("row digests");
    let different: Vec<_> = mine.iter().filter(|(key, hash)| theirs[*key] != **hash).collect();
    assert_eq!((mine.len(), different.len()), (2, 1));
}

/// Finding 7: a delete at the target never hits a row whose owner there is not in the batch.
pub async fn ownership(fixture: &dyn Fixture) {
    let under_way = Move::begin(fixture, "ownership").await;
    under_way.copy().await;
    // At the target, order 21 belongs to person 1 already (another batch brought it there).
    run(&under_way.pair.target.tamper, "update orders set person_id = 1 where id = 21");
    let keys = KeySet::from([
        (ORDERS, [domicile_stores::records::Key("[21]".to_owned())].into()),
        (ITEM, [domicile_stores::records::Key("[21, 1]".to_owned())].into()),
    ]);
    let mut writing = under_way.writing().await;
    assert_eq!(writing.delete(&keys, &[subject(2)]).await.expect("delete"), 0);
    // Under the fence it is pushed aside, by the batch that owns the key, and its holder is named.
    assert_eq!(writing.push_aside(&keys, &under_way.subjects).await.expect("push aside"), []);
    assert_eq!(writing.push_aside(&keys, &[subject(2)]).await.expect("push aside"), [subject(1)]);
    writing.close().await.expect("roll back");
    let mut there = under_way.target().snapshot().await.expect("snapshot");
    let counts = there.counts(&under_way.subjects).await.expect("counts");
    assert_eq!(counts[&(subject(1), ORDERS)], 3, "closed without commit, it rolls back");
    drop(there);
    nobody_elses_row_is_overwritten(&under_way).await;
}

async fn nobody_elses_row_is_overwritten(under_way: &Move) {
    let tamper = &under_way.pair.target.tamper;
    run(tamper, "insert into person values (9, 'Live', 'CN', 'live')");
    under_way.target().adopt(&[(subject(9), 1)]).await.expect("adopt");
    run(tamper, "insert into orders values (13, 9, 'live', null)");
    run(&under_way.pair.source.app, "insert into orders values (13, 1, 'same key', null)");
    let keys = [domicile_stores::records::Key("[13]".to_owned())].into();
    let mut snapshot = under_way.snapshot().await;
    let rows = snapshot.rows(ORDERS, Pick::Keys(&keys, &under_way.subjects), true).await.expect("rows");
    let mut writing = under_way.writing().await;
    let taken = writing.upsert(ORDERS, rows).await;
    assert!(matches!(taken, Err(Error::Taken { .. })), "{taken:?}");
    drop(writing);
    let mut there = under_way.target().snapshot().await.expect("snapshot");
    assert_eq!(there.counts(&[subject(9)]).await.expect("counts")[&(subject(9), ORDERS)], 1);
}

/// A unique value swapped between rows of one batch arrives with one upsert.
pub async fn swapped_value(fixture: &dyn Fixture) {
    let under_way = Move::begin(fixture, "swapped_value").await;
    run(&under_way.pair.source.app, "update person set email = 'bela@example' where id = 2");
    under_way.copy().await;
    under_way.catch_up().await;
    for (id, email) in [(1, "parked"), (2, "ann@example"), (1, "bela@example")] {
        run(&under_way.pair.source.app, &format!("update person set email = '{email}' where id = {id}"));
    }
    assert!(under_way.catch_up().await > 0);
    under_way.assert_equal().await;
}

/// Erasing: only what is `away` in that epoch, in pieces, children first, with exact counts.
pub async fn erase(fixture: &dyn Fixture) {
    let under_way = Move::begin(fixture, "erase").await;
    under_way.copy().await;
    let (lease, source) = (&under_way.leases[0], under_way.source());
    let wrong = source.erase_some(lease, &[(subject(1), 2)], 10).await;
    assert!(matches!(wrong, Err(Error::Schema { .. })), "moving, not away: {wrong:?}");
    under_way.change(&[State::Moving], State::Fencing).await;
    under_way.change_waiting(&[State::Fencing], State::Fenced, None).await;
    under_way.change(&[State::Fenced], State::Sealed).await;
    under_way.change_waiting(&[State::Sealed], State::Away, Some(2)).await;
    let wrong = source.erase_some(lease, &[(subject(1), 2), (subject(2), 3)], 10).await;
    assert!(matches!(wrong, Err(Error::Schema { .. })), "another epoch: {wrong:?}");

    let gone: Vec<_> = under_way.subjects.iter().map(|s| (s.clone(), 2)).collect();
    let mut erased: BTreeMap<usize, u64> = BTreeMap::new();
    for call in 0.. {
        assert!(call < 100, "erasing never ends");
        let some = source.erase_some(lease, &gone, 2).await.expect("erase");
        if some.is_empty() {
            break;
        }
        assert!(some.values().sum::<u64>() <= 2);
        for (table, rows) in some {
            *erased.entry(table).or_default() += rows;
        }
    }
    assert_eq!(erased, BTreeMap::from([(PERSON, 2), (ORDERS, 3), (ITEM, 4), (MESSAGE, 3)]));
    let mut here = under_way.snapshot().await;
    assert!(here.counts(&under_way.subjects).await.expect("counts").is_empty());
    let stay = here.counts(&[subject(3), subject(4)]).await.expect("counts");
    assert_eq!(stay.values().sum::<u64>(), 5);
    drop(here);
    assert_eq!(source.drop_homes(lease, &under_way.subjects, State::Away).await.expect("drop homes"), 2);
    known_in_key_order(source).await;
}

/// Also those without a row of the application; 10 comes after 4, and not after 1.
async fn known_in_key_order(records: &dyn Records) {
    records.adopt(&[(subject(30), 7), (subject(10), 1)]).await.expect("adopt");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = records.known(after.as_ref(), 2).await.expect("known");
        let Some(last) = page.last() else { break };
        after = Some(last.subject.clone());
        all.extend(page.into_iter().map(|row| (row.subject, row.state, row.epoch)));
    }
    let home = |n, epoch| (subject(n), State::Home, epoch);
    assert_eq!(all, [home(3, 1), home(4, 1), home(10, 1), home(30, 7)]);
}

/// A worker that was replaced changes nothing, whether it begins too late or is in the middle.
pub async fn lease_loss(fixture: &dyn Fixture) {
    let under_way = Move::begin(fixture, "lease_loss").await;
    under_way.copy().await;
    let target = under_way.target();
    let mut old = under_way.writing().await;
    old.clear(&under_way.subjects).await.expect("clear");
    let new = target.take_lease(BATCH).await.expect("take over");
    assert_ne!(new.token, under_way.leases[1].token);
    old.commit().await.expect_err("its transaction was ended");
    under_way.assert_equal().await;
    let late = target.begin(&under_way.leases[1]).await.err();
    assert!(matches!(late, Some(Error::LeaseLost { .. })), "{late:?}");
    let late = target.erase_some(&under_way.leases[1], &[], 1).await;
    assert!(matches!(late, Err(Error::LeaseLost { .. })), "{late:?}");
    target.begin(&new).await.expect("the new holder writes").commit().await.expect("commit");
}
