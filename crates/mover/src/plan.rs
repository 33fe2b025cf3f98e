//! Plan: policy, data map and directory say who moves where, why, and how much that is. Changes nothing.
//!
//! A plan names no subject: it holds predicates, counts and a keyed hash of each move's list. The
//! lists themselves stay in the source region's `domicile` schema.

use crate::error::{At, Error, Result};
use crate::service::{Region, Service};
use domicile_policy::{Circumstances, Class, ClassId, Country, Outcome, Placement, Placer};
use domicile_stores::records::{Size, State, SubjectFacts, SubjectId};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

/// Version of the plan file's format.
pub const PLAN_FORMAT: u32 = 1;

/// Subjects read from a region at once.
const PAGE: u32 = 5_000;

/// Subjects whose objects' keys are read at once, to count them: a subject may have thousands.
const OBJECTS_OF: usize = 100;

/// What a plan is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The day the plan is for: regions open on it may be homes.
    pub today: Date,
    /// Also move subjects that may stay, where another region is faster.
    pub for_latency: bool,
    /// Only subjects that live in these regions now; empty: all of the service's.
    pub from: Vec<String>,
}

/// The plan file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a plan")]
pub struct Plan {
    /// [`PLAN_FORMAT`].
    pub format: u32,
    /// `p-` and eight hex digits.
    pub id: String,
    /// The service.
    pub service: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The day it is for.
    pub today: Date,
    /// Whether it also moves for latency.
    pub for_latency: bool,
    /// Hash of the policies.
    pub policy_hash: String,
    /// Hash of the data map.
    pub map_hash: String,
    /// Whether the lists are stored at the sources, so that `move` can run it.
    pub stored: bool,
    /// Moves, by source and target.
    pub moves: Vec<PlannedMove>,
    /// Subjects that must leave and have nowhere to go, or have no country.
    pub refusals: Vec<Refusal>,
    /// Subjects at home where they belong, by region.
    pub stays: BTreeMap<String, u64>,
    /// Subjects that another wave is moving or has not erased yet, by region: not part of this plan.
    pub busy: BTreeMap<String, u64>,
    /// Subjects whose home would be a region that can't be reached now: they stay until a later plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Waiting>,
    /// Regions whose subjects could not be read, with the reason: not part of this plan.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, String>,
}

/// Subjects that go from one region to another: one wave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a move of a plan")]
pub struct PlannedMove {
    /// Name of the list of subjects at the source: the plan's id with a number.
    pub list: String,
    /// From.
    pub from: String,
    /// To.
    pub to: String,
    /// How many subjects.
    pub subjects: u64,
    /// Keyed hash over the list of subjects, hex.
    pub list_hash: String,
    /// Who and why, by class.
    pub groups: Vec<Group>,
    /// Rows and bytes by table.
    pub tables: BTreeMap<String, Size>,
    /// Objects named by rows.
    pub objects: u64,
}

/// Subjects of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a group of subjects")]
pub struct Group {
    /// The class in words, e.g. `IN` or `IN, air-force`.
    pub class: String,
    /// How many.
    pub subjects: u64,
    /// The sentence that explains the placement.
    pub why: String,
    /// The deciding law.
    pub law: String,
}

/// Subjects of one class whose move is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a refusal")]
pub struct Refusal {
    /// Where they are.
    pub region: String,
    /// Who.
    #[serde(flatten)]
    pub group: Group,
    /// Each region of the service with the reason against it.
    pub against: Vec<(String, String)>,
}

/// Subjects of one class that would move to a region that can't be reached now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "subjects that wait")]
pub struct Waiting {
    /// Where they are.
    pub from: String,
    /// Where they would go. Law and latency chose it; that it is down sends nobody elsewhere.
    pub to: String,
    /// Why it can't be reached.
    pub down: String,
    /// The class in words.
    pub class: String,
    /// How many.
    pub subjects: u64,
}

impl PlannedMove {
    /// Rows and bytes in all tables.
    pub fn size(&self) -> Size {
        self.tables
            .values()
            .fold(Size::default(), |sum, s| Size { rows: sum.rows + s.rows, bytes: sum.bytes + s.bytes })
    }
}

