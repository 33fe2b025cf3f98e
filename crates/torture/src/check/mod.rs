//! The checker: compares the log with all regions by plain SQL. It imports nothing of the mover, the stores, the
//! directory or the data map: a mistake they share must not hide itself here.

mod reader;

use crate::load::log::Known;
use crate::load::rows::Table;
use hmac::{Hmac, Mac};
use reader::Reader;
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

/// Where to look.
pub struct Scene {
    /// Regions with their databases, as somebody who may see everything.
    pub regions: Vec<(&'static str, crate::ground::Place)>,
    /// The control store.
    pub control: crate::ground::Place,
    /// The directory's key, and the service whose homes it hashes.
    pub key: PathBuf,
    pub service: &'static str,
    /// Folders of objects by region.
    pub objects: BTreeMap<&'static str, PathBuf>,
    pub subjects: i64,
}

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An acknowledged row is nowhere.
    Lost,
    /// A row is in two places.
    Doubled,
    /// A row holds an older value than the last that was acknowledged.
    Stale,
    /// A row holds what nobody was told was written.
    Phantom,
    /// A row stands where its subject does not live, or without its parent.
    Misplaced,
    /// A deleted row is back.
    Resurrected,
    /// A subject has no home, or two, or an epoch fell.
    Homeless,
    /// Something of a move is left in the guard's tables after its end.
    Left,
    /// A row's object is not beside it, or not with its bytes.
    Object,
    /// What is unfinished could not be ended.
    Stuck,
    /// A worker said what must not be: a difference that nobody made, a panic.
    Alarm,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

/// How many of each kind, in words.
pub fn counted(findings: &[Finding]) -> String {
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    findings.iter().for_each(|finding| *kinds.entry(finding.kind).or_default() += 1);
    let words: Vec<String> = kinds.iter().map(|(kind, n)| format!("{n} {kind:?}").to_lowercase()).collect();
    words.join(", ")
}

/// A row as it stands in a region.
struct Standing {
    region: &'static str,
    parent: i64,
    text: String,
}

const TABLES: [(Table, &str, &str); 5] = [
    (Table::Accounts, "0", "country || '|' || email || '|' || value"),
    (Table::Orders, "account_id", "account_id || '|' || value"),
    (Table::Items, "order_id", "order_id || '|' || value"),
    (Table::Parts, "item_id", "item_id || '|' || value"),
    (Table::Photos, "account_id", "account_id || '|' || object_key || '|' || value"),
];

type Standings = BTreeMap<(Table, i64), Vec<Standing>>;

/// Checks once, between two writes. `epochs` are those of the check before, and become those of this one.
pub async fn check(
    scene: &Scene,
    log: &BTreeMap<(Table, i64), Known>,
    epochs: &mut BTreeMap<i64, i64>,
) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    let homes = homes(scene, epochs, &mut findings).await?;
    let mut rows = Standings::new();
    for (region, place) in &scene.regions {
        let mut reader = Reader::open(place).await?;
        for (table, parent, text) in TABLES {
            let sql =
                format!("SELECT CAST(id AS TEXT), CAST({parent} AS TEXT), {text} FROM {}", table.name());
            for row in reader.rows(&sql).await? {
                let standing = Standing { region, parent: number(&row[1])?, text: row[2].clone() };
                rows.entry((table, number(&row[0])?)).or_default().push(standing);
            }
        }
        guard(region, &mut reader, scene.subjects, &homes, &mut findings).await?;
    }
    compare(log, &rows, &mut findings);
    place(&rows, &homes, &mut findings);
    objects(scene, &rows, &mut findings);
    Ok(findings)
}

