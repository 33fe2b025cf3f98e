//! The directory's two statements (`directory/src/cutover.rs`). Each is one transaction.

use crate::state::{Directory, SOURCE, Subjects, TARGET, each, only};

/// What settling says (`domicile_directory::Settled`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It landed.
    Moved,
    /// It never will; the next swap names this attempt.
    Cancelled(u8),
}

impl Directory {
    /// `Directory::cutover`: each subject whose home and attempt (and epoch) are still the swap's. Returns
    /// those swapped.
    pub fn cutover(&mut self, subjects: Subjects, attempt: [u8; 2]) -> Subjects {
        let mut landed = 0;
        for who in each(subjects) {
            if usize::from(self.region[who]) == SOURCE && self.attempt[who] == attempt[who] {
                self.region[who] = TARGET as u8;
                self.attempt[who] = 0;
                landed |= only(who);
            }
        }
        landed
    }

    /// `Directory::settle`: `attempt + 1` where region and attempt still are the swap's, and what is
    /// read in the same transaction.
    pub fn settle(&mut self, who: usize, attempt: u8) -> Settled {
        if usize::from(self.region[who]) == TARGET {
            return Settled::Moved;
        }
        if self.attempt[who] == attempt {
            self.attempt[who] += 1;
        }
        Settled::Cancelled(self.attempt[who])
    }

    /// The same by a read, which decides nothing (attack A1).
    pub fn settle_by_read(&self, who: usize) -> Settled {
        if usize::from(self.region[who]) == TARGET {
            Settled::Moved
        } else {
            Settled::Cancelled(self.attempt[who])
        }
    }

    /// A swap is on its way and nobody waits for the answer.
    pub fn send(&mut self, subjects: Subjects, attempt: [u8; 2]) {
        self.sent |= 1 << number(subjects, attempt);
    }

    /// It arrives. It may do so once more: it is not forgotten.
    pub fn land(&mut self, swap: u8) -> Subjects {
        let (subjects, attempt) = named(swap);
        self.cutover(subjects, attempt)
    }

    /// Forgets of sent swaps what can never land: attempts and epochs only grow.
    pub(crate) fn drop_void(&mut self) {
        let sent = self.sent;
        self.sent = 0;
        for swap in (0..64u8).filter(|n| sent & (1 << n) != 0) {
            let (subjects, attempt) = named(swap);
            let may_land =
                |who: &usize| usize::from(self.region[*who]) == SOURCE && self.attempt[*who] <= attempt[*who];
            let rest: Subjects = each(subjects).filter(may_land).map(only).sum();
            if rest != 0 {
                self.send(rest, attempt);
            }
        }
    }
}

fn number(subjects: Subjects, attempt: [u8; 2]) -> u8 {
    each(subjects).map(|who| (attempt[who] + 1) << (3 * who)).sum()
}

fn named(swap: u8) -> (Subjects, [u8; 2]) {
    let parts = [swap & 7, swap >> 3];
    let subjects = (0..2).filter(|who| parts[*who] > 0).map(only).sum();
    (subjects, parts.map(|p| p.saturating_sub(1)))
}
