//! The handset as the director sees it: a process in the namespace that acts when it is asked to.

use super::process::DONE;
use super::rest;
use crate::event::Act;
use crate::scene::Cast;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A handset that is switched on.
#[derive(Debug)]
pub struct Remote {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Remote {
    /// Switches it on: `command` is this program, to be started where the handset is.
    ///
    /// # Errors
    /// In words: the process did not start.
    pub fn start(mut command: Command, cast: &Cast, hosts: &Path) -> Result<Self, String> {
        command.args(["handset", &cast.client, &cast.times_as_fast.to_string()]).arg(hosts);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| format!("the handset: {e}"))?;
        let (asks, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.ok_or("the handset has no output")?);
        Ok(Self { child, asks, answers })
    }

    /// Asks for an act and waits until it is done; returns what became of it.
    ///
    /// # Errors
    /// What the handset said went wrong.
    pub fn act(&mut self, act: &Act) -> Result<String, String> {
        let mut line = serde_json::to_string(act).map_err(|e| e.to_string())?;
        line.push('\n');
        let asks = self.asks.as_mut().ok_or("the handset is off")?;
        asks.write_all(line.as_bytes()).map_err(|e| format!("the handset: {e}"))?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|e| format!("the handset: {e}"))?;
        match (answer.trim_end_matches('\n').strip_prefix(DONE), answer.is_empty()) {
            (Some(note), _) => Ok(note.to_owned()),
            (None, true) => Err(format!("the handset went off at {}", line.trim())),
            (None, false) => Err(format!("{}: {}", line.trim(), answer.trim())),
        }
    }

    /// What of it waits for a time while nobody touches it.
    ///
    /// # Errors
    /// In words: the kernel does not tell.
    pub fn waits(&self) -> Result<Vec<String>, String> {
        rest::waits(self.child.id())
    }

    /// Switches it off, and returns when nothing of it runs.
    ///
    /// # Errors
    /// In words: it did not end well.
    pub fn off(mut self) -> Result<(), String> {
        drop(self.asks.take());
        let status = self.child.wait().map_err(|e| format!("the handset: {e}"))?;
        if status.success() { Ok(()) } else { Err(format!("the handset ended with {status}")) }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        drop(self.asks.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
