//! The handset's process: acts come on standard input, one JSON line each, and each is answered with a line when it is done.

use super::clock::{Clock, TICK_S};
use super::closed::Link;
use super::faulty::{Faulty, Slip};
use super::leaky::{Leaky, Writing};
use super::modem::Modem;
use super::quiet::{Quiet, Shipped};
use super::{Client, USE_SMS, account};
use crate::event::{Act, Event};
use crate::phone;
use crate::world::{bridge, capture, zone};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

/// What the handset answers when an act is done; what became of it stands behind.
pub const DONE: &str = "done ";

/// Runs until standard input ends. `client` is `leaky:WRITING`, `quiet:NAME`, whose state goes to a file of that name beside the
/// table of hosts, `sealed:NAME`, the same over TLS, or `faulty:SLIP`, the quiet one with a fault; the clock runs `times_as_fast` as the wall's.
///
/// # Errors
/// In words: there is no such client, or standard input or output broke.
pub fn run(client: &str, times_as_fast: u64, hosts: &Path) -> Result<(), String> {
    // By the proxy, the bridges are its own.
    if std::env::var_os(super::PROXY).is_none() {
        bridges(&zone::Zone::read(hosts)?)?;
    }
    let client: Box<dyn Client> = match client.split_once(':') {
        Some(("leaky", name)) => {
            Box::new(Leaky::new(Writing::by_name(name).ok_or_else(|| format!("no writing {name}"))?))
        }
        Some(("quiet", name)) => Box::new(quiet(hosts, name, false)?),
        Some(("sealed", name)) => Box::new(quiet(hosts, name, true)?),
        Some(("faulty", name)) => {
            let slip = Slip::by_name(name).ok_or_else(|| format!("no slip {name}"))?;
            Box::new(Faulty::new(slip, quiet(hosts, &format!("faulty-{name}"), false)?))
        }
        _ => return Err(format!("no client {client}")),
    };
    let mut handset = Handset { client, modem: Modem::default(), clock: Clock::new(times_as_fast) };
    for line in std::io::stdin().lines() {
        let line = line.map_err(|e| e.to_string())?;
        let act = serde_json::from_str(&line).map_err(|e| format!("{line}: {e}"))?;
        let answer =
            handset.act(&act).map_or_else(|why| format!("failed: {why:?}"), |note| format!("{DONE}{note}"));
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{answer}").and_then(|()| stdout.flush()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn quiet(hosts: &Path, name: &str, sealed: bool) -> Result<Quiet, String> {
    let dir = hosts.parent().ok_or("the table of hosts is in no folder")?.to_owned();
    let link = match (std::env::var_os(super::PROXY), sealed) {
        (Some(_), _) => Link::Proxied,
        (None, true) => Link::Alone,
        (None, false) => Link::Bridged,
    };
    let state = dir.join(format!("{name}.device"));
    Quiet::new(Shipped { dir, sealed, link }, state, phone::OWNER)
}

/// The ports by which the client reaches the relays; each name is asked for when it is used.
fn bridges(zone: &zone::Zone) -> Result<(), String> {
    for host in &zone.hosts {
        let Some(port) = host.bridge else { continue };
        let name = host.name.clone();
        bridge::open((Ipv4Addr::LOCALHOST, port).into(), move || TcpStream::connect((name.as_str(), 80)))?;
    }
    Ok(())
}

struct Handset {
    client: Box<dyn Client>,
    modem: Modem,
    clock: Clock,
}

impl Handset {
    fn act(&mut self, act: &Act) -> Result<&'static str, String> {
        let event = match act {
            Act::Mark(name) => return capture::mark(name).map(|()| ""),
            Act::Event(event) => event,
        };
        self.modem.on(event)?;
        if *event == Event::SignedIn {
            account::sign_in(zone::HOME)?;
        }
        let note = self.client.on(event, &self.modem)?;
        if let (USE_SMS, Event::Sent(to)) = (note, event) {
            // By the carrier: not on the network.
            self.modem.on(&Event::SmsSent(to.clone()))?;
        }
        if let Event::Idle(idle_s) = event {
            for _ in 0..idle_s / TICK_S {
                self.clock.pass();
                self.client.tick(&self.clock, &self.modem)?;
            }
        }
        Ok(note)
    }
}
