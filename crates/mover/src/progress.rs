//! How a wave tells what it is doing. No event carries a subject's id.

use std::time::Duration;

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A wave begins or goes on.
    Wave {
        /// The wave's id.
        wave: String,
        /// Where the subjects come from.
        from: String,
        /// Where they go.
        to: String,
        /// Subjects in all.
        subjects: u64,
        /// Rows in all, as planned.
        rows: u64,
        /// True where an earlier worker began it.
        resumed: bool,
        /// Subjects that earlier runs had moved.
        moved: u64,
    },
    /// This worker helps with a wave's batches; another one drives it.
    Helps {
        /// The wave's id.
        wave: String,
        /// Where the subjects come from.
        from: String,
        /// Where they go.
        to: String,
        /// Who drives it, in its own words.
        driver: String,
    },
    /// This worker brought a batch to its end.
    Ended {
        /// The batch's id.
        batch: String,
    },
    /// Another worker has taken over a batch that this one had in hand.
    TakenOver {
        /// The batch's id.
        batch: String,
    },
    /// A batch enters a stage.
    Stage {
        /// The batch's id.
        batch: String,
        /// The stage, in the route's words.
        stage: &'static str,
    },
    /// Rows reached the target.
    Copied {
        /// How many.
        rows: u64,
        /// Their bytes, as they travelled.
        bytes: u64,
    },
    /// Objects reached the target.
    Objects {
        /// How many.
        objects: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Subjects are at their new home.
    Activated {
        /// How many.
        subjects: u64,
        /// From the first refused write to the first accepted one.
        pause: Duration,
    },
    /// Subjects left their batch; they are at their old home and writable.
    Left {
        /// How many.
        subjects: u64,
        /// Why, as a stable code.
        code: &'static str,
        /// Why, in words.
        why: String,
    },
    /// A group is fenced: nobody can write its subjects until it is activated or un-fenced.
    Fenced {
        /// The batch.
        batch: String,
        /// How many subjects.
        subjects: u64,
    },
    /// A ceiling is exceeded: nothing new is begun until it is not.
    CeilingReached {
        /// The wave.
        wave: String,
        /// Which ceiling, by its key in `[limits]`.
        ceiling: &'static str,
        /// What is exceeded where, in words.
        why: String,
    },
    /// No ceiling is exceeded any more.
    CeilingClear {
        /// The wave.
        wave: String,
    },
    /// A step is tried again.
    Again {
        /// Which batch.
        batch: String,
        /// Why, as a stable code.
        code: &'static str,
        /// Why, in words.
        why: String,
    },
    /// A wave's old copies begin to be erased.
    Erases {
        /// The wave's id.
        wave: String,
        /// The old home.
        from: String,
        /// Where its subjects live now.
        to: String,
        /// Batches in all, those of an earlier try included.
        batches: u64,
    },
    /// A transaction erased rows; [`Event::Erased`] says all of a batch's.
    RowsErased {
        /// How many.
        rows: u64,
    },
    /// Rows and objects of a batch were erased at the old home.
    Erased {
        /// Rows.
        rows: u64,
        /// Objects.
        objects: u64,
    },
    /// Waiting for `resume` from another terminal.
    Paused,
    /// Somebody else took the wave's turn and has not given it back: it is waited for once, in case that
    /// worker died.
    Waits {
        /// The wave.
        wave: String,
        /// Who took it, in its own words.
        holder: String,
        /// How long the turn lasts unless it is renewed.
        left: Duration,
    },
}

/// Hears events; called from several tasks.
pub trait Observer: Send + Sync {
    /// Must not block.
    fn event(&self, event: Event);
}

/// Hears nothing.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event) {}
}
