//! Takes one subject's receipt out of a wave's file. It verifies by itself and tells nothing of others
//! but hashes.

use crate::lines::{Lines, print};
use crate::merkle::{ProofBuilder, leaf_hash};
use crate::verify::{Opening, whole};
use crate::{Error, HEADER_BYTES_MAX, LINE_BYTES_MAX, OPENING_BYTES_MAX, ReceiptSecret, Result, verify};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};

/// Writes the single receipt of `subject` from the receipts file `file` and flushes `out`.
///
/// The file is checked first (all but whom to trust), then read again for the proof, so it is read
/// twice with bounded memory; what is written has been verified against the keys that the file names.
/// Fails with [`Error::NoSuchSubject`] where no line opens with this id and secret.
pub fn extract(
    mut file: impl Read + Seek,
    subject: &str,
    secret: &ReceiptSecret,
    mut out: impl Write,
) -> Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut wanted = None;
    let mut index = 0u64;
    let mut commitments = |record: &crate::SubjectRecord, commitment| {
        if record.commitment == commitment {
            wanted = Some(index);
        }
        index += 1;
    };
    // The wave's id stands in the header, so salt and commitment are made once that is read.
    let wave = wave_of(&mut file)?;
    let salt = secret.salt(&wave, subject);
    let commitment = salt.commit(subject);
    let (whole, _) = whole(&mut file, |record| commitments(record, commitment))?;
    if whole.single.is_some() {
        return Err(Error::line(3, "this is a single receipt already"));
    }
    let index = wanted.ok_or(Error::NoSuchSubject)?;
    let (line, path) = proof(&mut file, index, whole.header.subjects.size)?;
    let opening = print(&Opening { subject: subject.to_owned(), salt, index, path })?;
    if opening.len() > OPENING_BYTES_MAX {
        return Err(Error::record("the opening's line is too long"));
    }
    let receipt =
        [&whole.header_bytes, &line[..], b"\n", &opening[..], b"\n\n", whole.signatures.as_bytes()].concat();
    // The file may have been changed between the two readings.
    verify(&receipt[..], &[whole.header.signers.source])?;
    out.write_all(&receipt)?;
    Ok(out.flush()?)
}

/// The wave's id, not yet verified; the file is back at its beginning.
fn wave_of(file: &mut (impl Read + Seek)) -> Result<String> {
    let mut lines = Lines::new(BufReader::new(&mut *file));
    let header: crate::Header =
        crate::lines::canonical(lines.need(HEADER_BYTES_MAX, "its header")?, 1, "a header")?;
    file.seek(SeekFrom::Start(0))?;
    Ok(header.wave.id)
}

/// The line at `index` and its inclusion proof.
fn proof(file: &mut (impl Read + Seek), index: u64, size: u64) -> Result<(Vec<u8>, Vec<crate::Digest>)> {
    let changed = || Error::line(1, "the file was changed while it was read");
    file.seek(SeekFrom::Start(0))?;
    let mut lines = Lines::new(BufReader::with_capacity(64 << 10, file));
    lines.need(HEADER_BYTES_MAX, "its header")?;
    let mut proof = ProofBuilder::new(index, size).ok_or_else(changed)?;
    let mut wanted = Vec::new();
    for i in 0..size {
        let line = lines.need(LINE_BYTES_MAX, "its last subject")?;
        proof.push(leaf_hash(line));
        if i == index {
            wanted = line.to_vec();
        }
    }
    Ok((wanted, proof.finish().ok_or_else(changed)?))
}
