//! One file a command, called by its word.

pub mod abort;
pub mod answer;
pub mod audit;
pub mod cdn;
pub mod check;
pub mod consent;
pub mod device;
pub mod erase;
pub mod explain;
pub mod guard;
pub mod init;
pub mod locate;
pub mod manifest;
pub mod messaging;
#[path = "commands/move.rs"]
pub mod moving;
pub mod pause;
pub mod plan;
pub mod policy;
pub mod receipt;
pub mod region;
pub mod register;
pub mod resume;
pub mod serve;
pub mod shell;
pub mod status;
pub mod verify;
pub mod welcome;
pub mod worker;

use crate::app::App;
use crate::args::Command;
use crate::failure::{Failure, Result};
use crate::screen::{Answer, Exit, Screen};
use clap::CommandFactory;

/// Runs a command; nothing was typed: says where to begin.
pub async fn run(app: &App, command: Option<Command>) -> Result<Answer> {
    let Some(command) = command else { return Ok(welcome::run()) };
    match command {
        Command::Demo(args) => crate::demo::run(app, args).await,
        Command::Init(args) => init::run(app, args).await,
        Command::Guide => Ok(welcome::guide()),
        Command::Answer(args) => answer::run(app, args),
        Command::Check => check::run(app).await,
        Command::Guard(command) => guard::run(app, command).await,
        Command::Register(args) => register::run(app, args).await,
        Command::Region(command) => region::run(app, command).await,
        Command::Plan(args) => plan::run(app, args).await,
        Command::Move(args) => moving::run(app, args).await,
        Command::Resume(args) => resume::run(app, args).await,
        Command::Worker(args) => worker::run(app, args).await,
        Command::Pause(args) => pause::run(app, args).await,
        Command::Abort(args) => abort::run(app, args).await,
        Command::Status(args) => status::run(app, args).await,
        Command::Erase(args) => erase::run(app, args).await,
        Command::Verify(args) => verify::run(app, args).await,
        Command::Locate { subject } => locate::run(app, subject).await,
        Command::Serve(args) => serve::run(app, args).await,
        Command::Receipt(command) => receipt::run(app, command),
        Command::Policy(command) => policy::run(app, command).await,
        Command::Cdn(command) => cdn::run(app, command).await,
        Command::Manifest(command) => manifest::run(app, command).await,
        Command::Audit(args) => Box::pin(audit::run(app, *args)).await,
        Command::Device(args) => device::run(app, args).await,
        Command::Messaging(command) => messaging::run(app, command),
        Command::Consent(command) => consent::run(app, command).await,
        Command::Completions { shell } => Ok(shell::completions(shell)),
        Command::Man { dir } => shell::man(dir),
    }
}

/// A command line that can't be understood, in the five parts; `--help` and `--version` are answers.
pub fn usage(error: &clap::Error) -> Exit {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    if matches!(error.kind(), DisplayHelp | DisplayVersion) {
        // Nobody reads it any more: nothing to be done about it.
        let _ = error.print();
        return Exit::Done;
    }
    let json = std::env::args().any(|a| a == "--json");
    Screen::new(json, false).failure(&usage_failure(&error.render().to_string()));
    Exit::Usage
}

/// clap's words, sorted into ours: `error: WHAT`, tips, `Usage: ...`, `For more information ...`.
fn usage_failure(rendered: &str) -> Failure {
    let mut parts = rendered.split("\n\n").map(str::trim).filter(|p| !p.is_empty());
    let what = parts.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let (mut why, mut fix) = (Vec::new(), Vec::new());
    for part in parts {
        if let Some(usage) = part.strip_prefix("Usage: ") {
            // The line of all commands helps nobody who mistyped one.
            fix.extend(Some(usage.to_owned()).filter(|u| !u.ends_with("[COMMAND]")));
        } else if let Some(tip) = part.strip_prefix("tip: ") {
            why.push(tip.trim().to_owned());
        } else if part.starts_with("For more information") {
            let help = std::env::args().skip(1).take_while(|a| !a.starts_with('-')).take(2);
            let known = |word: &String| crate::args::Cli::command().find_subcommand(word).is_some();
            let words: String = help.take(1).filter(known).map(|word| format!("{word} ")).collect();
            fix.push(format!("domicile {words}--help"));
        } else {
            why.push(part.to_owned());
        }
    }
    if why.is_empty() {
        why.push("the command is not written like this".to_owned());
    }
    *Failure::usage("usage", what, why.join("; "), fix.join("\n"))
}

/// The operating system gives no threads.
pub fn no_runtime(error: &std::io::Error) -> Exit {
    let failure = Failure::new(
        "system",
        format!("the program can't start its threads: {error}"),
        "the system's limits don't allow it",
        "ulimit -u",
    );
    Screen::new(false, false).failure(&failure);
    failure.exit
}
