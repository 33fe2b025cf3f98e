//! One write at one region, by plain SQL: nothing here knows Domicile but the letters `RS001`.

use super::work::{Job, What};
use crate::demo::case::{Case, ServiceName};
use crate::demo::folder::Folder;
use crate::demo::journal::{self, Entry};
use crate::demo::tables::{self, TableAt};
use crate::demo::world::{self, photo_key, sha256};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, params_from_iter};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What became of a write.
pub enum Outcome {
    /// Committed: these rows have these values now.
    Acknowledged(Vec<Entry>),
    /// `RS001`: nothing was written; look the home up and write there.
    Refused,
    /// An UPDATE or DELETE found no row: the route was stale. Nothing was written.
    NoRow,
    /// Somebody else has the file; nothing was written.
    Busy,
}

/// Connections of one application: one for each service and region, opened when needed.
pub struct Connections {
    folder: Folder,
    open: HashMap<(ServiceName, String), Connection>,
}

/// Why a transaction did not come to its commit.
enum Stop {
    NoRow,
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Stop::Sql(error)
    }
}

impl Connections {
    pub fn new(case: &Case, folder: Folder) -> Self {
        Self { folder, open: HashMap::with_capacity(case.regions.len() * case.services.len()) }
    }

    /// Tries the write at a region.
    ///
    /// # Errors
    /// What is neither a refusal nor a lock.
    pub fn write(&mut self, region: &str, job: &Job) -> Result<Outcome, String> {
        let key = (job.service(), region.to_owned());
        if !self.open.contains_key(&key) {
            let opened = world::open(&self.folder, region, job.service()).map_err(|e| e.to_string())?;
            self.open.insert(key.clone(), opened);
        }
        let conn = &self.open[&key];
        let object = self.put(region, job)?;
        let outcome = match transaction(conn, job) {
            Ok((entries, objects)) => {
                for key in objects {
                    remove(&self.folder.object(region, &key))?;
                }
                return Ok(Outcome::Acknowledged(entries));
            }
            Err(Stop::NoRow) => Outcome::NoRow,
            Err(Stop::Sql(error)) => judged(&error)?,
        };
        // The row did not come to be, so the object must not stay: no row would ever name it.
        if let Some(key) = object {
            remove(&self.folder.object(region, &key))?;
        }
        Ok(outcome)
    }

    /// Puts the job's object, before the row that names it.
    fn put(&self, region: &str, job: &Job) -> Result<Option<String>, String> {
        let What::Device { photo, bytes, .. } = &job.what else { return Ok(None) };
        let key = photo_key(job.subject, *photo);
        let path = self.folder.object(region, &key);
        let put = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        put.map(|()| Some(key)).map_err(|e| format!("a photo can't be put: {e}"))
    }
}

/// Removes an object; one that is gone already is as good.
fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("a photo can't be removed: {e}")),
        _ => Ok(()),
    }
}

fn judged(error: &rusqlite::Error) -> Result<Outcome, String> {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SchemaChanged) => {
            Ok(Outcome::Busy)
        }
        _ if error.to_string().contains("RS001") => Ok(Outcome::Refused),
        _ => Err(error.to_string()),
    }
}

type Done = (Vec<Entry>, Vec<String>);

/// One transaction; on any error nothing of it is left.
fn transaction(conn: &Connection, job: &Job) -> Result<Done, Stop> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let result = act(conn, job).and_then(|done| {
        conn.execute_batch("COMMIT")?;
        Ok(done)
    });
    if result.is_err() && !conn.is_autocommit() {
        // A refusal by the guard has rolled back already.
        conn.execute_batch("ROLLBACK")?;
    }
    result
}

