//! The words of the questions, in one place. Each says what was found and what each answer does.

use super::country::Candidates;
use crate::catalogue::{Engine, Table, TableKind, TableName};
use crate::relations::{Reference, label, nullable};

pub(super) const STORES: &str = "Do other stores hold data of these subjects: a search index, a cache, a queue, \
a warehouse? none, or declared: then name each in a [[declared]] with name and note.";

pub(super) fn root(best: &TableName) -> String {
    format!(
        "Which table's rows are the subjects? This map was written for {best}; for another one run \
         `domicile init --root` with it."
    )
}

pub(super) fn country(found: &Candidates) -> String {
    let tail = "Any column of the root, or a path of foreign keys such as address_id->country_id->code, is understood.";
    match (found.plain.len(), found.others.is_empty()) {
        (0, true) => format!("Where does the subject's country stand? Nothing was found. {tail}"),
        (0, false) => {
            format!("Where does the subject's country stand? The root has no plain column for it. {tail}")
        }
        _ => format!("Which column is the country the subject lives in? {tail}"),
    }
}

pub(super) fn owner(table: &Table, labels: &[String], two_subjects: bool) -> String {
    let ways = labels.join(", ");
    let name = &table.name;
    if two_subjects {
        format!(
            "A row of {name} leads to subjects by {ways}. Which one owns the row: with whom does it move?"
        )
    } else {
        format!(
            "A row of {name} leads to a subject by {ways}. Which way is the owner's? Where both lead to \
             the same subject, both must always agree."
        )
    }
}

pub(super) fn other(table: &Table, others: &[Reference<'_>], choices: &[&str]) -> String {
    let list: Vec<String> = others.iter().map(|r| format!("{} (to {})", label(table, r.key), r.to)).collect();
    let sides: Vec<&str> = choices
        .iter()
        .map(|choice| match *choice {
            "keep-id" => "keep-id = the id moves along, the foreign key must not exist at any region",
            "null" => "null = it is NULL at the new home",
            "refuse" => "refuse = no move while the other subject lives elsewhere",
            _ => "same = it is always the same subject, nothing to do",
        })
        .collect();
    let apart = match others {
        [_] => "",
        _ => {
            " For an answer of its own to each, remove this question and write other = { COLUMN = answer, ... } at the table."
        }
    };
    format!(
        "{} points at rows that may be another subject's: {}. What about a side that does not own the row? {}.{apart}",
        table.name,
        list.join(", "),
        sides.join("; ")
    )
}

pub(super) fn ownerless(table: &Table, ways: &[Reference<'_>]) -> String {
    let ways = ways.iter().filter(|w| nullable(table, &w.key.columns));
    let columns: Vec<String> = ways.map(|w| label(table, w.key)).collect();
    format!(
        "{} may be NULL in {}: such a row has no owner. refuse = the guard refuses such rows; \
         exclude-drop-key = the table does not move, and its foreign key must not exist at any region.",
        columns.join(", "),
        table.name
    )
}

pub(super) fn reach(table: &Table, columns: &[String]) -> String {
    let direct = match columns {
        [] => String::new(),
        _ => format!(" {} = that column holds the subject's key.", columns.join(", ")),
    };
    format!(
        "Nothing ties {} to a subject or to a shared table. reference = shared, copied to each region; \
         excluded = stays where it is.{direct}",
        table.name
    )
}

pub(super) fn personal(table: &Table, columns: &[&str]) -> String {
    format!(
        "{} belongs to no subject, but may be personal: {}. What is copied to other regions? copy = all \
         columns; stub = only the key and fillers for NOT NULL columns; exclude = nothing.",
        table.name,
        columns.join(", ")
    )
}

pub(super) fn storage(table: &Table, exclude: &str) -> String {
    let (what, convert) = match table.kind {
        TableKind::Unlogged => (
            "is unlogged: a crash empties it, so no move of it can be promised",
            "convert = you make it an ordinary table (ALTER TABLE ... SET LOGGED); ",
        ),
        TableKind::Foreign => ("is a foreign table: its rows live elsewhere", ""),
        _ => ("is a virtual table; it may hold copies of personal data, which would stay behind", ""),
    };
    format!("{} {what}. {convert}{}.", table.name, exclusion(exclude))
}

/// Answers for a table that can't be moved as it is.
pub(super) fn storage_choices(kind: TableKind, exclude: &'static str, root: bool) -> Vec<&'static str> {
    let mut choices = Vec::new();
    if kind == TableKind::Unlogged || root {
        choices.push("convert");
    }
    if !root {
        choices.push(exclude);
    }
    choices
}

pub(super) fn key(table: &Table, exclude: &str) -> String {
    format!(
        "{} has no primary key, so its rows can't be told apart. add-key = you add one; {}.",
        table.name,
        exclusion(exclude)
    )
}

fn exclusion(exclude: &str) -> String {
    match exclude {
        "exclude" => "exclude = it stays where it is".to_owned(),
        _ => format!("{exclude} = it stays where it is, and its foreign key must not exist at any region"),
    }
}

pub(super) fn trigger(engine: Engine, table: &Table, trigger: &str) -> String {
    let pinned = match engine {
        Engine::Postgres => {
            " It runs with search_path pinned to pg_catalog: a table named in it without its schema is not found \
             (ALTER FUNCTION ... SET search_path = ... mends that)."
        }
        Engine::Sqlite => "",
    };
    format!(
        "May the trigger {trigger} of {} fire while rows are loaded, changed and erased by a move? It must not \
         change rows that move, or both sides differ and nobody goes.{pinned} safe = it may; remove = you drop \
         it at every region.",
        table.name
    )
}

pub(super) fn object(table: &Table, column: &str) -> String {
    format!(
        "Does {column} of {} hold keys of the object store? no, or what happens to an object that no row \
         names: sweep = it moves as well; deny = it must not exist.",
        table.name
    )
}
