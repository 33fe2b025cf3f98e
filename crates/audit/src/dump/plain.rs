//! SQL as text, line by line: rows of COPY and INSERT by table and column, the rest as it stands.

use super::names::{self, Fields, Open, Target};
use crate::database::rows::{KeyPart, Rows, Value};
use crate::{Examiner, Gap, Place, Step};
use std::hash::RandomState;
use std::io::{self, BufRead, BufReader, Read};

/// The longest row or statement that is taken apart, in bytes; longer ones are searched as text, in pieces.
const LINE_BYTES_MAX: usize = 64 << 20;
/// So much is collected before it is searched, in bytes.
const RUN_BYTES: usize = 2 << 20;

/// How `pg_dump` and `pg_dumpall` say that a dump begins, and that it is complete.
const BANNER: &[u8] = b"-- PostgreSQL database ";

/// Searches SQL to its end.
pub(super) fn read(place: &Place, source: impl Read, examiner: &mut Examiner<'_>) -> io::Result<()> {
    let mut sql = Sql { place, naming: RandomState::new(), text: Text::default(), rows: None, at: 0 };
    let mut lines = Lines::new(source);
    let mut open = 0_u64;
    while let Some(line) = lines.next()? {
        open = match line.strip_prefix(BANNER).map(<[u8]>::trim_ascii_end) {
            Some(b"dump" | b"cluster dump") => open + 1,
            Some(b"dump complete" | b"cluster dump complete") => open.saturating_sub(1),
            _ => open,
        };
        if let Some(target) = names::copy(line) {
            sql.plain(line, examiner)?;
            sql.settle(examiner)?;
            copy(place, &target, &mut lines, &mut sql, examiner)?;
        } else if line.starts_with(b"INSERT INTO ") {
            let statement = statement(line.to_vec(), &mut lines)?;
            sql.insert(&statement, examiner)?;
        } else {
            sql.plain(line, examiner)?;
        }
        sql.at = lines.at;
    }
    if open > 0 {
        let why = "a dump of PostgreSQL without its last lines: it was cut off, or did not come to its end";
        examiner.unseen(place, Gap::Damaged, why);
    }
    sql.settle(examiner)
}

/// Searches what COPY writes, without a header: the data of an archive.
pub(super) fn read_rows(
    place: &Place,
    target: &Target,
    source: impl Read,
    examiner: &mut Examiner<'_>,
) -> io::Result<()> {
    let mut sql = Sql { place, naming: RandomState::new(), text: Text::default(), rows: None, at: 0 };
    copy(place, target, &mut Lines::new(source), &mut sql, examiner)?;
    sql.settle(examiner)
}

/// The rest of an INSERT that is longer than a line.
fn statement(mut statement: Vec<u8>, lines: &mut Lines<impl Read>) -> io::Result<Vec<u8>> {
    let mut open = Open::default();
    let mut ended = open.ends(&statement);
    while !ended && statement.len() < LINE_BYTES_MAX {
        let Some(line) = lines.next()? else { break };
        ended = open.ends(line);
        statement.extend_from_slice(line);
    }
    Ok(statement)
}

fn copy(
    place: &Place,
    target: &Target,
    lines: &mut Lines<impl Read>,
    sql: &mut Sql<'_>,
    examiner: &mut Examiner<'_>,
) -> io::Result<()> {
    let table = place.then(Step::Table(target.schema.clone(), target.table.clone()));
    let mut rows = Rows::new(&table, &target.columns, &sql.naming);
    let mut number = 0_u64;
    loop {
        let at = lines.at;
        let Some(line) = lines.next()? else { break };
        let whole = line.ends_with(b"\n");
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line == b"\\." {
            break;
        }
        number += 1;
        let fields = line.split(|byte| *byte == b'\t').map(names::field).collect::<Vec<_>>();
        if !whole && line.len() >= LINE_BYTES_MAX || fields.len() != target.columns.len() {
            // Not of the form that its header says: searched as it stands.
            sql.at = at;
            sql.plain(line, examiner)?;
            continue;
        }
        row(&mut rows, &fields, format!("row {number}, at byte {at}"), examiner)?;
    }
    rows.flush(examiner)
}

