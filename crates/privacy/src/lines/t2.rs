//! T2: the owner has an account and has agreed to nothing: the sign-in is all that leaves the phone.

use super::t1;
use crate::event::{Act, Event};
use crate::fault::Fault;
use crate::judge::{Rule, at_rest, judge as by};
use crate::scene::Played;
use crate::world::zone::{HOME, What, Zone};

pub(super) fn script() -> Vec<Act> {
    let mut script = t1::used();
    script.push(Event::SignedIn.into());
    script.extend(t1::used().split_off(3));
    script
}

pub(super) fn judge(played: &Played, zone: &Zone) -> Vec<Fault> {
    let account = |what: &What| matches!(what, What::Account(region) if region == HOME);
    let mut faults = by(played, zone, &Rule { hosts: &account, seen: &|_| false });
    faults.extend(at_rest(played));
    faults
}
