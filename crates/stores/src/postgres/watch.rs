//! No answer is waited for without end, and no statement is given up that the server is still at.
//!
//! A connection can stand while nothing passes: TCP's own time-outs end it where the peer is gone, not where
//! something in between answers for it. And a statement may well take an hour. So whoever has waited for a while asks
//! the server by another connection whether it is at it. Where it is not, or does not answer either, time after time,
//! nobody will: the outcome is unknown, as with every connection that broke.

use super::connect::Target;
use crate::error::Error;
use futures::FutureExt;
use std::pin::pin;
use std::time::Duration;
use tokio_postgres::Client;

/// How long an answer is waited for before the server is asked.
const LOOK_AFTER: Duration = Duration::from_secs(20);
/// So many times in a row it must not be at it: what was sent last may still be on its way over a thin pipe.
const LOOKS: u32 = 3;
/// How long the question may take, a new connection included; where none is to be had, longer than that.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// A name for a session that no other has.
pub(super) fn session_name() -> String {
    format!("domicile {:08x}", getrandom::u32().unwrap_or_default())
}

/// What the call answered, or why none will come: `LOOKS` times [`LOOK_AFTER`], and as often [`LOOK_LIMIT`], at most.
pub(super) async fn answered<T>(
    target: &Target,
    session: &str,
    call: impl Future<Output = T>,
) -> Result<T, String> {
    let mut call = pin!(call);
    // Most answers are there: a row of a COPY needs no timer.
    if let Some(answer) = call.as_mut().now_or_never() {
        return Ok(answer);
    }
    let mut in_vain = 0;
    while in_vain < LOOKS {
        if let Ok(answer) = tokio::time::timeout(LOOK_AFTER, call.as_mut()).await {
            return Ok(answer);
        }
        tokio::select! {
            answer = call.as_mut() => return Ok(answer),
            at_it = Box::pin(is_at_it(target, session)) => in_vain = if at_it { 0 } else { in_vain + 1 },
        }
    }
    Err(format!("no answer in {} s, and the server is not at it", (LOOK_AFTER * LOOKS).as_secs()))
}

/// Is that session's server at work, and not waiting for us?
async fn is_at_it(target: &Target, session: &str) -> bool {
    let sql = "select 1 from pg_catalog.pg_stat_activity where application_name = $1 \
               and state in ('active', 'fastpath function call') and wait_event_type is distinct from 'Client'";
    let look = async {
        let (client, _): (Client, _) = match target.connect_as("domicile watch").await {
            Ok(connected) => connected,
            // It has no place for one more, so it lives.
            Err(Error::Again { .. }) => return true,
            Err(_) => return false,
        };
        client.query(sql, &[&session]).await.is_ok_and(|rows| !rows.is_empty())
    };
    tokio::time::timeout(LOOK_LIMIT, look).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::pool::Pool;
    use domicile_testbed::postgres::Cluster;
    use domicile_testbed::proxy::{Fault, Proxy};

    /// Longer than the limits say by far: only that it ends is looked at.
    const PATIENCE: Duration = Duration::from_secs(400);

    async fn unreachable<T>(what: &str, call: impl Future<Output = crate::Result<T>>) {
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(Err(Error::Unreachable { .. })) => {}
            Ok(Err(other)) => panic!("{what}: {other}"),
            Ok(Ok(_)) => panic!("{what}: it was answered"),
            Err(_) => panic!("{what}: waits without end"),
        }
    }

    /// A statement, a row of a COPY and a new connection, all on a network that has stalled; beside them, over one
    /// that has not, a statement that takes longer than the watch is patient.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_stalled_connection_is_given_up_and_a_long_statement_is_not() {
        let cluster = Cluster::start();
        let proxy = Proxy::before(cluster.port);
        let url = |port: u16| format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let pool = Pool::new(Target::parse(&url(proxy.port), None).unwrap());
        let direct = Pool::new(Target::parse(&url(cluster.port), None).unwrap());
        let (asking, reading) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        asking.batch("asking", "select 1").await.unwrap();
        let copy = "copy (select repeat('x', 8000) from generate_series(1, 20000)) to stdout";
        let stream = reading.copy_out("reading", copy).await.unwrap();
        let long = tokio::spawn(async move {
            let conn = direct.get().await.unwrap();
            let seconds = (LOOK_AFTER * (LOOKS + 1)).as_secs();
            conn.batch("sleeping", &format!("select pg_sleep({seconds})")).await
        });
        proxy.set(Fault::Stall);
        let rows = reading.rows("reading".into(), stream);
        let read = futures::TryStreamExt::try_fold(rows, 0, |n, _| async move { Ok(n + 1) });
        let another = async { pool.get().await.map(drop) };
        tokio::join!(
            unreachable("a statement", asking.batch("asking", "select 2")),
            unreachable("a row", read),
            unreachable("a connection", another),
        );
        long.await.unwrap().unwrap();
        // What was given up serves nobody else.
        drop((asking, reading));
        proxy.set(Fault::None);
        pool.get().await.unwrap().batch("asking", "select 3").await.unwrap();
    }
}
