//! Lines in and out: bounded, and strict about their one spelling.

use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::BufRead;

/// Reads lines that end with `\n`, counting them, each at most so long.
pub(crate) struct Lines<R> {
    from: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, line: Vec::new(), number: 0 }
    }

    /// The number of the line read last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its `\n`; `None` at the end of the file. A last line without `\n` and a line
    /// longer than `bytes_max` are errors.
    pub(crate) fn next(&mut self, bytes_max: usize) -> Result<Option<&[u8]>> {
        self.line.clear();
        loop {
            let buffer = match self.from.fill_buf() {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() {
                return match self.line.is_empty() {
                    true => Ok(None),
                    false => Err(Error::line(self.number + 1, "the file ends in the middle of a line")),
                };
            }
            let end = buffer.iter().position(|b| *b == b'\n');
            let taken = end.unwrap_or(buffer.len());
            if self.line.len() + taken > bytes_max {
                return Err(Error::line(self.number + 1, format!("longer than {bytes_max} bytes")));
            }
            self.line.extend_from_slice(&buffer[..taken]);
            self.from.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                self.number += 1;
                return Ok(Some(&self.line));
            }
        }
    }

    /// The next line, which must be there.
    pub(crate) fn need(&mut self, bytes_max: usize, what: &str) -> Result<&[u8]> {
        let number = self.number + 1;
        self.next(bytes_max)?.ok_or_else(|| Error::line(number, format!("the file ends before {what}")))
    }
}

/// Reads a line that must print again to the same bytes. That excludes white space, other orders of
/// fields, fields twice, other escapes and other spellings of numbers and times, without a list of them.
pub(crate) fn canonical<T: Serialize + DeserializeOwned>(line: &[u8], number: u64, what: &str) -> Result<T> {
    // The parser's message may quote the line, and an opening holds a subject's id: only the place is told.
    let value: T = serde_json::from_slice(line)
        .map_err(|e| Error::line(number, format!("not {what} of this format, at byte {}", e.column())))?;
    match print(&value) {
        Ok(again) if again == line => Ok(value),
        _ => Err(Error::line(number, format!("{what} is not spelled as Domicile writes it"))),
    }
}

/// The one spelling of a value, without `\n`.
pub(crate) fn print<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|_| Error::record("it can't be written as JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_bounded_and_must_end() {
        let mut lines = Lines::new(&b"ab\n\ncdef\nx"[..]);
        assert_eq!(lines.next(4).unwrap(), Some(&b"ab"[..]));
        assert_eq!(lines.next(4).unwrap(), Some(&b""[..]));
        assert_eq!(lines.next(4).unwrap(), Some(&b"cdef"[..]));
        assert_eq!(lines.number(), 3);
        assert_eq!(lines.next(4).unwrap_err().to_string(), "line 4: the file ends in the middle of a line");
        let mut lines = Lines::new(&b"abcde\n"[..]);
        assert_eq!(lines.next(4).unwrap_err().to_string(), "line 1: longer than 4 bytes");
        assert!(Lines::new(&b""[..]).next(4).unwrap().is_none());
    }

    #[test]
    fn an_endless_line_is_refused_before_it_is_held() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        let mut lines = Lines::new(endless);
        assert!(lines.next(100_000).is_err());
        assert!(lines.line.capacity() < 1_000_000);
    }
}
