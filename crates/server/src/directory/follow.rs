//! Long polls: one follower of the feed a service, for however many wait.
//!
//! It asks the control store only while somebody waits. INVARIANT: who waits has said for whom before the follower's place
//! in the feed is known to be read, and has read the home after both: so a change is in what it read, or it is told.

use crate::Problem;
use crate::directory::refusals;
use domicile_directory::{Changed, Cursor, Directory, SubjectHash};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks at the feed: what a move costs a waiting client besides the way to it.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);
/// The same after the control store did not answer.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);
/// Changes of one look.
const CHANGES: u32 = 1_000;

/// A subject after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    /// Its home; `None`: it was removed.
    pub region: Option<String>,
    pub epoch: u64,
}

/// Follows one service's feed while somebody waits.
pub(super) struct Follower(Arc<Shared>);

struct Shared {
    directory: Arc<Directory>,
    service: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who is waited for, and how those who wait are told.
    waited: HashMap<SubjectHash, watch::Sender<Option<News>>>,
    /// The follower that is there: true once its place in the feed is known; its end closes the channel.
    following: Option<watch::Receiver<bool>>,
}

impl Follower {
    pub fn new(directory: Arc<Directory>, service: String) -> Self {
        Self(Arc::new(Shared { directory, service, state: Mutex::default() }))
    }

    /// Begins to wait for a subject's next change. To be called before its home is read.
    ///
    /// # Errors
    /// The control store does not answer.
    pub async fn wait_for(&self, subject: SubjectHash) -> Result<Waiting, Problem> {
        let (news, mut following) = {
            let mut state = self.0.state();
            let news = state.waited.entry(subject).or_insert_with(|| watch::Sender::new(None)).subscribe();
            let following = match state.following.clone() {
                Some(following) => following,
                None => state.following.insert(follow(self.0.clone())).clone(),
            };
            (news, following)
        };
        let waiting = Waiting { shared: self.0.clone(), subject, news: Some(news) };
        // The follower that could not begin is gone; who comes next starts another one.
        let began = following.wait_for(|at_its_place| *at_its_place).await.is_ok();
        if began { Ok(waiting) } else { Err(refusals::AWAY.retry_after(refusals::AGAIN)) }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn tell(&self, changes: Vec<Changed>) {
        let state = self.state();
        for change in changes {
            if let Some(told) = state.waited.get(&change.subject) {
                told.send_replace(Some(News { region: change.region, epoch: change.epoch }));
            }
        }
    }

    /// Nobody waits: then the follower ends, and nobody can come in between.
    fn ends(&self) -> bool {
        let mut state = self.state();
        if state.waited.is_empty() {
            state.following = None;
        }
        state.waited.is_empty()
    }
}

fn follow(shared: Arc<Shared>) -> watch::Receiver<bool> {
    let (place, following) = watch::channel(false);
    tokio::spawn(async move {
        let Ok(version) = shared.directory.version(&shared.service).await else {
            shared.state().following = None;
            return;
        };
        place.send_replace(true);
        let mut cursor = Cursor::after(version);
        while !shared.ends() {
            let page = shared.directory.changes_since(&shared.service, cursor, CHANGES).await;
            let Ok(page) = page else {
                tokio::time::sleep(FOLLOW_AGAIN).await;
                continue;
            };
            cursor = page.next;
            let whole = page.changes.len() < CHANGES as usize;
            shared.tell(page.changes);
            if whole {
                tokio::time::sleep(FOLLOW_EVERY).await;
            }
        }
    });
    following
}

/// One who waits for a subject's change. Dropped, also by a client that went away, it is forgotten.
pub(super) struct Waiting {
    shared: Arc<Shared>,
    subject: SubjectHash,
    news: Option<watch::Receiver<Option<News>>>,
}

impl Waiting {
    /// The next change after `epoch`, or `None` after `limit`. What is older may be told late, to those who wait longer.
    pub async fn after(&mut self, epoch: u64, limit: Duration) -> Option<News> {
        let news = self.news.as_mut()?;
        let told = news.wait_for(|news| news.as_ref().is_some_and(|news| news.epoch > epoch));
        tokio::time::timeout(limit, told).await.ok()?.ok()?.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Ours first, so that the last one sees that nobody listens any more.
        self.news = None;
        let mut state = self.shared.state();
        if state.waited.get(&self.subject).is_some_and(|told| told.receiver_count() == 0) {
            state.waited.remove(&self.subject);
        }
    }
}
