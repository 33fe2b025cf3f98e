//! `cargo xtask privacy-test`: the 2014 test (docs/privacy-test.md), with the real binary.

use crate::test::{from_debian, need_postgres, say};
use domicile_testbed::{is_root, mast};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Installs what is missing (and says so), builds `domicile` and the test, and runs it; arguments go to the test.
pub fn run(args: &[String]) -> Result<(), String> {
    let help = args.iter().any(|a| ["--help", "-h", "help"].contains(&a.as_str()));
    if !help {
        need_postgres(true)?;
        if is_root() && !args.iter().any(|a| a == "--proxy") {
            need_programs()?;
        }
    }
    say("building domicile and the test");
    // With the features of the whole workspace, as `cargo xtask test` builds: other ones would build everything anew.
    let bins = ["domicile", "domicile-privacy"].iter().flat_map(|name| ["--bin", name]);
    step(Command::new(env!("CARGO")).args(["build", "--quiet", "--workspace"]).args(bins))?;
    let program = beside()?.join("domicile-privacy");
    step(Command::new(program).args(args))
}

/// What `cargo xtask test` runs: with namespaces where it may make them, else by the recording proxy.
pub fn all() -> Result<(), String> {
    run(&[])
}

/// What namespaces and captures need.
fn need_programs() -> Result<(), String> {
    for (program, package) in mast::PROGRAMS {
        if !found(program) {
            say(&format!("{program}: not found; installing Debian's package `{package}`"));
            from_debian(package)?;
        }
        if !found(program) {
            return Err(format!("{program} is missing: apt-get install {package}"));
        }
    }
    Ok(())
}

fn found(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // What it ends with is its own affair: it could be started.
    command.status().is_ok()
}

fn beside() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = here.ancestors().nth(2).ok_or("this program is in no target folder")?;
    Ok(target.join("debug"))
}

fn step(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("the privacy test failed: {status}")) }
}
