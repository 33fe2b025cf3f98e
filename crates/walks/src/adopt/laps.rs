//! The load, step by step: what the application's users met while an operator did the next thing.

use crate::walk::Result;
use domicile_sample::load::{Asked, Load, Log, Person, Rate, Tally};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A step lasts until so many requests were answered in it, however short its commands are.
const STEP_REQUESTS_MIN: u64 = 250;
/// A step in which nobody is answered for so long is an outage, and the walk fails.
const STEP_MAX: Duration = Duration::from_secs(60);

/// A load, and what it counted in each step.
pub struct Laps {
    runtime: Runtime,
    load: Load,
    log: PathBuf,
    begun: Instant,
    steps: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    tally: Tally,
}

impl Laps {
    /// Starts the load.
    pub fn start(bases: Vec<String>, people: usize, per_s: f64, log: &Path) -> Result<Self> {
        let runtime = Runtime::new().map_err(|e| e.to_string())?;
        let asked = Asked {
            bases,
            run: "adopt".to_owned(),
            rate: Rate::Open(per_s),
            sign_ups_per_s: (per_s / 50.0).max(1.0),
            countries: ["DE", "FR", "IN"].map(str::to_owned).to_vec(),
            log: log.to_owned(),
        };
        let people = (0..people).map(|nr| Person::known(&format!("p{nr}"), nr)).collect();
        let within = runtime.enter();
        let load = Load::start(asked, people).map_err(|e| e.to_string())?;
        drop(within);
        Ok(Self { runtime, load, log: log.to_owned(), begun: Instant::now(), steps: Vec::new() })
    }

    /// Sends what comes next to other addresses.
    pub fn send_to(&self, bases: Vec<String>) {
        self.load.send_to(bases);
    }

    /// Sends those who sign up next to other addresses.
    pub fn send_sign_ups_to(&self, bases: Vec<String>) {
        self.load.send_sign_ups_to(bases);
    }

    /// Waits until somebody has signed up who began to after this call: newcomers come one after the other.
    pub fn until_a_newcomer(&self) -> Result<()> {
        let second = self.load.tally().sign_ups + 2;
        self.until("sign-ups", |tally| tally.sign_ups >= second)
    }

    fn until(&self, what: &str, enough: impl Fn(&Tally) -> bool) -> Result<()> {
        let until = Instant::now() + STEP_MAX;
        while !enough(&self.load.tally()) {
            if Instant::now() > until {
                return Err(format!("{what}: nobody was answered: {}", self.load.tally()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends a step.
    pub fn step(&mut self, name: &str) -> Result<()> {
        self.until(name, |tally| tally.answered() >= STEP_REQUESTS_MIN)?;
        let tally = self.load.lap();
        if tally.failed + tally.wrong > 0 {
            println!("{tally}");
        }
        self.steps.push(Step { name: name.to_owned(), took: self.begun.elapsed(), tally });
        self.begun = Instant::now();
        Ok(())
    }

    /// Ends the load: everything it counted, and its log.
    pub fn stop(self) -> Result<(Tally, Vec<domicile_sample::load::Entry>)> {
        let Self { runtime, load, log, steps, .. } = self;
        let all = runtime.block_on(load.stop()).map_err(|e| format!("the load's log: {e}"))?;
        print(&steps, &all);
        let log = Log::read(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        Ok((all, log))
    }
}

fn print(steps: &[Step], all: &Tally) {
    println!("\nwhat the application's users met");
    println!("────────────────────────────────────────────────────────────────────────────────");
    println!(
        "  {:<30} {:>6} {:>8} {:>6} {:>8} {:>7} {:>7}",
        "step", "s", "requests", "failed", "repeated", "p50 ms", "p99 ms"
    );
    let line = |name: &str, took: Option<Duration>, tally: &Tally| {
        let ms = |share| tally.latency.quantile(share).as_secs_f64() * 1000.0;
        let took = took.map_or_else(String::new, |t| format!("{:.1}", t.as_secs_f64()));
        println!(
            "  {name:<30} {took:>6} {:>8} {:>6} {:>8} {:>7.1} {:>7.1}",
            tally.answered() + tally.failed,
            tally.failed + tally.wrong,
            tally.repeated,
            ms(0.5),
            ms(0.99)
        );
    };
    steps.iter().for_each(|step| line(&step.name, Some(step.took), &step.tally));
    line("all", Some(steps.iter().map(|s| s.took).sum()), all);
    println!(
        "  repeated: sent again by the client, since nobody took the connection ({}) or it broke ({});\n  \
         p50 and p99 are of writes",
        all.repeated - all.cut,
        all.cut
    );
}
