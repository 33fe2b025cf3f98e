//! What the processes of one region tell each other past the tables: PostgreSQL's LISTEN and NOTIFY, on a connection of
//! their own.
//!
//! Whatever role may connect to the database may listen and speak there, too: what is said has to be sealed by who says it.
//!
//! Never in a transaction that keeps messages: a NOTIFY holds one lock of the whole server until its commit is on the disk.

use super::refusal::Refusal;
use crate::Result;
use crate::postgres::Target;
use tokio::sync::mpsc;
use tokio_postgres::{Client, Statement};

/// Notifications that wait for their reader, 8 kB each at most. Where there are more the connection ends, so that the reader
/// knows that it has missed some.
const HEARD_MAX: usize = 1024;
/// No commit waits for the disk: nothing that is said here is to outlive the server.
const SETTINGS: &str = "SET synchronous_commit = off; SET statement_timeout = 10000; SET client_min_messages = warning; \
     SET search_path = pg_catalog; LISTEN domicile_relay";
const SAY: &str = "SELECT pg_catalog.pg_notify('domicile_relay', $1)";

/// Bytes of one notification, less than which PostgreSQL takes.
pub const SAID_BYTES_MAX: usize = 8000;

/// A region's processes among themselves.
pub struct Channel {
    client: Client,
    say: Statement,
    heard: mpsc::Receiver<String>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

impl Channel {
    /// Begins to listen.
    pub(super) async fn open(target: &Target) -> Result<Self> {
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        let (client, _) = target.clone().named("domicile relay channel").connect_and_listen(sender).await?;
        let failed = |e: tokio_postgres::Error| crate::Error::Failed {
            store: target.name().to_owned(),
            what: "beginning to listen".to_owned(),
            why: e.code().map_or("no answer", |code| code.code()).to_owned(),
        };
        client.batch_execute(SETTINGS).await.map_err(failed)?;
        let say = client.prepare(SAY).await.map_err(failed)?;
        Ok(Self { client, say, heard })
    }

    /// Says something to all who listen, oneself among them: less than [`SAID_BYTES_MAX`].
    ///
    /// # Errors
    /// The database's. Whether it was heard is not known then.
    pub async fn say(&self, what: &str) -> std::result::Result<(), Refusal> {
        let said = self.client.execute(&self.say, &[&what]).await;
        said.map(drop).map_err(|e| super::postgres::refusal(&e))
    }

    /// What somebody says next. `None`: the connection has ended, and what was said since is missed. May be dropped and called again.
    pub async fn heard(&mut self) -> Option<String> {
        self.heard.recv().await
    }
}
