//! Applications that write to few customers at once, in the dense form: several writers a customer, three
//! isolation levels, open transactions, re-owned and deleted rows. What was acknowledged is logged, and compared
//! with plain SQL over both regions at the end.

use crate::servers::Servers;
use domicile_testbed::postgres::Cluster;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// Purchases that a writer has at a time. Few and often written; and a wave that is paced has an end however
/// fast the machine's writers are.
const MOST_ROWS: usize = 12;
const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// What one writer knows for certain: nothing but it writes these rows, and no answer is lost.
#[derive(Default)]
struct Log {
    /// The version of its own customer's row.
    customer: (i64, i64),
    /// Its purchases' versions; `None`: deleted.
    purchases: BTreeMap<i64, Option<i64>>,
    refused: u64,
}

/// Writers, until they are stopped.
pub struct Writers {
    stop: Arc<AtomicBool>,
    runtime: tokio::runtime::Runtime,
    tasks: Vec<tokio::task::JoinHandle<Log>>,
}

struct Writer {
    number: i64,
    customers: Vec<i64>,
    clients: [Client; 2],
    stop: Arc<AtomicBool>,
    log: Log,
    dice: u64,
}

impl Writers {
    /// Gives the application's role its grants and starts so many writers on `customers`.
    pub fn start(servers: &Servers, writers: usize, customers: &[i64]) -> Self {
        for cluster in [&servers.us, &servers.de] {
            let sql = "CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA public TO app; \
                       GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app";
            cluster.sql("shop", sql);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (runtime, stop) = (runtime.expect("a runtime"), Arc::new(AtomicBool::new(false)));
        let urls = [&servers.us, &servers.de].map(|cluster| cluster.url("app", "shop"));
        let start = |number: usize| {
            let (urls, stop) = (urls.clone(), stop.clone());
            let customers = customers.to_vec();
            runtime.spawn(async move {
                let [here, there] = urls;
                let clients = [connected(&here).await, connected(&there).await];
                let (mine, dice) = (customers[number], 7 + number as u64 * 1_000_003);
                let log = Log { customer: (mine, 0), ..Log::default() };
                Writer { number: number as i64, customers, clients, stop, log, dice }.run().await
            })
        };
        let tasks = (0..writers).map(start).collect();
        Self { stop, tasks, runtime }
    }

    /// Stops them and compares: each acknowledged write once, with its last value, beside its customer.
    pub fn all_is_there(self, servers: &Servers) {
        self.stop.store(true, Ordering::SeqCst);
        let sides = [&servers.us, &servers.de];
        let logs: Vec<Log> =
            self.tasks.into_iter().map(|t| self.runtime.block_on(t).expect("a writer")).collect();
        let customers = sides.map(|cluster| pairs(cluster, "SELECT id, name FROM customer"));
        let days = "SELECT id, placed_on - date '2000-01-01' FROM purchase";
        let purchases = sides.map(|cluster| pairs(cluster, days));
        let (mut writes, mut refused) = (0, 0);
        for log in &logs {
            let (id, version) = log.customer;
            let found: Vec<&String> = customers.iter().filter_map(|side| side.get(&id)).collect();
            let wanted = if version == 0 { format!("customer {id}") } else { format!("v{version}") };
            assert_eq!(found, [&wanted], "customer {id}: once, with its last acknowledged name");
            for (id, version) in &log.purchases {
                let found: Vec<&String> = purchases.iter().filter_map(|side| side.get(id)).collect();
                match version {
                    Some(version) => {
                        assert_eq!(found, [&version.to_string()], "purchase {id}: once, as acknowledged");
                    }
                    None => assert!(found.is_empty(), "purchase {id} was deleted and is there"),
                }
            }
            writes += version + log.purchases.values().map(|v| v.unwrap_or(0) + 1).sum::<i64>();
            refused += log.refused;
        }
        let stray = "SELECT count(*) FROM purchase p WHERE NOT EXISTS \
                     (SELECT FROM customer c WHERE c.id = p.customer_id)";
        for cluster in sides {
            assert_eq!(cluster.sql("shop", stray), "0", "purchases stand beside their customer");
        }
        assert!(writes > 50, "the applications wrote: {writes}");
        assert!(refused > 0, "and met fences");
    }
}

fn pairs(cluster: &Cluster, sql: &str) -> BTreeMap<i64, String> {
    let text = cluster.sql("shop", sql);
    let pair = |line: &str| {
        let (id, value) = line.split_once('|').expect("two columns");
        (id.parse().expect("a number"), value.to_owned())
    };
    text.lines().map(pair).collect()
}

async fn connected(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

impl Writer {
    fn roll(&mut self, sides: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.dice >> 33) % sides as u64) as usize
    }

