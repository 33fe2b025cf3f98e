//! `cargo xtask tidy`: rules of the house that the compiler does not keep.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Layers by crate: an arrow points down only, and siblings never import each other (ARCHITECTURE.md).
const LAYERS: [(&str, u32); 12] = [
    ("domicile-policy", 0),
    ("domicile-datamap", 0),
    ("domicile-ledger", 0),
    ("domicile-stores", 1),
    ("domicile-messaging", 0), // the device's side too: it imports nothing of ours
    ("domicile-directory", 2),
    ("domicile-mover", 3),
    ("domicile-server", 4),
    ("domicile-audit", 0),  // it must not share a mistake with what it checks
    ("domicile-model", 0),  // of the mover, but it imports nothing of ours: it would only prove itself
    ("domicile-sample", 0), // stands for a stranger's application: it imports nothing of ours
    ("domicile-cli", 5),
];

/// Source files may not grow past this without standing in [`LONG`].
const LINES_MAX: usize = 600;

/// Files that are longer, with the reason. This list only shrinks.
const LONG: [(&str, &str); 0] = [];

/// Module names that say nothing.
const DRAWERS: [&str; 5] = ["util", "utils", "common", "helpers", "manager"];

/// Runs all rules; the error lists every breach.
pub fn run() -> Result<(), String> {
    let mut breaches = layers()?;
    breaches.extend(files(&root()));
    if breaches.is_empty() {
        println!("xtask: tidy");
        return Ok(());
    }
    Err(format!("not tidy:\n  {}", breaches.join("\n  ")))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads `cargo metadata` and compares every dependency between our crates with [`LAYERS`].
fn layers() -> Result<Vec<String>, String> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let layers: BTreeMap<&str, u32> = LAYERS.into_iter().collect();
    let mut breaches = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(layer) = layers.get(name) else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let below = layers.get(to).is_none_or(|l| l < layer);
            if dependency["kind"].is_null() && !below {
                breaches.push(format!("{name} (layer {layer}) imports {to}: arrows point down only"));
            }
        }
    }
    Ok(breaches)
}

fn files(root: &Path) -> Vec<String> {
    let mut sources = Vec::new();
    for top in ["crates", "xtask"] {
        collect(&root.join(top), &mut sources);
    }
    sources.iter().flat_map(|path| breaches(root, path)).collect()
}

fn collect(dir: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|e| e == "rs") {
            sources.push(path);
        }
    }
}

fn breaches(root: &Path, path: &Path) -> Vec<String> {
    let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let mut found = Vec::new();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if DRAWERS.contains(&stem.as_ref()) {
        found.push(format!("{shown}: a module called `{stem}` says nothing of what is in it"));
    }
    let lines = fs::read_to_string(path).unwrap_or_default().lines().count();
    let excused = LONG.iter().any(|(name, _)| *name == shown);
    if lines > LINES_MAX && !excused {
        found.push(format!("{shown}: {lines} lines, more than {LINES_MAX}; split it by stage"));
    }
    found
}
