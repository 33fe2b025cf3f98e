//! The capture at the handset's interface, by tcpdump. It begins and ends with a mark of the test's own: a capture that does
//! not show both was not running, and proves nothing.

use super::zone::MARKS;
use domicile_testbed::mast::{Mast, RADIO};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What every mark's packet begins with.
pub const MARK: &str = "domicile privacy-test mark: ";
/// The first mark of a capture.
pub const BEGIN: &str = "begin";
/// The last one.
pub const END: &str = "end";
/// How long a packet may take from the interface to the file.
const SEEN: Duration = Duration::from_secs(20);

/// Sends a mark from where this process is.
///
/// # Errors
/// In words: what the kernel refused.
pub fn mark(name: &str) -> Result<(), String> {
    let told = format!("{MARK}{name}\n");
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.send_to(told.as_bytes(), MARKS))
        .map(|_| ())
        .map_err(|e| format!("the mark {name:?}: {e}"))
}

/// tcpdump, running.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    path: PathBuf,
}

impl Capture {
    /// Begins, and returns when a first mark stands in the file.
    ///
    /// # Errors
    /// In words: tcpdump did not start, or saw nothing.
    pub fn begin(mast: &Mast, path: &Path) -> Result<Self, String> {
        let mut tcpdump = mast.at_handset(Path::new("tcpdump"));
        // -U and immediate mode: what was seen is in the file at once. -Z: it would give its rights away, and with them the folder.
        tcpdump.args(["-n", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-i", RADIO, "-w"]).arg(path);
        let child = tcpdump.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| format!("tcpdump: {e}"))?;
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            let mut reader = BufReader::new(stderr);
            while !said.contains("listening on") && reader.read_line(&mut said).is_ok_and(|read| read > 0) {}
            // It says a few lines more when it ends.
            std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        }
        let capture = Self { child, path: path.to_owned() };
        if !said.contains("listening on") {
            return Err(format!("tcpdump did not start: {}", said.trim()));
        }
        capture.mark_from(mast, BEGIN)?;
        Ok(capture)
    }

    /// Ends with a last mark, after everything that was sent before.
    ///
    /// # Errors
    /// In words: the mark was not seen, so what came before it may not have been either.
    pub fn end(mut self, mast: &Mast) -> Result<(), String> {
        self.mark_from(mast, END)?;
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        self.child.wait().map(|_| ()).map_err(|e| format!("tcpdump: {e}"))
    }

    /// A mark by a process of its own, so that it needs nothing of the handset; waits until it is in the file.
    fn mark_from(&self, mast: &Mast, name: &str) -> Result<(), String> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let sent = mast.at_handset(&own).args(["mark", name]).stdin(Stdio::null()).status();
        if !sent.is_ok_and(|status| status.success()) {
            return Err(format!("the mark {name:?} could not be sent"));
        }
        let (wanted, began) = (format!("{MARK}{name}\n"), Instant::now());
        while !contains(&std::fs::read(&self.path).unwrap_or_default(), wanted.as_bytes()) {
            if began.elapsed() > SEEN {
                return Err(format!("the capture {} does not show its mark {name:?}", self.path.display()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
