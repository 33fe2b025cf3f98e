//! `cargo xtask model`: explores every scope whole, then every broken variant until
//! it is caught, and prints a table. Markdown on stdout.
//!
//! `--small`: only what `cargo test` explores, too. `--paths`: the path to each catch in words. Names of
//! scopes or variants: only those.
#![allow(clippy::print_stdout, reason = "a command for people")]

use domicile_model::broken::Broken;
use domicile_model::moves::Event;
use domicile_model::run::{Found, Run};
use domicile_model::scope::{ALL, SMALL, Scope};
use domicile_model::words;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (flags, names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let asked = Asked { small: has(&flags, "--small"), paths: has(&flags, "--paths"), names };
    if flags.iter().any(|f| f != "--small" && f != "--paths") {
        println!("model [--small] [--paths] [NAME ...]");
        return ExitCode::from(2);
    }
    let good = [asked.scopes(), asked.broken()];
    if good.into_iter().all(|g| g) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn has(flags: &[String], name: &str) -> bool {
    flags.iter().any(|f| f == name)
}

/// What the command line asks for.
struct Asked {
    small: bool,
    paths: bool,
    names: Vec<String>,
}

impl Asked {
    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|n| n == name)
    }

    fn scopes(&self) -> bool {
        let scopes: Vec<Scope> = if self.small { SMALL.to_vec() } else { ALL.to_vec() };
        let scopes: Vec<_> = scopes.into_iter().filter(|s| self.wants(s.name)).collect();
        if scopes.is_empty() {
            return true;
        }
        println!("| scope, explored whole | states | transitions | depth | seconds | properties |");
        println!("|---|---:|---:|---:|---:|---|");
        let mut good = true;
        for scope in scopes {
            let found = Run::whole(scope, 2).explore();
            good &= found.breaches.is_empty();
            let said = if found.breaches.is_empty() { "all hold".to_owned() } else { names(&found) };
            let line = format!("| {}: {} | {}", scope.name, scope.about, counts(&found));
            println!("{line} | {said}; met: {} |", met(&found.events));
            self.show(&found);
        }
        println!();
        good
    }

    fn broken(&self) -> bool {
        let all = Broken::ALL.into_iter().filter(|b| self.wants(&format!("{b:?}")));
        self.cases("broken", all.map(|b| (format!("{b:?}"), Run::broken(b))).collect())
    }

    fn cases(&self, title: &str, cases: Vec<(String, Run)>) -> bool {
        if cases.is_empty() {
            return true;
        }
        println!("| {title} | scope | caught by | steps | states until then | seconds |");
        println!("|---|---|---|---:|---:|---:|");
        let mut good = true;
        for (name, run) in cases {
            let (found, until) = (run.explore(), run.until.unwrap_or_default());
            let steps = found.breach(until).map(|path| path.len() - 1);
            good &= steps.is_some();
            let (caught, steps) = match steps {
                Some(steps) => (until, steps.to_string()),
                None => ("NOT CAUGHT", "-".to_owned()),
            };
            let seconds = found.time.as_secs_f64();
            let scope = run.scope.name;
            println!(
                "| {name} | {scope} | {caught} | {steps} | {} | {seconds:.1} |",
                thousands(found.states)
            );
            if self.paths {
                found.breach(until).into_iter().for_each(print);
            }
        }
        println!();
        good
    }

    fn show(&self, found: &Found) {
        for (name, path) in &found.breaches {
            println!("\n`{name}` does not hold:");
            print(path);
        }
    }
}

fn print(path: &domicile_model::run::Path) {
    println!();
    for (n, line) in words::path(path).iter().enumerate() {
        println!("{:3}. {line}", n + 1);
    }
    println!();
}

fn names(found: &Found) -> String {
    found.breaches.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn counts(found: &Found) -> String {
    let (states, transitions) = (thousands(found.states), thousands(found.transitions));
    format!("{states} | {transitions} | {} | {:.1}", found.depth, found.time.as_secs_f64())
}

fn met(events: &[Event]) -> String {
    format!("{} of {} events", events.len(), Event::ALL.len())
}

fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(" ")
}
