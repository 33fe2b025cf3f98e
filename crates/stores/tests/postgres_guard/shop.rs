//! A database of its own for each test: a shop with users, orders, items and partitioned events.

use domicile_datamap::catalogue::{Engine, FkAction, ForeignKey, TableName};
use domicile_datamap::layout::{AttributePath, Layout, MappedTable, MovedColumn, Owner};
use domicile_stores::Records;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::{Admission, GuardSpec, HomeRow, Lease, Mode, State, SubjectId, Transition};
use domicile_testbed::postgres::Cluster;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

pub const SCHEMA: &str = "
    create table users(id bigint primary key, country text, name text, email text unique);
    create table orders(id bigint primary key, user_id bigint not null references users on delete cascade, note text);
    create table items(id bigint primary key, order_id bigint not null references orders on delete cascade, qty int);
    create table events(id bigint, user_id bigint not null references users on delete cascade, at date, what text,
        primary key (id, at)) partition by range (at);
    create table events_1 partition of events for values from ('2020-01-01') to ('2021-01-01');
    create table events_2 partition of events for values from ('2021-01-01') to ('2022-01-01');
    create table spare_leaf (like events);
    insert into users select n, 'IN', 'u' || n, 'u' || n || '@x' from generate_series(1, 20) n;
    insert into orders select n, n, 'first' from generate_series(1, 20) n;
    insert into items select n, n, 1 from generate_series(1, 20) n;
    insert into events select n, n, '2020-06-01', 'e' from generate_series(1, 20) n;
";

pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::start();
        cluster.sql(
            "postgres",
            "create role shop_owner; create role mover login; create role app login; grant shop_owner to mover",
        );
        cluster
    })
}

pub fn name(table: &str) -> TableName {
    TableName::new("public", table)
}

pub fn columns(all: &[(&str, &str)]) -> Vec<MovedColumn> {
    all.iter()
        .map(|(n, t)| MovedColumn {
            name: (*n).to_owned(),
            type_name: (*t).to_owned(),
            not_null: false,
            identity: false,
        })
        .collect()
}

/// `column` of the table refers to `referenced` of `references`.
pub fn foreign_key(column: &str, references: TableName, referenced: &str, on_delete: FkAction) -> ForeignKey {
    ForeignKey {
        name: format!("{column}_fkey"),
        columns: vec![column.to_owned()],
        references,
        referenced: vec![referenced.to_owned()],
        on_delete,
        on_update: FkAction::NoAction,
        deferrable: false,
        initially_deferred: false,
    }
}

pub fn mapped(table: TableName, owner: Owner, key: &[&str], cols: &[(&str, &str)]) -> MappedTable {
    MappedTable {
        name: table,
        owner,
        category: "profile".to_owned(),
        columns: columns(cols),
        key: key.iter().map(|k| (*k).to_owned()).collect(),
        uniques: Vec::new(),
        foreign_keys: Vec::new(),
        children: Vec::new(),
        null_first: Vec::new(),
        blanked: Vec::new(),
        refusing: Vec::new(),
        partitioned: false,
        leaves: Vec::new(),
    }
}

pub fn direct(column: &str) -> Owner {
    Owner::Direct { column: column.to_owned() }
}

pub fn derived(parent: usize, here: &str, there: &str) -> Owner {
    Owner::Derived { parent, link: vec![(here.to_owned(), there.to_owned())], deferrable: false }
}

pub fn layout_of(tables: Vec<MappedTable>) -> Layout {
    Layout {
        engine: Engine::Postgres,
        tables,
        country: AttributePath { hops: Vec::new(), column: "country".to_owned() },
        citizenship: None,
        flags: None,
        consents: None,
        references: Vec::new(),
        excluded: Vec::new(),
        dropped_foreign_keys: Vec::new(),
        objects: Vec::new(),
        declared: Vec::new(),
        safe_triggers: Vec::new(),
        hash: "0".repeat(64),
    }
}

