//! Which table's rows are the subjects.

use super::{key_of, questions, subject_of};
use crate::catalogue::{Catalogue, Table, TableName};
use crate::map::{Ask, Question, Subject};
use crate::relations::{references, wholes};
use crate::words::{names_country, root_likeness};

/// From this on a table's name alone makes it a candidate.
const LIKELY: u32 = 40;
/// Two tables above this: nobody but the user knows.
const STRONG: u32 = 60;
/// A table with a country column and as many referring tables is a candidate by any name.
const REFERRERS_ENOUGH: usize = 2;

/// The root, and the question where it is not plain.
pub(super) fn choose(catalogue: &Catalogue, given: Option<&TableName>) -> (Subject, Option<Question>) {
    if let Some(name) = given {
        let key = catalogue.table(name).map_or_else(|| "id".to_owned(), key_of);
        return (subject_of(name, key), None);
    }
    let mut ranked: Vec<(u32, &Table)> =
        wholes(catalogue).map(|t| (score(catalogue, t), t)).filter(|(score, _)| *score >= LIKELY).collect();
    let plain = ranked.iter().filter(|(score, _)| *score >= STRONG).count() == 1;
    if ranked.is_empty() {
        ranked = wholes(catalogue).map(|t| (referrers(catalogue, t) as u32, t)).collect();
    }
    ranked.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.name.cmp(&y.name)));
    let Some((_, best)) = ranked.first() else {
        return (subject_of(&TableName::new("public", "no_table_found"), "id".to_owned()), None);
    };
    let choices: Vec<String> = ranked.iter().map(|(_, t)| t.name.to_string()).collect();
    let question = (!plain).then(|| Question {
        ask: Ask::Root,
        text: questions::root(&best.name),
        columns: Vec::new(),
        choices,
        answer: String::new(),
    });
    (subject_of(&best.name, key_of(best)), question)
}

fn score(catalogue: &Catalogue, table: &Table) -> u32 {
    let referrers = referrers(catalogue, table);
    let country = table.columns.iter().any(|c| names_country(&c.name));
    let by_name = root_likeness(&table.name.name);
    let by_shape = if country && referrers >= REFERRERS_ENOUGH { LIKELY } else { 0 };
    match by_name.max(by_shape) {
        0 => 0,
        base => base + if country { 15 } else { 0 } + (referrers as u32).min(4),
    }
}

/// Other tables with a foreign key to this one.
fn referrers(catalogue: &Catalogue, table: &Table) -> usize {
    wholes(catalogue)
        .filter(|t| t.name != table.name && references(catalogue, t).any(|r| *r.to == table.name))
        .count()
}
