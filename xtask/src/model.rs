//! `cargo xtask model`: explores the model of the move (crates/mover/model) and prints its table.

use std::process::Command;

/// Builds the model optimised and explores what is asked for: everything, unless names say otherwise.
pub fn run(args: &[String]) -> Result<(), String> {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", "domicile-model", "--"])
        .args(args)
        .status()
        .map_err(|e| format!("cargo run: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("the model: {status}")) }
}
