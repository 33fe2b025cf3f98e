//! Issues a wave's receipts again with what was found since: the same subjects, a new header, both signatures.

use crate::doubts::{doubts, joined};
use crate::lines::print;
use crate::residue::RESIDUE_SEARCHES_MAX;
use crate::verify::whole;
use crate::write::Written;
use crate::{Digest, Error, HEADER_BYTES_MAX, ResidueSearch, Result, SigningKey};
use jiff::Timestamp;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// Writes the receipts `from` with one more search for residue, signed at `signed_at` by the same two keys, and
/// flushes `out`. The file is checked first; its subject lines are copied as they are.
///
/// CRASH: a file cut short does not verify. The caller writes to a temporary name, syncs and renames.
///
/// # Errors
/// A file that does not hold, a single receipt, keys that did not sign it, and a search that can't be.
pub fn with_residue(
    mut from: impl Read + Seek,
    search: ResidueSearch,
    signed_at: Timestamp,
    [source_key, target_key]: [&SigningKey; 2],
    out: impl Write,
) -> Result<Written> {
    from.seek(SeekFrom::Start(0))?;
    let (before, _) = whole(&mut from, |_| ())?;
    if before.single.is_some() {
        return Err(Error::record("a single receipt can't be issued again, only a wave's receipts"));
    }
    let mut header = before.header;
    let signers = [&header.signers.source, &header.signers.target];
    if signers != [source_key.verifying_key(), target_key.verifying_key()] {
        return Err(Error::record("these receipts were signed with other keys"));
    }
    // What followed from the record before follows from the new one, or does not any more.
    let followed = doubts(&header.wave);
    let own: Vec<String> = header.wave.not_proven.iter().filter(|c| !followed.contains(c)).cloned().collect();
    let searches = &mut header.wave.residue_searches;
    searches.push(search);
    let over = searches.len().saturating_sub(RESIDUE_SEARCHES_MAX);
    searches.drain(..over);
    header.wave.times.signed_at = signed_at;
    header.wave.not_proven = joined(doubts(&header.wave), &own);
    header.check().map_err(Error::record)?;
    let mut line = print(&header)?;
    if line.len() > HEADER_BYTES_MAX {
        return Err(Error::record(format!("the header is longer than {HEADER_BYTES_MAX} bytes")));
    }
    line.push(b'\n');
    let mut out = BufWriter::new(out);
    out.write_all(&line)?;
    let lines = subject_lines(&mut from, before.header_bytes.len(), before.signatures.len(), &mut out)?;
    let signatures = format!("{}\n{}\n", source_key.sign(&line), target_key.sign(&line));
    out.write_all(signatures.as_bytes())?;
    out.flush()?;
    use sha2::Digest as _;
    let bytes = line.len() as u64 + lines + signatures.len() as u64;
    Ok(Written { header, header_hash: Digest(sha2::Sha256::digest(&line).into()), bytes })
}

/// Copies what stands between header and signatures: the lines and the empty one.
fn subject_lines(
    from: &mut (impl Read + Seek),
    header_bytes: usize,
    signatures_bytes: usize,
    out: &mut impl Write,
) -> Result<u64> {
    let end = from.seek(SeekFrom::End(0))?;
    let length = end.checked_sub((header_bytes + signatures_bytes) as u64);
    let length = length.ok_or_else(|| Error::record("the file was changed meanwhile"))?;
    from.seek(SeekFrom::Start(header_bytes as u64))?;
    let mut lines = BufReader::with_capacity(64 << 10, from.take(length));
    let mut copied = 0;
    loop {
        let some = lines.fill_buf()?;
        if some.is_empty() {
            return if copied == length {
                Ok(copied)
            } else {
                Err(Error::record("the file was changed meanwhile"))
            };
        }
        out.write_all(some)?;
        let n = some.len();
        copied += n as u64;
        lines.consume(n);
    }
}
