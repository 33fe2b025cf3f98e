//! Workers that are there: so that somebody who looks sees also those that have nothing to do.

use crate::lease::milliseconds;
use crate::read::Columns;
use crate::schema::now_ms;
use crate::{Directory, Repeat, Result};
use domicile_stores::control::{Statement, Value};
use std::time::Duration;

/// A worker that was silent for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// A worker as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// In its own words.
    pub worker: String,
    /// How long ago it said that it is there, by the control store's clock.
    pub ago: Duration,
    /// It has been silent for longer than it said it would be.
    pub silent: bool,
}

impl Directory {
    /// Says that a worker is there, and will say so again within `ttl`.
    ///
    /// # Errors
    /// The store's.
    pub async fn present(&self, worker: &str, ttl: Duration) -> Result<()> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "INSERT INTO directory_worker (worker, seen_ms, expires_ms) VALUES ($1, {now}, {now} + $2) \
             ON CONFLICT (worker) DO UPDATE SET seen_ms = {now}, expires_ms = {now} + $2"
        );
        let forget = format!("DELETE FROM directory_worker WHERE expires_ms < {now} - $1");
        let statements = vec![
            Statement::new(sql, vec![worker.into(), milliseconds(ttl)]),
            Statement::new(forget, vec![milliseconds(FORGET_AFTER)]),
        ];
        self.run(Repeat::Safe, statements).await.map(drop)
    }

    /// Says that a worker has ended.
    ///
    /// # Errors
    /// The store's; then it is shown as silent for a while.
    pub async fn absent(&self, worker: &str) -> Result<()> {
        self.ready().await?;
        let sql = "DELETE FROM directory_worker WHERE worker = $1";
        self.ask(Statement::new(sql, vec![worker.into()])).await.map(drop)
    }

    /// The workers, in order of their names.
    ///
    /// # Errors
    /// The store's.
    pub async fn workers(&self) -> Result<Vec<WorkerSeen>> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "SELECT worker, {now} - seen_ms, expires_ms - {now} FROM directory_worker ORDER BY worker"
        );
        let answer = self.ask(Statement::new(sql, vec![])).await?;
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            let worker = columns.text()?;
            let ago = Duration::from_millis(u64::try_from(columns.int()?).unwrap_or(0));
            Ok(WorkerSeen { worker, ago, silent: columns.int()? <= 0 })
        };
        answer.rows.iter().map(read).collect()
    }
}
