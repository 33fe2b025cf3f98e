//! DNS (RFC 1035): which names were asked for, and which addresses were given for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Questions and answers read of one message.
const RECORDS_MAX: usize = 256;
/// A name of more labels, or more hops, is damaged.
const LABELS_MAX: usize = 128;

/// What is read of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// It is a question, not an answer.
    pub(super) query: bool,
    /// The names asked for, lossy and lower case.
    pub(super) names: Vec<String>,
    /// The addresses in the answer.
    pub(super) addresses: Vec<IpAddr>,
}

/// Reads a message; None if it is none. What can be read of a damaged one is.
pub(super) fn message(bytes: &[u8]) -> Option<Message> {
    let field = |at: usize| bytes.get(at..at + 2).map(|field| u16::from_be_bytes([field[0], field[1]]));
    let (flags, questions, answers) = (field(2)?, field(4)?, field(6)?);
    field(10)?;
    if flags & 0x7800 != 0 && flags & 0x7800 != 0x2800 {
        return None;
    }
    let mut message = Message { query: flags & 0x8000 == 0, ..Message::default() };
    let mut at = 12;
    for _ in 0..usize::from(questions).min(RECORDS_MAX) {
        let Some((name, after)) = name(bytes, at) else { return Some(message) };
        message.names.push(name);
        at = after + 4;
    }
    for _ in 0..usize::from(answers).min(RECORDS_MAX) {
        let Some((_, after)) = name(bytes, at) else { break };
        let (Some(kind), Some(length)) = (field(after), field(after + 8)) else { break };
        let data = bytes.get(after + 10..after + 10 + usize::from(length));
        match (kind, data) {
            (1, Some(data)) => {
                message
                    .addresses
                    .extend(<[u8; 4]>::try_from(data).ok().map(|data| IpAddr::V4(Ipv4Addr::from(data))));
            }
            (28, Some(data)) => {
                message
                    .addresses
                    .extend(<[u8; 16]>::try_from(data).ok().map(|data| IpAddr::V6(Ipv6Addr::from(data))));
            }
            (_, Some(_)) => {}
            (_, None) => break,
        }
        at = after + 10 + usize::from(length);
    }
    Some(message)
}

/// A name and where what follows it begins. Compression only ever points back.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut name, mut after) = (String::new(), None);
    for _ in 0..LABELS_MAX {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => return Some((name, after.unwrap_or(at + 1))),
            1..=63 => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(
                    &String::from_utf8_lossy(bytes.get(at + 1..=at + length)?).to_ascii_lowercase(),
                );
                at += 1 + length;
            }
            192.. => {
                let to = (length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                after.get_or_insert(at + 2);
                if to >= at {
                    return None;
                }
                at = to;
            }
            _ => return None,
        }
    }
    None
}
