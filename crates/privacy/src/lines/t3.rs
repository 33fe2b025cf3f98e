//! T3: messaging is agreed to and nothing else: the home relay is the only one spoken to, and learns the owner's own number
//! alone. Over TLS not even that can be seen.

use super::t1;
use crate::carried::Carried;
use crate::event::{Act, Event};
use crate::fault::Fault;
use crate::judge::{Rule, judge as by};
use crate::phone::Role;
use crate::scene::Played;
use crate::world::zone::{HOME, What, Zone};
use std::net::SocketAddrV4;

/// In the handset's seconds.
const IDLE_S: u64 = 120;

pub(super) fn script() -> Vec<Act> {
    let mut script = t1::used();
    script.push(Event::Agreed("cloud_messaging".into()).into());
    script.extend(t1::used().split_off(3));
    // It looks for messages meanwhile.
    script.push(Event::Idle(IDLE_S).into());
    script
}

pub(super) fn judge(played: &Played, zone: &Zone) -> Vec<Fault> {
    let own = |carried: &Carried| {
        if played.sealed {
            return false;
        }
        let to = carried.address.parse().ok().and_then(|to: SocketAddrV4| zone.at(*to.ip()));
        carried.role == Role::Owner && to.is_some_and(|host| relay(&host.what))
    };
    by(played, zone, &Rule { hosts: &relay, seen: &own })
}

/// The relay of the home region.
pub(super) fn relay(what: &What) -> bool {
    matches!(what, What::Relay(region) if region == HOME)
}
