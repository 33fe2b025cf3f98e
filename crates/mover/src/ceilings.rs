//! Ceilings on what the regions' servers are at besides: while one is exceeded nothing new is begun.

use crate::error::{At, Error, Result};
use crate::limits::Limits;
use crate::progress::Event;
use crate::service::{Region, Service};
use domicile_stores::records::Pressure;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at the servers, whoever asks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two times that the control store is told; without a word it forgets after three of them.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// A ceiling that is exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Over {
    /// Its key in `[limits]`.
    ceiling: &'static str,
    /// In words.
    why: String,
}

/// What was seen when somebody looked last.
#[derive(Default)]
struct Seen {
    wave: String,
    at: Option<Instant>,
    over: Option<Over>,
    said_at: Option<Instant>,
}

/// Looks at the servers for all batches in flight.
#[derive(Default)]
pub(crate) struct Ceilings {
    /// Held by whoever looks: the others go by what was seen last.
    looks: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
}

impl Ceilings {
    /// Is a ceiling exceeded at one of the wave's regions? Says so, and when it is no longer.
    ///
    /// # Errors
    /// A server's, unless it may pass: whoever works there hears of that.
    pub async fn over(&self, service: &Service, wave: &str, from: &Region, to: &Region) -> Result<bool> {
        if !service.limits.has_ceilings() {
            return Ok(false);
        }
        let Ok(_looks) = self.looks.try_lock() else { return Ok(self.known()) };
        let fresh = |seen: &Seen| seen.wave == wave && seen.at.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if fresh(&self.seen()) {
            return Ok(self.known());
        }
        let over = match look(&service.limits, from, to).await {
            Err(error) if error.may_pass() => return Ok(false),
            other => other?,
        };
        self.tell(service, wave, over).await;
        Ok(self.known())
    }

    /// The run is over: nothing of it waits any more.
    pub async fn rest(&self, service: &Service, wave: &str) {
        if self.known() {
            self.tell(service, wave, None).await;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> bool {
        self.seen().over.is_some()
    }

    /// Notes what was seen, and tells it to whoever watches: here, and by the control store elsewhere.
    async fn tell(&self, service: &Service, wave: &str, over: Option<Over>) {
        let (was, said_at) = {
            let mut seen = self.seen();
            seen.wave = wave.to_owned();
            seen.at = Some(Instant::now());
            (std::mem::replace(&mut seen.over, over.clone()), seen.said_at)
        };
        let (directory, me) = (&service.directory, service.worker.as_str());
        // Where the control store is away nobody can be told, and nothing depends on it.
        match (was, over) {
            (None, None) => {}
            (Some(_), None) => {
                service.observer.event(Event::CeilingClear { wave: wave.to_owned() });
                let _ = directory.waits_no_longer(wave, me).await;
                self.seen().said_at = None;
            }
            (was, Some(Over { ceiling, why })) => {
                if was.is_none() {
                    let (wave, why) = (wave.to_owned(), why.clone());
                    service.observer.event(Event::CeilingReached { wave, ceiling, why });
                }
                if said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
                    let _ = directory.waits(wave, me, &why, SAY_EVERY * 3).await;
                    self.seen().said_at = Some(Instant::now());
                }
            }
        }
    }
}

async fn look(limits: &Limits, from: &Region, to: &Region) -> Result<Option<Over>> {
    let (here, there) = tokio::join!(from.records.pressure(), to.records.pressure());
    let (here, there) = (here.at(from)?, there.at(to)?);
    Ok(exceeded(limits, &from.id, here).or_else(|| exceeded(limits, &to.id, there)))
}

/// The first ceiling that is exceeded at a region.
fn exceeded(limits: &Limits, region: &str, now: Pressure) -> Option<Over> {
    let over = |ceiling, why| Some(Over { ceiling, why });
    let seconds = |d: Duration| format!("{:.1} s", d.as_secs_f64());
    if let Some(most) = limits.replication_lag.filter(|most| now.lag > *most) {
        let (lag, most) = (seconds(now.lag), seconds(most));
        return over("replication_lag_ms", format!("replication lag of {region} is {lag}, ceiling {most}"));
    }
    if let Some(most) = limits.replication_lag_bytes.filter(|most| now.lag_bytes > *most) {
        let why = format!("replication lag of {region} is {} bytes, ceiling {most}", now.lag_bytes);
        return over("replication_lag_bytes", why);
    }
    if let Some(most) = limits.active_sessions.filter(|most| now.active_sessions > *most) {
        let why = format!("active sessions at {region} are {}, ceiling {most}", now.active_sessions);
        return over("active_sessions", why);
    }
    None
}

/// What stands against the ceilings at a region, with what mends it: a role that may not see other sessions, an
/// engine that has none.
///
/// # Errors
/// The store's.
pub async fn ceilings_problem(limits: &Limits, region: &Region) -> Result<Option<(String, String)>> {
    use domicile_stores::Error as Store;
    if !limits.has_ceilings() {
        return Ok(None);
    }
    match region.records.pressure().await {
        Ok(_) => Ok(None),
        Err(Store::Denied { what, grant, .. }) => {
            Ok(Some((format!("a ceiling of [limits] needs {what}, and the role may not see them"), grant)))
        }
        Err(Store::Setting { what }) => {
            let keys = "replication_lag_ms, replication_lag_bytes and active_sessions";
            Ok(Some((what, format!("leave {keys} out of [limits]"))))
        }
        Err(source) => Err(Error::Region { region: region.id.clone(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_exceeded_above_it_and_says_which_and_where() {
        let limits = Limits {
            replication_lag: Some(Duration::from_secs(2)),
            replication_lag_bytes: Some(1_000),
            active_sessions: Some(3),
            ..Limits::default()
        };
        let at = Pressure { lag: Duration::from_secs(2), lag_bytes: 1_000, active_sessions: 3 };
        assert_eq!(exceeded(&limits, "oregon", at), None);
        let over = |now| exceeded(&limits, "oregon", now).map(|over| over.why);
        let lag = Duration::from_millis(3_200);
        let said = |why: &str| Some(why.to_owned());
        assert_eq!(over(Pressure { lag, ..at }), said("replication lag of oregon is 3.2 s, ceiling 2.0 s"));
        assert_eq!(
            over(Pressure { lag_bytes: 1_001, ..at }),
            said("replication lag of oregon is 1001 bytes, ceiling 1000")
        );
        assert_eq!(
            over(Pressure { active_sessions: 4, ..at }),
            said("active sessions at oregon are 4, ceiling 3")
        );
        assert_eq!(exceeded(&Limits::default(), "oregon", Pressure { lag, ..at }), None);
    }
}
