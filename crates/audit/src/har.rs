//! HTTP archives, HAR 1.2: one entry at a time. The file itself is searched as it stands, too, so only what its text
//! hides needs to be understood: bodies in base64, and to whom they went.

use crate::unpack::{Search, Spot, Stretch, open};
use crate::{Gap, Step};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

/// One entry in the file; a larger one ends what is read of it as HAR.
const ENTRY_BYTES_MAX: u64 = 64 << 20;

/// Reads the HAR that a stretch begins with.
pub(crate) fn read<S: Search>(stretch: &mut Stretch<'_, '_, S>) {
    let (opener, depth) = (stretch.opener(), stretch.depth_inside());
    let place = stretch.spot().at(0);
    let entry_bytes = Cell::new(0);
    let mut number = 0;
    let mut each = |entry: &Value| {
        entry_bytes.set(0);
        let host = text(entry, "/request/url").map(host_of).unwrap_or_default();
        let place = place.then(Step::Entry(number, host));
        number += 1;
        for (part, bytes) in parts(entry) {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(why) => {
                    opener.unseen(place.then(Step::Http(part)), Gap::Damaged, why);
                    continue;
                }
            };
            let spot: Spot = place.then(Step::Http(part)).into();
            // Bytes in memory can't fail to be read.
            let _ = open(opener, depth, &spot, &mut &bytes[..]);
        }
    };
    let skip = usize::from(stretch.peek(3) == b"\xef\xbb\xbf") * 3;
    stretch.advance(skip);
    let source = Entrywise { source: &mut *stretch, entry_bytes: &entry_bytes };
    let mut json = serde_json::Deserializer::from_reader(io::BufReader::new(source));
    let read = Document(Key::Log, &mut each).deserialize(&mut json);
    if let Err(error) = read {
        let at = error.line();
        let why = format!(
            "the HTTP archive can't be read on from its entry {number} (line {at}): the rest was searched as it stands"
        );
        stretch.unseen(Gap::Damaged, why);
    }
}

/// Fails where one entry is too large.
struct Entrywise<'c, R> {
    source: R,
    entry_bytes: &'c Cell<u64>,
}

impl<R: Read> Read for Entrywise<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.entry_bytes.set(self.entry_bytes.get() + read as u64);
        if self.entry_bytes.get() > ENTRY_BYTES_MAX {
            return Err(io::Error::other("an entry is too large"));
        }
        Ok(read)
    }
}

/// Which object is read: the document, whose `log` counts, or the log, whose `entries` do.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    Log,
    Entries,
}

struct Document<'f>(Key, &'f mut dyn FnMut(&Value));

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an HTTP archive")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match (self.0, key.as_str()) {
                (Key::Log, "log") => map.next_value_seed(Document(Key::Entries, &mut *self.1))?,
                (Key::Entries, "entries") => map.next_value_seed(Entries(&mut *self.1))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Entries<'f>(&'f mut dyn FnMut(&Value));

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element::<Value>()? {
            (self.0)(&entry);
        }
        Ok(())
    }
}

type Part = (String, Result<Vec<u8>, String>);

/// Everything in an entry that was sent or received.
fn parts(entry: &Value) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = |name: String, text: &str| parts.push((name, Ok(text.as_bytes().to_vec())));
    if let Some(url) = text(entry, "/request/url") {
        part("request line".into(), url);
    }
    let lists = [
        ("/request/headers", "header"),
        ("/request/cookies", "cookie"),
        ("/request/queryString", "query"),
        ("/request/postData/params", "form field"),
        ("/response/headers", "header"),
        ("/response/cookies", "cookie"),
    ];
    for (pointer, what) in lists {
        for pair in entry.pointer(pointer).and_then(Value::as_array).into_iter().flatten() {
            let (name, value) = (text(pair, "/name").unwrap_or(""), text(pair, "/value").unwrap_or(""));
            let short: String = name.to_lowercase().chars().take(100).collect();
            part(format!("{what} {short}"), &format!("{name}: {value}"));
        }
    }
    if let Some(redirect) = text(entry, "/response/redirectURL").filter(|url| !url.is_empty()) {
        part("header location".into(), redirect);
    }
    for (pointer, name) in [("/request/postData", "request body"), ("/response/content", "response body")] {
        if let Some(body) = entry.pointer(pointer) {
            parts.extend(text(body, "/text").map(|text| (name.to_owned(), decoded(body, text))));
        }
    }
    parts
}

/// A body as it was sent.
fn decoded(body: &Value, text_of: &str) -> Result<Vec<u8>, String> {
    match text(body, "/encoding") {
        None | Some("") => Ok(text_of.as_bytes().to_vec()),
        Some(base64) if base64.eq_ignore_ascii_case("base64") => {
            let packed: Vec<u8> = text_of.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            BASE64_STANDARD.decode(packed).map_err(|_| "a body in base64 that is none".to_owned())
        }
        Some(other) => Err(format!("a body in the encoding {other:?}, which is not known")),
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer)?.as_str()
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> String {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    let authority = after.split(['/', '?', '#']).next().unwrap_or("");
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = host.rfind(':').filter(|at| host[at + 1..].bytes().all(|byte| byte.is_ascii_digit()));
    host[..port.unwrap_or(host.len())].chars().take(255).collect()
}

#[cfg(test)]
mod tests;
