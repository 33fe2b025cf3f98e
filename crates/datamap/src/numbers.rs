//! Numbers that regions give to new rows, and whether two of them will give the same one.
//!
//! Each region's sequence counts for itself. A number given twice is a row that can't move (its key is
//! taken at the other region) or an insert that fails there. PostgreSQL's sequences can count in strides,
//! each region in a class of its own; SQLite's rowids can't.

use crate::catalogue::{TableName, quoted};
use std::collections::{BTreeMap, BTreeSet};

/// Sequences this far apart will not meet: numbers given until then.
const FAR: i128 = 500_000_000;

/// Between the greatest number known and the first of a new stride: numbers given until all regions have it.
const ROOM: i128 = 1_000;

/// The smallest stride proposed: room for more regions later.
const STRIDE_MIN: i64 = 8;

/// What gives a column its numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Giver {
    /// The column's own identity (`GENERATED ... AS IDENTITY`).
    Identity,
    /// A sequence: `serial`, or one named in the column's default.
    Sequence(TableName),
    /// SQLite: one more than the greatest there is (or was, with AUTOINCREMENT).
    Rowid,
}

/// A column of a mapped table whose numbers must differ from row to row and are given by the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// The table.
    pub table: TableName,
    /// The column: it is a key or unique by itself.
    pub column: String,
    /// What gives them.
    pub giver: Giver,
    /// The number it gives next; `None` where the role may not read the sequence.
    pub next: Option<i64>,
    /// The distance between two numbers.
    pub step: i64,
    /// The greatest number in the column.
    pub greatest: Option<i64>,
}

/// Regions that will give, or have begun to give, the same numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// In words.
    pub what: String,
    /// What to do, a line each; statements name their region in a comment.
    pub remedy: Vec<String>,
    /// At a region the next insert meets a row that is there already.
    pub now: bool,
}

/// One sequence at one region.
#[derive(Debug, Clone, Copy)]
struct Count<'a> {
    region: &'a str,
    at: usize,
    numbers: &'a Numbers,
    /// The greatest number in any column that it serves.
    greatest: Option<i64>,
}

/// Sequences by what gives the numbers, each with its regions in the order of the configuration.
type Counts<'a> = BTreeMap<(Giver, Option<(&'a TableName, &'a str)>), Vec<Count<'a>>>;

/// Sequences of mapped tables that give the same numbers at two regions. `regions`: all of the service's
/// that have its tables, by id; `planned`: how many there will be.
pub fn clashes(regions: &[(String, Vec<Numbers>)], planned: usize) -> Vec<Clash> {
    let counts = counts(regions);
    let planned = i64::try_from(planned.max(regions.len())).unwrap_or(i64::MAX);
    let rowids: Vec<_> =
        counts.iter().filter(|((giver, _), all)| *giver == Giver::Rowid && all.len() > 1).collect();
    let mut clashes: Vec<Clash> = counts
        .iter()
        .filter(|((giver, _), all)| *giver != Giver::Rowid && meeting(all))
        .map(|(_, all)| clash(all, planned))
        .collect();
    if !rowids.is_empty() {
        clashes.push(of_rowids(rowids.iter().filter_map(|(_, all)| all.first()).map(|c| c.numbers)));
    }
    clashes
}

/// Statements that give a new region, without rows yet, classes of its own in the strides that the other
/// regions have, above all numbers they gave before they had strides. What these leave [`clashes`] tells.
pub fn join_strides(regions: &[(String, Vec<Numbers>)], new: &str) -> Vec<String> {
    let counts = counts(regions);
    let free = |all: &Vec<Count<'_>>| -> Option<String> {
        let (own, others): (Vec<Count<'_>>, Vec<_>) = all.iter().copied().partition(|c| c.region == new);
        let own = own.first()?;
        let step = own.numbers.step;
        let alike = step > 1 && !others.is_empty() && others.iter().all(|c| c.numbers.step == step);
        if !alike {
            return None;
        }
        let stride = i128::from(step);
        let taken: Option<BTreeSet<i128>> =
            others.iter().map(|c| c.numbers.next.map(|n| i128::from(n).rem_euclid(stride))).collect();
        let class = {
            let taken = taken?;
            (0..stride).find(|class| !taken.contains(class))?
        };
        statement(own.numbers, step, base(all, stride) + class)
    };
    counts.iter().filter(|((giver, _), _)| *giver != Giver::Rowid).filter_map(|(_, all)| free(all)).collect()
}

