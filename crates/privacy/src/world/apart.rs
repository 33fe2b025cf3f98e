//! Names of the world on this machine, for this process and what it starts alone: a relay and the other user's device know relays
//! by the names that the handset knows them by. So the test runs with a file of hosts of its own, in a mount namespace.

use super::zone::{What, Zone};
use domicile_testbed::Watchdog;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, id};

const HOSTS: &str = "/etc/hosts";
/// Set where the file is our own: to its path.
const APART: &str = "DOMICILE_PRIVACY_APART";

/// Begins this program anew where [`HOSTS`] is its own, if it is not yet. The file is removed when what is returned is
/// dropped, and not before: a handset's own file could not be laid over one that is gone.
///
/// # Errors
/// In words: what the kernel refused.
pub fn go(args: &[String]) -> Result<Watchdog, String> {
    if let Some(file) = std::env::var_os(APART) {
        let file = file.to_string_lossy().replace('\'', "'\\''");
        return Ok(Watchdog::new(&format!("rm -f '{file}'")));
    }
    let file = std::env::temp_dir().join(format!("domicile-privacy-hosts-{}", id()));
    let said = |e: std::io::Error| format!("{}: {e}", file.display());
    let mut own = OpenOptions::new().write(true).create_new(true).open(&file).map_err(said)?;
    let machine = fs::read_to_string(HOSTS).unwrap_or_default();
    writeln!(own, "{}\n{machine}", mark(&file)).map_err(said)?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    let no = "privacy-test: no file of hosts of its own could be laid over the machine: not enough rights? \
              `cargo xtask privacy-test --proxy` needs none";
    command.arg(format!("mount --bind \"$0\" {HOSTS} && exec \"$@\"; echo '{no}' >&2; rm -f \"$0\"; exit 1"));
    command.arg(&file).arg(program).args(args).env(APART, &file);
    // It returns only where it fails.
    Err(format!("unshare: {}", command.exec()))
}

/// What the first line says.
fn mark(file: &Path) -> String {
    format!("# {}", file.display())
}

/// Writes down where the relays are.
///
/// # Errors
/// In words: the file is not our own.
pub fn know(zone: &Zone) -> Result<(), String> {
    let file = std::env::var_os(APART).ok_or("this process has no file of hosts of its own")?;
    let text = fs::read_to_string(HOSTS).map_err(|e| format!("{HOSTS}: {e}"))?;
    // INVARIANT: nobody else's file is written to.
    if !text.starts_with(&mark(Path::new(&file))) {
        return Err(format!("{HOSTS} is not this test's own"));
    }
    let mut file = OpenOptions::new().append(true).open(HOSTS).map_err(|e| format!("{HOSTS}: {e}"))?;
    for host in zone.hosts.iter().filter(|host| matches!(host.what, What::Relay(_))) {
        writeln!(file, "{} {}", host.address, host.name).map_err(|e| format!("{HOSTS}: {e}"))?;
    }
    Ok(())
}
