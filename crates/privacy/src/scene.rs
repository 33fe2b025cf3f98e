//! One scene: a handset is switched on in the world, a script is played on it, and everything that left or reached it meanwhile
//! is captured and audited.

use crate::audit;
use crate::carried::{Carried, Sought};
use crate::event::Act;
use crate::handset::remote::Remote;
use crate::traffic::Traffic;
use crate::world::{HOSTS, Recording, World};
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

/// A scene while it is played.
pub struct Playing<'a> {
    handset: Remote,
    recording: Recording<'a>,
}

impl Playing<'_> {
    /// Lets something happen; returns what became of it.
    ///
    /// # Errors
    /// What the handset said.
    pub fn act(&mut self, act: impl Into<Act>) -> Result<String, String> {
        let act = act.into();
        if matches!(&act, Act::Mark(mark) if self.recording.mark(mark)) {
            return Ok(String::new());
        }
        self.handset.act(&act)
    }

    /// The same of several.
    ///
    /// # Errors
    /// What the handset said of the first that failed.
    pub fn acts(&mut self, acts: &[Act]) -> Result<(), String> {
        acts.iter().try_for_each(|act| self.act(act.clone()).map(|_| ()))
    }

    /// A mark in the capture.
    ///
    /// # Errors
    /// What the handset said.
    pub fn mark(&mut self, name: &str) -> Result<(), String> {
        self.act(Act::Mark(name.to_owned())).map(|_| ())
    }
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
        self.direct(name, cast, |handset| handset.acts(script)).map(|(played, ())| played)
    }

    /// The same, where others act between the handset's acts.
    ///
    /// # Errors
    /// As [`play`](Self::play), and what `direct` says.
    pub fn direct<T>(
        &self,
        name: &str,
        cast: &Cast,
        direct: impl FnOnce(&mut Playing<'_>) -> Result<T, String>,
    ) -> Result<(Played, T), String> {
        let pcap = self.dir.join(format!("{name}.pcap"));
        let recording = self.world.record(&pcap)?;
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let handset = Remote::start(self.world.at_handset(&own), cast, &self.dir.join(HOSTS))?;
        let mut playing = Playing { handset, recording };
        let came = direct(&mut playing).map_err(|why| format!("{name}: {why}"))?;
        // Off before the last mark: what it still had to say is said by then.
        playing.handset.off()?;
        playing.recording.end()?;
        Ok((self.look(name, pcap)?, came))
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
