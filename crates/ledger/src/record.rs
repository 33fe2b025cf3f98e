//! What the mover says about a wave as a whole. The writer adds totals, pauses, root and signers.
//!
//! INVARIANT: nothing here names a subject. Texts are made by Domicile or come from its
//! configuration, never from rows.

use crate::{Erasure, ResidueSearch};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The facts of a wave. All texts are free of control characters; lists may be empty unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveRecord {
    /// The wave's id, e.g. `w7`.
    pub id: String,
    /// The service whose data moved.
    pub service: String,
    /// From where.
    pub source: Region,
    /// To where.
    pub target: Region,
    /// Under which policy.
    pub policy: Policy,
    /// Hash of the data map, as `datamap` prints it (SHA-256, hex).
    pub map_hash: String,
    /// Hash of the plan file.
    pub plan_hash: String,
    /// When, by the mover's clock.
    pub times: Times,
    /// Tables that the data map excludes.
    pub excluded: Vec<TableLeft>,
    /// Shared tables, copied where absent or answered `stub`.
    pub reference: Vec<TableLeft>,
    /// Tables of the source that the data map does not know.
    pub unmapped: Vec<TableLeft>,
    /// Stores declared as not moved.
    pub not_moved: Vec<StoreNotMoved>,
    /// Foreign keys that do not exist at regions (answer `keep-id`).
    pub dropped_foreign_keys: Vec<DroppedForeignKey>,
    /// Standbys of the source that had flushed the seal before the cutover.
    pub standbys: Standbys,
    /// What erasure means here.
    pub erasure: Erasure,
    /// What stays outside the home by declaration.
    pub residue: Vec<Residue>,
    /// Searches of the source for traces of the subjects, after the erase; absent from a file without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residue_searches: Vec<ResidueSearch>,
    /// What this receipt does not prove, a clause each (`that nobody copied rows before`). The writer puts
    /// before them what follows from the other fields; an entry that is there already is not repeated.
    pub not_proven: Vec<String>,
}

/// One side of the move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// The region's id; the signing key's name is this, or ends with `/` and this.
    pub id: String,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
    /// The country whose law controls who runs it, as configured.
    pub operator: String,
    /// How it is known that the region stands in that country.
    pub location: Location,
}

/// How a region's location is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Location {
    /// The configuration says so.
    Declared,
    /// It was measured.
    Observed {
        /// How.
        how: String,
    },
    /// Somebody vouches for it.
    Attested {
        /// Who, by what.
        by: String,
    },
}

/// The policy the wave was planned under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Hash of the policy set, as `policy` prints it.
    pub hash: String,
    /// The laws that asked for the move, from `@law` and `@reason`.
    pub laws: Vec<Law>,
}

/// One `@law` with its `@reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// The law.
    pub law: String,
    /// Why it asks.
    pub reason: String,
}

/// Times of the wave, RFC 3339 in UTC, by the clock of whoever passes them in; not compared with each
/// other, since a wave may be resumed on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// When the plan was made.
    pub planned_at: Timestamp,
    /// When the first byte was copied.
    pub started_at: Timestamp,
    /// When the last stage before evidence ended.
    pub ended_at: Timestamp,
    /// When this file was written.
    pub signed_at: Timestamp,
}

/// A table whose rows did not move as a subject's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableLeft {
    /// Qualified name.
    pub table: String,
    /// Rows at the source; `None`: not counted.
    pub rows: Option<u64>,
    /// Why, from the data map.
    pub reason: String,
}

/// A store that Domicile does not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreNotMoved {
    /// Its name, e.g. `search-index`.
    pub name: String,
    /// What happens with it, as declared.
    pub note: String,
}

/// A foreign key that does not exist at regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedForeignKey {
    /// Qualified name of the table that had it.
    pub table: String,
    /// The constraint's name.
    pub constraint: String,
}

/// What stays outside the home by declaration: one field of one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residue {
    /// Which field, e.g. `directory.claim(email) as HMAC`.
    pub field: String,
    /// Where it stays.
    pub place: String,
    /// Why.
    pub reason: String,
    /// The date it ends; `None`: it does not, and the receipt says so.
    pub ends: Option<Date>,
}

/// Which standbys of the source were waited for between seal and cutover; says it in words too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standbys {
    waited_for: Vec<String>,
    says: String,
}

impl Standbys {
    /// These standbys (by name) had flushed the seal before the cutover. An empty list is the same
    /// as [`Standbys::none_listed`] with an unknown window.
    pub fn waited_for(names: Vec<String>) -> Self {
        if names.is_empty() {
            return Self::none_listed("its replication lag");
        }
        Self { waited_for: names, says: "these standbys had flushed the seal before the cutover".into() }
    }

    /// No standby is listed. `window` completes "a fail-over of the source within ... could have
    /// forgotten the fence", e.g. `its replication lag`.
    pub fn none_listed(window: &str) -> Self {
        let says = format!(
            "no standby listed: a fail-over of the source within {window} could have forgotten the fence"
        );
        Self { waited_for: Vec::new(), says }
    }

    /// Names of the standbys; empty: none was listed.
    pub fn names(&self) -> &[String] {
        &self.waited_for
    }

    /// The same in words.
    pub fn says(&self) -> &str {
        &self.says
    }
}

impl WaveRecord {
    /// What is wrong with the record by itself, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (what, text) in
            [("wave id", &self.id), ("service", &self.service), ("policy hash", &self.policy.hash)]
        {
            named(what, text)?;
        }
        named("data map hash", &self.map_hash)?;
        named("plan hash", &self.plan_hash)?;
        self.source.check("source")?;
        self.target.check("target")?;
        if self.source.id == self.target.id {
            return Err("source and target are the same region".into());
        }
        if !self.residue_searches.is_empty() && matches!(self.erasure, Erasure::Pending(_)) {
            return Err("a search for residue before the erase".into());
        }
        self.residue_searches.iter().try_for_each(ResidueSearch::check)?;
        if self.standbys.says.trim().is_empty() {
            return Err("nothing said about standbys".into());
        }
        Ok(())
    }
}

impl Region {
    fn check(&self, side: &str) -> Result<(), String> {
        named(&format!("{side} region's id"), &self.id)?;
        named(&format!("{side} region's operator"), &self.operator)?;
        if self.country.len() == 2 && self.country.bytes().all(|b| b.is_ascii_uppercase()) {
            Ok(())
        } else {
            Err(format!("the {side} region's country is not a two-letter code in upper case"))
        }
    }
}

/// A name must say something, and must not hold control characters: a NUL would blur where the wave's
/// name ends in the salt ([`crate::secret`]).
fn named(what: &str, text: &str) -> Result<(), String> {
    match text {
        t if t.trim().is_empty() => Err(format!("the {what} is empty")),
        t if t.chars().any(char::is_control) => Err(format!("the {what} holds a control character")),
        _ => Ok(()),
    }
}
