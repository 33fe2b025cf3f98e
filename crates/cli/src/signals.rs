//! Ctrl-C and SIGTERM: the first asks a wave to stop at a safe point, the second ends at once. Where no
//! wave is under way there is nothing to wait for, and the first ends at once, too.

use crate::screen::{Exit, Screen};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// What the signals' handler shares with a command.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    careful: Arc<AtomicBool>,
    serves: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on. Must be called inside the runtime.
    pub fn listen(screen: Screen) -> Self {
        let signals = Self::default();
        let (mut interrupt, mut terminate) =
            match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
                (Ok(a), Ok(b)) => (a, b),
                // Without handlers a signal ends the process at once, which every stage survives.
                _ => return signals,
            };
        let shared = signals.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                shared.heard(&screen);
            }
        });
        signals
    }

    fn heard(&self, screen: &Screen) {
        let again = self.stop.swap(true, Ordering::Relaxed);
        if self.careful.load(Ordering::Relaxed) && !again {
            let what = if self.serves.load(Ordering::Relaxed) {
                "once the requests under way are answered"
            } else {
                "before the next fence"
            };
            screen.say(&format!("\nstopping {what}; press Ctrl-C once more to end at once"));
            return;
        }
        if self.serves.load(Ordering::Relaxed) {
            screen.say("\nended at once: requests under way were cut off");
        } else if self.careful.load(Ordering::Relaxed) {
            screen.say("\nended at once: nothing is lost, `domicile resume` continues");
        } else {
            screen.say("\ninterrupted");
        }
        std::process::exit(Exit::Interrupted as i32);
    }

    /// From here on the first signal only asks to stop.
    pub fn be_careful(&self) {
        self.careful.store(true, Ordering::Relaxed);
    }

    /// The same, where requests are answered and nobody is moved.
    pub fn be_careful_with_requests(&self) {
        self.serves.store(true, Ordering::Relaxed);
        self.be_careful();
    }

    /// What the mover looks at.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Was a stop asked for?
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// SIGHUPs, one after the other.
pub struct Reloads(Option<tokio::signal::unix::Signal>);

/// Listens for SIGHUP from now on.
pub fn reloads() -> Reloads {
    Reloads(signal(SignalKind::hangup()).ok())
}

impl Reloads {
    /// The next; never, where the system gives no handler.
    pub async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}
