//! What went wrong, in the five parts every message of Domicile has: what, why, state (what is true
//! now), fix (a command to paste, where there is one) and a stable code.
//!
//! Words are made here and in the folder, once; the crates below hand up data.

mod device;
mod directory;
mod map;
mod mover;
mod store;

use crate::named::Named;
use crate::paper;
use crate::screen::Exit;
use serde_json::{Value, json};

pub use device::of_device;
pub use directory::{of_directory, unknown_wave};
pub use map::{fix_of, of_problems, read as read_map};
pub use mover::of_mover;
pub use store::of_store;

/// `Result` with [`Failure`].
pub type Result<T, E = Box<Failure>> = std::result::Result<T, E>;

/// The state after an error of a command that changes nothing, or had not begun to.
pub const NOTHING_CHANGED: &str = "nothing was changed";

/// A failure, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, one sentence.
    pub what: String,
    /// Why it can't be, or what it means.
    pub why: String,
    /// What is true now.
    pub state: String,
    /// What to do; lines are kept as they are, so that a command can be pasted.
    pub fix: String,
    /// Stable, kebab-case; listed in docs/cli.md.
    pub code: &'static str,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// Something failed before anything was changed.
    pub fn new(
        code: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self {
            what: what.into(),
            why: why.into(),
            state: NOTHING_CHANGED.to_owned(),
            fix: fix.into(),
            code,
            exit: Exit::Failed,
        })
    }

    /// The command line or the configuration can't be used.
    pub fn usage(
        code: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Box<Self> {
        Self::new(code, what, why, fix).exit(Exit::Usage)
    }

    /// Is it the control store that does not answer?
    pub fn is_control_store_away(&self) -> bool {
        self.code == "store-unreachable" && self.what.starts_with("the control store")
    }

    /// The same with another exit code.
    pub fn exit(mut self: Box<Self>, exit: Exit) -> Box<Self> {
        self.exit = exit;
        self
    }

    /// The same with another state.
    pub fn state(mut self: Box<Self>, state: impl Into<String>) -> Box<Self> {
        self.state = state.into();
        self
    }

    /// The same with another fix.
    pub fn fix(mut self: Box<Self>, fix: impl Into<String>) -> Box<Self> {
        self.fix = fix.into();
        self
    }

    /// The same; commands in it name what was typed.
    pub fn naming(&self, named: &Named) -> Self {
        let [what, why, state, fix] =
            [&self.what, &self.why, &self.state, &self.fix].map(|text| named.shown(text));
        Self { what, why, state, fix, code: self.code, exit: self.exit }
    }

    /// Five labelled parts. `colour` makes the first label red.
    pub fn text(&self, colour: bool) -> String {
        let what = paper::wrapped("what:  ", &self.what);
        let what = match what.strip_prefix("what:").filter(|_| colour) {
            Some(rest) => format!("\u{1b}[1;31mwhat:\u{1b}[0m{rest}"),
            None => what,
        };
        let why = paper::wrapped("why:   ", &self.why);
        let state = paper::wrapped("state: ", &self.state);
        let fix = self.fix.replace('\n', "\n       ");
        format!("{what}\n{why}\n{state}\nfix:   {fix}\ncode:  {}\n", self.code)
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "what": self.what, "why": self.why, "state": self.state, "fix": self.fix, "code": self.code,
            "exit": self.exit as u8,
        })
    }
}

/// A file that can't be read or written.
pub fn of_file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Box<Failure> {
    let shown = path.display();
    let fix = match error.kind() {
        std::io::ErrorKind::NotFound => match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) if !folder.exists() => {
                format!("mkdir -p {}   # that folder is missing; or correct the path", folder.display())
            }
            _ => format!("ls -l {shown}"),
        },
        std::io::ErrorKind::PermissionDenied => {
            format!("ls -ld {shown}   # who may read it, and who are you?")
        }
        std::io::ErrorKind::StorageFull => "df -h .".to_owned(),
        _ => format!("ls -ld {shown}"),
    };
    let code = if error.kind() == std::io::ErrorKind::NotFound { "file-missing" } else { "file-unusable" };
    Failure::new(code, format!("can't {doing} {shown}"), reason(error), fix)
}

/// An answer that could not be printed.
pub fn of_stdout(error: &std::io::Error) -> Box<Failure> {
    Failure::new(
        "answer-unwritten",
        "the answer can't be written to stdout, or not wholly",
        reason(error),
        "df -h .   # is the disk full that stdout goes to?",
    )
    .state("what was done is done; the answer stands above, in words, on stderr")
}

/// The operating system's words without its error number.
pub fn reason(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::InvalidData {
        return "it is no text in UTF-8".to_owned();
    }
    let text = error.to_string();
    let bare = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = bare.chars();
    letters.next().map(|c| c.to_lowercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
