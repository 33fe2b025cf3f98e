//! What erasure means, in types that cannot say a bare "erased".
//!
//! There are two states: pending until the grace period ends; and logically erased, which can only
//! be made together with the statements that did it, when the bytes are physically gone from WAL,
//! replicas and backups (each with the source of that number), and what nobody looked at.

use crate::{Error, Result};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The erasure statement of a wave. `Display` gives the whole sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Erasure {
    /// Nothing has been erased yet.
    Pending(Pending),
    /// Live rows and objects are gone; see the statement for the rest.
    LogicallyErased(LogicallyErased),
}

/// Erasure has not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// When the grace period ends; erasure does not begin before.
    pub grace_ends_at: Timestamp,
}

/// Logically erased; made by [`LogicallyErased::new`] only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct LogicallyErased {
    at: Timestamp,
    by_statements: Vec<String>,
    physically_gone: PhysicallyGone,
    not_seen: Vec<String>,
}

/// When the bytes leave each place that keeps old ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhysicallyGone {
    /// The write-ahead log (SQLite: the WAL and free pages of the file).
    pub wal: Gone,
    /// Replicas, logical ones too.
    pub replicas: Gone,
    /// Backups and snapshots.
    pub backups: Gone,
}

/// When one place has forgotten, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum Gone {
    /// That many hours after the logical erasure.
    Within {
        /// Hours.
        hours: u32,
        /// Where the number comes from: a setting read, a configuration, a declaration.
        source: String,
    },
    /// The place does not exist here.
    Absent {
        /// Who says so.
        source: String,
    },
    /// Nobody has said.
    NotKnown {
        /// Why not.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    at: Timestamp,
    by_statements: Vec<String>,
    physically_gone: PhysicallyGone,
    not_seen: Vec<String>,
}

impl TryFrom<Unchecked> for LogicallyErased {
    type Error = Error;
    fn try_from(u: Unchecked) -> Result<Self> {
        Self::new(u.at, u.by_statements, u.physically_gone, u.not_seen)
    }
}

impl LogicallyErased {
    /// States that live rows and objects were erased at `at`.
    ///
    /// `by_statements`: the statements in words or SQL without values, at least one. `not_seen`: what
    /// could hold copies and was not looked at, at least one entry, since there always is something
    /// (disks below the file system, files that somebody exported).
    pub fn new(
        at: Timestamp,
        by_statements: Vec<String>,
        physically_gone: PhysicallyGone,
        not_seen: Vec<String>,
    ) -> Result<Self> {
        let blank = |list: &[String]| list.is_empty() || list.iter().any(|s| s.trim().is_empty());
        if blank(&by_statements) {
            return Err(Error::record("an erasure without the statements that did it"));
        }
        if blank(&not_seen) {
            return Err(Error::record("an erasure that does not say what was not seen"));
        }
        let places = [&physically_gone.wal, &physically_gone.replicas, &physically_gone.backups];
        if places.iter().any(|p| p.says().trim().is_empty()) {
            return Err(Error::record(
                "an erasure whose WAL, replicas or backups have no source for their number",
            ));
        }
        Ok(Self { at, by_statements, physically_gone, not_seen })
    }

    /// When the last subject of the wave was logically erased.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The statements that did it.
    pub fn by_statements(&self) -> &[String] {
        &self.by_statements
    }

    /// WAL, replicas, backups.
    pub fn physically_gone(&self) -> &PhysicallyGone {
        &self.physically_gone
    }

    /// What was not looked at.
    pub fn not_seen(&self) -> &[String] {
        &self.not_seen
    }

    /// When the last of WAL, replicas and backups has forgotten; `None` where one is not known.
    pub fn physically_gone_at(&self) -> Option<Timestamp> {
        let PhysicallyGone { wal, replicas, backups } = &self.physically_gone;
        let hours = [wal, replicas, backups].into_iter().map(Gone::hours).collect::<Option<Vec<_>>>()?;
        let most = hours.into_iter().max().unwrap_or(0);
        self.at.checked_add(SignedDuration::from_hours(i64::from(most))).ok()
    }
}

