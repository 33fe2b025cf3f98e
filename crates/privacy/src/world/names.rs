//! The resolver of the world (RFC 1035): answers A for every name there is and for every name there is not, so that nobody who
//! wants to reach a stranger is stopped by DNS. Other types get an empty answer.

use super::zone::Zone;
use std::net::{Ipv4Addr, UdpSocket};

/// A query's header and the longest question.
const QUERY_BYTES_MAX: usize = 512;

/// Answers until the process ends.
pub fn serve(zone: &Zone, socket: &UdpSocket) {
    let mut query = [0; QUERY_BYTES_MAX];
    while let Ok((read, from)) = socket.recv_from(&mut query) {
        if let Some(answer) = answer(&query[..read], |name| zone.resolve(name)) {
            // A lost answer is asked for again.
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// The name and the type of a message's first question, and where the question ends.
pub fn question(message: &[u8]) -> Option<(String, u16, usize)> {
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => {
                let label = message.get(at..at + length)?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label));
                at += length;
            }
            // A pointer has no place in a question.
            _ => return None,
        }
    }
    let kind = message.get(at..at + 2)?;
    message.get(at + 2..at + 4)?;
    Some((name, u16::from_be_bytes([kind[0], kind[1]]), at + 4))
}

fn answer(query: &[u8], resolve: impl Fn(&str) -> Ipv4Addr) -> Option<Vec<u8>> {
    let (name, kind, end) = question(query)?;
    const A: u16 = 1;
    let answers = u8::from(kind == A);
    let mut message = query[..2].to_vec();
    // A response, recursion desired and available; one question, the answers, nothing else.
    message.extend([0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]);
    message.extend(&query[12..end]);
    if kind == A {
        // The name by a pointer to the question, A, IN, a minute, four bytes.
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(resolve(&name).octets());
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x07account\x07example\x00\x00\x01\x00\x01";

    #[test]
    fn a_name_gets_its_address() {
        let told = answer(QUERY, |name| {
            assert_eq!(name, "api.account.example");
            Ipv4Addr::new(203, 0, 113, 80)
        });
        let told = told.expect("an answer");
        assert_eq!(&told[..2], b"\x12\x34");
        assert_eq!(&told[told.len() - 4..], [203, 0, 113, 80]);
        assert_eq!(
            question(&told).map(|(name, kind, _)| (name, kind)),
            Some(("api.account.example".into(), 1))
        );
    }

    #[test]
    fn what_is_cut_off_is_no_question() {
        for end in 0..QUERY.len() {
            assert_eq!(question(&QUERY[..end]), None, "{end}");
        }
    }
}
