//! `cargo xtask chinook`, `odd`, `adopt` and `gateways`: the guides, walked with the real binary on real databases.
//!
//! The walks live in a crate of their own, crates/walks, so that this one builds in seconds.

use std::path::PathBuf;
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
    // One build for all walks, and no `cargo run` after it: each choice of packages would build what others
    // wrote once more, with other features.
    let packages = ["domicile-cli", "domicile-walks", "domicile-sample"];
    let packages = packages.iter().flat_map(|name| ["--package", name]);
    step(Command::new(env!("CARGO")).args(["build", "--quiet"]).args(packages).args(profile))?;
    step(Command::new(built(release, "domicile-walks")?).arg(walk).args(rest))
}

/// A program that was just built: beside this one, or in the folder of the other profile.
fn built(release: bool, name: &str) -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = here.ancestors().nth(2).ok_or("this program is in no target folder")?;
    Ok(target.join(if release { "release" } else { "debug" }).join(name))
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
        ("adopt", "--people 600 --rate 100"),
        ("adopt", "--people 600 --rate 100 --sqlite --always"),
        ("adopt", "--people 600 --rate 100 --gateway"),
        ("adopt", "--people 600 --rate 100 --gateway --sqlite"),
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
