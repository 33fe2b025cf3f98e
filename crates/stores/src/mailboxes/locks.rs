//! What a transaction begins with that depends on who has a mailbox, or on what a device agreed to.
//!
//! INVARIANT: it stands before the statements that depend on it. PostgreSQL shows each statement what was committed before that one
//! began, so whatever this one waited for is seen by those behind it; SQLite has one writer.
//!
//! Where it is not as it should be, the statement divides by zero, so that nothing of the transaction is done
//! ([`Changed`](super::Refusal::Changed)): PostgreSQL fails at that and, other than at a constraint, writes no value into its log;
//! for SQLite it is NULL, which the column does not take.

use crate::control::Statement;

/// Locks a mailbox's row, if it is this device's. Where it has no row, no row is changed.
pub(super) fn hold(mailbox: &str, device: &str) -> Statement {
    let sql = "UPDATE mailbox SET device = CASE WHEN 1 / (CASE WHEN device = $2 THEN 1 ELSE 0 END) = 1 THEN device END \
         WHERE id = $1";
    Statement::new(sql, vec![mailbox.into(), device.into()])
}

/// Locks a mailbox's row on PostgreSQL against messages that are just being kept, too: their foreign key waits for it, or it for them.
pub(super) const SHUT: &str = "SELECT 1 FROM mailbox WHERE id = $1 FOR UPDATE";

/// Locks what a device without a mailbox agreed to, if it is what was read before. That it was is for a later statement to see, which
/// divides by the number of such rows.
pub(super) fn hold_waiting(device: &str, row: &[u8]) -> Statement {
    let sql = "UPDATE mailbox_waiting SET expires_ms = expires_ms WHERE device = $1 AND record = $2";
    Statement::new(sql, vec![device.into(), row.into()])
}
