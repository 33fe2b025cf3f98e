//! Records of devices that have no mailbox yet: one of each purpose, the latest.

use super::refusals::BROKEN;
use crate::Problem;
use domicile_messaging::consent::{Countersigned, EventState, Purposes};
use domicile_stores::mailboxes::Waiting;
use jiff::Timestamp;

/// The records of a row.
pub(super) fn read(waiting: &Waiting) -> Result<Vec<Countersigned>, Problem> {
    serde_json::from_slice(&waiting.record).map_err(|_| BROKEN)
}

/// A row's bytes.
pub(super) fn write(records: &[Countersigned]) -> Vec<u8> {
    serde_json::to_vec(records).expect("they have only texts, integers and lists")
}

/// What is agreed to.
pub(super) fn given(records: &[Countersigned]) -> Purposes {
    let now = Timestamp::now();
    let agreed = records.iter().filter(|record| record.signed.record.agrees(now));
    agreed.map(|record| record.signed.record.processing.purpose).collect()
}

/// The records with one more in its purpose's place.
pub(super) fn with(mut records: Vec<Countersigned>, one: Countersigned) -> Vec<Countersigned> {
    let purpose = one.signed.record.processing.purpose;
    records.retain(|record| record.signed.record.processing.purpose != purpose);
    records.push(one);
    records
}

/// Is it a withdrawal?
pub(super) fn is_withdrawal(record: &Countersigned) -> bool {
    record.signed.record.event.event_state == EventState::Withdrawn
}
