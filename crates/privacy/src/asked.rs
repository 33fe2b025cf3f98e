//! The command line.

use std::path::PathBuf;

/// What is printed for `--help`.
pub const HELP: &str = "\
cargo xtask privacy-test [--keep DIR] [--proxy]

  The 2014 test: plays a phone's life on a simulated handset, captures at its interface what leaves it, and prints
  the table T1 to T9. Ends with 1 if any line is not as it should be. docs/privacy-test.md says how to read it.

  --keep DIR   the folder of evidence: captures, audits, the table, then-and-now.svg (else a new one under the
               temporary folder)
  --proxy      without network namespaces: a recording proxy, which sees only what goes through it. So it is
               where we are not root, too
";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The folder of evidence.
    pub keep: Option<PathBuf>,
    /// By the recording proxy.
    pub proxy: bool,
}

/// Reads the arguments; `None`: help was asked for.
///
/// # Errors
/// In words: an argument that there is not.
pub fn read(args: &[String]) -> Result<Option<Asked>, String> {
    let (mut asked, mut args) = (Asked::default(), args.iter());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--keep" => asked.keep = Some(args.next().ok_or("--keep needs a folder")?.into()),
            "--proxy" => asked.proxy = true,
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("no argument {other}: see --help")),
        }
    }
    Ok(Some(asked))
}
