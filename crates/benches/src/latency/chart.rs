//! Four panels, one a measure: for each market a dot before and one after, on a scale of powers of ten, and where the
//! dot after would lie by what was announced.

use super::announced::{CLAIMS, Of};
use super::asked::Asked;
use super::measure::{MEASURES, Measure, Measured, PAGE, PHOTO, WARM};
use super::table::times;
use super::way::By;
use crate::plot::{Range, Scale, escaped, line, short, text};
use std::fmt::Write;

/// Pixels.
const WIDTH: f64 = 1040.0;
const TOP: f64 = 104.0;
const ROW: f64 = 24.0;
const NAMES: f64 = 116.0;
const GAINS: f64 = 56.0;
const PANEL: f64 = WIDTH / 2.0;
/// Above a panel's rows, and below them.
const HEAD: f64 = 34.0;
const FOOT: f64 = 44.0;

const STYLE: &str = "<style>\n\
    text { font: 13px system-ui, sans-serif; fill: #333 }\n\
    .title { font-size: 18px; font-weight: 600; fill: #111 }\n\
    .panel { font-size: 14px; font-weight: 600; fill: #111 }\n\
    .tick, .subtitle { font-size: 12px; fill: #666 }\n\
    .gain { font-weight: 600; fill: #0b5fa5 }\n\
    .slower { font-weight: 600; fill: #b3261e }\n\
    .grid { stroke: #e4e4e4 }\n\
    .way { stroke: #b9c7d3; stroke-width: 3 }\n\
    .said { stroke: #d9730d; stroke-width: 3 }\n\
    .before { fill: #8a8a8a }\n\
    .after { fill: #0b5fa5 }\n\
    </style>";

/// The picture.
pub fn svg(asked: &Asked, by: By, measured: &[Measured]) -> String {
    let panel_height = HEAD + ROW * measured.len() as f64 + FOOT;
    let height = TOP + 2.0 * panel_height;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n{STYLE}\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" fill=\"#fff\"/>\n",
        escaped(TITLE)
    );
    heading(&mut svg, asked, by);
    for (index, measure) in MEASURES.into_iter().enumerate() {
        let at = ((index % 2) as f64 * PANEL, TOP + (index / 2) as f64 * panel_height);
        panel(&mut svg, at, measure, measured);
    }
    svg + "</svg>\n"
}

const TITLE: &str = "The case's latency, replayed: all in Beijing, and at home";

fn heading(svg: &mut String, asked: &Asked, by: By) {
    text(svg, "title", "start", (24.0, 32.0), TITLE);
    let how = match by {
        By::Namespaces => "packets delayed and lost in network namespaces",
        By::Proxies => "delay proxies: nothing is lost",
    };
    let how = format!(
        "medians of {} users; {how}; their own line {} Mbit/s down, {} up (estimates); * a round trip is an estimate",
        asked.users, asked.down_mbit, asked.up_mbit
    );
    text(svg, "subtitle", "start", (24.0, 52.0), &how);
    dot(svg, "before", (30.0, 76.0));
    text(svg, "tick", "start", (42.0, 80.0), "before: all in Beijing, no edge");
    dot(svg, "after", (248.0, 76.0));
    text(svg, "tick", "start", (260.0, 80.0), "after: home region, nearest edge");
    line(svg, "said", (488.0, 68.0), (488.0, 84.0));
    text(svg, "tick", "start", (498.0, 80.0), "where \"after\" would be by what was announced in 2014");
}

fn panel(svg: &mut String, (left, top): (f64, f64), measure: &Measure, measured: &[Measured]) {
    let values = measured.iter().flat_map(|row| row.sides.iter().map(|side| side.median(measure)));
    let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    let range = Range::of(Scale::Log, values.iter().copied());
    let (begin, end) = (left + NAMES, left + PANEL - GAINS);
    let x = |value: f64| begin + range.at(value) * (end - begin);
    let bottom = top + HEAD + ROW * measured.len() as f64;
    let name = format!("{}, {}", measure.what, measure.unit);
    text(svg, "panel", "start", (begin, top + 18.0), &name);
    text(svg, "tick", "end", (left + PANEL - 10.0, top + 18.0), "gain");
    for value in range.ticks() {
        line(svg, "grid", (x(value), top + HEAD - 6.0), (x(value), bottom));
        text(svg, "tick", "middle", (x(value), bottom + 16.0), &short(value));
    }
    for (index, row) in measured.iter().enumerate() {
        let middle = top + HEAD + ROW * (index as f64 + 0.5);
        let [before, after] = &row.sides;
        let (before, after, gain) = (before.median(measure), after.median(measure), row.gain(measure));
        let mark = if row.market.is_estimate().contains(&true) { " *" } else { "" };
        let market = format!("{}{mark}", row.market.country.name());
        text(svg, "name", "end", (begin - 10.0, middle + 4.0), &market);
        if !gain.is_finite() {
            continue;
        }
        line(svg, "way", (x(before), middle), (x(after), middle));
        if let Some(said) = announced(row, measure, before) {
            line(svg, "said", (x(said), middle - 9.0), (x(said), middle + 9.0));
        }
        dot(svg, "before", (x(before), middle));
        dot(svg, "after", (x(after), middle));
        let class = if gain < 0.95 { "slower" } else { "gain" };
        text(svg, class, "end", (left + PANEL - 10.0, middle + 4.0), &times(gain));
    }
}

/// Where the market's measure would be; `None`: nothing was announced of it, or less than nothing would be left.
fn announced(row: &Measured, measure: &Measure, before: f64) -> Option<f64> {
    let of = |name: &str| name == measure.name;
    CLAIMS.iter().filter(|claim| claim.market == row.market.country.alpha2()).find_map(|claim| {
        let said = match claim.of {
            Of::Pages(times) if of(PAGE.name) => before / times,
            Of::Requests(ms) if of(WARM.name) => before - ms,
            Of::Photos(least, _) if of(PHOTO.name) => before / least,
            _ => return None,
        };
        (said > 0.0).then_some(said)
    })
}

fn dot(svg: &mut String, class: &str, (x, y): (f64, f64)) {
    // Writing to a `String` can't fail.
    let _ = writeln!(svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>");
}
