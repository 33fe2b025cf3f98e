//! What the store does without a relay: the same rows, inserted as fast as it commits them.

use super::BODY_BYTES;
use crate::Fallible;
use crate::figures::quantile;
use crate::ground::Ground;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

const SCHEMA: &str = "CREATE TABLE bare(mailbox text NOT NULL, id text NOT NULL, body bytea NOT NULL, received_ms bigint NOT NULL, \
     expires_ms bigint NOT NULL, PRIMARY KEY (mailbox, id)); CREATE INDEX ON bare(expires_ms); GRANT ALL ON bare TO app";
const INSERT: &str = "INSERT INTO bare(mailbox, id, body, received_ms, expires_ms) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[])";

/// Rows a second: 512 in a commit, then one in a commit.
pub async fn run(ground: &Ground, length: Duration) -> Fallible<(f64, f64)> {
    ground.drop("bare");
    ground.old.sql("postgres", "CREATE DATABASE bare");
    ground.old.sql("bare", SCHEMA);
    ground.settle();
    let batched = inserts(ground, 3, 512, length).await?;
    let single = inserts(ground, 16, 1, length).await?;
    ground.drop("bare");
    Ok((batched, single))
}

async fn inserts(ground: &Ground, connections: u64, together: usize, length: Duration) -> Fallible<f64> {
    let (rows, number) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let mut all = Vec::new();
    for _ in 0..connections {
        let (client, connection) = tokio_postgres::connect(&ground.old.url("app", "bare"), NoTls).await?;
        tokio::spawn(connection);
        let (rows, number) = (rows.clone(), number.clone());
        all.push(tokio::spawn(async move {
            let statement = client.prepare(INSERT).await?;
            let body = vec![7_u8; BODY_BYTES];
            while begun.elapsed() < length {
                let first = number.fetch_add(together as u64, Ordering::Relaxed);
                // Ids as random as a relay's: as many pages of the index are touched.
                let id = |n: usize| format!("{together}-{:016x}", mixed(first + n as u64));
                let ids: Vec<String> = (0..together).map(id).collect();
                let mailboxes: Vec<String> =
                    (0..together).map(|n| format!("mailbox-{:06}", (first + n as u64) % 1000)).collect();
                let bodies: Vec<&[u8]> = vec![&body; together];
                let times = vec![first as i64; together];
                client.execute(&statement, &[&mailboxes, &ids, &bodies, &times, &times]).await?;
                rows.fetch_add(together as u64, Ordering::Relaxed);
            }
            Ok::<(), tokio_postgres::Error>(())
        }));
    }
    for one in all {
        one.await??;
    }
    Ok(rows.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

const DELETE: &str = "DELETE FROM bare WHERE mailbox = $1 AND id = $2";

/// Rows a second that are inserted and then deleted, each in a commit of its own, on 16 connections; p50 and p99 of both together, ms.
pub async fn pairs(ground: &Ground, length: Duration) -> Fallible<[f64; 3]> {
    ground.drop("bare");
    ground.old.sql("postgres", "CREATE DATABASE bare");
    ground.old.sql("bare", SCHEMA);
    ground.settle();
    let (number, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut all = Vec::new();
    for _ in 0..16 {
        let (client, connection) = tokio_postgres::connect(&ground.old.url("app", "bare"), NoTls).await?;
        tokio::spawn(connection);
        let number = number.clone();
        all.push(tokio::spawn(async move {
            let (insert, delete) = (client.prepare(INSERT).await?, client.prepare(DELETE).await?);
            let (body, mut took_ms) = (vec![7_u8; BODY_BYTES], Vec::new());
            while begun.elapsed() < length {
                let n = number.fetch_add(1, Ordering::Relaxed);
                let (id, mailbox) = (format!("{:016x}", mixed(n)), format!("mailbox-{:06}", n % 1000));
                let (time, asked) = (n as i64, Instant::now());
                let (mailboxes, ids, times) = (vec![&mailbox], vec![&id], vec![time]);
                let bodies = vec![&body[..]];
                client.execute(&insert, &[&mailboxes, &ids, &bodies, &times, &times]).await?;
                client.execute(&delete, &[&mailbox, &id]).await?;
                took_ms.push(asked.elapsed().as_secs_f64() * 1000.0);
            }
            Ok::<_, tokio_postgres::Error>(took_ms)
        }));
    }
    let mut took_ms = Vec::new();
    for one in all {
        took_ms.extend(one.await??);
    }
    let rate = took_ms.len() as f64 / begun.elapsed().as_secs_f64();
    took_ms.sort_by(f64::total_cmp);
    ground.drop("bare");
    Ok([rate, quantile(&took_ms, 0.5), quantile(&took_ms, 0.99)])
}

/// Another number for each (splitmix64).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n ^ (n >> 31)
}
