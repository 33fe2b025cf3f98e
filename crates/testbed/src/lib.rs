//! Real servers for tests and benchmarks: PostgreSQL clusters and a SeaweedFS S3 server, each on a free
//! port of the loopback interface, as an unprivileged user, with data in a temporary folder.
//!
//! Every server hangs on a pipe that this process holds: when the process ends, however it ends, the
//! pipe closes and a small shell stops the server and removes its folder.

pub mod disk;
pub mod far;
pub mod mast;
pub mod postgres;
pub mod proxy;
pub mod road;
pub mod schemathesis;
pub mod seaweed;
pub mod versions;
pub mod web;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports that the system gives to nobody by itself (Linux gives from 32768 on), from here on.
const PORTS_FROM: u32 = 10_000;
/// How many.
const PORTS: u32 = 22_000;

/// A TCP port that is free, and that nobody takes who does not ask for it by its number: a server may be started on it later, or
/// again. This process gives each once before it gives one twice; another one begins elsewhere.
///
/// # Panics
/// Where none is free.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(499);
    let mut next = (0..PORTS).map(|_| {
        let at = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        u16::try_from(PORTS_FROM + at).expect("below 65536")
    });
    next.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port on loopback")
}

/// So many of them.
pub fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| free_port())
}

/// Are we root? PostgreSQL refuses to run as root, so servers then run as [`unprivileged_user`].
pub fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

/// The user that servers run as where we are root: `postgres` if it exists, else `nobody`.
pub fn unprivileged_user() -> &'static str {
    let exists = Command::new("id").arg("postgres").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if exists.is_ok_and(|s| s.success()) { "postgres" } else { "nobody" }
}

/// Runs a command to its end and returns its standard output.
///
/// # Panics
/// Where it can't be started or fails, with what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `program` as the unprivileged user, or as ourselves where we are not root.
pub(crate) fn unprivileged(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", unprivileged_user(), "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// A temporary folder that the unprivileged user owns.
pub(crate) fn folder(what: &str) -> PathBuf {
    let dir = run(Command::new("mktemp").args(["-d", "-t", &format!("domicile-{what}-XXXXXX")]));
    let dir = PathBuf::from(dir.trim());
    if is_root() {
        run(Command::new("chown").arg(unprivileged_user()).arg(&dir));
    }
    dir
}

/// Runs `on_end` (a shell script) once this process is gone or the value is dropped.
#[derive(Debug)]
pub struct Watchdog(Option<Child>);

impl Watchdog {
    /// The script runs in `sh`; what it says is lost.
    pub fn new(on_end: &str) -> Self {
        // The shell ignores SIGINT so that Ctrl-C in a terminal ends the tests, not the cleaning up.
        let script = format!("trap '' INT TERM HUP; cat >/dev/null; {on_end}");
        let child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        Self(Some(child))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}
