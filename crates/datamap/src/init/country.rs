//! Where the subject's country may stand: on the root, or over its foreign keys.

use crate::catalogue::{Catalogue, Engine, Table};
use crate::name::Path;
use crate::relations::{affinity, is_text, label, whole};
use crate::words::{country_column_rank, names_country, words};

/// Foreign keys followed at most: farther away a country is hardly the subject's own.
const HOPS_MAX: usize = 4;
/// Candidates named at most, nearest first: a question must stay readable.
const CANDIDATES_MAX: usize = 12;

/// What was found.
pub(super) struct Candidates {
    /// Columns of the root that are plainly the country.
    pub(super) plain: Vec<Path>,
    /// Other columns of the root, then columns over foreign keys, nearest first.
    pub(super) others: Vec<Path>,
}

impl Candidates {
    pub(super) fn all(&self) -> Vec<Path> {
        self.plain.iter().chain(&self.others).take(CANDIDATES_MAX).cloned().collect()
    }
}

pub(super) fn candidates(catalogue: &Catalogue, root: &Table) -> Candidates {
    let on_root = |wanted: &dyn Fn(&str) -> bool| -> Vec<Path> {
        root.columns
            .iter()
            .filter(|c| wanted(&c.name) && may_hold_country(catalogue.engine, &c.type_name))
            .map(|c| Path { hops: Vec::new(), column: c.name.clone() })
            .collect()
    };
    let plain = on_root(&names_country);
    let mut others = on_root(&|c| !names_country(c) && words(c).iter().any(|w| w == "country"));
    others.extend(over_foreign_keys(catalogue, root));
    Candidates { plain, others }
}

/// Breadth first, so the nearest stand first; a table is not passed twice on one path.
fn over_foreign_keys(catalogue: &Catalogue, root: &Table) -> Vec<Path> {
    let mut found = Vec::new();
    let mut front: Vec<(Vec<String>, Vec<&Table>)> = vec![(Vec::new(), vec![root])];
    for _ in 0..HOPS_MAX {
        let mut next = Vec::new();
        for (hops, passed) in &front {
            let Some(at) = passed.last() else { continue };
            for key in &at.foreign_keys {
                let Some(to) = catalogue.table(whole(catalogue, &key.references)) else { continue };
                if passed.iter().any(|t| t.name == to.name) {
                    continue;
                }
                let mut hops = hops.clone();
                hops.push(label(at, key));
                found.extend(
                    country_columns(catalogue.engine, to)
                        .into_iter()
                        .map(|column| Path { hops: hops.clone(), column }),
                );
                let mut passed = passed.clone();
                passed.push(to);
                next.push((hops, passed));
            }
        }
        if found.len() >= CANDIDATES_MAX {
            break;
        }
        front = next;
    }
    found
}

fn country_columns(engine: Engine, table: &Table) -> Vec<String> {
    let mut ranked: Vec<(usize, &str)> = table
        .columns
        .iter()
        .filter(|c| may_hold_country(engine, &c.type_name))
        .filter_map(|c| {
            let rank = country_column_rank(&table.name.name, &c.name);
            rank.or_else(|| names_country(&c.name).then_some(0)).map(|rank| (rank, c.name.as_str()))
        })
        .collect();
    ranked.sort();
    ranked.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// Text, or a type of the user's own (an enum, a domain); a number is a key to follow.
fn may_hold_country(engine: Engine, type_name: &str) -> bool {
    match engine {
        Engine::Postgres => is_text(engine, type_name) || type_name.contains('.'),
        Engine::Sqlite => is_text(engine, type_name) || affinity(type_name) == "BLOB",
    }
}
