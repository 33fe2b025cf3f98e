//! `move`: carries a plan out, one wave after the other.

use crate::app::App;
use crate::args::MoveArgs;
use crate::commands::plan;
use crate::failure::Result;
use crate::figures::{bytes, count, counted, duration, milliseconds};
use crate::metrics::serve;
use crate::open::{self, Want};
use crate::paper;
use crate::progress::Progress;
use crate::screen::Answer;
use crate::wave_state;
use domicile_directory::WaveState;
use domicile_mover::WaveReport;
use domicile_mover::wave::{self, Options};
use serde_json::{Value, json};
use std::time::Duration;

/// Runs a plan.
pub async fn run(app: &App, args: MoveArgs) -> Result<Answer> {
    let plan = plan::read(&args.file)?;
    app.signals.be_careful();
    let progress = Progress::start_for(&app.screen, args.rehearse);
    progress.count(serve::begin(&args.metrics.typed(), &app.config()?, &app.screen).await?);
    let service = open::service(app, plan.today, progress.clone(), &Want::of_plan(&plan)).await?;
    progress.watch(&service);
    let options = Options { first: args.first, rehearse: args.rehearse };
    let ran = wave::run_plan(&service, &plan, &options).await;
    progress.end();
    match ran {
        Err(error) => {
            Err(wave_state::failed(&service, &wave_state::of_plan(&service, &plan).await, &error).await)
        }
        Ok(ran) if args.rehearse => Ok(rehearsed(&ran.reports, &args)),
        Ok(ran) if ran.reports.is_empty() && !ran.over.is_empty() => Ok(over(&ran.over)),
        Ok(ran) => Ok(moved(service.limits.grace, &ran.reports, Some(&args))),
    }
}

/// Nothing of the plan is left to do; a script that repeats itself goes on.
fn over(waves: &[(String, WaveState)]) -> Answer {
    let said: Vec<String> = waves.iter().map(|(wave, state)| format!("wave {wave} is {state}")).collect();
    let text = format!("nothing is left to do: this plan's {}\n", said.join(", "));
    let waves = waves.iter().map(|(wave, state)| json!({ "wave": wave, "state": state.to_string() }));
    Answer::new(text, json!({ "waves": [], "over": waves.collect::<Vec<_>>() }))
}

fn rehearsed(reports: &[WaveReport], args: &MoveArgs) -> Answer {
    let mut text = String::from("rehearsed: copied, compared and dropped again; nobody was moved\n");
    let mut unequal = false;
    for report in reports {
        // In a rehearsal everybody ends as `aborted`; whoever ended otherwise did not come through.
        let others: Vec<_> = report
            .left
            .iter()
            .filter(|(why, _)| !why.contains("rehears") && !why.contains("abort"))
            .collect();
        unequal |= !others.is_empty();
        text.push_str(&format!(
            "\n{} -> {}\n  compared in {}\n",
            report.from,
            report.to,
            duration(Duration::from_millis(report.elapsed_ms))
        ));
        for (why, n) in others {
            text.push_str(&format!(
                "{}\n",
                paper::wrapped("  ", &format!("{}: {why}", counted(*n, "subject")))
            ));
        }
    }
    if unequal {
        text.push_str("\nsome would not have come through, for the reasons above");
    } else {
        text.push_str(&format!("\nnext: domicile move {}", args.file.display()));
    }
    Answer::new(text, json!({ "rehearsed": true, "waves": reports.iter().map(json_of).collect::<Vec<_>>() }))
        .no_if(unequal)
}

/// The answer after subjects moved: by `move` or `resume`.
pub fn moved(grace: Duration, reports: &[WaveReport], plan: Option<&MoveArgs>) -> Answer {
    let text: Vec<String> = reports.iter().map(text_of).collect();
    let left: u64 = reports.iter().flat_map(|r| r.left.values()).sum();
    let mut text = text.join("\n");
    if reports.is_empty() {
        text = "nobody is to be moved\n".to_owned();
    } else if reports.iter().any(|r| r.unfinished) {
        let file = plan.map_or("PLAN".to_owned(), |args| args.file.display().to_string());
        text.push_str(&format!("\nnext: domicile move {file}   # the rest of the plan\n"));
    } else {
        let when = if grace.is_zero() { String::new() } else { format!("   # in {}", duration(grace)) };
        text.push_str(&format!("\nnext: domicile verify\n      domicile erase{when}\n"));
    }
    Answer::new(text, json!({ "waves": reports.iter().map(json_of).collect::<Vec<_>>() })).no_if(left > 0)
}

/// One wave in words.
pub fn text_of(report: &WaveReport) -> String {
    let size = report.size();
    let elapsed = Duration::from_millis(report.elapsed_ms);
    let mut rows = vec![
        ("subjects moved", count(report.subjects)),
        ("rows", format!("{} ({})", count(size.rows), bytes(size.bytes))),
    ];
    if report.objects > 0 {
        rows.push(("objects", format!("{} ({})", count(report.objects), bytes(report.object_bytes))));
    }
    if let (Some(p50), Some(p99), Some(max)) =
        (report.pause_us(0.5), report.pause_us(0.99), report.pause_us(1.0))
    {
        let [p50, p99, max] = [p50, p99, max].map(|us| milliseconds(us as f64 / 1000.0));
        rows.push(("pause", format!("p50 {p50}, p99 {p99}, longest {max}")));
    }
    if report.pauses_unmeasured > 0 {
        rows.push((
            "pause not measured",
            format!("{}: their worker was replaced", counted(report.pauses_unmeasured, "subject")),
        ));
    }
    let here = size.rows.saturating_sub(report.rows_before);
    let rate = here as f64 / elapsed.as_secs_f64().max(0.001);
    let rest = if report.rows_before > 0 {
        format!(" for the last {} rows; the others were moved before", count(here))
    } else {
        String::new()
    };
    rows.push(("time", format!("{}, {} rows/s{rest}", duration(elapsed), count(rate as u64))));
    rows.extend(report.receipts.iter().map(|path| ("receipts", path.display().to_string())));
    let mut text = format!("wave {}: {} -> {}\n", report.wave, report.from, report.to);
    for (label, value) in rows {
        text.push_str(&format!("  {label:<19}{value}\n"));
    }
    for (why, n) in &report.left {
        text.push_str(&format!(
            "{}\n",
            paper::wrapped("  stayed             ", &format!("{}: {why}", count(*n)))
        ));
    }
    for (why, n) in &report.skipped {
        text.push_str(&format!(
            "{}\n",
            paper::wrapped("  not tried          ", &format!("{}: {why}", count(*n)))
        ));
    }
    text
}

/// The same for programs, with the pauses that the report keeps to itself.
pub fn json_of(report: &WaveReport) -> Value {
    let mut json = serde_json::to_value(report).unwrap_or(Value::Null);
    json["pause_us"] =
        json!({ "p50": report.pause_us(0.5), "p99": report.pause_us(0.99), "max": report.pause_us(1.0) });
    json["rows"] = json!(report.size().rows);
    json["bytes"] = json!(report.size().bytes);
    json
}
