//! T6: the owner takes the consent back: after the withdrawal itself nothing leaves the phone, nobody finds its owner, and the
//! keys are gone from the server.

use super::{t1, t3};
use crate::event::{Act, Event};
use crate::fault::Fault;
use crate::judge::{SILENCE, at_rest, spoken};
use crate::member::{FOUND, Member};
use crate::phone::{MEMBER, STRANGER};
use crate::scene::{Cast, Played, Stage};
use crate::service::Service;
use crate::service::sabotage::Sabotage;
use crate::world::capture::END;
use crate::world::zone::{HOME, REGIONS};
use std::time::Duration;

const WITHDRAWN: &str = "withdrawn";
/// Of the home region.
const COUNTRY: &str = REGIONS[0].1;
/// Minutes in which it could still say something, in the handset's seconds.
const IDLE_S: u64 = 600;

/// Plays and judges it.
///
/// # Errors
/// In words: it could not be played.
pub fn play(
    stage: &Stage<'_>,
    cast: &Cast,
    service: &Service,
    member: &mut Member,
    sabotage: Option<Sabotage>,
) -> Result<(Played, Vec<Fault>, Vec<String>), String> {
    let (played, found) = stage.direct(cast, |handset| {
        handset.acts(&script())?;
        let found = stage.world.aside(|| member.finds_the_owner())?;
        if let Some(sabotage) = sabotage {
            service.sql(HOME, sabotage.begin());
        }
        handset.act(Event::Withdrew("cloud_messaging".into()))?;
        handset.mark(WITHDRAWN)?;
        handset.acts(&afterwards())?;
        Ok(found)
    })?;
    let mut faults = t3::judge(&played, &stage.world.zone);
    faults.extend(at_rest(&played));
    match played.traffic.between(WITHDRAWN, END) {
        Ok(packets) => faults.extend(spoken(packets, &stage.world.zone, &SILENCE)),
        Err(why) => faults.push(Fault::Unproven(why)),
    }
    if !found {
        faults.push(Fault::Unproven("the owner was not found before the withdrawal either".into()));
    }
    // Where it stays so for ever, nobody need wait for long.
    let patience = if sabotage.is_some() { Duration::from_secs(2) } else { FOUND };
    if stage.world.aside(|| member.still_finds_the_owner(patience))? {
        let by = format!("relay.{HOME}.example");
        let country = stage.world.zone.named(&by).map_or("?", |host| &host.country);
        faults.push(Fault::Wrong(format!("the owner is still found, through {by} ({country})")));
    }
    let dump = stage.dir.join(format!("{}-{HOME}.sql", cast.scene));
    service.dump(HOME, &dump)?;
    for left in left(service, &member.mailbox()?) {
        faults.push(Fault::Wrong(format!("the server of {HOME} ({COUNTRY}) still has {left}")));
    }
    if let Some(sabotage) = sabotage {
        service.sql(HOME, &sabotage.end());
    }
    let after = played.traffic.between(WITHDRAWN, END).map_or(0, <[_]>::len);
    Ok((
        played,
        faults,
        vec![format!("{after} packets after the withdrawal; not found; no key, no tag in the dump")],
    ))
}

/// What is left of everybody but `member` at the old home.
fn left(service: &Service, member: &str) -> Vec<String> {
    let tables = [
        ("mailbox_key", "one-time keys", ""),
        ("mailbox_tag", "tags", ""),
        ("mailbox_message", "messages", ""),
    ];
    let mut left = Vec::new();
    for (table, what, also) in tables {
        let n =
            service.sql(HOME, &format!("SELECT count(*) FROM {table} WHERE mailbox <> '{member}' {also}"));
        if n.trim() != "0" {
            left.push(format!("{} {what} in {table}", n.trim()));
        }
    }
    let keys = format!(
        "SELECT count(*) FROM mailbox WHERE id <> '{member}' AND (identity IS NOT NULL OR fallback IS NOT NULL \
         OR number_sealed IS NOT NULL OR octet_length(device_key) > 0 OR device <> '' OR discoverable)"
    );
    let n = service.sql(HOME, &keys);
    if n.trim() != "0" {
        left.push(format!("{} mailbox with its number, keys, a device, or to be found", n.trim()));
    }
    left
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
    acts.extend([
        Event::CardOpened(STRANGER.into()).into(),
        Event::CardOpened(MEMBER.into()).into(),
        Event::Sent(MEMBER.into()).into(),
        Event::Looked.into(),
        Event::Idle(IDLE_S).into(),
    ]);
    acts
}
