//! The test binaries side by side, where there are cores for it: each runs as many tests at once as there are cores, and most of
//! their time they wait, for servers and for leases that run out.

use crate::test::say;
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::scope;
use std::time::Instant;

/// Cores for each binary that runs at once: with fewer, tests that kill and stop processes become slow, and nothing is gained.
const CORES_EACH: usize = 2;
/// Binaries that run at once, at most.
const LANES_MAX: usize = 4;
/// What takes longest begins first, or the last lane runs alone.
const LONGEST: [&str; 4] =
    ["domicile-mover all", "domicile-cli all", "domicile-stores", "domicile-server mail"];

/// A test binary.
struct Binary {
    /// Its package, and its target where that has another name.
    name: String,
    program: PathBuf,
    /// Where its package is: cargo runs it there.
    folder: PathBuf,
}

/// Builds the tests of the workspace; one that is up to date takes no time.
pub fn build() -> Result<(), String> {
    binaries().map(drop)
}

/// Runs all tests of the workspace but those within documentation; `words` go to each binary (a filter).
///
/// # Errors
/// Names of the binaries in which a test failed, after all have run.
pub fn run(words: &[String]) -> Result<(), String> {
    let mut waiting = binaries()?;
    let all = waiting.len();
    let rank = |name: &str| LONGEST.iter().position(|long| name.starts_with(long)).unwrap_or(LONGEST.len());
    waiting.make_contiguous().sort_by_key(|binary| rank(&binary.name));
    let lanes = std::thread::available_parallelism()
        .map_or(1, |cores| usize::from(cores) / CORES_EACH)
        .clamp(1, LANES_MAX);
    say(&format!("tests: {all} binaries, {lanes} at once; each is shown when it has ended"));
    let (waiting, done) = (Mutex::new(waiting), Mutex::new((0, Vec::new())));
    let lane = || {
        // The queue is locked for the line that takes from it, not for as long as the binary runs.
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(binary) = next() {
            let began = Instant::now();
            let ran = one(&binary, words);
            let (s, mut done) =
                (began.elapsed().as_secs(), done.lock().unwrap_or_else(PoisonError::into_inner));
            done.0 += 1;
            let (count, how) = (done.0, if ran.is_ok() { "passed" } else { "FAILED" });
            say(&format!("tests: {count} of {all}: {} {how} after {} min {} s", binary.name, s / 60, s % 60));
            println!("{}", ran.as_ref().unwrap_or_else(|whole| whole));
            if ran.is_err() {
                done.1.push(binary.name);
            }
        }
    };
    scope(|scope| (0..lanes).for_each(|_| drop(scope.spawn(lane))));
    let (_, failed) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(format!("tests failed in {}", failed.join(", "))) }
}

/// Runs one: its result, or all that it said where it failed.
fn one(binary: &Binary, words: &[String]) -> Result<String, String> {
    let said = || -> std::io::Result<(bool, String)> {
        let mut file = tempfile()?;
        let status = Command::new(&binary.program)
            .args(words)
            .current_dir(&binary.folder)
            .env("CARGO_MANIFEST_DIR", &binary.folder)
            .env("PROPTEST_RNG_SEED", seed())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file.try_clone()?)
            .status()?;
        let mut said = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut said)?;
        Ok((status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    let (passed, said) = said().map_err(|e| format!("{}: {e}", binary.program.display()))?;
    let result = said.lines().filter(|line| line.starts_with("test result:")).collect::<Vec<_>>().join("\n");
    match passed {
        // The stories have no harness: what they say is their result. One that says nothing ran nothing.
        true if result.is_empty() && !said.is_empty() => Ok(said),
        true if !result.is_empty() => Ok(result),
        _ => Err(said),
    }
}

/// What property tests draw from: the same in each run, so that a change that passed passes. Other draws are for `cargo xtask fuzz`, or
/// for who names another seed.
fn seed() -> String {
    std::env::var("PROPTEST_RNG_SEED").unwrap_or_else(|_| "2014".into())
}

/// A file without a name, gone with its last handle.
fn tempfile() -> std::io::Result<std::fs::File> {
    let path = std::env::temp_dir().join(format!(
        "domicile-xtask-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// What cargo built, by its messages.
fn binaries() -> Result<VecDeque<Binary>, String> {
    let cargo = Command::new(env!("CARGO"))
        .args(["test", "--workspace", "--quiet", "--no-run", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cargo test: {e}"))?;
    if !cargo.status.success() {
        return Err(format!("the tests can't be built: {}", cargo.status));
    }
    let lines = String::from_utf8_lossy(&cargo.stdout);
    let found: VecDeque<_> =
        lines.lines().filter_map(|line| binary(&serde_json::from_str(line).ok()?)).collect();
    if found.is_empty() { Err("cargo named no test binary".into()) } else { Ok(found) }
}

fn binary(message: &Value) -> Option<Binary> {
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let program = PathBuf::from(message["executable"].as_str().filter(|_| is_test)?);
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let package = message["package_id"].as_str()?.rsplit(['/', '#']).find(|part| !part.is_empty())?;
    let package = match package.split_once('@') {
        Some((name, _)) => name.to_owned(),
        // A folder of the package's name is not named twice: `crates/xtask#0.1.0`.
        None => folder.file_name()?.to_string_lossy().into_owned(),
    };
    let target = message["target"]["name"].as_str()?;
    let name = if target.replace('_', "-") == package { package } else { format!("{package} {target}") };
    Some(Binary { name, program, folder })
}

#[cfg(test)]
mod tests {
    use super::binary;
    use serde_json::json;

    #[test]
    fn binaries_are_known_by_cargos_messages() {
        let message = |id: &str, target: &str, test: bool| {
            json!({ "reason": "compiler-artifact", "package_id": id, "manifest_path": "/w/crates/mover/Cargo.toml",
                    "target": { "name": target }, "profile": { "test": test }, "executable": "/w/target/all-1" })
        };
        let name = |id, target| binary(&message(id, target, true)).expect("a test binary").name;
        assert_eq!(name("path+file:///w/crates/mover#domicile-mover@0.1.0", "all"), "domicile-mover all");
        assert_eq!(
            name("path+file:///w/crates/mover#domicile-mover@0.1.0", "domicile_mover"),
            "domicile-mover"
        );
        assert_eq!(name("path+file:///w/crates/mover#0.1.0", "all"), "mover all");
        assert!(binary(&message("path+file:///w/crates/mover#0.1.0", "all", false)).is_none());
        assert!(binary(&json!({ "reason": "build-finished", "success": true })).is_none());
    }
}
