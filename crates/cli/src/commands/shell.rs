//! `completions` and `man`: made from the same definitions that parse the command line.

use crate::args::Cli;
use crate::failure::{self, Result};
use crate::screen::{self, Answer};
use clap::CommandFactory;
use serde_json::Value;
use std::path::PathBuf;

/// The completion script of a shell.
pub fn completions(shell: clap_complete::Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "domicile", &mut script);
    screen::raw(&script);
    Answer::default()
}

/// The manual: all pages into a folder, or the first to stdout.
pub fn man(dir: Option<PathBuf>) -> Result<Answer> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|e| failure::of_file("write", "the manual page".as_ref(), &e))?;
        screen::raw(&page);
        return Ok(Answer::default());
    };
    std::fs::create_dir_all(&dir).map_err(|e| failure::of_file("make the folder", &dir, &e))?;
    clap_mangen::generate_to(Cli::command(), &dir)
        .map_err(|e| failure::of_file("write manual pages to", &dir, &e))?;
    let text =
        format!("manual pages are in {}; read one with: man {}/domicile.1", dir.display(), dir.display());
    Ok(Answer::new(text, Value::Null))
}
