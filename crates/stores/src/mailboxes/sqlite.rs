//! Mailboxes in a SQLite file: one writer, some readers.

use super::expiry::{Ledger, Over};
use super::mail::{Look, Message, PAGE_BYTES, Receipt, Unread};
use super::refusal::Refusal;
use crate::control::{Rows, Statement, execute, is_read_only};
use crate::{Error, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Connections that read.
const READERS_MAX: usize = 4;
/// The mover's transactions are short, but while one writes, the file is locked.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// A relay that was just told to end has the file for a moment still.
const LAST_RELAY_ENDS: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Statements kept prepared per connection.
const STATEMENTS_MAX: usize = 128;

const KEEP: &str = "INSERT INTO mailbox_message(mailbox, id, body, received_ms, expires_ms) SELECT ?1, ?2, ?3, ?4, ?5 \
     WHERE NOT EXISTS (SELECT 1 FROM mailbox_delivered WHERE mailbox = ?1 AND id = ?2) \
       AND NOT EXISTS (SELECT 1 FROM mailbox WHERE id = ?1 AND length(device) = 0) ON CONFLICT DO NOTHING";
const NOBODYS: &str = "SELECT 1 FROM mailbox WHERE id = ?1 AND length(device) = 0";
const GONE: &str = "DELETE FROM mailbox_message WHERE mailbox = ?1 AND id = ?2 RETURNING expires_ms";
const DELIVERED: &str =
    "INSERT INTO mailbox_delivered(mailbox, id, until_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
const UNREAD: &str = "SELECT id, body, received_ms FROM mailbox_message WHERE mailbox = ?1 AND expires_ms >= ?2 \
     ORDER BY received_ms, id LIMIT ?3";

const OVER_MESSAGES: &str = "DELETE FROM mailbox_message WHERE mailbox = ?1 AND id = ?2 AND expires_ms < ?3";
const OVER_DELIVERED: &str = "DELETE FROM mailbox_delivered WHERE mailbox = ?1 AND id = ?2 AND until_ms < ?3";

/// A region's SQLite file.
pub(super) struct Sqlite {
    name: String,
    path: PathBuf,
    /// SQLite has one writer in all: ours wait here, in their order.
    writer: Arc<Mutex<Connection>>,
    turn: tokio::sync::Mutex<()>,
    places: Semaphore,
    readers: Arc<Mutex<Vec<Connection>>>,
    /// What says that this process is the file's only relay, as long as it is open.
    alone: OnceLock<File>,
}

impl Sqlite {
    pub async fn open(path: &str, base_dir: &Path) -> Result<Self> {
        let path = base_dir.join(path.strip_prefix("//").unwrap_or(path));
        let name = format!("sqlite:{}", path.display());
        let opening = path.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let db = connect(&opening)?;
            db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            Ok::<_, rusqlite::Error>(db)
        });
        let failed = |why: String| Error::Failed { store: name.clone(), what: "opening".into(), why };
        let writer = opened.await.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
        Ok(Self {
            name,
            path,
            writer: Arc::new(Mutex::new(writer)),
            turn: tokio::sync::Mutex::default(),
            places: Semaphore::new(READERS_MAX),
            readers: Arc::default(),
            alone: OnceLock::new(),
        })
    }

    /// Makes this process the file's only relay until it ends: waiting polls are woken, and presence is known, within one process.
    /// By a lock on a file beside it, which goes with the process however that ends; not on the file itself, whose locks are SQLite's.
    pub async fn be_alone(&self) -> Result<()> {
        let mut beside = self.path.clone().into_os_string();
        beside.push("-relay");
        let failed = |why: String| Error::Failed {
            store: self.name.clone(),
            what: "making sure that no other relay has it".into(),
            why,
        };
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::options().create(true).truncate(false).write(true).open(&beside)?;
            let patience = Instant::now() + LAST_RELAY_ENDS;
            loop {
                match file.try_lock() {
                    Err(TryLockError::WouldBlock) if Instant::now() < patience => {
                        std::thread::sleep(LOOK_AGAIN)
                    }
                    Err(held) => return Err(std::io::Error::from(held)),
                    Ok(()) => return Ok(file),
                }
            }
        });
        match locked.await.map_err(|e| failed(e.to_string()))? {
            Ok(file) => drop(self.alone.set(file)),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(failed(
                    "another process has it; several relays of one region need PostgreSQL".to_owned(),
                ));
            }
            Err(e) => return Err(failed(e.to_string())),
        }
        Ok(())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a script.
    pub async fn batch(&self, sql: &'static str) -> Result<(), Refusal> {
        self.write(move |db| db.execute_batch(sql)).await
    }

    pub async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, Refusal> {
        let statements = Arc::new(statements);
        let reading = statements.clone();
        // Whether it only reads is asked of SQLite itself.
        let read = self.read(move |db| {
            if !is_read_only(db, &reading)? {
                return Ok(None);
            }
            let transaction = db.transaction()?;
            reading.iter().map(|s| execute(&transaction, s)).collect::<rusqlite::Result<Vec<_>>>().map(Some)
        });
        match read.await? {
            Some(rows) => Ok(rows),
            None => self.write(move |db| statements.iter().map(|s| execute(db, s)).collect()).await,
        }
    }

    /// What waits in each of these mailboxes: a page each, in their order.
    pub async fn unread(&self, looks: &[Look]) -> Result<Vec<Vec<Unread>>, Refusal> {
        let looks = looks.to_vec();
        self.read(move |db| looks.iter().map(|look| page(db, look)).collect()).await
    }

    /// Keeps all or none, but those of mailboxes that nobody has; whether each has somebody.
    pub async fn keep(&self, messages: &[Message]) -> Result<Vec<bool>, Refusal> {
        let messages = messages.to_vec();
        self.write(move |db| {
            let (mut keep, mut nobodys) = (db.prepare_cached(KEEP)?, db.prepare_cached(NOBODYS)?);
            let mut one = |m: &Message| {
                let row = params![m.mailbox, m.id, m.body.as_ref(), m.received_ms, m.expires_ms];
                Ok(keep.execute(row)? > 0 || !nobodys.exists([&m.mailbox])?)
            };
            messages.iter().map(&mut one).collect()
        })
        .await
    }

    pub async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<usize>, Refusal> {
        let receipts = receipts.to_vec();
        self.write(move |db| receipts.iter().map(|r| taken_out(db, r)).collect()).await
    }

    /// Removes rows whose time is over; how many of each.
    pub async fn sweep(&self, over: &[Over]) -> Result<Vec<u64>, Refusal> {
        let over = over.to_vec();
        self.write(move |db| over.iter().map(|over| swept(db, over)).collect()).await
    }

    /// Runs a write transaction on a thread that may block. A caller that goes away does not stop it.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _turn = self.turn.lock().await;
        let writer = self.writer.clone();
        let at_work = tokio::task::spawn_blocking(move || {
            // A thread that panicked while it held the lock rolled its transaction back when it unwound.
            let mut db = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            // CRASH: before this line nothing was done; after it everything was, and is on the disk.
            transaction.commit()?;
            Ok(done)
        });
        at_work.await.map_err(|e| Refusal::Unknown(e.to_string()))?.map_err(|e| refusal(&e))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _place = self.places.acquire().await.map_err(|e| Refusal::Again(e.to_string()))?;
        let (readers, path) = (self.readers.clone(), self.path.clone());
        let at_work = tokio::task::spawn_blocking(move || {
            let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut db = idle.map_or_else(|| connect(&path), Ok)?;
            let done = work(&mut db);
            readers.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            done
        });
        at_work.await.map_err(|e| Refusal::Unknown(e.to_string()))?.map_err(|e| refusal(&e))
    }
}