/// Makes a plan to be looked at. Reads every subject of the regions in question once, and keeps none.
pub async fn plan(service: &Service, ask: &Ask) -> Result<Plan> {
    make(service, ask, false).await
}

/// Makes a plan that `move` can run: stores its lists at the sources while it reads.
pub async fn stored(service: &Service, ask: &Ask) -> Result<Plan> {
    make(service, ask, true).await
}

async fn make(service: &Service, ask: &Ask, store: bool) -> Result<Plan> {
    let categories = service.layout.categories();
    let rules = &service.rules;
    let circumstances = Circumstances {
        categories: &categories,
        regions: &service.places,
        latency: &rules.latency,
        today: ask.today,
        mechanisms: &rules.mechanisms,
        for_latency: ask.for_latency,
    };
    let placer = Placer::new(&rules.policies, circumstances);
    let mut draft = Draft::new(service, placer, store)?;
    for (index, place) in service.places.iter().enumerate() {
        if (ask.from.is_empty() || ask.from.contains(&place.id))
            && let Err(error) = draft.look(&place.id, index).await
        {
            // CRASH: lists that no plan names stay at the sources, where their subjects live anyway.
            draft.drop_lists().await;
            return Err(error);
        }
    }
    Ok(draft.finish(ask))
}

impl Plan {
    /// SHA-256 of the plan, hex; on receipts.
    pub fn hash(&self) -> Result<String> {
        let text = serde_json::to_vec(self).map_err(crate::batch::json)?;
        Ok(hex::encode(Sha256::digest(text)))
    }

    /// [`Error::Stale`] where policy or data map are not the ones the plan was made with.
    pub fn check_fresh(&self, service: &Service) -> Result<()> {
        if self.format != PLAN_FORMAT {
            return Err(Error::Stale(format!(
                "it has format {}, this version writes {PLAN_FORMAT}",
                self.format
            )));
        }
        if self.service != service.name {
            return Err(Error::Stale(format!(
                "it is for service `{}`, not `{}`",
                self.service, service.name
            )));
        }
        if self.policy_hash != service.rules.policies.hash() {
            return Err(Error::Stale("the policies changed since it was made".into()));
        }
        if self.map_hash != service.layout.hash {
            return Err(Error::Stale("the data map changed since it was made".into()));
        }
        if !self.stored {
            return Err(Error::Stale(
                "it was only shown, not stored; make it with: domicile plan -o FILE".into(),
            ));
        }
        Ok(())
    }
}

/// The class of a subject, as policies see it. A country that is not recognised counts as unknown.
pub fn class_of(facts: &SubjectFacts) -> Class {
    let country = |text: &Option<String>| text.as_deref().and_then(|t| Country::from_str(t).ok());
    Class {
        residence: country(&facts.country),
        citizenship: country(&facts.citizenship),
        flags: facts.flags.iter().cloned().collect(),
        consents: facts.consents.iter().cloned().collect(),
    }
}

/// A class in words for people.
fn words(class: &Class) -> String {
    let mut words = vec![class.residence.map_or("no known country".to_owned(), |c| c.to_string())];
    words.extend(class.citizenship.map(|c| format!("citizen of {c}")));
    words.extend(class.flags.iter().cloned());
    words.extend(class.consents.iter().map(|purpose| format!("agreed to {purpose}")));
    words.join(", ")
}

/// Country, citizenship, flags and consents as the database has them.
type Attributes = (Option<String>, Option<String>, Vec<String>, Vec<String>);

/// What is known while regions are read: counts by class, and of each move its sums and the subjects that wait
/// to be measured, a page at most. No list of subjects is held, however long it gets.
struct Draft<'a> {
    service: &'a Service,
    placer: Placer<'a>,
    id: String,
    store: bool,
    /// (region index, class) -> how many.
    found: BTreeMap<(usize, ClassId), u64>,
    busy: BTreeMap<String, u64>,
    /// (region index, target) -> who goes.
    going: BTreeMap<(usize, String), Going>,
    /// Regions that could not be opened, and why.
    unread: BTreeMap<String, String>,
}

/// One move while its subjects are read.
struct Going {
    list: String,
    subjects: u64,
    hash: SetHash,
    tables: BTreeMap<String, Size>,
    objects: u64,
    waiting: Vec<SubjectId>,
}

