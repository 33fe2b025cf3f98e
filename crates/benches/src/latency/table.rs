//! What was measured, as Markdown whose columns stand under each other in a terminal, too.

use super::asked::Asked;
use super::measure::{MEASURES, Measure, Measured};
use super::way::By;
use crate::figures::spread;
use domicile_policy::Quality;

/// The heading, how it was done, the table of results, the table of inputs.
pub fn told(asked: &Asked, by: By, measured: &[Measured]) -> String {
    let mut text = format!("## The case's latency, replayed\n\n{}\n", method(asked, by));
    text.push_str(&rows(&results(asked, measured)));
    text.push_str("\nWhat went in, and what the users' pings said:\n\n");
    text.push_str(&rows(&inputs(measured)));
    text.push_str(&asides(measured));
    text
}

fn method(asked: &Asked, by: By) -> String {
    format!(
        "Before -> after, and before / after; medians of {} users a market and side, {} visits each, one photo each. \
         By {by}.\nBefore: all in Beijing, no edge. After: the home that the case's policy and latency choose, a gateway with an \
         edge cache in the\nnearest place that policy permits. The browser: one HTTP/2 connection, TLS 1.3 without resumption, no \
         DNS. Cold: TCP, TLS\nand request; a page is cold: one personal document, then twelve static files at once, 240 KiB \
         together. A photo: {:.1} MB on a\nnew connection. The user's own line: {} Mbit/s down, {} up.\n",
        asked.users,
        asked.repeats,
        asked.photo_bytes as f64 / 1e6,
        asked.down_mbit,
        asked.up_mbit
    )
}

fn results(asked: &Asked, measured: &[Measured]) -> Vec<Vec<String>> {
    let mut head = vec!["market".to_owned(), "home".to_owned(), "edge".to_owned()];
    head.extend(MEASURES.map(|m| format!("{}, {}", m.name, m.unit)));
    if let Some(photo) = head.last_mut() {
        *photo = format!("photo of {:.0} MB, s", asked.photo_bytes as f64 / 1e6);
    }
    let mut table = vec![head];
    for row in measured {
        let market = &row.market;
        let mut cells = vec![market.country.name().to_owned(), market.home.clone(), market.edge.clone()];
        cells.extend(MEASURES.map(|measure| cell(row, measure)));
        table.push(cells);
    }
    table
}

fn cell(row: &Measured, measure: &Measure) -> String {
    let [before, after] = &row.sides;
    let digits = usize::from(measure.scale < 1.0);
    let (before, after) = (before.median(measure), after.median(measure));
    let number = |value: f64, width: usize| match value.is_finite() {
        true => format!("{value:>width$.digits$}"),
        false => format!("{:>width$}", "?"),
    };
    format!("{} -> {} {:>6}", number(before, 5), number(after, 4), times(row.gain(measure)))
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
        "to Beijing, ms",
        "loss, %",
        "number",
        "ping, ms",
        "to the edge, ms",
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
        (sides().map(|(_, s)| s.edge_hits).sum::<usize>(), sides().map(|(_, s)| s.overrun).sum::<u64>());
    let mut text = format!(
        "\nStatic files that came from an edge's store: {hits}. Packets that the emulator was too slow for: {overrun}.\n\
         Loss is of pings, so half of it is taken for each direction; it and the round trips are of public tests of 2017 to 2026, and\n\
         those marked ESTIMATE nobody measured. The user's own line, the page's size and the photo's are estimates everywhere.\n"
    );
    for (row, side) in sides().filter(|(_, side)| !side.failed.is_empty()) {
        text.push_str(&format!(
            "\nNot counted, {}:\n  {}\n",
            row.market.country.name(),
            side.failed.join("\n  ")
        ));
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
