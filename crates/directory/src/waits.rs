//! What workers wait for, in their own words: so that somebody who looks sees why a wave stands still.

use crate::lease::milliseconds;
use crate::read::Columns;
use crate::schema::now_ms;
use crate::{Directory, Repeat, Result};
use domicile_stores::control::{Statement, Value};
use std::time::Duration;

impl Directory {
    /// Says why a worker begins nothing new of a wave; it will say so again within `ttl`. `why` names no
    /// subject.
    ///
    /// # Errors
    /// The store's.
    pub async fn waits(&self, wave: &str, worker: &str, why: &str, ttl: Duration) -> Result<()> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "INSERT INTO directory_wait (wave, worker, why, expires_ms) VALUES ($1, $2, $3, {now} + $4) \
             ON CONFLICT (wave, worker) DO UPDATE SET why = $3, expires_ms = {now} + $4"
        );
        let forget = format!("DELETE FROM directory_wait WHERE expires_ms < {now}");
        let params = vec![wave.into(), worker.into(), why.into(), milliseconds(ttl)];
        self.run(Repeat::Safe, vec![Statement::new(sql, params), Statement::new(forget, vec![])])
            .await
            .map(drop)
    }

    /// Says that a worker waits no longer.
    ///
    /// # Errors
    /// The store's; then it is shown as waiting for a moment more.
    pub async fn waits_no_longer(&self, wave: &str, worker: &str) -> Result<()> {
        self.ready().await?;
        let sql = "DELETE FROM directory_wait WHERE wave = $1 AND worker = $2";
        self.ask(Statement::new(sql, vec![wave.into(), worker.into()])).await.map(drop)
    }

    /// Workers that wait, with what each waits for, in order of their names.
    ///
    /// # Errors
    /// The store's.
    pub async fn waiting(&self, wave: &str) -> Result<Vec<(String, String)>> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "SELECT worker, why FROM directory_wait WHERE wave = $1 AND expires_ms > {now} ORDER BY worker"
        );
        let answer = self.ask(Statement::new(sql, vec![wave.into()])).await?;
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            Ok((columns.text()?, columns.text()?))
        };
        answer.rows.iter().map(read).collect()
    }
}
