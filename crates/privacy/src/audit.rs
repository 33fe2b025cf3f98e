//! The audit, asked of captures.

use crate::carried::Sought;
use crate::world::zone::Zone;
use domicile_audit::hosts::Hosts;
use domicile_audit::report::{Asked, html, text};
use domicile_audit::{Examiner, Limits, Place, Report, Step};
use std::fs;
use std::path::Path;
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
    let asked = Asked::new(&sought.wanted, 0, vec![of.display().to_string()], at);
    for (extension, told) in [("audit.txt", text(report, &asked)), ("audit.html", html(report, &asked))] {
        let path = of.with_extension(extension);
        fs::write(&path, told).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
