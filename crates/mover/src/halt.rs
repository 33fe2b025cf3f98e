//! Why the batches of a run stop at their next safe point, besides the signal that the whole process heeds.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicU8, Ordering};

/// Called once; the first reason stays.
#[derive(Debug, Default)]
pub(crate) struct Halt(AtomicU8);

/// The reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Why {
    /// Another batch of the run failed: left alone, the others would be cut off with the process, perhaps
    /// between the seal and the swap.
    Failed = 1,
    /// Somebody asked for the wave's abort.
    Abort = 2,
    /// The turn to drive the wave is somebody else's by now.
    Turn = 3,
}

impl Halt {
    /// Asks every batch of the run to stop.
    pub fn call(&self, why: Why) {
        // A reason that is there already stays.
        let _ = self.0.compare_exchange(0, why as u8, Ordering::SeqCst, Ordering::SeqCst);
    }

    fn why(&self) -> Option<Why> {
        let called = self.0.load(Ordering::SeqCst);
        [Why::Failed, Why::Abort, Why::Turn].into_iter().find(|why| *why as u8 == called)
    }

    /// An error once it was called.
    pub fn check(&self, wave: &str) -> Result<()> {
        match self.why() {
            None => Ok(()),
            Some(Why::Failed) => Err(Error::Stopped),
            Some(Why::Abort) => Err(Error::AbortAsked { wave: wave.to_owned() }),
            Some(Why::Turn) => Err(Error::TurnLost { wave: wave.to_owned() }),
        }
    }

    /// The result of the run, with the reason for which it was halted in the place of what that led to.
    pub fn explains<T>(&self, wave: &str, result: Result<T>) -> Result<T> {
        match (result, self.why()) {
            (Err(_), Some(Why::Abort | Why::Turn)) => Err(self.check(wave).expect_err("it was called")),
            // The renewal may not have heard of it yet.
            (Err(Error::Directory(domicile_directory::Error::LeaseLost { wave })), _) => {
                Err(Error::TurnLost { wave })
            }
            (result, _) => result,
        }
    }
}