fn counts(regions: &[(String, Vec<Numbers>)]) -> Counts<'_> {
    let mut counts = Counts::new();
    for (at, (region, all)) in regions.iter().enumerate() {
        for numbers in all {
            let own = !matches!(numbers.giver, Giver::Sequence(_));
            let place = own.then_some((&numbers.table, numbers.column.as_str()));
            let all = counts.entry((numbers.giver.clone(), place)).or_default();
            match all.iter_mut().find(|c| c.at == at) {
                // A sequence that several tables share.
                Some(count) => count.greatest = count.greatest.max(numbers.greatest),
                None => all.push(Count { region, at, numbers, greatest: numbers.greatest }),
            }
        }
    }
    counts
}

/// Two of them give the same number one day.
fn meeting(all: &[Count<'_>]) -> bool {
    let pairs = all.iter().enumerate().flat_map(|(n, a)| all[n + 1..].iter().map(move |b| (a, b)));
    pairs.into_iter().any(|(a, b)| meet(a.numbers, b.numbers))
}

fn meet(a: &Numbers, b: &Numbers) -> bool {
    let (Some(next_a), Some(next_b)) = (a.next, b.next) else { return true };
    let apart = i128::from(next_a) - i128::from(next_b);
    let common = gcd(i128::from(a.step), i128::from(b.step)).max(1);
    apart.rem_euclid(common) == 0 && apart.abs() < FAR
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

fn clash(all: &[Count<'_>], planned: i64) -> Clash {
    let numbers = all[0].numbers;
    let regions: Vec<&str> = all.iter().map(|c| c.region).collect();
    // A row that came with its number from elsewhere: the sequence does not know it.
    let behind: Vec<&str> = all.iter().filter(|c| is_behind(c)).map(|c| c.region).collect();
    let place = format!("{} of {}", numbers.column, numbers.table);
    let mut what = format!(
        "{} give the same numbers to {place}: such a row can't move, or an insert fails",
        listed(&regions)
    );
    if !behind.is_empty() {
        what.push_str(&format!("; at {} numbers to come are taken already", listed(&behind)));
    }
    if all.iter().any(|c| c.numbers.next.is_none()) {
        what.push_str("; not every region lets its sequence be read (GRANT SELECT ON SEQUENCE)");
    }
    let same = all.iter().all(|c| c.numbers.step == numbers.step) && numbers.step >= planned;
    let stride = match same && numbers.step > 1 {
        true => numbers.step,
        false => {
            2_i64.saturating_mul(planned).max(STRIDE_MIN).unsigned_abs().next_power_of_two().cast_signed()
        }
    };
    let base = base(all, i128::from(stride));
    let remedy = all.iter().filter_map(|c| {
        let own = statement(c.numbers, stride, base + 1 + c.at as i128)?;
        Some(format!("{own} -- at {}", c.region))
    });
    Clash { what, remedy: remedy.collect(), now: !behind.is_empty() }
}

/// Rows stand ahead that it would give the numbers of.
fn is_behind(count: &Count<'_>) -> bool {
    let (Some(next), Some(greatest)) = (count.numbers.next, count.greatest) else { return false };
    count.numbers.step > 0 && next <= greatest
}

/// A multiple of the stride above every number known.
fn base(all: &[Count<'_>], stride: i128) -> i128 {
    let known = all.iter().flat_map(|c| [c.numbers.next, c.greatest]).flatten();
    let top = i128::from(known.max().unwrap_or(0).max(0)) + ROOM;
    (top / stride + 1) * stride
}

/// The statement that lets it count on from `start` in steps of `stride`.
fn statement(numbers: &Numbers, stride: i64, start: i128) -> Option<String> {
    match &numbers.giver {
        Giver::Rowid => None,
        Giver::Identity => Some(format!(
            "ALTER TABLE {} ALTER COLUMN {} SET INCREMENT BY {stride} RESTART WITH {start};",
            numbers.table.in_sql(),
            quoted(&numbers.column)
        )),
        Giver::Sequence(name) => {
            Some(format!("ALTER SEQUENCE {} INCREMENT BY {stride} RESTART WITH {start};", name.in_sql()))
        }
    }
}

fn of_rowids<'a>(all: impl Iterator<Item = &'a Numbers>) -> Clash {
    let tables: Vec<String> = all.map(|n| n.table.name.clone()).collect();
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    let what = format!(
        "each region's SQLite numbers new rows of {} by itself, where the application gives no key: two give the \
         same number, and such a row can't move",
        listed(&tables)
    );
    let remedy =
        "let the application give the keys: UUIDs, or numbers in a class of their own at each region"
            .to_owned();
    Clash { what, remedy: vec![remedy], now: false }
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(next: i64, step: i64, greatest: i64) -> Numbers {
        Numbers {
            table: TableName::new("public", "line"),
            column: "id".into(),
            giver: Giver::Identity,
            next: Some(next),
            step,
            greatest: (greatest > 0).then_some(greatest),
        }
    }

    fn at(all: &[(&str, Numbers)]) -> Vec<(String, Vec<Numbers>)> {
        all.iter().map(|(region, n)| ((*region).to_owned(), vec![n.clone()])).collect()
    }

    #[test]
    fn two_that_count_alike_clash_and_the_statements_end_it() {
        let before = at(&[("de", numbers(201, 1, 200)), ("us", numbers(1, 1, 0))]);
        let found = clashes(&before, 2);
        assert_eq!(found.len(), 1);
        assert!(!found[0].now);
        assert_eq!(
            found[0].remedy,
            [
                "ALTER TABLE \"public\".\"line\" ALTER COLUMN \"id\" SET INCREMENT BY 8 RESTART WITH 1209; -- at de",
                "ALTER TABLE \"public\".\"line\" ALTER COLUMN \"id\" SET INCREMENT BY 8 RESTART WITH 1210; -- at us",
            ]
        );
        assert!(clashes(&at(&[("de", numbers(1209, 8, 200)), ("us", numbers(1210, 8, 0))]), 2).is_empty());
    }

    #[test]
    fn moved_rows_ahead_of_a_sequence_clash_now() {
        let found = clashes(&at(&[("de", numbers(201, 1, 200)), ("us", numbers(1, 1, 180))]), 2);
        assert!(
            found[0].now && found[0].what.contains("at us numbers to come are taken"),
            "{}",
            found[0].what
        );
    }

    #[test]
    fn what_does_not_meet_is_no_clash() {
        for (a, b) in [
            (numbers(1, 2, 0), numbers(2, 2, 0)),
            (numbers(1, 4, 0), numbers(3, 6, 0)),
            (numbers(-3, 4, 0), numbers(2, 4, 0)),
            (numbers(1, 1, 0), numbers(1_000_000_001, 1, 0)),
        ] {
            let expected = if a.step == 4 && b.step == 6 { 1 } else { 0 };
            assert_eq!(clashes(&at(&[("a", a), ("b", b)]), 2).len(), expected);
        }
        assert!(clashes(&at(&[("a", numbers(1, 1, 0))]), 2).is_empty(), "one region counts for itself");
    }

    #[test]
    fn an_unread_sequence_is_not_trusted() {
        let unread = Numbers { next: None, ..numbers(0, 8, 0) };
        let found = clashes(&at(&[("a", numbers(1, 8, 0)), ("b", unread)]), 2);
        assert!(found[0].what.contains("GRANT SELECT ON SEQUENCE"));
    }

    #[test]
    fn a_sequence_of_two_tables_is_one() {
        let shared = |table: &str, greatest| Numbers {
            table: TableName::new("public", table),
            giver: Giver::Sequence(TableName::new("public", "s")),
            ..numbers(5, 1, greatest)
        };
        let all = ["a", "b"].map(|r| (r.to_owned(), vec![shared("x", 3), shared("y", 9_000)]));
        let found = clashes(&all, 2);
        assert_eq!((found.len(), found[0].remedy.len()), (1, 2));
        assert_eq!(
            found[0].remedy[0],
            "ALTER SEQUENCE \"public\".\"s\" INCREMENT BY 8 RESTART WITH 10009; -- at a"
        );
    }

    #[test]
    fn a_new_region_takes_a_free_class_of_the_stride() {
        let all = at(&[("de", numbers(1601, 8, 1600)), ("us", numbers(802, 8, 0)), ("fr", numbers(1, 8, 0))]);
        let taken = join_strides(&all, "fr");
        assert_eq!(
            taken,
            ["ALTER TABLE \"public\".\"line\" ALTER COLUMN \"id\" SET INCREMENT BY 8 RESTART WITH 2608;"]
        );
        let after =
            at(&[("de", numbers(1601, 8, 1600)), ("us", numbers(802, 8, 0)), ("fr", numbers(2608, 8, 0))]);
        assert!(clashes(&after, 3).is_empty());
        // No stride, or none left: told, not guessed.
        assert!(join_strides(&at(&[("de", numbers(9, 1, 8)), ("fr", numbers(1, 1, 0))]), "fr").is_empty());
        let full = at(&[("a", numbers(1, 2, 0)), ("b", numbers(2, 2, 0)), ("c", numbers(1, 2, 0))]);
        assert!(join_strides(&full, "c").is_empty() && clashes(&full, 3).len() == 1);
    }

    #[test]
    fn rowids_are_told_once_for_all_tables() {
        let rowid = |table: &str| Numbers {
            table: TableName::new("main", table),
            giver: Giver::Rowid,
            ..numbers(1, 1, 0)
        };
        let all = ["a", "b"].map(|r| (r.to_owned(), vec![rowid("x"), rowid("y")]));
        let found = clashes(&all, 2);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("x and y") && found[0].remedy[0].contains("UUIDs"));
    }
}