/// What waits in one mailbox: the message that goes beyond a page's bytes is its last.
fn page(db: &Connection, look: &Look) -> rusqlite::Result<Vec<Unread>> {
    let mut statement = db.prepare_cached(UNREAD)?;
    let mut rows = statement.query(params![look.mailbox, look.now_ms, look.messages])?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let one = Unread { id: row.get(0)?, body: row.get(1)?, received_ms: row.get(2)? };
        bytes += one.body.len();
        page.push(one);
        if i64::try_from(bytes).unwrap_or(i64::MAX) > PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

fn swept(db: &Connection, over: &Over) -> rusqlite::Result<u64> {
    let mut statement = db.prepare_cached(match over.ledger {
        Ledger::Messages => OVER_MESSAGES,
        Ledger::Delivered => OVER_DELIVERED,
    })?;
    let mut removed = 0;
    for id in &over.ids {
        removed += statement.execute(params![over.mailbox, id, over.now_ms])? as u64;
    }
    Ok(removed)
}

/// One receipt within its transaction: how many of its messages were here.
fn taken_out(db: &Connection, receipt: &Receipt) -> rusqlite::Result<usize> {
    let mut here = 0;
    for id in &receipt.ids {
        let mut gone = db.prepare_cached(GONE)?;
        let expires: Vec<i64> =
            gone.query_map(params![receipt.mailbox, id], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
        for expires_ms in expires {
            let until = expires_ms.max(receipt.known_ms);
            db.prepare_cached(DELIVERED)?.execute(params![receipt.mailbox, id, until])?;
            here += 1;
        }
    }
    Ok(here)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_MAX)?;
    // secure_delete: a message that was delivered is overwritten with zeros in the pages that held it.
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;")?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(db)
}

/// What the guard says, by its documented words; everything else is the database's.
fn refusal(e: &rusqlite::Error) -> Refusal {
    let rusqlite::Error::SqliteFailure(failure, message) = e else {
        return Refusal::Broken("a statement that does not fit".to_owned());
    };
    let text = message.as_deref().unwrap_or_default();
    match failure.code {
        _ if text.starts_with("RS001") => Refusal::NotWritableHere { epoch: None },
        _ if text.starts_with("RS002") => Refusal::Forbidden,
        _ if text.starts_with("FOREIGN KEY") => Refusal::NotHere,
        _ if text.starts_with("NOT NULL") => Refusal::Changed,
        _ if text.starts_with("UNIQUE") => Refusal::Taken,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Refusal::Again(format!("{:?}", failure.code)),
        // After an I/O error the log may hold the transaction already.
        ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt => {
            Refusal::Unknown(format!("{:?}", failure.code))
        }
        code => Refusal::Broken(format!("{code:?}")),
    }
}
