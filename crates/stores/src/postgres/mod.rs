//! A region's records in PostgreSQL 15 or later.
//!
//! [`connect`] makes connections with pinned settings, `pool` lends them, `failure` turns SQLSTATEs
//! into [`crate::Error`], `quote` is the only place that makes SQL of names. Reading is in `snapshot`,
//! writing in `writing` and `erase`; the guard's half of the promise stands in `guard`, `adoption`,
//! `homes` and `journal`.

mod connect;
mod failure;
mod pool;
mod quote;

use crate::error::Result;
use domicile_datamap::layout::Layout;
use pool::{Conn, Pool};
use secrecy::SecretString;
use std::sync::Arc;

/// A region's PostgreSQL database, opened for one service with its layout.
pub struct Postgres {
    pool: Pool,
    layout: Arc<Layout>,
}

impl Postgres {
    /// Opens a region's database and makes sure that it answers. `secret` is the password where the
    /// URL holds none. Fails with [`Error::Setting`](crate::Error::Setting) for a URL that can't work
    /// and with [`Error::Unreachable`](crate::Error::Unreachable) for a server that does not answer.
    pub async fn open(url: &str, secret: Option<SecretString>, layout: Arc<Layout>) -> Result<Self> {
        let opened = Self { pool: Pool::new(connect::Target::parse(url, secret.as_ref())?), layout };
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
