//! The words after `bench latency`.

use super::market::Market;
use crate::Fallible;
use std::path::PathBuf;

pub const HELP: &str = "\
cargo xtask bench latency [options]   tables on stdout, what it is doing on stderr

  --users N        users of a market and side; each has a line of its own (3)
  --repeats N      requests and pages of each user; one photo each (12)
  --markets LIST   of the table's countries, comma between: IN,SG (all)
  --down N, --up N the user's own line, Mbit/s (10 and 4: estimates)
  --proxies        delay proxies also where network namespaces can be had: no loss, no slow start
  --plots DIR      where the chart goes (docs/img; with --markets: nowhere)
";

/// How much to measure, on what lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Users of a market and side.
    pub users: usize,
    /// Visits of each user.
    pub repeats: usize,
    /// Alpha-2 codes; none: all markets.
    pub markets: Vec<String>,
    /// The user's line, Mbit/s.
    pub down_mbit: f64,
    /// The user's line, Mbit/s.
    pub up_mbit: f64,
    /// No namespaces.
    pub proxies: bool,
    /// Where the chart goes, if anywhere.
    pub plots: Option<PathBuf>,
    /// Bytes of a photo.
    pub photo_bytes: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            users: 3,
            repeats: 12,
            markets: Vec::new(),
            down_mbit: 10.0,
            up_mbit: 4.0,
            proxies: false,
            plots: None,
            photo_bytes: 5_000_000,
        }
    }
}

impl Asked {
    /// `None`: help was asked for.
    pub fn parse(words: &[&str]) -> Fallible<Option<Self>> {
        let mut asked = Self::default();
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "--help" | "-h" | "help" => return Ok(None),
                "--proxies" => asked.proxies = true,
                option => {
                    let value = words.next().ok_or_else(|| format!("{option} needs a value\n\n{HELP}"))?;
                    asked.option(option, value)?;
                }
            }
        }
        // The chart in the repository is of all markets.
        if asked.plots.is_none() && asked.markets.is_empty() {
            asked.plots = Some(PathBuf::from("docs/img"));
        }
        Ok(Some(asked))
    }

    fn option(&mut self, name: &str, value: &str) -> Fallible<()> {
        let wrong = || format!("{name}: {value} is not a number above 0");
        let count = || value.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(wrong);
        let rate = || value.parse::<f64>().ok().filter(|n| *n > 0.0 && n.is_finite()).ok_or_else(wrong);
        match name {
            "--users" => self.users = count()?,
            "--repeats" => self.repeats = count()?,
            "--markets" => self.markets = value.split(',').map(|m| m.trim().to_uppercase()).collect(),
            "--down" => self.down_mbit = rate()?,
            "--up" => self.up_mbit = rate()?,
            "--plots" => self.plots = Some(PathBuf::from(value)),
            other => return Err(format!("no option {other}\n\n{HELP}").into()),
        }
        Ok(())
    }

    /// Is it one of those asked for?
    pub fn wants(&self, market: &Market) -> bool {
        self.markets.is_empty() || self.markets.iter().any(|code| code == market.country.alpha2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_wrong_ones_named() -> Fallible<()> {
        let asked = Asked::parse(&["--users", "5", "--markets", "in, SG", "--up", "1.5", "--proxies"])?;
        let asked = asked.unwrap_or_default();
        assert_eq!((asked.users, asked.up_mbit, asked.proxies), (5, 1.5, true));
        assert_eq!(asked.markets, ["IN", "SG"]);
        assert_eq!(asked.plots, None);
        assert_eq!(Asked::parse(&["--users", "5", "--help"])?, None);
        for wrong in [&["--users", "0"][..], &["--up", "-1"], &["--user"], &["--users"]] {
            assert!(Asked::parse(wrong).unwrap_err().to_string().contains(wrong[0]));
        }
        Ok(())
    }
}
