//! Removes what is expired, a little at a time: messages that nobody fetched, and what is known of delivered ones.
//!
//! Rows of a mailbox whose home is elsewhere are not ours: they travelled with it, and the old copy goes as a whole. So the sweep
//! passes them by, and one that is fenced at this moment waits for the next one.

use super::mail::{Mail, now_ms};
use domicile_stores::mailboxes::{Cursor, Expired, Ledger};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks of one sweep: others want the database, too.
const BREATH: Duration = Duration::from_millis(20);

/// Sweeps again and again until the relay ends.
pub(super) async fn run(mail: Arc<Mail>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(mail.limits.sweep) => {}
            () = mail.stop.stopped() => return,
        }
        for ledger in [Ledger::Messages, Ledger::Delivered] {
            once(&mail, ledger, now_ms()).await;
        }
    }
}

/// One sweep; how many rows it removed.
pub(super) async fn once(mail: &Mail, ledger: Ledger, now_ms: i64) -> u64 {
    let (mut cursor, mut removed) = (Cursor::default(), 0);
    while !mail.stop.is_stopped() {
        // The database is away: the next sweep.
        let Ok(found) = mail.mailboxes.expired(ledger, now_ms, &mut cursor).await else { break };
        if found.is_empty() {
            break;
        }
        // All at once, so that they are one commit.
        let all = by_mailbox(found)
            .into_iter()
            .map(|(mailbox, ids)| async move { swept(mail, ledger, &mailbox, &ids, now_ms).await });
        removed += futures::future::join_all(all).await.into_iter().sum::<u64>();
        tokio::time::sleep(BREATH).await;
    }
    removed
}

async fn swept(mail: &Mail, ledger: Ledger, mailbox: &str, ids: &[String], now_ms: i64) -> u64 {
    let is_here = match mail.moving.of(mailbox).await {
        Ok(Some(home)) => mail.moving.is_here(home),
        Ok(None) | Err(_) => false,
    };
    if !is_here {
        return 0;
    }
    // Refused: the guard knows better than memory does.
    let removed = mail.mailboxes.sweep(ledger, mailbox, ids, now_ms).await.unwrap_or(0);
    if ledger == Ledger::Messages {
        mail.has_gone(mailbox, usize::try_from(removed).unwrap_or(usize::MAX));
    }
    removed
}

fn by_mailbox(found: Vec<Expired>) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in found {
        all.entry(row.mailbox).or_default().push(row.id);
    }
    all
}
