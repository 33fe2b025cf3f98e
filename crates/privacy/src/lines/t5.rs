//! T5: a message to somebody who is away comes back as "use SMS" in the answer to the one request that carried it, and the
//! carrier takes it, and nobody keeps it; one to somebody who is here arrives, and the server that holds it until then can't read it.

use super::{t1, t3};
use crate::event::{Act, Event};
use crate::fault::Fault;
use crate::handset::{KEPT, USE_SMS};
use crate::kept;
use crate::member::Member;
use crate::phone::MEMBER;
use crate::scene::{Cast, Played, Stage};
use crate::service::Service;
use crate::traffic::volume::{self, exchanges};
use crate::world::zone::{HOME, REGIONS, Zone};
use std::net::IpAddr;

/// Of the home region.
const COUNTRY: &str = REGIONS[0].1;
const OFFLINE: &str = "the receiver is away";
const ONLINE: &str = "the receiver is here";
const SENT: &str = "sent";

/// Plays and judges it.
///
/// # Errors
/// In words: it could not be played.
pub fn play(
    stage: &Stage<'_>,
    cast: &Cast,
    service: &Service,
    member: &mut Member,
) -> Result<(Played, Vec<Fault>, Vec<String>), String> {
    let send = || Event::Sent(MEMBER.into());
    let dump = stage.dir.join(format!("{}-{HOME}.sql", cast.scene));
    member.goes_away();
    let (played, (away, here, counts)) = stage.direct(cast, |handset| {
        handset.acts(&script())?;
        stage.world.aside(|| member.shows_itself_to_the_owner())?;
        // The first one claims a key for the two, which is its own request and happens once.
        handset.act(send())?;
        handset.mark(OFFLINE)?;
        let away = handset.act(send())?;
        handset.mark(ONLINE)?;
        let kept = stage.world.aside(|| member.looks())?;
        let here = handset.act(send())?;
        handset.mark(SENT)?;
        // What the server holds while it holds a message.
        service.dump(HOME, &dump)?;
        let waiting = service.sql(HOME, "SELECT count(*) FROM mailbox_message").trim().to_owned();
        Ok((away, here, (kept, waiting, stage.world.aside(|| member.looks())?)))
    })?;
    let (kept, waiting, came) = counts;
    let mut faults = t3::judge(&played, &stage.world.zone);
    faults.extend(kept::numbers(&[dump], stage.sought)?.1);
    if kept != 0 {
        let what = format!(
            "the server of {HOME} ({COUNTRY}) kept {kept} messages to somebody away, of which none was to be"
        );
        faults.push(Fault::Wrong(what));
    }
    if waiting == "0" {
        faults.push(Fault::Unproven("no message waited when the server was searched for its text".into()));
    }
    for (what, was, is) in [("to somebody away", &away, USE_SMS), ("to somebody here", &here, KEPT)] {
        if was != is {
            faults.push(Fault::Wrong(format!("the message {what} became {was:?}, not {is:?}")));
        }
    }
    for (what, from, to) in [("away", OFFLINE, ONLINE), ("here", ONLINE, SENT)] {
        match requests(&played, &stage.world.zone, from, to) {
            Ok(numbers) if numbers.len() == 1 => {}
            Ok(numbers) => faults.push(Fault::Wrong(format!(
                "a message to somebody {what} took {} requests, not 1: packet {}",
                numbers.len(),
                numbers.join(", packet ")
            ))),
            Err(why) => faults.push(Fault::Unproven(why)),
        }
    }
    if came != 1 {
        faults.push(Fault::Wrong(format!("{came} messages arrived, not the 1 that was kept")));
    }
    let told = if played.sealed { "exchange" } else { "request" };
    let seen = vec![format!(
        "away: {away}, one {told}; here: {here}, one {told}, {came} arrived; the server's dump has no word of it"
    )];
    Ok((played, faults, seen))
}

/// The requests between two marks: in which packet, and to whom. Over TLS, as far as they can be told from outside.
fn requests(played: &Played, zone: &Zone, from: &str, to: &str) -> Result<Vec<String>, String> {
    let packets = played.traffic.between(from, to)?;
    let handset = zone.handset.ok_or("the handset has no address")?;
    let begun = if played.sealed { exchanges(packets, handset.into()) } else { volume::requests(packets) };
    let told = |(number, to): &(u64, IpAddr)| {
        let host = if let IpAddr::V4(to) = to { zone.at(*to) } else { None };
        match host {
            Some(host) => format!("{number} to {} ({})", host.name, host.country),
            None => format!("{number} to {to}"),
        }
    };
    Ok(begun.iter().map(told).collect())
}

fn script() -> Vec<Act> {
    let mut script = t1::used();
    script
        .extend(["cloud_messaging", "contact_discovery", "presence"].map(|p| Event::Agreed(p.into()).into()));
    script.push(Event::CardOpened(MEMBER.into()).into());
    script
}
