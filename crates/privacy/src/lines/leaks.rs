//! T8: the client that leaks, in each of its writings, through T1 to T4. It must fail each of them, and the faults must say what
//! it did: who was spoken to, whose identifiers were carried there, and how they were written.

use super::Line;
use crate::fault::Fault;
use crate::handset::leaky::Writing;
use crate::phone::Role;
use crate::scene::{Cast, Played, Stage};
use crate::world::zone::UNDECLARED;
use std::collections::BTreeSet;

/// How much faster than the wall's the handset's clock runs: the client's alarms go by it and by nothing else.
pub const TIMES_AS_FAST: u64 = 1200;
/// The country of [`UNDECLARED`].
const COUNTRY: &str = "CN";

/// One scene of the client that leaks.
#[derive(Debug)]
pub struct Leak {
    /// How it wrote.
    pub writing: Writing,
    /// The line that it went through.
    pub line: Line,
    /// What the line said of it.
    pub faults: Vec<Fault>,
    /// What the line should have said and did not; empty: it was caught.
    pub missed: Vec<String>,
    /// What was seen.
    pub played: Played,
}

/// Plays all of them.
///
/// # Errors
/// In words: a scene could not be played.
pub fn play(stage: &Stage<'_>, mut heard: impl FnMut(&Leak)) -> Result<Vec<Leak>, String> {
    let mut leaks = Vec::new();
    for writing in Writing::ALL {
        for line in Line::LEAKING {
            let cast = Cast {
                scene: format!("T8-{}-{line}", writing.name()),
                client: format!("leaky:{}", writing.name()),
                times_as_fast: TIMES_AS_FAST,
                sealed: false,
                rests: false,
            };
            let played = stage.play(&cast, &line.script())?;
            let faults = line.judge(&played, &stage.world.zone);
            let missed = missed(writing, line, &faults);
            let leak = Leak { writing, line, faults, missed, played };
            heard(&leak);
            leaks.push(leak);
        }
    }
    Ok(leaks)
}

/// Whose identifiers the client sends during a line.
fn sent(line: Line) -> &'static [Role] {
    match line {
        Line::T2 | Line::T3 | Line::T1 => &[Role::Imei, Role::Imsi, Role::Owner, Role::Other, Role::Stranger],
        _ => &[Role::Imei, Role::Imsi, Role::Owner, Role::Stranger],
    }
}

/// What a line should have said of a leak and did not.
pub fn missed(writing: Writing, line: Line, faults: &[Fault]) -> Vec<String> {
    let mut missed = Vec::new();
    let spoke = |fault: &Fault| matches!(fault, Fault::Spoke(spoke) if spoke.host == UNDECLARED && spoke.country.as_deref() == Some(COUNTRY));
    if !faults.iter().any(spoke) {
        missed.push(format!("that packets went to {UNDECLARED} ({COUNTRY})"));
    }
    let told: BTreeSet<Role> = faults.iter().filter_map(|fault| told(writing, fault)).collect();
    for role in sent(line).iter().filter(|role| !told.contains(role)) {
        missed.push(format!("the {} as {}, with packet, host and country", role.words(), writing.name()));
    }
    for fault in faults {
        if let Fault::Unproven(why) = fault {
            missed.push(why.clone());
        }
    }
    missed
}

