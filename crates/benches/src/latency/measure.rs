//! All users of all markets, before and after: several at once, since most of the time they wait.

use super::asked::Asked;
use super::browser::{self, Errand, Seen};
use super::market::{Market, OLD};
use super::town::Town;
use super::way::{By, Way, line};
use crate::Fallible;
use crate::figures::spread;
use domicile_policy::Link;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Users who visit at once, so that none waits for the machine.
const VISITS: usize = 20;
/// What photos under way may take together; one on a lossy line counts once, since it mostly waits, others four times.
const PHOTOS: usize = 48;
const LOSSLESS: u32 = 4;
/// A photo that takes longer has failed.
const PHOTO_MAX: Duration = Duration::from_secs(15 * 60);
/// One thing that is measured.
pub struct Measure {
    /// For headings of tables.
    pub name: &'static str,
    /// For the chart.
    pub what: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Of one ms.
    pub scale: f64,
    of: fn(&Seen) -> &[f64],
}

/// All four, in the order of the tables.
pub const MEASURES: [&Measure; 4] = [&WARM, &COLD, &PAGE, &PHOTO];
pub static WARM: Measure =
    Measure { name: "warm", what: "a request on a kept connection", unit: "ms", scale: 1.0, of: |s| &s.warm };
pub static COLD: Measure =
    Measure { name: "cold", what: "a request on a new connection", unit: "ms", scale: 1.0, of: |s| &s.cold };
pub static PAGE: Measure = Measure {
    name: "page",
    what: "a page: a document and twelve files",
    unit: "ms",
    scale: 1.0,
    of: |s| &s.page,
};
pub static PHOTO: Measure =
    Measure { name: "photo", what: "a photo of 5 MB", unit: "s", scale: 0.001, of: |s| &s.photo };

/// All users of a market on one side.
#[derive(Debug, Default)]
pub struct Side {
    seen: Vec<Seen>,
    /// Round trips that the users measured, ms.
    pub pings_ms: Vec<f64>,
    /// Files that came from an edge's store.
    pub edge_hits: usize,
    /// What did not come to an end, in words.
    pub failed: Vec<String>,
    /// Packets that the emulator was too slow for.
    pub overrun: u64,
}

/// A market, before and after.
#[derive(Debug)]
pub struct Measured {
    /// Whose.
    pub market: Market,
    /// Before, after.
    pub sides: [Side; 2],
}

impl Side {
    /// In the measure's unit; NaN where nothing came to an end.
    pub fn median(&self, measure: &Measure) -> f64 {
        let values: Vec<f64> = self.seen.iter().flat_map(measure.of).copied().collect();
        spread(&values).1 * measure.scale
    }
}

impl Measured {
    /// Before / after: 2 is half the time.
    pub fn gain(&self, measure: &Measure) -> f64 {
        let [before, after] = &self.sides;
        before.median(measure) / after.median(measure)
    }

    /// Before - after.
    pub fn saved(&self, measure: &Measure) -> f64 {
        let [before, after] = &self.sides;
        before.median(measure) - after.median(measure)
    }
}

/// One user.
struct User {
    market: usize,
    side: usize,
    way: Way,
    errand: Errand,
    gateway: SocketAddr,
    /// The region that must answer.
    home: String,
    photo_weight: u32,
    photo_bytes: usize,
}

/// Measures all.
pub async fn all(town: &Town, markets: &[Market], asked: &Asked, by: By) -> Fallible<Vec<Measured>> {
    let empty = |market: &Market| Measured { market: market.clone(), sides: Default::default() };
    let mut measured: Vec<Measured> = markets.iter().map(empty).collect();
    let mut users = Vec::new();
    // By user, then by market: of each market somebody is among the first.
    for _ in 0..asked.users {
        for (index, market) in markets.iter().enumerate() {
            for side in 0..2 {
                users.push(tokio::task::block_in_place(|| user(town, (index, market), side, asked, by))?);
            }
        }
    }
    eprintln!("bench: {} ways are laid", users.len());
    for market in markets {
        earlier(town, market).await?;
    }
    let users: Vec<Arc<User>> = users.into_iter().map(Arc::new).collect();
    // First what is counted in milliseconds: photos would be in its way.
    for phase in [Phase::Visits, Phase::Photos] {
        phase.run(&users, &mut measured).await?;
    }
    for user in &users {
        measured[user.market].sides[user.side].overrun += user.way.overrun()?;
    }
    Ok(measured)
}

