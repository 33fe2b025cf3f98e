//! What a decision is about: the region, the action, and what else is known.

use crate::country::Country;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A place that stores data, as far as law and latency care.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its id in `domicile.toml`, e.g. `mumbai`; in policies `Region::"mumbai"`.
    pub id: String,
    /// The country it stands in.
    pub country: Country,
    /// The country whose law controls who runs it.
    pub operator: Country,
    /// The day from which it may be a home; `None`: it is open.
    pub opens: Option<Date>,
    /// Its name in the latency table's `to` column, e.g. `Mumbai`.
    pub site: String,
}

impl Region {
    /// Whether it may be a home on `today`.
    pub fn is_open(&self, today: Date) -> bool {
        self.opens.is_none_or(|day| day <= today)
    }
}

/// What is done with data. In policies `Action::"store"` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Keep it in a region's record or object store.
    Store,
    /// Compute on it.
    Process,
    /// Keep a short-lived copy for speed.
    Cache,
    /// Keep a copy to restore from.
    Backup,
    /// Write it into logs.
    Log,
    /// Put it into a search index.
    Index,
    /// Let support staff see it.
    Support,
    /// Bring it into this region from another (`context.source_country`, `context.source_operator`).
    Transfer,
}

impl Action {
    /// All of them, in the order they are listed to users.
    pub const ALL: [Action; 8] = [
        Action::Store,
        Action::Process,
        Action::Cache,
        Action::Backup,
        Action::Log,
        Action::Index,
        Action::Support,
        Action::Transfer,
    ];

    /// The word in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Store => "store",
            Action::Process => "process",
            Action::Cache => "cache",
            Action::Backup => "backup",
            Action::Log => "log",
            Action::Index => "index",
            Action::Support => "support",
            Action::Transfer => "transfer",
        }
    }

    /// What in Domicile keeps this action's decision; `None`: Domicile decides and explains it, but has
    /// nothing in the way of whoever does it (backups, logs, support tools): the screens must say so.
    pub fn enforced_by(self) -> Option<&'static str> {
        match self {
            Action::Store => Some("the guard in the region's database, and the plan"),
            Action::Transfer => Some("the plan: no move is made against it"),
            Action::Process
            | Action::Cache
            | Action::Backup
            | Action::Log
            | Action::Index
            | Action::Support => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|a| a.as_str() == text).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|a| a.as_str()).collect();
            format!("`{text}` is not an action; actions are {}", all.join(", "))
        })
    }
}

/// What a decision depends on besides class, action and region.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The data category, as the data map names it.
    pub category: &'a str,
    /// Where the data comes from; given for `transfer`, `None` otherwise (then both source attributes are "").
    pub source: Option<&'a Region>,
    /// Transfer mechanism -> in force today. Names not declared to [`crate::Policies::parse`] are left
    /// out, and declared ones that are missing here count as not in force.
    pub mechanisms: &'a BTreeMap<String, bool>,
}

/// A legal instrument on file that allows transfers, e.g. standard contractual clauses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mechanism {
    /// Its name; in policies `context.mechanisms.NAME`.
    pub name: String,
    /// The last day it is in force; `None`: no end.
    pub expires: Option<Date>,
}

/// Which mechanisms are in force on `today`, in the form [`Context`] takes.
pub fn in_force(mechanisms: &[Mechanism], today: Date) -> BTreeMap<String, bool> {
    let valid = |m: &Mechanism| m.expires.is_none_or(|last| today <= last);
    mechanisms.iter().map(|m| (m.name.clone(), valid(m))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn actions_read_what_they_write() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert!("stor".parse::<Action>().unwrap_err().contains("store, process"));
    }

    #[test]
    fn a_mechanism_holds_through_its_last_day() {
        let scc = [Mechanism { name: "scc".into(), expires: Some(date(2014, 12, 31)) }];
        assert!(in_force(&scc, date(2014, 12, 31))["scc"]);
        assert!(!in_force(&scc, date(2015, 1, 1))["scc"]);
    }
}
