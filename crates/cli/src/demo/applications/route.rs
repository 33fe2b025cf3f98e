//! Where to write: the directory's answer, kept for a bounded time.

use crate::demo::case::ServiceName;
use domicile_directory::Directory;
use domicile_stores::records::SubjectId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer is believed. Shorter than the grace before erase (finding 9 of the guard's design).
pub const LEASE: Duration = Duration::from_secs(1);

/// One application's cache of homes.
pub struct Routes {
    directory: Arc<Directory>,
    tokio: tokio::runtime::Handle,
    known: HashMap<(ServiceName, i64), (String, Instant)>,
}

impl Routes {
    pub fn new(directory: Arc<Directory>, tokio: tokio::runtime::Handle) -> Self {
        Self { directory, tokio, known: HashMap::new() }
    }

    /// The region of a subject's home.
    pub fn home(&mut self, service: ServiceName, subject: i64) -> Result<String, String> {
        if let Some((region, at)) = self.known.get(&(service, subject))
            && at.elapsed() < LEASE
        {
            return Ok(region.clone());
        }
        let asked = Instant::now();
        let id = SubjectId(subject.to_string());
        let home = self.tokio.block_on(self.directory.home(service.as_str(), &id));
        match home {
            Ok(Some(home)) => {
                self.known.insert((service, subject), (home.region.clone(), asked));
                Ok(home.region)
            }
            Ok(None) => Err("the directory has no home for an account that exists".to_owned()),
            Err(e) => Err(format!("the directory did not answer: {e}")),
        }
    }

    /// The answer was wrong: ask again next time.
    pub fn forget(&mut self, service: ServiceName, subject: i64) {
        self.known.remove(&(service, subject));
    }
}
