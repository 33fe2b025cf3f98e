//! What is true of a wave now, read from the journal: for `status`, for `erase`, and for the `state` line
//! of every failure of a wave.

use crate::app::App;
use crate::config::Config;
use crate::failure::{self, Failure, NOTHING_CHANGED, Result};
use crate::figures::{count, counted};
use crate::open;
use crate::speed::{Rate, Speed};
use domicile_directory::{Asked, Wave, WaveState};
use domicile_mover::wave::{Ended, WaveNote};
use domicile_mover::{Plan, Service};
use domicile_stores::records::State;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

/// The worker that has a wave's turn.
pub struct Worker {
    /// In its own words.
    pub holder: String,
    /// How long ago it renewed its turn.
    pub seen: Duration,
}

impl Worker {
    fn of(wave: &domicile_directory::Wave, turn: Duration) -> Option<Self> {
        let holder = wave.holder.clone().filter(|_| !wave.lease_left.is_zero())?;
        Some(Self { holder, seen: turn.saturating_sub(wave.lease_left) })
    }

    /// `2 s ago`
    pub fn ago(&self) -> String {
        match self.seen.as_secs() {
            0 => "less than a second ago".to_owned(),
            s => format!("{s} s ago"),
        }
    }
}

/// A wave and how far its subjects are.
pub struct WaveFacts {
    /// Its id.
    pub id: String,
    /// From.
    pub from: String,
    /// To.
    pub to: String,
    /// How far it is.
    pub state: WaveState,
    /// What its worker is asked to do.
    pub asked: Asked,
    /// Who works on it, by the control store's clock; a worker that died is one for up to a turn's length.
    pub worker: Option<Worker>,
    /// Why its old home can't be read; then the counts below but `planned` are not known.
    pub unread: Option<String>,
    /// Subjects as planned.
    pub planned: u64,
    /// Subjects at their new home.
    pub moved: u64,
    /// Subjects that left the wave and stay.
    pub left: u64,
    /// Of those moved: erased at the old home.
    pub erased: u64,
    /// `--first`: this many were to go for now, and the rest waits for the next `move` of the plan.
    pub first: bool,
    /// Hash of the data map that it was planned with.
    pub map_hash: Option<String>,
    /// The latest activation.
    pub last_activated: Option<Timestamp>,
    /// Of those that left: parked, since their writers or another's row were in the way. They are tried again.
    pub parked: u64,
    /// How fast it goes, from what the journal says of the last minutes.
    pub speed: Speed,
    /// What its workers wait for, each in its own words.
    pub waits: Vec<(String, String)>,
}

impl WaveFacts {
    /// When its grace period ends: after that, `erase` may run.
    pub fn grace_ends(&self, service: &Service) -> Option<Timestamp> {
        let grace = SignedDuration::try_from(service.limits.grace).unwrap_or(SignedDuration::MAX);
        self.last_activated.map(|at| at.checked_add(grace).unwrap_or(Timestamp::MAX))
    }

    /// A count, or nothing where its old home can't be read.
    pub fn known(&self, n: u64) -> Option<u64> {
        self.unread.is_none().then_some(n)
    }

    /// Everybody of its `--first` has moved or stays: only the plan brings the rest.
    pub fn waits_for_its_plan(&self) -> bool {
        let settled = self.unread.is_none() && self.moved + self.left >= self.planned;
        self.first && settled && self.state == WaveState::Open && self.worker.is_none()
    }

    /// How fast it goes now; nothing where nobody moved of late, it is over, or it is asked to pause or to end.
    pub fn rate(&self) -> Option<Rate> {
        let goes_on = self.state == WaveState::Open && self.asked == Asked::Run && self.worker.is_some();
        if self.unread.is_some() || !goes_on {
            return None;
        }
        self.speed.rate(Timestamp::now())
    }

    /// How long the rest takes at that rate.
    pub fn left_for(&self) -> Option<Duration> {
        let rest = self.planned.saturating_sub(self.moved + self.left - self.parked);
        self.rate().and_then(|rate| rate.time_for(rest))
    }

    /// Batches of it are, or wait to be, under way.
    pub fn is_under_way(&self) -> bool {
        matches!(self.state, WaveState::Open | WaveState::Aborting)
    }

    /// For `--json`.
    pub fn json(&self, service: &Service) -> Value {
        json!({
            "wave": self.id, "from": self.from, "to": self.to, "state": self.state.to_string(),
            "asked": self.asked, "subjects": self.planned, "moved": self.known(self.moved),
            "stayed": self.known(self.left), "erased": self.known(self.erased), "unread": self.unread,
            "worker": self.worker.as_ref().map(|w| json!({
                "holder": w.holder, "seen_ms_ago": u64::try_from(w.seen.as_millis()).unwrap_or(u64::MAX),
            })),
            "parked": self.known(self.parked), "speed": self.rate().map(|rate| rate.json()),
            "eta_s": self.left_for().map(|left| left.as_secs()),
            "waits": self.waits.iter().map(|(worker, why)| json!({ "worker": worker, "why": why }))
                .collect::<Vec<_>>(),
            "grace_ends_at": self.grace_ends(service).map(|t| t.to_string()),
        })
    }
}

