//! Faults that are planted: what T8 is to T1 to T4, these are to the lines that need a client which does nearly everything right, or
//! a server that does not. Each must be caught by the line that is there for it, with what was done, where, at which host and
//! in which country. The same scenes without a fault are the lines themselves.

use super::{Line, t5, t6, t7, t9};
use crate::fault::{Fault, Spoke};
use crate::handset::faulty::Slip;
use crate::member::Member;
use crate::phone::Role;
use crate::scene::{Cast, Played, Stage};
use crate::service::Service;
use crate::service::sabotage::Sabotage;
use crate::world::zone::{METRICS, NEW_HOME, PORTAL, UNDECLARED};
use domicile_audit::Encoding;
use std::fmt;

/// How much faster than the wall's the handset's clock runs.
const TIMES_AS_FAST: u64 = 1200;

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The client.
    Client(Slip),
    /// The relay's database.
    Server(Sabotage),
}

/// One fault, and what must be said of it.
#[derive(Debug)]
pub struct Plant {
    /// The line that is there for it.
    pub line: Line,
    /// Who does it.
    pub source: Source,
    /// What is done, in words.
    pub what: &'static str,
    /// Only a capture of the link can show it: a proxy sees what goes through it.
    pub needs_link: bool,
    told: fn(&Fault) -> bool,
}

/// What became of one.
#[derive(Debug)]
pub struct Caught {
    /// Which.
    pub plant: &'static Plant,
    /// What the line said of it; `None`: it was missed.
    pub told: Option<String>,
    /// Why it proves nothing, or could not be played.
    pub why: Option<String>,
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let caught = if self.is() { "caught" } else { "MISSED" };
        write!(f, "{} {} {caught}", self.plant.line, self.plant.cast().scene)
    }
}

impl Caught {
    /// Was it caught, by a scene that proves something?
    pub fn is(&self) -> bool {
        self.told.is_some() && self.why.is_none()
    }
}

const CN: Option<&str> = Some("CN");

/// All of them, in the order of lines.
pub static PLANTS: [Plant; 16] = [
    Plant {
        line: Line::T1,
        source: Source::Client(Slip::Alarm),
        what: "phones home after five idle minutes, and names nobody",
        needs_link: false,
        told: |fault| spoke(fault, UNDECLARED, CN),
    },
    Plant {
        line: Line::T1,
        source: Source::Client(Slip::WallAlarm),
        what: "means to, by a clock that the test does not compress",
        needs_link: false,
        told: |fault| matches!(fault, Fault::Waits(_)),
    },
    Plant {
        line: Line::T5,
        source: Source::Client(Slip::Receiver),
        what: "tells the relay the receiver's number",
        needs_link: false,
        told: |fault| carried(fault, Role::Other, Encoding::Plain),
    },
    Plant {
        line: Line::T5,
        source: Source::Client(Slip::Body),
        what: "sends a message's text unencrypted",
        needs_link: false,
        told: |fault| carried(fault, Role::Text, Encoding::Base64),
    },
    Plant {
        line: Line::T5,
        source: Source::Client(Slip::AsksFirst),
        what: "asks whether the receiver is here before it sends",
        needs_link: false,
        told: |fault| wrong(fault, &["to somebody away took 2 requests", "relay.beijing.example (CN)"]),
    },
    Plant {
        line: Line::T5,
        source: Source::Client(Slip::KeepsToo),
        what: "leaves the message at the server besides the SMS",
        needs_link: false,
        told: |fault| wrong(fault, &["the server of beijing (CN) kept", "to somebody away"]),
    },
    Plant {
        line: Line::T6,
        source: Source::Client(Slip::PollsOn),
        what: "goes on polling after the withdrawal",
        needs_link: false,
        told: |fault| spoke(fault, "relay.beijing.example", CN),
    },
    Plant {
        line: Line::T6,
        source: Source::Server(Sabotage::KeysStay),
        what: "the server keeps the keys of who has withdrawn",
        needs_link: false,
        told: |fault| wrong(fault, &["beijing (CN) still has", "one-time keys in mailbox_key"]),
    },
    Plant {
        line: Line::T6,
        source: Source::Server(Sabotage::TagsStay),
        what: "the server keeps who has withdrawn in its filter",
        needs_link: false,
        told: |fault| wrong(fault, &["the owner is still found", "relay.beijing.example (CN)"]),
    },
    Plant {
        line: Line::T7,
        source: Source::Client(Slip::OldHome),
        what: "keeps a connection to the old home, and closes it later",
        needs_link: true,
        told: |fault| wrong(fault, &["relay.beijing.example (CN)", "from before the move"]),
    },
    Plant {
        line: Line::T7,
        source: Source::Client(Slip::OldHome),
        what: "asks the old home once more after the move",
        needs_link: false,
        told: |fault| spoke(fault, "relay.beijing.example", CN),
    },
    Plant {
        line: Line::T9,
        source: Source::Client(Slip::Analytics),
        what: "counts its uses at somebody's who counts uses",
        needs_link: false,
        told: |fault| spoke(fault, METRICS, Some("US")),
    },
    Plant {
        line: Line::T9,
        source: Source::Client(Slip::Portal),
        what: "asks a stranger whether the Wi-Fi leads anywhere",
        needs_link: false,
        told: |fault| spoke(fault, PORTAL, Some("US")),
    },
    Plant {
        line: Line::T9,
        source: Source::Client(Slip::Time),
        what: "asks a stranger for the time (NTP)",
        needs_link: true,
        told: |fault| spoke(fault, "time.example", Some("DE")),
    },
    Plant {
        line: Line::T9,
        source: Source::Client(Slip::Resolver),
        what: "asks another country's resolver for the right relay",
        needs_link: true,
        told: |fault| spoke(fault, "other-resolver.example", Some("US")),
    },
    Plant {
        line: Line::T9,
        source: Source::Client(Slip::Name),
        what: "looks up another region's name, and sends it nothing",
        needs_link: true,
        told: |fault| {
            matches!(fault, Fault::Asked { name, country, .. }
                if *name == format!("account.{NEW_HOME}.example") && country.as_deref() == Some("US"))
        },
    },
];

