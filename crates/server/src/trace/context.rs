//! `traceparent` and `tracestate` (W3C Trace Context, sections 3.2, 3.3, 4.3): read strictly, since what is malformed must be
//! replaced and not repaired. Pure: fuzzed.

use super::{TRACEPARENT, TRACESTATE};
use http::{HeaderMap, HeaderValue};
use std::collections::HashSet;

/// Of a version that we know: `00-`, the trace, `-`, the parent, `-`, the flags.
const LENGTH: usize = 55;
/// Members of `tracestate` (section 3.3.1.1); an empty one counts.
const MEMBERS_MAX: usize = 32;
/// Bytes of `tracestate` that are passed on. The recommendation asks for 512 at least; more is more than a stranger should make
/// every application behind us read.
const STATE_BYTES_MAX: usize = 2_048;
/// Headers named `tracestate` that are joined.
const STATE_LINES_MAX: usize = 32;
/// The only flag that there is: whoever sent this may have recorded it. Others are set to zero (section 3.2.2.5.2).
const SAMPLED: u8 = 1;

/// A trace: 16 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A span: 8 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Display for SpanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What a request says of the trace that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The trace.
    pub trace: TraceId,
    /// The caller's span.
    pub parent: SpanId,
    /// The caller may have recorded it.
    pub is_sampled: bool,
}

impl Incoming {
    /// What one `traceparent` says; `None`: nothing that counts.
    ///
    /// A version above ours is read as far as ours goes (section 4.3); `ff` is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = (text.get(..LENGTH)?, &text[LENGTH..]);
        let [version] = bytes_of(head.get(..2)?)?;
        let is_ours = version == 0 && rest.is_empty();
        let is_later = version != 0 && version != 0xff && (rest.is_empty() || rest[0] == b'-');
        if !(is_ours || is_later) || [head[2], head[35], head[52]] != [b'-'; 3] {
            return None;
        }
        let (trace, parent, [flags]) =
            (bytes_of(&head[3..35])?, bytes_of(&head[36..52])?, bytes_of(&head[53..55])?);
        let is_somebody = trace != [0; 16] && parent != [0; 8];
        is_somebody.then_some(Self {
            trace: TraceId(trace),
            parent: SpanId(parent),
            is_sampled: flags & SAMPLED == SAMPLED,
        })
    }

    /// What the headers say: of two `traceparent` neither counts.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        match (all.next(), all.next()) {
            (Some(one), None) => Self::parse(one.as_bytes()),
            _ => None,
        }
    }
}

/// Small letters and digits only: capitals are malformed (section 3.2.2).
fn bytes_of<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_small = text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (is_small && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

/// What tracing systems in front of us added, as one line; nobody here reads what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State(HeaderValue);

impl State {
    /// The headers' `tracestate`, joined; `None` where there is none, or where it is malformed: it is then left out whole.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let (mut line, mut lines) = (Vec::new(), 0);
        for value in headers.get_all(TRACESTATE) {
            lines += 1;
            if lines > STATE_LINES_MAX || line.len() + value.len() >= STATE_BYTES_MAX {
                return None;
            }
            if lines > 1 {
                line.push(b',');
            }
            line.extend_from_slice(value.as_bytes());
        }
        is_list(&line).then(|| HeaderValue::from_bytes(&line).ok().map(Self)).flatten()
    }
}

/// A list of members with keys that differ; at least one (section 3.3.1).
fn is_list(line: &[u8]) -> bool {
    let (mut keys, mut members) = (HashSet::new(), 0);
    for member in line.split(|b| *b == b',') {
        members += 1;
        let member = without_blanks(member);
        if member.is_empty() {
            continue;
        }
        let Some(at) = member.iter().position(|b| *b == b'=') else { return false };
        if !is_key(&member[..at]) || !is_value(&member[at + 1..]) || !keys.insert(&member[..at]) {
            return false;
        }
    }
    members <= MEMBERS_MAX && !keys.is_empty()
}

fn without_blanks(member: &[u8]) -> &[u8] {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let Some(first) = member.iter().position(|b| !is_blank(b)) else { return &[] };
    let last = member.iter().rposition(|b| !is_blank(b)).unwrap_or(first);
    &member[first..=last]
}

/// `key`, or `tenant@system` (section 3.3.1.3.1).
fn is_key(key: &[u8]) -> bool {
    let is_rest = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let begins_small = |text: &[u8]| text.first().is_some_and(u8::is_ascii_lowercase);
    match key.iter().position(|b| *b == b'@') {
        None => begins_small(key) && key.len() <= 256 && key.iter().all(is_rest),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            let is_tenant = tenant.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let fits = tenant.len() <= 241 && system.len() <= 14;
            is_tenant && begins_small(system) && fits && tenant.iter().chain(system).all(is_rest)
        }
    }
}

/// Printable, without `,` and `=`, not ending with a blank (section 3.3.1.3.2).
fn is_value(value: &[u8]) -> bool {
    let is_fine = |b: &u8| (0x20..=0x7e).contains(b) && !matches!(b, b',' | b'=');
    !value.is_empty() && value.len() <= 256 && value.iter().all(is_fine) && !value.ends_with(b" ")
}

/// What this process says of itself to whom it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The trace, begun by somebody in front of us or here.
    pub trace: TraceId,
    /// Our span.
    pub span: SpanId,
    /// The caller's span; `None`: the trace begins here.
    pub parent: Option<SpanId>,
    /// It is recorded.
    pub is_sampled: bool,
}

impl Ids {
    /// Writes them in place of whatever is there.
    pub fn write(&self, state: Option<&State>, headers: &mut HeaderMap) {
        let line = format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.is_sampled));
        if let Ok(line) = HeaderValue::from_str(&line) {
            headers.insert(TRACEPARENT, line);
        }
        match state {
            // A trace that begins here has no state of others'.
            Some(State(line)) if self.parent.is_some() => drop(headers.insert(TRACESTATE, line.clone())),
            _ => drop(headers.remove(TRACESTATE)),
        }
    }
}

#[cfg(test)]
mod tests;