/// Every wave of the service in the order in which they were opened; one whose old home does not answer
/// says so.
pub async fn all(service: &Service) -> Result<Vec<WaveFacts>> {
    let filter = domicile_directory::WaveFilter { service: Some(service.name.clone()), unfinished: false };
    let waves = service.directory.waves(&filter).await.map_err(|e| failure::of_directory(&e))?;
    let mut facts = Vec::with_capacity(waves.len());
    for wave in waves {
        let mut one = known(service, wave);
        if let Err(failure) = read(service, &mut one).await {
            one.unread = Some(open::in_a_line(&failure));
        }
        if one.is_under_way() {
            one.waits = service.directory.waiting(&one.id).await.map_err(|e| failure::of_directory(&e))?;
        }
        facts.push(one);
    }
    Ok(facts)
}

/// One wave.
pub async fn one(service: &Service, wave: &str) -> Result<WaveFacts> {
    let found = service.directory.wave(wave).await.map_err(|e| failure::of_directory(&e))?;
    match found {
        Some(found) => facts_of(service, found).await,
        None => Err(failure::unknown_wave(wave)),
    }
}

/// A wave of the service as the control store knows it, before a region is opened for it.
pub async fn find(app: &App, config: &Config, id: &str) -> Result<Wave> {
    let service = app.service(config)?;
    let directory = open::directory(config).await?;
    let found = directory.wave(id).await.map_err(|e| failure::of_directory(&e))?;
    let wave = found.ok_or_else(|| failure::unknown_wave(id))?;
    if wave.service == service.name {
        return Ok(wave);
    }
    Err(Failure::new(
        "wave-state",
        format!("wave {id} belongs to service `{}`, not `{}`", wave.service, service.name),
        "each service has its own waves",
        format!("add: --service {}", wave.service),
    ))
}

/// The wave of that id, or the only one under way.
pub async fn find_or_only(app: &App, config: &Config, id: Option<&str>) -> Result<Wave> {
    if let Some(id) = id {
        return find(app, config, id).await;
    }
    let mut under_way = list(app, config).await?;
    under_way.retain(|w| matches!(w.state, WaveState::Open | WaveState::Aborting));
    match under_way.len() {
        1 => Ok(under_way.remove(0)),
        0 => Err(Failure::new(
            "wave-state",
            "no wave is under way",
            "a wave begins with `domicile move`",
            "domicile status",
        )),
        _ => {
            let ids: Vec<&str> = under_way.iter().map(|w| w.id.as_str()).collect();
            Err(Failure::usage(
                "wave-state",
                format!("several waves are under way: {}", ids.join(", ")),
                "without a wave's name only the single one could be meant",
                "name one of them",
            ))
        }
    }
}

/// Every wave of the service as the control store knows them.
pub async fn list(app: &App, config: &Config) -> Result<Vec<Wave>> {
    let service = Some(app.service(config)?.name.clone());
    let directory = open::directory(config).await?;
    let filter = domicile_directory::WaveFilter { service, unfinished: false };
    directory.waves(&filter).await.map_err(|e| failure::of_directory(&e))
}

async fn facts_of(service: &Service, wave: Wave) -> Result<WaveFacts> {
    let mut facts = known(service, wave);
    read(service, &mut facts).await?;
    Ok(facts)
}

/// What the control store says of a wave.
fn known(service: &Service, wave: Wave) -> WaveFacts {
    let worker = Worker::of(&wave, service.limits.turn);
    let note: Option<WaveNote> = serde_json::from_value(wave.note).ok();
    let mut facts = WaveFacts {
        worker,
        unread: service.closed.get(&wave.source).cloned(),
        from: wave.source,
        to: wave.target,
        state: wave.state,
        asked: wave.asked,
        map_hash: note.as_ref().map(|n| n.map_hash.clone()),
        first: note.as_ref().is_some_and(|n| n.first.is_some_and(|first| first < n.planned.subjects)),
        planned: note.as_ref().map_or(0, |n| n.first.unwrap_or(n.planned.subjects).min(n.planned.subjects)),
        moved: 0,
        left: 0,
        erased: 0,
        last_activated: None,
        parked: 0,
        speed: Speed::default(),
        waits: Vec::new(),
        id: wave.id,
    };
    if facts.state == WaveState::Erased {
        // Its batches are gone from the journal; what is left of it is the note, and the receipts.
        let ended = note.and_then(|n| n.ended).unwrap_or(Ended { moved: facts.planned, stayed: 0 });
        (facts.moved, facts.left, facts.erased) = (ended.moved, ended.stayed, ended.moved);
        facts.unread = None;
    }
    facts
}

