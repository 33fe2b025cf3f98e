//! HTTP/1.x in one direction of a connection (RFC 9112), read leniently: what is no message is a part by itself, so that
//! every byte is in some part.

use std::borrow::Cow;
use std::ops::Range;

/// Longer heads are searched as they stand.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// Headers of one message.
const HEADERS_MAX: usize = 1_000;
/// Messages and stretches between them in one piece.
const PARTS_MAX: usize = 200_000;
/// A start line is looked for this far only in what follows something that is no message, so that the search is linear.
const START_LINE_BYTES_MAX: usize = 8 << 10;

/// One part of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<'b> {
    /// `request line`, `header NAME`, `request body`; None for what is no HTTP.
    pub(super) name: Option<String>,
    pub(super) bytes: Cow<'b, [u8]>,
    /// Which bytes of the stream it is made of: where they begin in the part, and where in the stream.
    pub(super) made_of: Vec<(usize, usize)>,
    /// How the body is packed, by its header.
    pub(super) packed: Option<Packed>,
    /// It ends before its length.
    pub(super) cut: bool,
}

/// A content coding that the bytes do not show by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packed {
    /// gzip and zstd: their magic shows them.
    ByMagic,
    /// `deflate`: with or without the zlib frame.
    Deflate,
    /// Not opened.
    Other(String),
}

/// What a stream turned out to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts<'b> {
    pub(super) parts: Vec<Part<'b>>,
    /// The last Host header.
    pub(super) host: Option<String>,
    /// The connection went over to this protocol.
    pub(super) upgraded: Option<String>,
}

/// Takes the bytes of one direction apart; None where they do not begin as HTTP and hold no message.
pub(super) fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let mut all = Parts::default();
    let mut at = 0;
    while at < bytes.len() && all.parts.len() < PARTS_MAX && all.upgraded.is_none() {
        if starts(&bytes[at..]).is_some()
            && let Some(head) = head_length(&bytes[at..])
        {
            at = message(bytes, at, head, &mut all);
        } else {
            // Where a start line has no head, no other has one before the bound either: the search stays linear.
            let headless = starts(&bytes[at..]).map_or(1, |_| HEAD_BYTES_MAX - 4);
            let next = next_start(bytes, (at + headless).min(bytes.len()));
            all.parts.push(whole(None, bytes, at..next));
            at = next;
        }
    }
    if at < bytes.len() {
        all.parts.push(whole(None, bytes, at..bytes.len()));
    }
    all.parts.iter().any(|part| part.name.is_some()).then_some(all)
}

/// `Some(true)` for a request line, `Some(false)` for a status line.
fn starts(bytes: &[u8]) -> Option<bool> {
    if bytes.starts_with(b"HTTP/1.") {
        return Some(false);
    }
    if !bytes.first()?.is_ascii_uppercase() {
        return None;
    }
    let line = &bytes[..bytes.len().min(START_LINE_BYTES_MAX)];
    let method = line.iter().take(21).position(|byte| *byte == b' ').filter(|at| *at >= 3)?;
    if !line[..method].iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_')) {
        return None;
    }
    let line = &line[..memchr::memchr(b'\n', line)?];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    (line.len() > 9 && line[..line.len() - 1].ends_with(b" HTTP/1.")).then_some(true)
}

/// The next line that begins a message.
fn next_start(bytes: &[u8], from: usize) -> usize {
    let mut lines = memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| from + at + 1);
    lines.find(|at| starts(&bytes[*at..]).is_some()).unwrap_or(bytes.len())
}

/// The length of a head with its empty line; what there is of it at the end of the stream.
fn head_length(bytes: &[u8]) -> Option<usize> {
    let within = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let crlf = memchr::memmem::find(within, b"\r\n\r\n").map(|at| at + 4);
    let lf = memchr::memmem::find(&within[..crlf.unwrap_or(within.len())], b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min().or_else(|| (bytes.len() <= HEAD_BYTES_MAX).then_some(bytes.len()))
}

/// What the headers say of the body.
#[derive(Default)]
struct Said {
    length: Option<usize>,
    chunked: bool,
    packed: Option<Packed>,
    /// Lower case: the protocol of an `Upgrade` header.
    upgrade: Option<String>,
}

/// Reads a message at `at`; returns where it ends.
fn message<'b>(bytes: &'b [u8], at: usize, head: usize, all: &mut Parts<'b>) -> usize {
    let request = starts(&bytes[at..]) == Some(true);
    let (mut said, mut line_at, end) = (Said::default(), at, at + head);
    let status = bytes.get(at + 9..at + 12).unwrap_or_default();
    for n in 0..HEADERS_MAX {
        let line_end =
            memchr::memchr(b'\n', &bytes[line_at..end]).map_or(end, |newline| line_at + newline + 1);
        let line = bytes[line_at..line_end].trim_ascii_end();
        if n == 0 {
            let name = if request { "request line" } else { "status line" };
            all.parts.push(whole(Some(name.into()), bytes, line_at..line_end));
        } else if !line.is_empty() {
            let name = header(line, &mut said, &mut all.host);
            all.parts.push(whole(Some(name), bytes, line_at..line_end));
        }
        line_at = line_end;
        if line_at >= end {
            break;
        }
    }
    if line_at < end {
        all.parts.push(whole(None, bytes, line_at..end));
    }
    if !request && status == b"101" {
        all.upgraded = Some(said.upgrade.unwrap_or_else(|| "another protocol".into()));
        return end;
    }
    let bodyless = !request && (status.starts_with(b"1") || status == b"204" || status == b"304");
    body(bytes, end, request, bodyless, said, all)
}

