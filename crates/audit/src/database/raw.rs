//! A database's own files, searched as bytes: what can't be seen that way. Of a SQLite file `unpack` says it, wherever it lies.

use crate::{Examiner, Gap, Place};
use std::path::Path;

/// Notes what a search of raw bytes can't see where `dir` is the data folder of a PostgreSQL server.
pub fn note_folder(place: &Place, dir: &Path, examiner: &mut Examiner<'_>) {
    if dir.join("PG_VERSION").is_file() && dir.join("base").is_dir() {
        examiner.unseen(
            place,
            Gap::Raw,
            "a PostgreSQL data folder, searched as bytes: values that it compressed (pglz, lz4), numbers, which stand \
             there in binary, and compressed or encrypted write-ahead log can't be seen; give it as postgres://..., \
             too, for its rows",
        );
    }
}
