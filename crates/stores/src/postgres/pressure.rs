//! How hard the server works at other things: standbys behind, other roles' sessions at work.

use super::Postgres;
use super::quote;
use crate::error::{Error, Result};
use crate::records::Pressure;
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// The standby furthest behind, and the sessions at a statement that are not ours.
const PRESSURE: &str = "select \
       pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'USAGE'), \
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::int8, \
       pg_catalog.pg_wal_lsn_diff(min(r.replay_lsn), '0/0')::int8, \
       (extract(epoch from max(r.replay_lag)) * 1000)::int8, \
       (select count(*) from pg_catalog.pg_stat_activity a where a.state = 'active' \
          and a.backend_type = 'client backend' and a.usename is distinct from session_user) \
     from pg_catalog.pg_stat_replication r where r.state <> 'backup'";

/// Marks kept at most; every second one goes where there are more.
const MARKS_MAX: usize = 512;

/// How far the log was, and when: the server measures a standby's lag only while it gets on, so one that
/// stands still (a conflict with a query, a full disk) would keep the small lag that it had.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<(Instant, i64)>);

impl Marks {
    /// Notes how far the log is now. Returns how long ago it was where the standby is.
    fn lag(&mut self, now: Instant, written: i64, replayed: i64) -> Duration {
        while self.0.front().is_some_and(|(_, at)| *at <= replayed) {
            self.0.pop_front();
        }
        if self.0.len() >= MARKS_MAX {
            let mut nth = 0;
            self.0.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        if written > replayed && self.0.back().is_none_or(|(_, at)| *at < written) {
            self.0.push_back((now, written));
        }
        self.0.front().map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }
}

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
        let written: i64 = row.get(1);
        // Without a standby, or before its first answer, nothing is behind.
        let replayed = row.get::<_, Option<i64>>(2).unwrap_or(written);
        let since = {
            let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            marks.lag(Instant::now(), written, replayed)
        };
        let measured = row.get::<_, Option<i64>>(3).and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
        Ok(Pressure {
            lag: since.max(Duration::from_millis(measured)),
            lag_bytes: u64::try_from(written - replayed).unwrap_or(0),
            active_sessions: u64::try_from(row.get::<_, i64>(4)).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_that_stands_still_falls_behind_by_the_clock() {
        let begun = Instant::now();
        let at = |s: u64| begun + Duration::from_secs(s);
        let mut marks = Marks::default();
        assert_eq!(marks.lag(at(0), 100, 100), Duration::ZERO);
        assert_eq!(marks.lag(at(1), 200, 100), Duration::ZERO);
        assert_eq!(marks.lag(at(3), 200, 100), Duration::from_secs(2));
        assert_eq!(marks.lag(at(4), 300, 150), Duration::from_secs(3));
        assert_eq!(marks.lag(at(6), 300, 200), Duration::from_secs(2), "what was at 4 s is not there yet");
        assert_eq!(marks.lag(at(7), 300, 300), Duration::ZERO);
        assert_eq!(marks.lag(at(9), 300, 300), Duration::ZERO);
        for n in 0..10_000 {
            marks.lag(at(10 + n), 400 + n as i64, 399);
        }
        assert!(marks.0.len() <= MARKS_MAX);
        assert_eq!(marks.lag(at(20_000), 20_000, 399), Duration::from_secs(19_990), "the oldest stays");
    }
}
