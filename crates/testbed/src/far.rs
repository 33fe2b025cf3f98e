//! A place far away on the same machine: a network namespace of its own, reached over a pair of virtual
//! interfaces by two addresses. What goes to or comes from the slow one waits in netfilter queues until a
//! program in the namespace lets it pass or drops it; the other one is as fast as the machine, for what
//! shall not be measured. Linux, and root.

use crate::{Watchdog, is_root};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The queue of packets on their way to the slow address.
pub const QUEUE_THERE: u16 = 0;
/// The queue of packets that come from it.
pub const QUEUE_BACK: u16 = 1;

/// Programs that are needed, with Debian's packages.
pub const PROGRAMS: [(&str, &str); 4] =
    [("ip", "iproute2"), ("ethtool", "ethtool"), ("iptables-legacy", "iptables"), ("ping", "iputils-ping")];

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The namespace and its link; both are removed when dropped or when the process ends.
#[derive(Debug)]
pub struct Far {
    name: String,
    near: String,
    /// The address whose packets wait in the queues.
    pub slow: String,
    /// The same place, without a detour.
    pub fast: String,
    _watchdog: Watchdog,
}

impl Far {
    /// Makes namespace, link, addresses and rules. Offloads are off, so that a packet is a packet: large
    /// ones that the card would cut would be lost whole.
    ///
    /// # Errors
    /// In words: not root, a program is missing, or what the kernel refused.
    pub fn start() -> Result<Self, String> {
        if !is_root() {
            return Err("network namespaces need root: run it as root".into());
        }
        // Unique among processes by the process's id, and in this one by a number.
        let (id, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = format!("far{id}n{number}");
        let (a, b) = (format!("fa{id}n{number}"), format!("fb{id}n{number}"));
        let net = format!("10.{}.{}", 64 + (id / 250) % 128, (id + number) % 250);
        let watchdog = Watchdog::new(&format!("ip link del {a}; ip netns del {name}"));
        let far = Self {
            slow: format!("{net}.2"),
            fast: format!("{net}.3"),
            near: a.clone(),
            name: name.clone(),
            _watchdog: watchdog,
        };
        let features = "tso off gso off gro off";
        for line in [
            format!("ip netns add {name}"),
            format!("ip link add {a} type veth peer name {b} netns {name}"),
            format!("ip addr add {net}.1/24 dev {a}"),
            format!("ip -n {name} addr add {net}.2/24 dev {b}"),
            format!("ip -n {name} addr add {net}.3/24 dev {b}"),
            format!("ip -n {name} link set lo up"),
            format!("ip -n {name} link set {b} up"),
            format!("ip link set {a} up"),
            format!("ethtool -K {a} {features}"),
            format!("ip netns exec {name} ethtool -K {b} {features}"),
            format!(
                "ip netns exec {name} iptables-legacy -A INPUT -d {net}.2 -j NFQUEUE --queue-num {QUEUE_THERE}"
            ),
            format!(
                "ip netns exec {name} iptables-legacy -A OUTPUT -s {net}.2 -j NFQUEUE --queue-num {QUEUE_BACK}"
            ),
        ] {
            step(&line)?;
        }
        Ok(far)
    }

    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program that will run in the namespace.
    pub fn within(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// The mean round trip to the slow address, ms, of those pings that came back.
    ///
    /// # Errors
    /// In words: nothing came back.
    pub fn ping_ms(&self) -> Result<f64, String> {
        mean_ms(&step(&format!("ping -q -c 10 -i 0.1 -W 2 {}", self.slow))?)
    }

    /// Connections from here to the slow address that are opened from now on use this congestion control,
    /// unless they ask for another, and remember nothing of those before.
    ///
    /// # Errors
    /// In words: the kernel has no such one.
    pub fn congestion(&self, control: &str) -> Result<(), String> {
        step(&format!("ip route replace {}/32 dev {} congctl {control}", self.slow, self.near))?;
        // Nothing may be known yet, and that is fine.
        let _ = step(&format!("ip tcp_metrics flush {}", self.slow));
        Ok(())
    }

    /// What sockets use that ask for none.
    pub fn default_congestion_control() -> String {
        let name = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
        name.unwrap_or_default().trim().to_owned()
    }

    /// Congestion controls that the kernel has.
    pub fn congestion_controls() -> Vec<String> {
        let list = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
        list.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }
}

/// Of what ping tells at its end, the mean round trip, ms, of those that came back.
///
/// # Errors
/// In words: nothing came back.
pub fn mean_ms(told: &str) -> Result<f64, String> {
    // rtt min/avg/max/mdev = 169.1/169.3/169.9/0.2 ms
    let mean = told.lines().find_map(|l| l.strip_prefix("rtt ")?.split(" = ").nth(1)?.split('/').nth(1));
    mean.and_then(|ms| ms.parse().ok()).ok_or(format!("ping: {told}"))
}

/// Runs a line of words that need no quoting.
pub(crate) fn step(line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap_or_default()).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{line}: {e}"))?;
    if !output.status.success() {
        let (told, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        return Err(format!("{line}: {}", format!("{told}{error}").trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
