//! The mast that a handset hangs on: the handset is in a network namespace of its own, its only link leads into another one,
//! the world, and from there to this machine, where servers listen on the mast's addresses. Nothing else is reachable: the
//! world takes every other address for its own, so what is sent to a stranger arrives in it and not in the internet. Linux,
//! and root.
//!
//! The kernel's own noise is off at the handset, so that a capture there shows what programs send: neighbours are written down
//! instead of asked for (no ARP), and there is no IPv6 (no neighbour discovery, no reports of multicast).

use crate::far::step;
use crate::{Watchdog, is_root};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The handset's interface, by the name that it has in its namespace.
pub const RADIO: &str = "radio0";

/// Programs that are needed, with Debian's packages.
pub const PROGRAMS: [(&str, &str); 3] = [("ip", "iproute2"), ("sysctl", "procps"), ("tcpdump", "tcpdump")];

/// Link addresses of both ends, locally administered (IEEE 802).
const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Both namespaces and their links; removed when dropped or when the process ends.
#[derive(Debug)]
pub struct Mast {
    handset: String,
    world: String,
    net: String,
    _watchdog: Watchdog,
}

impl Mast {
    /// Makes namespaces, links, addresses and routes. `resolver` is an address of the world that the handset asks for names.
    ///
    /// # Errors
    /// In words: not root, a program is missing, or what the kernel refused.
    pub fn raise(resolver: Ipv4Addr) -> Result<Self, String> {
        if !is_root() {
            return Err("network namespaces need root".into());
        }
        // Unique among processes by the process's id, and in this one by a number.
        let (id, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let [handset, world] = ["handset", "world"].map(|end| format!("{end}{id}n{number}"));
        let [a, b] = ["ma", "mb"].map(|end| format!("{end}{id}n{number}"));
        let net = format!("10.{}.{}", 16 + (id / 250) % 48, (id + number) % 250);
        let watchdog = Watchdog::new(&format!(
            "ip link del {a}; ip netns del {handset}; ip netns del {world}; rm -rf /etc/netns/{handset}"
        ));
        let mast =
            Self { handset: handset.clone(), world: world.clone(), net: net.clone(), _watchdog: watchdog };
        mast.names(resolver)?;
        let [near, far] = MACS;
        for line in [
            format!("ip netns add {handset}"),
            format!("ip netns add {world}"),
            format!("ip netns exec {handset} sysctl -q -w net.ipv6.conf.all.disable_ipv6=1"),
            format!("ip netns exec {handset} sysctl -q -w net.ipv6.conf.default.disable_ipv6=1"),
            format!("ip netns exec {world} sysctl -q -w net.ipv6.conf.all.disable_ipv6=1"),
            format!("ip netns exec {world} sysctl -q -w net.ipv6.conf.default.disable_ipv6=1"),
            format!("ip netns exec {world} sysctl -q -w net.ipv4.ip_forward=1"),
            format!("ip link add {a} type veth peer name {b} netns {world}"),
            format!(
                "ip -n {world} link add air address {near} type veth peer name {RADIO} address {far} netns {handset}"
            ),
            format!("ip addr add {net}.1/25 dev {a}"),
            format!("ip -n {world} addr add {net}.2/25 dev {b}"),
            format!("ip -n {world} addr add {net}.129/25 dev air"),
            format!("ip -n {handset} addr add {net}.130/25 dev {RADIO}"),
            format!("ip -n {handset} link set lo up"),
            format!("ip -n {world} link set lo up"),
            format!("ip link set {a} up"),
            format!("ip -n {world} link set {b} up"),
            format!("ip -n {world} link set air up"),
            format!("ip -n {handset} link set {RADIO} up"),
            format!("ip -n {world} neigh add {net}.130 lladdr {far} dev air nud permanent"),
            format!("ip -n {handset} neigh add {net}.129 lladdr {near} dev {RADIO} nud permanent"),
            format!("ip route add {net}.128/25 via {net}.2"),
            format!("ip -n {handset} route add default via {net}.129"),
            // Every address that is nobody else's is the world's.
            format!("ip -n {world} route add local default dev lo"),
        ] {
            step(&line)?;
        }
        Ok(mast)
    }

    /// What `ip netns exec` shows the handset instead of this machine's files: names come from the world's resolver only.
    fn names(&self, resolver: Ipv4Addr) -> Result<(), String> {
        let dir = Path::new("/etc/netns").join(&self.handset);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for (name, text) in [
            ("resolv.conf", format!("nameserver {resolver}\noptions timeout:2 attempts:1\n")),
            ("hosts", "127.0.0.1 localhost\n".to_owned()),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ] {
            fs::write(dir.join(name), text).map_err(|e| format!("{name}: {e}"))?;
        }
        Ok(())
    }

    /// One more address of this machine that the handset reaches through the world: the n-th, from 0 to 99.
    ///
    /// # Errors
    /// In words: what the kernel refused.
    pub fn address(&self, n: u8) -> Result<Ipv4Addr, String> {
        let address = format!("{}.{}", self.net, 16 + n.min(99));
        step(&format!("ip addr replace {address}/32 dev {}", self.handset.replacen("handset", "ma", 1)))?;
        address.parse().map_err(|e| format!("{address}: {e}"))
    }

    /// The handset's own address.
    ///
    /// # Errors
    /// In words; it was made here.
    pub fn handset_address(&self) -> Result<Ipv4Addr, String> {
        let address = format!("{}.130", self.net);
        address.parse().map_err(|e| format!("{address}: {e}"))
    }

    /// A program that will run where the handset is.
    pub fn at_handset(&self, program: &Path) -> Command {
        within(&self.handset, program)
    }

    /// A program that will run in the world.
    pub fn at_world(&self, program: &Path) -> Command {
        within(&self.world, program)
    }
}

fn within(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}
