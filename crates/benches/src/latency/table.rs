//! What was measured, as Markdown whose columns stand under each other in a terminal, too.

use super::asked::Asked;
use super::measure::{MEASURES, Measure, Measured};
use super::way::By;
use crate::figures::spread;
use domicile_policy::Quality;

/// How far the users' pings may be from what was asked for, ms.
const PING_OFF_MAX_MS: f64 = 8.0;

/// The heading, how it was done, the table of results, the table of inputs.
pub fn told(asked: &Asked, by: By, measured: &[Measured]) -> String {
    let mut text = format!("## The case's latency, replayed\n\n{}", method(asked, by));
    text.push_str(&rows(&results(measured)));
    text.push_str("\nWhat went in, and what the users' pings said:\n\n");
    text.push_str(&rows(&inputs(measured)));
    text.push_str(&asides(measured));
    text
}

fn method(asked: &Asked, by: By) -> String {
    format!(
        "Before -> after, and before / after; medians of {} users a market and side, each with {} visits and a photo.\n\
         Ways: {by}.\n\
         Before: all in Beijing, no edge. After: the home that the case's policy and latency choose, behind a gateway with an\n\
         edge cache in the nearest place that policy permits (named where it is not the home).\n\
         The browser: one HTTP/2 connection, TLS 1.3 without resumption, no DNS. Cold is TCP, TLS and request; a page is cold:\n\
         one personal document, then twelve static files at once, 240 KiB together; a photo is {:.1} MB on a new connection.\n\
         The user's own line: {} Mbit/s down, {} up.\n\n",
        asked.users,
        asked.repeats,
        asked.photo_bytes as f64 / 1e6,
        asked.down_mbit,
        asked.up_mbit
    )
}

fn results(measured: &[Measured]) -> Vec<Vec<String>> {
    let mut table = vec![vec!["market".to_owned(), "home (edge)".to_owned()]];
    table[0].extend(MEASURES.map(|m| format!("{}, {}", m.name, m.unit)));
    for row in measured {
        let market = &row.market;
        let place = match market.edge == market.home {
            true => market.home.clone(),
            false => format!("{} ({})", market.home, market.edge),
        };
        let mut cells = vec![market.country.name().to_owned(), place];
        cells.extend(MEASURES.map(|measure| cell(row, measure)));
        table.push(cells);
    }
    table
}

fn cell(row: &Measured, measure: &Measure) -> String {
    let (digits, wide) = if measure.scale < 1.0 { (1, 5) } else { (0, 4) };
    let number = |side: usize, width: usize| {
        let value = row.sides[side].median(measure);
        if value.is_finite() { format!("{value:>width$.digits$}") } else { format!("{:>width$}", "?") }
    };
    format!("{} -> {} {:>5}", number(0, wide), number(1, wide - 1), times(row.gain(measure)))
}

/// `8.4x`.
pub fn times(gain: f64) -> String {
    if !gain.is_finite() {
        return "?".to_owned();
    }
    if gain >= 20.0 { format!("{gain:.0}x") } else { format!("{gain:.1}x") }
}

fn inputs(measured: &[Measured]) -> Vec<Vec<String>> {
    let head = [
        "market",
        "Beijing, ms",
        "loss, %",
        "number",
        "ping, ms",
        "edge, ms",
        "loss, %",
        "number",
        "ping, ms",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for row in measured {
        let mut cells = vec![row.market.country.name().to_owned()];
        for (link, side) in [&row.market.before, &row.market.after].into_iter().zip(&row.sides) {
            cells.push(format!("{:>4.0}", link.rtt_typ_ms));
            cells.push(link.loss_pct.map_or("unknown".to_owned(), |loss| format!("{loss:.0}")));
            cells.push(
                if link.quality == Quality::Estimated { "ESTIMATE" } else { "" }.to_owned()
                    + marked(link.quality),
            );
            cells.push(format!("{:>5.1}", spread(&side.pings_ms).1));
        }
        table.push(cells);
    }
    table
}

fn marked(quality: Quality) -> &'static str {
    match quality {
        Quality::Measured => "published",
        Quality::Derived => "derived",
        Quality::Estimated => "",
    }
}

/// What a reader must know to believe the tables.
fn asides(measured: &[Measured]) -> String {
    let sides = || measured.iter().flat_map(|row| row.sides.iter().map(move |side| (row, side)));
    let (hits, overrun) =
        sides().fold((0, 0), |(hits, overrun), (_, s)| (hits + s.edge_hits, overrun + s.overrun));
    let mut text = format!(
        "\nStatic files that came from an edge's store: {hits}. Packets that the emulator was too slow for: {overrun}.\n\
         Estimates: the user's own line, the page's size and the photo's everywhere; round trips and loss where it says ESTIMATE.\n\
         The others are of public tests of 2017 to 2026. Loss is of pings: half of it is taken for each direction.\n"
    );
    for (row, side) in sides().filter(|(_, side)| !side.failed.is_empty()) {
        let name = row.market.country.name();
        text.push_str(&format!("\nNot counted, {name}:\n  {}\n", side.failed.join("\n  ")));
    }
    for row in measured {
        for (link, side) in [&row.market.before, &row.market.after].into_iter().zip(&row.sides) {
            let off = spread(&side.pings_ms).1 - link.rtt_typ_ms;
            if off.abs() > PING_OFF_MAX_MS {
                let name = row.market.country.name();
                text.push_str(&format!(
                    "\nDo not believe {name}: its pings are off by {off:.0} ms, the machine was too busy.\n"
                ));
            }
        }
    }
    text
}

/// A Markdown table; the first row is its head.
pub fn rows(table: &[Vec<String>]) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width =
        |column: usize| table.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for (index, row) in table.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
        if index == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            text.push_str(&format!("|{}|\n", lines.join("|")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let table = [["a", "long"], ["longer", "b"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(rows(&table), "| a      | long |\n|--------|------|\n| longer | b    |\n");
    }

    #[test]
    fn gains_are_short() {
        assert_eq!([0.79, 8.44, 123.4, f64::NAN].map(times), ["0.8x", "8.4x", "123x", "?"]);
    }
}