impl Gone {
    /// Hours after the logical erasure; `None`: not known.
    fn hours(&self) -> Option<u32> {
        match self {
            Gone::Within { hours, .. } => Some(*hours),
            Gone::Absent { .. } => Some(0),
            Gone::NotKnown { .. } => None,
        }
    }

    fn says(&self) -> &str {
        match self {
            Gone::Within { source, .. } | Gone::Absent { source } => source,
            Gone::NotKnown { why } => why,
        }
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gone::Within { hours, source } => write!(f, "within {hours} h, source: {source}"),
            Gone::Absent { source } => write!(f, "none, source: {source}"),
            Gone::NotKnown { why } => write!(f, "not known: {why}"),
        }
    }
}

impl fmt::Display for Erasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Erasure::Pending(p) => write!(f, "pending: the grace period ends at {}", p.grace_ends_at),
            Erasure::LogicallyErased(e) => fmt::Display::fmt(e, f),
        }
    }
}

impl fmt::Display for LogicallyErased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "logically erased at {} by these statements: {}; ",
            self.at,
            self.by_statements.join("; ")
        )?;
        match self.physically_gone_at() {
            Some(at) => write!(f, "physically gone by {at}")?,
            None => write!(f, "physically gone at a time not known")?,
        }
        let PhysicallyGone { wal, replicas, backups } = &self.physically_gone;
        write!(f, " (WAL: {wal}; replicas: {replicas}; backups: {backups}); ")?;
        write!(f, "not seen: {}", self.not_seen.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> PhysicallyGone {
        PhysicallyGone {
            wal: Gone::Within { hours: 24, source: "wal_keep_size and the archive, declared".into() },
            replicas: Gone::Absent { source: "pg_stat_replication".into() },
            backups: Gone::Within { hours: 720, source: "domicile.toml".into() },
        }
    }

    fn at() -> Timestamp {
        "2014-12-31T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_sentence_says_all_of_it() {
        let e = LogicallyErased::new(at(), vec!["DELETE by key".into()], gone(), vec!["disk blocks".into()])
            .unwrap();
        assert_eq!(
            Erasure::LogicallyErased(e).to_string(),
            "logically erased at 2014-12-31T00:00:00Z by these statements: DELETE by key; physically gone by \
             2015-01-30T00:00:00Z (WAL: within 24 h, source: wal_keep_size and the archive, declared; replicas: none, \
             source: pg_stat_replication; backups: within 720 h, source: domicile.toml); not seen: disk blocks"
        );
        assert_eq!(
            Erasure::Pending(Pending { grace_ends_at: at() }).to_string(),
            "pending: the grace period ends at 2014-12-31T00:00:00Z"
        );
    }

    #[test]
    fn one_unknown_place_makes_the_whole_unknown() {
        let gone = PhysicallyGone { backups: Gone::NotKnown { why: "nobody declared it".into() }, ..gone() };
        let e = LogicallyErased::new(at(), vec!["DELETE".into()], gone, vec!["disks".into()]).unwrap();
        assert_eq!(e.physically_gone_at(), None);
        assert!(e.to_string().contains("physically gone at a time not known"));
    }

    #[test]
    fn a_bare_erased_can_neither_be_made_nor_read() {
        let some = vec!["x".to_owned()];
        assert!(LogicallyErased::new(at(), vec![], gone(), some.clone()).is_err());
        assert!(LogicallyErased::new(at(), vec![" ".into()], gone(), some.clone()).is_err());
        assert!(LogicallyErased::new(at(), some.clone(), gone(), vec![]).is_err());
        let nameless = PhysicallyGone { wal: Gone::Absent { source: String::new() }, ..gone() };
        assert!(LogicallyErased::new(at(), some.clone(), nameless, some.clone()).is_err());

        let whole =
            serde_json::to_value(LogicallyErased::new(at(), some.clone(), gone(), some).unwrap()).unwrap();
        for field in ["at", "by_statements", "physically_gone", "not_seen"] {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(field);
            assert!(serde_json::from_value::<LogicallyErased>(less).is_err(), "{field}");
        }
        let mut empty = whole;
        empty["not_seen"] = serde_json::json!([]);
        assert!(serde_json::from_value::<LogicallyErased>(empty).is_err());
    }
}
