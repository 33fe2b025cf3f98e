//! Notices: what the processes of one region tell each other, sealed.
//!
//! Whatever role may connect to the region's database may listen and speak on the channel, and the server may write what is said to
//! its log: so nobody without the relays' token reads whose device is here, or can say so. XChaCha20-Poly1305; the key is of the token,
//! the service and the region.
//!
//! A sealed packet: nonce (24), then sealed: the process (16), its time in microseconds (8), notices. A notice: its kind (1),
//! and where the kind has them a mailbox (16) and a number (4), big-endian. As base64, since PostgreSQL's notifications are text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use domicile_messaging::wire::MailboxId;
use domicile_stores::mailboxes::SAID_BYTES_MAX;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

const ABOUT: &[u8] = b"domicile notices v1";
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = 16 + 8;
const TAG_BYTES: usize = 16;
/// A notice with all that one may have.
const NOTICE_BYTES: usize = 1 + 16 + 4;
/// Notices of one packet: what a notification of PostgreSQL has room for, less than its bytes.
pub(super) const TOGETHER: usize =
    ((SAID_BYTES_MAX - 4) / 4 * 3 - NONCE_BYTES - HEAD_BYTES - TAG_BYTES) / NOTICE_BYTES;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// There is this process.
    Hello,
    /// Something may have been missed: whoever waits looks.
    Look,
    /// Somebody is findable now, or no more.
    Findable,
    /// A message of so many bytes is kept.
    Kept(MailboxId, u32),
    /// So many messages were taken out.
    Gone(MailboxId, u32),
    /// What is remembered of it is not so any more.
    Changed(MailboxId),
    /// Its device is here.
    Here(MailboxId),
}

/// What one process says at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub from: [u8; 16],
    /// Of the process' clock, microseconds since 1970; later in each of its packets.
    pub at_us: u64,
    pub notices: Vec<Notice>,
}

/// Seals and opens packets.
pub(super) struct Seal(XChaCha20Poly1305);

impl Seal {
    /// For a region's processes, which all have the relays' token.
    pub fn new(token: &SecretString, service: &str, region: &str) -> Option<Self> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(token.expose_secret().as_bytes()).ok()?;
        for part in [ABOUT, service.as_bytes(), region.as_bytes()] {
            mac.update(&u64::try_from(part.len()).ok()?.to_be_bytes());
            mac.update(part);
        }
        let key = zeroize::Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        XChaCha20Poly1305::new_from_slice(&*key).ok().map(Self)
    }

    /// As it is said. `None`: the system has no random numbers.
    pub fn close(&self, packet: &Packet) -> Option<String> {
        let mut clear = Vec::with_capacity(HEAD_BYTES + packet.notices.len() * NOTICE_BYTES);
        clear.extend(packet.from);
        clear.extend(packet.at_us.to_be_bytes());
        packet.notices.iter().for_each(|notice| notice.write(&mut clear));
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: &clear, aad: ABOUT };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        Some(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// `None`: nobody of this region says so.
    pub fn open(&self, text: &str) -> Option<Packet> {
        let sealed = STANDARD_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        let clear = self.0.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: ABOUT }).ok()?;
        read(&clear)
    }
}

fn read(clear: &[u8]) -> Option<Packet> {
    let (from, rest) = clear.split_first_chunk::<16>()?;
    let (at_us, mut rest) = rest.split_first_chunk::<8>()?;
    let mut notices = Vec::with_capacity(rest.len() / NOTICE_BYTES);
    while !rest.is_empty() {
        notices.push(Notice::read(&mut rest)?);
    }
    Some(Packet { from: *from, at_us: u64::from_be_bytes(*at_us), notices })
}

