//! Classes: subjects that no policy can tell apart, decided once and looked up ever after.

use crate::country::Country;
use crate::mentioned::Mentioned;
use crate::place::{Circumstances, Placement};
use crate::policies::Policies;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// What policies may know of a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Class {
    /// Where the person lives; `None`: unknown, and then refused everywhere.
    pub residence: Option<Country>,
    /// Citizenship, where the data map has it.
    pub citizenship: Option<Country>,
    /// Marks such as `air-force`.
    pub flags: BTreeSet<String>,
    /// Purposes consented to.
    pub consents: BTreeSet<String>,
}

impl Class {
    /// A resident of whom nothing else is known.
    pub fn resident(country: Country) -> Self {
        Self { residence: Some(country), ..Self::default() }
    }
}

/// A class's number in its [`ClassTable`], from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ClassId(pub u32);

/// Interned classes: attributes that no policy mentions are dropped first.
#[derive(Debug, Clone)]
pub struct ClassTable {
    mentioned: Mentioned,
    ids: HashMap<Class, ClassId>,
    classes: Vec<Class>,
}

impl ClassTable {
    /// An empty table for these policies.
    pub fn new(policies: &Policies) -> Self {
        Self { mentioned: policies.mentioned().clone(), ids: HashMap::new(), classes: Vec::new() }
    }

    /// The number of a subject's class.
    pub fn intern(&mut self, class: &Class) -> ClassId {
        if let Some(id) = self.ids.get(class) {
            return *id;
        }
        let projected = self.mentioned.project(class);
        let next = ClassId(self.classes.len() as u32);
        let id = *self.ids.entry(projected.clone()).or_insert(next);
        if id == next {
            self.classes.push(projected);
        }
        id
    }

    /// The class of that number, without what no policy mentions; `None` if the table never gave it out.
    pub fn class(&self, id: ClassId) -> Option<&Class> {
        self.classes.get(id.0 as usize)
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether no subject was interned yet.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }
}

/// Places subjects under fixed circumstances: once per class and present region, then a look-up.
#[derive(Debug)]
pub struct Placer<'a> {
    policies: &'a Policies,
    circumstances: Circumstances<'a>,
    classes: ClassTable,
    /// By the index of the present region in the circumstances, + 1; 0 for none. Then by class.
    placed: Vec<Vec<Option<Placement>>>,
}

impl<'a> Placer<'a> {
    /// A placer that has placed nobody yet.
    pub fn new(policies: &'a Policies, circumstances: Circumstances<'a>) -> Self {
        let placed = vec![Vec::new(); circumstances.regions.len() + 1];
        Self { policies, circumstances, classes: ClassTable::new(policies), placed }
    }

    /// The number of a subject's class.
    pub fn intern(&mut self, class: &Class) -> ClassId {
        self.classes.intern(class)
    }

    /// Where subjects of a class belong that now live in region number `from` of the circumstances' regions
    /// (`None`: nowhere yet). `None` if the class or the region is not one of this placer's.
    pub fn place(&mut self, id: ClassId, from: Option<usize>) -> Option<&Placement> {
        let class = self.classes.class(id)?;
        let region = match from {
            Some(index) => Some(self.circumstances.regions.get(index)?),
            None => None,
        };
        let row = &mut self.placed[from.map_or(0, |index| index + 1)];
        let at = id.0 as usize;
        if row.len() <= at {
            row.resize(at + 1, None);
        }
        if row[at].is_none() {
            row[at] = Some(self.policies.place(class, region, &self.circumstances));
        }
        row[at].as_ref()
    }

    /// The same for many readers at once: what [`Placer::place`] has placed before, else `None`.
    pub fn placed(&self, id: ClassId, from: Option<usize>) -> Option<&Placement> {
        let row = self.placed.get(from.map_or(0, |index| index + 1))?;
        row.get(id.0 as usize)?.as_ref()
    }

    /// The classes met so far.
    pub fn classes(&self) -> &ClassTable {
        &self.classes
    }
}
