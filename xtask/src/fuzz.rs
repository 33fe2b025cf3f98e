//! `cargo xtask fuzz`: runs the fuzz targets (crates/*/fuzz) under libFuzzer, for a bounded time each.

use crate::test::{say, step, text};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Memory that a target may take, MiB, and seconds that one input may: more is a finding.
const MEMORY_MIB_MAX: u32 = 2048;
const INPUT_S_MAX: u32 = 10;
/// The longest input that is made up, bytes: what is longer says little that is new and is slow.
const INPUT_BYTES_MAX: u32 = 8192;

/// One target.
struct Target {
    /// The folder of its workspace: `crates/ledger/fuzz`.
    workspace: PathBuf,
    /// `ledger`.
    of: String,
    /// `receipt`.
    name: String,
}

/// What came of one.
struct Ran {
    executions: String,
    coverage: String,
    /// Where the log is, if something was found.
    found: Option<PathBuf>,
}

/// Runs the chore: `[--minutes N] [TARGET ...]`.
pub fn run(args: &[String]) -> Result<(), String> {
    let (minutes, names) = asked(args)?;
    let targets = chosen(all()?, &names)?;
    need()?;
    let mut workspaces: Vec<&Path> = targets.iter().map(|target| target.workspace.as_path()).collect();
    workspaces.dedup();
    for workspace in workspaces {
        say(&format!("fuzz: builds {}", workspace.display()));
        locked(workspace)?;
        step(cargo(workspace).args(["fuzz", "build"]))?;
    }
    println!("| target | minutes | executions | coverage | found |\n|---|---|---|---|---|");
    let mut found = Vec::new();
    for target in &targets {
        let ran = fuzz(target, minutes)?;
        let what = ran.found.as_ref().map_or("nothing".to_owned(), |log| log.display().to_string());
        let name = format!("{}/{}", target.of, target.name);
        println!("| {name} | {minutes} | {} | {} | {what} |", ran.executions, ran.coverage);
        if ran.found.is_some() {
            found.push(name);
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("fuzz: something was found by {}", found.join(", "))) }
}

fn asked(args: &[String]) -> Result<(u32, Vec<&str>), String> {
    let (mut minutes, mut names, mut rest) = (1, Vec::new(), args.iter());
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--minutes" => {
                let given = rest.next().and_then(|n| n.parse().ok()).filter(|n| (1..=10_000).contains(n));
                minutes = given.ok_or("--minutes wants a number from 1 on")?;
            }
            flag if flag.starts_with('-') => return Err(format!("fuzz does not know {flag}")),
            name => names.push(name),
        }
    }
    Ok((minutes, names))
}

/// Every target, by crate and name.
fn all() -> Result<Vec<Target>, String> {
    let read = |folder: &Path| {
        let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        Ok::<_, String>(paths)
    };
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut targets = Vec::new();
    for folder in read(Path::new("crates"))? {
        let workspace = folder.join("fuzz");
        if workspace.join("fuzz_targets").is_dir() {
            for target in read(&workspace.join("fuzz_targets"))? {
                targets.push(Target { workspace: workspace.clone(), of: name(&folder), name: name(&target) });
            }
        }
    }
    Ok(targets)
}

/// Those of these names, `receipt` or `ledger/receipt`, or of these crates; all where none is given.
fn chosen(all: Vec<Target>, names: &[&str]) -> Result<Vec<Target>, String> {
    let is = |target: &Target, name: &str| {
        name == target.of || name == target.name || name == format!("{}/{}", target.of, target.name)
    };
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|target| is(target, name))) {
        let known: Vec<_> = all.iter().map(|target| format!("{}/{}", target.of, target.name)).collect();
        return Err(format!("fuzz has no target {unknown}, but these: {}", known.join(", ")));
    }
    let wanted = |target: &Target| names.is_empty() || names.iter().any(|name| is(target, name));
    Ok(all.into_iter().filter(wanted).collect())
}

