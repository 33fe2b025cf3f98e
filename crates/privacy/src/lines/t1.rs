//! T1: a phone out of its box is used as a phone, and sends nothing.

use crate::event::{Act, Event};
use crate::fault::Fault;
use crate::judge::{SILENCE, at_rest, judge as by};
use crate::phone;
use crate::scene::Played;
use crate::world::zone::Zone;

/// The ten minutes in which nobody touches it, in the handset's seconds.
const IDLE_S: u64 = 600;

pub(super) fn script() -> Vec<Act> {
    let mut script = used();
    script.push(Event::Idle(IDLE_S).into());
    script
}

/// Out of the box, and everything that a phone is for.
pub(super) fn used() -> Vec<Act> {
    let n = |number: &str| number.to_owned();
    [
        Event::FirstStart,
        Event::Sim,
        Event::Wifi,
        Event::ContactAdded(n(phone::MEMBER)),
        Event::ContactAdded(n(phone::STRANGER)),
        Event::SmsSent(n(phone::TEXTED)),
        Event::SmsReceived(n(phone::TEXTER)),
        Event::MmsSent(n(phone::PICTURED)),
        Event::MmsReceived(n(phone::TEXTER)),
        Event::Called(n(phone::CALLED)),
        Event::Rang(n(phone::CALLER)),
    ]
    .map(Act::from)
    .to_vec()
}

pub(super) fn judge(played: &Played, zone: &Zone) -> Vec<Fault> {
    let mut faults = by(played, zone, &SILENCE);
    faults.extend(at_rest(played));
    faults
}
