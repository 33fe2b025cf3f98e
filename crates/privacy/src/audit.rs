//! The audit, asked of captures.

use crate::carried::Sought;
use crate::fault::Fault;
use crate::world::zone::Zone;
use domicile_audit::hosts::Hosts;
use domicile_audit::report::{Asked, html, text};
use domicile_audit::{Examiner, Limits, Place, Report, Step};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Searches a capture.
///
/// # Errors
/// In words: it can't be read.
pub fn capture(pcap: &Path, sought: &Sought, zone: &Zone) -> Result<Report, String> {
    let said = |e: std::io::Error| format!("{}: {e}", pcap.display());
    let mut examiner =
        Examiner::new(&sought.wanted, Limits::default()).with_controls(sought.canaries.clone());
    let place = Place::from(Step::File(pcap.display().to_string()));
    examiner.read(&place, fs::File::open(pcap).map_err(said)?).map_err(said)?;
    examiner.target();
    let mut report = examiner.finish();
    hosts(zone)?.tell(&mut report);
    Ok(report)
}

/// Searches files: dumps table by table, anything else as it is.
///
/// # Errors
/// None now; what can't be read is noted in the report.
pub fn files(paths: &[PathBuf], sought: &Sought) -> Result<Report, String> {
    let mut examiner =
        Examiner::new(&sought.wanted, Limits::default()).with_controls(sought.canaries.clone());
    for path in paths {
        examiner.files(path);
    }
    Ok(examiner.finish())
}

/// What an audit could not see, and controls that it missed, make it prove nothing.
pub fn proofs(report: &Report) -> Vec<Fault> {
    let mut faults = Vec::new();
    if report.controls.planted == 0 {
        faults.push(Fault::Unproven("the audit planted no controls".into()));
    }
    if let Some(missed) = report.controls.missed.first() {
        let (of, planted) = (report.controls.missed.len(), report.controls.planted);
        faults.push(Fault::Unproven(format!("the audit missed {of} of {planted} controls, as {missed}")));
    }
    for unseen in &report.unseen {
        faults.push(Fault::Unproven(format!("{}: {}", unseen.place, unseen.why)));
    }
    if report.more_unseen > 0 || report.more_findings > 0 {
        faults.push(Fault::Unproven("the audit saw more than its report holds".into()));
    }
    faults
}

/// The world's table of hosts as the audit takes it: each by its name and by its address.
fn hosts(zone: &Zone) -> Result<Hosts, String> {
    let mut hosts = Hosts::default();
    for host in &zone.hosts {
        for is in [host.name.clone(), host.address.to_string()] {
            hosts.add(&is, host.country.clone(), None)?;
        }
    }
    Ok(hosts)
}

/// Leaves a report beside what it is of: as text and as a page.
///
/// # Errors
/// In words: it can't be written.
pub fn leave(report: &Report, sought: &Sought, of: &Path) -> Result<(), String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
    let at = format!("{} s after 1970", since.as_secs());
    let asked = Asked::new(&sought.wanted, sought.canaries.first(), 0, vec![of.display().to_string()], at);
    for (extension, told) in [("audit.txt", text(report, &asked)), ("audit.html", html(report, &asked))] {
        let path = of.with_extension(extension);
        fs::write(&path, told).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
