//! What a phone sent then beside what it sends now, in one look.

use super::paint::{Paint, wrapped};
use crate::lines::Line;
use crate::phone::Role;
use crate::scene::Played;
use crate::world::zone::{What, Zone};
use std::collections::BTreeSet;
use std::net::SocketAddrV4;

/// What was seen of one scene.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets, both ways.
    pub packets: usize,
    /// Packets to hosts that the service never named.
    pub strangers: usize,
    /// Whose identifiers were said in a form that can be read.
    pub said: BTreeSet<Role>,
    /// To whom, with the country.
    pub to: BTreeSet<String>,
}

/// A line, then and now.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Which.
    pub line: Line,
    /// The client of 2014, where it went through the line.
    pub then: Option<Sent>,
    /// The client that must pass.
    pub now: Sent,
}

/// What a scene shows.
pub fn sent(played: &Played, zone: &Zone) -> Sent {
    let mut sent = Sent { packets: played.traffic.packets.len(), ..Sent::default() };
    for packet in &played.traffic.packets {
        let Some((from, to)) = packet.ends() else { continue };
        let known = |end| if let std::net::IpAddr::V4(end) = end { zone.at(end) } else { None };
        let other = known(from).or_else(|| known(to));
        sent.strangers += usize::from(other.is_none_or(|host| host.what == What::Undeclared));
    }
    for carried in &played.carried {
        sent.said.insert(carried.role);
        // A relay is asked through a bridge of the handset's own: what it calls it by there is no name.
        let known = carried.address.parse().ok().and_then(|to: SocketAddrV4| zone.at(*to.ip()));
        let host = known.map_or(carried.address.as_str(), |host| host.name.as_str());
        let country = known.map(|host| host.country.as_str()).or(carried.country.as_deref()).unwrap_or("?");
        sent.to.insert(format!("{host} ({country})"));
    }
    sent
}

/// Both, line by line.
pub(super) fn table(all: &[Compared], paint: &Paint) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}  packets that left the phone or reached it\n", paint.bold("THEN AND NOW"));
    let head = format!("    {:<36}{:<22}{}", "", "a phone of 2014 (T8)", "this client");
    text.push_str(&paint.dim(head.trim_end()));
    text.push('\n');
    for compared in all {
        let then = compared.then.as_ref().map_or_else(
            || paint.dim(&format!("{:<22}", "–")),
            |then| {
                paint.bad(&format!(
                    "{:<22}",
                    format!("✗ {:>3}, {} identifiers", then.packets, then.said.len())
                ))
            },
        );
        let now = &compared.now;
        let said = match (now.packets, now.said.len()) {
            (0, _) => "✓ silence".to_owned(),
            (n, 0) => format!("✓ {n:>3}, none"),
            (n, 1) => format!("✓ {n:>3}, own number"),
            (n, said) => format!("✗ {n:>3}, {said}"),
        };
        let good = now.strangers == 0 && now.said.iter().all(|role| *role == Role::Owner);
        let said = if good { paint.good(&said) } else { paint.bad(&said) };
        text.push_str(&format!(
            "{}  {:<36}{then}{said}\n",
            paint.bold(&compared.line.to_string()),
            short(compared.line)
        ));
    }
    let then = all.iter().filter_map(|compared| compared.then.as_ref());
    text.push_str(&told("then", then, "in the clear and unasked"));
    text + &told(
        "now",
        all.iter().map(|compared| &compared.now),
        "as its owner had agreed; outside this test by TLS",
    )
}

/// Who heard what.
fn told<'a>(word: &str, sent: impl Iterator<Item = &'a Sent>, how: &str) -> String {
    let (mut said, mut to) = (BTreeSet::new(), BTreeSet::new());
    for sent in sent {
        said.extend(sent.said.iter().map(|role| role.words()));
        to.extend(sent.to.iter().map(String::as_str));
    }
    let list = |set: BTreeSet<&str>| set.into_iter().collect::<Vec<_>>().join(", ");
    if said.is_empty() {
        return wrapped(&format!("{word:<6}"), "nothing of anybody could be read");
    }
    wrapped(&format!("{word:<6}"), &format!("{} to {}, {how}", list(said), list(to)))
}

/// A line in a few words.
pub fn short(line: Line) -> &'static str {
    match line {
        Line::T1 => "a new phone, ten idle minutes",
        Line::T2 => "signed in, nothing agreed to",
        Line::T3 => "messaging agreed to",
        Line::T4 => "a non-user looked for, twice",
        Line::T5 => "a message away, a message here",
        Line::T6 => "consent withdrawn",
        Line::T7 => "moved to another region",
        Line::T8 => "a client that leaks",
        Line::T9 => "all of it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn then_stands_beside_now() {
        let said = |roles: &[Role], to: &str| Sent {
            packets: 84,
            strangers: 80,
            said: roles.iter().copied().collect(),
            to: [to.to_owned()].into(),
        };
        let all = [Compared {
            line: Line::T1,
            then: Some(said(&[Role::Imei, Role::Imsi], "api.account.example (CN)")),
            now: Sent::default(),
        }];
        let text = table(&all, &Paint(false));
        assert!(
            text.contains("T1  a new phone, ten idle minutes       ✗  84, 2 identifiers  ✓ silence"),
            "{text}"
        );
        assert!(text.contains("IMEI, IMSI to api.account.example (CN), in the clear and"), "{text}");
        assert!(text.contains("nothing of anybody could be read"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= super::super::WIDTH), "{text}");
    }
}
