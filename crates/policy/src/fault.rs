//! What is wrong with a policy file, where, and what to do.

use std::fmt;

/// One fault in one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The file's name as given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line's text.
    pub source_line: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl Fault {
    /// A fault at byte `offset` of `text`.
    pub(crate) fn at(file: &str, text: &str, offset: usize, what: String, fix: String) -> Self {
        let (line, column, source_line) = place_of(text, offset);
        Self { file: file.to_owned(), line, column, source_line, what, fix }
    }
}

/// Line and column (from 1) of a byte offset, and the line's text.
pub(crate) fn place_of(text: &str, offset: usize) -> (usize, usize, String) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column, text.lines().nth(line - 1).unwrap_or("").to_owned())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)?;
        let number = self.line.to_string();
        writeln!(f, "  {number} | {}", self.source_line)?;
        // Tabs stay tabs, so that the caret stands under its character.
        let pad: String =
            self.source_line.chars().take(self.column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        writeln!(f, "  {} | {pad}^", " ".repeat(number.len()))?;
        write!(f, "  fix: {}", self.fix)
    }
}

/// All faults of a set of policy files, in the order of files and lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
