//! The latency table: round trips from users' countries to sites, and between sites.
//!
//! Format (`shared/data/rtt.csv`): `#` starts a comment line; a header; then
//! `from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source`, where `from` is a site or `user-CC`
//! (a country's alpha-2 code) and only the last field may hold commas.

use crate::country::Country;
use std::collections::HashMap;
use std::fmt;

const HEADER: &str = "from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source";

/// How a number came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// `M`: a published measurement.
    Measured,
    /// `D`: derived from a published measurement.
    Derived,
    /// `E`: an estimate; plans must mark it as one.
    Estimated,
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Quality::Measured => "measured",
            Quality::Derived => "derived",
            Quality::Estimated => "estimated",
        })
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Round trip on a quiet path, ms.
    pub rtt_low_ms: f64,
    /// Typical round trip, ms: what homes are chosen by.
    pub rtt_typ_ms: f64,
    /// Typical loss, percent, where known.
    pub loss_pct: Option<f64>,
    /// `user-dc` or `dc-dc`, as written.
    pub kind: String,
    /// How the number came about.
    pub quality: Quality,
    /// Where it comes from, as written.
    pub source: String,
}

/// The table, by (from, to).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latency {
    links: HashMap<(String, String), Link>,
}

impl Latency {
    /// Reads the table. Errors name the line; a pair given twice is an error.
    pub fn parse_csv(text: &str) -> Result<Self, LatencyFault> {
        let mut links = HashMap::new();
        let mut header_seen = false;
        for (index, raw) in text.lines().enumerate() {
            let fault = |what: String| LatencyFault { line: index + 1, what };
            let line = raw.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !header_seen {
                if line != HEADER {
                    return Err(fault(format!("the first line that is no comment must be `{HEADER}`")));
                }
                header_seen = true;
                continue;
            }
            let (pair, link) = parse_row(line).map_err(fault)?;
            if links.insert(pair.clone(), link).is_some() {
                return Err(fault(format!("`{},{}` is given twice", pair.0, pair.1)));
            }
        }
        Ok(Self { links })
    }

    /// The link from a country's users to a site.
    pub fn from_users(&self, country: Country, site: &str) -> Option<&Link> {
        self.links.get(&(format!("user-{country}"), site.to_owned()))
    }

    /// The link between two sites, whichever way the table gives it.
    pub fn between(&self, a: &str, b: &str) -> Option<&Link> {
        let get = |from: &str, to: &str| self.links.get(&(from.to_owned(), to.to_owned()));
        get(a, b).or_else(|| get(b, a))
    }

    /// How many pairs it holds.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether it holds none: then homes are chosen by name alone.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }
}

fn parse_row(line: &str) -> Result<((String, String), Link), String> {
    let fields: Vec<&str> = line.splitn(8, ',').map(str::trim).collect();
    let &[from, to, low, typ, loss, kind, quality, source] = fields.as_slice() else {
        return Err(format!("{} fields where 8 are needed: {HEADER}", fields.len()));
    };
    if from.is_empty() || to.is_empty() {
        return Err("`from` and `to` must not be empty".to_owned());
    }
    let from = match from.strip_prefix("user-") {
        Some(code) => format!("user-{}", code.parse::<Country>().map_err(|e| e.to_string())?),
        None => from.to_owned(),
    };
    let quality = match quality {
        "M" => Quality::Measured,
        "D" => Quality::Derived,
        "E" => Quality::Estimated,
        other => return Err(format!("quality `{other}` is none of M, D, E")),
    };
    let link = Link {
        rtt_low_ms: number("rtt_low", low)?,
        rtt_typ_ms: number("rtt_typ", typ)?,
        loss_pct: if loss.is_empty() { None } else { Some(number("loss_pct_typ", loss)?) },
        kind: kind.to_owned(),
        quality,
        source: source.to_owned(),
    };
    Ok(((from, to.to_owned()), link))
}

fn number(name: &str, text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(format!("`{name}` is `{text}`, which is not a number of at least 0")),
    }
}

/// A line of the table that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the latency table: {what}")]
pub struct LatencyFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &str) -> Result<Latency, LatencyFault> {
        Latency::parse_csv(&format!("# c\n{HEADER}\n{rows}"))
    }

    #[test]
    fn reads_users_sites_and_marks() {
        let t = table("user-IN,Mumbai,3,28,0,user-dc,M,S4 (Mumbai 3; Delhi 28, or so)\nA,B,5,6,,dc-dc,E,S7")
            .unwrap();
        let india = "IN".parse().unwrap();
        let link = t.from_users(india, "Mumbai").unwrap();
        assert_eq!((link.rtt_typ_ms, link.quality), (28.0, Quality::Measured));
        assert!(link.source.ends_with("28, or so)"));
        assert_eq!(t.from_users(india, "Oregon"), None);
        assert_eq!(t.between("B", "A").map(|l| (l.rtt_low_ms, l.loss_pct)), Some((5.0, None)));
        assert_eq!(t.len(), 2);
    }

    #[test]
    fn errors_name_the_line() {
        let wrong = |rows| table(rows).unwrap_err().to_string();
        assert!(wrong("A,B,1,2,0,dc-dc").starts_with("line 3 of the latency table: 6 fields"));
        assert!(wrong("A,B,x,2,0,dc-dc,M,S").contains("`rtt_low` is `x`"));
        assert!(wrong("A,B,1,-2,0,dc-dc,M,S").contains("`rtt_typ`"));
        assert!(wrong("A,B,1,2,0,dc-dc,Q,S").contains("none of M, D, E"));
        assert!(wrong("user-QQ,B,1,2,0,user-dc,M,S").contains("not a country"));
        assert!(wrong("A,B,1,2,0,d,M,S\nA,B,1,2,0,d,M,S").starts_with("line 4"));
        assert_eq!(Latency::parse_csv("A,B,1,2\n").unwrap_err().line, 1);
        assert!(Latency::parse_csv("").unwrap().is_empty());
    }
}
