//! A region's records in PostgreSQL 15 or later.
//!
//! [`connect`] makes connections with pinned settings, `pool` lends them, `failure` turns SQLSTATEs
//! into [`crate::Error`], `quote` is the only place that makes SQL of names. Reading is in `snapshot`,
//! writing in `writing` and `erase`; the guard's half of the promise stands in `guard`, `adoption`,
//! `homes` and `journal`.

mod adoption;
mod catalogue;
mod column;
mod connect;
mod erase;
mod expand;
mod failure;
mod guard;
mod hazards;
mod homes;
mod indexed;
mod journal;
mod known;
mod measure;
mod numbers;
mod park;
mod paths;
mod pool;
mod pressure;
mod quote;
mod records;
mod reference;
mod schema;
mod snapshot;
mod socket;
mod tied;
mod upsert;
mod watch;
mod writing;

pub(crate) use connect::Target;

use crate::error::Result;
use domicile_datamap::layout::Layout;
use pool::{Conn, Pool};
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A connection to read with, outside any pool and for no layout, and the database's name as it may be printed.
/// Checked, pinned and encrypted like all others.
///
/// # Errors
/// As [`Postgres::open`].
pub async fn connect(url: &str, secret: Option<SecretString>) -> Result<(tokio_postgres::Client, String)> {
    let target = connect::Target::parse(url, secret.as_ref())?;
    let (client, _) = target.connect_as("domicile audit").await?;
    Ok((client, target.name().to_owned()))
}

/// A region's PostgreSQL database, opened for one service with its layout.
pub struct Postgres {
    pool: Pool,
    layout: Arc<Layout>,
    /// By batch.
    erasing: Mutex<HashMap<String, erase::Erasing>>,
    /// See `indexed`; looked up once.
    indexed: tokio::sync::OnceCell<bool>,
    /// See `pressure`.
    marks: Mutex<pressure::Marks>,
}

impl Postgres {
    /// Opens a region's database and makes sure that it answers. `secret` is the password where the
    /// URL holds none. Fails with [`Error::Setting`](crate::Error::Setting) for a URL that can't work
    /// and with [`Error::Unreachable`](crate::Error::Unreachable) for a server that does not answer.
    pub async fn open(url: &str, secret: Option<SecretString>, layout: Arc<Layout>) -> Result<Self> {
        let pool = Pool::new(connect::Target::parse(url, secret.as_ref())?);
        let (erasing, indexed) = (Mutex::default(), tokio::sync::OnceCell::new());
        let opened = Self { pool, layout, erasing, indexed, marks: Mutex::default() };
        drop(opened.conn().await?);
        Ok(opened)
    }

    /// The store's name for messages: the URL without its password and parameters.
    pub fn store_name(&self) -> String {
        self.pool.target().whose.store.0.clone()
    }

    /// The role we connect as.
    fn role(&self) -> &str {
        &self.pool.target().whose.role
    }

    /// A connection from the pool.
    async fn conn(&self) -> Result<Conn> {
        self.pool.get().await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use domicile_datamap::catalogue::FkAction::NoAction;
    use domicile_datamap::catalogue::{Engine, ForeignKey, TableName};
    use domicile_datamap::layout::{AttributePath, Layout, MappedTable, MovedColumn, Owner};

    fn table(name: &str, columns: &[&str], owner: Owner, refers: Option<(&str, &str)>) -> MappedTable {
        let column = |name: &&str| MovedColumn {
            name: (*name).to_owned(),
            type_name: "integer".to_owned(),
            not_null: true,
            identity: false,
        };
        MappedTable {
            name: TableName::new("public", name),
            owner,
            category: "profile".to_owned(),
            columns: columns.iter().map(column).collect(),
            key: vec![columns[0].to_owned()],
            uniques: vec![],
            foreign_keys: refers
                .map(|(table, column)| ForeignKey {
                    name: format!("{name}_fkey"),
                    columns: vec![column.to_owned()],
                    references: TableName::new("public", table),
                    referenced: vec![column.to_owned()],
                    on_delete: NoAction,
                    on_update: NoAction,
                    deferrable: false,
                    initially_deferred: false,
                })
                .into_iter()
                .collect(),
            children: vec![],
            null_first: vec![],
            blanked: vec![],
            refusing: vec![],
            partitioned: false,
            leaves: vec![],
        }
    }

    /// customer <- invoice (direct) <- invoice_line (derived).
    pub(crate) fn layout() -> Layout {
        let own = |c: &str| c.to_owned();
        let line = Owner::Derived {
            parent: 1,
            link: vec![(own("invoice_id"), own("invoice_id"))],
            deferrable: false,
        };
        Layout {
            engine: Engine::Postgres,
            tables: vec![
                table("customer", &["customer_id"], Owner::Root { column: own("customer_id") }, None),
                table(
                    "invoice",
                    &["invoice_id", "customer_id"],
                    Owner::Direct { column: own("customer_id") },
                    Some(("customer", "customer_id")),
                ),
                table("invoice_line", &["line_id", "invoice_id"], line, Some(("invoice", "invoice_id"))),
            ],
            country: AttributePath { hops: vec![], column: own("country") },
            citizenship: None,
            flags: None,
            consents: None,
            references: vec![],
            excluded: vec![],
            dropped_foreign_keys: vec![],
            objects: vec![],
            declared: vec![],
            safe_triggers: vec![],
            hash: String::new(),
        }
    }
}
