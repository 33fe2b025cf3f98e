//! `cargo xtask bench move`: the whole move against the raw COPY pipe, the pause under load, the guard's
//! cost and the mover's memory, each measured against its counterpart in the same run on real servers.
//!
//! Prints Markdown; docs/benchmarks.md keeps what was measured.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod figures;
mod ground;
mod guard;
mod machine;
mod memory;
mod pause;
mod profile;
mod site;
mod stages;
mod whole;

use std::process::ExitCode;

/// What went wrong, in words.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const HELP: &str = "\
cargo xtask bench move [options]     Markdown on stdout, what it is doing on stderr

  --quick             smaller and fewer runs: shows that it works, not what it costs
  --only LIST         of whole,pause,guard,memory (comma between)
  --runs N            runs of everything but memory (5)
  --subjects N        subjects of the whole move, 60 rows each (5000)
  --big-rows N        rows of a large subject in the pause rows (100000)
  --seconds N         seconds of a pgbench run (4)
  --bulk N            rows of the bulk insert (500000)
  --rows N            rows of the memory row (1000000; the full claim: 5000000)
  --object-gib N      GiB of the one object of the memory row (2)
  --profile           where the time of the whole move goes, by process and statement, on stderr
";

/// What to measure and how much of it.
#[derive(Debug, Clone)]
struct Asked {
    only: Vec<String>,
    runs: usize,
    subjects: u64,
    big_rows: u64,
    seconds: u64,
    bulk: u64,
    rows: u64,
    object_gib: u64,
    profile: bool,
}

impl Asked {
    fn parse(args: &[String]) -> Fallible<Self> {
        let [quick, profile] = ["--quick", "--profile"].map(|flag| args.iter().any(|a| a == flag));
        let mut asked = if quick {
            Self {
                only: vec![],
                runs: 2,
                subjects: 500,
                big_rows: 5_000,
                seconds: 1,
                bulk: 20_000,
                rows: 60_000,
                object_gib: 1,
                profile,
            }
        } else {
            Self {
                only: vec![],
                runs: 5,
                subjects: 5_000,
                big_rows: 100_000,
                seconds: 4,
                bulk: 500_000,
                rows: 1_000_000,
                object_gib: 2,
                profile,
            }
        };
        let mut rest = args.iter().filter(|a| !["--quick", "--profile"].contains(&a.as_str()));
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name} needs a value\n\n{HELP}"))?;
            let number = || {
                value
                    .parse::<u64>()
                    .ok()
                    .filter(|n| *n > 0)
                    .ok_or(format!("{name}: {value} is not a number above 0"))
            };
            match name.as_str() {
                "--only" => asked.only = value.split(',').map(str::to_owned).collect(),
                "--runs" => asked.runs = number()? as usize,
                "--subjects" => asked.subjects = number()?,
                "--big-rows" => asked.big_rows = number()?,
                "--seconds" => asked.seconds = number()?,
                "--bulk" => asked.bulk = number()?,
                "--rows" => asked.rows = number()?,
                "--object-gib" => asked.object_gib = number()?,
                other => return Err(format!("no option {other}\n\n{HELP}").into()),
            }
        }
        if let Some(wrong) =
            asked.only.iter().find(|o| !["whole", "pause", "guard", "memory"].contains(&o.as_str()))
        {
            return Err(format!("--only {wrong}: whole, pause, guard or memory").into());
        }
        Ok(asked)
    }

    fn wants(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == what)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("move") => bench(&args[1..]).await,
        // Started by the memory rows, so that the mover's memory is its own process's.
        Some("mover") if args.len() == 2 => memory::mover(&args[1]).await,
        _ => Err(HELP.into()),
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
    let ground = ground::Ground::start(asked.profile)?;
    println!("{}", machine::described(&ground));
    if asked.wants("whole") {
        whole::run(&ground, &asked).await?;
    }
    if asked.wants("pause") {
        pause::run(&ground, &asked).await?;
    }
    if asked.wants("guard") {
        guard::run(&ground, &asked).await?;
    }
    if asked.wants("memory") {
        memory::run(&ground, &asked).await?;
    }
    println!("{}", machine::load("at the end"));
    Ok(())
}
