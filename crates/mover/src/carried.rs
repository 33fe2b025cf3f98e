//! Which objects a batch has brought so far, found by key and by subject.

use crate::record::{ObjectNote, Record};
use domicile_stores::records::SubjectId;
use std::collections::{BTreeMap, HashMap};

/// The objects of one batch.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    notes: BTreeMap<SubjectId, BTreeMap<String, ObjectNote>>,
    /// INVARIANT: names for each key the one subject whose notes hold it.
    whose: HashMap<String, SubjectId>,
}

impl Carried {
    /// Those that a record names.
    pub fn of_record(record: &Record) -> Self {
        let mut all = Self::default();
        for (subject, note) in &record.subjects {
            note.objects.iter().for_each(|object| all.insert(subject, object.clone()));
        }
        all
    }

    /// Notes an object as this subject's. One of that key is replaced, whosever it was.
    pub fn insert(&mut self, subject: &SubjectId, object: ObjectNote) {
        self.remove(&object.key);
        self.whose.insert(object.key.clone(), subject.clone());
        self.notes.entry(subject.clone()).or_default().insert(object.key.clone(), object);
    }

    /// The object of that key.
    pub fn get(&self, key: &str) -> Option<&ObjectNote> {
        self.notes.get(self.whose.get(key)?)?.get(key)
    }

    /// A subject's objects in ascending order of their keys.
    pub fn of(&self, subject: &SubjectId) -> impl Iterator<Item = &ObjectNote> {
        self.notes.get(subject).into_iter().flat_map(|notes| notes.values())
    }

    /// Forgets the object of that key.
    pub fn remove(&mut self, key: &str) {
        if let Some(notes) = self.whose.remove(key).and_then(|subject| self.notes.get_mut(&subject)) {
            notes.remove(key);
        }
    }

    /// Forgets a subject's objects.
    pub fn remove_of(&mut self, subject: &SubjectId) {
        for key in self.notes.remove(subject).unwrap_or_default().into_keys() {
            self.whose.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, etag: &str) -> ObjectNote {
        ObjectNote { key: key.into(), size: 1, sha256: String::new(), etag: etag.into() }
    }

    fn keys(carried: &Carried, subject: &str) -> Vec<String> {
        carried.of(&SubjectId(subject.into())).map(|o| o.key.clone()).collect()
    }

    #[test]
    fn an_object_has_one_owner_and_one_note() {
        let (ann, bob) = (SubjectId("ann".into()), SubjectId("bob".into()));
        let mut carried = Carried::default();
        carried.insert(&ann, object("b", "1"));
        carried.insert(&ann, object("a", "1"));
        carried.insert(&bob, object("c", "1"));
        assert_eq!(keys(&carried, "ann"), ["a", "b"]);

        carried.insert(&bob, object("a", "2"));
        assert_eq!(carried.get("a").map(|o| o.etag.as_str()), Some("2"));
        assert_eq!(
            (keys(&carried, "ann"), keys(&carried, "bob")),
            (vec!["b".into()], vec!["a".into(), "c".into()])
        );

        carried.remove("c");
        carried.remove("never seen");
        assert_eq!((carried.get("c"), keys(&carried, "bob")), (None, vec!["a".into()]));
        carried.remove_of(&bob);
        assert_eq!((carried.get("a"), carried.get("b").is_some()), (None, true));
    }
}
