//! Where a mailbox is at home, and what changes while somebody waits: a move, or a message that arrives.
//!
//! Homes are remembered as the gateway remembers them (`gateway/home`): what is in memory is what the directory said, changed
//! by every entry of its feed since. A write may trust that, since the guard refuses what is stale. A read may not: before
//! messages are handed out, or presence is shown, the directory is asked ([`Moving::asked`]).

use super::refusals::{AGAIN, DIRECTORY_AWAY, moved};
use crate::gateway::Counts;
use crate::gateway::home::{Asker, Homes, Known, Memory};
use crate::listen::Stop;
use crate::{Elsewhere, Problem};
use domicile_directory::{Cursor, Directory, SubjectHash};
use domicile_stores::records::SubjectId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks at the feed: so late a long poll hears of a move.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);
/// The same after the control store did not answer.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);
/// Entries of the feed in one page.
const PAGE: u32 = 1000;

/// Homes of mailboxes.
pub(super) struct Moving {
    directory: Arc<Directory>,
    service: String,
    homes: Homes,
    /// Every region with where its relay is reached, in the order of [`Known::region`].
    regions: Vec<(String, Option<String>)>,
    here: u16,
    news: Arc<News>,
}

/// Who waits for news of whom.
#[derive(Default)]
struct News(Mutex<HashMap<SubjectHash, watch::Sender<u64>>>);

/// One who waits. Dropped, it is forgotten.
pub(super) struct Waiting {
    news: Arc<News>,
    whose: SubjectHash,
    heard: Option<watch::Receiver<u64>>,
}

impl Moving {
    /// Begins to follow the feed, until `stop`. `regions` are the service's, each with its relay's address; `here` is one of them.
    ///
    /// # Errors
    /// The directory's.
    pub async fn start(
        directory: Arc<Directory>,
        service: &str,
        here: &str,
        regions: BTreeMap<String, Option<String>>,
        homes_max: usize,
        stop: Stop,
    ) -> Result<Arc<Self>, domicile_directory::Error> {
        let at = regions.keys().position(|id| id == here).and_then(|at| u16::try_from(at).ok());
        let Some(at) = at else {
            return Err(domicile_directory::Error::Argument("the relay's region is not one of them".into()));
        };
        let memory = Memory::new(homes_max, regions.keys().cloned().collect());
        let asker = Asker::start(directory.clone(), service.to_owned());
        let homes = Homes::new(memory, asker, Arc::default(), Arc::<Counts>::default());
        let (regions, news) = (regions.into_iter().collect(), Arc::default());
        let me = Arc::new(Self { directory, service: service.to_owned(), homes, regions, here: at, news });
        // Before anything is in memory: what changed until now is not in it, what changes from now on is heard of.
        let cursor = Cursor::after(me.directory.version(service).await?);
        tokio::spawn(me.clone().follow(cursor, stop));
        Ok(me)
    }

    async fn follow(self: Arc<Self>, mut cursor: Cursor, stop: Stop) {
        while !stop.is_stopped() {
            let page = self.directory.changes_since(&self.service, cursor, PAGE).await;
            let Ok(page) = page else {
                tokio::time::sleep(FOLLOW_AGAIN).await;
                continue;
            };
            cursor = page.next;
            // Memory first: whoever is woken finds the new home.
            self.homes.take(&page.changes);
            for change in &page.changes {
                self.news.tell(&change.subject);
            }
            if page.changes.len() < PAGE as usize {
                tokio::time::sleep(FOLLOW_EVERY).await;
            }
        }
    }

    fn hash(&self, mailbox: &str) -> SubjectHash {
        self.directory.hash(&self.service, &SubjectId(mailbox.to_owned()))
    }

    /// The mailbox's home as it is remembered, or as the directory says; `None`: there is no such mailbox.
    pub async fn of(&self, mailbox: &str) -> Result<Option<Known>, Problem> {
        self.homes.of(self.hash(mailbox)).await.map_err(|_| DIRECTORY_AWAY.retry_after(AGAIN))
    }

    /// The mailbox's home as the directory says now.
    pub async fn asked(&self, mailbox: &str) -> Result<Option<Known>, Problem> {
        self.homes.ask(self.hash(mailbox)).await.map_err(|_| DIRECTORY_AWAY.retry_after(AGAIN))
    }

    /// Is that home this relay's region?
    pub fn is_here(&self, home: Known) -> bool {
        home.region == self.here
    }

    /// Where a home's relay is reached.
    pub fn endpoint(&self, home: Known) -> Option<&str> {
        self.regions.get(usize::from(home.region))?.1.as_deref()
    }

    /// The answer of whose home is elsewhere.
    pub fn moved(&self, home: Known) -> Problem {
        let (region, endpoint) = self.regions.get(usize::from(home.region)).cloned().unwrap_or_default();
        moved(Elsewhere { region, endpoint, epoch: home.epoch.into() })
    }

    /// Begins to wait for news of a mailbox: to be called before what may be new is looked at.
    pub fn wait_for(&self, mailbox: &str) -> Waiting {
        let whose = self.hash(mailbox);
        let mut waited = self.news.waited();
        let heard = waited.entry(whose).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Waiting { news: self.news.clone(), whose, heard: Some(heard) }
    }

    /// Something may be new of any mailbox.
    pub fn tell_all(&self) {
        self.news.waited().values().for_each(|told| told.send_modify(|n| *n = n.wrapping_add(1)));
    }

    /// Something is new of a mailbox.
    pub fn tell(&self, mailbox: &str) {
        self.news.tell(&self.hash(mailbox));
    }
}

impl News {
    fn waited(&self) -> MutexGuard<'_, HashMap<SubjectHash, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, whose: &SubjectHash) {
        if let Some(told) = self.waited().get(whose) {
            told.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

impl Waiting {
    /// Waits for news since the last time, `limit` at most; whether there was any.
    pub async fn heard(&mut self, limit: Duration) -> bool {
        let Some(heard) = &mut self.heard else { return false };
        matches!(tokio::time::timeout(limit, heard.changed()).await, Ok(Ok(())))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Ours first, so that the last one sees that nobody listens any more.
        self.heard = None;
        let mut waited = self.news.waited();
        if waited.get(&self.whose).is_some_and(|told| told.receiver_count() == 0) {
            waited.remove(&self.whose);
        }
    }
}