fn act(conn: &Connection, job: &Job) -> Result<Done, Stop> {
    let mut hand = Hand { conn, subject: job.subject, entries: Vec::new(), objects: Vec::new() };
    let me = Value::from(job.subject);
    match &job.what {
        What::Rename { table, name } => {
            let name_of = tables::ALL[usize::from(*table)].name;
            let sql = format!("UPDATE {name_of} SET name = ?2, rev = rev + 1 WHERE id = ?1 RETURNING *");
            hand.write(*table, &sql, vec![me, name.clone().into()])?;
        }
        What::Edit { table, id, column, text } => {
            let name = tables::ALL[usize::from(*table)].name;
            let sql = format!("UPDATE {name} SET {column} = ?2 WHERE id = ?1 RETURNING *");
            hand.write(*table, &sql, vec![(*id).into(), text.clone().into()])?;
        }
        What::Message { id, to, text, day } => {
            let values =
                vec![(*id).into(), me.clone(), (*to).into(), text.clone().into(), day.clone().into()];
            hand.write(
                tables::MESSAGES,
                "INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5) RETURNING *",
                values,
            )?;
            hand.write(
                tables::ACCOUNTS,
                "UPDATE accounts SET rev = rev + 1 WHERE id = ?1 RETURNING *",
                vec![me],
            )?;
        }
        What::Contact { id, name, hash } => {
            let values = vec![(*id).into(), me, name.clone().into(), hash.clone().into()];
            hand.write(tables::CONTACTS, "INSERT INTO contacts VALUES (?1, ?2, ?3, ?4) RETURNING *", values)?;
        }
        What::Device { id, model, imei, photo, bytes } => {
            let values = vec![(*id).into(), me, model.clone().into(), imei.clone().into()];
            hand.write(tables::DEVICES, "INSERT INTO devices VALUES (?1, ?2, ?3, ?4) RETURNING *", values)?;
            let key = photo_key(job.subject, *photo);
            let values = vec![(*photo).into(), (*id).into(), key.into(), sha256(bytes).into()];
            hand.write(tables::PHOTOS, "INSERT INTO photos VALUES (?1, ?2, ?3, ?4) RETURNING *", values)?;
        }
        What::DropDevice { id } => {
            hand.objects = hand.texts("SELECT object FROM photos WHERE device_id = ?1", *id)?;
            hand.cascade(tables::PHOTOS, "SELECT id FROM photos WHERE device_id = ?1", *id)?;
            hand.delete(tables::DEVICES, *id)?;
        }
        What::Order { id, day, lines } => {
            let values = vec![(*id).into(), me, day.clone().into()];
            hand.write(
                tables::ORDERS,
                "INSERT INTO orders VALUES (?1, ?2, ?3, 'placed') RETURNING *",
                values,
            )?;
            for (line, article, quantity) in lines {
                let values = vec![(*line).into(), (*id).into(), article.clone().into(), (*quantity).into()];
                hand.write(
                    tables::ORDER_LINES,
                    "INSERT INTO order_lines VALUES (?1, ?2, ?3, ?4) RETURNING *",
                    values,
                )?;
            }
        }
        What::DropOrder { id } => {
            hand.cascade(tables::ORDER_LINES, "SELECT id FROM order_lines WHERE order_id = ?1", *id)?;
            hand.delete(tables::ORDERS, *id)?;
        }
        What::Delete { table, id } => hand.delete(*table, *id)?,
    }
    Ok((hand.entries, hand.objects))
}

/// Inside a transaction: what it did so far.
struct Hand<'c> {
    conn: &'c Connection,
    subject: i64,
    entries: Vec<Entry>,
    objects: Vec<String>,
}

impl Hand<'_> {
    /// A statement that returns the one row it wrote.
    fn write(&mut self, table: TableAt, sql: &str, values: Vec<Value>) -> Result<(), Stop> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(values))?;
        let mut written = 0;
        while let Some(row) = rows.next()? {
            written += 1;
            let value = Some(journal::fingerprint(row, 0, columns)?);
            self.entries.push(Entry { row: (table, row.get(0)?), subject: self.subject, value });
        }
        // No trigger sees an UPDATE that finds nothing: this check is the application's part.
        if written == 0 { Err(Stop::NoRow) } else { Ok(()) }
    }

    fn delete(&mut self, table: TableAt, id: i64) -> Result<(), Stop> {
        let sql = format!("DELETE FROM {} WHERE id = ?1", tables::ALL[usize::from(table)].name);
        if self.conn.prepare_cached(&sql)?.execute([id])? == 0 {
            return Err(Stop::NoRow);
        }
        self.entries.push(Entry { row: (table, id), subject: self.subject, value: None });
        Ok(())
    }

    /// Notes the rows that a delete will take along.
    fn cascade(&mut self, table: TableAt, sql: &str, id: i64) -> Result<(), Stop> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let ids: Vec<i64> = statement.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        self.entries.extend(ids.into_iter().map(|id| Entry {
            row: (table, id),
            subject: self.subject,
            value: None,
        }));
        Ok(())
    }

    fn texts(&self, sql: &str, id: i64) -> Result<Vec<String>, Stop> {
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }
}