/// Notes what a header says; returns the name of its part.
fn header(line: &[u8], said: &mut Said, host: &mut Option<String>) -> String {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let name = String::from_utf8_lossy(line[..colon].trim_ascii()).to_ascii_lowercase();
    let value =
        String::from_utf8_lossy(line.get(colon + 1..).unwrap_or_default()).trim().to_ascii_lowercase();
    match name.as_str() {
        "content-length" => said.length = value.parse().ok().or(said.length),
        "transfer-encoding" => {
            said.chunked |= value.contains("chunked");
            if value.contains("gzip") || value.contains("deflate") {
                said.packed = Some(if value.contains("gzip") { Packed::ByMagic } else { Packed::Deflate });
            }
        }
        "content-encoding" => {
            said.packed = match value.as_str() {
                "" | "identity" => None,
                "gzip" | "x-gzip" | "zstd" => Some(Packed::ByMagic),
                "deflate" => Some(Packed::Deflate),
                _ => Some(Packed::Other(value.chars().take(40).collect())),
            }
        }
        "host" if !value.is_empty() => *host = Some(value.chars().take(255).collect()),
        "upgrade" => said.upgrade = Some(value.chars().take(40).collect()),
        _ => {}
    }
    format!("header {}", name.chars().take(100).collect::<String>())
}

/// The body at `at`; returns where it ends.
fn body<'b>(
    bytes: &'b [u8],
    at: usize,
    request: bool,
    bodyless: bool,
    said: Said,
    all: &mut Parts<'b>,
) -> usize {
    let name = Some(if request { "request body".into() } else { "response body".to_owned() });
    // The answer to HEAD has the length of a body that does not come.
    let none = bodyless || bytes[at..].starts_with(b"HTTP/1.");
    if said.chunked && !none {
        let (part, end) = chunked(name, bytes, at, all);
        all.parts.push(Part { packed: said.packed, ..part });
        return end;
    }
    let end = match said.length {
        _ if none => at,
        Some(length) => at.saturating_add(length).min(bytes.len()),
        None if request => at,
        None => bytes.len(),
    };
    if end > at {
        let cut = said.length.is_some_and(|length| length > end - at);
        all.parts.push(Part { packed: said.packed, cut, ..whole(name, bytes, at..end) });
    }
    end
}

/// A chunked body put together (RFC 9112, 7.1). Extensions of chunks are parts; trailers are left to be read as what is no
/// message.
fn chunked<'b>(name: Option<String>, bytes: &'b [u8], from: usize, all: &mut Parts<'b>) -> (Part<'b>, usize) {
    let (mut body, mut made_of, mut at) = (Vec::new(), Vec::new(), from);
    let mut cut = true;
    while let Some(newline) = memchr::memchr(b'\n', &bytes[at..bytes.len().min(at + START_LINE_BYTES_MAX)]) {
        let line = bytes[at..at + newline].trim_ascii();
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size =
            std::str::from_utf8(&line[..digits]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { break };
        if digits < line.len() && all.parts.len() < PARTS_MAX {
            all.parts.push(whole(Some("chunk extension".into()), bytes, at..at + newline + 1));
        }
        at += newline + 1;
        if size == 0 {
            cut = false;
            at += usize::from(bytes[at..].starts_with(b"\r\n")) * 2;
            break;
        }
        let end = at.saturating_add(size).min(bytes.len());
        made_of.push((body.len(), at));
        body.extend_from_slice(&bytes[at..end]);
        at = end;
        at += match &bytes[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        };
    }
    (Part { name, bytes: body.into(), made_of, packed: None, cut }, at)
}

fn whole(name: Option<String>, bytes: &[u8], range: Range<usize>) -> Part<'_> {
    let made_of = vec![(0, range.start)];
    Part { name, bytes: Cow::Borrowed(&bytes[range]), made_of, packed: None, cut: false }
}
