//! Leases on waves: a second `move` of the same wave at the same time is refused, and a wave whose
//! worker died can be taken over once its lease ran out.
//!
//! A lease here only keeps workers from doing the same work. What keeps a worker that was replaced from
//! writing are the tokens in the region databases (DESIGN section 4, finding 6), since only they stand in
//! its own transactions' way.

use crate::read::Columns;
use crate::schema::now_ms;
use crate::{Directory, Error, Result};
use domicile_stores::control::{Statement, Value};
use std::time::Duration;

/// The right to work on a wave, until it runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveLease {
    /// The wave.
    pub wave: String,
    /// Who holds it, in its own words.
    pub holder: String,
    /// Grows by one each time the lease is taken.
    pub token: i64,
}

impl Directory {
    /// Takes the wave's lease for `ttl` by the store's clock, if it is free, has run out, or is
    /// `holder`'s own from an earlier try. `holder` names one process and no other, e.g. host, process
    /// id and a random number.
    ///
    /// # Errors
    /// `Held` with the time left, `UnknownWave`, or the store's.
    pub async fn take_wave(&self, wave: &str, holder: &str, ttl: Duration) -> Result<WaveLease> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "UPDATE directory_wave SET holder = $2, token = token + 1, expires_ms = {now} + $3 \
             WHERE id = $1 AND (holder IS NULL OR holder = $2 OR expires_ms <= {now}) RETURNING token"
        );
        let params = vec![wave.into(), holder.into(), milliseconds(ttl)];
        // CRASH: done or not; done twice, the token of the first is lost and nobody uses it.
        let answer = self.ask(Statement::new(sql, params)).await?;
        if let Some(row) = answer.rows.first() {
            let token = Columns::of(self, row).int()?;
            return Ok(WaveLease { wave: wave.to_owned(), holder: holder.to_owned(), token });
        }
        let sql = format!("SELECT holder, expires_ms - {now} FROM directory_wave WHERE id = $1");
        let answer = self.ask(Statement::new(sql, vec![wave.into()])).await?;
        let wave = wave.to_owned();
        let Some(row) = answer.rows.first() else { return Err(Error::UnknownWave { wave }) };
        let mut columns = Columns::of(self, row);
        let holder = columns.text_or_null()?.unwrap_or_default();
        Err(Error::Held { wave, holder, left_ms: columns.int()?.max(0) })
    }

    /// Extends the lease to `ttl` from now, also when it ran out and nobody took it.
    ///
    /// # Errors
    /// `LeaseLost`, or the store's.
    pub async fn renew_wave(&self, lease: &WaveLease, ttl: Duration) -> Result<()> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "UPDATE directory_wave SET expires_ms = {now} + $3 \
             WHERE id = $1 AND token = $2 AND holder = $4"
        );
        let mut params = vec![lease.wave.as_str().into(), Value::Int(lease.token), milliseconds(ttl)];
        // The holder, too: a store that forgot the last takeover in a fail-over gives its token again.
        params.push(lease.holder.as_str().into());
        match self.ask(Statement::new(sql, params)).await?.affected {
            0 => Err(Error::LeaseLost { wave: lease.wave.clone() }),
            _ => Ok(()),
        }
    }

    /// Gives the lease back. Nothing happens where it is somebody else's by now.
    ///
    /// # Errors
    /// The store's; then the lease runs out by itself.
    pub async fn release_wave(&self, lease: &WaveLease) -> Result<()> {
        self.ready().await?;
        let sql = "UPDATE directory_wave SET holder = NULL, expires_ms = 0 WHERE id = $1 AND token = $2 AND holder = $3";
        let params = vec![lease.wave.as_str().into(), Value::Int(lease.token), lease.holder.as_str().into()];
        self.ask(Statement::new(sql, params)).await.map(drop)
    }
}

pub(crate) fn milliseconds(ttl: Duration) -> Value {
    Value::Int(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 4))
}
