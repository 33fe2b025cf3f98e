//! What is kept of a finding: all rows and the guard's tables of all regions, the directory, the log of
//! acknowledged writes and every worker's words.

use crate::Fallible;
use crate::check::{Finding, Kind};
use crate::ground::{CONTROL, Ground, Place};
use crate::load::Load;
use crate::site::REGIONS;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const TABLES: [&str; 5] = ["accounts", "orders", "items", "parts", "photos"];
const GUARD: [&str; 7] = ["home", "changed", "batch", "member", "lease", "misplaced", "list"];

/// Writes the evidence into the run's folder.
pub async fn keep(ground: &Ground, load: &Load, folder: &Path, findings: &[Finding]) -> Fallible<()> {
    let held = load.pause().await;
    load.log.lock().unwrap_or_else(|e| e.into_inner()).flush();
    let mut text = String::new();
    for finding in findings {
        writeln!(text, "{finding}")?;
    }
    fs::write(folder.join("findings.txt"), text)?;
    for (region, _) in REGIONS {
        let guard = GUARD.map(|t| match ground.reader(region) {
            Place::Postgres(_) => format!("domicile.{t}"),
            Place::Sqlite(_) => format!("domicile_{t}"),
        });
        let tables = TABLES.iter().map(|t| (*t).to_owned()).chain(guard);
        dump(&ground.reader(region), tables, &folder.join(format!("{region}.txt"))).await?;
    }
    let tables = ["directory_home", "directory_wave"].map(str::to_owned).into_iter();
    dump(&ground.reader(CONTROL), tables, &folder.join("directory.txt")).await?;
    drop(held);
    Ok(())
}

async fn dump(place: &Place, tables: impl Iterator<Item = String>, file: &Path) -> Fallible<()> {
    let mut text = String::new();
    for table in tables {
        writeln!(text, "== {table}")?;
        for row in crate::check::dump(place, &table).await? {
            writeln!(text, "{row}")?;
        }
    }
    Ok(fs::write(file, text)?)
}

/// Workers that panicked.
pub fn panics(folder: &Path) -> Vec<Finding> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let errors = files.filter(|f| f.extension().is_some_and(|e| e == "stderr"));
    let told = errors.filter_map(|f| Some((f.clone(), fs::read_to_string(f).ok()?)));
    let panicked = told.filter(|(_, text)| text.contains("panicked"));
    panicked
        .map(|(f, text)| Finding {
            kind: Kind::Alarm,
            what: format!("a worker panicked ({}): {text}", f.display()),
        })
        .collect()
}
