//! The table, on 96 columns; colour only where somebody reads it in a terminal.

use crate::fault::Fault;
use crate::handset::leaky::Writing;
use crate::lines::Line;
use crate::lines::leaks::Leak;
use std::fmt::Write;

/// Columns.
const WIDTH: usize = 96;
/// Where the text of a line begins.
const INDENT: usize = 20;
/// Faults shown of a line; the rest are counted, and stand in the folder of evidence.
const FAULTS_SHOWN: usize = 6;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// What it needs is not built: no pass.
    NotBuilt,
}

/// A line with what was seen.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub line: Line,
    /// Whether it is as it should be.
    pub outcome: Outcome,
    /// What was seen, in words.
    pub seen: Vec<String>,
}

impl Row {
    /// A line that is judged by its faults; `seen` says what was counted.
    pub fn judged(line: Line, faults: &[Fault], mut seen: Vec<String>) -> Self {
        let built = !faults.iter().any(|fault| matches!(fault, Fault::NotBuilt(_)));
        let outcome = match (faults.is_empty(), built) {
            (true, _) => Outcome::Passed,
            (false, true) => Outcome::Failed,
            (false, false) => Outcome::NotBuilt,
        };
        seen.extend(faults.iter().take(FAULTS_SHOWN).map(Fault::to_string));
        if faults.len() > FAULTS_SHOWN {
            seen.push(format!("and {} more", faults.len() - FAULTS_SHOWN));
        }
        Self { line, outcome, seen }
    }
}

/// The whole page.
#[derive(Debug, Default)]
pub struct Page {
    /// What stands above: a word and what it means here.
    pub head: Vec<(&'static str, String)>,
    /// The lines.
    pub rows: Vec<Row>,
    /// The scenes of T8.
    pub leaks: Vec<Leak>,
    /// The folder of evidence.
    pub evidence: String,
}

impl Page {
    /// Is every line as it should be?
    pub fn passed(&self) -> bool {
        Line::ALL
            .iter()
            .all(|line| self.rows.iter().any(|row| row.line == *line && row.outcome == Outcome::Passed))
    }

    /// In text.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint(colour);
        let rule = paint.dim(&"─".repeat(WIDTH));
        let mut page =
            format!("\n{}  what a handset sends, seen from outside\n{rule}\n", paint.bold("THE 2014 TEST"));
        for (word, means) in &self.head {
            page.push_str(&wrapped(&format!("{word:<INDENT$}"), means));
        }
        page.push_str(&format!("{rule}\n"));
        for row in &self.rows {
            page.push_str(&self.row(row, &paint));
        }
        page.push_str(&format!("{rule}\n"));
        let not = self.rows.iter().filter(|row| row.outcome != Outcome::Passed).count();
        let verdict = match (self.passed(), not) {
            (true, _) => paint.good("Every line is as it should be."),
            (false, 1) => paint.bad("1 line is not as it should be."),
            (false, not) => paint.bad(&format!("{not} lines are not as they should be.")),
        };
        let _ = writeln!(page, "{verdict}  Evidence: {}", self.evidence);
        page
    }

    fn row(&self, row: &Row, paint: &Paint) -> String {
        let (happens, wanted) = row.line.title();
        let word = match row.outcome {
            Outcome::Passed if row.line == Line::T8 => paint.good("✓ all caught   "),
            Outcome::Passed => paint.good("✓ passed       "),
            Outcome::Failed => paint.bad("✗ FAILED       "),
            Outcome::NotBuilt => paint.bad("✗ NOT BUILT YET"),
        };
        let mut text = format!("{}  {word} {}\n", paint.bold(&row.line.to_string()), paint.bold(happens));
        let margin = " ".repeat(INDENT);
        text.push_str(&wrapped(&margin, &format!("must be: {wanted}")));
        for seen in &row.seen {
            text.push_str(&wrapped(&margin, seen));
        }
        if row.line == Line::T8 && !self.leaks.is_empty() {
            text.push_str(&matrix(&self.leaks, paint));
        }
        text
    }
}

/// Writings by lines: what each line said of the client that leaks.
fn matrix(leaks: &[Leak], paint: &Paint) -> String {
    let margin = " ".repeat(INDENT);
    let mut text = format!("{margin}{:<9}", "writing");
    for line in Line::LEAKING {
        let _ = write!(text, "{:<17}", format!("{line} says"));
    }
    text.push('\n');
    for writing in Writing::ALL {
        let mut row = format!("{margin}{:<9}", writing.name());
        for line in Line::LEAKING {
            let leak = leaks.iter().find(|leak| leak.writing == writing && leak.line == line);
            let said = leak.map_or_else(|| format!("{:<17}", "not played"), |leak| cell(leak, paint));
            row.push_str(&said);
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    for leak in leaks.iter().filter(|leak| leak.line == Line::T1) {
        let told = leak.faults.iter().find(|fault| matches!(fault, Fault::Carried(_)));
        if let Some(fault) = told {
            text.push_str(&wrapped(&format!("{margin}{:<9}", leak.writing.name()), &fault.to_string()));
        }
    }
    for leak in leaks.iter().filter(|leak| !leak.missed.is_empty()) {
        let said =
            format!("{} of {} did not say: {}", leak.line, leak.writing.name(), leak.missed.join("; "));
        text.push_str(&wrapped(&margin, &said));
    }
    text
}

/// Seventeen columns of what a line said.
fn cell(leak: &Leak, paint: &Paint) -> String {
    let carried = leak.faults.iter().filter(|fault| matches!(fault, Fault::Carried(_))).count();
    if leak.missed.is_empty() {
        paint.good(&format!("{:<17}", format!("✗ fails, {carried}")))
    } else {
        paint.bad(&format!("{:<17}", format!("! MISSED {}", leak.missed.len())))
    }
}

/// `text` behind `first`, its further lines as far in.
fn wrapped(first: &str, text: &str) -> String {
    let indent = first.chars().count();
    let (mut out, mut column) = (first.to_owned(), indent);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

/// Escape sequences (ECMA-48), or none.
struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }

    fn good(&self, text: &str) -> String {
        self.with("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.with("1;31", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let rows = Line::ALL.iter().map(|line| Row::judged(*line, &[], vec!["0 packets".into()])).collect();
        Page {
            head: vec![("seen by", "tcpdump ".repeat(20))],
            rows,
            evidence: "/e".into(),
            ..Page::default()
        }
    }

    #[test]
    fn every_line_stands_in_it_and_none_is_too_wide() {
        let text = page().render(false);
        for line in Line::ALL {
            assert!(text.contains(&format!("{line}  ✓")), "{line}: {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\x1b') && page().render(true).contains('\x1b'));
    }

    #[test]
    fn what_is_missing_or_not_built_is_no_pass() {
        assert!(page().passed());
        let mut missing = page();
        missing.rows.pop();
        assert!(!missing.passed());
        let mut absent = page();
        absent.rows[4] = Row::judged(Line::T5, &[Fault::NotBuilt("the relay".into())], Vec::new());
        assert!(!absent.passed());
        assert!(absent.render(false).contains("T5  ✗ NOT BUILT YET"), "{}", absent.render(false));
        assert!(absent.render(false).contains("1 line is not as it should be."));
    }
}
