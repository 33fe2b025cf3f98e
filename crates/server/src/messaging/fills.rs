//! How full mailboxes are, and whether their owners still agree, as far as this process knows: a mailbox that floods costs no
//! count a message. What the region's other processes keep and take out they say (`neighbours`).

use domicile_stores::mailboxes::Fill;
use hashlink::LruCache;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A count is taken again after this: what another process of the region said may have been lost.
const COUNTED_FOR: Duration = Duration::from_secs(60);
/// The same of a mailbox that is full: what its device takes out is counted here, what expires is not.
const FULL_FOR: Duration = Duration::from_secs(1);

/// Counts of the mailboxes that were written to last.
pub(super) struct Fills(Mutex<Known>);

struct Known {
    counts: LruCache<String, Counted>,
    /// How often something was forgotten.
    forgotten: u64,
}

#[derive(Clone, Copy)]
struct Counted {
    fill: Fill,
    /// Of the home at which it was counted: after a move there and back it says nothing.
    epoch: u32,
    at: Instant,
}

impl Fills {
    /// For `kept` mailboxes.
    pub fn new(kept: usize) -> Self {
        Self(Mutex::new(Known { counts: LruCache::new(kept.max(1)), forgotten: 0 }))
    }

    fn all(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a mailbox, unless it is too old; one that is full is counted again soon.
    pub fn known(&self, mailbox: &str, epoch: u32, is_full: impl Fn(&Fill) -> bool) -> Option<Fill> {
        let counted = *self.all().counts.get(mailbox).filter(|counted| counted.epoch == epoch)?;
        let fresh = if is_full(&counted.fill) { FULL_FOR } else { COUNTED_FOR };
        (counted.at.elapsed() < fresh).then_some(counted.fill)
    }

    /// A count begins: what is kept with its answer.
    pub fn asks(&self) -> u64 {
        self.all().forgotten
    }

    /// Keeps a count, unless something was forgotten since it began: it may be of before that. That an owner agrees to nothing is not
    /// kept: a sender gives up at that word, and the owner may have agreed a moment ago.
    pub fn counted(&self, mailbox: &str, (epoch, asked): (u32, u64), fill: Fill) {
        let mut all = self.all();
        if all.forgotten == asked && fill.agreed {
            all.counts.insert(mailbox.to_owned(), Counted { fill, epoch, at: Instant::now() });
        }
    }

    /// A message went in.
    pub fn added(&self, mailbox: &str, bytes: usize) {
        if let Some(counted) = self.all().counts.get_mut(mailbox) {
            counted.fill.messages += 1;
            counted.fill.bytes += bytes as u64;
        }
    }

    /// Messages were taken out, of a mean size: the next count puts it right.
    pub fn removed(&self, mailbox: &str, messages: usize) {
        if let Some(counted) = self.all().counts.get_mut(mailbox) {
            let fill = &mut counted.fill;
            let mean = fill.bytes.checked_div(fill.messages).unwrap_or(0);
            fill.messages = fill.messages.saturating_sub(messages as u64);
            fill.bytes = fill.bytes.saturating_sub(mean * messages as u64);
        }
    }

    /// Knows nothing of any.
    pub fn forget_all(&self) {
        let mut all = self.all();
        all.counts.clear();
        all.forgotten += 1;
    }

    /// Knows nothing of it any more.
    pub fn forget(&self, mailbox: &str) {
        let mut all = self.all();
        all.counts.remove(mailbox);
        all.forgotten += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a count that began before a withdrawal, or before other keys, and is kept after it was to be forgotten.
    #[test]
    fn what_was_counted_before_it_was_forgotten_is_not_kept() {
        let (fills, fill) = (Fills::new(2), Fill { agreed: true, ..Fill::default() });
        let known = |fills: &Fills| fills.known("ann", 1, |_| false);
        let asked = fills.asks();
        fills.forget("ann");
        fills.counted("ann", (1, asked), fill);
        assert_eq!(known(&fills), None);
        let asked = fills.asks();
        fills.forget_all();
        fills.counted("ann", (1, asked), fill);
        assert_eq!(known(&fills), None);
        fills.counted("ann", (1, fills.asks()), fill);
        assert_eq!(known(&fills), Some(fill));
        fills.forget("ann");
        fills.counted("ann", (1, fills.asks()), Fill::default());
        assert_eq!(known(&fills), None, "who agrees a moment later is written to at once");
    }
}
