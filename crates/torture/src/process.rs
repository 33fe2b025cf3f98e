//! A worker's process: started, heard, stopped, continued, killed.

use crate::Fallible;
use crate::points::Fault;
use crate::site::Site;
use crate::tally::Tally;
use crate::worker::Verb;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct Order {
    pub verb: Verb,
    pub faults: Vec<Fault>,
    pub from: Option<&'static str>,
    pub turns: u32,
}

impl Order {
    /// Moves whoever has to move, once.
    pub fn plain() -> Self {
        Self { verb: Verb::Move, faults: Vec::new(), from: None, turns: 1 }
    }

    pub fn with(faults: Vec<Fault>) -> Self {
        Self { faults, ..Self::plain() }
    }

    fn told(&self) -> String {
        let faults: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        format!("{} {} {}", self.verb.word(), self.from.unwrap_or("everywhere"), faults.join(" "))
    }
}

/// One that runs.
pub struct Worker {
    child: Child,
    /// It ends when this closes; waiting for the child would close it, were it left there.
    _life: Option<ChildStdin>,
    ears: JoinHandle<()>,
    stopped: watch::Receiver<bool>,
    /// Everything it said, and its standard error beside it.
    pub log: PathBuf,
}

/// How one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, well.
    Done,
    /// By itself, with an error that it told.
    Failed,
    /// By a signal.
    Killed,
    /// It did not end in time, and was killed.
    Overdue,
}

impl Worker {
    /// Starts one; what it says goes into the tally and into `log`.
    pub fn start(site: &Site, order: &Order, tally: &Arc<Mutex<Tally>>, log: &Path) -> Fallible<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let turns = order.turns.to_string();
        command.arg("worker").arg(site.file()).args([order.verb.word(), order.from.unwrap_or("-"), &turns]);
        command.args(order.faults.iter().map(Fault::to_string));
        let errors = std::fs::File::create(log.with_extension("stderr"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("a worker without standard output")?;
        let life = child.stdin.take();
        let (tell, stopped) = watch::channel(false);
        let (tally, file, head) = (tally.clone(), log.to_owned(), order.told());
        let ears = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            let mut all = format!("# {head}\n");
            while let Ok(Some(line)) = lines.next_line().await {
                tally.lock().unwrap_or_else(|e| e.into_inner()).hear(&line);
                if line.starts_with("fault ") && line.contains(":stops:") {
                    let _ = tell.send(true);
                }
                all.push_str(&line);
                all.push('\n');
            }
            let _ = std::fs::write(file, all);
        });
        Ok(Self { child, _life: life, ears, stopped, log: log.to_owned() })
    }

    /// Waits for its end, at most so long.
    pub async fn end(mut self, limit: Duration) -> End {
        let end = match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => End::Done,
            Ok(Ok(status)) if status.code().is_some() => End::Failed,
            Ok(_) => End::Killed,
            Err(_) => {
                self.signal(Signal::KILL);
                let _ = self.child.wait().await;
                End::Overdue
            }
        };
        let _ = self.ears.await;
        end
    }

    /// Waits until it has stopped itself; false: it ended, or `limit` is over.
    pub async fn stops(&mut self, limit: Duration) -> bool {
        let mut stopped = self.stopped.clone();
        let stops = async { stopped.wait_for(|is| *is).await.is_ok() };
        tokio::select! {
            stops = stops => stops,
            _ = self.child.wait() => false,
            () = tokio::time::sleep(limit) => false,
        }
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&self, signal: Signal) -> bool {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}
