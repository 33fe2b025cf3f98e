//! An application that writes while databases stop and start. What it writes is absolute (this version,
//! this key), so a write whose answer was lost is sent again until it is acknowledged, and what was
//! acknowledged is known for certain.

use crate::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// What one account's writer knows at the end.
#[derive(Debug, Default, Clone)]
pub struct Log {
    /// The last acknowledged version of the account's row.
    pub version: i64,
    /// The last one sent; larger where the last answer never came.
    pub sent: i64,
    /// Items acknowledged.
    pub items: Vec<i64>,
    /// The item sent last, where its answer never came.
    pub unsure: Option<i64>,
}

enum Answer {
    Done,
    /// Refused, or the row or its parent is not there.
    Elsewhere,
    /// The connection broke or never came about: it may have been done.
    Lost,
}

struct Pen {
    account: i64,
    urls: BTreeMap<&'static str, String>,
    clients: BTreeMap<&'static str, Client>,
    stop: Arc<AtomicBool>,
    log: Log,
}

/// Writers, one an account, until they are stopped.
pub struct Pens {
    stop: Arc<AtomicBool>,
    tasks: BTreeMap<i64, tokio::task::JoinHandle<Log>>,
}

impl Pens {
    pub fn start(world: &World, accounts: impl IntoIterator<Item = i64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let urls: BTreeMap<_, _> = ["old", "new"].map(|r| (r, world.url(r, "app"))).into();
        let start = |account| {
            let (urls, stop) = (urls.clone(), stop.clone());
            let pen = Pen { account, urls, clients: BTreeMap::new(), stop, log: Log::default() };
            (account, tokio::spawn(pen.write()))
        };
        let tasks = accounts.into_iter().map(start).collect();
        Self { stop, tasks }
    }

    /// Stops them; what each knows by account.
    pub async fn stop(self) -> BTreeMap<i64, Log> {
        self.stop.store(true, Ordering::SeqCst);
        let mut logs = BTreeMap::new();
        for (account, task) in self.tasks {
            logs.insert(account, task.await.unwrap());
        }
        logs
    }
}

impl Pen {
    async fn write(mut self) -> Log {
        while !self.stop.load(Ordering::SeqCst) {
            let (account, version) = (self.account, self.log.version + 1);
            self.log.sent = version;
            if self.until_done(&format!("UPDATE accounts SET version = {version} WHERE id = {account}")).await
            {
                self.log.version = version;
            }
            if version % 3 == 0 {
                let item = account * 1_000_000 + version;
                self.log.unsure = Some(item);
                let order = account * 10 + version % 2;
                if self.until_done(&format!("INSERT INTO items VALUES ({item}, {order}, 2, 0)")).await {
                    self.log.unsure = None;
                    self.log.items.push(item);
                }
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        self.log
    }

    /// At either region, until it is acknowledged. False: stopped before.
    async fn until_done(&mut self, sql: &str) -> bool {
        for region in ["old", "new"].into_iter().cycle() {
            match self.send(region, sql).await {
                Answer::Done => return true,
                Answer::Elsewhere => tokio::time::sleep(Duration::from_millis(2)).await,
                Answer::Lost => {
                    self.clients.remove(region);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            if self.stop.load(Ordering::SeqCst) {
                return false;
            }
        }
        false
    }

    async fn send(&mut self, region: &'static str, sql: &str) -> Answer {
        if !self.clients.contains_key(region) {
            let Ok((client, connection)) = tokio_postgres::connect(&self.urls[region], NoTls).await else {
                return Answer::Lost;
            };
            tokio::spawn(connection);
            self.clients.insert(region, client);
        }
        match self.clients[region].execute(sql, &[]).await {
            Ok(0) => Answer::Elsewhere,
            Ok(_) => Answer::Done,
            Err(error) => match error.code().map(|code| code.code().to_owned()).as_deref() {
                // The key is there: an earlier try, whose answer was lost, was done.
                Some("23505") => Answer::Done,
                Some("RS001" | "RS002" | "23503" | "40001" | "40P01" | "55P03" | "53100") => {
                    Answer::Elsewhere
                }
                None => Answer::Lost,
                Some(code) if code.starts_with("57P") || code.starts_with("08") => Answer::Lost,
                Some(code) => panic!("{sql}: {code}: {error}"),
            },
        }
    }
}

/// Every acknowledged write once, every subject whole at the one home that the directory names, and
/// nothing of a wave left in the guard's tables but `left`.
pub async fn all_is_there(world: &World, logs: &BTreeMap<i64, Log>, what: &str) {
    let (old, new) = (world.dump("old").await, world.dump("new").await);
    let service = world.service().await;
    for (id, log) in logs {
        let subject = domicile_stores::records::SubjectId(id.to_string());
        let home = service.directory.home(crate::world::SERVICE, &subject).await.unwrap().unwrap();
        let (here, there) = if home.region == "new" { (&new, &old) } else { (&old, &new) };
        let starts = |side: &BTreeMap<String, Vec<String>>, table: &str, of: i64| {
            let prefix = format!("{of}|");
            side[table].iter().filter(|row| row.starts_with(&prefix)).cloned().collect::<Vec<_>>()
        };
        let rows = starts(here, "accounts", *id);
        assert_eq!(rows.len(), 1, "{what}: account {id} stands once at {}", home.region);
        let version: i64 = rows[0].rsplit('|').next().unwrap().parse().unwrap();
        assert!(
            (log.version..=log.sent).contains(&version),
            "{what}: account {id} has version {version}, acknowledged {}, sent {}",
            log.version,
            log.sent
        );
        assert!(starts(there, "accounts", *id).is_empty(), "{what}: account {id} stands at both regions");
        let own = |side: &BTreeMap<String, Vec<String>>, table: &str| {
            side[table].iter().filter(|r| r.split('|').nth(1) == Some(&id.to_string())).count()
        };
        assert_eq!((own(here, "orders"), own(there, "orders")), (2, 0), "{what}: orders of {id}");
        assert_eq!((own(here, "photos"), own(there, "photos")), (1, 0), "{what}: photos of {id}");
        let given = (0..2).flat_map(|o| (0..2).map(move |i| (id * 10 + o) * 10 + i));
        for item in given.chain(log.items.iter().copied()) {
            assert_eq!(starts(here, "items", item).len(), 1, "{what}: item {item} of {id}");
        }
        for item in log.items.iter().copied().chain(log.unsure) {
            assert!(starts(there, "items", item).is_empty(), "{what}: item {item} of {id} at both regions");
        }
    }
}
