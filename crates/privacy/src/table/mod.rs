//! The table, on 80 columns; colour only where somebody reads it in a terminal. What is to be known stands last, where a terminal
//! shows it: what was sent then beside what is sent now.

pub mod compare;
mod leaks;
mod paint;
mod planted;

use crate::fault::Fault;
use crate::lines::Line;
use crate::lines::leaks::Leak;
use crate::lines::plants::Caught;
use compare::Compared;
use paint::{Paint, wrapped};
use std::fmt::Write;

/// Columns.
const WIDTH: usize = 80;
/// Where the text of a line begins.
const INDENT: usize = 4;
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
    /// Those that were played once more over TLS.
    pub sealed: Vec<Row>,
    /// Why there are none, where there are none.
    pub unsealed: Option<String>,
    /// The scenes of T8.
    pub leaks: Vec<Leak>,
    /// The faults that were planted.
    pub planted: Vec<Caught>,
    /// Then beside now.
    pub compared: Vec<Compared>,
    /// The folder of evidence.
    pub evidence: String,
}

impl Page {
    /// Is every line as it should be?
    pub fn passed(&self) -> bool {
        let all = Line::ALL
            .iter()
            .all(|line| self.rows.iter().any(|row| row.line == *line && row.outcome == Outcome::Passed));
        all && self.amiss() == 0
    }

    /// How many lines, planted faults and lines over TLS are not as they should be.
    fn amiss(&self) -> usize {
        let rows = self.rows.iter().chain(&self.sealed).filter(|row| row.outcome != Outcome::Passed).count();
        rows + self.planted.iter().filter(|caught| !caught.is()).count()
    }

    /// In text.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint(colour);
        let rule = paint.dim(&"─".repeat(WIDTH));
        let mut page =
            format!("\n{}  what leaves a phone, seen from outside\n{rule}\n", paint.bold("THE 2014 TEST"));
        for (word, means) in &self.head {
            page.push_str(&wrapped(&format!("{word:<9}"), means));
        }
        for row in &self.rows {
            page.push('\n');
            page.push_str(&self.row(row, &paint));
        }
        page.push_str(&planted::table(&self.planted, &paint));
        page.push_str(&self.over_tls(&paint));
        page.push_str(&compare::table(&self.compared, &paint));
        let verdict = match (self.passed(), self.amiss()) {
            (true, _) => paint.good("Every line is as it should be."),
            (false, 1) => paint.bad("1 line is not as it should be."),
            (false, not) => paint.bad(&format!("{not} lines are not as they should be.")),
        };
        let _ = writeln!(page, "\n{rule}\n{verdict}\nevidence: {}", self.evidence);
        page
    }

    fn row(&self, row: &Row, paint: &Paint) -> String {
        let (happens, wanted) = row.line.title();
        let word = match row.outcome {
            Outcome::Passed if row.line == Line::T8 => paint.good("✓ all caught"),
            Outcome::Passed => paint.good("✓ passed"),
            Outcome::Failed => paint.bad("✗ FAILED"),
            Outcome::NotBuilt => paint.bad("✗ NOT BUILT YET"),
        };
        let margin = " ".repeat(INDENT);
        let mut text = format!("{}  {word}\n", paint.bold(&row.line.to_string()));
        text.push_str(&wrapped(&margin, happens));
        text.push_str(&wrapped(&margin, &format!("must be: {wanted}")));
        for seen in &row.seen {
            text.push_str(&wrapped(&margin, seen));
        }
        if row.line == Line::T8 && !self.leaks.is_empty() {
            text.push_str(&leaks::matrix(&self.leaks, paint));
        }
        text
    }

    /// The same lines, and what was seen of them from outside.
    fn over_tls(&self, paint: &Paint) -> String {
        let title = paint.bold("OVER TLS");
        if let Some(why) = &self.unsealed {
            return format!("\n{title}\n{}", wrapped(&" ".repeat(INDENT), why));
        }
        let mut text = format!("\n{title}  the same handset, and only what can be seen from outside\n");
        for row in &self.sealed {
            let word =
                if row.outcome == Outcome::Passed { paint.good("✓") } else { paint.bad("✗ FAILED") };
            let mut seen = row.seen.iter();
            let first = seen.next().map_or("", String::as_str);
            // The colours take no room.
            let head = if row.outcome == Outcome::Passed { "✓" } else { "✗ FAILED" };
            let plain = wrapped(&format!("{}  {head} ", row.line), first);
            text.push_str(&plain.replacen(head, &word, 1));
            for seen in seen {
                text.push_str(&wrapped(&" ".repeat(6), seen));
            }
        }
        text
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
            unsealed: Some("no namespaces".into()),
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
        assert!(text.contains("OVER TLS\n    no namespaces"), "{text}");
        assert!(!text.contains('\x1b') && page().render(true).contains('\x1b'));
    }

    #[test]
    fn what_is_missing_or_not_built_is_no_pass() {
        assert!(page().passed());
        let mut missing = page();
        missing.rows.pop();
        assert!(!missing.passed());
        let mut unsealed = page();
        unsealed.sealed.push(Row::judged(Line::T5, &[Fault::Wrong("two exchanges".into())], Vec::new()));
        assert!(!unsealed.passed());
        let mut missed = page();
        let plant = &crate::lines::plants::PLANTS[0];
        missed.planted.push(Caught { plant, told: None, why: None });
        assert!(!missed.passed());
        assert!(missed.render(false).contains("MISSED"), "{}", missed.render(false));
        let mut absent = page();
        absent.rows[4] = Row::judged(Line::T5, &[Fault::NotBuilt("the relay".into())], Vec::new());
        assert!(!absent.passed());
        assert!(absent.render(false).contains("T5  ✗ NOT BUILT YET"), "{}", absent.render(false));
        assert!(absent.render(false).contains("1 line is not as it should be."));
    }
}
