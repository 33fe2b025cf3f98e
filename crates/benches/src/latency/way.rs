//! The way between a user and a gateway, as long and as lossy as the table says, at its end the user's own line.

use super::browser::{self, Errand, Seen};
use super::delayed::Delayed;
use crate::Fallible;
use crate::line::{Laid, Line, overrun_by};
use domicile_testbed::far::mean_ms;
use domicile_testbed::road::Road;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How ways are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Packet by packet, with loss.
    Namespaces,
    /// Piece by piece, without.
    Proxies,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Namespaces => "network namespaces (packets are delayed and lost)",
            By::Proxies => "delay proxies in user space (nothing is lost, TCP does not start slowly)",
        })
    }
}

impl By {
    /// Namespaces where they can be had; says why not.
    pub async fn asked(proxies: bool) -> Self {
        if proxies {
            return By::Proxies;
        }
        let line = Line {
            round_trip: Duration::from_millis(10),
            loss_ppm: 0,
            look: look(10.0),
            bytes_per_s: [0; 2],
        };
        let pinged = match Way::lay(By::Namespaces, line) {
            Ok(way) => way.ping_ms().await,
            Err(why) => Err(why),
        };
        match pinged {
            Ok(_) => By::Namespaces,
            Err(why) => {
                eprintln!("bench: no network namespaces, so delay proxies: {why}");
                By::Proxies
            }
        }
    }

    /// How long all markets take, in words.
    pub fn duration(self) -> &'static str {
        match self {
            By::Namespaces => "about five minutes, most of it photos on their way to Beijing on lossy lines",
            By::Proxies => "about two minutes",
        }
    }

    /// The chart's file.
    pub fn picture(self) -> &'static str {
        match self {
            By::Namespaces => "latency.svg",
            By::Proxies => "latency-proxies.svg",
        }
    }
}

/// A line of that round trip and loss of pings (of packets that go there and back), with the user's own line in it.
pub fn line(round_trip_ms: f64, loss_pct: f64, up_mbit: f64, down_mbit: f64) -> Line {
    let one_way = 1.0 - (1.0 - loss_pct / 100.0).sqrt();
    Line {
        round_trip: Duration::from_secs_f64(round_trip_ms / 1000.0),
        loss_ppm: (one_way * 1e6).round() as u32,
        look: look(round_trip_ms),
        bytes_per_s: [up_mbit, down_mbit].map(|mbit| (mbit * 1e6 / 8.0) as u64),
    }
}

/// A hundredth of the way, so that dozens of lines fit two cores.
fn look(round_trip_ms: f64) -> Duration {
    let us = (round_trip_ms * 10.0).clamp(200.0, 2_000.0);
    Duration::from_micros(us as u64)
}

/// One user's way.
pub struct Way(Laying);

enum Laying {
    Road { _laid: Laid, road: Box<Road> },
    Proxy(Line),
}

impl Way {
    /// Made, and nobody goes it yet.
    pub fn lay(by: By, line: Line) -> Fallible<Self> {
        if by == By::Proxies {
            return Ok(Self(Laying::Proxy(line)));
        }
        let road = Box::new(Road::start()?);
        let _laid = line.lay_by(road.at_router(&std::env::current_exe()?))?;
        Ok(Self(Laying::Road { _laid, road }))
    }

    /// Where the gateway must listen to be reached by it.
    pub fn near(&self) -> IpAddr {
        match &self.0 {
            Laying::Road { road, .. } => road.near.into(),
            Laying::Proxy(_) => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// What the user measures of it; of a proxy, what was asked for.
    pub async fn ping_ms(&self) -> Fallible<f64> {
        match &self.0 {
            Laying::Road { road, .. } => {
                let output = tokio::process::Command::from(road.ping()).output().await?;
                Ok(mean_ms(&String::from_utf8_lossy(&output.stdout))?)
            }
            Laying::Proxy(line) => Ok(line.round_trip.as_secs_f64() * 1000.0),
        }
    }

    /// Packets that the emulator was too slow for.
    pub fn overrun(&self) -> Fallible<u64> {
        match &self.0 {
            Laying::Road { road, .. } => overrun_by(road.at_router(Path::new("cat"))),
            Laying::Proxy(_) => Ok(0),
        }
    }

    /// Sends the browser to a gateway that listens [`near`](Self::near).
    pub async fn send(&self, mut errand: Errand, gateway: SocketAddr) -> Fallible<Seen> {
        let road = match &self.0 {
            Laying::Proxy(line) => {
                let delayed = Delayed::before(gateway, *line).await?;
                errand.address = delayed.address;
                return browser::go(&errand).await;
            }
            Laying::Road { road, .. } => road,
        };
        errand.address = gateway;
        let mut command = tokio::process::Command::from(road.at_user(&std::env::current_exe()?));
        command.arg("browser").arg(serde_json::to_string(&errand)?).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // The browser goes when this closes: also when this process is killed.
        let _held = child.stdin.take();
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
