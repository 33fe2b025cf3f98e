//! The control store with its writes named, by the statements that the directory sends.

use super::is_late;
use async_trait::async_trait;
use domicile_stores::control::{Control, ControlStore, Dialect, Rows, Statement};
use domicile_stores::failpoints::durable;
use domicile_stores::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How late a late swap is: later than a fence's deadline, so that whoever settles it comes first.
const LATE: Duration = Duration::from_millis(900);

/// Late swaps on their way: a server makes them whatever becomes of the worker, so it lives until they are made.
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// Waits until every late swap is made.
pub async fn all_made() {
    while PENDING.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A control store at whose writes something may happen.
pub struct Pointed(pub Arc<ControlStore>);

#[async_trait]
impl Control for Pointed {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn dialect(&self) -> Result<Dialect> {
        self.0.dialect().await
    }

    async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>> {
        let Some(point) = named(&statements) else { return self.0.run(statements).await };
        if point == "swap" && is_late(point) {
            let (store, name) = (self.0.clone(), self.name());
            PENDING.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                tokio::time::sleep(LATE).await;
                let _ = store.run(statements).await;
                PENDING.fetch_sub(1, Ordering::SeqCst);
            });
            return Err(Error::Unreachable { store: name, why: "the answer is late".into() });
        }
        durable(point, || self.name(), self.0.run(statements)).await
    }
}

/// What a transaction writes; `None`: it only reads.
fn named(statements: &[Statement]) -> Option<&'static str> {
    let writes = |s: &&Statement| !s.sql.trim_start().starts_with("SELECT");
    let all: Vec<&str> = statements.iter().filter(writes).map(|s| s.sql.as_ref()).collect();
    if all.is_empty() {
        return None;
    }
    const NAMES: [(&str, &str); 14] = [
        ("UPDATE directory_home SET region = $2, epoch", "swap"),
        ("UPDATE directory_home SET attempt", "settle"),
        ("INSERT INTO directory_wave", "wave-open"),
        ("UPDATE directory_wave SET state", "wave-state"),
        ("UPDATE directory_wave SET asked", "wave-ask"),
        ("UPDATE directory_wave SET holder = $2", "turn-take"),
        ("UPDATE directory_wave SET holder = NULL", "turn-give-back"),
        ("UPDATE directory_wave SET expires_ms", "turn-renew"),
        ("INSERT INTO directory_batch", "claim-take"),
        ("UPDATE directory_batch SET expires_ms", "claim-renew"),
        ("UPDATE directory_batch SET holder = NULL", "claim-give-back"),
        ("INSERT INTO directory_worker", "worker-seen"),
        ("DELETE FROM directory_worker WHERE worker", "worker-gone"),
        ("INSERT INTO directory_home", "register"),
    ];
    let found = NAMES.iter().find(|(sql, _)| all.iter().any(|s| s.starts_with(sql)));
    Some(found.map_or("unnamed", |(_, name)| name))
}
