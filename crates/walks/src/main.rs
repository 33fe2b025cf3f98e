//! Walks through the guides (docs/move-your-own-database.md, docs/adopt.md) as a user would: the real `domicile`,
//! real databases, a plain role; then checks by other means what it did. Started by `cargo xtask chinook`, `odd`,
//! `adopt` and `gateways`, which build the binary first.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod adopt;
mod chinook;
mod gateways;
mod odd;
mod walk;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("adopt") => adopt::run(&args[1..]),
        Some("gateways") => gateways::run(&args[1..]),
        Some("chinook") => chinook::run(&args[1..]),
        Some("odd") => odd::run(&args[1..]),
        _ => Err("which walk: chinook, odd, adopt or gateways?".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("walk: {why}");
            ExitCode::FAILURE
        }
    }
}