impl Notice {
    fn write(self, to: &mut Vec<u8>) {
        let (kind, mailbox, number) = match self {
            Self::Hello => (0, None, None),
            Self::Look => (1, None, None),
            Self::Findable => (2, None, None),
            Self::Kept(mailbox, bytes) => (3, Some(mailbox), Some(bytes)),
            Self::Gone(mailbox, messages) => (4, Some(mailbox), Some(messages)),
            Self::Changed(mailbox) => (5, Some(mailbox), None),
            Self::Here(mailbox) => (6, Some(mailbox), None),
        };
        to.push(kind);
        to.extend(mailbox.iter().flat_map(|mailbox| mailbox.0));
        to.extend(number.iter().flat_map(|number: &u32| number.to_be_bytes()));
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (kind, rest) = from.split_first()?;
        *from = rest;
        Some(match kind {
            0 => Self::Hello,
            1 => Self::Look,
            2 => Self::Findable,
            3 => Self::Kept(mailbox(from)?, number(from)?),
            4 => Self::Gone(mailbox(from)?, number(from)?),
            5 => Self::Changed(mailbox(from)?),
            6 => Self::Here(mailbox(from)?),
            _ => return None,
        })
    }
}

fn mailbox(from: &mut &[u8]) -> Option<MailboxId> {
    let (id, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(MailboxId(*id))
}

fn number(from: &mut &[u8]) -> Option<u32> {
    let (number, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(token: &str, region: &str) -> Seal {
        Seal::new(&token.to_owned().into(), "messages", region).unwrap()
    }

    fn packet() -> Packet {
        let (ann, bob) = (MailboxId([1; 16]), MailboxId([2; 16]));
        let notices = vec![
            Notice::Hello,
            Notice::Look,
            Notice::Findable,
            Notice::Kept(ann, 7),
            Notice::Gone(bob, u32::MAX),
            Notice::Changed(ann),
            Notice::Here(bob),
        ];
        Packet { from: [3; 16], at_us: 9, notices }
    }

    #[test]
    fn it_is_read_as_it_was_said_and_by_this_regions_processes_only() {
        let said = seal("token", "beijing").close(&packet()).unwrap();
        assert_eq!(seal("token", "beijing").open(&said), Some(packet()));
        assert_eq!(seal("token", "delhi").open(&said), None);
        assert_eq!(seal("another", "beijing").open(&said), None);
        assert_ne!(said, seal("token", "beijing").close(&packet()).unwrap(), "two alike do not look alike");
    }

    #[test]
    fn a_full_packet_fits_into_a_notification() {
        let notices = vec![Notice::Kept(MailboxId([255; 16]), u32::MAX); TOGETHER];
        let said = seal("token", "beijing").close(&Packet { notices, ..packet() }).unwrap();
        assert!(said.len() < SAID_BYTES_MAX, "{}", said.len());
        assert!(said.len() > SAID_BYTES_MAX - 64, "and few places are left: {}", said.len());
    }

    #[test]
    fn what_is_changed_or_cut_off_is_nobodys() {
        let (seal, said) = (seal("token", "beijing"), seal("token", "beijing").close(&packet()).unwrap());
        for at in 0..said.len() {
            let mut changed = said.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.open(std::str::from_utf8(&changed).unwrap()), None, "byte {at}");
            assert_eq!(seal.open(&said[..at]), None, "{at} bytes");
        }
        for text in ["", "=", "\u{e9}", &"A".repeat(8000)] {
            assert_eq!(seal.open(text), None);
        }
    }

    #[test]
    fn bytes_that_are_no_packet_are_refused_whatever_they_are() {
        let mut clear = vec![0; HEAD_BYTES];
        packet().notices.iter().for_each(|notice| notice.write(&mut clear));
        assert_eq!(read(&clear).unwrap().notices, packet().notices);
        for cut in 0..clear.len() {
            if let Some(read) = read(&clear[..cut]) {
                assert_eq!(read.notices[..], packet().notices[..read.notices.len()], "{cut} bytes");
            }
        }
        for kind in 7..=255 {
            assert_eq!(read(&[&clear[..HEAD_BYTES], &[kind; 40]].concat()), None);
        }
    }
}
