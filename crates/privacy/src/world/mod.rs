//! The world behind the handset: a network namespace behind its only link, or, where there are none, a proxy.

pub mod apart;
pub mod bridge;
pub mod capture;
pub mod names;
pub mod process;
mod proxy;
mod request;
pub mod zone;

use crate::handset::PROXY;
use crate::synthetic::HANDSET;
use capture::{BEGIN, Capture, END};
use domicile_testbed::free_ports;
use domicile_testbed::mast::Mast;
use proxy::Proxy;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use zone::{REGIONS, RESOLVER, Zone};

/// The table of hosts in the folder of evidence.
pub const HOSTS: &str = "hosts.json";

/// The world.
#[derive(Debug)]
pub struct World {
    /// Who is where.
    pub zone: Zone,
    /// The relays' doors, in the order of [`REGIONS`].
    pub doors: [Door; 2],
    way: Way,
}

/// Where a relay is on this machine's loopback.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    /// The port that it listens on.
    pub listen: u16,
    /// The port that it is known by: in the handset's namespace a bridge's, here the same, or the proxy's.
    pub endpoint: u16,
}

impl Door {
    fn free() -> [Self; 2] {
        let [a, b, c, d] = free_ports::<4>();
        [Self { listen: a, endpoint: b }, Self { listen: c, endpoint: d }]
    }
}

/// How the handset reaches it.
#[derive(Debug)]
enum Way {
    /// Over the only link that it has.
    Link { mast: Box<Mast>, _process: Process },
    /// Through a proxy, if it likes to.
    Proxy(Proxy),
}

/// The process in the world's namespace; it ends with the value.
#[derive(Debug)]
struct Process(Child);

/// A capture that is running.
#[derive(Debug)]
pub enum Recording<'a> {
    /// tcpdump.
    Link(&'a World, Capture),
    /// The proxy's own record, and where it goes.
    Proxy(&'a World, PathBuf),
}

impl World {
    /// Raises the mast and lets the world begin; its files go to `dir`. `by_proxy`: without namespaces.
    ///
    /// # Errors
    /// In words: no namespaces, or a port that could not be opened.
    pub fn begin(dir: &Path, by_proxy: bool) -> Result<Self, String> {
        let (mut zone, doors) = (Zone::new(), Door::free());
        if by_proxy {
            zone.handset = Some(HANDSET);
            for (n, (door, (region, country))) in doors.iter().zip(REGIONS).enumerate() {
                zone.add_relay(region, country, Ipv4Addr::new(203, 0, 113, 20 + n as u8), door.endpoint);
            }
            let proxy = Proxy::open(&zone)?;
            for door in &doors {
                proxy.bridge(door.endpoint, door.listen, &zone)?;
            }
            zone.write(&dir.join(HOSTS))?;
            return Ok(Self { zone, doors, way: Way::Proxy(proxy) });
        }
        let mast = Mast::raise(RESOLVER)?;
        zone.handset = Some(mast.handset_address()?);
        let doors = doors.map(|door| Door { listen: door.endpoint, ..door });
        for (n, (door, (region, country))) in doors.iter().zip(REGIONS).enumerate() {
            let (address, to) = (mast.address(n as u8)?, (Ipv4Addr::LOCALHOST, door.listen));
            zone.add_relay(region, country, address, door.endpoint);
            bridge::open((address, 80).into(), move || TcpStream::connect(to))?;
        }
        zone.write(&dir.join(HOSTS))?;
        let process = Process::begin(&mast, dir)?;
        Ok(Self { zone, doors, way: Way::Link { mast: Box::new(mast), _process: process } })
    }

    /// Is everything that leaves the handset seen, or what goes through the proxy only?
    pub fn sees_all(&self) -> bool {
        matches!(self.way, Way::Link { .. })
    }

    /// A program that will run where the handset is.
    pub fn at_handset(&self, program: &Path) -> Command {
        match &self.way {
            Way::Link { mast, .. } => mast.at_handset(program),
            Way::Proxy(proxy) => {
                let mut command = Command::new(program);
                command.env(PROXY, proxy.address.to_string());
                command
            }
        }
    }

    /// Does something on this machine that is not the handset's doing. It must not do anything meanwhile.
    pub fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.way {
            // Nothing of this machine is on the handset's link.
            Way::Link { .. } => act(),
            Way::Proxy(proxy) => proxy.aside(act),
        }
    }

    /// Begins a capture, which goes to `path`.
    ///
    /// # Errors
    /// In words: it is not running.
    pub fn record(&self, path: &Path) -> Result<Recording<'_>, String> {
        match &self.way {
            Way::Link { mast, .. } => Ok(Recording::Link(self, Capture::begin(mast, path)?)),
            Way::Proxy(proxy) => {
                proxy.begin();
                proxy.mark(BEGIN)?;
                Ok(Recording::Proxy(self, path.to_owned()))
            }
        }
    }
}

impl Recording<'_> {
    /// Writes a mark where the handset can't send one; `false`: it has to.
    ///
    /// # Errors
    /// In words: what came before it is not recorded.
    pub fn mark(&self, name: &str) -> Result<bool, String> {
        match self {
            Self::Proxy(World { way: Way::Proxy(proxy), .. }, _) => proxy.mark(name).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Ends it, after everything that was sent before.
    ///
    /// # Errors
    /// In words: it may not show everything.
    pub fn end(self) -> Result<(), String> {
        match self {
            Self::Link(World { way: Way::Link { mast, .. }, .. }, capture) => capture.end(mast),
            Self::Proxy(World { way: Way::Proxy(proxy), .. }, path) => {
                proxy.mark(END)?;
                proxy.end(&path)
            }
            _ => Err("the capture is not of this world".into()),
        }
    }
}

impl Process {
    fn begin(mast: &Mast, dir: &Path) -> Result<Self, String> {
        let (hosts, log) = (dir.join(HOSTS), dir.join("world.log"));
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = mast.at_world(&own);
        command.arg("world").arg(&hosts).arg(&log).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("the world: {e}"))?;
        let stdout = child.stdout.take();
        let process = Self(child);
        let mut ready = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut ready).map_err(|e| e.to_string())?;
        }
        if ready.trim() == "ready" { Ok(process) } else { Err("the world did not begin".into()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
