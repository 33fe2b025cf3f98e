//! Two relays of one region and their database are killed under load, each in the middle of whatever it is at: sends, pages,
//! acknowledgements. Devices ask either process in turn. What was acknowledged stays away, what was not is handed out again:
//! every message is shown once.

use crate::device::{Device, Known};
use crate::relay::Running;
use crate::site::{Places, REGIONS, Site};
use crate::{Fallible, until_all_is_shown, verdict};
use domicile_messaging::wire::MailboxId;
use domicile_testbed::free_ports;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const MAILBOXES: usize = 10;
/// Times that something is killed: each relay, then the database.
const KILLS: usize = 9;
/// From the start of what was killed to the next kill, at least; each time a little longer, so that each meets another moment.
const BETWEEN: Duration = Duration::from_millis(250);

pub async fn story() -> Fallible<()> {
    let mailboxes: Vec<MailboxId> = (0..MAILBOXES).map(|_| MailboxId::random()).collect();
    let site = Site::start(false, &mailboxes)?;
    let places = Arc::new(site.places.clone());
    places.adopt(&*places.service().await?).await?;
    let ports = free_ports::<2>();
    let mut relays = Vec::new();
    for port in ports {
        relays.push(Running::start_beside(&places, REGIONS[0].0, port).await?);
    }
    let known = Arc::<Known>::default();
    let doors = ports.map(|port| format!("http://127.0.0.1:{port}")).to_vec();
    let device = |mailbox: &MailboxId| Device::at(*mailbox, places.clone(), known.clone(), doors.clone());
    let senders: Vec<_> = mailboxes
        .iter()
        .map(|m| tokio::spawn(device(m).send_until_enough(mailboxes.clone(), Duration::ZERO)))
        .collect();
    let readers: Vec<_> = mailboxes.iter().map(|m| tokio::spawn(device(m).read_until_enough())).collect();
    let begun = Instant::now();
    let killed = kills(&places, &site, &mut relays, ports).await;
    known.sent_enough.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await?;
    }
    until_all_is_shown(&known).await;
    let left = until_all_is_gone(&site).await;
    known.read_enough.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await?;
    }
    killed?;
    let said = verdict(&known)?;
    let delivered = count(&site, "mailbox_delivered");
    let shown = known.shown.lock().unwrap().len();
    if left > 0 || delivered != shown {
        return Err(format!("{said}; {left} are there still, {delivered} of {shown} are known").into());
    }
    println!("killed: {KILLS} times in {:.0} s; {said}", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn kills(places: &Places, site: &Site, relays: &mut [Running], ports: [u16; 2]) -> Fallible<()> {
    for turn in 0..KILLS {
        tokio::time::sleep(BETWEEN + Duration::from_millis(37 * turn as u64)).await;
        match turn % 3 {
            2 => {
                site.clusters[0].kill();
                site.clusters[0].up();
            }
            relay => {
                relays[relay].kill();
                relays[relay] = Running::start_beside(places, REGIONS[0].0, ports[relay]).await?;
            }
        }
    }
    Ok(())
}

fn count(site: &Site, table: &str) -> usize {
    let counted = site.clusters[0].sql("messages", &format!("SELECT count(*) FROM {table}"));
    counted.trim().parse().expect("a count")
}

/// Until what was shown is acknowledged; how many are not.
async fn until_all_is_gone(site: &Site) -> usize {
    let begun = Instant::now();
    loop {
        let left = count(site, "mailbox_message");
        if left == 0 || begun.elapsed() > Duration::from_secs(60) {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
