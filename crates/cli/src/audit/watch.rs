//! How a search shows itself while it runs: a bar on a terminal, else a plain line every ten seconds. All on stderr, and no
//! identifier in it: the place that is read now comes from the examiner, which hides them.

use super::Target;
use crate::figures::{bytes, counted, duration};
use crate::screen::Screen;
use domicile_audit::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between two looks at a bar.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two lines of the story.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Characters of a place that a line shows: its end says most.
const PLACE_MAX: usize = 100;

/// Watches a search until it is dropped or ended.
pub struct Watch {
    bar: Option<ProgressBar>,
    telling: JoinHandle<()>,
    counting: Arc<AtomicBool>,
}

impl Watch {
    /// Begins to watch. Must be called inside the runtime.
    pub fn start(screen: &Screen, progress: &Arc<Progress>, targets: &[Target]) -> Self {
        let is_bar = screen.is_terminal() && !screen.is_quiet();
        let bar = is_bar.then(|| bar(screen.has_colour()));
        let (whole, counting) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(is_bar)));
        if let Some(paths) = paths(targets).filter(|_| is_bar) {
            let (whole, counting) = (whole.clone(), counting.clone());
            tokio::task::spawn_blocking(move || count(paths, &whole, &counting));
        }
        let told = Told { progress: progress.clone(), began: Instant::now() };
        let telling = match bar.clone() {
            Some(bar) => tokio::spawn(async move { told.move_bar(&bar, &whole).await }),
            None => tokio::spawn(told.say(screen.clone())),
        };
        Self { bar, telling, counting }
    }

    /// Takes the bar away, so that what follows stands on a clean line.
    pub fn end(self) {
        self.telling.abort();
        self.counting.store(false, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

struct Told {
    progress: Arc<Progress>,
    began: Instant,
}

impl Told {
    async fn move_bar(self, bar: &ProgressBar, whole: &AtomicU64) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let (read, whole) =
                (self.progress.read_bytes.load(Ordering::Relaxed), whole.load(Ordering::Relaxed));
            // Files grow, and what a dump packs is read as more than it is long.
            bar.set_length(whole.max(1));
            bar.set_position(if whole == 0 { 0 } else { read.min(whole) });
            bar.set_message(self.words(whole));
        }
    }

    async fn say(self, screen: Screen) {
        loop {
            tokio::time::sleep(LINE_EVERY - LOOK_EVERY).await;
            // Where it is, is told when somebody asks, a moment later.
            let _ = self.progress.now();
            tokio::time::sleep(LOOK_EVERY).await;
            screen.say(&self.words(0));
        }
    }

    /// `3.2 GB of 10 GB read, 412 MB/s, 2 traces found so far, 8 s; now in a.tar > member b`.
    fn words(&self, whole: u64) -> String {
        let read = self.progress.read_bytes.load(Ordering::Relaxed);
        let searched = self.progress.bytes.load(Ordering::Relaxed);
        let rate = searched as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let of = if whole == 0 { String::new() } else { format!(" of {}", bytes(whole.max(read))) };
        let found = counted(self.progress.findings.load(Ordering::Relaxed), "trace");
        let now = match self.progress.now() {
            now if now.is_empty() => String::new(),
            now => format!("; now in {}", end_of(&now)),
        };
        format!(
            "{}{of} read, {}/s, {found} found so far, {}{now}",
            bytes(read),
            bytes(rate as u64),
            duration(self.began.elapsed())
        )
    }
}

/// The end of a text that is longer than a line takes.
fn end_of(text: &str) -> String {
    let length = text.chars().count();
    if length <= PLACE_MAX {
        return text.to_owned();
    }
    format!("…{}", text.chars().skip(length - PLACE_MAX + 1).collect::<String>())
}

/// The targets, if all are files and folders: of others nobody knows how long they are.
fn paths(targets: &[Target]) -> Option<Vec<PathBuf>> {
    targets
        .iter()
        .map(|target| match target {
            Target::Path(path) => Some(path.clone()),
            _ => None,
        })
        .collect()
}

/// How long all files are together; zero until it is known. What can't be looked at is said by the search.
fn count(paths: Vec<PathBuf>, whole: &AtomicU64, counting: &AtomicBool) {
    let (mut waiting, mut bytes) = (Vec::new(), 0);
    for path in paths {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => bytes += metadata.len(),
            _ => waiting.push(path),
        }
    }
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if !counting.load(Ordering::Relaxed) {
                return;
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => waiting.push(entry.path()),
                Ok(metadata) if metadata.is_file() => bytes += metadata.len(),
                _ => {}
            }
        }
    }
    whole.store(bytes, Ordering::Relaxed);
}

fn bar(colour: bool) -> ProgressBar {
    let template = if colour { "  {bar:24.cyan/dim} {wide_msg}" } else { "  {bar:24} {wide_msg}" };
    // The template is ours; a wrong one falls back to indicatif's own.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(1).with_style(style.progress_chars("━╸─"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_is_and_where() {
        let told = Told { progress: Arc::default(), began: Instant::now() };
        told.progress.read_bytes.store(3_200_000, Ordering::Relaxed);
        told.progress.findings.store(1, Ordering::Relaxed);
        let said = told.words(0);
        assert!(said.starts_with("3.2 MB read, 0 B/s, 1 trace found so far, 0.0 s"), "{said}");
        assert!(told.words(10_000_000).starts_with("3.2 MB of 10 MB read"));
        assert!(told.words(1_000).starts_with("3.2 MB of 3.2 MB read"), "files that grew");
        assert_eq!(end_of(&"é".repeat(300)).chars().count(), PLACE_MAX);
    }

    #[test]
    fn files_are_counted_and_links_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("d")).expect("a folder");
        for name in ["a", "d/b"] {
            fs::write(folder.path().join(name), [0; 1_000]).expect("a file");
        }
        std::os::unix::fs::symlink("..", folder.path().join("d/loop")).expect("a link");
        let whole = AtomicU64::new(0);
        let paths = vec![folder.path().to_owned(), folder.path().join("a"), folder.path().join("absent")];
        count(paths, &whole, &AtomicBool::new(true));
        assert_eq!(whole.into_inner(), 3_000);
    }
}
