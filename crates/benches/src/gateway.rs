//! The gateway beside nginx and HAProxy: requests a second, latency and CPU, each proxy alone on one core, the load and the
//! origin on the other.
//!
//! The gateway does more than they do: it verifies a token (remembered after the first time) and looks its subject's home up. They
//! are plain proxies, tuned: kept connections to the origin, buffers for a whole answer.

mod asking;
mod kept;
mod peers;
pub mod process;

use crate::figures::{spread, three};
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use asking::{Measured, ask};
use peers::{Origin, Proxy};

/// What is asked for.
pub const PATHS: [(&str, &str); 2] =
    [("small answers (100 bytes)", "/small"), ("answers of 64 KiB", "/large")];
/// What all of them keep at the edge.
const KEPT: (&str, &str) = ("cache hits (4 KiB)", "/public/page.html");

/// Measures and prints.
pub async fn run(asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    println!(
        "\n## Gateway\n\nOne proxy at a time on core 0; wrk (32 kept connections) and the origin (nginx) on core 1. The gateway verifies a \
         JWT (Ed25519, remembered) of one of 1 000 subjects and looks the home up; the others pass everything on. Ratios to nginx of the \
         same round; min / median / max of the rounds.\n"
    );
    let folder = tempfile::tempdir()?;
    let origin = Origin::start(folder.path())?;
    let tokens = process::prepare(folder.path(), &origin).await?;
    let proxies = Proxy::all(folder.path(), &origin)?;
    let (runs, seconds) = if asked.quick { (1, 2) } else { (asked.runs, 5) };
    for (what, path) in PATHS.into_iter().chain([KEPT]) {
        let mut rounds = Vec::new();
        for round in 0..runs {
            eprintln!("bench: gateway, {what}, round {}", round + 1);
            let mut all = Vec::new();
            for proxy in &proxies {
                let shown = (path != KEPT.1).then_some(tokens.as_path());
                all.push(ask(proxy, path, shown, folder.path(), seconds)?);
            }
            rounds.push(all);
        }
        table(what, &proxies, &rounds);
        judge(what, path, &rounds, verdicts);
    }
    kept::run(asked, verdicts).await
}

fn table(what: &str, proxies: &[Proxy], rounds: &[Vec<Measured>]) {
    println!(
        "\n### {what}\n\n| | requests/s | p50 µs | p99 µs | CPU µs a request | failed |\n|---|---|---|---|---|---|"
    );
    for (at, proxy) in proxies.iter().enumerate() {
        let of = |f: fn(&Measured) -> f64| rounds.iter().map(|round| f(&round[at])).collect::<Vec<_>>();
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            proxy.name(),
            three(&of(|m| m.per_s), 0),
            three(&of(|m| m.p50_us), 0),
            three(&of(|m| m.p99_us), 0),
            three(&of(|m| m.cpu_us), 1),
            rounds.iter().map(|round| round[at].failed).sum::<u64>()
        );
    }
}

/// The gateway is the first, nginx the second.
fn judge(what: &str, path: &str, rounds: &[Vec<Measured>], verdicts: &mut Verdicts) {
    let ratio = |f: fn(&Measured) -> f64| rounds.iter().map(|r| f(&r[0]) / f(&r[1])).collect::<Vec<_>>();
    let word = if path == KEPT.1 { "nginx's proxy_cache" } else { "nginx" };
    verdicts.add(
        &format!("gateway, {what}: requests/s of {word}'s"),
        Target::AtLeast(0.9),
        &ratio(|m| m.per_s),
    );
    verdicts.add(&format!("gateway, {what}: p99 of {word}'s"), Target::AtMost(1.5), &ratio(|m| m.p99_us));
    verdicts.add(
        &format!("gateway, {what}: CPU a request of {word}'s"),
        Target::AtMost(1.15),
        &ratio(|m| m.cpu_us),
    );
    let beside: Vec<f64> = rounds.iter().map(|r| r[0].per_s / r[2].per_s).collect();
    println!("\nrequests/s of HAProxy's: {:.2} (median)", spread(&beside).1);
}

/// A process that reads all homes and says what it takes.
pub async fn homes_process(folder: &str) -> Fallible<()> {
    kept::process(folder).await
}