fn row(
    rows: &mut Rows,
    fields: &[Option<Vec<u8>>],
    key: String,
    examiner: &mut Examiner<'_>,
) -> io::Result<()> {
    rows.row(vec![KeyPart { column: None, text: key, personal: false }]);
    for (column, field) in fields.iter().enumerate() {
        let Some(bytes) = field else { continue };
        if let Some(value) = rows.value(Value { column, bytes }) {
            rows.alone(column, value.bytes, examiner)?;
        }
    }
    if rows.bytes() >= RUN_BYTES { rows.flush(examiner) } else { Ok(()) }
}

struct Sql<'p> {
    place: &'p Place,
    naming: RandomState,
    text: Text,
    /// Rows of INSERTs into one table, and how many there were.
    rows: Option<(Target, Rows, u64)>,
    /// Where the statement begins that is at hand, in bytes.
    at: u64,
}

/// Lines that wait to be searched, and where the first of them stands.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    at: u64,
}

impl Sql<'_> {
    fn plain(&mut self, line: &[u8], examiner: &mut Examiner<'_>) -> io::Result<()> {
        if self.text.bytes.is_empty() {
            self.text.at = self.at;
        } else if self.text.at + self.text.bytes.len() as u64 != self.at {
            self.search_text(examiner)?;
            self.text.at = self.at;
        }
        self.text.bytes.extend_from_slice(line);
        if self.text.bytes.len() >= RUN_BYTES { self.search_text(examiner) } else { Ok(()) }
    }

    fn search_text(&mut self, examiner: &mut Examiner<'_>) -> io::Result<()> {
        let (before, depth) = (examiner.kept(), self.place.0.len());
        examiner.read(self.place, &self.text.bytes[..])?;
        let at = self.text.at;
        examiner.place_again(before, |finding| {
            // Offsets of what was unpacked count from its own beginning.
            if finding.place.0.len() == depth {
                finding.offset_bytes += at;
            }
        });
        self.text.bytes.clear();
        Ok(())
    }

    fn insert(&mut self, statement: &[u8], examiner: &mut Examiner<'_>) -> io::Result<()> {
        let Some((target, all)) = parse_insert(statement) else { return self.plain(statement, examiner) };
        if self.rows.as_ref().is_none_or(|(last, _, _)| *last != target) {
            self.settle(examiner)?;
            let table = self.place.then(Step::Table(target.schema.clone(), target.table.clone()));
            let rows = Rows::new(&table, &target.columns, &self.naming);
            self.rows = Some((target, rows, 0));
        }
        let Some((_, rows, number)) = &mut self.rows else { return Ok(()) };
        for fields in &all {
            *number += 1;
            row(rows, fields, format!("row {number}, at byte {}", self.at), examiner)?;
        }
        Ok(())
    }

    /// Searches all that waits.
    fn settle(&mut self, examiner: &mut Examiner<'_>) -> io::Result<()> {
        if let Some((_, mut rows, _)) = self.rows.take() {
            rows.flush(examiner)?;
        }
        if self.text.bytes.is_empty() { Ok(()) } else { self.search_text(examiner) }
    }
}

/// The table and the rows; columns that the statement does not name are numbered.
fn parse_insert(statement: &[u8]) -> Option<(Target, Vec<Fields>)> {
    const VALUES: &[u8] = b" VALUES";
    let at = statement.windows(VALUES.len()).position(|some| some == VALUES)?;
    let head = std::str::from_utf8(statement.get(b"INSERT INTO ".len()..at)?).ok()?;
    let (mut target, _) = names::target(head)?;
    let rows = names::values(&statement[at + VALUES.len()..])?;
    let width = rows.first()?.len();
    if target.columns.is_empty() {
        target.columns = (1..=width).map(|n| format!("column {n}")).collect();
    }
    rows.iter().all(|row| row.len() == target.columns.len()).then_some((target, rows))
}

/// Lines with their `\n`, each at most so long; a longer one comes in pieces.
struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
    /// Bytes read so far.
    at: u64,
}

impl<R: Read> Lines<R> {
    fn new(from: R) -> Self {
        Self { from: BufReader::with_capacity(256 << 10, from), line: Vec::new(), at: 0 }
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let read = (&mut self.from).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut self.line)?;
        self.at += read as u64;
        Ok((read > 0).then_some(&self.line))
    }
}
