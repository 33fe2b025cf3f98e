//! The capture at the handset's interface, by tcpdump. It begins and ends with a mark of the test's own: a capture that does
//! not show both was not running, and proves nothing.

use super::zone::MARKS;
use domicile_testbed::mast::{Mast, RADIO};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What every mark's packet begins with.
pub const MARK: &str = "domicile privacy-test mark: ";
/// The first mark of a capture.
pub const BEGIN: &str = "begin";
/// The last one.
pub const END: &str = "end";
/// The largest packet of a link with offloads, with its Ethernet header, bytes.
const PACKET_BYTES_MAX: &str = "65550";
/// What waits for tcpdump to be scheduled, KiB: a thousand packets of that size.
const RING_KIB: &str = "65536";
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
    last_words: mpsc::Receiver<String>,
}

impl Capture {
    /// Begins, and returns when a first mark stands in the file.
    ///
    /// # Errors
    /// In words: tcpdump did not start, or saw nothing.
    pub fn begin(mast: &Mast, path: &Path) -> Result<Self, String> {
        let mut tcpdump = mast.at_handset(Path::new("tcpdump"));
        // -U and immediate mode: what was seen is in the file at once. -Z: it would give its rights away, and with them the folder.
        // Its ring has room for so many packets of the largest size; by default it would be eight.
        tcpdump.args(["-n", "-U", "--immediate-mode", "-s", PACKET_BYTES_MAX, "-B", RING_KIB, "-Z", "root"]);
        tcpdump.args(["-i", RADIO, "-w"]).arg(path);
        let child = tcpdump.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| format!("tcpdump: {e}"))?;
        let (mut said, (tell, last_words)) = (String::new(), mpsc::channel());
        if let Some(stderr) = child.stderr.take() {
            let mut reader = BufReader::new(stderr);
            while !said.contains("listening on") && reader.read_line(&mut said).is_ok_and(|read| read > 0) {}
            // It says at its end how many packets it did not get.
            std::thread::spawn(move || {
                let mut rest = String::new();
                let _ = reader.read_to_string(&mut rest);
                let _ = tell.send(rest);
            });
        }
        let capture = Self { child, path: path.to_owned(), last_words };
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
        self.child.wait().map_err(|e| format!("tcpdump: {e}"))?;
        let said = self.last_words.recv_timeout(SEEN).map_err(|_| "tcpdump did not say how it went")?;
        match dropped(&said) {
            Some(0) => Ok(()),
            Some(n) => Err(format!(
                "the capture {} lacks {n} packets that tcpdump was too slow for",
                self.path.display()
            )),
            None => Err(format!("tcpdump did not say how many packets it dropped: {said}")),
        }
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

/// `0 packets dropped by kernel`, and the same by the interface where it says so.
fn dropped(said: &str) -> Option<u64> {
    let lines = said.lines().filter(|line| line.contains(" dropped by "));
    let counts: Vec<u64> = lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tcpdump_dropped_is_read() {
        let said = "24 packets captured\n29 packets received by filter\n5 packets dropped by kernel\n";
        assert_eq!(dropped(said), Some(5));
        assert_eq!(dropped("24 packets captured\n0 packets dropped by kernel\n"), Some(0));
        assert_eq!(dropped("tcpdump: killed"), None);
    }
}
