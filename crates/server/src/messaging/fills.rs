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
pub(super) struct Fills(Mutex<LruCache<String, Counted>>);

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
        Self(Mutex::new(LruCache::new(kept.max(1))))
    }

    fn all(&self) -> MutexGuard<'_, LruCache<String, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a mailbox, unless it is too old; one that is full is counted again soon.
    pub fn known(&self, mailbox: &str, epoch: u32, is_full: impl Fn(&Fill) -> bool) -> Option<Fill> {
        let counted = *self.all().get(mailbox).filter(|counted| counted.epoch == epoch)?;
        let fresh = if is_full(&counted.fill) { FULL_FOR } else { COUNTED_FOR };
        (counted.at.elapsed() < fresh).then_some(counted.fill)
    }

    /// Keeps a count.
    pub fn counted(&self, mailbox: &str, epoch: u32, fill: Fill) {
        self.all().insert(mailbox.to_owned(), Counted { fill, epoch, at: Instant::now() });
    }

    /// A message went in.
    pub fn added(&self, mailbox: &str, bytes: usize) {
        if let Some(counted) = self.all().get_mut(mailbox) {
            counted.fill.messages += 1;
            counted.fill.bytes += bytes as u64;
        }
    }

    /// Messages were taken out, of a mean size: the next count puts it right.
    pub fn removed(&self, mailbox: &str, messages: usize) {
        if let Some(counted) = self.all().get_mut(mailbox) {
            let fill = &mut counted.fill;
            let mean = fill.bytes.checked_div(fill.messages).unwrap_or(0);
            fill.messages = fill.messages.saturating_sub(messages as u64);
            fill.bytes = fill.bytes.saturating_sub(mean * messages as u64);
        }
    }

    /// Knows nothing of any.
    pub fn forget_all(&self) {
        self.all().clear();
    }

    /// Knows nothing of it any more.
    pub fn forget(&self, mailbox: &str) {
        self.all().remove(mailbox);
    }
}
