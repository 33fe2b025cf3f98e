//! `cargo xtask bench`: measures what DESIGN gives numbers for. The benchmarks live in crates/benches.

use std::process::Command;

/// Builds the benchmarks optimised and runs the one named.
pub fn run(args: &[String]) -> Result<(), String> {
    if args.first().map(String::as_str) != Some("move") {
        return Err("which benchmark? There is: cargo xtask bench move [--quick] [--help]".to_owned());
    }
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", "domicile-benches", "--"])
        .args(args)
        .status()
        .map_err(|e| format!("cargo run: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("the benchmark failed: {status}")) }
}
