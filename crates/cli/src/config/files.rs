//! Policy files: names, or a pattern with one `*` in its last part.

use crate::failure::{self, Failure, Result};
use std::path::{Path, PathBuf};

/// The files that `patterns` name, relative to `base`: (name as shown, text), patterns in their order, the
/// files of one sorted by name.
///
/// # Errors
/// A file that is missing, a pattern that matches nothing.
pub fn policy_files(base: &Path, patterns: &[String]) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for pattern in patterns {
        for path in matching(base, pattern)? {
            let full = base.join(&path);
            let text =
                std::fs::read_to_string(&full).map_err(|e| failure::of_file("read the policy", &full, &e))?;
            files.push((path.display().to_string(), text));
        }
    }
    Ok(files)
}

fn matching(base: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let whole = Path::new(pattern);
    let name = whole.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((begin, end)) = name.split_once('*') else { return Ok(vec![whole.to_owned()]) };
    let folder = whole.parent().unwrap_or(Path::new(""));
    let shown = base.join(folder);
    let entries =
        std::fs::read_dir(&shown).map_err(|e| failure::of_file("read the folder of policies", &shown, &e))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|n| {
            n.len() >= begin.len() + end.len()
                && n.starts_with(begin)
                && n.ends_with(end)
                && !n.starts_with('.')
        })
        .map(|n| folder.join(n))
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(Failure::usage(
            "policy-missing",
            format!("no file matches {}", base.join(pattern).display()),
            "without a policy that permits it nothing may be stored anywhere",
            format!("ls {}", shown.display()),
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.cedar", "a.cedar", ".a.cedar", "a.cedar~"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let names = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            policy_files(dir.path(), &patterns).map(|f| f.into_iter().map(|(n, _)| n).collect::<Vec<_>>())
        };
        assert_eq!(names(&["*.cedar"]).unwrap(), ["a.cedar", "b.cedar"]);
        assert_eq!(names(&["b.cedar"]).unwrap(), ["b.cedar"]);
        assert_eq!(names(&["x*.cedar"]).unwrap_err().code, "policy-missing");
        assert_eq!(names(&["c.cedar"]).unwrap_err().code, "file-missing");
    }
}
