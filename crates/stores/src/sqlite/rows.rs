//! How rows travel between two SQLite stores, and what is hashed of them.
//!
//! A stream of rows is a sequence of frames, cut into chunks of about [`CHUNK_BYTES`] on frame borders
//! (but a reader takes any cut):
//!
//! ```text
//! frame = length of the values in bytes (u32, little endian), values
//! value = 0                                   NULL
//!       | 1, i64 little endian                INTEGER
//!       | 2, f64 bits little endian           REAL (infinities too; SQLite has no NaN, it stores NULL)
//!       | 3, length (u32 le), bytes           TEXT, whatever its bytes are
//!       | 4, length (u32 le), bytes           BLOB
//! ```
//!
//! The values alone are also the row's canonical text: each says its storage class and its length, so
//! two different rows never have the same bytes.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};

/// A chunk of a stream is sent once it has this many bytes; a larger row makes a larger chunk.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;
/// SQLite's own limit on a row is 1 GB (SQLITE_MAX_LENGTH): a longer frame is a broken stream.
const FRAME_BYTES_MAX: usize = 1_100_000_000;
/// The SQL function that hashes a row, see [`register`].
pub(crate) const ROW_HASH: &str = "domicile_row_hash";
/// Bytes of what [`ROW_HASH`] returns: SHA-256, then the length of the canonical text (u64, big endian).
pub(crate) const ROW_HASH_BYTES: usize = 40;

/// A stream that can't be what another store wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub &'static str);

/// Appends one value.
pub(crate) fn put_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    let sized = |out: &mut Vec<u8>, tag: u8, bytes: &[u8]| {
        out.push(tag);
        // SQLite's limit on one value is below 2^31, see FRAME_BYTES_MAX.
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        ValueRef::Null => out.push(0),
        ValueRef::Integer(i) => {
            out.push(1);
            out.extend_from_slice(&i.to_le_bytes());
        }
        ValueRef::Real(r) => {
            out.push(2);
            out.extend_from_slice(&r.to_bits().to_le_bytes());
        }
        ValueRef::Text(text) => sized(out, 3, text),
        ValueRef::Blob(blob) => sized(out, 4, blob),
    }
}

/// Appends one frame of those values.
pub(crate) fn put_frame<'v>(out: &mut Vec<u8>, values: impl Iterator<Item = ValueRef<'v>>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    values.for_each(|value| put_value(out, value));
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Appends the first `columns` columns of a row as one frame.
pub(crate) fn put_row(out: &mut Vec<u8>, row: &Row<'_>, columns: usize) -> rusqlite::Result<()> {
    let values = (0..columns).map(|i| row.get_ref(i)).collect::<rusqlite::Result<Vec<_>>>()?;
    put_frame(out, values.into_iter());
    Ok(())
}

/// Reads frames out of chunks, however they were cut.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    rest: Vec<u8>,
}

impl Frames {
    /// Takes a chunk and calls `each` with the values of every row that is complete now.
    pub(crate) fn feed<E: From<Broken>>(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(&[ValueRef<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let joined;
        let mut bytes = if self.rest.is_empty() {
            chunk
        } else {
            self.rest.extend_from_slice(chunk);
            joined = std::mem::take(&mut self.rest);
            joined.as_slice()
        };
        while let Some((head, tail)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*head) as usize;
            if length > FRAME_BYTES_MAX {
                return Err(Broken("a row is longer than SQLite allows").into());
            }
            let Some((frame, tail)) = tail.split_at_checked(length) else { break };
            each(&values(frame)?)?;
            bytes = tail;
        }
        self.rest = bytes.to_vec();
        Ok(())
    }

    /// Says whether the stream ended on a frame's border.
    pub(crate) fn finish(self) -> Result<(), Broken> {
        if self.rest.is_empty() { Ok(()) } else { Err(Broken("the stream ends within a row")) }
    }
}

/// Rows that begin in a chunk as a store here sends it: cut on frame borders.
pub(crate) fn frames_in(mut chunk: &[u8]) -> u64 {
    let mut frames = 0;
    while let Some((head, tail)) = chunk.split_first_chunk::<4>() {
        frames += 1;
        chunk = tail.get(u32::from_le_bytes(*head) as usize..).unwrap_or_default();
    }
    frames
}

/// The values of one frame (its length left out).
pub(crate) fn values(mut bytes: &[u8]) -> Result<Vec<ValueRef<'_>>, Broken> {
    const SHORT: Broken = Broken("a value ends early");
    let mut all = Vec::new();
    while let Some((&tag, tail)) = bytes.split_first() {
        let (value, tail) = match tag {
            0 => (ValueRef::Null, tail),
            1 | 2 => {
                let (eight, tail) = tail.split_first_chunk::<8>().ok_or(SHORT)?;
                let value = match tag {
                    1 => ValueRef::Integer(i64::from_le_bytes(*eight)),
                    _ => ValueRef::Real(f64::from_bits(u64::from_le_bytes(*eight))),
                };
                (value, tail)
            }
            3 | 4 => {
                let (length, tail) = tail.split_first_chunk::<4>().ok_or(SHORT)?;
                let length = u32::from_le_bytes(*length) as usize;
                let (content, tail) = tail.split_at_checked(length).ok_or(SHORT)?;
                (if tag == 3 { ValueRef::Text(content) } else { ValueRef::Blob(content) }, tail)
            }
            _ => return Err(Broken("a value has an unknown tag")),
        };
        all.push(value);
        bytes = tail;
    }
    Ok(all)
}

