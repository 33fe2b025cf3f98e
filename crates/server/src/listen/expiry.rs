//! Until when a certificate chain holds (RFC 5280 section 4.1.2.5): the day after, every client that checks refuses it.

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode;

/// How long before its end a certificate is spoken of: those that are renewed by themselves are renewed earlier.
pub const WARN_BEFORE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// (metric, help) of when a certificate ends, seconds of Unix time.
pub const CERTIFICATE_ENDS: (&str, &str) = (
    "domicile_certificate_ends_timestamp_seconds",
    "When the certificate ends that is shown to clients, by what is listened for.",
);

/// The time in which a whole chain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// The place in the file of the certificate that ends first; 1 is the server's own.
    pub place: usize,
}

/// How a chain stands with the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds for longer than [`WARN_BEFORE`].
    Holds,
    /// It ends within [`WARN_BEFORE`].
    EndsSoon,
    /// It does not hold yet.
    NotYet,
    /// It is over.
    Ended,
}

impl Validity {
    /// The time of a chain. `None`: it can't be read there, and is shown to clients all the same.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let mut all: Option<Self> = None;
        for (at, one) in chain.iter().enumerate() {
            let read = x509_cert::Certificate::from_der(one).ok()?.tbs_certificate.validity;
            let (begins, ends) = (timestamp(read.not_before), timestamp(read.not_after));
            let before = all.unwrap_or(Self { begins, ends, place: 1 });
            let (ends, place) = if ends < before.ends { (ends, at + 1) } else { (before.ends, before.place) };
            all = Some(Self { begins: begins.max(before.begins), ends, place });
        }
        all
    }

    /// How it stands at a moment.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match () {
            () if self.ends <= now => Standing::Ended,
            () if now < self.begins => Standing::NotYet,
            () if self.ends.duration_since(now) <= WARN_BEFORE => Standing::EndsSoon,
            () => Standing::Holds,
        }
    }
}

/// One that never ends says so by the last second of the year 9999, which is later than any [`Timestamp`].
fn timestamp(time: x509_cert::time::Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: i32, to: i32) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn the_first_to_end_ends_the_chain() {
        let chain = [made(2020, 2031), made(2019, 2030), made(2018, 2040)];
        let validity = Validity::of(&chain).unwrap();
        assert_eq!(
            (validity.begins.to_string(), validity.ends.to_string(), validity.place),
            ("2020-01-01T00:00:00Z".into(), "2030-01-01T00:00:00Z".into(), 2)
        );
        let at = |text: &str| validity.standing(text.parse().unwrap());
        assert_eq!(at("2019-12-31T23:59:59Z"), Standing::NotYet);
        assert_eq!(at("2020-01-01T00:00:00Z"), Standing::Holds);
        assert_eq!(at("2029-12-17T23:59:59Z"), Standing::Holds);
        assert_eq!(at("2029-12-18T00:00:00Z"), Standing::EndsSoon);
        assert_eq!(at("2030-01-01T00:00:00Z"), Standing::Ended);
    }

    #[test]
    fn one_without_an_end_is_read_and_what_is_none_is_not() {
        let endless = Validity::of(&[made(1975, 9999)]).unwrap();
        assert_eq!(endless.standing("2999-01-01T00:00:00Z".parse().unwrap()), Standing::Holds);
        assert_eq!(Validity::of(&[CertificateDer::from(vec![0x30, 0x03, 1, 1, 0])]), None);
        assert_eq!(Validity::of(&[]), None);
    }
}
