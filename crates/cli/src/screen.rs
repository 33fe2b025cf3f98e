//! The only place that writes to stdout and stderr.
//!
//! stdout is the answer, stderr the story. Answers are made whole by a command and printed once, so
//! that `--json` and the text can't contradict each other.

use crate::failure::Failure;
use crate::log::{self, Level};
use crate::named::Named;
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

/// Version of the shape of every JSON answer.
pub const JSON_FORMAT: u32 = 1;
/// Columns that texts are wrapped to: what a terminal has at least.
pub const WIDTH: usize = 80;

/// What a command ends with. The numbers are the contract with scripts (docs/cli.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exit {
    /// What was asked for was done.
    #[default]
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line or the configuration can't be used.
    Usage = 2,
    /// The answer is no: refused, differs, findings.
    No = 3,
    /// Stopped at a safe point; `resume` continues.
    Stopped = 4,
    /// Ended at once by a signal.
    Interrupted = 130,
}

/// A command's answer, in both forms.
#[derive(Debug, Default)]
pub struct Answer {
    /// For people.
    pub text: String,
    /// For programs: an object; `format` is added when it is printed.
    pub json: Value,
    /// The exit code.
    pub exit: Exit,
    /// Printed as it is, instead of both.
    pub raw: Option<String>,
    /// What failed beside it: told after the answer, which stands all the same.
    pub failed: Option<Box<Failure>>,
}

impl Answer {
    /// A finished answer.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, ..Self::default() }
    }

    /// The same answer; this failed beside it. What it says stays, but it is no success any more.
    pub fn failing(mut self, failure: Box<Failure>) -> Self {
        if self.exit == Exit::Done {
            self.exit = failure.exit;
        }
        self.failed = Some(failure);
        self
    }

    /// The same answer, but it says no where `no` holds.
    pub fn no_if(mut self, no: bool) -> Self {
        if no {
            self.exit = Exit::No;
        }
        self
    }
}

/// How to talk: chosen once, from the command line and the terminal.
#[derive(Debug, Clone)]
pub struct Screen {
    json: bool,
    quiet: bool,
    colour: bool,
    terminal: bool,
    log_json: bool,
    /// What commands that are shown have to name.
    named: Arc<Named>,
}

impl Screen {
    /// Colour only to a terminal, and not where `NO_COLOR` is set (<https://no-color.org>) or the
    /// terminal is `dumb`.
    pub fn new(json: bool, quiet: bool) -> Self {
        let said = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        let terminal = io::stderr().is_terminal();
        let dumb = said("TERM").is_some_and(|t| t == "dumb");
        Self {
            json,
            quiet,
            colour: terminal && !dumb && said("NO_COLOR").is_none(),
            terminal,
            log_json: false,
            named: Arc::default(),
        }
    }

    /// The same, with the story as JSON lines.
    pub fn logging_json(self, log_json: bool) -> Self {
        Self { log_json, ..self }
    }

    /// The same; commands in what it shows name these.
    pub fn naming(self, named: Named) -> Self {
        Self { named: Arc::new(named), ..self }
    }

    /// Is the story told as JSON lines?
    pub fn logs_json(&self) -> bool {
        self.log_json
    }

    /// A line of a log that is JSON; nothing with `--quiet`.
    pub fn log(&self, line: &str) {
        if !self.quiet {
            to_stderr(&format!("{line}\n"));
        }
    }

    /// Is stderr a terminal, so that bars may move on it?
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Were the bars and the story switched off?
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// May the bars be coloured?
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// One line of the story; nothing with `--quiet`.
    pub fn say(&self, line: &str) {
        let line = self.named.shown(line);
        if self.log_json {
            self.log(&log::line(Level::Info, "", "said", json!({ "text": line.trim() })));
        } else if !self.quiet {
            to_stderr(&format!("{line}\n"));
        }
    }

    /// A question to whoever sits at the terminal; `None` where nobody does.
    pub fn ask(&self, question: &str) -> Option<String> {
        if !self.terminal || !io::stdin().is_terminal() {
            return None;
        }
        to_stderr(&format!("{question} "));
        let mut line = String::new();
        io::stdin().read_line(&mut line).ok()?;
        Some(line.trim().to_owned()).filter(|l| !l.is_empty())
    }

    /// Prints an answer.
    ///
    /// # Errors
    /// Where stdout can't be written, as on a full disk.
    pub fn answer(&self, answer: &Answer) -> io::Result<()> {
        if let Some(raw) = &answer.raw {
            return to_stdout(raw);
        }
        if self.json {
            let mut json = json!({ "format": JSON_FORMAT });
            if let (Some(whole), Value::Object(fields)) = (json.as_object_mut(), answer.json.clone()) {
                whole.extend(fields);
            }
            return to_stdout(&format!("{json:#}\n"));
        }
        if answer.text.is_empty() {
            return Ok(());
        }
        to_stdout(&format!("{}\n", self.named.shown(answer.text.trim_end())))
    }

    /// An answer that stdout did not take, in words, whatever was asked for.
    pub fn answer_all_the_same(&self, answer: &Answer) {
        to_stderr(&format!("{}\n", self.named.shown(answer.text.trim_end())));
    }

    /// Prints a failure, to stderr in either form: stdout is for answers.
    pub fn failure(&self, failure: &Failure) {
        let failure = &failure.naming(&self.named);
        if self.log_json {
            let error = json!({ "format": JSON_FORMAT, "error": failure.json() });
            to_stderr(&format!("{}\n", log::line(Level::Error, "", "failed", error)));
        } else if self.json {
            to_stderr(&format!("{:#}\n", json!({ "format": JSON_FORMAT, "error": failure.json() })));
        } else {
            to_stderr(&failure.text(self.colour));
        }
    }
}

/// A reader that went away (`domicile status | head -1`) is no failure of ours.
fn to_stdout(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints bytes as they are, for `completions` and receipts written to `-`.
pub fn raw(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}
