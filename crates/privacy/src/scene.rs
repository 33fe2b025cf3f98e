//! One scene: a handset is switched on in the world, a script is played on it, and everything that left or reached it meanwhile
//! is captured and audited.

use crate::audit;
use crate::carried::{Carried, Sought};
use crate::event::{Act, Event};
use crate::handset::remote::Remote;
use crate::traffic::Traffic;
use crate::world::{HOSTS, Recording, World};
use domicile_audit::Report;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where scenes are played, and where their evidence goes.
pub struct Stage<'a> {
    /// The world.
    pub world: &'a World,
    /// What the audit looks for.
    pub sought: &'a Sought,
    /// The folder of evidence.
    pub dir: &'a Path,
}

/// Who plays what.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The scene's name: that of its files.
    pub scene: String,
    /// The client under test, as the handset's process names it.
    pub client: String,
    /// How many times as fast as the wall's the handset's clock runs while it is idle.
    pub times_as_fast: u64,
    /// Over TLS: only what can be seen from outside is seen.
    pub sealed: bool,
    /// At its end nothing of the handset may wait for a time.
    pub rests: bool,
}

/// One act, when it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// In a word.
    pub word: &'static str,
    /// For how many of the handset's seconds nobody touches it.
    pub idle_s: u64,
    /// From when until when, in microseconds after 1970.
    pub us: [u64; 2],
}

/// A scene while it is played.
pub struct Playing<'a> {
    handset: Remote,
    recording: Recording<'a>,
    acts: Vec<Timed>,
}

impl Playing<'_> {
    /// Lets something happen; returns what became of it.
    ///
    /// # Errors
    /// What the handset said.
    pub fn act(&mut self, act: impl Into<Act>) -> Result<String, String> {
        let act = act.into();
        let event = match &act {
            Act::Mark(mark) if self.recording.mark(mark)? => return Ok(String::new()),
            Act::Mark(_) => return self.handset.act(&act),
            Act::Event(event) => event,
        };
        let (word, idle_s) = (event.word(), if let Event::Idle(idle_s) = event { *idle_s } else { 0 });
        let began = now_us();
        let came = self.handset.act(&act);
        self.acts.push(Timed { word, idle_s, us: [began, now_us()] });
        came
    }

    /// Something that others do meanwhile, and that a picture of the scene shows.
    pub fn meanwhile<T>(&mut self, word: &'static str, act: impl FnOnce() -> T) -> T {
        let began = now_us();
        let came = act();
        self.acts.push(Timed { word, idle_s: 0, us: [began, now_us()] });
        came
    }

    /// Lets several things happen.
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
    /// It was over TLS.
    pub sealed: bool,
    /// What of the handset waited for a time of the wall's clock when all was done.
    pub waits: Vec<String>,
    /// What happened when.
    pub acts: Vec<Timed>,
}

impl Stage<'_> {
    /// Plays `script` and leaves a capture by the scene's name and the audit's report of it.
    ///
    /// # Errors
    /// In words: the capture was not running all the time, or an act failed.
    pub fn play(&self, cast: &Cast, script: &[Act]) -> Result<Played, String> {
        self.direct(cast, |handset| handset.acts(script)).map(|(played, ())| played)
    }

    /// The same, where others act between the handset's acts.
    ///
    /// # Errors
    /// As [`play`](Self::play), and what `direct` says.
    pub fn direct<T>(
        &self,
        cast: &Cast,
        direct: impl FnOnce(&mut Playing<'_>) -> Result<T, String>,
    ) -> Result<(Played, T), String> {
        let name = &cast.scene;
        let pcap = self.dir.join(format!("{name}.pcap"));
        let recording = self.world.record(&pcap)?;
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let handset = Remote::start(self.world.at_handset(&own), cast, &self.dir.join(HOSTS))?;
        let mut playing = Playing { handset, recording, acts: Vec::new() };
        let came = direct(&mut playing).map_err(|why| format!("{name}: {why}"))?;
        let waits = if cast.rests { playing.handset.waits() } else { Ok(Vec::new()) };
        let waits = waits.map_err(|why| format!("{name}: {why}"))?;
        // Off before the last mark: what it still had to say is said by then.
        playing.handset.off()?;
        playing.recording.end()?;
        let seen = self.look(name, pcap)?;
        Ok((Played { sealed: cast.sealed, waits, acts: playing.acts, ..seen }, came))
    }

    fn look(&self, name: &str, pcap: PathBuf) -> Result<Played, String> {
        let bytes = fs::read(&pcap).map_err(|e| format!("{}: {e}", pcap.display()))?;
        let traffic = Traffic::read(&bytes).map_err(|why| format!("{name}: {why}"))?;
        let report = audit::capture(&pcap, self.sought, &self.world.zone)?;
        audit::leave(&report, self.sought, &pcap)?;
        let carried = report.findings.iter().filter_map(|finding| self.sought.carried(finding)).collect();
        Ok(Played { pcap, traffic, report, carried, sealed: false, waits: Vec::new(), acts: Vec::new() })
    }
}

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
