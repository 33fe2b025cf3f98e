//! A road from a user to servers on this machine: the user is in a network namespace, and a router between the two, in
//! another one, hands every packet to netfilter queues, where a program delays it or loses it. Servers stay where they are,
//! and listen at the road's near address. Linux, and root.
//!
//! The queues are in the router and not at the user's end: a packet that waits where it was sent from still counts as
//! unsent there, and Linux would send no more than two of them (TCP small queues).

use crate::far::step;
use crate::{Watchdog, is_root};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The queue of packets from the user.
pub const QUEUE_UP: u16 = 0;
/// The queue of packets to the user.
pub const QUEUE_DOWN: u16 = 1;

/// What both ends send with: what most phones and servers use. The kernel's own default may be another one.
const CONGESTION: &str = "cubic";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Both namespaces and their links; removed when dropped or when the process ends.
#[derive(Debug)]
pub struct Road {
    router: String,
    user: String,
    /// Where servers listen to be reached by this road alone.
    pub near: Ipv4Addr,
    _watchdog: Watchdog,
}

impl Road {
    /// Makes namespaces, links, addresses, routes and rules. Offloads are off, so that a packet is a packet.
    ///
    /// # Errors
    /// In words: not root, a program is missing, or what the kernel refused.
    pub fn start() -> Result<Self, String> {
        if !is_root() {
            return Err("network namespaces need root".into());
        }
        // Unique among processes by the process's id, and in this one by a number.
        let (id, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = |end: &str| format!("{end}{id}n{number}");
        let (router, user) = (name("router"), name("user"));
        let [a, b, c, d] = ["ra", "rb", "rc", "rd"].map(name);
        let net = format!("10.{}.{}", 192 + id % 60, number % 250);
        let watchdog = Watchdog::new(&format!("ip link del {a}; ip netns del {router}; ip netns del {user}"));
        let near = format!("{net}.1").parse().map_err(|e| format!("{net}.1: {e}"))?;
        let road = Self { router: router.clone(), user: user.clone(), near, _watchdog: watchdog };
        let features = "tso off gso off gro off";
        for line in [
            format!("ip netns add {router}"),
            format!("ip netns add {user}"),
            format!("ip link add {a} type veth peer name {b} netns {router}"),
            format!("ip -n {router} link add {c} type veth peer name {d} netns {user}"),
            format!("ethtool -K {a} {features}"),
            format!("ip netns exec {router} ethtool -K {b} {features}"),
            format!("ip netns exec {router} ethtool -K {c} {features}"),
            format!("ip netns exec {user} ethtool -K {d} {features}"),
            format!("ip addr add {net}.1/29 dev {a}"),
            format!("ip -n {router} addr add {net}.2/29 dev {b}"),
            format!("ip -n {router} addr add {net}.9/29 dev {c}"),
            format!("ip -n {user} addr add {net}.10/29 dev {d}"),
            format!("ip link set {a} up"),
            format!("ip -n {router} link set {b} up"),
            format!("ip -n {router} link set {c} up"),
            format!("ip -n {user} link set {d} up"),
            format!("ip route add {net}.8/29 via {net}.2 congctl {CONGESTION}"),
            format!("ip -n {user} route add default via {net}.9 congctl {CONGESTION}"),
            format!("ip netns exec {router} sysctl -q -w net.ipv4.ip_forward=1"),
            format!("ip netns exec {user} sysctl -q -w net.ipv4.tcp_no_metrics_save=1"),
            format!(
                "ip netns exec {router} iptables-legacy -A FORWARD -i {c} -j NFQUEUE --queue-num {QUEUE_UP}"
            ),
            format!(
                "ip netns exec {router} iptables-legacy -A FORWARD -i {b} -j NFQUEUE --queue-num {QUEUE_DOWN}"
            ),
        ] {
            step(&line)?;
        }
        Ok(road)
    }

    /// A program that will run in the router's namespace, where the queues are.
    pub fn at_router(&self, program: &Path) -> Command {
        within(&self.router, program)
    }

    /// A program that will run where the user is.
    pub fn at_user(&self, program: &Path) -> Command {
        within(&self.user, program)
    }

    /// A ping of the user, and what [`mean_ms`](crate::far::mean_ms) reads of what it tells.
    pub fn ping(&self) -> Command {
        let mut command = self.at_user(Path::new("ping"));
        command.args(["-q", "-c", "10", "-i", "0.1", "-W", "2", &self.near.to_string()]);
        command
    }
}

fn within(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}
