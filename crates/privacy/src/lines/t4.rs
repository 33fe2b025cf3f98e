//! T4: contact discovery is agreed to: a contact who is no user is looked for once, blinded, and never again; nobody who holds
//! the server's dump and its key finds the number in it.

use super::{t1, t3};
use crate::event::{Act, Event};
use crate::fault::Fault;
use crate::judge::{SILENCE, spoken};
use crate::phone::STRANGER;
use crate::scene::Played;
use crate::traffic::{Packet, Says, Wire};
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
        Ok(packets) => faults.extend(spoken(since(packets), zone, &SILENCE)),
        Err(why) => faults.push(Fault::Unproven(why)),
    }
    faults
}

/// Without the acknowledgements at the beginning: the kernel may wait with one (RFC 9293 section 3.8.6.3), and of what came before
/// the mark it says nothing new.
fn since(packets: &[Packet]) -> &[Packet] {
    let late = packets.iter().take_while(|p| matches!(p.wire, Wire::Ports { says: Says::Acks, .. })).count();
    &packets[late..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Synthetic;
    use crate::traffic::Traffic;
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn an_acknowledgement_that_comes_late_is_not_taken_for_a_word() {
        let mut written = Synthetic::default();
        written.mark("begin");
        let mut open = written.open(SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 20), 443));
        written.said(&mut open, 0, b"a word");
        written.mark("end");
        let all = Traffic::read(written.file()).expect("a capture").packets;
        // The handshake: two that are no acknowledgement alone, and one that is.
        assert_eq!(since(&all).len(), 4, "what opens a connection is seen");
        assert_eq!(since(&all[2..]).len(), 1, "a word is seen behind it");
        assert_eq!(since(&all[2..3]), [], "the acknowledgement alone is not");
    }
}
