//! The binary `domicile`: args -> config -> one call; the only place that prints.

mod absent;
mod app;
mod args;
mod audit;
mod claims;
mod commands;
mod config;
mod demo;
mod edge;
mod failure;
mod fences;
mod figures;
mod gateways;
mod genuine;
mod keys;
mod log;
mod metrics;
mod named;
mod numbers;
mod open;
mod paper;
mod progress;
mod relay_keys;
mod screen;
mod signals;
mod speed;
mod wave_state;
mod workers;

use app::App;
use clap::Parser;
use screen::{Exit, Screen};
use std::process::ExitCode;

// What `cargo xtask torture` breaks on purpose must never be in the program that users get.
const _: () = assert!(!domicile_stores::planted::COMPILED_IN && !domicile_stores::failpoints::COMPILED_IN);

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit(commands::usage(&error)),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit(commands::no_runtime(&error)),
    };
    let code = exit(runtime.block_on(run(cli)));
    // A blocking call that a signal left behind must not keep the process alive.
    runtime.shutdown_background();
    code
}

async fn run(cli: args::Cli) -> Exit {
    let log_json = cli.command.as_ref().is_some_and(args::Command::logs_json);
    let named = named::Named::typed(&cli.global.config, cli.global.service.as_deref());
    let screen = Screen::new(cli.global.json, cli.global.quiet).logging_json(log_json).naming(named);
    let signals = signals::Signals::listen(screen.clone());
    let app = App { global: cli.global, screen: screen.clone(), signals };
    match commands::run(&app, cli.command).await {
        Ok(answer) => told(&screen, answer),
        Err(failure) => {
            screen.failure(&failure);
            failure.exit
        }
    }
}

/// Prints an answer, and what failed beside it.
fn told(screen: &Screen, mut answer: screen::Answer) -> Exit {
    if let Err(error) = screen.answer(&answer) {
        screen.answer_all_the_same(&answer);
        answer = answer.failing(failure::of_stdout(&error));
    }
    if let Some(failure) = &answer.failed {
        screen.failure(failure);
    }
    answer.exit
}

fn exit(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}
