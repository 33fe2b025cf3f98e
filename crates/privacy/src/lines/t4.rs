//! T4: contact discovery is agreed to: a contact who is no user is looked for once, blinded, and never again; nobody who holds
//! the server's dump and its key finds the number in it.

use super::{t1, t3};
use crate::event::{Act, Event};
use crate::fault::Fault;
use crate::judge::{SILENCE, spoken};
use crate::phone::STRANGER;
use crate::scene::Played;
use crate::world::zone::Zone;

/// Before the second opening.
const SECOND: &str = "second opening";
/// After it.
const SEEN: &str = "second opening is over";

pub(super) fn script() -> Vec<Act> {
    let mut script = t1::used();
    let agreed = |purpose: &str| Event::Agreed(purpose.to_owned()).into();
    script.extend([
        agreed("cloud_messaging"),
        agreed("contact_discovery"),
        Event::CardOpened(STRANGER.into()).into(),
        Act::Mark(SECOND.into()),
        Event::CardOpened(STRANGER.into()).into(),
        Act::Mark(SEEN.into()),
    ]);
    script
}

pub(super) fn judge(played: &Played, zone: &Zone) -> Vec<Fault> {
    let mut faults = t3::judge(played, zone);
    match played.traffic.between(SECOND, SEEN) {
        Ok(packets) => faults.extend(spoken(packets, zone, &SILENCE)),
        Err(why) => faults.push(Fault::Unproven(why)),
    }
    faults
}
