//! The host's name in a ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3): what TLS says in the clear.

/// The name in the hello that a payload begins; `None`: it begins none. A hello without a name is one.
pub(super) fn read(payload: &[u8]) -> Option<Option<String>> {
    let (head, rest) = payload.split_at_checked(5)?;
    // A handshake record of any version.
    if head[..2] != [0x16, 3] || rest.first() != Some(&1) {
        return None;
    }
    Some(name(rest))
}

fn name(hello: &[u8]) -> Option<String> {
    let mut left = Left(hello);
    // Kind, length, version and random.
    left.take(1 + 3 + 2 + 32)?;
    for length_bytes in [1, 2, 1] {
        left.vector(length_bytes)?;
    }
    let mut extensions = Left(left.vector(2)?);
    loop {
        let kind = extensions.take(2)?;
        let extension = extensions.vector(2)?;
        if kind == [0, 0] {
            let mut list = Left(Left(extension).vector(2)?);
            // Its kind: a host's name.
            list.take(1)?;
            return Some(String::from_utf8_lossy(list.vector(2)?).to_ascii_lowercase());
        }
    }
}

/// What is not read yet.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(bytes)?;
        self.0 = left;
        Some(taken)
    }

    /// A vector behind its length, of so many bytes.
    fn vector(&mut self, length_bytes: usize) -> Option<&'a [u8]> {
        let length = self.take(length_bytes)?.iter().fold(0, |sum, b| sum << 8 | usize::from(*b));
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello with one extension before the name.
    pub fn hello(name: &str) -> Vec<u8> {
        let vector = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let named = vector(&vector(&[&[0][..], &vector(name.as_bytes())].concat()));
        let extensions = [&[0, 43][..], &vector(&[2, 3, 4]), &[0, 0], &named].concat();
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend(vector(&extensions));
        let mut message = vec![1, 0];
        message.extend(vector(&body));
        [&[0x16, 3, 1][..], &vector(&message)].concat()
    }

    #[test]
    fn the_name_of_a_hello_is_read_and_a_cut_one_has_none() {
        let whole = hello("Relay.Beijing.example");
        assert_eq!(read(&whole), Some(Some("relay.beijing.example".into())));
        for end in 0..whole.len() {
            assert!(matches!(read(&whole[..end]), None | Some(None)), "cut at {end}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _ = read(&damaged);
        }
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), None);
    }
}