/// Whose identifier a fault names, if it names everything: packet, host, country, and the writing.
fn told(writing: Writing, fault: &Fault) -> Option<Role> {
    let Fault::Carried(carried) = fault else { return None };
    let whole = carried.packet.is_some()
        && carried.host.as_deref() == Some(UNDECLARED)
        && carried.country.as_deref() == Some(COUNTRY)
        && carried.how.contains(&writing.encoding());
    whole.then_some(carried.role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit;
    use crate::carried::Sought;
    use crate::handset::request;
    use crate::phone::{self, IDENTIFIERS};
    use crate::synthetic::{HANDSET, Synthetic};
    use crate::traffic::Traffic;
    use crate::world::zone::Zone;
    use std::fs;
    use std::net::{Ipv4Addr, SocketAddrV4};

    /// What T1 says of a capture in which so much is sent to the undeclared host.
    fn faults(headers: &[(&str, &str)], body: &[u8]) -> Vec<Fault> {
        said(Line::T1, UNDECLARED, headers, body)
    }

    /// What a line says of a capture in which so much is sent to a host.
    fn said(line: Line, host: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Fault> {
        let mut zone = Zone::new();
        zone.handset = Some(HANDSET);
        zone.add_relay("beijing", "CN", Ipv4Addr::new(203, 0, 113, 20), 8090);
        let mut written = Synthetic::default();
        written.mark("begin");
        let mut open = written.open(SocketAddrV4::new(zone.resolve(host), 80));
        written.said(&mut open, 0, &request("POST", "/v2/sms", host, headers, body, false));
        written.said(&mut open, 1, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        written.close(open);
        written.mark("end");
        let dir = tempfile::tempdir().expect("a folder");
        let pcap = dir.path().join("leak.pcap");
        fs::write(&pcap, written.file()).expect("written");
        let sought = Sought::prepare().expect("sought");
        let report = audit::capture(&pcap, &sought, &zone).expect("audited");
        let carried = report.findings.iter().filter_map(|finding| sought.carried(finding)).collect();
        let traffic = Traffic::read(written.file()).expect("a capture");
        let (waits, acts) = (Vec::new(), Vec::new());
        line.judge(&Played { pcap, traffic, report, carried, sealed: false, waits, acts }, &zone)
    }

    fn told() -> Vec<(&'static str, &'static str)> {
        IDENTIFIERS.iter().enumerate().map(|(n, (_, _, text))| (NAMES[n], *text)).collect()
    }

    const NAMES: [&str; 13] = ["a", "bc", "def", "g", "hi", "jkl", "m", "no", "pqr", "s", "tu", "vwx", "y"];

    #[test]
    fn each_writing_is_found_with_packet_host_country_and_encoding() {
        for writing in Writing::ALL {
            let (headers, body) = writing.body(&told());
            let faults = faults(&headers, &body);
            assert_eq!(
                missed(writing, Line::T1, &faults),
                Vec::<String>::new(),
                "{}: {faults:?}",
                writing.name()
            );
        }
    }

    #[test]
    fn what_says_nothing_of_anybody_is_only_a_conversation() {
        let faults = faults(&[], br#"{"weather":"fine","order":"4711"}"#);
        assert!(matches!(faults.as_slice(), [Fault::Spoke(_)]), "{faults:?}");
        assert!(!missed(Writing::Plain, Line::T1, &faults).is_empty(), "a leak of nothing is not caught");
    }

    #[test]
    fn a_leak_in_another_writing_is_not_taken_for_this_one() {
        let (headers, body) = Writing::Plain.body(&told());
        assert!(!missed(Writing::Sha256, Line::T1, &faults(&headers, &body)).is_empty());
    }

    #[test]
    fn the_home_relay_may_hear_the_owners_number_and_nobody_elses() {
        const RELAY: &str = "relay.beijing.example";
        for writing in Writing::ALL {
            let (headers, body) = writing.body(&[("phone", phone::OWNER)]);
            assert_eq!(said(Line::T3, RELAY, &headers, &body), [], "{}", writing.name());
            // Anybody else may not, not even the account's endpoint of the same region.
            let elsewhere = said(Line::T3, "account.beijing.example", &headers, &body);
            assert!(elsewhere.iter().any(|fault| matches!(fault, Fault::Carried(_))), "{}", writing.name());
            for other in [phone::MEMBER, phone::STRANGER, phone::IMEI, phone::IMSI] {
                let (headers, body) = writing.body(&[("phone", phone::OWNER), ("about", other)]);
                let faults = said(Line::T3, RELAY, &headers, &body);
                assert!(
                    matches!(faults.as_slice(), [Fault::Carried(_), ..]),
                    "{}: {faults:?}",
                    writing.name()
                );
            }
        }
    }
}
