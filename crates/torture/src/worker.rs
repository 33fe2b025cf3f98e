//! The worker: what `domicile plan`, `move`, `resume`, `abort` and `erase` do, one after the other, in a process
//! of its own that can be killed.

use crate::Fallible;
use crate::points::{self, Fault, say};
use crate::site::Site;
use domicile_directory::{Asked, WaveFilter, WaveState};
use domicile_mover::progress::{Event, Observer};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Ask, Error, Part, Service, WaveReport, is_for_workers, plan};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one that looks for work does so.
const HELP: Duration = Duration::from_millis(2500);
/// How long a worker that ends what is unfinished tries.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// What a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// End what is unfinished, plan, move, erase.
    Move,
    /// Abort what is unfinished, then the same.
    Abort,
    /// What `domicile worker` does for a while: look for waves under way, drive or help.
    Help,
    /// End what is unfinished, until nothing is.
    Settle,
}

impl Verb {
    /// As it stands on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Move => "move",
            Verb::Abort => "abort",
            Verb::Help => "help",
            Verb::Settle => "settle",
        }
    }
}

/// Tells whoever started this process what happens.
struct Teller(Instant);

impl Observer for Teller {
    fn event(&self, event: Event) {
        match event {
            Event::Wave { wave, from, to, subjects, resumed, .. } => {
                let ms = self.0.elapsed().as_millis();
                say(&format!("wave {wave} {from} {to} {ms} ms subjects={subjects} resumed={resumed}"));
            }
            Event::Stage { batch, stage } => {
                say(&format!("stage {batch} {stage} {} ms", self.0.elapsed().as_millis()))
            }
            Event::Activated { subjects, pause } => say(&format!("moved {subjects} {}", pause.as_micros())),
            Event::Left { subjects, why, .. } => say(&format!("left {subjects} {why}")),
            Event::Again { batch, why, .. } => say(&format!("again {batch} {why}")),
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
    let began = Instant::now();
    let service = Site::read(site)?.service(Arc::new(Teller(began))).await?;
    say(&format!("opened {} ms", began.elapsed().as_millis()));
    let done = work(&service, verb, from, turns).await;
    points::control::all_made().await;
    for (point, times) in points::passed() {
        say(&format!("passed {point} {times}"));
    }
    say(&format!("ended {} ms", began.elapsed().as_millis()));
    done
}

/// A pipe that closes says that nobody is there who could end this process.
fn ends_with_its_starter() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(9);
    });
}

/// Asks for every erase again that nobody heard of.
async fn again(service: &Arc<Service>) -> Fallible<()> {
    for wave in unheard(service) {
        erase(service, &wave).await?;
    }
    Ok(())
}

async fn work(service: &Arc<Service>, verb: Verb, from: Option<String>, turns: u32) -> Fallible<()> {
    match verb {
        Verb::Settle => return settle(service).await,
        Verb::Help => return help(service).await,
        Verb::Move | Verb::Abort => {}
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
            erase(service, &report.wave).await?;
        }
    }
    Ok(())
}

/// Ends every wave that is unfinished. One whose worker lives is left to it.
async fn finish(service: &Arc<Service>, verb: Verb) -> Fallible<u32> {
    let filter = WaveFilter { unfinished: true, ..WaveFilter::default() };
    let (mut open, mut failed) = (0, None);
    for w in service.directory.waves(&filter).await? {
        let ended = match w.state {
            WaveState::Moved => Ok(()),
            WaveState::Open if verb == Verb::Abort || w.asked == Asked::Abort => {
                wave::abort(service, &w.id).await.map(|report| heard(&report))
            }
            _ => wave::resume(service, &w.id).await.map(|report| heard(&report)),
        };
        let ended = match ended {
            Ok(()) if is_moved(service, &w.id).await? => erase(service, &w.id).await,
            other => other,
        };
        match ended {
            Ok(()) => {}
            Err(error) if in_other_hands(&error) => open += 1,
            // Another one may have to end before this one can.
            Err(error) => failed = failed.or(Some(format!("{} ({}): {error}", w.id, w.state))),
        }
    }
    failed.map_or(Ok(open), |why| Err(why.into()))
}

/// `domicile erase`. Whoever does not hear that it was done asks for it again: a note of that outlives us.
async fn erase(service: &Arc<Service>, wave: &str) -> Result<(), Error> {
    let note = service.evidence.folder.join(format!("{wave}.asked"));
    let _ = std::fs::write(&note, "");
    wave::erase_wave(service, wave).await?;
    let _ = std::fs::remove_file(note);
    Ok(())
}

/// Waves whose erase was asked for and never heard of.
fn unheard(service: &Service) -> Vec<String> {
    let files = std::fs::read_dir(&service.evidence.folder).into_iter().flatten().flatten();
    let names = files.filter_map(|f| f.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".asked").map(str::to_owned)).collect()
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

/// Looks for waves under way and takes part in them.
async fn help(service: &Arc<Service>) -> Fallible<()> {
    let (until, me) = (Instant::now() + HELP, service.worker.as_str());
    while Instant::now() < until {
        service.directory.present(me, service.limits.turn).await?;
        let filter = WaveFilter { unfinished: true, ..WaveFilter::default() };
        for w in service.directory.waves(&filter).await?.iter().filter(|w| is_for_workers(w)) {
            match Part::new(service.clone(), &w.id).go_on().await {
                Ok(did) => say(&format!("did {} {did:?}", w.id)),
                Err(error) => say(&format!("again {} {error}", w.id)),
            }
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    Ok(service.directory.absent(me).await?)
}

/// Tries until nothing is unfinished.
async fn settle(service: &Arc<Service>) -> Fallible<()> {
    let until = Instant::now() + SETTLE_MAX;
    loop {
        let why = match finish(service, Verb::Settle).await {
            Ok(0) => match again(service).await {
                Ok(()) => return Ok(()),
                Err(why) => why,
            },
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
