//! `[limits]`: the mover's bounds, overridden by name.

use super::Region;
use super::fault::Fault;
use super::typed;
use domicile_mover::Limits;
use std::time::Duration;
use toml::Spanned;

/// The defaults with what the file says instead.
pub(super) fn of(typed: &typed::Limits) -> Result<Limits, Fault> {
    let mut limits = Limits::default();
    size("batch_subjects", &typed.batch_subjects, &mut limits.batch_subjects)?;
    size("fence_subjects", &typed.fence_subjects, &mut limits.fence_subjects)?;
    size("batches_in_flight", &typed.batches_in_flight, &mut limits.batches_in_flight)?;
    size("objects_in_flight", &typed.objects_in_flight, &mut limits.objects_in_flight)?;
    size("catch_up_enough", &typed.catch_up_enough, &mut limits.catch_up_enough)?;
    small("fence_tries", &typed.fence_tries, &mut limits.fence_tries)?;
    small("catch_up_changes", &typed.catch_up_changes, &mut limits.catch_up_changes)?;
    small("verify_rounds", &typed.verify_rounds, &mut limits.verify_rounds)?;
    small("erase_rows", &typed.erase_rows, &mut limits.erase_rows)?;
    small("tries", &typed.tries, &mut limits.tries)?;
    small("straggler_rounds", &typed.straggler_rounds, &mut limits.straggler_rounds)?;
    milliseconds("writer_wait_ms", &typed.writer_wait_ms, &mut limits.writer_wait)?;
    milliseconds("gateway_wait_ms", &typed.gateway_wait_ms, &mut limits.gateway_wait)?;
    milliseconds("fence_deadline_ms", &typed.fence_deadline_ms, &mut limits.fence_deadline)?;
    milliseconds("standby_wait_ms", &typed.standby_wait_ms, &mut limits.standby_wait)?;
    milliseconds("settle_wait_ms", &typed.settle_wait_ms, &mut limits.settle_wait)?;
    milliseconds("turn_ms", &typed.turn_ms, &mut limits.turn)?;
    if let Some(n) = &typed.fence_object_bytes {
        limits.fence_object_bytes = *n.get_ref();
    }
    limits.rows_per_s = ceiling("rows_per_s", &typed.rows_per_s)?;
    limits.bytes_per_s = ceiling("bytes_per_s", &typed.bytes_per_s)?;
    limits.replication_lag =
        ceiling("replication_lag_ms", &typed.replication_lag_ms)?.map(Duration::from_millis);
    limits.replication_lag_bytes = ceiling("replication_lag_bytes", &typed.replication_lag_bytes)?;
    limits.active_sessions = ceiling("active_sessions", &typed.active_sessions)?;
    if let Some(text) = &typed.grace {
        limits.grace = span_of(text.get_ref()).ok_or_else(|| {
            let what = format!("grace = \"{}\" is not a length of time", text.get_ref());
            let why = "erase waits at least so long after a move, for routes that still lead to the old home";
            Fault::new(
                text.span().start,
                "config-limit",
                what,
                why,
                "write for example grace = \"24h\", \"90m\", \"7d\" or \"0s\"",
            )
        })?;
    }
    Ok(limits)
}

fn ceiling(name: &str, typed: &Option<Spanned<u64>>) -> Result<Option<u64>, Fault> {
    typed.as_ref().map(|n| positive(name, n)).transpose()
}

/// Ceilings on what servers are at besides need servers: a region in a SQLite file has none. A URL that
/// stands in the environment is looked at when it is opened.
pub(super) fn check_ceilings(typed: &typed::Limits, regions: &[Region]) -> Result<(), Fault> {
    let keys = [
        ("replication_lag_ms", &typed.replication_lag_ms),
        ("replication_lag_bytes", &typed.replication_lag_bytes),
        ("active_sessions", &typed.active_sessions),
    ];
    let Some((name, at)) = keys.into_iter().find_map(|(name, n)| Some((name, n.as_ref()?.span().start)))
    else {
        return Ok(());
    };
    let Some(file) = regions.iter().find(|region| region.records.is_sqlite()) else { return Ok(()) };
    let what = format!("{name} can't be kept: region `{}` is in a SQLite file", file.id());
    let why = "SQLite has neither replication nor sessions, so nothing would ever be waited for";
    Err(Fault::new(
        at,
        "config-limit",
        what,
        why,
        format!("leave {name} out; rows_per_s and bytes_per_s work"),
    ))
}

fn positive(name: &str, n: &Spanned<u64>) -> Result<u64, Fault> {
    match *n.get_ref() {
        0 => {
            let what = format!("{name} = 0 would never get anything done");
            let why = "every bound in [limits] is at least 1";
            Err(Fault::new(
                n.span().start,
                "config-limit",
                what,
                why,
                format!("leave {name} out for the default"),
            ))
        }
        n => Ok(n),
    }
}

fn size(name: &str, typed: &Option<Spanned<u64>>, limit: &mut usize) -> Result<(), Fault> {
    if let Some(n) = typed {
        *limit = usize::try_from(positive(name, n)?).unwrap_or(usize::MAX);
    }
    Ok(())
}

fn small(name: &str, typed: &Option<Spanned<u64>>, limit: &mut u32) -> Result<(), Fault> {
    if let Some(n) = typed {
        *limit = u32::try_from(positive(name, n)?).unwrap_or(u32::MAX);
    }
    Ok(())
}

fn milliseconds(name: &str, typed: &Option<Spanned<u64>>, limit: &mut Duration) -> Result<(), Fault> {
    if let Some(n) = typed {
        *limit = Duration::from_millis(positive(name, n)?);
    }
    Ok(())
}

/// `90s`, `15m`, `24h`, `7d`.
pub(super) fn span_of(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_number_and_a_unit() {
        let h = |n: u64| Some(Duration::from_secs(n * 3600));
        assert_eq!([span_of("24h"), span_of("7d"), span_of("60 m")], [h(24), h(168), h(1)]);
        assert_eq!(span_of("0s"), Some(Duration::ZERO));
        for wrong in ["", "24", "h", "1.5h", "-1h", "24 hours", "999999999999999999d"] {
            assert_eq!(span_of(wrong), None, "{wrong}");
        }
    }
}
