//! `--config FILE` in the commands that are shown, so that each can be pasted as it stands.
//!
//! Done once, at the edge: whoever writes `domicile plan` into an answer need not know how it was called.

use clap::CommandFactory;
use std::path::Path;

/// `--config FILE` as it was typed on this command line; what stands in the environment holds for the next
/// command, too.
pub fn typed(config: &Path) -> Option<String> {
    let said = std::env::args().any(|a| a == "--config" || a.starts_with("--config="));
    said.then(|| format!("--config {}", quoted(&config.display().to_string())))
}

/// The text with `flag` behind every `domicile` that a command's word follows.
pub fn with_config(text: &str, flag: Option<&str>) -> String {
    let Some(flag) = flag else { return text.to_owned() };
    let cli = crate::args::Cli::command();
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(WORD) {
        let (before, after) = rest.split_at(at + WORD.len());
        let begins = before[..at].chars().last().is_none_or(|c| c.is_whitespace() || "`(".contains(c));
        let word: String = after.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        out.push_str(before);
        // These need no configuration.
        let reads = !["guide", "completions", "man", "demo"].contains(&word.as_str());
        if begins && reads && cli.find_subcommand(&word).is_some() {
            out.push_str(flag);
            out.push(' ');
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

const WORD: &str = "domicile ";

/// For a shell.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./~@:+=".contains(c);
    if path.chars().all(plain) && !path.is_empty() {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::with_config;

    #[test]
    fn commands_name_the_file_that_was_named() {
        let flag = Some("--config eu.toml");
        let shown = "next: domicile plan -o p.json\nrun `domicile guard enforce` on domicile data";
        let wanted = "next: domicile --config eu.toml plan -o p.json\nrun `domicile --config eu.toml guard enforce` on domicile data";
        assert_eq!(with_config(shown, flag), wanted);
        assert_eq!(with_config(shown, None), shown);
        assert_eq!(with_config("GRANT x TO domicile;", flag), "GRANT x TO domicile;");
    }

    #[test]
    fn a_path_is_quoted_for_a_shell() {
        assert_eq!(super::quoted("a/b.toml"), "a/b.toml");
        assert_eq!(super::quoted("a b's"), "'a b'\\''s'");
    }
}
