//! The picture of a run: for each line what happened to the phone, from left to right, and a stroke for each packet that left it or
//! reached it; of the client of 2014 above, of this one below. An idle minute has its width, everything else has one step.

use crate::lines::Line;
use crate::scene::{Played, Timed};
use crate::table::compare::{self, Sent};
use crate::traffic::Packet;
use crate::world::zone::{HOME, What, Zone};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

/// A line's scenes: the client of 2014, where it went through it, and this one.
pub struct Row<'a> {
    /// Which line.
    pub line: Line,
    /// 2014's.
    pub then: Option<&'a Played>,
    /// This client's.
    pub now: &'a Played,
}

/// Pixels.
const WIDTH: f64 = 1040.0;
const TOP: f64 = 92.0;
const NAMES: f64 = 24.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 830.0;
const STRIP: f64 = 18.0;
/// Above the strips of a line, and below them for the words.
const HEAD: f64 = 24.0;
const FOOT: f64 = 32.0;
/// Of a letter below the strips, and of a row of them.
const LETTER: f64 = 5.4;
const LETTERS: f64 = 10.0;
/// A step of idle time, in the handset's seconds: ten minutes are as wide as six acts.
const IDLE_STEP_S: f64 = 100.0;

const STYLE: &str = "<style>\n\
    text { font: 12px system-ui, sans-serif; fill: #333 }\n\
    .title { font-size: 18px; font-weight: 600; fill: #111 }\n\
    .line { font-size: 14px; font-weight: 600; fill: #111 }\n\
    .subtitle { fill: #666 }\n\
    .word { font-size: 10px; fill: #666 }\n\
    .strip { fill: #f4f5f6 }\n\
    .act { stroke: #fff; stroke-width: 1.5 }\n\
    .packet { stroke-width: 1.2; stroke-opacity: 0.7 }\n\
    .stranger { stroke: #b3261e }\n\
    .relay { stroke: #0b5fa5 }\n\
    .other { stroke: #2e7d32 }\n\
    .names { stroke: #8a8a8a }\n\
    .bad { fill: #b3261e; font-weight: 600 }\n\
    .none { fill: #0b5fa5; font-weight: 600 }\n\
    </style>";

const TITLE: &str = "What left the phone: the client of 2014, and this one";

/// Draws it.
pub fn svg(rows: &[Row<'_>], zone: &Zone) -> String {
    let tall = |row: &Row<'_>| HEAD + FOOT + STRIP * if row.then.is_some() { 2.3 } else { 1.0 };
    let height = TOP + rows.iter().map(tall).sum::<f64>() + 16.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{TITLE}\">\n\
         {STYLE}\n<rect width=\"{WIDTH}\" height=\"{height:.0}\" rx=\"6\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, "title", (NAMES, 32.0), TITLE);
    let about = "one stroke a packet, in the order of what happened; captured at the interface of a simulated handset";
    text(&mut svg, "subtitle", (NAMES, 51.0), about);
    legend(&mut svg);
    let mut top = TOP;
    for row in rows {
        text(&mut svg, "line", (NAMES, top + 14.0), &format!("{}  {}", row.line, compare::short(row.line)));
        let mut y = top + HEAD;
        let steps = Steps::of(&row.now.acts);
        for (word, played) in [("2014", row.then), ("now", Some(row.now))] {
            let Some(played) = played else { continue };
            strip(&mut svg, y, word, played, zone);
            y += STRIP * if word == "2014" { 1.3 } else { 1.0 };
        }
        words(&mut svg, y + 12.0, &row.now.acts, &steps);
        top += tall(row);
    }
    svg + "</svg>\n"
}

fn legend(svg: &mut String) {
    let mut x = NAMES;
    for (class, word) in [
        ("stranger", "with a host that the service never named"),
        ("relay", "with the relay of the home region, as agreed"),
        ("other", "with the account's endpoint, or the new home"),
        ("names", "with the resolver"),
    ] {
        draw(svg, class, &[x + 3.0], 66.0);
        text(svg, "subtitle", (x + 12.0, 79.0), word);
        x += 24.0 + 6.1 * word.len() as f64;
    }
}

/// One scene.
fn strip(svg: &mut String, y: f64, word: &str, played: &Played, zone: &Zone) {
    let steps = Steps::of(&played.acts);
    text(svg, "word", (NAMES, y + 13.0), word);
    let width = RIGHT - LEFT;
    let _ = writeln!(
        svg,
        "<rect class=\"strip\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width}\" height=\"{STRIP}\"/>"
    );
    for step in &steps.begins {
        let x = steps.x(*step);
        let _ = writeln!(
            svg,
            "<line class=\"act\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>",
            y + STRIP
        );
    }
    let mut strokes: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for packet in &played.traffic.packets {
        let x = steps.x(steps.at(&played.acts, packet.at_us));
        strokes.entry(class(packet, zone)).or_default().push(x);
    }
    for (class, xs) in strokes {
        draw(svg, class, &xs, y);
    }
    let sent = compare::sent(played, zone);
    let (class, told) = told(&sent);
    text(svg, class, (RIGHT + 12.0, y + 13.0), &told);
}

fn told(sent: &Sent) -> (&'static str, String) {
    match (sent.packets, sent.strangers, sent.said.len()) {
        (0, ..) => ("none", "nothing".to_owned()),
        (n, 0, 0) => ("none", format!("{n} packets, of nobody")),
        (n, 0, 1) => ("none", format!("{n} packets, own number")),
        (n, _, said) => ("bad", format!("{n} packets, {said} identifiers")),
    }
}

/// With whom.
fn class(packet: &Packet, zone: &Zone) -> &'static str {
    let known = |end| if let IpAddr::V4(end) = end { zone.at(end) } else { None };
    let other = packet.ends().and_then(|(from, to)| known(from).or_else(|| known(to)));
    match other.map(|host| &host.what) {
        Some(What::Relay(region)) if region == HOME => "relay",
        Some(What::Relay(_) | What::Account(_)) => "other",
        Some(What::Resolver) => "names",
        _ => "stranger",
    }
}