/// The layout of [`SCHEMA`].
pub fn layout() -> Layout {
    let mut users = mapped(
        name("users"),
        Owner::Root { column: "id".to_owned() },
        &["id"],
        &[("id", "bigint"), ("country", "text"), ("name", "text"), ("email", "text")],
    );
    users.children = vec![1, 3];
    let mut orders = mapped(
        name("orders"),
        direct("user_id"),
        &["id"],
        &[("id", "bigint"), ("user_id", "bigint"), ("note", "text")],
    );
    orders.foreign_keys = vec![foreign_key("user_id", name("users"), "id", FkAction::Cascade)];
    orders.children = vec![2];
    let mut items = mapped(
        name("items"),
        derived(1, "order_id", "id"),
        &["id"],
        &[("id", "bigint"), ("order_id", "bigint"), ("qty", "integer")],
    );
    items.foreign_keys = vec![foreign_key("order_id", name("orders"), "id", FkAction::Cascade)];
    let mut events = mapped(
        name("events"),
        direct("user_id"),
        &["id", "at"],
        &[("id", "bigint"), ("user_id", "bigint"), ("at", "date"), ("what", "text")],
    );
    events.foreign_keys = vec![foreign_key("user_id", name("users"), "id", FkAction::Cascade)];
    events.partitioned = true;
    events.leaves = vec![name("events_1"), name("events_2")];
    layout_of(vec![users, orders, items, events])
}

pub fn spec() -> GuardSpec {
    let admit = |country: &str, allowed| Admission {
        country: country.to_owned(),
        allowed,
        rule: format!("rule-for-{country}"),
    };
    GuardSpec {
        region: "beijing".to_owned(),
        service: "phone".to_owned(),
        wave_only: false,
        admission: vec![admit("IN", true), admit("INDIA", true), admit("BR", false)],
    }
}

/// One test's database.
pub struct Shop {
    pub name: String,
    pub records: Postgres,
}

