//! The faults that were planted in the good client and its server, and what was said of each.

use super::INDENT;
use super::paint::{Paint, wrapped};
use crate::lines::Line;
use crate::lines::plants::{Caught, PLANTS};

/// A line of the test at a time: how many were caught, and what was said of each.
pub(super) fn table(planted: &[Caught], paint: &Paint) -> String {
    let title = "FAULTS PLANTED";
    let mut text =
        format!("\n{}  in the good client and its server; each line must catch its own\n", paint.bold(title));
    for line in Line::ALL {
        let own: Vec<&Caught> = planted.iter().filter(|caught| caught.plant.line == line).collect();
        let all = PLANTS.iter().filter(|plant| plant.line == line);
        let unseen: Vec<&str> = all
            .filter(|plant| plant.needs_link && own.iter().all(|caught| !std::ptr::eq(caught.plant, *plant)))
            .map(|plant| plant.what)
            .collect();
        if own.is_empty() && unseen.is_empty() {
            continue;
        }
        text.push_str(&of_line(line, &own, paint));
        for what in unseen.iter().filter(|_| !planted.is_empty()) {
            text.push_str(&wrapped("    – ", &format!("{what}: not played, a proxy can't see it")));
        }
    }
    text
}

fn of_line(line: Line, own: &[&Caught], paint: &Paint) -> String {
    let caught = own.iter().filter(|caught| caught.is()).count();
    let word = format!("caught {caught} of {}", own.len());
    let word = if caught == own.len() { paint.good(&word) } else { paint.bad(&word) };
    let mut text = format!("{}  {word}\n", paint.bold(&line.to_string()));
    for fault in own {
        let (mark, said) = match (&fault.told, &fault.why) {
            (Some(told), None) => ("✓", told.clone()),
            (None, None) => ("✗", "MISSED".to_owned()),
            (_, Some(why)) => ("✗", why.clone()),
        };
        let lines = wrapped(&format!("{}{mark} ", " ".repeat(INDENT)), fault.plant.what);
        let painted = if mark == "✓" { paint.good(mark) } else { paint.bad(mark) };
        text.push_str(&lines.replacen(mark, &painted, 1));
        text.push_str(&wrapped("        ", &said));
    }
    text
}
