//! The world behind the handset's only link.

pub mod capture;
pub mod names;
pub mod process;
pub mod zone;

use domicile_testbed::mast::Mast;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use zone::{RESOLVER, Zone};

/// Namespaces and the process in the world's one; all end with the value.
#[derive(Debug)]
pub struct World {
    /// The namespaces.
    pub mast: Mast,
    /// Who is where.
    pub zone: Zone,
    process: Child,
}

impl World {
    /// Raises the mast and lets the world begin; its files go to `dir`.
    ///
    /// # Errors
    /// In words: no namespaces, or a port that could not be opened.
    pub fn begin(dir: &Path) -> Result<Self, String> {
        let (mast, mut zone) = (Mast::raise(RESOLVER)?, Zone::new());
        zone.handset = Some(mast.handset_address()?);
        let (hosts, log) = (dir.join("hosts.json"), dir.join("world.log"));
        let text = serde_json::to_string_pretty(&zone).map_err(|e| e.to_string())?;
        fs::write(&hosts, text).map_err(|e| format!("{}: {e}", hosts.display()))?;
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = mast.at_world(&own);
        command.arg("world").arg(&hosts).arg(&log).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|e| format!("the world: {e}"))?;
        let mut ready = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut ready).map_err(|e| e.to_string())?;
        }
        let world = Self { mast, zone, process };
        if ready.trim() == "ready" { Ok(world) } else { Err("the world did not begin".into()) }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
