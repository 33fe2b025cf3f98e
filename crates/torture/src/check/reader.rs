//! Reads rows as text from either engine.

use crate::ground::Place;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A plain connection.
pub enum Reader {
    Postgres(Client),
    Sqlite(rusqlite::Connection),
}

impl Reader {
    pub async fn open(place: &Place) -> Result<Self, String> {
        match place {
            Place::Postgres(url) => {
                let (client, connection) =
                    tokio_postgres::connect(url, NoTls).await.map_err(|e| format!("{url}: {e}"))?;
                tokio::spawn(connection);
                Ok(Reader::Postgres(client))
            }
            Place::Sqlite(file) => {
                let db = rusqlite::Connection::open(file).map_err(|e| format!("{}: {e}", file.display()))?;
                db.busy_timeout(std::time::Duration::from_secs(10)).map_err(|e| e.to_string())?;
                Ok(Reader::Sqlite(db))
            }
        }
    }

    /// A table of the guard.
    pub fn guard_table(&self, name: &str) -> String {
        match self {
            Reader::Postgres(_) => format!("domicile.{name}"),
            Reader::Sqlite(_) => format!("domicile_{name}"),
        }
    }

    /// An expression that prints bytes.
    pub fn hex(&self, column: &str) -> String {
        match self {
            Reader::Postgres(_) => format!("encode({column}, 'hex')"),
            Reader::Sqlite(_) => format!("hex({column})"),
        }
    }

    /// Rows of text columns; NULL is empty.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        match self {
            Reader::Postgres(client) => {
                let answer = client.simple_query(sql).await.map_err(|e| format!("{sql}: {e}"))?;
                let rows = answer.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                let text = |row: tokio_postgres::SimpleQueryRow| {
                    (0..row.len()).map(|n| row.get(n).unwrap_or_default().to_owned()).collect()
                };
                Ok(rows.map(text).collect())
            }
            Reader::Sqlite(db) => {
                let fail = |e: rusqlite::Error| format!("{sql}: {e}");
                let mut statement = db.prepare(sql).map_err(fail)?;
                let columns = statement.column_count();
                let rows =
                    statement.query_map([], |row| (0..columns).map(|n| row.get_ref(n).map(text)).collect());
                rows.map_err(fail)?.collect::<rusqlite::Result<_>>().map_err(fail)
            }
        }
    }
}

fn text(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(n) => n.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => hex::encode(bytes),
    }
}
