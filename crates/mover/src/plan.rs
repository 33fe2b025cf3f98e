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
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;

/// Version of the plan file's format.
pub const PLAN_FORMAT: u32 = 1;

/// Subjects read from a region at once.
const PAGE: u32 = 5_000;

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
#[serde(deny_unknown_fields)]
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
}

/// Subjects that go from one region to another: one wave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Where they are.
    pub region: String,
    /// Who.
    #[serde(flatten)]
    pub group: Group,
    /// Each region of the service with the reason against it.
    pub against: Vec<(String, String)>,
}

impl PlannedMove {
    /// Rows and bytes in all tables.
    pub fn size(&self) -> Size {
        self.tables
            .values()
            .fold(Size::default(), |sum, s| Size { rows: sum.rows + s.rows, bytes: sum.bytes + s.bytes })
    }
}

/// A plan with its lists of subjects, in memory only.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    lists: BTreeMap<String, (String, Vec<SubjectId>)>,
}

/// Makes a plan. Reads every subject of the regions in question once.
pub async fn plan(service: &Service, ask: &Ask) -> Result<Planned> {
    let places: Vec<domicile_policy::Region> = service.regions.values().map(|r| r.place.clone()).collect();
    let categories = service.layout.categories();
    let rules = &service.rules;
    let circumstances = Circumstances {
        categories: &categories,
        regions: &places,
        latency: &rules.latency,
        today: ask.today,
        mechanisms: &rules.mechanisms,
        for_latency: ask.for_latency,
    };
    let mut draft = Draft::new(Placer::new(&rules.policies, circumstances));
    for (index, region) in service.regions.values().enumerate() {
        if ask.from.is_empty() || ask.from.contains(&region.id) {
            draft.read(region, index).await?;
        }
    }
    draft.finish(service, ask).await
}

impl Planned {
    /// Stores the lists at the sources so that `move` can run the plan.
    pub async fn store(&mut self, service: &Service) -> Result<()> {
        for (list, (from, subjects)) in &self.lists {
            let region = service.region(from)?;
            region.records.put_list(list, subjects).await.at(region)?;
        }
        self.plan.stored = true;
        Ok(())
    }
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
        consents: BTreeSet::new(),
    }
}

/// A class in words for people.
fn words(class: &Class) -> String {
    let mut words = vec![class.residence.map_or("no known country".to_owned(), |c| c.to_string())];
    words.extend(class.citizenship.map(|c| format!("citizen of {c}")));
    words.extend(class.flags.iter().cloned());
    words.join(", ")
}

/// Country, citizenship and flags as the database has them.
type Attributes = (Option<String>, Option<String>, Vec<String>);

/// Subjects sorted by what happens to them, while regions are read.
struct Draft<'a> {
    placer: Placer<'a>,
    /// (region index, class) -> the subjects.
    found: BTreeMap<(usize, ClassId), Vec<SubjectId>>,
    busy: BTreeMap<String, u64>,
}

impl<'a> Draft<'a> {
    fn new(placer: Placer<'a>) -> Self {
        Self { placer, found: BTreeMap::new(), busy: BTreeMap::new() }
    }

    async fn read(&mut self, region: &Region, index: usize) -> Result<()> {
        let mut after: Option<SubjectId> = None;
        // Countries repeat: parse each spelling once.
        let mut classes: HashMap<Attributes, ClassId> = HashMap::new();
        loop {
            let page = region.records.subjects(after.as_ref(), PAGE).await.at(region)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.subject.clone());
            for facts in page {
                if facts.state.is_some_and(|s| s != State::Home) {
                    *self.busy.entry(region.id.clone()).or_default() += 1;
                    continue;
                }
                let key = (facts.country.clone(), facts.citizenship.clone(), facts.flags.clone());
                let id = match classes.get(&key) {
                    Some(id) => *id,
                    None => *classes.entry(key).or_insert(self.placer.intern(&class_of(&facts))),
                };
                self.found.entry((index, id)).or_default().push(facts.subject);
            }
        }
    }

    async fn finish(mut self, service: &Service, ask: &Ask) -> Result<Planned> {
        let mut plan = Plan {
            format: PLAN_FORMAT,
            id: fresh_id()?,
            service: service.name.clone(),
            made_at: Timestamp::now(),
            today: ask.today,
            for_latency: ask.for_latency,
            policy_hash: service.rules.policies.hash().to_owned(),
            map_hash: service.layout.hash.clone(),
            stored: false,
            moves: Vec::new(),
            refusals: Vec::new(),
            stays: BTreeMap::new(),
            busy: std::mem::take(&mut self.busy),
        };
        let regions: Vec<_> = service.regions.values().cloned().collect();
        let mut going: BTreeMap<(usize, String), (Vec<SubjectId>, Vec<Group>)> = BTreeMap::new();
        for ((index, id), subjects) in std::mem::take(&mut self.found) {
            let here = &regions[index].id;
            let class = self.placer.classes().class(id).map(words).unwrap_or_default();
            let Some(placement) = self.placer.place(id, Some(index)) else { continue };
            let group = Group {
                class,
                subjects: subjects.len() as u64,
                why: placement.why.clone(),
                law: placement.law.clone(),
            };
            match &placement.home {
                Some(home) if home == here => *plan.stays.entry(here.clone()).or_default() += group.subjects,
                Some(home) => {
                    let entry = going.entry((index, home.clone())).or_default();
                    entry.0.extend(subjects);
                    entry.1.push(group);
                }
                None => {
                    plan.refusals.push(Refusal { region: here.clone(), group, against: against(placement) });
                }
            }
        }
        let mut lists = BTreeMap::new();
        for ((index, to), (mut subjects, groups)) in going {
            subjects.sort();
            let list = format!("{}.{}", plan.id, plan.moves.len() + 1);
            let from = &regions[index];
            let (tables, objects) = measure(service, from, &subjects).await?;
            plan.moves.push(PlannedMove {
                list: list.clone(),
                from: from.id.clone(),
                to,
                subjects: subjects.len() as u64,
                list_hash: list_hash(service, &subjects),
                groups,
                tables,
                objects,
            });
            lists.insert(list, (from.id.clone(), subjects));
        }
        Ok(Planned { plan, lists })
    }
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

async fn measure(
    service: &Service,
    from: &Region,
    subjects: &[SubjectId],
) -> Result<(BTreeMap<String, Size>, u64)> {
    let mut tables: BTreeMap<String, Size> = BTreeMap::new();
    let mut objects = 0;
    for part in subjects.chunks(PAGE as usize) {
        for (table, size) in from.records.measure(part).await.at(from)? {
            let sum = tables.entry(service.layout.tables[table].name.to_string()).or_default();
            *sum = Size { rows: sum.rows + size.rows, bytes: sum.bytes + size.bytes };
        }
        if !service.layout.objects.is_empty() {
            let mut snapshot = from.records.snapshot().await.at(from)?;
            objects += snapshot.objects(part, None).await.at(from)?.len() as u64;
            snapshot.close().await.at(from)?;
        }
    }
    Ok((tables, objects))
}

/// Hash over the subjects' keyed hashes: whoever has the plan but not the directory's key learns nothing.
pub(crate) fn list_hash(service: &Service, subjects: &[SubjectId]) -> String {
    let mut sha = Sha256::new();
    for subject in subjects {
        sha.update(service.directory.hash(&service.name, subject).0);
    }
    hex::encode(sha.finalize())
}

fn fresh_id() -> Result<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|e| Error::Setting(format!("no randomness from the system: {e}")))?;
    Ok(format!("p-{}", hex::encode(bytes)))
}
