//! Erasing: what was listed, by its id, and read back.

use super::cloud::Cloud;
use super::signed::Signed;
use super::{Backend, Objects};
use crate::failpoints::durable;
use crate::{Error, Result};
use futures::FutureExt;
use futures::stream::{StreamExt, TryStreamExt};
use std::collections::BTreeSet;

/// Requests under way at once.
const IN_FLIGHT: usize = 16;

/// One version of an object, or a marker that hides it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The object's key, without the prefix in the store's URL.
    pub key: String,
    /// The version's id; `null` in a bucket that has kept no versions.
    pub id: String,
    /// A delete marker: no bytes, but the key.
    pub marker: bool,
    /// The one that a plain GET sees.
    pub latest: bool,
    /// Bytes.
    pub size: u64,
    /// ETag.
    pub etag: String,
}

/// What a store says of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// The store keeps none: an object that is gone is gone (a folder).
    None,
    /// All versions and markers.
    Listed(Vec<Version>),
    /// The store may keep versions (`gs`, `az`), but they can't be listed here: a receipt says so.
    Unlisted,
}

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Keys that had an object or a version.
    pub objects: u64,
    /// Versions and markers deleted; where the store lists none, objects.
    pub versions: u64,
    /// Versions that appeared after the listing and were left alone.
    pub newer: u64,
    /// True: the store may keep older versions that were not seen.
    pub unlisted: bool,
}

impl Erased {
    fn add(self, other: Self) -> Self {
        Self {
            objects: self.objects + other.objects,
            versions: self.versions + other.versions,
            newer: self.newer + other.newer,
            unlisted: self.unlisted || other.unlisted,
        }
    }
}

impl Objects {
    /// Versions and delete markers of the keys that begin with these characters.
    ///
    /// # Errors
    /// The store's.
    pub async fn versions(&self, prefix: &str) -> Result<Versions> {
        match &self.backend {
            Backend::Folder(_) => Ok(Versions::None),
            Backend::Cloud(cloud) => match &cloud.signed {
                Some(signed) => cloud.versions(signed, prefix, false).await.map(Versions::Listed),
                None => Ok(Versions::Unlisted),
            },
        }
    }

    /// Erases these keys with all versions and markers they have when they are listed, each by its id,
    /// and lists them again. What appears meanwhile is left alone and counted as `newer`. In a folder
    /// also what writers of the key left unfinished, and folders that became empty. Safe to repeat.
    ///
    /// # Errors
    /// `Changed`: an object of a bucket without versions was replaced after it was listed. `Failed`: a
    /// version is still listed after it was deleted (a lock, or a retention). Else the store's.
    pub async fn erase(&self, keys: &[String]) -> Result<Erased> {
        let distinct: BTreeSet<String> = keys.iter().cloned().collect();
        // A request is made when its turn comes: thousands that wait would take more memory than the keys.
        let each = distinct.into_iter().map(|key| {
            async move { durable("object-erase", || self.name(), self.erase_one(&key)).await }.boxed()
        });
        let each = futures::stream::iter(each).buffer_unordered(IN_FLIGHT);
        each.try_fold(Erased::default(), |sum, one| async move { Ok(sum.add(one)) }).await
    }

    async fn erase_one(&self, key: &str) -> Result<Erased> {
        let cloud = match &self.backend {
            Backend::Folder(folder) => {
                let there = u64::from(folder.delete(key).await?);
                return Ok(Erased { objects: there, versions: there, ..Default::default() });
            }
            Backend::Cloud(cloud) => cloud,
        };
        let Some(signed) = &cloud.signed else {
            let there = u64::from(cloud.head(key).await?.is_some());
            cloud.delete(key).await?;
            return Ok(Erased { objects: there, versions: there, newer: 0, unlisted: true });
        };
        let listed = cloud.versions(signed, key, true).await?;
        let mut erased = cloud.erase_listed(signed, &listed).await?;
        let left = cloud.versions(signed, key, true).await?;
        erased.newer = cloud.check_gone(&listed, &left)?;
        Ok(erased)
    }

    /// Erases exactly these versions and markers, as [`Objects::versions`] listed them. Newer ones stay.
    ///
    /// # Errors
    /// As [`Objects::erase`]; `Setting` on a store that lists none.
    pub async fn erase_versions(&self, versions: &[Version]) -> Result<Erased> {
        let signed = match &self.backend {
            Backend::Cloud(cloud) => cloud.signed.as_ref().map(|signed| (cloud, signed)),
            Backend::Folder(_) => None,
        };
        let Some((cloud, signed)) = signed else {
            return Err(Error::Setting { what: format!("objects: {} lists no versions", self.name()) });
        };
        let mut erased = cloud.erase_listed(signed, versions).await?;
        let keys: BTreeSet<&str> = versions.iter().map(|v| v.key.as_str()).collect();
        let left: Vec<_> = keys.into_iter().map(|key| cloud.versions(signed, key, true).boxed()).collect();
        let left = futures::stream::iter(left).buffer_unordered(IN_FLIGHT).try_concat().await?;
        erased.newer = cloud.check_gone(versions, &left)?;
        Ok(erased)
    }
}

impl Cloud {
    /// All versions below the prefix, or, `exactly`, of the one key. A listing is in order of keys, and a
    /// key comes before those it begins, so that the one key's stand first.
    async fn versions(&self, signed: &Signed, prefix: &str, exactly: bool) -> Result<Vec<Version>> {
        let full = self.full(prefix);
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let (page, next) = signed.versions(&full, from.as_ref()).await?;
            let mut others = false;
            for version in page {
                let wanted = if exactly { version.key == full } else { version.key.starts_with(&full) };
                others |= !wanted;
                if wanted {
                    all.push(Version { key: self.short(&version.key).to_owned(), ..version });
                }
            }
            if next.is_none() || (exactly && others) {
                return Ok(all);
            }
            if next == from {
                let (store, what) = (self.name(), "listing versions".to_owned());
                return Err(Error::Failed { store, what, why: "the list doesn't go on".to_owned() });
            }
            from = next;
        }
    }

    async fn erase_listed(&self, signed: &Signed, versions: &[Version]) -> Result<Erased> {
        // The latest goes last: were an older one left after a crash, it would be visible again.
        let (latest, older): (Vec<_>, Vec<_>) = versions.iter().partition(|version| version.latest);
        for some in [older, latest] {
            let deleted = some.into_iter();
            let deleted =
                deleted.map(|version| async move { signed.delete(&self.full(&version.key), version).await });
            let deleted: Vec<_> = deleted.map(FutureExt::boxed).collect();
            futures::stream::iter(deleted).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        }
        let keys: BTreeSet<&str> = versions.iter().map(|v| v.key.as_str()).collect();
        let count = |n: usize| n as u64;
        Ok(Erased { objects: count(keys.len()), versions: count(versions.len()), ..Default::default() })
    }

    /// None of the erased may be left; returns how many others are.
    fn check_gone(&self, erased: &[Version], left: &[Version]) -> Result<u64> {
        // `null` is the id of every object in a bucket without versions: there the ETag tells them apart.
        let mark = |v: &Version| (v.key.clone(), v.id.clone(), v.etag.clone());
        let gone: BTreeSet<_> = erased.iter().map(mark).collect();
        let still = left.iter().filter(|version| gone.contains(&mark(version))).count();
        if still > 0 {
            let why = format!("{still} version(s) are still there after they were deleted");
            return Err(Error::Failed { store: self.name(), what: "erasing".to_owned(), why });
        }
        Ok(left.len() as u64)
    }
}