/// A nightly compiler, which alone builds for sanitizers and libFuzzer, and cargo-fuzz.
fn need() -> Result<(), String> {
    let nightly = text(Command::new("rustup").args(["run", "nightly", "rustc", "--version"]));
    if !nightly.starts_with("rustc") {
        return Err("a nightly compiler is missing: rustup toolchain install nightly".into());
    }
    say(&format!("fuzz: {nightly}"));
    let version = || text(cargo(Path::new(".")).args(["fuzz", "--version"]));
    if !version().starts_with("cargo-fuzz") {
        say("cargo-fuzz: not found; installing it from crates.io");
        step(cargo(Path::new(".")).args(["install", "cargo-fuzz", "--locked"]))?;
    }
    say(&format!("fuzz: {}", version()));
    Ok(())
}

/// Nightly's cargo beside the workspace. All workspaces share one folder of builds, which `cargo clean` removes.
fn cargo(workspace: &Path) -> Command {
    let mut cargo = Command::new("rustup");
    let builds = std::path::absolute("target/fuzz").unwrap_or_else(|_| "target/fuzz".into());
    cargo.args(["run", "nightly", "cargo"]).env("CARGO_TARGET_DIR", builds);
    let crate_folder = workspace.parent().filter(|parent| !parent.as_os_str().is_empty());
    cargo.current_dir(crate_folder.unwrap_or(workspace));
    cargo
}

/// The versions that are fuzzed are those that are shipped: the lock file is the whole project's.
fn locked(workspace: &Path) -> Result<(), String> {
    fs::copy("Cargo.lock", workspace.join("Cargo.lock")).map(drop).map_err(|e| format!("Cargo.lock: {e}"))
}

/// Runs one target, with what it was seeded with and what earlier runs found worth keeping.
fn fuzz(target: &Target, minutes: u32) -> Result<Ran, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", target.name);
    let corpus = std::path::absolute(target.workspace.join("corpus").join(&target.name)).map_err(failed)?;
    fs::create_dir_all(&corpus).map_err(failed)?;
    let log = Path::new("target/fuzz").join(format!("{}-{}.log", target.of, target.name));
    let status = cargo(&target.workspace)
        .args(["fuzz", "run", &target.name, "--", "-print_final_stats=1"])
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-timeout={INPUT_S_MAX}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .env("DOMICILE_FUZZ_SEEDS", corpus)
        .stderr(File::create(&log).map_err(failed)?)
        .status()
        .map_err(failed)?;
    let said = String::from_utf8_lossy(&fs::read(&log).map_err(failed)?).into_owned();
    let last = |behind: &str| {
        let at = said.rfind(behind)? + behind.len();
        said[at..].split_whitespace().next().map(str::to_owned)
    };
    Ok(Ran {
        executions: last("stat::number_of_executed_units:").unwrap_or_else(|| "-".into()),
        coverage: last(" cov: ").unwrap_or_else(|| "-".into()),
        found: (!status.success()).then_some(log),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<Target> {
        let target =
            |of: &str, name: &str| Target { workspace: "w".into(), of: of.into(), name: name.into() };
        vec![target("audit", "har"), target("ledger", "key"), target("server", "token")]
    }

    #[test]
    fn targets_are_named_by_crate_or_by_themselves() {
        let names = |asked: &[&str]| {
            chosen(targets(), asked).map(|all| all.into_iter().map(|target| target.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["har", "key", "token"]);
        assert_eq!(names(&["ledger", "server/token"]).unwrap(), ["key", "token"]);
        assert!(names(&["kye"]).unwrap_err().contains("ledger/key"));
    }

    #[test]
    fn minutes_and_names() {
        let of = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            asked(&args).map(|(minutes, names)| (minutes, names.len()))
        };
        assert_eq!(of(&["har", "--minutes", "5", "key"]).unwrap(), (5, 2));
        assert_eq!(of(&[]).unwrap(), (1, 0));
        assert!(of(&["--minutes", "0"]).is_err() && of(&["--minute", "1"]).is_err());
    }
}