/// SHA-256 of a row's canonical text, then that text's length: [`ROW_HASH_BYTES`] bytes.
fn row_hash(context: &Context<'_>) -> [u8; ROW_HASH_BYTES] {
    let mut text = Vec::with_capacity(256);
    (0..context.len()).for_each(|i| put_value(&mut text, context.get_raw(i)));
    let mut out = [0; ROW_HASH_BYTES];
    out[..32].copy_from_slice(&Sha256::digest(&text));
    out[32..].copy_from_slice(&(text.len() as u64).to_be_bytes());
    out
}

/// Gives a connection the function [`ROW_HASH`]`(column, ...)`. It begins with the hash, so that
/// SQLite's sorter, which spills to disk, orders the rows of a subject for us.
pub(crate) fn register(conn: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function(ROW_HASH, -1, flags, |context| Ok(row_hash(context).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A value with text of any bytes, which rusqlite's own `Value` can't hold.
    #[derive(Debug, Clone)]
    enum Any {
        Null,
        Integer(i64),
        Real(u64),
        Text(Vec<u8>),
        Blob(Vec<u8>),
    }

    impl Any {
        fn as_ref(&self) -> ValueRef<'_> {
            match self {
                Any::Null => ValueRef::Null,
                Any::Integer(i) => ValueRef::Integer(*i),
                Any::Real(bits) => ValueRef::Real(f64::from_bits(*bits)),
                Any::Text(t) => ValueRef::Text(t),
                Any::Blob(b) => ValueRef::Blob(b),
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Any> {
        prop_oneof![
            Just(Any::Null),
            any::<i64>().prop_map(Any::Integer),
            any::<u64>().prop_map(Any::Real),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Any::Text),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Any::Blob),
        ]
    }

    /// The bytes of all values, so that NaN compares equal to itself.
    fn bytes(values: &[ValueRef<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        values.iter().for_each(|v| put_value(&mut out, *v));
        out
    }

    proptest! {
        #[test]
        fn any_rows_cut_anywhere_come_back(
            rows in proptest::collection::vec(proptest::collection::vec(any_value(), 0..6), 0..8),
            cut in 1usize..50,
        ) {
            let mut stream = Vec::new();
            rows.iter().for_each(|row| put_frame(&mut stream, row.iter().map(Any::as_ref)));
            let mut frames = Frames::default();
            let mut back = Vec::new();
            for chunk in stream.chunks(cut) {
                frames.feed::<Broken>(chunk, |row| { back.push(bytes(row)); Ok(()) }).unwrap();
            }
            frames.finish().unwrap();
            let sent: Vec<_> =
                rows.iter().map(|r| bytes(&r.iter().map(Any::as_ref).collect::<Vec<_>>())).collect();
            prop_assert_eq!(back, sent);
        }

        /// What a stranger sends makes an error, not a panic.
        #[test]
        fn any_bytes_are_survived(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut frames = Frames::default();
            let _ = frames.feed::<Broken>(&noise, |_| Ok(()));
            let _ = values(&noise);
        }

        /// Different rows have different canonical bytes, and equal bytes come from equal rows.
        #[test]
        fn canonical_text_is_unambiguous(
            a in proptest::collection::vec(any_value(), 0..5),
        ) {
            let refs: Vec<_> = a.iter().map(Any::as_ref).collect();
            let text = bytes(&refs);
            prop_assert_eq!(bytes(&values(&text).unwrap()), text);
            prop_assert_eq!(values(&bytes(&refs)).unwrap().len(), a.len());
        }

        /// Through SQLite itself: bound, stored, read and encoded, the value is what it was.
        #[test]
        fn sqlite_gives_back_what_was_bound(value in any_value()) {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute_batch("create table t(a)").unwrap();
            let mut insert = conn.prepare("insert into t values (?1)").unwrap();
            insert.raw_bind_parameter(1, rusqlite::types::ToSqlOutput::Borrowed(value.as_ref())).unwrap();
            insert.raw_execute().unwrap();
            let got = conn.query_row("select a from t", [], |row| {
                let mut out = Vec::new();
                put_row(&mut out, row, 1)?;
                Ok(out[4..].to_vec())
            }).unwrap();
            // SQLite stores NaN as NULL; nothing else changes.
            let nan = matches!(value, Any::Real(bits) if f64::from_bits(bits).is_nan());
            prop_assert_eq!(got, if nan { vec![0] } else { bytes(&[value.as_ref()]) });
        }
    }

    #[test]
    fn a_stream_that_ends_within_a_row_is_broken() {
        let mut stream = Vec::new();
        put_frame(&mut stream, [ValueRef::Integer(7)].into_iter());
        let mut frames = Frames::default();
        frames.feed::<Broken>(&stream[..stream.len() - 1], |_| panic!("incomplete")).unwrap();
        assert!(frames.finish().is_err());
    }

    #[test]
    fn the_hash_tells_storage_classes_apart() {
        let conn = Connection::open_in_memory().unwrap();
        register(&conn).unwrap();
        let hash = |sql: &str| {
            conn.query_row(&format!("select {ROW_HASH}({sql})"), [], |r| r.get::<_, Vec<u8>>(0)).unwrap()
        };
        let all = [
            "1",
            "1.0",
            "'1'",
            "x'31'",
            "NULL",
            "'', ''",
            "''",
            "NULL, NULL",
            "1e999",
            "-1e999",
            "0.0",
            "-0.0",
        ];
        let mut hashes: Vec<_> = all.iter().map(|sql| hash(sql)).collect();
        assert!(hashes.iter().all(|h| h.len() == ROW_HASH_BYTES));
        hashes.sort();
        hashes.dedup();
        // -0.0 is stored as it is but literal folding makes it 0.0; everything else differs.
        assert!(hashes.len() >= all.len() - 1, "{}", hashes.len());
        assert_eq!(hash("'a', 1"), hash("'a', 1"));
    }
}
