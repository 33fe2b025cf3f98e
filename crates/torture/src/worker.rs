//! The worker: what `domicile plan`, `move`, `resume`, `abort` and `erase` do, one after the other, in a process
//! of its own that can be killed.

use crate::Fallible;
use crate::points::{self, Fault, say};
use crate::site::Site;
use domicile_directory::{Asked, WaveFilter, WaveState};
use domicile_mover::progress::{Event, Observer};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Ask, Error, Service, WaveReport, plan};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker that ends what is unfinished tries.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// What a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// End what is unfinished, plan, move, erase.
    Move,
    /// Abort what is unfinished, then the same.
    Abort,
    /// End what is unfinished, until nothing is.
    Settle,
}

impl Verb {
    /// As it stands on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Move => "move",
            Verb::Abort => "abort",
            Verb::Settle => "settle",
        }
    }
}

/// Tells whoever started this process what happens.
struct Teller;

impl Observer for Teller {
    fn event(&self, event: Event) {
        match event {
            Event::Wave { wave, from, to, subjects, resumed, .. } => {
                say(&format!("wave {wave} {from} {to} subjects={subjects} resumed={resumed}"));
            }
            Event::Stage { batch, stage } => say(&format!("stage {batch} {stage}")),
            Event::Activated { subjects, pause } => say(&format!("moved {subjects} {}", pause.as_micros())),
            Event::Left { subjects, why } => say(&format!("left {subjects} {why}")),
            Event::Again { batch, why } => say(&format!("again {batch} {why}")),
            Event::Erased { rows, objects } => say(&format!("erased {rows} {objects}")),
            _ => {}
        }
    }
}

/// Runs one worker to its end; the error is its last line.
pub async fn run(
    site: &Path,
    verb: Verb,
    faults: Vec<Fault>,
    from: Option<String>,
    turns: u32,
) -> Fallible<()> {
    ends_with_its_starter();
    points::arm(faults);
    let service = Site::read(site)?.service(Arc::new(Teller)).await?;
    let done = work(&service, verb, from, turns).await;
    for (point, times) in points::passed() {
        say(&format!("passed {point} {times}"));
    }
    done
}

/// A pipe that closes says that nobody is there who could end this process.
fn ends_with_its_starter() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(9);
    });
}

async fn work(service: &Arc<Service>, verb: Verb, from: Option<String>, turns: u32) -> Fallible<()> {
    if verb == Verb::Settle {
        return settle(service).await;
    }
    for turn in 0..turns {
        finish(service, if turn == 0 { verb } else { Verb::Move }).await?;
        let today = jiff::civil::date(2026, 11, 22);
        let ask = Ask { today, for_latency: false, from: from.clone().into_iter().collect() };
        let plan = plan::stored(service, &ask).await?;
        if plan.moves.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for report in wave::run_plan(service, &plan, &Options::default()).await?.reports {
            heard(&report);
            wave::erase_wave(service, &report.wave).await?;
        }
    }
    Ok(())
}

/// Ends every wave that is unfinished. One whose worker lives is left to it.
async fn finish(service: &Arc<Service>, verb: Verb) -> Fallible<u32> {
    let filter = WaveFilter { unfinished: true, ..WaveFilter::default() };
    let mut open = 0;
    for w in service.directory.waves(&filter).await? {
        let ended = match w.state {
            WaveState::Moved => Ok(()),
            WaveState::Open if verb == Verb::Abort || w.asked == Asked::Abort => {
                wave::abort(service, &w.id).await.map(|report| heard(&report))
            }
            _ => wave::resume(service, &w.id).await.map(|report| heard(&report)),
        };
        let ended = match ended {
            Ok(()) if is_moved(service, &w.id).await? => wave::erase_wave(service, &w.id).await.map(drop),
            other => other,
        };
        match ended {
            Ok(()) => {}
            Err(error) if in_other_hands(&error) => open += 1,
            Err(error) => return Err(format!("{} ({}): {error}", w.id, w.state).into()),
        }
    }
    Ok(open)
}

async fn is_moved(service: &Service, wave: &str) -> Fallible<bool> {
    Ok(service.directory.wave(wave).await?.is_some_and(|w| w.state == WaveState::Moved))
}

fn in_other_hands(error: &Error) -> bool {
    match error {
        Error::Directory(domicile_directory::Error::Held { .. }) => true,
        Error::Wave { why, .. } => why.contains("another command was at it"),
        _ => false,
    }
}

/// Tries until nothing is unfinished.
async fn settle(service: &Arc<Service>) -> Fallible<()> {
    let until = Instant::now() + SETTLE_MAX;
    loop {
        let why = match finish(service, Verb::Settle).await {
            Ok(0) => return Ok(()),
            Ok(open) => format!("{open} waves are in other hands").into(),
            Err(error) => error,
        };
        if Instant::now() > until {
            return Err(why);
        }
        say(&format!("again settle {why}"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn heard(report: &WaveReport) {
    say(&format!("report {} moved={} left={:?}", report.wave, report.subjects, report.left));
}
