//! The certificates that this process shows: read, read again on SIGHUP, and spoken of before they end.
//!
//! None is refused for its date: whoever checks no dates goes on being served, and a restart makes no outage of a warning.

use super::story::Story;
use crate::config;
use crate::failure::{Failure, Result};
use domicile_server::admin::exposition;
use domicile_server::listen::{CERTIFICATE_ENDS, Certificate, Standing, Validity};
use jiff::{Timestamp, tz::TimeZone};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether one has begun to be spoken of: none ends between two looks without a word.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// All of them, by what is listened for.
#[derive(Default)]
pub struct Certificates {
    all: Vec<Shown>,
    looked: Option<Instant>,
}

/// One, and what was said of it last.
struct Shown {
    what: &'static str,
    certificate: Arc<Certificate>,
    said: Standing,
}

impl Certificates {
    /// Looks after one more, and says what there is to say of it.
    pub fn keep(&mut self, what: &'static str, certificate: Option<Arc<Certificate>>, story: &Story) {
        let Some(certificate) = certificate else { return };
        let mut shown = Shown { what, certificate, said: Standing::Holds };
        shown.look(story);
        self.all.push(shown);
    }

    /// Reads all again; what can't be read stays as it was.
    pub fn reload(&mut self, story: &Story) {
        for shown in &mut self.all {
            match shown.certificate.reload() {
                Ok(()) => story.reloaded("certificate", "read again", None),
                Err(error) => story.reloaded("certificate", "the old one stays", Some(&error)),
            }
            shown.said = Standing::Holds;
            shown.look(story);
        }
    }

    /// Says what is new, once an hour at most.
    pub fn look(&mut self, story: &Story) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        self.all.iter_mut().for_each(|shown| shown.look(story));
    }

    /// For whoever counts: each with where it is shown.
    pub fn all(&self) -> Vec<(&'static str, Arc<Certificate>)> {
        self.all.iter().map(|shown| (shown.what, shown.certificate.clone())).collect()
    }
}

impl Shown {
    fn look(&mut self, story: &Story) {
        let (Some(validity), now) = (self.certificate.validity(), Timestamp::now()) else { return };
        let standing = validity.standing(now);
        if standing != self.said
            && let Some(remark) = remark(self.certificate.chain(), &validity, now)
        {
            story.certificate(self.what, &remark);
        }
        self.said = standing;
    }
}

/// As Prometheus reads them: when the first to end of each kind of door ends.
pub fn metrics(all: &[(&'static str, Arc<Certificate>)]) -> String {
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, certificate) in all {
        let Some(validity) = certificate.validity() else { continue };
        let end = u64::try_from(validity.ends.as_second()).unwrap_or(0);
        ends.entry(what).and_modify(|first| *first = end.min(*first)).or_insert(end);
    }
    let labels: Vec<_> = ends.iter().map(|(what, end)| (format!("{{at=\"{what}\"}}"), *end)).collect();
    let (name, help) = CERTIFICATE_ENDS;
    let samples: Vec<_> = labels.iter().map(|(labels, end)| (name, labels.as_str(), help, *end)).collect();
    exposition("gauge", &samples)
}

/// The certificate of these doors; `None`: they are in the clear.
pub fn read(doors: &config::Doors) -> Result<Option<Arc<Certificate>>> {
    let Some((chain, key)) = &doors.tls else { return Ok(None) };
    let read = Certificate::read(chain, key).map_err(|error| {
        let why = "without it nobody can be answered encrypted";
        Failure::usage(
            "serve-certificate",
            error.to_string(),
            why,
            "correct certificate and private_key: PEM files of one pair",
        )
    });
    read.map(Some)
}

/// What there is to say of a certificate's date.
#[derive(Debug, PartialEq, Eq)]
pub struct Remark {
    pub code: &'static str,
    pub what: String,
    pub why: &'static str,
    pub fix: &'static str,
    /// The server's own certificate does not hold now; else there is time, or a client may find another way round it.
    pub is_refused: bool,
    /// Until when it holds, RFC 3339.
    pub ends: String,
}

/// `None`: it holds for long.
pub fn remark(chain: &Path, validity: &Validity, now: Timestamp) -> Option<Remark> {
    let (code, said) = match validity.standing(now) {
        Standing::Holds => return None,
        Standing::EndsSoon => {
            ("certificate-ends", format!("ends on {}, {}", day(validity.ends), in_days(now, validity.ends)))
        }
        Standing::Ended => ("certificate-ended", format!("ended on {}", day(validity.ends))),
        Standing::NotYet => ("certificate-not-yet", format!("begins on {} only", day(validity.begins))),
    };
    let which = match validity.place {
        1 => "the certificate".to_owned(),
        place => format!("number {place} of the chain"),
    };
    Some(Remark {
        code,
        what: format!("{}: {which} {said}", chain.display()),
        why: "from its end on, and before its beginning, every client that checks certificates refuses this server",
        fix: "put a new one there with its private_key, then: kill -HUP $(pidof domicile)",
        is_refused: matches!(validity.standing(now), Standing::Ended | Standing::NotYet)
            && validity.place == 1,
        ends: validity.ends.to_string(),
    })
}

/// A day of the calendar, in UTC.
pub fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).date().to_string()
}

fn in_days(now: Timestamp, then: Timestamp) -> String {
    match then.duration_since(now).as_hours() / 24 {
        0 => "in less than a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}
