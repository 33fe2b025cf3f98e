//! In which region's database a person is: the one of this instance, or the one that the directory names.

use crate::directory::{Directory, Home};
use crate::store::{Person, Refusal, Store, Write, Written};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a write is tried again before the asker is told to come later: a fence ends in 2 s at most, a
/// cutover that waits for the directory may take longer.
const PATIENCE_MAX: Duration = Duration::from_secs(20);
/// Between two tries, at first; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(4);
/// Between two tries, at most.
const PAUSE_MAX: Duration = Duration::from_millis(64);
/// Homes that are remembered at most; then all are forgotten and asked for again.
const REMEMBERED_MAX: usize = 1_000_000;

/// Where people are.
#[derive(Debug)]
pub enum Homes {
    /// All whom this instance is asked for are here: a gateway in front of it knows, or there is only one region.
    Here {
        /// The region's id.
        region: String,
        /// Its database.
        store: Store,
    },
    /// This instance reaches every region's database, and asks the directory where a person is.
    Everywhere(Box<Everywhere>),
}

/// An application without a gateway.
#[derive(Debug)]
pub struct Everywhere {
    /// The region this instance stands in.
    pub region: String,
    /// Every region's database by the region's id.
    pub stores: BTreeMap<String, Store>,
    /// The directory service.
    pub directory: Directory,
    /// Where those are whom it does not know yet: the only region there was before Domicile.
    pub others: Option<String>,
    /// What it said, by subject. A write may trust it, since the guard refuses what is stale.
    pub known: Mutex<HashMap<String, Home>>,
}

/// One region's database.
#[derive(Debug)]
pub struct Place<'a> {
    /// The region's id.
    pub region: &'a str,
    /// Its database.
    pub store: &'a Store,
}

impl Homes {
    /// The region this instance stands in.
    pub fn region(&self) -> &str {
        match self {
            Self::Here { region, .. } => region,
            Self::Everywhere(all) => &all.region,
        }
    }

    /// Writes at the person's home; the region where it was done.
    ///
    /// # Errors
    /// A refusal. Where the directory is asked, RS001 is tried again for [`PATIENCE_MAX`].
    pub async fn write(&self, person: &str, write: &Write) -> Result<(Written, String), Refusal> {
        match self {
            Self::Here { region, store } => Ok((store.write(person, write).await?, region.clone())),
            Self::Everywhere(all) => all.write(person, write).await,
        }
    }

    /// The person's home, to read there.
    ///
    /// # Errors
    /// Where the directory does not know this person, or fails.
    pub async fn to_read(&self, person: &str) -> Result<Place<'_>, Refusal> {
        match self {
            Self::Here { region, store } => Ok(Place { region, store }),
            // No guard refuses a stale read, so the directory is asked each time. It answers with nothing but the
            // epoch where that is still the same.
            Self::Everywhere(all) => all.place(&all.asked(person).await?.region),
        }
    }

    /// Signs somebody up: at once here, or where the directory places the person.
    ///
    /// # Errors
    /// A refusal; [`Refusal::Forbidden`] with the reason where no region may take this person.
    pub async fn sign_up(&self, person: &Person, epoch: Option<i64>) -> Result<(bool, String), Refusal> {
        match self {
            Self::Here { region, store } => Ok((store.sign_up(person, epoch).await?, region.clone())),
            Self::Everywhere(all) => all.sign_up(person).await,
        }
    }

    /// Who has this e-mail address, and in which region it was found.
    ///
    /// # Errors
    /// What a database says.
    pub async fn by_email(&self, email: &str) -> Result<Option<(String, String)>, Refusal> {
        match self {
            Self::Here { region, store } => Ok(store.by_email(email).await?.map(|id| (id, region.clone()))),
            Self::Everywhere(all) => all.by_email(email).await,
        }
    }
}

impl Everywhere {
    async fn write(&self, person: &str, write: &Write) -> Result<(Written, String), Refusal> {
        let (begun, mut pause) = (Instant::now(), PAUSE_MIN);
        let mut home = match self.recalled(person) {
            Some(home) => home,
            None => self.asked(person).await?,
        };
        loop {
            match self.place(&home.region)?.store.write(person, write).await {
                Err(Refusal::NotWritable | Refusal::NotHere) if begun.elapsed() < PATIENCE_MAX => {}
                // There is no other place to try.
                Err(Refusal::NotWritable | Refusal::NotHere) => {
                    return Err(Refusal::Broken("not writable for too long".to_owned()));
                }
                done => return Ok((done?, home.region)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            home = self.asked(person).await?;
        }
    }

    async fn sign_up(&self, person: &Person) -> Result<(bool, String), Refusal> {
        let home = self.directory.sign_up(&person.id, &person.country).await?;
        let new = self.place(&home.region)?.store.sign_up(person, Some(home.epoch)).await?;
        Ok((new, self.remember(&person.id, home).region))
    }

    async fn by_email(&self, email: &str) -> Result<Option<(String, String)>, Refusal> {
        for (region, store) in &self.stores {
            // A copy on its way in or a rest on its way out says the same id: no wrong answer.
            if let Some(id) = store.by_email(email).await? {
                return Ok(Some((id, region.clone())));
            }
        }
        Ok(None)
    }

    fn place(&self, id: &str) -> Result<Place<'_>, Refusal> {
        let place = self.stores.get_key_value(id).map(|(region, store)| Place { region, store });
        place.ok_or_else(|| Refusal::Broken("the directory names a region without --home".to_owned()))
    }

    /// What the directory says now.
    async fn asked(&self, person: &str) -> Result<Home, Refusal> {
        let home = match (self.directory.home(person, self.recalled(person)).await, &self.others) {
            (Err(Refusal::NotHere), Some(region)) => Home { region: region.clone(), epoch: 0 },
            (home, _) => home?,
        };
        Ok(self.remember(person, home))
    }

    fn recalled(&self, person: &str) -> Option<Home> {
        self.known().get(person).cloned()
    }

    /// Two answers may come in the other order, but an epoch never falls: the newer one is kept, and returned.
    fn remember(&self, person: &str, home: Home) -> Home {
        let mut known = self.known();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        let kept = known.entry(person.to_owned()).or_insert_with(|| home.clone());
        if kept.epoch < home.epoch {
            *kept = home;
        }
        kept.clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Home>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
