//! Writes a wave's receipts file: subjects one at a time, then the header, then both signatures.

use crate::doubts::{doubts, joined};
use crate::header::{FORMAT, Header, Signers, TreeHead, VERSION};
use crate::lines::print;
use crate::merkle::{Tree, leaf_hash};
use crate::sorted::{RUN_BYTES, Sorter};
use crate::totals::Tally;
use crate::{
    Digest, Error, HEADER_BYTES_MAX, LINE_BYTES_MAX, ReceiptSecret, Result, SUBJECTS_MAX, SigningKey,
    SubjectMove, SubjectRecord, WaveRecord,
};
use std::io::{Read, Seek, Write};

/// Collects the subjects of one wave in a scratch file and assembles the receipts file from it.
///
/// The header stands first but needs the root, and lines are ordered by commitment so that their order
/// tells nothing of the ids; so lines go to `scratch` in sorted runs and are merged twice: for the root,
/// and into the file. Memory: about 32 MiB, measured with 1 M subjects; beyond 64 GiB of lines 4 KiB more for
/// each 16 MiB of them. The scratch file never holds an id.
///
/// The same subjects, record, secret and keys give the same bytes: a writer that died is simply run again.
pub struct ReceiptWriter<'s, S> {
    wave: String,
    secret: &'s ReceiptSecret,
    lines: Sorter<S>,
    count: u64,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The header as it stands in the file.
    pub header: Header,
    /// SHA-256 of the header line with its `\n`: names the file.
    pub header_hash: Digest,
    /// Bytes written.
    pub bytes: u64,
}

impl<'s, S: Read + Write + Seek> ReceiptWriter<'s, S> {
    /// For the wave of that id. `scratch` is overwritten from its beginning.
    pub fn new(wave: &str, secret: &'s ReceiptSecret, scratch: S) -> Self {
        Self { wave: wave.to_owned(), secret, lines: Sorter::new(scratch, RUN_BYTES), count: 0 }
    }

    /// Adds a subject, in any order. A subject added twice is found by [`ReceiptWriter::finish`].
    pub fn push(&mut self, subject: SubjectMove) -> Result<()> {
        let record = SubjectRecord::of(&self.wave, self.secret, subject).map_err(Error::record)?;
        let line = print(&record)?;
        if line.len() > LINE_BYTES_MAX {
            return Err(Error::record(format!("a subject's line is longer than {LINE_BYTES_MAX} bytes")));
        }
        if self.count == SUBJECTS_MAX {
            return Err(Error::record(format!("more than {SUBJECTS_MAX} subjects in one wave")));
        }
        self.count += 1;
        self.lines.push(line)
    }

    /// Writes the file and flushes `out`. The keys' names must fit the regions (see [`SigningKey::generate`]).
    /// What follows from the record is put before `record.not_proven`.
    ///
    /// CRASH: a file cut short does not verify. The caller writes to a temporary name, syncs and renames.
    pub fn finish(
        mut self,
        mut record: WaveRecord,
        source_key: &SigningKey,
        target_key: &SigningKey,
        out: impl Write,
    ) -> Result<Written> {
        if record.id != self.wave {
            return Err(Error::record("the record is another wave's than the subjects"));
        }
        record.not_proven = joined(doubts(&record), &record.not_proven);
        let header = self.header(record, source_key, target_key)?;
        let mut line = print(&header)?;
        if line.len() > HEADER_BYTES_MAX {
            return Err(Error::record(format!("the header is longer than {HEADER_BYTES_MAX} bytes")));
        }
        line.push(b'\n');
        let mut out = Counted { out: std::io::BufWriter::new(out), bytes: 0 };
        out.write_all(&line)?;
        self.lines.each(|l| Ok(out.write_all(l).and_then(|()| out.write_all(b"\n"))?))?;
        writeln!(out, "\n{}\n{}", source_key.sign(&line), target_key.sign(&line))?;
        out.flush()?;
        use sha2::Digest as _;
        Ok(Written { header, header_hash: Digest(sha2::Sha256::digest(&line).into()), bytes: out.bytes })
    }

    fn header(
        &mut self,
        wave: WaveRecord,
        source_key: &SigningKey,
        target_key: &SigningKey,
    ) -> Result<Header> {
        let (mut tree, mut tally) = (Tree::default(), Tally::default());
        let mut last = None;
        self.lines.each(|line| {
            let record: SubjectRecord =
                serde_json::from_slice(line).map_err(|_| Error::record("the scratch file was changed"))?;
            if last.replace(record.commitment) == Some(record.commitment) {
                return Err(Error::record("a subject was added twice"));
            }
            tally.add(&record).map_err(Error::record)?;
            tree.push(leaf_hash(line));
            Ok(())
        })?;
        if tree.size() != self.count {
            return Err(Error::record("the scratch file was changed"));
        }
        tally.check_erasure(&wave.erasure).map_err(Error::record)?;
        let (totals, pause) = tally.finish();
        let signers = Signers {
            source: source_key.verifying_key().clone(),
            target: target_key.verifying_key().clone(),
        };
        let subjects = TreeHead { size: tree.size(), root: tree.root() };
        let (format, version) = (FORMAT.to_owned(), VERSION);
        let header = Header { format, version, wave, totals, pause, subjects, log: (), signers };
        header.check().map_err(Error::record)?;
        Ok(header)
    }
}

/// Counts what passes.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(data)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
