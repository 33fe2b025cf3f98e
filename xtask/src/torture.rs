//! `cargo xtask torture`: moves under load while everything fails (crates/torture, docs/torture.md).

use std::process::Command;

/// Builds the torture with failpoints and planted bugs, which nothing else is built with, and runs it.
pub fn run(args: &[String]) -> Result<(), String> {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "domicile-torture", "--features", "armed", "--"])
        .args(args)
        .status()
        .map_err(|e| format!("cargo run: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("the torture: {status}")) }
}

/// What `cargo xtask test` runs: every durable write fails and dies once, on both engines.
pub fn bounded() -> Result<(), String> {
    for engine in ["postgres", "sqlite"] {
        run(&["--once", "--engine", engine, "--seed", "2014"].map(str::to_owned))?;
    }
    Ok(())
}
