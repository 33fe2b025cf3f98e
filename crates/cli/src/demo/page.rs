//! How the demo shows itself: one screen at a time on a terminal, plain text anywhere else.

use crate::paper;
use crate::screen::{self, Screen, WIDTH};
use std::io::{self, IsTerminal};
use std::time::Duration;

/// A reader needs about so long for a screen that is not waited on anyway.
const READING: Duration = Duration::from_millis(2_200);
/// An empty screen. What was there before stays in the terminal's scrollback.
const BLANK: &str = "\u{1b}[2J\u{1b}[H";

/// What a colour says. There are no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Bold,
    /// What is as it should be.
    Good,
    /// What is refused, or wrong.
    Bad,
    /// What can be skipped.
    Faint,
}

/// Where the demo writes.
#[derive(Debug, Clone)]
pub struct Page {
    silent: bool,
    terminal: bool,
    colour: bool,
    fast: bool,
    case: &'static str,
}

impl Page {
    /// `silent`: only the answer is printed, at the end (`--json`, `--quiet`).
    pub fn new(silent: bool, fast: bool, case: &'static str) -> Self {
        let said = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        let terminal = io::stdout().is_terminal();
        let dumb = said("TERM").is_none_or(|t| t == "dumb");
        Self { silent, terminal, colour: terminal && !dumb && said("NO_COLOR").is_none(), fast, case }
    }

    /// May bars move on stdout?
    pub fn is_moving(&self) -> bool {
        self.terminal && !self.silent
    }

    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// Begins a screen.
    pub fn begin(&self, title: &str) {
        let head = format!("domicile demo · {} · ", self.case);
        let clear = if self.is_moving() && self.colour { BLANK } else { "\n" };
        self.out(&format!(
            "{clear}{}{}\n{}\n\n",
            self.paint(Tone::Faint, &head),
            self.paint(Tone::Bold, title),
            "─".repeat(WIDTH)
        ));
    }

    /// A paragraph.
    pub fn say(&self, text: &str) {
        self.out(&format!("{}\n\n", paper::wrapped("", text)));
    }

    /// Lines as they are, two spaces in.
    pub fn show(&self, text: &str) {
        self.out(&format!("{}\n\n", paper::indented("  ", text)));
    }

    /// Lines that were wrapped with their margin.
    pub fn show_wrapped(&self, text: &str) {
        self.out(&format!("{}\n\n", text.trim_end()));
    }

    /// One line, two spaces in.
    pub fn show_line(&self, line: &str) {
        self.out(&format!("  {line}\n"));
    }

    /// One step of a scene that was done.
    pub fn done(&self, text: &str) {
        let wrapped = paper::wrapped("    ", text);
        self.out(&format!("  {} {}\n", self.mark(true), wrapped.trim_start()));
    }

    /// `✓` or `✗`.
    pub fn mark(&self, good: bool) -> String {
        if good { self.paint(Tone::Good, "✓") } else { self.paint(Tone::Bad, "✗") }
    }

    /// An empty line.
    pub fn gap(&self) {
        self.out("\n");
    }

    /// Colours a text that stands in no table.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Bold => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Time to read, where somebody reads.
    pub async fn rest(&self) {
        if self.is_moving() && !self.fast {
            tokio::time::sleep(READING).await;
        }
    }

    fn out(&self, text: &str) {
        if !self.silent {
            screen::raw(text.as_bytes());
        }
    }
}

/// A screen for the commands that the demo calls: it tells the story itself.
pub fn hushed() -> Screen {
    Screen::new(false, true)
}