impl<'a> Draft<'a> {
    fn new(service: &'a Service, placer: Placer<'a>, store: bool) -> Result<Self> {
        let (found, busy, going) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { service, placer, id: fresh_id()?, store, found, busy, going, unread: BTreeMap::new() })
    }

    /// Reads a region's subjects; one that could not be opened is noted.
    async fn look(&mut self, id: &str, index: usize) -> Result<()> {
        let service = self.service;
        if let Some(why) = service.closed.get(id) {
            self.unread.insert(id.to_owned(), why.clone());
            return Ok(());
        }
        self.read(service.region(id)?, index).await
    }

    async fn read(&mut self, region: &Region, index: usize) -> Result<()> {
        let mut after: Option<SubjectId> = None;
        // Countries repeat: parse each spelling once.
        let mut classes: HashMap<Attributes, ClassId> = HashMap::new();
        loop {
            let page = region.records.subjects(after.as_ref(), PAGE).await.at(region)?;
            let Some(last) = page.last() else { return self.take_in(region, index, 1).await };
            after = Some(last.subject.clone());
            for facts in page {
                if facts.state.is_some_and(|s| s != State::Home) {
                    *self.busy.entry(region.id.clone()).or_default() += 1;
                    continue;
                }
                let (flags, consents) = (facts.flags.clone(), facts.consents.clone());
                let key = (facts.country.clone(), facts.citizenship.clone(), flags, consents);
                let id = match classes.get(&key) {
                    Some(id) => *id,
                    None => *classes.entry(key).or_insert(self.placer.intern(&class_of(&facts))),
                };
                *self.found.entry((index, id)).or_default() += 1;
                self.send(region, index, id, facts.subject);
            }
            self.take_in(region, index, PAGE as usize).await?;
        }
    }

    /// Lets the subject wait with those that go where its class belongs, unless that is here or nowhere.
    fn send(&mut self, region: &Region, index: usize, class: ClassId, subject: SubjectId) {
        let home = self.placer.place(class, Some(index)).and_then(|p| p.home.as_deref());
        let open = |home: &&str| *home != region.id && self.service.regions.contains_key(*home);
        let Some(home) = home.filter(open) else { return };
        let next = self.going.len() + 1;
        let list = || format!("{}.{next}", self.id);
        let going = self.going.entry((index, home.to_owned())).or_insert_with(|| Going::new(list()));
        going.waiting.push(subject);
    }

    /// Measures, hashes and stores what waits, of moves where at least so many do.
    async fn take_in(&mut self, region: &Region, index: usize, least: usize) -> Result<()> {
        for ((_, _), going) in self.going.iter_mut().filter(|((i, _), _)| *i == index) {
            if going.waiting.len() >= least {
                going.take_in(self.service, region, self.store).await?;
            }
        }
        Ok(())
    }

    async fn drop_lists(&self) {
        for ((index, _), going) in self.going.iter().filter(|_| self.store) {
            if let Ok(region) = self.service.region(&self.service.places[*index].id) {
                let _ = region.records.drop_list(&going.list).await;
            }
        }
    }

    fn finish(mut self, ask: &Ask) -> Plan {
        let service = self.service;
        let mut plan = Plan {
            format: PLAN_FORMAT,
            id: self.id,
            service: service.name.clone(),
            made_at: Timestamp::now(),
            today: ask.today,
            for_latency: ask.for_latency,
            policy_hash: service.rules.policies.hash().to_owned(),
            map_hash: service.layout.hash.clone(),
            stored: self.store,
            moves: Vec::new(),
            refusals: Vec::new(),
            stays: BTreeMap::new(),
            busy: self.busy,
            waits: Vec::new(),
            unread: self.unread,
        };
        let mut groups: BTreeMap<(usize, String), Vec<Group>> = BTreeMap::new();
        for ((index, id), subjects) in self.found {
            let here = &service.places[index].id;
            let class = self.placer.classes().class(id).map(words).unwrap_or_default();
            let Some(placement) = self.placer.place(id, Some(index)) else { continue };
            let (why, law) = (placement.why.clone(), placement.law.clone());
            let group = Group { class, subjects, why, law };
            match &placement.home {
                Some(home) if home == here => *plan.stays.entry(here.clone()).or_default() += group.subjects,
                Some(home) if !service.regions.contains_key(home) => {
                    plan.waits.push(waiting(service, here, home, group));
                }
                Some(home) => groups.entry((index, home.clone())).or_default().push(group),
                None => {
                    plan.refusals.push(Refusal { region: here.clone(), group, against: against(placement) });
                }
            }
        }
        let moves = self.going.into_iter().map(|((index, to), going)| PlannedMove {
            list: going.list,
            from: service.places[index].id.clone(),
            subjects: going.subjects,
            list_hash: going.hash.hex(),
            groups: groups.remove(&(index, to.clone())).unwrap_or_default(),
            tables: going.tables,
            objects: going.objects,
            to,
        });
        plan.moves = moves.collect();
        plan
    }
}

