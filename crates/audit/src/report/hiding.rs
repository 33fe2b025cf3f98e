//! No report shows an identifier: names of files, objects and tables are strangers' texts, and may hold one.

use super::{Asked, Report};
use crate::{Captured, Encoding, Found, Hit, Place, Scan, Step, Wanted};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Replaces every identifier in what the report says of places, by its fingerprint in brackets.
pub fn hide(report: &mut Report, asked: &mut Asked, wanted: &Wanted) {
    let mut hidden = Hidden { wanted, known: HashMap::new() };
    for finding in &mut report.findings {
        hidden.place(&mut finding.place);
    }
    for unseen in &mut report.unseen {
        hidden.place(&mut unseen.place);
        hidden.text(&mut unseen.why);
    }
    for captured in &mut report.captures {
        hidden.captured(captured);
    }
    for target in &mut asked.targets {
        hidden.text(target);
    }
}

/// One text without identifiers.
pub(crate) fn hidden(text: String, wanted: &Wanted) -> String {
    without(&text, wanted).unwrap_or(text)
}

struct Hidden<'w> {
    wanted: &'w Wanted,
    /// Texts that were looked at, and what became of them: most stand in many places.
    known: HashMap<String, Option<String>>,
}

impl Hidden<'_> {
    fn place(&mut self, place: &mut Place) {
        for step in &mut place.0 {
            match step {
                Step::File(text)
                | Step::Member(text)
                | Step::Database(text)
                | Step::Column(text)
                | Step::Key(text)
                | Step::Object(text)
                | Step::Metadata(text)
                | Step::Http(text)
                | Step::Entry(_, text) => self.text(text),
                Step::Table(schema, table) => {
                    self.text(schema);
                    self.text(table);
                }
                Step::Flow { host: Some(host), .. } => self.text(host),
                _ => {}
            }
        }
    }

    /// The names that hosts were called by: a label of one may be somebody's number.
    fn captured(&mut self, captured: &mut Captured) {
        captured.place.iter_mut().for_each(|place| self.place(place));
        captured.flows.iter_mut().filter_map(|flow| flow.host.as_mut()).for_each(|host| self.text(host));
        self.names(&mut captured.queried);
        captured.names.values_mut().for_each(|names| self.names(names));
    }

    fn names(&mut self, names: &mut BTreeSet<String>) {
        let hidden = std::mem::take(names).into_iter().map(|mut name| {
            self.text(&mut name);
            name
        });
        *names = hidden.collect();
    }

    fn text(&mut self, text: &mut String) {
        let wanted = self.wanted;
        if !self.known.contains_key(text.as_str()) {
            self.known.insert(text.clone(), without(text, wanted));
        }
        if let Some(Some(hidden)) = self.known.get(text.as_str()) {
            text.clone_from(hidden);
        }
    }
}

/// The text without identifiers; `None`: it has none.
fn without(text: &str, wanted: &Wanted) -> Option<String> {
    let mut hits = Hits::default();
    let mut scan = Scan::new(wanted);
    scan.feed(text.as_bytes(), &mut hits);
    scan.end(&mut hits);
    if hits.0.is_empty() {
        return None;
    }
    hits.0.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let (mut out, mut at) = (String::new(), 0);
    for (range, identifier) in hits.0 {
        let (start, end) = (range.start as usize, (range.end as usize).min(text.len()));
        if start < at && end <= at {
            continue;
        }
        let from = start.max(at);
        out.push_str(&String::from_utf8_lossy(&text.as_bytes()[at..from]));
        if start >= at {
            out.push_str(&format!("[{}]", wanted.named(identifier).1));
        }
        at = end;
    }
    out.push_str(&String::from_utf8_lossy(&text.as_bytes()[at..]));
    Some(out)
}

#[derive(Default)]
struct Hits(Vec<(Range<u64>, u32)>);

impl Found for Hits {
    fn hit(&mut self, hit: Hit) {
        self.0.push((hit.at, hit.identifier));
    }

    fn inner(&mut self, at: u64, _how: Encoding, bytes: &[u8]) {
        let _ = (at, bytes);
    }
}