    async fn run(mut self) -> Log {
        let mut next = 0;
        let mut mine: Vec<i64> = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let dice = self.roll(10);
            let at = if mine.is_empty() { 0 } else { self.roll(mine.len()) };
            let (sides, own) = (self.customers.len(), mine.get(at).copied());
            let customer = self.roll(sides);
            let customer = self.customers[customer];
            let full = mine.len() >= MOST_ROWS;
            match (dice, own) {
                (0..3, _) | (3..8, None) if !full => {
                    next += 1;
                    let id = 1_000_000 * (self.number + 1) + next;
                    if self
                        .write(&format!("INSERT INTO purchase VALUES ({id}, {customer}, '2000-01-01')"))
                        .await
                    {
                        self.log.purchases.insert(id, Some(0));
                        mine.push(id);
                    }
                }
                (3..6, Some(id)) => {
                    let version = self.log.purchases[&id].unwrap_or(0) + 1;
                    let sql = format!(
                        "UPDATE purchase SET placed_on = date '2000-01-01' + {version} WHERE id = {id}"
                    );
                    if self.write(&sql).await {
                        self.log.purchases.insert(id, Some(version));
                    }
                }
                (6, Some(id)) => {
                    // To another customer of the same region, if there is one: which one does not matter.
                    let sql = format!(
                        "UPDATE purchase SET customer_id = {customer} WHERE id = {id} \
                         AND EXISTS (SELECT FROM customer WHERE id = {customer})"
                    );
                    let region = self.roll(2);
                    let _ = self.once(region, &sql).await;
                }
                (0..3 | 7, Some(id)) => {
                    if self.write(&format!("DELETE FROM purchase WHERE id = {id}")).await {
                        mine.swap_remove(at);
                        self.log.purchases.insert(id, None);
                    }
                }
                _ => {
                    let (id, version) = self.log.customer;
                    let sql = format!("UPDATE customer SET name = 'v{}' WHERE id = {id}", version + 1);
                    if self.write(&sql).await {
                        self.log.customer.1 += 1;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        self.log
    }

    /// Tries both regions until one accepts and a row was touched. False: stopped before, and not done.
    async fn write(&mut self, sql: &str) -> bool {
        for tries in 0_u64.. {
            if self.once((tries % 2) as usize, sql).await {
                return true;
            }
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1 + (tries / 10).min(20))).await;
        }
        false
    }

    /// One transaction, held open for a moment.
    async fn once(&mut self, region: usize, sql: &str) -> bool {
        let (level, hold) = (LEVELS[self.roll(3)], self.roll(8) as u64);
        let client = &self.clients[region];
        client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}")).await.expect("BEGIN");
        let touched = match client.execute(sql, &[]).await {
            Ok(touched) => touched,
            Err(error) => {
                let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
                client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
                match code.as_str() {
                    "RS001" => self.log.refused += 1,
                    "RS002" | "23503" | "40001" | "40P01" | "55P03" => {}
                    _ => panic!("{sql}: {code}: {error}"),
                }
                return false;
            }
        };
        tokio::time::sleep(Duration::from_millis(hold)).await;
        // A COMMIT that fails was rolled back: no server stops in these tests.
        match client.batch_execute("COMMIT").await {
            Ok(()) => touched > 0,
            Err(error) => {
                assert_eq!(error.code().map(|code| code.code()), Some("40001"), "{sql}: {error}");
                false
            }
        }
    }
}
