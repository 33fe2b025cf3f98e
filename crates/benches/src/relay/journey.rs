//! The whole way of a message: sent on a schedule, received by a device that waits in a long poll, acknowledged and deleted durably.

use super::connection::{Connection, connect};
use super::load::{Asker, Senders};
use crate::Fallible;
use crate::figures::quantile;
use domicile_messaging::wire::{MessageId, Messages};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections that send.
const SENDING: usize = 256;
/// After the last one is due, what is not there by now is too late.
const LATE: Duration = Duration::from_secs(60);

/// What came of it: of each message ms from when it was due, sorted.
pub struct Journey {
    /// To the answer that it is kept.
    pub kept: Vec<f64>,
    /// To the receiver.
    pub received: Vec<f64>,
    /// To the answer that its acknowledgement is durable.
    pub gone: Vec<f64>,
    /// From the first one's time to the last one's acknowledgement.
    pub took: Duration,
}

impl Journey {
    /// Messages a second, over the whole way.
    pub fn rate(&self) -> f64 {
        self.gone.len() as f64 / self.took.as_secs_f64()
    }

    /// p50 and p99 of each step, ms.
    pub fn row(&self) -> [f64; 6] {
        let of = |all: &[f64]| [quantile(all, 0.5), quantile(all, 0.99)];
        let ([a, b], [c, d], [e, f]) = (of(&self.kept), of(&self.received), of(&self.gone));
        [a, b, c, d, e, f]
    }
}

/// When each message is due.
struct Schedule {
    of: HashMap<MessageId, usize>,
    begun: Instant,
    rate: f64,
}

impl Schedule {
    fn due(&self, n: usize) -> Instant {
        self.begun + Duration::from_secs_f64(n as f64 / self.rate)
    }

    fn ms_since(&self, id: &MessageId) -> Result<f64, String> {
        let n = self.of.get(id).ok_or("a message that nobody sent")?;
        Ok(self.due(*n).elapsed().as_secs_f64() * 1000.0)
    }
}

/// `rate` messages a second for so long, each device waiting for its own.
pub async fn run(
    senders: &Senders,
    (address, port): (&str, u16),
    rate: u32,
    seconds: u64,
) -> Fallible<Journey> {
    let many = rate as usize * usize::try_from(seconds)?;
    let (ids, requests): (Vec<_>, Vec<_>) = senders.messages(many, port)?.into_iter().unzip();
    let of = ids.into_iter().enumerate().map(|(n, id)| (id, n)).collect();
    let askers = senders.askers(port)?;
    let (waiting, sending) = (connect(address, askers.len()).await?, connect(address, SENDING).await?);
    // Until then every device has its poll open.
    let begun = Instant::now() + Duration::from_secs(1);
    let schedule = Arc::new(Schedule { of, begun, rate: f64::from(rate) });
    let gone = Arc::new(AtomicUsize::new(0));
    let receivers: Vec<_> = askers
        .into_iter()
        .zip(waiting)
        .map(|(asker, connection)| {
            let (schedule, gone) = (schedule.clone(), gone.clone());
            tokio::spawn(async move {
                let mut seen = Seen::default();
                let ended = all_gone(&gone, many, schedule.due(many) + LATE);
                tokio::select! {
                    received = receive(&asker, connection, &schedule, &gone, &mut seen) => received?,
                    () = ended => {}
                }
                Ok::<_, String>(seen)
            })
        })
        .collect();
    let kept = send(sending, requests, &schedule).await?;
    let mut journey = Journey { kept, received: Vec::new(), gone: Vec::new(), took: Duration::ZERO };
    for receiver in receivers {
        let seen = receiver.await??;
        journey.received.extend(seen.received);
        journey.gone.extend(seen.gone);
        journey.took = journey.took.max(seen.last.map_or(Duration::ZERO, |last| last - begun));
    }
    for all in [&mut journey.kept, &mut journey.received, &mut journey.gone] {
        all.sort_by(f64::total_cmp);
    }
    if journey.gone.len() > many || journey.received.len() > many {
        return Err("a message was received twice".into());
    }
    Ok(journey)
}

#[derive(Default)]
struct Seen {
    received: Vec<f64>,
    gone: Vec<f64>,
    last: Option<Instant>,
}

async fn all_gone(gone: &AtomicUsize, many: usize, at_last: Instant) {
    while gone.load(Ordering::Relaxed) < many && Instant::now() < at_last {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn receive(
    asker: &Asker,
    mut connection: Connection,
    schedule: &Schedule,
    gone: &AtomicUsize,
    seen: &mut Seen,
) -> Result<(), String> {
    loop {
        let page = connection.asked(&asker.poll(), "200").await?;
        let page: Messages = serde_json::from_slice(&page).map_err(|e| e.to_string())?;
        let ids: Vec<MessageId> = page.messages.iter().map(|message| message.id).collect();
        for id in &ids {
            seen.received.push(schedule.ms_since(id)?);
        }
        if ids.is_empty() {
            continue;
        }
        let request = asker.acknowledge(ids.clone()).map_err(|e| e.to_string())?;
        connection.asked(&request, "204").await?;
        for id in &ids {
            seen.gone.push(schedule.ms_since(id)?);
        }
        seen.last = Some(Instant::now());
        gone.fetch_add(ids.len(), Ordering::Relaxed);
    }
}

async fn send(
    connections: Vec<Connection>,
    requests: Vec<Vec<u8>>,
    schedule: &Arc<Schedule>,
) -> Fallible<Vec<f64>> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let each = connections.into_iter().map(|mut connection| {
        let (requests, next, schedule) = (requests.clone(), next.clone(), schedule.clone());
        tokio::spawn(async move {
            let mut all = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(n) else { return Ok::<_, String>(all) };
                let due = schedule.due(n);
                tokio::time::sleep_until(due.into()).await;
                connection.kept(request).await?;
                all.push(due.elapsed().as_secs_f64() * 1000.0);
            }
        })
    });
    let mut all = Vec::new();
    for one in each.collect::<Vec<_>>() {
        all.extend(one.await??);
    }
    Ok(all)
}
