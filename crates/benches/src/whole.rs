//! A whole move of many subjects against `psql COPY TO | psql COPY FROM` of the same rows.

use crate::figures::three;
use crate::ground::{Ground, SCHEMA, rows};
use crate::profile::{self, Spent};
use crate::site::{moved, planned};
use crate::stages::Stages;
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use std::sync::Arc;
use std::time::Instant;

/// Rows of one subject.
pub const EACH: u64 = 60;

/// What moves, as the pipe selects it; the mover finds it by itself.
const PIPES: [(&str, &str); 3] = [
    ("accounts", "SELECT * FROM accounts WHERE country = 'IN'"),
    ("orders", "SELECT o.* FROM orders o JOIN accounts a ON a.id = o.account_id WHERE a.country = 'IN'"),
    (
        "items",
        "SELECT i.* FROM items i JOIN orders o ON o.id = i.order_id JOIN accounts a ON a.id = o.account_id WHERE a.country = 'IN'",
    ),
];

/// The database that is moved, under the name `whole`; made once.
pub fn template(ground: &Ground, asked: &Asked) {
    ground.template_once("whole", SCHEMA, &rows(asked.subjects, EACH));
}

/// Measures and prints.
pub async fn run(ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    template(ground, asked);
    let (mut moves, mut pipes) = (Vec::new(), Vec::new());
    let (mut stages_told, mut processors) = (String::new(), String::new());
    for run in 0..asked.runs {
        eprintln!("bench: whole move, run {}", run + 1);
        // Who goes first takes turns, since the first warms what both read.
        if run % 2 == 1 {
            pipes.push(pipe(ground, asked)?);
        }
        let site = ground.site("whole").await?;
        let stages = Arc::new(Stages::default());
        let service = site.service(stages.clone()).await?;
        let plan = planned(&service).await?;
        if asked.profile {
            profile::reset(ground);
        }
        let (began, spent) = (Instant::now(), Spent::now(ground));
        let report = moved(&service, &plan).await?;
        moves.push(report.size().rows as f64 / began.elapsed().as_secs_f64());
        stages_told = stages.told();
        processors = spent.since(ground);
        if asked.profile {
            eprintln!("{stages_told}\n{processors}");
            profile::tell(ground)?;
        }
        drop(service);
        ground.drop(&site.database);
        if run % 2 == 0 {
            pipes.push(pipe(ground, asked)?);
        }
    }
    let ratios: Vec<f64> = moves.iter().zip(&pipes).map(|(m, p)| m / p).collect();
    println!(
        "\n## Whole move\n\n{} subjects of {EACH} rows in three tables; copy, verify, cutover and receipts, everybody moved. \
         The pipe brings the same rows into the same tables with the same indexes and foreign keys, without a guard.\n\n\
         | what, min / median / max of {} runs | |\n|---|---|\n| mover, rows/s | {} |\n| psql pipe, rows/s | {} |\n| **ratio** | **{}** |\n\n\
         Where the batches' time goes (last run; two batches at once):\n\n{stages_told}\nProcessor time of that run: {processors}.",
        asked.subjects,
        asked.runs,
        three(&moves, 0),
        three(&pipes, 0),
        three(&ratios, 3)
    );
    verdicts.add("whole move of many subjects / psql pipe, rows/s", Target::AtLeast(0.8), &ratios);
    Ok(())
}

/// Rows a second of the pipe.
fn pipe(ground: &Ground, asked: &Asked) -> Fallible<f64> {
    let name = ground.copy(&[&ground.old, &ground.new], "whole");
    ground.settle();
    let seconds = pipe_seconds(ground, &name, asked.subjects * EACH)?;
    ground.drop(&name);
    Ok((asked.subjects * EACH) as f64 / seconds)
}

/// Seconds that the pipe takes for all rows of those who move, a table after the other.
pub fn pipe_seconds(ground: &Ground, name: &str, rows: u64) -> Fallible<f64> {
    let (from, to) = (ground.old.url("postgres", name), ground.new_url("postgres", name));
    let began = Instant::now();
    for (table, select) in PIPES {
        let script = "psql -X -q -v ON_ERROR_STOP=1 -d \"$1\" -c \"COPY ($2) TO STDOUT\" | psql -X -q -v ON_ERROR_STOP=1 -d \"$3\" -c \"COPY $4 FROM STDIN\"";
        domicile_testbed::run(
            std::process::Command::new("sh").args(["-c", script, "sh", &from, select, &to, table]),
        );
    }
    let elapsed = began.elapsed().as_secs_f64();
    let counts = "SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM orders) + (SELECT count(*) FROM items)";
    let arrived: u64 = ground.new.sql(name, counts).parse()?;
    if arrived != rows {
        return Err(format!("the pipe brought {arrived} rows, not {rows}").into());
    }
    Ok(elapsed)
}
