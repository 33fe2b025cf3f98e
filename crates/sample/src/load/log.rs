//! The log of writes: one line each, written before the person's next request.
//!
//! Columns by tabs: what, person, key, note's id, region that answered, text. It is read by the checker, which
//! holds all of it in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A person was acknowledged; `key` is the e-mail address, `text` the country.
    SignUp,
    /// A new note was acknowledged.
    Add,
    /// Another text was acknowledged.
    Change,
    /// A note's end was acknowledged.
    Remove,
    /// A write was refused or failed for good: whether it was done is not known.
    Unknown,
}

const WORDS: [(What, &str); 5] = [
    (What::SignUp, "sign-up"),
    (What::Add, "add"),
    (What::Change, "change"),
    (What::Remove, "remove"),
    (What::Unknown, "unknown"),
];

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub what: What,
    /// Whose write.
    pub person: String,
    /// The idempotency key under which the note was made.
    pub key: String,
    /// The note's id; empty where it is not known.
    pub id: String,
    /// The region that answered; empty where none did.
    pub region: String,
    /// The note's text; empty for a removal.
    pub text: String,
}

/// The log, open for writing.
#[derive(Debug)]
pub struct Log {
    file: Mutex<File>,
    /// The first error: from there on the log says too little.
    failed: Mutex<Option<io::Error>>,
}

impl Log {
    /// A new file, or an emptied one.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Mutex::new(File::create(path)?), failed: Mutex::new(None) })
    }

    /// Writes one line, at once.
    pub fn write(&self, entry: &Entry) {
        let word = WORDS.iter().find(|(what, _)| *what == entry.what).map_or("", |(_, word)| word);
        let Entry { person, key, id, region, text, .. } = entry;
        let line = format!("{word}\t{person}\t{key}\t{id}\t{region}\t{text}\n");
        let written = self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        if let Err(e) = written {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        }
    }

    /// Was every line written?
    ///
    /// # Errors
    /// The first error.
    pub fn finish(&self) -> io::Result<()> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), Err)
    }

    /// All lines of a log.
    ///
    /// # Errors
    /// Where it can't be read, or a line is none of ours.
    pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
        BufReader::new(File::open(path)?).lines().map(|line| parsed(&line?)).collect()
    }
}

fn parsed(line: &str) -> io::Result<Entry> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("no line of a log: {line}"));
    let columns: Vec<&str> = line.split('\t').collect();
    let [word, person, key, id, region, text] = columns[..] else { return Err(wrong()) };
    let (what, _) = *WORDS.iter().find(|(_, w)| *w == word).ok_or_else(wrong)?;
    let [person, key, id, region, text] = [person, key, id, region, text].map(str::to_owned);
    Ok(Entry { what, person, key, id, region, text })
}
