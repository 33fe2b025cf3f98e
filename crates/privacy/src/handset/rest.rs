//! What a handset waits for while nobody touches it, as the kernel tells it. Its idle minutes are compressed: alarms by the phone's
//! clock go off in them, alarms by the wall's clock do not. So nothing of a phone at rest may wait for a time: who waits for
//! nothing but what comes from outside is silent for ten minutes and for ten years.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What was begun may still end: a connection closes, a thread goes to sleep.
const SETTLES: Duration = Duration::from_secs(2);
/// So many looks in a row must show it at rest: who sleeps a little again and again is not.
const LOOKS: u32 = 5;
/// Between looks.
const LOOK: Duration = Duration::from_millis(10);

/// What of the process waits for a time, once it has settled; empty: nothing.
///
/// # Errors
/// In words: the kernel does not tell it of this process, or not on this kind of machine.
pub fn waits(process: u32) -> Result<Vec<String>, String> {
    let (began, mut quiet) = (Instant::now(), 0);
    loop {
        let waits = look(process)?;
        quiet = if waits.is_empty() { quiet + 1 } else { 0 };
        if quiet == LOOKS || (!waits.is_empty() && began.elapsed() > SETTLES) {
            return Ok(waits);
        }
        std::thread::sleep(LOOK);
    }
}

fn look(process: u32) -> Result<Vec<String>, String> {
    let calls = Calls::here()?;
    let proc = PathBuf::from(format!("/proc/{process}"));
    let mut waits = Vec::new();
    for thread in listed(&proc.join("task"))? {
        // A thread that ended meanwhile waits for nothing.
        if let Ok(text) = fs::read_to_string(thread.join("syscall")) {
            waits.extend(calls.judge(&text));
        } else if thread.exists() {
            return Err(format!("{} can't be read", thread.join("syscall").display()));
        }
    }
    for file in listed(&proc.join("fd"))? {
        if fs::read_link(&file).is_ok_and(|to| to.to_string_lossy().contains("[timerfd]")) {
            waits.push("it holds a timer of the kernel's".to_owned());
        }
    }
    // Not every kernel has them.
    if fs::read_to_string(proc.join("timers")).is_ok_and(|timers| !timers.is_empty()) {
        waits.push("it has a POSIX timer".to_owned());
    }
    waits.sort();
    waits.dedup();
    Ok(waits)
}

fn listed(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let said = |e: std::io::Error| format!("{}: {e}", dir.display());
    let entries = fs::read_dir(dir).map_err(said)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(said)).collect()
}

/// Numbers of the system calls that end when something comes from outside and never by themselves.
#[derive(Debug)]
struct Calls {
    /// `read` and `accept`: whatever their arguments are.
    outside: &'static [u64],
    /// `futex`: as long as its fourth argument, a time, is null.
    futex: u64,
    /// `epoll_wait` and `epoll_pwait`: as long as their fourth argument, milliseconds, is -1.
    epoll: &'static [u64],
}

impl Calls {
    fn here() -> Result<Self, String> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self { outside: &[0, 43, 288], futex: 202, epoll: &[232, 281] }),
            "aarch64" => Ok(Self { outside: &[63, 202, 242], futex: 98, epoll: &[22] }),
            other => Err(format!("what a thread waits for is not known on {other}")),
        }
    }

    /// What `/proc/PID/task/TID/syscall` says: a number and six arguments in hexadecimal (proc_pid_syscall(5)).
    fn judge(&self, text: &str) -> Option<String> {
        let mut words = text.split_whitespace();
        let Some(call) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
            return Some("a thread runs".to_owned());
        };
        let fourth =
            words.nth(3).and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        let for_ever = u64::from(u32::MAX);
        let waits = match fourth {
            _ if self.outside.contains(&call) => false,
            Some(time) if call == self.futex => time != 0,
            Some(ms) if self.epoll.contains(&call) => ms & for_ever != for_ever,
            _ => true,
        };
        waits.then(|| format!("a thread waits for a time (system call {call})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn who_sleeps_for_a_time_is_told_from_who_waits_for_others() {
        let started = |program: &str, args: &[&str]| {
            Command::new(program)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .expect("started")
        };
        let (mut reads, mut sleeps) = (started("cat", &[]), started("sleep", &["600"]));
        assert_eq!(waits(reads.id()), Ok(Vec::new()), "it reads until somebody says something");
        let told = waits(sleeps.id()).expect("told");
        assert!(matches!(told.as_slice(), [one] if one.starts_with("a thread waits for a time")), "{told:?}");
        for child in [&mut reads, &mut sleeps] {
            child.kill().and_then(|()| child.wait()).expect("ended");
        }
    }

    #[test]
    fn a_time_in_a_call_is_seen() {
        let calls = Calls { outside: &[0], futex: 202, epoll: &[232] };
        let said = |text: &str| calls.judge(text).is_some();
        assert!(!said("0 0x0 0x7f 0x400 0x0 0x0 0x0 0x7ffd 0x7f3"));
        assert!(!said("202 0x7f 0x189 0x0 0x0 0x0 0xffffffff 0x7ffd 0x7f3"));
        assert!(said("202 0x7f 0x189 0x0 0x7f11 0x0 0xffffffff 0x7ffd 0x7f3"));
        assert!(!said("232 0x3 0x55 0x400 0xffffffffffffffff 0x0 0x0 0x7ffd 0x7f3"));
        assert!(said("232 0x3 0x55 0x400 0x493e0 0x0 0x0 0x7ffd 0x7f3"));
        assert!(said("230 0x0 0x0 0x7f 0x7f 0x0 0x0 0x7ffd 0x7f3"), "clock_nanosleep");
        assert!(said("running"));
    }
}
