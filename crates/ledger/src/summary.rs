//! A verified receipt in a human's words: labels and values for the command line.

use crate::doubts::{doubts, joined};
use crate::shown::shown;
use crate::{Header, Location, Outcome, Region, Role, SingleReceipt, TableLeft, Verified};

/// Label and value.
type Line = (String, String);

impl Verified {
    /// Labels and values in the order to show them; several lines may have the same label. The last
    /// ones are `not proven`. A single receipt's summary shows the subject's id: it is its holder's.
    pub fn summary(&self) -> Vec<Line> {
        let h = &self.header;
        let mut lines = vec![
            line("receipt of", format!("wave {} of service {}", h.wave.id, h.wave.service)),
            line("from", region(&h.wave.source)),
            line("to", region(&h.wave.target)),
        ];
        lines.extend(self.single.iter().flat_map(single));
        lines.extend(moved(h));
        lines.extend(why(h));
        lines.extend(left(h));
        lines.push(line("standbys", standbys(h)));
        lines.push(line("erasure", h.wave.erasure.to_string()));
        for r in &h.wave.residue {
            let ends = r.ends.map_or("does not end".to_owned(), |d| format!("ends {d}"));
            lines.push(line("residue", format!("{} at {}: {} ({ends})", r.field, r.place, r.reason)));
        }
        lines.extend(h.wave.residue_searches.iter().map(|search| line("residue search", search.to_string())));
        lines.push(line("signed at", h.wave.times.signed_at.to_string()));
        for s in &self.signers {
            let role = if s.role == Role::Source { "source" } else { "target" };
            let verdict = if s.trusted { "trusted" } else { "NOT among the trusted keys" };
            lines.push(line("signed by", format!("{} ({role}): {verdict}", s.key.name())));
        }
        lines.extend(self.not_proven().into_iter().map(|clause| line("not proven", clause)));
        lines
    }

    /// Clauses that complete "It is not proven ...": the file's own, and what follows from its facts and
    /// from whom you trust.
    pub fn not_proven(&self) -> Vec<String> {
        let mut all = Vec::new();
        for s in self.signers.iter().filter(|s| !s.trusted) {
            all.push(format!(
                "that region `{}` signed: its key is not among the trusted ones",
                s.key.region()
            ));
        }
        if self.single.is_some() {
            all.push("the wave's totals and pauses: this file shows one subject's line only".into());
        }
        joined(joined(all, &doubts(&self.header.wave)), &self.header.wave.not_proven)
    }
}

/// INVARIANT: no text of the file steers the terminal that it is shown at; a subject's id is whatever somebody signed up with.
fn line(label: &str, value: String) -> Line {
    (label.to_owned(), shown(&value))
}

fn region(r: &Region) -> String {
    let known = match &r.location {
        Location::Declared => "location declared".to_owned(),
        Location::Observed { how } => format!("location observed: {how}"),
        Location::Attested { by } => format!("location attested by {by}"),
    };
    format!("{} in {}, operator under the law of {} ({known})", r.id, r.country, r.operator)
}

fn single(s: &SingleReceipt) -> Vec<Line> {
    let mut lines = vec![line("subject", s.opening.subject.clone())];
    let outcome = match &s.record.outcome {
        Outcome::Moved => format!("moved, epoch {} -> {}", s.record.epoch_before, s.record.epoch_after),
        Outcome::Stayed { code } => format!("stayed ({code}), epoch {}", s.record.epoch_after),
    };
    lines.push(line("outcome", outcome));
    for t in &s.record.tables {
        lines.push(line("its rows", format!("{}: {} rows, {} bytes", t.table, t.rows, t.bytes)));
    }
    if let Some(o) = &s.record.objects {
        lines.push(line("its objects", format!("{} objects, {} bytes", o.count, o.bytes)));
    }
    if let Some(at) = s.record.fenced_at {
        lines.push(line("fenced at", at.to_string()));
    }
    if let Some(us) = s.record.pause_us {
        lines.push(line("its pause", ms(us)));
    }
    if let Some(at) = s.record.logically_erased_at {
        lines.push(line("logically erased at", format!("{at} (see erasure)")));
    }
    lines
}

fn moved(h: &Header) -> Vec<Line> {
    let t = &h.totals;
    let stayed =
        if t.subjects_stayed > 0 { format!(", {} stayed", t.subjects_stayed) } else { String::new() };
    let mut lines = vec![
        line("subjects", format!("{} moved{stayed}", t.subjects_moved)),
        line("rows", format!("{} rows, {} bytes", t.rows, t.bytes)),
    ];
    lines.extend(
        t.tables.iter().map(|(name, s)| line("table", format!("{name}: {} rows, {} bytes", s.rows, s.bytes))),
    );
    lines.push(line("objects", format!("{} objects, {} bytes", t.objects, t.object_bytes)));
    let pause = h.pause.map_or("none measured".to_owned(), |p| {
        format!("p50 {}, p99 {}, longest {}", ms(p.p50_us), ms(p.p99_us), ms(p.max_us))
    });
    lines.push(line("pause", pause));
    lines
}

fn why(h: &Header) -> Vec<Line> {
    let mut lines: Vec<_> =
        h.wave.policy.laws.iter().map(|l| line("law", format!("{}: {}", l.law, l.reason))).collect();
    lines.push(line("policy", h.wave.policy.hash.clone()));
    lines.push(line("data map", h.wave.map_hash.clone()));
    lines.push(line("plan", h.wave.plan_hash.clone()));
    lines
}

fn left(h: &Header) -> Vec<Line> {
    let w = &h.wave;
    let tables = |label: &'static str, all: &[TableLeft]| -> Vec<Line> {
        let rows = |t: &TableLeft| t.rows.map_or("rows not counted".to_owned(), |n| format!("{n} rows"));
        all.iter().map(|t| line(label, format!("{} ({}): {}", t.table, rows(t), t.reason))).collect()
    };
    let mut lines = tables("excluded", &w.excluded);
    lines.extend(tables("reference", &w.reference));
    lines.extend(tables("unmapped", &w.unmapped));
    lines.extend(w.not_moved.iter().map(|s| line("not moved", format!("{}: {}", s.name, s.note))));
    let keys = w.dropped_foreign_keys.iter();
    lines.extend(keys.map(|k| line("foreign key dropped", format!("{} of {}", k.constraint, k.table))));
    lines
}

fn standbys(h: &Header) -> String {
    match h.wave.standbys.names() {
        [] => h.wave.standbys.says().to_owned(),
        names => format!("{}: {}", h.wave.standbys.says(), names.join(", ")),
    }
}

/// Microseconds as milliseconds with one digit.
fn ms(us: u64) -> String {
    let tenths = us.div_ceil(100);
    format!("{}.{} ms", tenths / 10, tenths % 10)
}
