//! One scene: a handset is switched on in the world, a script is played on it, and everything that left or reached it meanwhile
//! is captured and audited.

use crate::audit;
use crate::carried::{Carried, Sought};
use crate::event::Act;
use crate::handset::remote::Remote;
use crate::traffic::Traffic;
use crate::world::{HOSTS, World};
use domicile_audit::Report;
use std::fs;
use std::path::{Path, PathBuf};

/// Where scenes are played, and where their evidence goes.
pub struct Stage<'a> {
    /// The world.
    pub world: &'a World,
    /// What the audit looks for.
    pub sought: &'a Sought,
    /// The folder of evidence.
    pub dir: &'a Path,
}

/// Who plays.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The client under test, as the handset's process names it.
    pub client: String,
    /// How many times as fast as the wall's the handset's clock runs while it is idle.
    pub times_as_fast: u64,
}

/// What a scene left.
#[derive(Debug)]
pub struct Played {
    /// The capture's file.
    pub pcap: PathBuf,
    /// Who spoke with whom.
    pub traffic: Traffic,
    /// The audit of what was said.
    pub report: Report,
    /// Its findings, in the words of the test.
    pub carried: Vec<Carried>,
}

impl Stage<'_> {
    /// Plays `script` and leaves `name.pcap` and the audit's report of it.
    ///
    /// # Errors
    /// In words: the capture was not running all the time, or an act failed.
    pub fn play(&self, name: &str, cast: &Cast, script: &[Act]) -> Result<Played, String> {
        let pcap = self.dir.join(format!("{name}.pcap"));
        let recording = self.world.record(&pcap)?;
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let handset = self.world.at_handset(&own);
        let mut handset = Remote::start(handset, cast, &self.dir.join(HOSTS))?;
        for act in script {
            let marked = matches!(act, Act::Mark(mark) if recording.mark(mark));
            if !marked {
                handset.act(act).map_err(|why| format!("{name}: {why}"))?;
            }
        }
        // Off before the last mark: what it still had to say is said by then.
        handset.off()?;
        recording.end()?;
        self.look(name, pcap)
    }

    fn look(&self, name: &str, pcap: PathBuf) -> Result<Played, String> {
        let bytes = fs::read(&pcap).map_err(|e| format!("{}: {e}", pcap.display()))?;
        let traffic = Traffic::read(&bytes).map_err(|why| format!("{name}: {why}"))?;
        let report = audit::capture(&pcap, self.sought, &self.world.zone)?;
        audit::leave(&report, self.sought, &pcap)?;
        let carried = report.findings.iter().filter_map(|finding| self.sought.carried(finding)).collect();
        Ok(Played { pcap, traffic, report, carried })
    }
}
