//! Directories to test: one on each engine, over doubles that lose answers where a test wants them to.

use domicile_directory::{Directory, DirectoryKey, Home, Swap};
use domicile_stores::control::{Control, ControlStore, Dialect, Rows, Statement};
use domicile_stores::records::SubjectId;
use domicile_stores::{Error, Result};
use domicile_testbed::postgres::Cluster;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::oneshot;

pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

/// A control store with nothing in it.
pub struct Stage {
    pub store: ControlStore,
    pub key: DirectoryKey,
    /// Where the file is (SQLite).
    pub folder: tempfile::TempDir,
    /// The database's name (PostgreSQL).
    pub database: Option<String>,
}

impl Stage {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ControlStore::open("sqlite:control.db", folder.path(), None).await.expect("sqlite");
        Self { store, key: DirectoryKey::generate().expect("a key"), folder, database: None }
    }

    pub async fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let database = format!("control{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        cluster().sql("postgres", &format!("create database {database}"));
        let url = cluster().url("postgres", &database);
        let store = ControlStore::open(&url, Path::new("."), None).await.expect("postgres");
        let (key, folder) =
            (DirectoryKey::generate().expect("a key"), tempfile::tempdir().expect("a folder"));
        Self { store, key, folder, database: Some(database) }
    }

    /// One of each engine, with the tables made.
    pub async fn both() -> [Self; 2] {
        let both = [Self::sqlite().await, Self::postgres().await];
        for stage in &both {
            stage.directory().migrate().await.expect("the tables");
        }
        both
    }

    pub fn directory(&self) -> Directory {
        Directory::open(self.store.clone(), self.key.clone())
    }

    /// A directory whose answers a test can spoil.
    pub fn faulty(&self) -> (Directory, Faulty) {
        let faulty = Faulty::over(self.store.clone());
        (Directory::open(faulty.clone(), self.key.clone()), faulty)
    }
}

/// What happens to the next writing transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not done, and reported as unknown.
    NotDone,
    /// Done, and reported as unknown.
    Lost,
    /// Reported as unknown at once, and done when [`Faulty::release`] is called.
    Late,
    /// Not done, and reported so.
    Again,
}

/// A transaction that happens when its gate is opened.
struct Late {
    gate: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Late {
    fn open(self) -> tokio::task::JoinHandle<()> {
        self.gate.send(()).expect("it waits");
        self.task
    }
}

/// A control store that spoils answers to writing transactions.
#[derive(Clone)]
pub struct Faulty {
    inner: ControlStore,
    faults: Arc<Mutex<Vec<Fault>>>,
    late: Arc<Mutex<VecDeque<Late>>>,
}

impl Faulty {
    fn over(inner: ControlStore) -> Self {
        Self { inner, faults: Arc::default(), late: Arc::default() }
    }

    /// Spoils the next writing transactions in this order.
    pub fn spoil(&self, faults: &[Fault]) {
        self.faults.lock().expect("faults").extend(faults.iter().rev());
    }

    /// How many faults have not been used.
    pub fn left(&self) -> usize {
        self.faults.lock().expect("faults").len()
    }

    /// Forgets faults that have not been used.
    pub fn clear(&self) {
        self.faults.lock().expect("faults").clear();
    }

    /// Lets all that is late happen now, at once, and waits for it.
    pub async fn release(&self) {
        let late = std::mem::take(&mut *self.late.lock().expect("late"));
        let tasks: Vec<_> = late.into_iter().map(Late::open).collect();
        for task in tasks {
            task.await.expect("the late transaction");
        }
    }

    /// Lets one late transaction happen, the oldest or the newest. False: none is late.
    pub async fn release_one(&self, newest: bool) -> bool {
        let late = {
            let mut late = self.late.lock().expect("late");
            if newest { late.pop_back() } else { late.pop_front() }
        };
        let Some(late) = late else { return false };
        late.open().await.expect("the late transaction");
        true
    }
}

#[async_trait::async_trait]
impl Control for Faulty {
    fn name(&self) -> String {
        self.inner.name()
    }

    async fn dialect(&self) -> Result<Dialect> {
        self.inner.dialect().await
    }

    async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>> {
        let writes = statements.iter().any(|s| !s.sql.starts_with("SELECT"));
        let fault = if writes { self.faults.lock().expect("faults").pop() } else { None };
        let unknown = Err(Error::Unreachable { store: self.name(), why: "the test says so".into() });
        match fault {
            None => self.inner.run(statements).await,
            Some(Fault::NotDone) => unknown,
            Some(Fault::Lost) => {
                self.inner.run(statements).await?;
                unknown
            }
            Some(Fault::Late) => {
                let (inner, (gate, opened)) = (self.inner.clone(), oneshot::channel());
                let task = tokio::spawn(async move {
                    // A test that ended does not want it any more.
                    let Ok(()) = opened.await else { return };
                    inner.run(statements).await.expect("late, but done");
                });
                self.late.lock().expect("late").push_back(Late { gate, task });
                unknown
            }
            Some(Fault::Again) => {
                Err(Error::Again { store: self.name(), what: "a test".into(), why: "40001".into() })
            }
        }
    }
}

pub fn id(text: impl ToString) -> SubjectId {
    SubjectId(text.to_string())
}

pub fn home(region: &str, epoch: u64, attempt: u64) -> Home {
    Home { region: region.into(), epoch, attempt }
}

pub fn swap(subject: impl ToString, from: &str, epoch: u64, attempt: u64) -> Swap {
    Swap { subject: id(subject), from: from.into(), epoch, attempt }
}