/// All rows of a table as text, for the evidence.
pub async fn dump(place: &crate::ground::Place, table: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::open(place).await?;
    let rows = reader.rows(&format!("SELECT * FROM {table}")).await?;
    Ok(rows.into_iter().map(|row| row.join(" | ")).collect())
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// Homes by the directory's own table, with the hash made anew here: HMAC-SHA256(key, service || 0 || subject).
async fn homes(
    scene: &Scene,
    epochs: &mut BTreeMap<i64, i64>,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<i64, String>, String> {
    let key = std::fs::read_to_string(&scene.key).map_err(|e| e.to_string())?;
    let key = hex::decode(key.trim()).map_err(|e| e.to_string())?;
    let mut reader = Reader::open(&scene.control).await?;
    let hex = reader.hex("subject");
    let sql = format!("SELECT {hex}, coalesce(region, ''), CAST(epoch AS TEXT) FROM directory_home");
    let mut known: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for row in reader.rows(&sql).await? {
        known.insert(row[0].to_lowercase(), (row[1].clone(), number(&row[2])?));
    }
    let mut homes = BTreeMap::new();
    for subject in 1..=scene.subjects {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|e| e.to_string())?;
        mac.update(format!("{}\0{subject}", scene.service).as_bytes());
        let hash = hex::encode(&mac.finalize().into_bytes()[..16]);
        let Some((region, epoch)) = known.get(&hash) else {
            findings.push(Finding {
                kind: Kind::Homeless,
                what: format!("the directory does not know {subject}"),
            });
            continue;
        };
        if let Some(before) = epochs.insert(subject, *epoch)
            && before > *epoch
        {
            let what = format!("the epoch of {subject} fell from {before} to {epoch}");
            findings.push(Finding { kind: Kind::Homeless, what });
        }
        homes.insert(subject, region.clone());
    }
    Ok(homes)
}

/// The guard's tables of one region, after all moves have ended.
async fn guard(
    region: &str,
    reader: &mut Reader,
    subjects: i64,
    homes: &BTreeMap<i64, String>,
    findings: &mut Vec<Finding>,
) -> Result<(), String> {
    let table = |name: &str| reader.guard_table(name);
    let (home, changed, batch, lease) = (table("home"), table("changed"), table("batch"), table("lease"));
    let mut here = BTreeSet::new();
    for row in reader.rows(&format!("SELECT CAST(subject AS TEXT), CAST(state AS TEXT) FROM {home}")).await? {
        if row[1] == "h" {
            here.insert(number(&row[0])?);
        } else {
            let what = format!("{} is in state `{}` at {region}", row[0], row[1]);
            findings.push(Finding { kind: Kind::Left, what });
        }
    }
    for subject in 1..=subjects {
        let lives = homes.get(&subject).is_some_and(|home| home == region);
        if lives != here.contains(&subject) {
            let (d, g) = (if lives { "" } else { "not " }, if lives { "no " } else { "" });
            let what = format!(
                "{subject} is {d}at home at {region} by the directory, and has {g}home there by the guard"
            );
            findings.push(Finding { kind: Kind::Homeless, what });
        }
    }
    // A writer in flight may add an entry to a subject that has just gone home; the next mark drops it.
    let at_home = format!("WHERE subject NOT IN (SELECT subject FROM {home} WHERE state = 'h')");
    for (what, name, which) in
        [("recorded changes", changed, &*at_home), ("batches", batch, ""), ("leases", lease, "")]
    {
        let count = reader.rows(&format!("SELECT CAST(count(*) AS TEXT) FROM {name} {which}")).await?;
        let count = number(&count[0][0])?;
        if count > 0 {
            findings.push(Finding { kind: Kind::Left, what: format!("{count} {what} at {region}") });
        }
    }
    Ok(())
}

/// Every row of the log against where it stands, and every row that stands against the log.
fn compare(log: &BTreeMap<(Table, i64), Known>, rows: &Standings, findings: &mut Vec<Finding>) {
    for (key, known) in log {
        let name = format!("{} {}", key.0.name(), key.1);
        let told = || {
            format!(
                "acknowledged {} ms after the start at {} for subject {}: {:?}",
                known.at.as_millis(),
                known.region,
                known.subject,
                known.possible
            )
        };
        let standing = rows.get(key).map_or(&[][..], Vec::as_slice);
        if standing.len() > 1 {
            let places: Vec<_> = standing.iter().map(|s| format!("{} {}", s.region, s.text)).collect();
            let what = format!("{name} stands at {}; {}", places.join(" and at "), told());
            findings.push(Finding { kind: Kind::Doubled, what });
            continue;
        }
        let found = standing.first().map(|s| s.text.clone());
        if known.possible.contains(&found) {
            continue;
        }
        let (kind, what) = match (&found, standing.first()) {
            (Some(text), Some(at)) if known.possible == [None] => {
                (Kind::Resurrected, format!("{name} stands at {} as {text}; {}", at.region, told()))
            }
            (Some(text), Some(at)) => {
                let newest = known.possible.iter().flatten().map(|text| value(text)).max();
                let kind = if Some(value(text)) < newest { Kind::Stale } else { Kind::Phantom };
                (kind, format!("{name} stands at {} as {text}; {}", at.region, told()))
            }
            _ => (Kind::Lost, format!("{name} stands nowhere; {}", told())),
        };
        findings.push(Finding { kind, what });
    }
    for (key, standing) in rows.iter().filter(|(key, _)| !log.contains_key(key)) {
        let what = format!(
            "{} {} at {} was never acknowledged: {}",
            key.0.name(),
            key.1,
            standing[0].region,
            standing[0].text
        );
        findings.push(Finding { kind: Kind::Phantom, what });
    }
}

fn value(text: &str) -> i64 {
    text.rsplit('|').next().and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// Every row stands beside its parent, in its subject's home.
fn place(rows: &Standings, homes: &BTreeMap<i64, String>, findings: &mut Vec<Finding>) {
    let at = |table: Table, id: i64, region: &str| {
        rows.get(&(table, id)).and_then(|all| all.iter().find(|s| s.region == region))
    };
    for ((table, id), standings) in rows {
        for standing in standings {
            let (mut above, mut parent) = (*table, standing.parent);
            let owner = loop {
                above = match above {
                    Table::Accounts => break Some(if *table == Table::Accounts { *id } else { parent }),
                    Table::Orders | Table::Photos => Table::Accounts,
                    Table::Items => Table::Orders,
                    Table::Parts => Table::Items,
                };
                let Some(up) = at(above, parent, standing.region) else { break None };
                if above != Table::Accounts {
                    parent = up.parent;
                }
            };
            let what = match owner {
                None => "without its parent".to_owned(),
                Some(owner) if homes.get(&owner).map(String::as_str) != Some(standing.region) => {
                    format!("though subject {owner} lives at {:?}", homes.get(&owner))
                }
                Some(_) => continue,
            };
            let what = format!("{} {id} stands at {} {what}", table.name(), standing.region);
            findings.push(Finding { kind: Kind::Misplaced, what });
        }
    }
}

/// Every photo's object is beside its row, with its bytes, and nowhere else.
fn objects(scene: &Scene, rows: &Standings, findings: &mut Vec<Finding>) {
    for ((_, id), standings) in rows.iter().filter(|((table, _), _)| *table == Table::Photos) {
        let Some(standing) = standings.first() else { continue };
        let key = standing.text.split('|').nth(1).unwrap_or_default();
        for (region, folder) in &scene.objects {
            let bytes = std::fs::read(folder.join(key)).ok();
            let right = bytes.as_deref() == Some(format!("picture {key}").as_bytes());
            let what = if *region == standing.region && !right {
                format!("photo {id} stands at {region}, its object does not ({bytes:?})")
            } else if *region != standing.region && bytes.is_some() {
                format!("photo {id} stands at {}, its object also at {region}", standing.region)
            } else {
                continue;
            };
            findings.push(Finding { kind: Kind::Object, what });
        }
    }
}
