//! Pace: back-off between tries and the ceiling on rows a second.

use crate::limits::Limits;
use std::time::Duration;

/// The longest single wait between two tries.
const LONGEST: Duration = Duration::from_millis(500);

/// Waits before try number `round`: nothing before the first, then doubling from 2 ms with jitter.
pub(crate) async fn back_off(round: u32) {
    if round == 0 {
        return;
    }
    let base = Duration::from_millis(2).saturating_mul(1 << round.min(10)).min(LONGEST);
    // Jitter from the clock's own noise: two movers must not step in time, nothing more is asked of it.
    let noise = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.subsec_nanos() % 1000);
    tokio::time::sleep(base / 2 + base * noise / 1000).await;
}

/// Waits as long as `rows` may take at the user's ceiling.
pub(crate) async fn rows(limits: &Limits, rows: u64) {
    if let Some(ceiling) = limits.rows_per_s.filter(|c| *c > 0) {
        tokio::time::sleep(Duration::from_secs_f64(rows as f64 / ceiling as f64)).await;
    }
}
