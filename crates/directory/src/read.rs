//! From rows to values, and lists of parameters.

use crate::{Directory, Error, Result, SubjectHash};
use domicile_stores::control::Value;

/// Reads a row's columns from left to right.
pub(crate) struct Columns<'a> {
    directory: &'a Directory,
    rest: std::slice::Iter<'a, Value>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(directory: &'a Directory, row: &'a [Value]) -> Self {
        Self { directory, rest: row.iter() }
    }

    fn wrong<T>(&self, wanted: &str) -> Result<T> {
        let (store, what) = (self.directory.name(), format!("a column of the directory is not {wanted}"));
        Err(Error::Corrupt { store, what })
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        match self.rest.next() {
            Some(Value::Int(n)) => Ok(*n),
            _ => self.wrong("a number"),
        }
    }

    pub(crate) fn count(&mut self) -> Result<u64> {
        let n = self.int()?;
        u64::try_from(n).or_else(|_| self.wrong("a count"))
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        match self.rest.next() {
            Some(Value::Text(text)) => Ok(text.clone()),
            _ => self.wrong("a text"),
        }
    }

    pub(crate) fn text_or_null(&mut self) -> Result<Option<String>> {
        match self.rest.next() {
            Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            _ => self.wrong("a text or NULL"),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<[u8; 16]> {
        match self.rest.next() {
            Some(Value::Bytes(bytes)) => bytes.as_slice().try_into().or_else(|_| self.wrong("16 bytes")),
            _ => self.wrong("16 bytes"),
        }
    }

    pub(crate) fn hash(&mut self) -> Result<SubjectHash> {
        self.bytes().map(SubjectHash)
    }

    pub(crate) fn json(&mut self) -> Result<serde_json::Value> {
        let text = self.text()?;
        serde_json::from_str(&text).or_else(|_| self.wrong("JSON"))
    }
}

/// `$a, $b, ...` for `count` parameters that begin with number `first`.
pub(crate) fn numbers(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// `($a, $b), ($c, $d), ...`: `rows` rows of `width` parameters that begin with number `first`.
pub(crate) fn tuples(first: usize, rows: usize, width: usize) -> String {
    let row = |i: usize| format!("({})", numbers(first + i * width, width));
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// `$a, $d, ...`: the first of each of those rows.
///
/// Named in the condition beside a join with the rows: SQLite has no notion of how few they are, and joins by reading
/// every home of the service for each of them.
pub(crate) fn firsts(first: usize, rows: usize, width: usize) -> String {
    (0..rows).map(|i| format!("${}", first + i * width)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{firsts, numbers, tuples};

    #[test]
    fn parameters_are_numbered_on() {
        assert_eq!(numbers(3, 2), "$3, $4");
        assert_eq!(tuples(2, 2, 3), "($2, $3, $4), ($5, $6, $7)");
        assert_eq!(firsts(2, 2, 3), "$2, $5");
    }
}
