//! In which region's database a person is: the one of this instance, or the one that the directory names, or,
//! without a directory service, the one whose guard says so.

use crate::directory::{Directory, Home};
use crate::store::{Person, Refusal, Store, Write, Written};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
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
    /// This instance reaches every region's database, and asks where a person is.
    Everywhere {
        /// The region this instance stands in.
        region: String,
        /// Every region's database by the region's id.
        stores: BTreeMap<String, Store>,
        /// Who is asked.
        asks: Asks,
        /// What was said, by subject. A write may trust it, since the guard refuses what is stale.
        known: Mutex<HashMap<String, Home>>,
    },
}

/// Who says where a person is.
#[derive(Debug)]
pub enum Asks {
    /// The directory service.
    Directory {
        /// Its client.
        directory: Box<Directory>,
        /// Where those are whom it does not know yet: the only region there was before Domicile.
        others: Option<String>,
    },
    /// The guards of all regions.
    Regions {
        /// By country: the region into which a newcomer goes; this instance's own where none is named.
        places: BTreeMap<String, String>,
    },
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
        let (Self::Here { region, .. } | Self::Everywhere { region, .. }) = self;
        region
    }

    /// Writes at the person's home; the region where it was done.
    ///
    /// # Errors
    /// A refusal. Where the directory is asked, RS001 is tried again for [`PATIENCE_MAX`].
    pub async fn write(&self, person: &str, write: &Write) -> Result<(Written, String), Refusal> {
        let Self::Everywhere { .. } = self else {
            let place = self.to_read(person).await?;
            return Ok((place.store.write(person, write).await?, place.region.to_owned()));
        };
        let (begun, mut pause) = (Instant::now(), PAUSE_MIN);
        let mut home = self.remembered(person).await?;
        loop {
            let place = self.place(&home.region)?;
            match place.store.write(person, write).await {
                Err(Refusal::NotWritable | Refusal::NotHere) if begun.elapsed() < PATIENCE_MAX => {}
                // The asker has no other place to try than this one.
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

    /// The person's home, to read there. No guard refuses a stale read, so the directory is asked each time; it
    /// answers with the epoch alone where that is the same.
    ///
    /// # Errors
    /// Where the directory does not know this person, or fails.
    pub async fn to_read(&self, person: &str) -> Result<Place<'_>, Refusal> {
        match self {
            Self::Here { region, store } => Ok(Place { region, store }),
            Self::Everywhere { .. } => self.place(&self.asked(person).await?.region),
        }
    }

    /// Signs somebody up: at once here, or where the directory places the person.
    ///
    /// # Errors
    /// A refusal; [`Refusal::Forbidden`] with the reason where no region may take this person.
    pub async fn sign_up(&self, person: &Person, epoch: Option<i64>) -> Result<(bool, String), Refusal> {
        match self {
            Self::Here { region, store } => Ok((store.sign_up(person, epoch).await?, region.clone())),
            Self::Everywhere { asks, region, .. } => {
                let home = match asks {
                    Asks::Directory { directory, .. } => {
                        directory.sign_up(&person.id, &person.country).await?
                    }
                    Asks::Regions { places } => {
                        let region = places.get(&person.country).unwrap_or(region).clone();
                        Home { region, epoch: 1 }
                    }
                };
                let new = self.place(&home.region)?.store.sign_up(person, Some(home.epoch)).await?;
                Ok((new, self.remember(&person.id, home).region))
            }
        }
    }

    /// Who has this e-mail address, and where.
    ///
    /// # Errors
    /// What a database says.
    pub async fn by_email(&self, email: &str) -> Result<Option<(String, String)>, Refusal> {
        match self {
            Self::Here { region, store } => Ok(store.by_email(email).await?.map(|id| (id, region.clone()))),
            Self::Everywhere { stores, .. } => {
                for (region, store) in stores {
                    // A copy on its way in or a rest on its way out says the same id: no wrong answer.
                    if let Some(id) = store.by_email(email).await? {
                        return Ok(Some((id, region.clone())));
                    }
                }
                Ok(None)
            }
        }
    }

    fn place(&self, id: &str) -> Result<Place<'_>, Refusal> {
        let place = match self {
            Self::Here { region, store } => Some(Place { region, store }),
            Self::Everywhere { stores, .. } => {
                stores.get_key_value(id).map(|(region, store)| Place { region, store })
            }
        };
        place.ok_or_else(|| Refusal::Broken("the directory names a region without --home".to_owned()))
    }

    /// What is known of the person's home; the directory is asked where nothing is.
    async fn remembered(&self, person: &str) -> Result<Home, Refusal> {
        match self.recalled(person) {
            Some(home) => Ok(home),
            None => self.asked(person).await,
        }
    }

    fn recalled(&self, person: &str) -> Option<Home> {
        let Self::Everywhere { known, .. } = self else { return None };
        known.lock().unwrap_or_else(PoisonError::into_inner).get(person).cloned()
    }

    /// What is said now.
    async fn asked(&self, person: &str) -> Result<Home, Refusal> {
        let Self::Everywhere { asks, stores, .. } = self else { return Err(Refusal::NotHere) };
        let known = self.recalled(person);
        let home = match asks {
            Asks::Directory { directory, others } => match (directory.home(person, known).await, others) {
                (Err(Refusal::NotHere), Some(region)) => Home { region: region.clone(), epoch: 0 },
                (home, _) => home?,
            },
            Asks::Regions { .. } => by_the_guards(stores, person, known).await?,
        };
        Ok(self.remember(person, home))
    }

    fn remember(&self, person: &str, home: Home) -> Home {
        if let Self::Everywhere { known, .. } = self {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            // Two answers may come in the other order: an epoch never falls.
            let kept = known.entry(person.to_owned()).or_insert_with(|| home.clone());
            if kept.epoch < home.epoch {
                *kept = home.clone();
            }
        }
        home
    }
}

/// Where a guard says that this person is at home. In the moment of a cutover two say so: the one that was not
/// known before is the new one.
async fn by_the_guards(
    stores: &BTreeMap<String, Store>,
    person: &str,
    known: Option<Home>,
) -> Result<Home, Refusal> {
    let was = known.as_ref().map_or("", |home| home.region.as_str());
    let mut found = Vec::new();
    for (region, store) in stores {
        if store.is_home(person).await? {
            found.push(region);
        }
    }
    let now = found.iter().find(|region| **region != was).or(found.first()).ok_or(Refusal::NotHere)?;
    // Counted from what was known, since a guard tells applications no epoch.
    let epoch = known.as_ref().map_or(1, |home| home.epoch + i64::from(**now != home.region));
    Ok(Home { region: (*now).clone(), epoch })
}
