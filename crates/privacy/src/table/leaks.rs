//! T8: what each line said of each writing of the client that leaks.

use super::INDENT;
use super::paint::{Paint, wrapped};
use crate::fault::Fault;
use crate::handset::leaky::Writing;
use crate::lines::Line;
use crate::lines::leaks::Leak;
use std::fmt::Write;

/// Writings by lines: what each line said of the client that leaks.
pub(super) fn matrix(leaks: &[Leak], paint: &Paint) -> String {
    let margin = " ".repeat(INDENT);
    let mut text = format!("{margin}{:<9}", "writing");
    for line in Line::LEAKING {
        let _ = write!(text, "{:<15}", format!("{line} says"));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for writing in Writing::ALL {
        let mut row = format!("{margin}{:<9}", writing.name());
        for line in Line::LEAKING {
            let leak = leaks.iter().find(|leak| leak.writing == writing && leak.line == line);
            let said = leak.map_or_else(|| format!("{:<15}", "not played"), |leak| cell(leak, paint));
            row.push_str(&said);
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    for leak in leaks.iter().filter(|leak| leak.line == Line::T1) {
        let told = leak.faults.iter().find(|fault| matches!(fault, Fault::Carried(_)));
        if let Some(fault) = told {
            text.push_str(&wrapped(&format!("{margin}{:<9}", leak.writing.name()), &fault.to_string()));
        }
    }
    for leak in leaks.iter().filter(|leak| !leak.missed.is_empty()) {
        let said =
            format!("{} of {} did not say: {}", leak.line, leak.writing.name(), leak.missed.join("; "));
        text.push_str(&wrapped(&margin, &said));
    }
    text
}

/// Fifteen columns of what a line said.
fn cell(leak: &Leak, paint: &Paint) -> String {
    let carried = leak.faults.iter().filter(|fault| matches!(fault, Fault::Carried(_))).count();
    if leak.missed.is_empty() {
        paint.good(&format!("{:<15}", format!("✗ fails, {carried}")))
    } else {
        paint.bad(&format!("{:<15}", format!("! MISSED {}", leak.missed.len())))
    }
}
