//! Which countries may be stored here: asked when a subject's root row comes and when its country changes.
//!
//! A new subject of a country that policy forbids here is refused with the rule; a subject whose country
//! changes later is marked for the next plan (`domicile_misplaced`), since refusing the truth would not
//! make it untrue. A country that is NULL or unknown to policy is refused both times. Mode `wave` does not ask.
//!
//! The country must be readable when the root row is written: from a column of the root, or over foreign
//! keys to rows that are there already.

use super::words::{self, MODE, raise};
use super::{NOT_EXEMPT, Plan, Trigger, trigger};
use crate::records::Admission;
use crate::sqlite::quote::{column, ident, literal};
use domicile_datamap::layout::{AttributePath, Owner};

/// The attribute at the end of a path for the root row `row`, as a scalar expression.
pub(crate) fn attribute(path: &AttributePath, row: &str) -> String {
    if path.hops.is_empty() {
        return column(row, &path.column);
    }
    let (mut from, mut on, mut before) = (Vec::new(), Vec::new(), row.to_owned());
    for (n, hop) in path.hops.iter().enumerate() {
        let alias = format!("c{n}");
        from.push(format!("{} AS {alias}", ident(&hop.table.name)));
        on.extend(hop.on.iter().map(|(b, a)| format!("{} = {}", column(&alias, a), column(&before, b))));
        before = alias;
    }
    format!(
        "(SELECT {} FROM {} WHERE {} LIMIT 1)",
        column(&before, &path.column),
        from.join(" CROSS JOIN "),
        on.join(" AND ")
    )
}

/// The country as `domicile_admission` spells it. SQLite's `upper` knows only ASCII; see [`spellings`].
fn country(plan: &Plan<'_>, row: &str) -> String {
    format!("upper(trim(CAST({} AS TEXT)))", attribute(&plan.layout.country, row))
}

/// True in SQL where the root row's country may be stored here.
pub(crate) fn allowed(plan: &Plan<'_>, row: &str) -> String {
    format!("EXISTS (SELECT 1 FROM domicile_admission WHERE country = {} AND allowed)", country(plan, row))
}

/// The statements that refuse, or count, a root row whose country is not admitted. One literal a rule.
pub(crate) fn refuse(plan: &Plan<'_>, row: &str) -> Vec<String> {
    let table = plan.layout.tables[0].name.to_string();
    let country = country(plan, row);
    let mut rules: Vec<_> = plan.admission.iter().filter(|a| !a.allowed).map(|a| a.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let arms: Vec<_> = rules
        .iter()
        .map(|rule| {
            let text =
                format!("RS002: {table}: policy forbids this subject here: {rule}; nothing was written");
            format!(" WHEN {} THEN {}", literal(rule), raise(&text))
        })
        .collect();
    let unknown = unknown(plan, row);
    let mut all = vec![refuse_unknown(&table, &unknown)];
    if !arms.is_empty() {
        all.push(format!(
            "SELECT CASE rule{} END FROM domicile_admission WHERE country = {country} AND NOT allowed AND {MODE} = 'enforce'",
            arms.concat()
        ));
    }
    all.extend(words::observe(&table, "country unknown to policy", &unknown));
    for rule in rules {
        let forbidden = format!(
            "EXISTS (SELECT 1 FROM domicile_admission WHERE country = {country} AND NOT allowed AND rule = {})",
            literal(rule)
        );
        all.extend(words::observe(&table, &format!("policy forbids this subject here: {rule}"), &forbidden));
    }
    all
}

/// The trigger on a later change of the country.
pub(crate) fn triggers(plan: &Plan<'_>) -> Vec<Trigger> {
    let Owner::Root { column: key } = &plan.layout.tables[0].owner else { return Vec::new() };
    let table = plan.layout.tables[0].name.to_string();
    let unknown = unknown(plan, "NEW");
    let path = &plan.layout.country;
    let columns: Vec<_> = match path.hops.first() {
        Some(hop) => hop.on.iter().map(|(c, _)| ident(c)).collect(),
        None => vec![ident(&path.column)],
    };
    let mut body = vec![refuse_unknown(&table, &unknown)];
    body.extend(words::observe(&table, "country unknown to policy", &unknown));
    body.push(format!("DELETE FROM domicile_misplaced WHERE subject = {}", column("NEW", key)));
    body.push(format!(
        "INSERT INTO domicile_misplaced(subject, rule) SELECT {}, rule FROM domicile_admission \
         WHERE country = {} AND NOT allowed",
        column("NEW", key),
        country(plan, "NEW")
    ));
    let when = format!(
        "{} IS NOT {} AND {MODE} <> 'wave' AND {NOT_EXEMPT}",
        country(plan, "NEW"),
        country(plan, "OLD")
    );
    vec![trigger(plan, 0, "country", &format!("AFTER UPDATE OF {}", columns.join(", ")), &when, &body)]
}

fn unknown(plan: &Plan<'_>, row: &str) -> String {
    format!("NOT EXISTS (SELECT 1 FROM domicile_admission WHERE country = {})", country(plan, row))
}

fn refuse_unknown(table: &str, unknown: &str) -> String {
    let text = format!(
        "RS002: {table}: the subject's country is missing or unknown to policy here; nothing was written"
    );
    format!("SELECT {} WHERE {MODE} = 'enforce' AND {unknown}", raise(&text))
}

/// The spellings under which the guard will find a country: the caller upper-cases all of Unicode,
/// SQLite's `upper` only a-z. So `TÜRKIYE` also stands as `TüRKIYE`, which is what becomes of `Türkiye`.
pub(crate) fn spellings(admission: &Admission) -> Vec<String> {
    let lower = admission.country.to_lowercase();
    let mut first = true;
    let title: String = lower
        .chars()
        .flat_map(|c| {
            let begins = std::mem::replace(&mut first, !c.is_alphanumeric());
            if begins { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect();
    let mut all: Vec<_> =
        [admission.country.as_str(), &lower, &title].iter().map(|s| s.trim().to_ascii_uppercase()).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_found_however_it_is_cased() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        for (upper, typed) in [
            ("TÜRKIYE", "Türkiye"),
            ("ÅLAND ISLANDS", "Åland Islands"),
            ("CÔTE D'IVOIRE", "Côte d'Ivoire"),
            ("CÔTE D'IVOIRE", "CÔTE D'IVOIRE"),
            ("IN", "in"),
        ] {
            let admission = Admission { country: upper.into(), allowed: true, rule: String::new() };
            let asked: String =
                conn.query_row("SELECT upper(trim(?1))", [format!(" {typed} ")], |r| r.get(0)).unwrap();
            assert!(
                spellings(&admission).contains(&asked),
                "{typed}: {asked} not in {:?}",
                spellings(&admission)
            );
        }
    }
}
