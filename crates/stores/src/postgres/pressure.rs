//! How hard the server works at other things: standbys behind, other roles' sessions at work.

use super::Postgres;
use super::quote;
use crate::error::{Error, Result};
use crate::records::Pressure;
use std::time::Duration;

/// The standby furthest behind, and the sessions at a statement that are not ours.
///
/// A standby that has stopped to answer keeps the lag that it measured last. It answers every 10 s at the
/// latest (`wal_receiver_status_interval`), so one that is behind and silent for longer has stood still since.
const PRESSURE: &str = "select \
       pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'USAGE'), \
       coalesce(max(l.lag_ms), 0)::int8, coalesce(max(l.lag_bytes), 0)::int8, \
       (select count(*) from pg_catalog.pg_stat_activity a where a.state = 'active' \
          and a.backend_type = 'client backend' and a.usename is distinct from session_user) \
     from (select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn) as lag_bytes, \
         extract(epoch from case \
           when r.replay_lsn < pg_catalog.pg_current_wal_lsn() \
             and r.reply_time < pg_catalog.clock_timestamp() - interval '11 s' \
           then pg_catalog.clock_timestamp() - r.reply_time else r.replay_lag end) * 1000 as lag_ms \
       from pg_catalog.pg_stat_replication r where r.state <> 'backup') as l";

impl Postgres {
    pub(super) async fn read_pressure(&self) -> Result<Pressure> {
        let conn = self.conn().await?;
        let row = conn.query_one("looking at sessions and standbys", PRESSURE, &[]).await?;
        if !row.get::<_, bool>(0) {
            return Err(Error::Denied {
                store: self.store_name(),
                what: "other roles' rows of pg_stat_activity and pg_stat_replication".to_owned(),
                grant: format!("GRANT pg_read_all_stats TO {}", quote::ident(self.role())),
            });
        }
        let number = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
        Ok(Pressure {
            lag: Duration::from_millis(number(1)),
            lag_bytes: number(2),
            active_sessions: number(3),
        })
    }
}
