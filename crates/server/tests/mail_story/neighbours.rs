//! Two processes of one region's relay: what one does the other knows, as soon as it is said. Neither looks by itself here, so what
//! is not said is not known before a long poll's end.

use crate::Fallible;
use crate::device::{Device, Known};
use crate::relay::Running;
use crate::site::{Places, REGIONS, Site};
use domicile_messaging::wire::{
    Acknowledge, IfOffline, List, MailboxId, MessageBody, MessageId, Messages, Send, ShowPresence,
};
use domicile_testbed::free_ports;
use http::{Method, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Within this something must be so: far longer than it takes.
const AT_LAST: Duration = Duration::from_secs(60);
/// Turns of a message from one process to the other.
const TURNS: usize = 20;

/// A device that asks at one process only.
struct At(Device);

impl At {
    fn new(mailbox: MailboxId, places: &Arc<Places>, port: u16) -> Self {
        let doors = vec![format!("http://127.0.0.1:{port}")];
        Self(Device::at(mailbox, places.clone(), Arc::<Known>::default(), doors))
    }

    async fn ask(&mut self, method: Method, path: &str, body: Vec<u8>) -> Fallible<(StatusCode, Vec<u8>)> {
        let answer = self.0.ask(method, path, body).await;
        answer.map(|(status, body)| (status, body.to_vec())).ok_or_else(|| format!("{path}: refused").into())
    }

    async fn send(&mut self, to: MailboxId, n: usize) -> Fallible<MessageId> {
        let body = MessageBody::new(n.to_string().into_bytes()).ok_or("a body")?;
        let id = MessageId::random();
        let message = Send { to, id, body, expires_in_s: 3600, if_offline: IfOffline::Keep, sealed_to: None };
        self.ask(Method::POST, "/v1/messaging/messages", serde_json::to_vec(&message)?).await?;
        Ok(id)
    }

    async fn poll(&mut self) -> Fallible<Vec<MessageId>> {
        let (_, body) = self.ask(Method::GET, "/v1/messaging/messages?wait_s=30", Vec::new()).await?;
        Ok(serde_json::from_slice::<Messages>(&body)?.messages.iter().map(|m| m.id).collect())
    }

    async fn acknowledge(&mut self, ids: Vec<MessageId>) -> Fallible<()> {
        let asked = Acknowledge { ids: List::new(ids).ok_or("a page")? };
        self.ask(Method::POST, "/v1/messaging/messages/ack", serde_json::to_vec(&asked)?).await.map(drop)
    }

    async fn sees(&mut self, whom: MailboxId) -> Fallible<String> {
        let (_, body) = self.ask(Method::GET, &format!("/v1/messaging/presence/{whom}"), Vec::new()).await?;
        let seen: serde_json::Value = serde_json::from_slice(&body)?;
        Ok(seen["presence"].as_str().unwrap_or_default().to_owned())
    }

    async fn sees_at_last(&mut self, whom: MailboxId, wanted: &str) -> Fallible<()> {
        let begun = Instant::now();
        while self.sees(whom).await? != wanted {
            if begun.elapsed() > AT_LAST {
                return Err(format!("it was never {wanted}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// On PostgreSQL.
pub async fn story() -> Fallible<()> {
    let [ann, bob] = [MailboxId::random(), MailboxId::random()];
    let site = Site::start(false, &[ann, bob])?;
    let places = Arc::new(site.places.clone());
    places.adopt(&*places.service().await?).await?;
    let ports = free_ports::<2>();
    let region = REGIONS[0].0;
    let mut first = Running::start_beside(&places, region, ports[0]).await?;
    let mut second = Running::start_beside(&places, region, ports[1]).await?;
    let [mut receiver, mut beside] = ports.map(|port| At::new(bob, &places, port));
    let [mut near, mut sender] = ports.map(|port| At::new(ann, &places, port));

    messages(&mut receiver, &mut sender, bob).await?;
    // A process that is started anew hears, and is heard, again.
    second.kill();
    second = Running::start_beside(&places, region, ports[1]).await?;
    messages(&mut receiver, &mut sender, bob).await?;
    // The connection between them breaks.
    site.clusters[0].sql(
        "messages",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'domicile relay channel'",
    );
    messages(&mut receiver, &mut sender, bob).await?;

    let shown = ShowPresence { visible_to: List::new(vec![ann]).ok_or("one")? };
    receiver.ask(Method::PUT, "/v1/messaging/presence", serde_json::to_vec(&shown)?).await?;
    let (_, seen) = tokio::join!(receiver.poll(), async {
        sender.sees_at_last(bob, "here").await?;
        near.sees_at_last(bob, "here").await?;
        // Killed with the poll open: nobody says that it has ended.
        first.kill();
        sender.sees_at_last(bob, "away").await
    });
    seen?;
    let (polled, seen) = tokio::join!(beside.poll(), async {
        sender.sees_at_last(bob, "here").await?;
        sender.send(bob, 0).await
    });
    if polled? != [seen?] {
        return Err("a device that went on at the other process did not get its message".into());
    }
    second.kill();
    println!("neighbours: {} messages between two processes, presence at both, one killed", 3 * TURNS);
    Ok(())
}

/// Sent at one process while the receiver waits at the other: delivered by that very poll. Without a notice it ends empty.
async fn messages(receiver: &mut At, sender: &mut At, to: MailboxId) -> Fallible<()> {
    for turn in 0..TURNS {
        let (polled, sent) = tokio::join!(receiver.poll(), async {
            // Some before the poll has looked, most after it.
            tokio::time::sleep(Duration::from_millis(5 * turn as u64)).await;
            sender.send(to, turn).await
        });
        let (polled, sent) = (polled?, sent?);
        if polled != [sent] {
            return Err(format!("turn {turn}: {} messages where one was due", polled.len()).into());
        }
        receiver.acknowledge(polled).await?;
    }
    Ok(())
}

/// On SQLite there is one process: a second one refuses to start, until the first has ended.
pub async fn alone() -> Fallible<()> {
    let site = Site::start(true, &[MailboxId::random()])?;
    let places = Arc::new(site.places.clone());
    places.adopt(&*places.service().await?).await?;
    let ports = free_ports::<2>();
    let region = REGIONS[0].0;
    let mut first = Running::start_beside(&places, region, ports[0]).await?;
    match Running::start_beside(&places, region, ports[1]).await {
        Err(why) if why.to_string().contains("ended") => {}
        Err(why) => return Err(why),
        Ok(_) => return Err("two relays have one file".into()),
    }
    first.kill();
    Running::start_beside(&places, region, ports[1]).await.map(drop)
}