impl Going {
    fn new(list: String) -> Self {
        let (tables, waiting) = (BTreeMap::new(), Vec::new());
        Self { list, subjects: 0, hash: SetHash::default(), tables, objects: 0, waiting }
    }

    async fn take_in(&mut self, service: &Service, from: &Region, store: bool) -> Result<()> {
        let subjects = std::mem::take(&mut self.waiting);
        for (table, size) in from.records.measure(&subjects).await.at(from)? {
            let sum = self.tables.entry(service.layout.tables[table].name.to_string()).or_default();
            *sum = Size { rows: sum.rows + size.rows, bytes: sum.bytes + size.bytes };
        }
        self.objects += count_objects(service, from, &subjects).await?;
        self.subjects += subjects.len() as u64;
        subjects.iter().for_each(|subject| self.hash.add(service, subject));
        if store {
            from.records.extend_list(&self.list, &subjects).await.at(from)?;
        }
        Ok(())
    }
}

/// Objects named by rows of these subjects.
async fn count_objects(service: &Service, from: &Region, subjects: &[SubjectId]) -> Result<u64> {
    if service.layout.objects.is_empty() {
        return Ok(0);
    }
    let mut objects = 0;
    let mut snapshot = from.records.snapshot().await.at(from)?;
    for part in subjects.chunks(OBJECTS_OF) {
        objects += snapshot.objects(part, None).await.at(from)?.len() as u64;
    }
    snapshot.close().await.at(from)?;
    Ok(objects)
}

fn waiting(service: &Service, here: &str, home: &str, group: Group) -> Waiting {
    let down = service.closed.get(home).cloned().unwrap_or_else(|| "it was not opened".to_owned());
    let Group { class, subjects, .. } = group;
    Waiting { from: here.to_owned(), to: home.to_owned(), down, class, subjects }
}

fn against(placement: &Placement) -> Vec<(String, String)> {
    let verdicts = placement.verdicts.iter().map(|verdict| {
        let reason = match &verdict.outcome {
            Outcome::Permitted { .. } => "permitted".to_owned(),
            Outcome::NotOpen { opens } => format!("opens on {opens}"),
            Outcome::Refused { rules, .. } => {
                rules.first().map(domicile_policy::Rule::text).unwrap_or_default()
            }
        };
        (verdict.region.clone(), reason)
    });
    verdicts.collect()
}

/// Hash of a set of subjects, in whatever order they come: the sum of their keyed hashes (AdHash; Bellare and
/// Micciancio, 1997). Whoever has the plan but not the directory's key learns nothing from it and can make no
/// other set with the same sum.
#[derive(Debug, Default)]
pub(crate) struct SetHash {
    sum: u128,
    subjects: u64,
}

impl SetHash {
    /// Takes a subject in; each only once.
    pub fn add(&mut self, service: &Service, subject: &SubjectId) {
        let hash = service.directory.hash(&service.name, subject);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(hash.0));
        self.subjects += 1;
    }

    /// In hex. The sum is hashed, since that of one subject is what the directory calls it.
    pub fn hex(&self) -> String {
        let sha = Sha256::new().chain_update(self.subjects.to_be_bytes());
        hex::encode(sha.chain_update(self.sum.to_be_bytes()).finalize())
    }
}

fn fresh_id() -> Result<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|e| Error::Setting(format!("no randomness from the system: {e}")))?;
    Ok(format!("p-{}", hex::encode(bytes)))
}
