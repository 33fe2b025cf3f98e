//! The header and list of contents of an archive of `pg_dump` (`pg_backup_archiver.c`), versions 1.12 to 1.16 of
//! the format: PostgreSQL 9.0 to 18.
//!
//! Integers are one byte of sign and then `int size` bytes, the lowest first; a string is its length as such
//! an integer (-1: null) and its bytes.

use super::names::{self, Target};
use std::io::{self, Read};

/// The longest string that is believed, in bytes.
const STRING_BYTES_MAX: usize = 256 << 20;
/// The most entries that are believed.
const ENTRIES_MAX: i64 = 50_000_000;

/// How an archive packs its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    None,
    /// zlib (RFC 1950) within the custom format, gzip in a folder.
    Gzip,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// What stands before the data.
#[derive(Debug)]
pub(super) struct Contents {
    pub packing: Packing,
    /// A folder: the data is in files of their own.
    pub in_files: bool,
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// By which its data is found.
    pub id: i64,
    /// The table of its rows, where it has rows.
    pub target: Option<Target>,
    /// The file with its data, in a folder.
    pub file: Option<String>,
    /// Does it hold large objects?
    pub large_objects: bool,
}

/// Reads an archive's parts.
pub(super) struct Reader<R> {
    from: R,
    int_bytes: usize,
    offset_bytes: usize,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, int_bytes: 4, offset_bytes: 8 }
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.from.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    pub(super) fn int(&mut self) -> io::Result<i64> {
        let negative = self.byte()? != 0;
        let mut value = 0_i64;
        for n in 0..self.int_bytes {
            value |= i64::from(self.byte()?) << (8 * n);
        }
        Ok(if negative { -value } else { value })
    }

    fn string(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = self.int()?;
        if length < 0 {
            return Ok(None);
        }
        let length = usize::try_from(length)
            .ok()
            .filter(|n| *n <= STRING_BYTES_MAX)
            .ok_or_else(|| wrong("a string"))?;
        let mut bytes = Vec::new();
        (&mut self.from).take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(bytes)) }
    }

    /// Every string of header and list is also put into `texts`, a line each.
    pub(super) fn contents(&mut self, texts: &mut Vec<u8>) -> io::Result<Contents> {
        let mut magic = [0; 5];
        self.from.read_exact(&mut magic)?;
        let version = (self.byte()?, self.byte()?, self.byte()?);
        let minor = match version {
            (1, minor @ 12..=16, _) if magic == super::MAGIC => minor,
            (major, minor, _) => return Err(wrong(&format!("version {major}.{minor} of the format"))),
        };
        self.int_bytes = usize::from(self.byte()?);
        self.offset_bytes = usize::from(self.byte()?);
        if !(1..=7).contains(&self.int_bytes) || self.offset_bytes > 16 {
            return Err(wrong("the size of its integers"));
        }
        let in_files = match self.byte()? {
            1 => false,
            5 => true,
            3 => true,
            other => return Err(wrong(&format!("kind {other}"))),
        };
        let packing = if minor >= 15 {
            match self.byte()? {
                0 => Packing::None,
                1 => Packing::Gzip,
                2 => Packing::Lz4,
                3 => Packing::Zstd,
                other => return Err(wrong(&format!("packing {other}"))),
            }
        } else if self.int()? == 0 {
            Packing::None
        } else {
            Packing::Gzip
        };
        // When it was made.
        for _ in 0..7 {
            self.int()?;
        }
        // The database, and the versions of server and program.
        for _ in 0..3 {
            self.text(texts)?;
        }
        let count = self.int()?;
        if !(0..=ENTRIES_MAX).contains(&count) {
            return Err(wrong("the number of its entries"));
        }
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(self.entry(minor, in_files, texts)?);
        }
        Ok(Contents { packing, in_files, entries })
    }

    fn text(&mut self, texts: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        let string = self.string()?;
        if let Some(bytes) = &string {
            texts.extend_from_slice(bytes);
            texts.push(b'\n');
        }
        Ok(string)
    }

    fn entry(&mut self, minor: u8, in_files: bool, texts: &mut Vec<u8>) -> io::Result<Entry> {
        let id = self.int()?;
        let has_data = self.int()? != 0;
        // Two numbers as text: of the catalogue and the row there.
        self.string()?;
        self.string()?;
        let tag = self.text(texts)?;
        let kind = self.string()?;
        self.int()?; // section
        for _ in 0..2 {
            self.text(texts)?; // definition, and how to drop it
        }
        let copy = self.text(texts)?;
        let schema = self.text(texts)?;
        self.text(texts)?; // tablespace
        if minor >= 14 {
            self.string()?; // access method
        }
        if minor >= 16 {
            self.int()?; // kind of relation
        }
        self.text(texts)?; // owner
        self.string()?; // with OIDs
        while self.string()?.is_some() {} // what it depends on
        let file = if in_files { self.string()? } else { self.offset()? };
        let lossy = |bytes: Option<Vec<u8>>| bytes.map(|b| String::from_utf8_lossy(&b).into_owned());
        let (kind, file) = (lossy(kind).unwrap_or_default(), lossy(file).filter(|f| !f.is_empty()));
        let named = copy.as_deref().and_then(names::copy);
        let by_tag = || Target {
            schema: lossy(schema).unwrap_or_default(),
            table: lossy(tag).unwrap_or_default(),
            columns: Vec::new(),
        };
        let target = (has_data && kind == "TABLE DATA").then(|| named.unwrap_or_else(by_tag));
        Ok(Entry { id, target, file, large_objects: matches!(kind.as_str(), "BLOBS" | "BLOB DATA") })
    }

    /// Where the data stands: not needed, since it is read from front to back.
    fn offset(&mut self) -> io::Result<Option<Vec<u8>>> {
        for _ in 0..=self.offset_bytes {
            self.byte()?;
        }
        Ok(None)
    }

    /// The next chunk of a block of data; empty at its end.
    pub(super) fn chunk(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        let length = self.int()?;
        let length = usize::try_from(length)
            .ok()
            .filter(|n| *n <= STRING_BYTES_MAX)
            .ok_or_else(|| wrong("a chunk"))?;
        (&mut self.from).take(length as u64).read_to_end(into)?;
        if into.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The kind of the next block; `None` at the end of the file.
    pub(super) fn block(&mut self) -> io::Result<Option<u8>> {
        match self.byte() {
            Ok(kind) => Ok(Some(kind)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What of it is not as it must be.
pub(super) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not one that is known here"))
}