/// Where each act begins, in steps, and the end.
struct Steps {
    begins: Vec<f64>,
    end: f64,
}

impl Steps {
    fn of(acts: &[Timed]) -> Self {
        let (mut begins, mut end) = (Vec::new(), 0.0);
        for act in acts {
            begins.push(end);
            end += if act.idle_s > 0 { act.idle_s as f64 / IDLE_STEP_S } else { 1.0 };
        }
        Self { begins, end }
    }

    fn x(&self, step: f64) -> f64 {
        LEFT + step / self.end.max(1.0) * (RIGHT - LEFT)
    }

    /// The step at which something was: within an act by its time, between two at the end of the first.
    fn at(&self, acts: &[Timed], us: u64) -> f64 {
        let Some(index) = acts.iter().rposition(|act| act.us[0] <= us) else { return 0.0 };
        let [from, to] = acts[index].us;
        let part = (us - from) as f64 / (to - from).max(1) as f64;
        let next = self.begins.get(index + 1).copied().unwrap_or(self.end);
        self.begins[index] + part.min(1.0) * (next - self.begins[index])
    }
}

/// Words below the acts; the same one several times in a row is said once, and one that has no room stands lower.
fn words(svg: &mut String, y: f64, acts: &[Timed], steps: &Steps) {
    let (mut before, mut ends) = ("", [0.0; 2]);
    for (act, begin) in acts.iter().zip(&steps.begins) {
        if act.word != before {
            let told = if act.idle_s > 0 {
                format!("{} idle minutes", act.idle_s / 60)
            } else {
                act.word.to_owned()
            };
            let x = (steps.x(*begin) + 1.0).min(RIGHT - LETTER * told.len() as f64);
            let row = usize::from(x < ends[0]);
            text(svg, "word", (x, y + LETTERS * row as f64), &told);
            ends[row] = x + LETTER * told.len() as f64 + 3.0;
        }
        before = act.word;
    }
}

/// Strokes of one class in one strip.
fn draw(svg: &mut String, class: &str, xs: &[f64], y: f64) {
    let (from, tall) = (y + 2.0, STRIP - 4.0);
    let path: String = xs.iter().map(|x| format!("M{x:.1} {from:.1}v{tall}")).collect();
    let _ = writeln!(svg, "<path class=\"packet {class}\" d=\"{path}\"/>");
}

fn text(svg: &mut String, class: &str, (x, y): (f64, f64), words: &str) {
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_stands_where_it_was() {
        let act = |word, idle_s, us| Timed { word, idle_s, us };
        let acts = [act("SMS", 0, [100, 200]), act("idle", 600, [300, 900]), act("SMS", 0, [900, 950])];
        let steps = Steps::of(&acts);
        assert_eq!(steps.begins, [0.0, 1.0, 7.0]);
        for (us, step) in [(50, 0.0), (150, 0.5), (250, 1.0), (600, 4.0), (925, 7.5), (2_000, 8.0)] {
            assert!((steps.at(&acts, us) - step).abs() < 1e-9, "{us}: {}", steps.at(&acts, us));
        }
        assert!((steps.x(8.0) - RIGHT).abs() < 1e-9);
    }
}