fn spoke(fault: &Fault, with: &str, of: Option<&str>) -> bool {
    matches!(fault, Fault::Spoke(Spoke { host, country, .. }) if host == with && country.as_deref() == of)
}

/// Named with packet, relay, country, and writing.
fn carried(fault: &Fault, role: Role, how: Encoding) -> bool {
    matches!(fault, Fault::Carried(carried) if carried.role == role
        && carried.packet.is_some()
        && carried.host.as_deref() == Some("relay.beijing.example")
        && carried.country.as_deref() == CN
        && carried.how.contains(&how))
}

fn wrong(fault: &Fault, words: &[&str]) -> bool {
    matches!(fault, Fault::Wrong(said) if words.iter().all(|word| said.contains(word)))
}

/// Plays all of them that `wanted` says.
pub fn play(
    stage: &Stage<'_>,
    service: &Service,
    member: &mut Member,
    wanted: impl Fn(&Plant) -> bool,
    mut heard: impl FnMut(&Caught),
) -> Vec<Caught> {
    let mut all = Vec::new();
    let mut played: Option<(Source, Result<Vec<Fault>, String>)> = None;
    for plant in PLANTS.iter().filter(|plant| wanted(plant)) {
        // One scene may be there for two faults.
        let faults = match played.take() {
            Some((source, faults)) if source == plant.source => faults,
            _ => one(stage, service, member, plant),
        };
        let caught = match &faults {
            Ok(faults) => judged(plant, faults),
            Err(why) => Caught { plant, told: None, why: Some(why.clone()) },
        };
        played = Some((plant.source, faults));
        heard(&caught);
        all.push(caught);
    }
    all
}

fn judged(plant: &'static Plant, faults: &[Fault]) -> Caught {
    let unproven = faults.iter().find(|fault| matches!(fault, Fault::Unproven(_)));
    let told = faults.iter().find(|fault| (plant.told)(fault)).map(Fault::to_string);
    Caught { plant, told, why: unproven.map(Fault::to_string) }
}

/// What the line says of the client, or the server, with the fault.
fn one(
    stage: &Stage<'_>,
    service: &Service,
    member: &mut Member,
    plant: &Plant,
) -> Result<Vec<Fault>, String> {
    let cast = plant.cast();
    let sabotage = if let Source::Server(sabotage) = plant.source { Some(sabotage) } else { None };
    match plant.line {
        Line::T5 => t5::play(stage, &cast, service, member).map(|(_, faults, _)| faults),
        Line::T6 => t6::play(stage, &cast, service, member, sabotage).map(|(_, faults, _)| faults),
        Line::T7 => {
            let played = t7::play(stage, &cast, service);
            service.come_back()?;
            played.map(|(_, faults, _)| faults)
        }
        Line::T9 => {
            // The home region's accounts are spoken to, as they may be.
            let played: Played = stage.play(&cast, &Line::T2.script())?;
            Ok(t9::judge(&[(Line::T2, &played)], &stage.world.zone).0)
        }
        line => stage.play(&cast, &line.script()).map(|played| line.judge(&played, &stage.world.zone)),
    }
}

impl Plant {
    fn cast(&self) -> Cast {
        let line = self.line;
        let (name, client) = match self.source {
            Source::Client(slip) => (slip.name(), format!("faulty:{}", slip.name())),
            Source::Server(Sabotage::KeysStay) => ("keys-stay", "quiet:keys-stay".to_owned()),
            Source::Server(Sabotage::TagsStay) => ("tags-stay", "quiet:tags-stay".to_owned()),
        };
        Cast {
            scene: format!("{line}-planted-{name}"),
            client,
            times_as_fast: TIMES_AS_FAST,
            sealed: false,
            rests: matches!(line, Line::T1 | Line::T6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::zone::HOME;

    #[test]
    fn every_slip_is_planted_once_and_every_line_but_the_leaking_ones_has_a_fault() {
        for slip in Slip::ALL {
            let planted = PLANTS.iter().filter(|plant| plant.source == Source::Client(slip)).count();
            assert_eq!(planted, if slip == Slip::OldHome { 2 } else { 1 }, "{slip:?}");
            assert_eq!(Slip::by_name(slip.name()), Some(slip));
        }
        for line in Line::ALL {
            let leaks = line == Line::T8 || Line::LEAKING.contains(&line);
            assert!(leaks || PLANTS.iter().any(|plant| plant.line == line), "{line}");
        }
        assert_eq!(HOME, "beijing", "the hosts are written out above");
    }

    #[test]
    fn another_fault_is_not_taken_for_the_planted_one() {
        let spoke = |host: &str, country: &str| {
            Fault::Spoke(Spoke { host: host.into(), country: Some(country.into()), packets: 2, first: 9 })
        };
        let analytics = PLANTS.iter().find(|plant| plant.source == Source::Client(Slip::Analytics));
        let analytics = analytics.expect("planted");
        assert!(judged(analytics, &[spoke(METRICS, "US")]).told.is_some());
        assert!(judged(analytics, &[spoke(METRICS, "CN"), spoke(PORTAL, "US")]).told.is_none());
        assert!(judged(analytics, &[]).told.is_none());
        let unproven = [spoke(METRICS, "US"), Fault::Unproven("cut".into())];
        assert!(judged(analytics, &unproven).why.is_some(), "a scene that proves nothing catches nothing");
    }
}
