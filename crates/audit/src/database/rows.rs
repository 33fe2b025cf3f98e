//! Many small values, handed over in one run a column, and the findings put back to their rows.

use crate::examine::Mark;
use crate::{Examiner, Fingerprint, Place, Step};
use std::hash::{BuildHasher, RandomState};
use std::io;

/// Values from this length on are handed over alone: what they contain may be a container.
const ALONE_BYTES: usize = 1024;
/// Stands between two values of a run: bytes that belong to no token in any encoding.
const BETWEEN: &[u8] = b"\n\x01\n";

/// A value of a row.
pub(crate) struct Value<'a> {
    pub column: usize,
    pub bytes: &'a [u8],
}

/// One part of a row's key.
pub(crate) struct KeyPart {
    /// The column, where it is one of those that are searched.
    pub column: Option<usize>,
    /// Its text.
    pub text: String,
    /// Could the column name a person? Then only a fingerprint is shown.
    pub personal: bool,
}

/// The rows of one table, some at a time.
pub(crate) struct Rows {
    table: Place,
    columns: Vec<Run>,
    keys: Vec<Vec<KeyPart>>,
    naming: RandomState,
    bytes: usize,
}

struct Run {
    place: Place,
    bytes: Vec<u8>,
    /// Where the value of which row begins.
    starts: Vec<(u64, usize)>,
}

/// Findings without their row: `finding number -> row`, `column`.
struct Hit {
    finding: usize,
    row: usize,
    column: usize,
}

impl Rows {
    pub(crate) fn new(table: &Place, columns: &[String], naming: &RandomState) -> Self {
        let run = |name: &String| Run {
            place: table.then(Step::Column(name.clone())),
            bytes: Vec::new(),
            starts: Vec::new(),
        };
        let columns = columns.iter().map(run).collect();
        Self { table: table.clone(), columns, keys: Vec::new(), naming: naming.clone(), bytes: 0 }
    }

    /// Bytes that wait to be searched.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next row; large values of it are given to [`Rows::alone`] after this.
    pub(crate) fn row(&mut self, key: Vec<KeyPart>) {
        self.bytes += key.iter().map(|k| k.text.len() + 48).sum::<usize>();
        self.keys.push(key);
    }

    /// A value of the last row. One that may be a container comes back: read it with [`Rows::alone`].
    pub(crate) fn value<'v>(&mut self, value: Value<'v>) -> Option<Value<'v>> {
        if value.bytes.is_empty() {
            return None;
        }
        if value.bytes.len() >= ALONE_BYTES || looks_packed(value.bytes) {
            return Some(value);
        }
        let (run, row) = (&mut self.columns[value.column], self.keys.len() - 1);
        run.starts.push((run.bytes.len() as u64, row));
        run.bytes.extend_from_slice(value.bytes);
        run.bytes.extend_from_slice(BETWEEN);
        self.bytes += value.bytes.len() + BETWEEN.len();
        None
    }

    /// Searches one value of the last row by itself.
    pub(crate) fn alone(
        &mut self,
        column: usize,
        bytes: impl io::Read,
        examiner: &mut Examiner<'_>,
    ) -> io::Result<()> {
        let before = examiner.kept();
        let place = self.columns[column].place.clone();
        examiner.read(&place, bytes)?;
        let personal = examiner.kept() > before && self.is_key(column);
        let key = self.key(self.keys.len() - 1, personal);
        let depth = place.0.len();
        // The row stands before what the value unpacks to.
        examiner.place_again(before, |finding| finding.place.0.insert(depth, Step::Key(key.clone())));
        Ok(())
    }

    /// Searches what waits, and forgets it.
    pub(crate) fn flush(&mut self, examiner: &mut Examiner<'_>) -> io::Result<()> {
        let mut hits = Vec::new();
        for column in 0..self.columns.len() {
            if self.columns[column].bytes.is_empty() {
                continue;
            }
            let mark = examiner.mark();
            examiner.read(&self.columns[column].place, &self.columns[column].bytes[..])?;
            if self.all_plain(column, &mark, examiner) {
                self.assign(column, &mark, examiner, &mut hits);
            } else {
                // An offset in what was unpacked tells no row: once more, value by value.
                examiner.rewind(&mark);
                self.one_by_one(column, examiner, &mut hits)?;
            }
        }
        self.name_rows(&hits, examiner);
        for run in &mut self.columns {
            run.bytes.clear();
            run.starts.clear();
        }
        self.keys.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Does every finding since the mark stand in the run itself, and not in something packed in it?
    fn all_plain(&self, column: usize, mark: &Mark, examiner: &mut Examiner<'_>) -> bool {
        let (mut plain, depth) = (true, self.columns[column].place.0.len());
        examiner.place_again(mark.kept(), |found| plain &= found.place.0.len() == depth);
        plain
    }

    fn assign(&self, column: usize, mark: &Mark, examiner: &mut Examiner<'_>, hits: &mut Vec<Hit>) {
        let run = &self.columns[column];
        let mut finding = mark.kept();
        examiner.place_again(finding, |found| {
            let at = run.starts.partition_point(|(start, _)| *start <= found.offset_bytes).saturating_sub(1);
            let (start, row) = run.starts[at];
            found.offset_bytes -= start;
            hits.push(Hit { finding, row, column });
            finding += 1;
        });
    }

    fn one_by_one(&self, column: usize, examiner: &mut Examiner<'_>, hits: &mut Vec<Hit>) -> io::Result<()> {
        let run = &self.columns[column];
        for (n, (start, row)) in run.starts.iter().enumerate() {
            let end =
                run.starts.get(n + 1).map_or(run.bytes.len(), |(next, _)| *next as usize) - BETWEEN.len();
            let before = examiner.kept();
            examiner.read(&run.place, &run.bytes[*start as usize..end])?;
            hits.extend((before..examiner.kept()).map(|finding| Hit { finding, row: *row, column }));
        }
        Ok(())
    }

    /// INVARIANT: a key in whose column an identifier was found is not shown as text, whatever its type.
    fn name_rows(&self, hits: &[Hit], examiner: &mut Examiner<'_>) {
        let Some(first) = hits.first() else { return };
        let depth = self.table.0.len() + 1;
        let mut at = hits.iter().map(|hit| {
            let named = hits.iter().any(|h| h.row == hit.row && self.is_key(h.column));
            (hit.finding, self.key(hit.row, named))
        });
        let mut number = first.finding;
        let mut next = at.next();
        examiner.place_again(first.finding, |finding| {
            if let Some((_, key)) = next.take_if(|(n, _)| *n == number) {
                finding.place.0.insert(depth, Step::Key(key));
                next = at.next();
            }
            number += 1;
        });
    }

    fn is_key(&self, column: usize) -> bool {
        self.keys.first().is_some_and(|parts| parts.iter().any(|part| part.column == Some(column)))
    }

    fn key(&self, row: usize, personal: bool) -> String {
        let parts =
            self.keys[row].iter().map(|part| match part.personal || personal && part.column.is_some() {
                true => format!("#{}", Fingerprint(self.naming.hash_one(&part.text))),
                false => part.text.clone(),
            });
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// Does it begin like gzip, zlib, Zstandard, LZ4 or zip?
fn looks_packed(bytes: &[u8]) -> bool {
    match bytes {
        [0x1f, 0x8b, ..]
        | [0x28, 0xb5, 0x2f, 0xfd, ..]
        | [0x04, 0x22, 0x4d, 0x18, ..]
        | [b'P', b'K', 3, 4, ..] => true,
        [a, b, ..] => a & 0x0f == 8 && a >> 4 <= 7 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0,
        _ => false,
    }
}