/// Adds what the journal at its old home says.
async fn read(service: &Service, facts: &mut WaveFacts) -> Result<()> {
    let Some(from) = service.regions.get(&facts.from).filter(|_| facts.state != WaveState::Erased) else {
        return Ok(());
    };
    let place = format!("region {}", from.id);
    let ids = from.records.batch_ids(&facts.id).await.map_err(|e| failure::of_store(&place, &e))?;
    for id in ids {
        // Gone: a worker has closed it since.
        let batch = from.records.batch(&id).await.map_err(|e| failure::of_store(&place, &e))?;
        if let Some(batch) = batch {
            facts.add(&batch.record);
        }
    }
    Ok(())
}

impl WaveFacts {
    /// Adds a batch's record, in the mover's own form (`mover/src/record.rs`).
    fn add(&mut self, record: &Value) {
        for note in record["subjects"].as_object().into_iter().flat_map(|all| all.values()) {
            match note["outcome"]["as"].as_str() {
                Some("moved") => self.moved += 1,
                Some("left") => self.left += 1,
                _ => {}
            }
            let parked = matches!(note["outcome"]["code"].as_str(), Some("busy" | "taken"));
            self.parked += u64::from(parked);
            self.erased += u64::from(!note["erased_at"].is_null());
            let activated = note["activated_at"].as_str().and_then(|t| t.parse().ok());
            self.last_activated = self.last_activated.max(activated);
            if let Some(at) = activated {
                self.speed.note(at, note);
            }
        }
    }
}

/// The plan's waves that are not at their end; none where the control store can't say.
pub async fn of_plan(service: &Service, plan: &Plan) -> Vec<String> {
    let filter = domicile_directory::WaveFilter { service: Some(service.name.clone()), unfinished: true };
    let Ok(waves) = service.directory.waves(&filter).await else { return Vec::new() };
    let hash = plan.hash().unwrap_or_default();
    waves.into_iter().filter(|w| w.plan_hash == hash && w.state != WaveState::Moved).map(|w| w.id).collect()
}

/// One sentence that says what is true of these waves now; never fails, since it is asked for when
/// something else has.
pub async fn sentence(service: &Service, waves: &[String]) -> String {
    let mut said = Vec::new();
    for wave in waves {
        match service.directory.wave(wave).await {
            Ok(None) => {}
            Ok(Some(found)) => match facts_of(service, found).await {
                Ok(facts) => said.push(about(service, &facts).await),
                Err(_) => said.push(format!("wave {wave} is open; how far it is can't be read at its old home now")),
            },
            Err(_) => return "the control store can't be asked how far the wave is; nothing is lost, and a fence that its worker left ends by itself unless it is sealed".to_owned(),
        }
    }
    if said.is_empty() { NOTHING_CHANGED.to_owned() } else { said.join("; ") }
}

async fn about(service: &Service, facts: &WaveFacts) -> String {
    if facts.unread.is_some() {
        return format!(
            "wave {} is {}; how far it is can't be read at {} now",
            facts.id, facts.state, facts.from
        );
    }
    let of = format!("{} of {}", count(facts.moved), counted(facts.planned, "subject"));
    let head = format!("wave {} is {}: {of} are at their new home", facts.id, facts.state);
    if facts.state == WaveState::Moved {
        return format!("{head}, {} of them are erased at {}", count(facts.erased), facts.from);
    }
    if facts.state != WaveState::Open && facts.state != WaveState::Aborting {
        return head;
    }
    let Some(from) = service.regions.get(&facts.from) else { return head };
    match from.records.status(false).await {
        Err(_) => format!("{head}; {} can't be asked about the others now", facts.from),
        Ok(status) => {
            let sealed = status.subjects.get(&State::Sealed).copied().unwrap_or(0);
            let others = "the others are writable at the old one";
            match sealed {
                0 => format!("{head}, {others}"),
                n => format!(
                    "{head}; {} sealed: nobody can write them until `domicile resume`; {others}",
                    are(n)
                ),
            }
        }
    }
}

fn are(n: u64) -> String {
    if n == 1 { "1 subject is".to_owned() } else { format!("{} subjects are", count(n)) }
}

/// A failure of these waves, with what is true of them now.
pub async fn failed(service: &Service, waves: &[String], error: &domicile_mover::Error) -> Box<Failure> {
    let failure = failure::of_mover(error);
    let fix = match failure.code {
        "stopped" if waves.len() == 1 => format!("domicile resume {}", waves[0]),
        "store-unreachable" | "store-busy" | "store-full" if waves.len() == 1 => {
            format!("domicile resume {}   # once that is mended", waves[0])
        }
        "store-unreachable" | "store-busy" | "store-full" => {
            "domicile resume   # once that is mended".to_owned()
        }
        _ => failure.fix.replace("WAVE", waves.first().map_or("WAVE", String::as_str)),
    };
    let state = sentence(service, waves).await;
    failure.state(state).fix(fix)
}
