//! What the user writes: `datamap.toml`, as typed meaning.
//!
//! The file says for each table how its rows find their subject. What `init` could not know stands in
//! it as a [`Question`]; an answer fills the field it asks about, so writing the field by hand (and
//! removing the question) says the same. [`crate::check`] works on the fields alone, so deleting a
//! question never decides anything.

use crate::catalogue::{Engine, TableName};
use crate::layout::{DeclaredStore, WithoutRow};
use crate::name::Path;
use std::collections::BTreeMap;

/// The version of the file's shape that this Domicile reads and writes.
pub const VERSION: u32 = 1;

/// The file as typed. Read with [`DataMap::read`], written with [`DataMap::write`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataMap {
    /// Shape of the file, [`VERSION`].
    pub version: u32,
    /// Engine of all regions of the service.
    pub engine: Engine,
    /// The root table and how to learn what policy asks about a subject.
    pub subject: Subject,
    /// Every other table of the database.
    pub tables: BTreeMap<TableName, TableRule>,
    /// Objects that belong to subjects.
    pub objects: Vec<ObjectEntry>,
    /// Stores that Domicile does not move.
    pub declared: Vec<DeclaredStore>,
    /// What `init` could not know.
    pub questions: Vec<Question>,
}

/// The root: one row is one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The table.
    pub table: TableName,
    /// Its key: one column, unique and NOT NULL.
    pub key: String,
    /// The root's data category.
    pub category: String,
    /// Where the country stands; `None` until the question is answered.
    pub country: Option<Path>,
    /// Where the citizenship stands, if the policies ask for it.
    pub citizenship: Option<Path>,
    /// Where flags stand (text, separated by commas or spaces), if the policies ask for them.
    pub flags: Option<Path>,
    /// Where the purposes stand that the subject consents to (text, separated likewise), if the policies ask for them.
    pub consents: Option<Path>,
    /// Answers for the root's columns that point at another subject.
    pub other: BTreeMap<String, Other>,
    /// The root's own triggers that may fire while rows are loaded.
    pub safe_triggers: Vec<String>,
}

/// What the map says of one table besides the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRule {
    /// How its rows find their subject, or why they need none.
    pub kind: Kind,
    /// Data category; empty for excluded tables.
    pub category: String,
    /// `ownerless = "refuse"`: the owner's columns may be NULL, and such rows are refused.
    pub ownerless_refused: bool,
    /// Answers for columns that point at another subject or at a table that does not move.
    pub other: BTreeMap<String, Other>,
    /// Triggers that may fire while rows are loaded.
    pub safe_triggers: Vec<String>,
}

impl TableRule {
    /// A rule of that kind and category with nothing else in it.
    pub fn new(kind: Kind, category: impl Into<String>) -> Self {
        Self {
            kind,
            category: category.into(),
            ownerless_refused: false,
            other: BTreeMap::new(),
            safe_triggers: Vec::new(),
        }
    }
}

/// How the rows of a table find their subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Not said yet: a question asks.
    Undecided,
    /// The table has the subject's key in a column.
    Direct {
        /// That column.
        subject: String,
    },
    /// By a foreign key to a mapped table.
    Derived {
        /// The table referred to.
        parent: TableName,
        /// The foreign key's columns in this table.
        via: Vec<String>,
    },
    /// Shared by all subjects; copied where absent.
    Reference {
        /// Said where columns look personal.
        personal: Option<PersonalAnswer>,
    },
    /// Not moved.
    Excluded {
        /// Why; printed on every receipt.
        reason: String,
    },
}

/// What to copy of a reference table with personal data in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonalAnswer {
    /// All columns.
    Copy,
    /// The key and fillers for NOT NULL columns.
    Stub,
    /// Nothing: the table is excluded.
    Exclude,
}

/// What happens to a column that points at a row which does not move along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// The value moves; the foreign key must not exist at any region.
    KeepId,
    /// NULL at the new home.
    Null,
    /// The row goes to both subjects' homes. Not built yet: `check` refuses it.
    CopyToBoth,
    /// The subject does not move while the other one lives elsewhere.
    Refuse,
    /// The row referred to always has the same subject; the foreign key holds it to that.
    Same,
}

/// Every word a fixed choice of the file is written with, in both directions.
macro_rules! words {
    ($type:ty { $($variant:path = $word:literal),+ $(,)? }) => {
        impl $type {
            /// The word in the file.
            pub fn word(self) -> &'static str {
                match self { $($variant => $word),+ }
            }

            /// The meaning of a word, if it is one.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($variant),)+ _ => None }
            }

            /// All words, for messages.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }
    };
}

words!(Other {
    Other::KeepId = "keep-id",
    Other::Null = "null",
    Other::CopyToBoth = "copy-to-both",
    Other::Refuse = "refuse",
    Other::Same = "same",
});
words!(PersonalAnswer {
    PersonalAnswer::Copy = "copy",
    PersonalAnswer::Stub = "stub",
    PersonalAnswer::Exclude = "exclude",
});
words!(Engine { Engine::Postgres = "postgres", Engine::Sqlite = "sqlite" });
words!(WithoutRow { WithoutRow::Sweep = "sweep", WithoutRow::Deny = "deny" });

/// Objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Where the keys come from.
    pub source: ObjectFrom,
    /// What happens to objects without a row.
    pub without_row: WithoutRow,
    /// Data category.
    pub category: String,
}

/// Where object keys come from, as the user writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectFrom {
    /// A column of a mapped table.
    Column {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// A template with `{subject}`.
    Prefix {
        /// The template.
        template: String,
    },
}

/// Something `init` could not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked, about what; its text form is the `id` in the file.
    pub ask: Ask,
    /// The question in words.
    pub text: String,
    /// For [`Ask::Other`]: the columns asked about. The answer is for these and no later ones, and stays
    /// theirs when a foreign key is dropped.
    pub columns: Vec<String>,
    /// The answers understood; for `country` any path is.
    pub choices: Vec<String>,
    /// Empty until answered.
    pub answer: String,
}

/// What a question asks. Written as `personal:public.employee`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Which table is the root?
    Root,
    /// Where does the subject's country stand?
    Country,
    /// Are there stores besides these databases and objects?
    Stores,
    /// Which of several paths leads to the row's owner?
    Owner(TableName),
    /// What about the other side of a row of two subjects?
    Other(TableName),
    /// What about rows whose path to the owner is NULL?
    Ownerless(TableName),
    /// Is a table without a way to the subject shared, or not to be moved?
    Reach(TableName),
    /// What to copy of a reference table with personal data?
    Personal(TableName),
    /// What about a table that is unlogged, foreign or virtual?
    Storage(TableName),
    /// What about a table without a primary key?
    Key(TableName),
    /// May this trigger fire while rows are loaded?
    Trigger(TableName, String),
    /// Does this column hold object keys?
    Object(TableName, String),
}

impl DataMap {
    /// The rule for the table, unless it is the root or not in the map.
    pub fn rule(&self, table: &TableName) -> Option<&TableRule> {
        self.tables.get(table)
    }

    /// Questions still to be answered.
    pub fn unanswered(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|q| q.answer.is_empty())
    }

    /// Answers the question with that id. False: there is no such question.
    pub fn answer(&mut self, id: &str, answer: &str) -> bool {
        match self.questions.iter_mut().find(|q| q.ask.to_string() == id) {
            Some(question) => {
                question.answer = answer.to_owned();
                true
            }
            None => false,
        }
    }
}
