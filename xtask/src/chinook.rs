//! `cargo xtask chinook`, `odd` and `adopt`: the guides, walked with the real binary on real databases.
//!
//! The walks live in a crate of their own, crates/walks, so that this one builds in seconds.

use std::process::Command;

/// Builds `domicile` and the walks, then walks.
///
/// `--release` builds both optimised (for large `--times`); everything else goes to the walk.
pub fn run(walk: &str, args: &[String]) -> Result<(), String> {
    let (mut release, mut rest) = (false, Vec::new());
    for arg in args {
        match arg.as_str() {
            "--release" => release = true,
            other => rest.push(other),
        }
    }
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    println!("xtask: building domicile");
    let mut build = vec!["build", "--quiet", "--package", "domicile-cli", "--package", "domicile-walks"];
    if walk == "adopt" {
        build.extend(["--package", "domicile-sample"]);
    }
    step(Command::new(env!("CARGO")).args(build).args(profile))?;
    let run = ["run", "--quiet", "--package", "domicile-walks"];
    step(Command::new(env!("CARGO")).args(run).args(profile).args(["--", walk]).args(rest))
}

/// What `cargo xtask test` walks: Chinook on both engines, with a load and two kills, the odd shape, and adoption
/// under a load.
pub fn all() -> Result<(), String> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for (walk, args) in [
        ("chinook", ""),
        ("chinook", "--times 60"),
        ("chinook", "--sqlite --times 30"),
        ("odd", ""),
        ("adopt", "--people 400 --rate 60"),
        ("adopt", "--people 400 --rate 60 --always"),
        ("adopt", "--people 400 --rate 60 --sqlite"),
    ] {
        println!("xtask: walking through the guide: {walk} {args}");
        run(walk, &words(args))?;
    }
    Ok(())
}

fn step(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("the walk failed: {status}")) }
}
