//! Why something was not seen, or not wholly. A run that found nothing proves absence only where no gap is left.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A sort of what was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gap {
    /// It can't be opened or read: no permission, gone, an error of the disk, rows that a role does not see.
    Unread,
    /// It changed while it was read.
    Changed,
    /// A container, a dump or a capture that is damaged, truncated or incomplete.
    Damaged,
    /// A limit of the search was reached.
    Limit,
    /// It is encrypted.
    Encrypted,
    /// A format that is searched as it stands, and not opened.
    Unopened,
    /// A symbolic link that leads out of what is searched.
    Link,
    /// A database's own files, whose rows were not searched as rows.
    Raw,
    /// A file or a folder that was named, and in which there is nothing to read.
    Empty,
    /// Old versions of objects, which the store does not list.
    Versions,
    /// What no search of this kind sees, wherever it looks: told, and no gap of this run.
    Known,
}

impl Gap {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Unread,
        Self::Changed,
        Self::Damaged,
        Self::Limit,
        Self::Encrypted,
        Self::Unopened,
        Self::Link,
        Self::Raw,
        Self::Empty,
        Self::Versions,
        Self::Known,
    ];

    /// Its word, in reports and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Changed => "changed",
            Self::Damaged => "damaged",
            Self::Limit => "limit",
            Self::Encrypted => "encrypted",
            Self::Unopened => "unopened",
            Self::Link => "link",
            Self::Raw => "raw",
            Self::Empty => "empty",
            Self::Versions => "versions",
            Self::Known => "known",
        }
    }

    /// The gap of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gap| gap.word() == word)
    }
}

impl Serialize for Gap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// How many there are of each sort, those beyond the bound of a report, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps([u64; Gap::ALL.len()]);

impl Gaps {
    /// Of one sort.
    pub fn of(&self, gap: Gap) -> u64 {
        self.0[gap as usize]
    }

    /// Those of which there are any.
    pub fn each(&self) -> impl Iterator<Item = (Gap, u64)> {
        Gap::ALL.into_iter().map(|gap| (gap, self.of(gap))).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn count(&mut self, gap: Gap) {
        self.0[gap as usize] += 1;
    }

    /// One of a sort turned out to be known.
    pub(crate) fn settle(&mut self, gap: Gap) {
        self.0[gap as usize] = self.of(gap).saturating_sub(1);
        self.count(Gap::Known);
    }

    pub(crate) fn add(&mut self, more: &Self) {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count += more);
    }
}

impl Serialize for Gaps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (gap, count) in self.each() {
            map.serialize_entry(gap.word(), &count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{Gap, Gaps};

    #[test]
    fn each_has_its_word_and_its_count() {
        let mut gaps = Gaps::default();
        for (n, gap) in Gap::ALL.into_iter().enumerate() {
            assert_eq!((gap as usize, Gap::named(gap.word())), (n, Some(gap)));
            gaps.count(gap);
        }
        gaps.settle(Gap::Raw);
        gaps.add(&gaps.clone());
        assert_eq!((gaps.of(Gap::Raw), gaps.of(Gap::Known), gaps.of(Gap::Link)), (0, 4, 2));
        assert_eq!(gaps.each().count(), Gap::ALL.len() - 1);
        assert_eq!(serde_json::to_value(gaps).expect("JSON")["damaged"], 2);
    }
}
