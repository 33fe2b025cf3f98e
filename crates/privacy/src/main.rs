//! The 2014 test: what a handset sends, seen from outside. Started by `cargo xtask privacy-test`.
//!
//! Two months before the move of the reference case a security firm had put such phones on a network of its own and looked at
//! what they sent. This does the same with a simulated handset: a process in a network namespace whose only link leads into a
//! world of our own, with a capture at its interface. `lines` has what is played and how it is judged, `handset` who plays,
//! `world` where; `traffic` and the audit read the same capture and share nothing.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod asked;
mod audit;
mod carried;
mod event;
mod fault;
mod handset;
mod judge;
mod kept;
mod lines;
mod member;
mod phone;
mod picture;
mod run;
mod scene;
mod service;
mod synthetic;
mod table;
mod traffic;
mod world;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        // The processes that this program starts of itself.
        ["mark", name] => world::capture::mark(name).map(|()| true),
        ["world", zone, log] => world::process::run(Path::new(zone), Path::new(log)).map(|()| true),
        ["handset", client, times, hosts] => {
            handset::process::run(client, times.parse().unwrap_or(1), Path::new(hosts)).map(|()| true)
        }
        _ => run::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("privacy-test: {why}");
            ExitCode::FAILURE
        }
    }
}
