//! The audit, asked of captures.

use crate::carried::Sought;
use crate::world::zone::Zone;
use domicile_audit::{Examiner, Limits, Place, Report, Step};
use std::fs;
use std::path::Path;

/// Searches a capture.
///
/// # Errors
/// In words: it can't be read.
pub fn capture(pcap: &Path, sought: &Sought, _zone: &Zone) -> Result<Report, String> {
    let said = |e: std::io::Error| format!("{}: {e}", pcap.display());
    let mut examiner = Examiner::new(&sought.wanted, Limits::default());
    let place = Place::from(Step::File(pcap.display().to_string()));
    examiner.read(&place, fs::File::open(pcap).map_err(said)?).map_err(said)?;
    examiner.target();
    Ok(examiner.finish())
}

/// Leaves a report beside what it is of.
///
/// # Errors
/// In words: it can't be written.
pub fn leave(report: &Report, of: &Path) -> Result<(), String> {
    let path = of.with_extension("audit.json");
    let text = serde_json::to_string_pretty(report).map_err(|e| e.to_string())?;
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}
