//! Plans' lists, the journal of batches, and leases.

use super::Postgres;
use super::adoption::root;
use super::homes::{HELD, texts};
use super::pool::Conn;
use crate::error::Result;
use crate::planted::Bug;
use crate::records::{BatchRow, Lease, SubjectId};
use std::time::Duration;

/// How long a takeover lets the holder before it finish what it is committing, before it ends its backends.
const HOLDER_GRACE: Duration = Duration::from_millis(100);
/// How often a takeover looks who still stands in its way.
const HOLDER_LOOK: Duration = Duration::from_millis(50);

impl Postgres {
    pub(super) async fn extend_list(&self, list: &str, subjects: &[SubjectId]) -> Result<()> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "insert into domicile.list (list, subject) select $1, s.who::{ty} from unnest($2::text[]) s(who) on conflict do nothing"
        );
        let mut conn = self.conn().await?;
        conn.begin("BEGIN").await?;
        for some in subjects.chunks(10_000) {
            conn.execute("extending a list", &sql, &[&list, &texts(some)]).await?;
        }
        conn.commit().await
    }

    pub(super) async fn list(
        &self,
        list: &str,
        after: Option<&SubjectId>,
        limit: u32,
    ) -> Result<Vec<SubjectId>> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "select subject::text from domicile.list where list = $1 \
             and ($2::text is null or subject > $2::text::{ty}) order by domicile.list.subject limit $3::bigint"
        );
        let after = after.map(|s| s.0.as_str());
        let rows =
            self.conn().await?.query("reading a list", &sql, &[&list, &after, &i64::from(limit)]).await?;
        Ok(rows.iter().map(|r| SubjectId(r.get(0))).collect())
    }

    pub(super) async fn drop_list(&self, list: &str) -> Result<()> {
        self.conn()
            .await?
            .execute("dropping a list", "delete from domicile.list where list = $1", &[&list])
            .await
            .map(drop)
    }

    pub(super) async fn open_batches(&self, batches: &[BatchRow]) -> Result<()> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "with b as (insert into domicile.batch (batch, wave, number, record) values ($1, $2, $3, $4) \
               on conflict do nothing returning batch) \
             insert into domicile.member (batch, subject) select b.batch, s.who::{ty} from b, unnest($5::text[]) s(who)"
        );
        let mut conn = self.conn().await?;
        conn.begin("BEGIN").await?;
        for b in batches {
            let asked: super::pool::Params<'_> =
                &[&b.batch, &b.wave, &number(&b.batch), &b.record, &texts(&b.subjects)];
            conn.execute("opening a batch", &sql, asked).await?;
        }
        // CRASH: all batches of the call or none; those that exist are left alone when it is repeated.
        conn.commit().await
    }

    pub(super) async fn put_batch(&self, lease: &Lease, record: &serde_json::Value) -> Result<()> {
        let sql = format!(
            "with {HELD}, u as (update domicile.batch b set record = $3 where b.batch = $1 and exists (select from held)) \
             select exists (select from held)"
        );
        let row = self
            .conn()
            .await?
            .query_one("writing a batch's record", &sql, &[&lease.batch, &lease.token, record])
            .await?;
        self.require(lease, row.get(0)).await
    }

    pub(super) async fn batch_ids(&self, wave: &str) -> Result<Vec<String>> {
        let sql = "select batch from domicile.batch where wave = $1 order by number, batch";
        let rows = self.conn().await?.query("listing batches", sql, &[&wave]).await?;
        Ok(rows.iter().map(|r| r.get(0)).collect())
    }

    pub(super) async fn known_batches(&self) -> Result<Vec<String>> {
        let sql = "select batch from domicile.batch union select batch from domicile.lease";
        let rows = self.conn().await?.query("listing all batches", sql, &[]).await?;
        Ok(rows.iter().map(|r| r.get(0)).collect())
    }

    pub(super) async fn batch(&self, batch: &str) -> Result<Option<BatchRow>> {
        let sql = "select b.batch, b.wave, b.record, array(select m.subject::text from domicile.member m \
                   where m.batch = b.batch order by m.subject) from domicile.batch b where b.batch = $1";
        let rows = self.conn().await?.query("reading a batch", sql, &[&batch]).await?;
        Ok(rows.first().map(|r| BatchRow {
            batch: r.get(0),
            wave: r.get(1),
            record: r.get(2),
            subjects: r.get::<_, Vec<String>>(3).into_iter().map(SubjectId).collect(),
        }))
    }

    pub(super) async fn members(&self, wave: &str, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "select s.who from unnest($2::text[]) s(who) where exists (select from domicile.member m \
             join domicile.batch b on b.batch = m.batch where m.subject = s.who::{ty} and b.wave = $1)"
        );
        let asked: super::pool::Params<'_> = &[&wave, &texts(subjects)];
        let rows = self.conn().await?.query("looking up members of batches", &sql, asked).await?;
        Ok(rows.iter().map(|r| SubjectId(r.get(0))).collect())
    }

    pub(super) async fn count_members(&self, wave: &str) -> Result<u64> {
        let sql = "select count(*) from domicile.member m join domicile.batch b on b.batch = m.batch \
                   where b.wave = $1";
        let row = self.conn().await?.query_one("counting members of batches", sql, &[&wave]).await?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    /// A takeover in two steps, like a fence. The token is not in a key: changing it waits for nobody
    /// who holds the lease FOR KEY SHARE, and from its commit on every new transaction with the old
    /// token finds nothing. Then `gen`, which is in a key, waits for the transactions that had read
    /// the old token before: one that is alive commits in its grace, the others are ended.
    ///
    /// Who to end is asked of the server (`pg_blocking_pids`), not recorded: a worker has many pooled
    /// connections, and those that stand in the way of the bump are exactly those inside a transaction
    /// that read the old token. Recording each would cost a write per transaction under the fence, and
    /// ending all would need a list that is never stale. A pid is read and ended in one statement,
    /// only among backends of our own role, so it can't be somebody else's by reuse.
    pub(super) async fn take_lease(&self, batch: &str) -> Result<Lease> {
        let (taker, watcher) = (self.conn().await?, self.conn().await?);
        let pid: i32 = taker.query_one("taking a lease", "select pg_backend_pid()", &[]).await?.get(0);
        let take = self.replace(&taker, batch);
        tokio::pin!(take);
        let mut look = tokio::time::interval_at(tokio::time::Instant::now() + HOLDER_GRACE, HOLDER_LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                taken = &mut take => return taken,
                _ = look.tick() => end_holders(&watcher, pid).await?,
            }
        }
    }

    /// The two statements of a takeover. The first lease of a batch also counts it for TRUNCATE.
    async fn replace(&self, taker: &Conn, batch: &str) -> Result<Lease> {
        let (drawn, changes) = (Lease::draw(&self.store_name())?, !Bug::NoToken.is_planted());
        let first = "with t as (insert into domicile.lease as l (batch, token, timeline) \
                 values ($1, $2, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)) \
               on conflict (batch) do update set token = case when $3 then excluded.token else l.token end, \
                 timeline = excluded.timeline, taken = clock_timestamp() returning token, xmax = 0 as new), \
             r as (update domicile.region set waves = waves + 1, gen = gen + 1 where exists (select from t where t.new)) \
             select token from t";
        // CRASH: after this the old holder can begin nothing more; whoever takes the lease next repeats both.
        let token: i64 = taker.query_one("taking a lease", first, &[&batch, &drawn, &changes]).await?.get(0);
        let second = "update domicile.lease set gen = gen + 1 where batch = $1";
        taker.execute("waiting for the holder of a lease", second, &[&batch]).await?;
        Ok(Lease { batch: batch.to_owned(), token })
    }

    pub(super) async fn close_batch(&self, lease: &Lease) -> Result<()> {
        let sql = format!(
            "with {HELD}, l as (delete from domicile.lease l where l.batch = $1 and exists (select from held)), \
             m as (delete from domicile.member m using held where m.batch = $1), \
             b as (delete from domicile.batch b using held where b.batch = $1), \
             r as (update domicile.region set waves = waves - 1 where exists (select from held)) \
             select exists (select from held) or not exists (select from domicile.lease l where l.batch = $1)"
        );
        // CRASH: closed or not; a batch that is gone already counts as closed.
        let row =
            self.conn().await?.query_one("closing a batch", &sql, &[&lease.batch, &lease.token]).await?;
        self.require(lease, row.get(0)).await
    }
}

/// Ends the backends that hold up `pid`, if they are our own role's.
async fn end_holders(watcher: &Conn, pid: i32) -> Result<()> {
    let sql = "select pg_terminate_backend(a.pid) from pg_stat_activity a \
               where a.pid = any (pg_blocking_pids($1)) and a.usename = session_user";
    watcher.query("ending the holder of a lease", sql, &[&pid]).await.map(drop)
}

/// The number in `wave/number`; 0 where there is none.
fn number(batch: &str) -> i64 {
    batch.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
