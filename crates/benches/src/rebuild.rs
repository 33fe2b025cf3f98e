//! How long the build takes: a clean release build of the program, and again after an edit in the mover. In a
//! copy of the work tree and a folder of its own, so that nothing is found ready.

use crate::verdicts::{Target, Verdicts};
use crate::{Fallible, peers};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Measures and prints.
pub async fn run(verdicts: &mut Verdicts) -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let (tree, target) = (folder.path().join("tree"), folder.path().join("target"));
    fs::create_dir(&tree)?;
    copy(&tree).await?;
    // What is downloaded is not what is measured.
    build(&tree, &target, &["fetch", "--locked"]).await?;
    let release = ["build", "--release", "--locked", "--offline"];
    eprintln!("bench: a clean release build");
    let clean = build(&tree, &target, &release).await?;
    let mut edited = OpenOptions::new().append(true).open(tree.join("crates/mover/src/lib.rs"))?;
    edited.write_all(b"\n/// An edit.\npub const EDITED: u32 = 1;\n")?;
    drop(edited);
    eprintln!("bench: a rebuild after an edit in the mover");
    let release_again = build(&tree, &target, &release).await?;
    println!(
        "\n## Build\n\nDefault features, the program `domicile`, dependencies downloaded before; one run.\n\n\
         | | seconds |\n|---|---|\n| clean release build | {clean:.0} |\n| release build after an edit in mover | {release_again:.1} |"
    );
    verdicts.add("clean release build, minutes", Target::AtMost(8.0), &[clean / 60.0]);
    verdicts.add("rebuild after an edit in mover, seconds", Target::AtMost(20.0), &[release_again]);
    Ok(())
}

/// The files that git knows, as they are in the work tree.
async fn copy(tree: &Path) -> Fallible<()> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "git ls-files -z | tar --null -T - -cf - | tar -xf - -C \"$1\"", "sh"]).arg(tree);
    peers::run(shell).await.map(|_| ())
}

async fn build(tree: &Path, target: &Path, words: &[&str]) -> Fallible<f64> {
    let mut cargo = Command::new("cargo");
    cargo.args(words).current_dir(tree).env("CARGO_TARGET_DIR", target);
    Ok(peers::run(cargo).await?.1)
}