/// What all users do before any does the next.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Visits,
    Photos,
}

impl Phase {
    async fn run(self, users: &[Arc<User>], measured: &mut [Measured]) -> Fallible<()> {
        let (what, room) = match self {
            Phase::Visits => ("visits", VISITS),
            Phase::Photos => ("photos", PHOTOS),
        };
        let (room, mut going) = (Arc::new(Semaphore::new(room)), JoinSet::new());
        for user in users {
            let (user, room) = (user.clone(), room.clone());
            going.spawn(async move {
                match self {
                    Phase::Visits => user.visit(&room).await,
                    Phase::Photos => user.photo(&room).await,
                }
            });
        }
        while let Some(done) = going.join_next().await {
            let (market, side, of) = done?;
            measured[market].sides[side].add(of);
            let left = going.len();
            if left % 10 == 0 || left < 4 {
                eprintln!("bench: {what} of {} of {} users", users.len() - left, users.len());
            }
        }
        Ok(())
    }
}

/// Somebody was there before, next door: what the edge may keep, it has, and connections to the homes are open.
async fn earlier(town: &Town, market: &Market) -> Fallible<()> {
    for side in 0..2 {
        let errand = Errand {
            address: town.listen(market, side, Ipv4Addr::LOCALHOST.into())?,
            certificate: town.certificate.clone(),
            subject: market.subject(),
            repeats: 1,
            photo_bytes: None,
        };
        browser::go(&errand).await?;
    }
    Ok(())
}

fn user(
    town: &Town,
    (index, market): (usize, &Market),
    side: usize,
    asked: &Asked,
    by: By,
) -> Fallible<User> {
    let link: &Link = if side == 0 { &market.before } else { &market.after };
    let loss_pct = link.loss_pct.unwrap_or_default();
    let way = Way::lay(by, line(link.rtt_typ_ms, loss_pct, asked.up_mbit, asked.down_mbit))?;
    let gateway = town.listen(market, side, way.near())?;
    let errand = Errand {
        address: gateway,
        certificate: town.certificate.clone(),
        subject: market.subject(),
        repeats: asked.repeats,
        photo_bytes: None,
    };
    let home = if side == 0 { OLD.to_owned() } else { market.home.clone() };
    let photo_weight = if by == By::Namespaces && loss_pct >= 1.0 { 1 } else { LOSSLESS };
    Ok(User { market: index, side, way, errand, gateway, home, photo_weight, photo_bytes: asked.photo_bytes })
}

impl User {
    async fn visit(&self, room: &Semaphore) -> (usize, usize, Side) {
        let (_turn, mut side) = (room.acquire().await, Side::default());
        match self.way.ping_ms().await {
            Ok(ms) => side.pings_ms.push(ms),
            Err(why) => side.failed.push(why.to_string()),
        }
        side.take(self.way.send(self.errand.clone(), self.gateway).await, &self.home);
        (self.market, self.side, side)
    }

    async fn photo(&self, room: &Semaphore) -> (usize, usize, Side) {
        let (_turn, mut side) = (room.acquire_many(self.photo_weight).await, Side::default());
        let photo = Errand { photo_bytes: Some(self.photo_bytes), ..self.errand.clone() };
        let sent = tokio::time::timeout(PHOTO_MAX, self.way.send(photo, self.gateway)).await;
        let sent = sent.unwrap_or_else(|_| Err(format!("the photo was not done after {PHOTO_MAX:?}").into()));
        side.take(sent, &self.home);
        (self.market, self.side, side)
    }
}

impl Side {
    /// An answer of another region than the home would be of another measurement.
    fn take(&mut self, seen: Fallible<Seen>, home: &str) {
        match seen {
            Ok(seen) if seen.regions.iter().all(|region| region == home) => {
                self.edge_hits += seen.edge_hits;
                self.seen.push(seen);
            }
            Ok(seen) => self.failed.push(format!("answered by {:?} instead of {home}", seen.regions)),
            Err(why) => self.failed.push(why.to_string()),
        }
    }

    fn add(&mut self, other: Side) {
        self.seen.extend(other.seen);
        self.pings_ms.extend(other.pings_ms);
        self.edge_hits += other.edge_hits;
        self.failed.extend(other.failed);
    }
}
