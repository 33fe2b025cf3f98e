//! Leases on batches: workers share a wave, and each batch is in the hands of one of them.
//!
//! They keep workers from doing the same work, and say who does what. What keeps a worker that was
//! replaced from writing are the tokens in the region databases (DESIGN section 4, finding 6): a control
//! store that forgot a lease in a fail-over costs work done twice, never a write.

use crate::lease::milliseconds;
use crate::read::Columns;
use crate::schema::now_ms;
use crate::{Directory, Error, Result, WaveState};
use domicile_stores::control::{Statement, Value};
use std::time::Duration;

/// The right to work on a batch, until it runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchLease {
    /// The wave.
    pub wave: String,
    /// The batch, as the source region's journal calls it.
    pub batch: String,
    /// Who holds it, in its own words.
    pub holder: String,
    /// Grows by one each time the lease is taken.
    pub token: i64,
}

/// A batch that somebody has, or had, in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchInHand {
    /// The batch.
    pub batch: String,
    /// Who took it last and has not given it back; the lease may have run out.
    pub holder: Option<String>,
    /// Grows by one each time it is taken.
    pub token: i64,
    /// Milliseconds until the lease runs out, by the control store's clock; negative: since it ran out.
    pub left_ms: i64,
}

impl BatchInHand {
    /// May `me` take it?
    pub fn is_free_for(&self, me: &str) -> bool {
        self.holder.as_deref().is_none_or(|holder| holder == me) || self.left_ms <= 0
    }
}

impl Directory {
    /// Takes a batch's lease for `ttl` by the store's clock, where the wave is in state `during` (and, while
    /// it is open, asked neither to pause nor to abort) and the lease is free, has run out, or is
    /// `holder`'s own. `None`: not now.
    ///
    /// # Errors
    /// The store's.
    pub async fn take_batch(
        &self,
        wave: &str,
        batch: &str,
        holder: &str,
        ttl: Duration,
        during: WaveState,
    ) -> Result<Option<BatchLease>> {
        self.take_batch_where(wave, batch, holder, ttl, during, "(asked = 0 OR state <> 'open')").await
    }

    /// The same while the wave is open and paused: for whoever brings what a dead worker left under a fence to rest, and
    /// begins nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn take_batch_to_rest(
        &self,
        wave: &str,
        batch: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<BatchLease>> {
        self.take_batch_where(wave, batch, holder, ttl, WaveState::Open, "asked = 1").await
    }

    async fn take_batch_where(
        &self,
        wave: &str,
        batch: &str,
        holder: &str,
        ttl: Duration,
        during: WaveState,
        asked: &str,
    ) -> Result<Option<BatchLease>> {
        let now = now_ms(self.ready().await?);
        // One statement: whoever undoes the wave sets its state first, and then nobody else takes a batch.
        let sql = format!(
            "INSERT INTO directory_batch (batch, wave, holder, token, expires_ms) \
             SELECT $2, id, $3, 1, {now} + $4 FROM directory_wave \
             WHERE id = $1 AND state = $5 AND {asked} \
             ON CONFLICT (batch) DO UPDATE SET holder = $3, token = directory_batch.token + 1, \
             expires_ms = {now} + $4 WHERE directory_batch.holder IS NULL OR directory_batch.holder = $3 \
             OR directory_batch.expires_ms <= {now} RETURNING token"
        );
        let params =
            vec![wave.into(), batch.into(), holder.into(), milliseconds(ttl), during.to_string().into()];
        // CRASH: done or not; done twice, the token of the first is lost and nobody uses it.
        let answer = self.ask(Statement::new(sql, params)).await?;
        let Some(row) = answer.rows.first() else { return Ok(None) };
        let token = Columns::of(self, row).int()?;
        let (wave, batch, holder) = (wave.to_owned(), batch.to_owned(), holder.to_owned());
        Ok(Some(BatchLease { wave, batch, holder, token }))
    }

    /// Extends the lease to `ttl` from now, also when it ran out and nobody took it.
    ///
    /// # Errors
    /// `BatchLost`, or the store's.
    pub async fn renew_batch(&self, lease: &BatchLease, ttl: Duration) -> Result<()> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "UPDATE directory_batch SET expires_ms = {now} + $4 \
             WHERE batch = $1 AND token = $2 AND holder = $3"
        );
        let mut params = of(lease);
        params.push(milliseconds(ttl));
        match self.ask(Statement::new(sql, params)).await?.affected {
            0 => Err(Error::BatchLost { batch: lease.batch.clone() }),
            _ => Ok(()),
        }
    }

    /// Gives the lease back. Nothing happens where it is somebody else's by now.
    ///
    /// # Errors
    /// The store's; then the lease runs out by itself.
    pub async fn release_batch(&self, lease: &BatchLease) -> Result<()> {
        self.ready().await?;
        let sql = "UPDATE directory_batch SET holder = NULL, expires_ms = 0 \
                   WHERE batch = $1 AND token = $2 AND holder = $3";
        self.ask(Statement::new(sql, of(lease))).await.map(drop)
    }

    /// The wave's batches that anybody has taken so far, in order of their ids.
    ///
    /// # Errors
    /// The store's.
    pub async fn batches_in_hand(&self, wave: &str) -> Result<Vec<BatchInHand>> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "SELECT batch, holder, token, expires_ms - {now} FROM directory_batch WHERE wave = $1 ORDER BY batch"
        );
        let answer = self.ask(Statement::new(sql, vec![wave.into()])).await?;
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            Ok(BatchInHand {
                batch: columns.text()?,
                holder: columns.text_or_null()?,
                token: columns.int()?,
                left_ms: columns.int()?,
            })
        };
        answer.rows.iter().map(read).collect()
    }
}

/// `$1`, `$2`, `$3` of a statement about a lease.
fn of(lease: &BatchLease) -> Vec<Value> {
    vec![lease.batch.as_str().into(), Value::Int(lease.token), lease.holder.as_str().into()]
}
