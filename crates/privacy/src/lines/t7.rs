//! T7: the mailbox moves to another region, by the real `domicile move`; once the device has heard of it, nothing goes to the old
//! one.

use super::t1;
use crate::event::{Act, Event};
use crate::fault::Fault;
use crate::judge::{Rule, judge as by, spoken};
use crate::phone::{MEMBER, Role};
use crate::scene::{Cast, Played, Stage};
use crate::service::Service;
use crate::traffic::{Packet, Wire};
use crate::world::capture::END;
use crate::world::zone::{HOME, NEW_HOME, What, Zone};
use std::collections::BTreeSet;

const FOLLOWED: &str = "followed";
const IDLE_S: u64 = 120;

/// Plays and judges it.
///
/// # Errors
/// In words: it could not be played.
pub fn play(
    stage: &Stage<'_>,
    cast: &Cast,
    service: &Service,
) -> Result<(Played, Vec<Fault>, Vec<String>), String> {
    let (played, ()) = stage.direct(cast, |handset| {
        handset.acts(&script())?;
        handset.meanwhile("move", || service.move_abroad())?;
        // The old home says where the mailbox is now.
        handset.act(Event::Looked)?;
        handset.mark(FOLLOWED)?;
        handset.acts(&afterwards())
    })?;
    let zone = &stage.world.zone;
    let either = |what: &What| matches!(what, What::Relay(region) if region == HOME || region == NEW_HOME);
    let new = |what: &What| matches!(what, What::Relay(region) if region == NEW_HOME);
    let mut faults = by(
        &played,
        zone,
        &Rule { hosts: &either, seen: &|carried| !played.sealed && carried.role == Role::Owner },
    );
    match played.traffic.between(FOLLOWED, END) {
        Ok(packets) => {
            faults.extend(after(packets, zone, &Rule { hosts: &new, seen: &|_| false }));
            if packets.is_empty() {
                faults.push(Fault::Unproven("nothing was sent after the move at all".into()));
            }
        }
        Err(why) => faults.push(Fault::Unproven(why)),
    }
    let after = played.traffic.between(FOLLOWED, END).map_or(0, <[_]>::len);
    Ok((played, faults, vec![format!("{after} packets after the move, none of them with {HOME}")]))
}

/// Faults of what came after the move; what is left of a connection from before it is told from a new one.
fn after(packets: &[Packet], zone: &Zone, rule: &Rule<'_>) -> Vec<Fault> {
    let opened = |packet: &&Packet| match packet.wire {
        Wire::Ports { opens: true, from, to, .. } => Some([from, to]),
        _ => None,
    };
    let new: BTreeSet<_> = packets.iter().filter_map(|packet| opened(&packet)).collect();
    let is_old = |packet: &&Packet| {
        matches!(packet.wire, Wire::Ports { transport: "tcp", from, to, .. }
            if !new.contains(&[from, to]) && !new.contains(&[to, from]))
    };
    let (old, others): (Vec<_>, Vec<_>) = packets.iter().cloned().partition(|packet| is_old(&packet));
    let left = spoken(&old, zone, rule).into_iter().map(|fault| match fault {
        Fault::Spoke(_) => Fault::Wrong(format!("{fault}, of a connection from before the move")),
        other => other,
    });
    spoken(&others, zone, rule).into_iter().chain(left).collect()
}

fn script() -> Vec<Act> {
    let mut script = t1::used();
    script
        .extend(["cloud_messaging", "contact_discovery", "presence"].map(|p| Event::Agreed(p.into()).into()));
    script.push(Event::CardOpened(MEMBER.into()).into());
    script
}

fn afterwards() -> Vec<Act> {
    let mut acts = t1::used().split_off(3);
    acts.extend([Event::CardOpened(MEMBER.into()).into(), Event::Looked.into(), Event::Idle(IDLE_S).into()]);
    acts
}
