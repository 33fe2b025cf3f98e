//! One request of HTTP/1.1 (RFC 9112) as the world reads it, and what the world answers.

use super::zone::{What, Zone};
use std::io::{BufRead, Read, Result};
use std::net::Ipv4Addr;

/// The longest request that is read; what is longer is cut here, and whole in a capture.
const REQUEST_BYTES_MAX: u64 = 4 << 20;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Method, target and version, without the end of the line.
    pub line: String,
    /// The header lines and the empty one, as they came.
    pub head: Vec<u8>,
    /// The body, by its Content-Length.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one.
    ///
    /// # Errors
    /// The connection's own.
    pub fn read(stream: impl BufRead) -> Result<Self> {
        let mut reader = stream.take(REQUEST_BYTES_MAX);
        let (mut line, mut head, mut length) = (Vec::new(), Vec::new(), 0);
        reader.read_until(b'\n', &mut line)?;
        loop {
            let mut header = Vec::new();
            let read = reader.read_until(b'\n', &mut header)?;
            head.extend(&header);
            let text = String::from_utf8_lossy(&header).to_ascii_lowercase();
            if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if read == 0 || text.trim().is_empty() {
                break;
            }
        }
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;
        Ok(Self { line: String::from_utf8_lossy(&line).trim_end().to_owned(), head, body })
    }
}

/// What a host of the world answers: an account endpoint opens a session, anybody else is content with everything.
pub fn answer(zone: &Zone, at: Ipv4Addr) -> String {
    let body = match zone.at(at).map(|host| &host.what) {
        Some(What::Account(_)) => r#"{"session":"open"}"#,
        _ => r#"{"ok":true}"#,
    };
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_to_the_end_of_its_body() {
        let bytes = b"POST /v2/sms HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcNEXT";
        let read = Request::read(&bytes[..]).expect("a request");
        assert_eq!(read.line, "POST /v2/sms HTTP/1.1");
        assert_eq!(read.body, b"abc");
        for end in 0..bytes.len() {
            assert!(Request::read(&bytes[..end]).is_ok(), "cut at {end}");
        }
    }
}
