//! A database's own files, searched as bytes: what can't be seen that way.

use crate::{Examiner, Place};
use std::path::Path;

/// The first bytes of every SQLite database (its file format, section 1.3).
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Notes what a search of raw bytes can't see where `first` are the first bytes of a SQLite file.
pub fn note_file(place: &Place, first: &[u8], examiner: &mut Examiner<'_>) {
    if first.starts_with(SQLITE) {
        examiner.unseen(
            place,
            "a SQLite file, searched as bytes, with its free pages: numbers are stored in binary, and a value that is \
             spread over pages stands in pieces; give it as sqlite:PATH, too, for its rows",
        );
    }
}

/// Notes the same where `dir` is the data folder of a PostgreSQL server.
pub fn note_folder(place: &Place, dir: &Path, examiner: &mut Examiner<'_>) {
    if dir.join("PG_VERSION").is_file() && dir.join("base").is_dir() {
        examiner.unseen(
            place,
            "a PostgreSQL data folder, searched as bytes: values that it compressed (pglz, lz4), numbers, which stand \
             there in binary, and compressed or encrypted write-ahead log can't be seen; give it as postgres://..., \
             too, for its rows",
        );
    }
}
