//! What is true of a wave now, read from the journal: for `status`, for `erase`, and for the `state` line
//! of every failure of a wave.

use crate::failure::{self, Failure, NOTHING_CHANGED, Result};
use crate::figures::{count, counted};
use domicile_directory::{Asked, WaveState};
use domicile_mover::wave::WaveNote;
use domicile_mover::{Plan, Service};
use domicile_stores::records::State;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

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
    /// Who took its turn last and has not given it back.
    pub holder: Option<String>,
    /// Subjects as planned.
    pub planned: u64,
    /// Subjects at their new home.
    pub moved: u64,
    /// Subjects that left the wave and stay.
    pub left: u64,
    /// Of those moved: erased at the old home.
    pub erased: u64,
    /// Hash of the data map that it was planned with.
    pub map_hash: Option<String>,
    /// The latest activation.
    pub last_activated: Option<Timestamp>,
}

impl WaveFacts {
    /// When its grace period ends: after that, `erase` may run.
    pub fn grace_ends(&self, service: &Service) -> Option<Timestamp> {
        let grace = SignedDuration::try_from(service.limits.grace).unwrap_or(SignedDuration::MAX);
        self.last_activated.map(|at| at.checked_add(grace).unwrap_or(Timestamp::MAX))
    }

    /// For `--json`.
    pub fn json(&self, service: &Service) -> Value {
        json!({
            "wave": self.id, "from": self.from, "to": self.to, "state": self.state.to_string(),
            "asked": self.asked, "holder": self.holder, "subjects": self.planned, "moved": self.moved,
            "stayed": self.left, "erased": self.erased,
            "grace_ends_at": self.grace_ends(service).map(|t| t.to_string()),
        })
    }
}

/// Every wave of the service in the order in which they were opened.
pub async fn all(service: &Service) -> Result<Vec<WaveFacts>> {
    let filter = domicile_directory::WaveFilter { service: Some(service.name.clone()), unfinished: false };
    let waves = service.directory.waves(&filter).await.map_err(|e| failure::of_directory(&e))?;
    let mut facts = Vec::with_capacity(waves.len());
    for wave in waves {
        facts.push(facts_of(service, wave).await?);
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

async fn facts_of(service: &Service, wave: domicile_directory::Wave) -> Result<WaveFacts> {
    let note: Option<WaveNote> = serde_json::from_value(wave.note).ok();
    let mut facts = WaveFacts {
        from: wave.source,
        to: wave.target,
        state: wave.state,
        asked: wave.asked,
        holder: wave.holder,
        map_hash: note.as_ref().map(|n| n.map_hash.clone()),
        planned: note.map_or(0, |n| n.first.unwrap_or(n.planned.subjects).min(n.planned.subjects)),
        moved: 0,
        left: 0,
        erased: 0,
        last_activated: None,
        id: wave.id,
    };
    let Some(from) = service.regions.get(&facts.from) else { return Ok(facts) };
    let place = format!("region {}", from.id);
    let ids = from.records.batch_ids(&facts.id).await.map_err(|e| failure::of_store(&place, &e))?;
    for id in ids {
        // Gone: a worker has closed it since.
        let batch = from.records.batch(&id).await.map_err(|e| failure::of_store(&place, &e))?;
        if let Some(batch) = batch {
            facts.add(&batch.record);
        }
    }
    if facts.state == WaveState::Erased {
        // Its batches are gone from the journal; the receipts hold the rest.
        (facts.moved, facts.erased) = (facts.planned, facts.planned);
    }
    Ok(facts)
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
            self.erased += u64::from(!note["erased_at"].is_null());
            let activated = note["activated_at"].as_str().and_then(|t| t.parse().ok());
            self.last_activated = self.last_activated.max(activated);
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
    let of = format!("{} of {}", count(facts.moved), counted(facts.planned, "subject"));
    let head = format!("wave {} is {}: {of} are at their new home", facts.id, facts.state);
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
        "store-unreachable" | "store-busy" | "store-full" | "stopped" if waves.len() == 1 => {
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
