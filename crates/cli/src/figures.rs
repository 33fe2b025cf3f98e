//! Numbers as people read them: thousands separated, sizes in KB and MB, times in the unit that fits.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 subject`, `2,000 subjects`. The noun takes a plain `s`.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Bytes in powers of 1000, three digits: `512 B`, `1.2 KB`, `34 MB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..10 => format!("{:.1} s", d.as_secs_f64()),
        10..60 => format!("{s} s"),
        60..3600 => whole(s / 60, "min", s % 60, "s"),
        3600..172_800 => whole(s / 3600, "h", s % 3600 / 60, "min"),
        _ => whole(s / 86_400, "days", s % 86_400 / 3600, "h"),
    }
}

fn whole(big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{big} {big_unit}") } else { format!("{big} {big_unit} {small} {small_unit}") }
}

/// Milliseconds with as many digits as help: `4.2 ms`, `38 ms`, `1.3 s`.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let said: Vec<String> = [0, 7, 999, 1000, 12_345, 1_234_567].into_iter().map(count).collect();
        assert_eq!(said, ["0", "7", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!((counted(1, "row"), counted(1200, "row")), ("1 row".into(), "1,200 rows".into()));
    }

    #[test]
    fn sizes_take_the_unit_that_fits() {
        let said: Vec<String> = [0, 999, 1000, 9_940, 9_990, 999_499, 999_500, 34_000_000, u64::MAX]
            .into_iter()
            .map(bytes)
            .collect();
        assert_eq!(
            said,
            ["0 B", "999 B", "1.0 KB", "9.9 KB", "10 KB", "999 KB", "1.0 MB", "34 MB", "18447 PB"]
        );
    }

    #[test]
    fn times_take_the_unit_that_fits() {
        let said: Vec<String> = [400, 12_000, 60_000, 200_000, 7_500_000, 200_000_000]
            .map(|ms| duration(Duration::from_millis(ms)))
            .into();
        assert_eq!(said, ["0.4 s", "12 s", "1 min", "3 min 20 s", "2 h 5 min", "2 days 7 h"]);
        assert_eq!(milliseconds(4.21), "4.2 ms");
        assert_eq!(milliseconds(38.4), "38 ms");
        assert_eq!(milliseconds(1300.0), "1.3 s");
    }
}