impl Shop {
    /// Creates the database, runs `schema` as the tables' owner, and opens it as the mover. No guard yet.
    pub async fn new(schema: &str, layout: Layout) -> Self {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}", N.fetch_add(1, Ordering::Relaxed));
        let admin = connect("postgres", "postgres").await;
        admin.batch_execute(&format!("create database {name}")).await.unwrap();
        admin.batch_execute(&format!("grant create, temporary on database {name} to mover")).await.unwrap();
        let admin = connect("postgres", &name).await;
        admin
            .batch_execute(&format!(
                "grant create on schema public to shop_owner; grant create on database {name} to shop_owner;
                 set role shop_owner; {schema};
                 reset role;
                 do $$ declare s name; begin for s in select nspname from pg_namespace where nspname !~ '^(pg_|info)' loop
                   execute format('grant usage on schema %I to mover, app', s);
                   execute format('grant all on all tables in schema %I to app', s);
                 end loop; end $$"
            ))
            .await
            .unwrap();
        let url = cluster().url("mover", &name);
        let records = Postgres::open(&url, None, Arc::new(layout)).await.unwrap();
        Self { name, records }
    }

    /// With the guard in `enforce` and everybody at home, epoch 1.
    pub async fn guarded(schema: &str, layout: Layout) -> Self {
        let shop = Self::new(schema, layout).await;
        shop.records.install(&spec()).await.unwrap();
        shop.backfill().await;
        shop.records.set_mode(Mode::Enforce).await.unwrap();
        shop
    }

    /// [`SCHEMA`], guarded.
    pub async fn standard() -> Self {
        Self::guarded(SCHEMA, layout()).await
    }

    pub async fn backfill(&self) {
        let unhomed = self.records.unhomed(None, 1_000).await.unwrap();
        let with_epoch: Vec<_> = unhomed.into_iter().map(|s| (s, 1)).collect();
        self.records.adopt(&with_epoch).await.unwrap();
    }

    /// A connection of the application.
    pub async fn app(&self) -> Client {
        connect("app", &self.name).await
    }

    /// A superuser's: not exempt from the guard.
    pub async fn admin(&self) -> Client {
        connect("postgres", &self.name).await
    }

    /// A connection of the mover's role outside the store.
    pub async fn raw_mover(&self) -> Client {
        connect("mover", &self.name).await
    }

    pub async fn lease(&self) -> Lease {
        self.records.take_lease("w1/1").await.unwrap()
    }

    /// Step 1 and 2 of marking.
    pub async fn mark(&self, lease: &Lease, who: &[i64]) {
        self.step1(lease, who, &[State::Home], State::Marking).await;
        assert_eq!(self.step2(lease, who, State::Marking, State::Moving).await, ids(who));
    }

    /// Step 1, repeated as a caller does: a refused transaction still holds its rows for a moment after
    /// its client has read the error, and held rows are skipped.
    pub async fn step1(&self, lease: &Lease, who: &[i64], from: &[State], to: State) {
        let mut left = ids(who);
        for _ in 0..12_000 {
            let changed =
                self.records.change_state(lease, &left, to_state(from, to, Some(60_000))).await.unwrap();
            left.retain(|s| !changed.contains(s));
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("step 1 to {to:?} left {left:?}");
    }

    pub async fn step2(&self, lease: &Lease, who: &[i64], from: State, to: State) -> Vec<SubjectId> {
        let from = [from];
        let change = to_state(&from, to, (to == State::Fenced).then_some(60_000));
        self.records.change_state_waiting(lease, &ids(who), change, Duration::from_secs(20)).await.unwrap()
    }

    /// To `fenced`, from home.
    pub async fn fence(&self, lease: &Lease, who: &[i64]) {
        self.mark(lease, who).await;
        self.step1(lease, who, &[State::Moving], State::Fencing).await;
        assert_eq!(self.step2(lease, who, State::Fencing, State::Fenced).await, ids(who));
    }

    pub async fn home(&self, who: i64) -> HomeRow {
        self.records.homes(&ids(&[who])).await.unwrap().pop().unwrap()
    }

    /// Puts a subject into a state directly; `ends`: the deadline's distance from now, in SQL.
    pub async fn put(&self, who: i64, state: &str, ends: &str) {
        self.raw_mover()
            .await
            .batch_execute(&format!(
                "update domicile.home set state = '{state}', batch = 'w1/1', epoch = 7, gen = gen + 1,
                 deadline = clock_timestamp() + {ends} where subject = '{who}'"
            ))
            .await
            .unwrap();
    }

    /// `domicile.changed` as `subject table key sub`, in order.
    pub async fn changed(&self) -> Vec<String> {
        let rows = self
            .raw_mover()
            .await
            .query("select subject::text || ' ' || tbl || ' ' || key::text || case when sub then ' sub' else '' end from domicile.changed order by id", &[])
            .await
            .unwrap();
        rows.iter().map(|r| r.get(0)).collect()
    }

    /// Runs a statement on another task and waits until it stands in a queue for a lock.
    pub async fn blocked(&self, client: Client, sql: &'static str) -> Blocked {
        let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
        let task = tokio::spawn(async move {
            let done = client.batch_execute(sql).await;
            (client, done)
        });
        self.wait_blocked(&format!("pid = {pid}"), &|| task.is_finished()).await;
        Blocked(task)
    }

    /// Waits until a backend that `which` describes waits for a lock.
    pub async fn wait_blocked(&self, which: &str, finished: &(dyn Fn() -> bool + Sync)) {
        let admin = self.admin().await;
        let sql = format!(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and {which})"
        );
        loop {
            if admin.query_one(&sql, &[]).await.unwrap().get(0) {
                return;
            }
            assert!(!finished(), "it should have waited for a lock, and is done");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A statement that waits.
pub struct Blocked(JoinHandle<(Client, Result<(), tokio_postgres::Error>)>);

impl Blocked {
    pub async fn done(self) -> (Client, Result<(), tokio_postgres::Error>) {
        self.0.await.unwrap()
    }
}

pub async fn connect(role: &str, database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&cluster().url(role, database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub fn to_state(from: &[State], to: State, deadline_ms: Option<u64>) -> Transition<'_> {
    Transition {
        from,
        to,
        epoch: None,
        deadline: deadline_ms.map(Duration::from_millis),
        before_deadline: false,
    }
}

pub fn ids(who: &[i64]) -> Vec<SubjectId> {
    who.iter().map(|n| SubjectId(n.to_string())).collect()
}

/// SQLSTATE of a failure; `ok` where it succeeded.
pub fn code(done: &Result<(), tokio_postgres::Error>) -> String {
    match done {
        Ok(()) => "ok".to_owned(),
        Err(e) => e.code().map_or_else(|| e.to_string(), |c| c.code().to_owned()),
    }
}

/// Runs statements and returns the SQLSTATE, or `ok`.
pub async fn run(client: &Client, sql: &str) -> String {
    code(&client.batch_execute(sql).await)
}

/// Runs statements that fail, and returns code, message, detail, hint.
pub async fn refusal(client: &Client, sql: &str) -> (String, String, String, String) {
    let error = client.batch_execute(sql).await.expect_err("this should be refused");
    let db = error.as_db_error().unwrap_or_else(|| panic!("{error}"));
    (
        db.code().code().to_owned(),
        db.message().to_owned(),
        db.detail().unwrap_or_default().to_owned(),
        db.hint().unwrap_or_default().to_owned(),
    )
}
