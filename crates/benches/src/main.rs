//! `cargo xtask bench`: what DESIGN section 11 gives numbers for, each measured against its counterpart in
//! the same run on real servers.
//!
//! Prints Markdown; docs/benchmarks.md keeps what was measured.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod asked;
mod audit;
mod classes;
mod discovery;
mod figures;
mod gateway;
mod ground;
mod guard;
mod hot;
mod latency;
mod line;
mod linear;
mod machine;
mod memory;
mod objects;
mod pause;
mod peers;
mod pgcopydb;
mod plot;
mod profile;
mod rebuild;
mod relay;
mod site;
mod stages;
mod verdicts;
mod wan;
mod whole;
mod writer;

use asked::{Asked, HELP};
use ground::Ground;
use std::process::ExitCode;
use std::time::Duration;
use verdicts::Verdicts;

/// What went wrong, in words.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The longest a row may take, as many times what it should.
const PATIENCE: u32 = 6;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--help" | "-h" | "help", ..] => {
            print!("{HELP}");
            Ok(())
        }
        // Started by rows, so that what they measure is a process's own.
        ["mover", site] => memory::mover(site).await,
        ["class-matrix", classes, _] => classes::matrix_process(classes),
        ["class-places", classes, subjects] => classes::places_process(classes, subjects),
        ["gateway-process", folder, port] => gateway::process::run(folder, port).await,
        ["gateway-homes", folder] => gateway::homes_process(folder).await,
        ["relay-process", folder, port, records] => relay::process::run(folder, port, records).await,
        // Started in a network namespace by the wide-area row and by the replay of latency.
        ["line", rest @ ..] => line::run(rest),
        ["browser", errand] => latency::browser(errand).await,
        ["latency", rest @ ..] => latency::run(rest).await,
        _ => bench(&args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(args: &[String]) -> Fallible<()> {
    let asked = Asked::parse(args)?;
    eprintln!("bench: {}", asked.duration());
    let ground = Ground::start(asked.profile)?;
    println!("{}", machine::described(&ground));
    let mut verdicts = Verdicts::default();
    let mut failed = Vec::new();
    for row in asked.rows() {
        eprintln!("bench: {}: begins", row.name);
        let began = std::time::Instant::now();
        let bound = Duration::from_secs(row.seconds) * PATIENCE;
        let ran = tokio::time::timeout(bound, measure(row.name, &ground, &asked, &mut verdicts)).await;
        // One row that can't be measured costs no other.
        if let Err(why) = ran.unwrap_or_else(|_| Err(format!("not done after {bound:?}").into())) {
            eprintln!("bench: {}: {why}", row.name);
            verdicts.missing(row.name, &why.to_string());
            failed.push(row.name);
        }
        eprintln!("bench: {}: {:.0} s", row.name, began.elapsed().as_secs_f64());
    }
    println!("{}\n{}", machine::load("at the end"), verdicts.told());
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join(", ")).into()) }
}

async fn measure(row: &str, ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    match row {
        "whole" => whole::run(ground, asked, verdicts).await,
        "pgcopydb" => pgcopydb::run(ground, asked, verdicts).await,
        "pause" => pause::run(ground, asked, verdicts).await,
        "hot" => hot::run(ground, asked, verdicts).await,
        "guard" => guard::run(ground, asked, verdicts).await,
        "objects" => objects::run(ground, asked, verdicts).await,
        "memory" => memory::run(ground, asked, verdicts).await,
        "linear" => linear::run(ground, asked, verdicts).await,
        "classes" => classes::run(asked, verdicts),
        "wan" => wan::run(asked, verdicts).await,
        "audit" => audit::run(asked, verdicts).await,
        "gateway" => gateway::run(asked, verdicts).await,
        "relay" => relay::run(ground, asked, verdicts).await,
        "discovery" => discovery::run(asked, verdicts),
        "build" => rebuild::run(verdicts).await,
        other => Err(format!("no row {other}").into()),
    }
}
