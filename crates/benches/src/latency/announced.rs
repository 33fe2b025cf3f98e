//! What the maker announced in October 2014, beside what the replay says. "30 % faster" is taken as 1.3 times the speed,
//! "200 %" as three times.

use super::measure::{COLD, Measured, PAGE, PHOTO, WARM};
use super::table::{rows, times};

/// One announced figure.
pub struct Claim {
    /// Alpha-2 code of the market.
    pub market: &'static str,
    said: &'static str,
    /// What of.
    pub of: Of,
}

/// What a claim is about, and from where on it is reached.
#[derive(Clone, Copy)]
pub enum Of {
    /// Pages, so many times as fast.
    Pages(f64),
    /// So many ms less a request.
    Requests(f64),
    /// A photo, between so many times as fast.
    Photos(f64, f64),
}

const fn pages(market: &'static str) -> Claim {
    Claim { market, said: "pages at least 30 % faster (observed)", of: Of::Pages(1.3) }
}

/// All that was announced.
pub const CLAIMS: [Claim; 6] = [
    pages("SG"),
    pages("HK"),
    pages("TW"),
    Claim { market: "IN", said: "pages up to 200 % faster (observed)", of: Of::Pages(3.0) },
    Claim { market: "IN", said: "up to 350 ms less a request (expected)", of: Of::Requests(350.0) },
    Claim { market: "MY", said: "photo sync two to three times faster (expected)", of: Of::Photos(2.0, 3.0) },
];

impl Claim {
    /// What the replay says of it, and the word.
    fn judged(&self, row: &Measured) -> (String, &'static str) {
        match self.of {
            Of::Pages(least) => {
                let gain = row.gain(&PAGE);
                (format!("{}, {:+.0} %", times(gain), (gain - 1.0) * 100.0), word(gain >= least))
            }
            Of::Requests(least) => {
                let (warm, cold) = (row.saved(&WARM), row.saved(&COLD));
                (
                    format!("warm {warm:.0} ms, cold {cold:.0} ms less"),
                    word_of_two(warm >= least, cold >= least),
                )
            }
            Of::Photos(least, most) => {
                let gain = row.gain(&PHOTO);
                let word = if gain > most { "reached, and more" } else { word(gain >= least) };
                (times(gain), word)
            }
        }
    }
}

fn word(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "**not reached**" }
}

fn word_of_two(warm: bool, cold: bool) -> &'static str {
    match (warm, cold) {
        (true, _) => "reached",
        (false, true) => "reached cold, **not warm**",
        (false, false) => "**not reached**",
    }
}

/// The table; markets that were not measured are left out.
pub fn told(measured: &[Measured]) -> String {
    let head = ["market", "announced in 2014", "replayed", "", "round trips alone"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for claim in &CLAIMS {
        let Some(row) = measured.iter().find(|m| m.market.country.alpha2() == claim.market) else { continue };
        let (replayed, word) = claim.judged(row);
        let (before, after) = (row.market.before.rtt_typ_ms, row.market.after.rtt_typ_ms);
        let trips = format!("{before:.0} -> {after:.0} ms, {}", times(before / after));
        let name = row.market.country.name();
        table.push(vec![name.to_owned(), claim.said.to_owned(), replayed, word.to_owned(), trips]);
    }
    if table.len() == 1 {
        return String::new();
    }
    format!(
        "What was announced, and what the replay says of it; \"30 % faster\" is taken as 1.3 times the speed, \"200 %\" as three times.\n\n{}",
        rows(&table)
    )
}
