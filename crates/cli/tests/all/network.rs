//! A bad network between the workers, both regions and the control store: a wave comes to its right end.

use crate::servers::Servers;
use crate::workers::{Fleet, TIMES, until};
use domicile_testbed::postgres::Cluster;
use domicile_testbed::proxy::{Fault, Proxy};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Faults by turns on all of them, by seeded dice, until it is told to end; then the network is whole.
fn chaos(proxies: Vec<Arc<Proxy>>, ended: Arc<AtomicBool>) -> std::thread::JoinHandle<u32> {
    std::thread::spawn(move || {
        let (mut dice, mut faults) = (20_141_001_u64, 0);
        let mut roll = move |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        while !ended.load(Ordering::SeqCst) {
            let proxy = &proxies[roll(proxies.len() as u64) as usize];
            let (fault, long) = match roll(4) {
                0 => (Fault::Delay(Duration::from_millis(1 + roll(20))), 1_500),
                1 => (Fault::Stall, 200 + roll(1_500)),
                2 => (Fault::Cut, 50 + roll(300)),
                _ => (Fault::HalfClose, 50 + roll(300)),
            };
            // In the middle of whatever is said then, or at once.
            match roll(2) {
                0 => proxy.set(fault),
                _ => proxy.set_after(roll(20_000), fault),
            }
            faults += 1;
            std::thread::sleep(Duration::from_millis(long));
            proxy.set(Fault::None);
            std::thread::sleep(Duration::from_millis(400 + roll(900)));
        }
        faults
    })
}

/// Workers whose every connection goes through a proxy, while the applications' do not.
#[test]
fn a_wave_on_a_bad_network_ends_right() {
    let mut fleet = Fleet::start(Cluster::start(), "");
    let writers = fleet.writers();
    let mut proxies = Vec::new();
    for port in [fleet.control.port, fleet.servers.us.port, fleet.servers.de.port] {
        let proxy = Arc::new(Proxy::before(port));
        let (was, is) = (format!("@127.0.0.1:{port}/"), format!("@127.0.0.1:{}/", proxy.port));
        fleet.servers.shop.edit("domicile.toml", &was, &is);
        proxies.push(proxy);
    }
    let moving = fleet.begin(&["move", "plan.json"]);
    until("the wave is under way", || {
        fleet.control.sql("control", "SELECT count(*) FROM directory_batch") != "0"
    });
    let ended = Arc::new(AtomicBool::new(false));
    let chaos = chaos(proxies.clone(), ended.clone());
    let workers = [(); 2].map(|()| fleet.begin(&["worker", "--once", "--json"]));
    // It may end for an error, as a command does; workers go on.
    fleet.ended(moving);
    let moved = "SELECT count(*) FROM directory_wave WHERE state = 'moved'";
    until("the wave is moved", || fleet.control.sql("control", moved) == "1");
    ended.store(true, Ordering::SeqCst);
    let faults = chaos.join().expect("the faults");
    for worker in workers {
        fleet.ended(worker);
    }
    assert!(faults > 5, "the network was bad: {faults}");
    let here = fleet.servers.us.sql("shop", "SELECT count(*) FROM domicile.home WHERE state = 'a'");
    assert_eq!(here, "0");
    // Whoever stayed, since the network got in the way, stayed whole.
    fleet.servers.shop.ok(&["erase"]);
    writers.all_is_there(&fleet.servers);
    fleet.servers.shop.consistent();
    let count = |servers: &Servers| {
        let of = |cluster: &Cluster| cluster.sql("shop", "SELECT count(*) FROM customer").parse::<usize>();
        of(&servers.us).expect("a number") + of(&servers.de).expect("a number")
    };
    assert_eq!(count(&fleet.servers), 27 * TIMES);
}
