//! Verifies a receipts file, or a single receipt, offline: with the file and the keys one trusts.

use crate::header::Header;
use crate::lines::{Lines, canonical};
use crate::merkle::{Tree, leaf_hash, root_from_path};
use crate::totals::Tally;
use crate::{
    Digest, Error, FORMAT, HEADER_BYTES_MAX, LINE_BYTES_MAX, OPENING_BYTES_MAX, Result, SUBJECTS_MAX, Salt,
    SubjectRecord, VERSION, VerifyingKey,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{BufRead, BufReader, Read};

/// A file that is whole, as it was signed, and signed by somebody trusted.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The signed header.
    pub header: Header,
    /// Subject lines seen and checked: all of the wave's, or 1 of a single receipt.
    pub subjects: u64,
    /// Source, then target.
    pub signers: [SignerVerdict; 2],
    /// Set where the file is a single receipt: then totals and pauses are signed statements that were not recomputed.
    pub single: Option<SingleReceipt>,
}

impl Verified {
    /// Both regions' keys are among those trusted.
    pub fn all_trusted(&self) -> bool {
        self.signers.iter().all(|s| s.trusted)
    }
}

/// One signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerVerdict {
    /// For which side it signed.
    pub role: Role,
    /// Its key, as the header names it.
    pub key: VerifyingKey,
    /// Whether that key is among those trusted. If not, the signature says only that someone made it.
    pub trusted: bool,
}

/// Sides of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Where the data was.
    Source,
    /// Where it went.
    Target,
}

/// One subject's receipt.
#[derive(Debug, Clone)]
pub struct SingleReceipt {
    /// The subject's line.
    pub record: SubjectRecord,
    /// Opens its commitment.
    pub opening: Opening,
}

/// The third line of a single receipt: whose it is, and that it belongs to the signed tree.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The subject's id. `Debug` does not show it.
    pub subject: String,
    /// Its salt: checks the commitment, and unblinds digests by [`Salt::blind`].
    pub salt: Salt,
    /// The line's place among the wave's, from 0.
    pub index: u64,
    /// RFC 9162 inclusion proof, from the leaf's sibling up.
    pub path: Vec<Digest>,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening(line {}, subject and salt not shown)", self.index)
    }
}

/// Verifies a receipts file or a single receipt. Accepts it if nothing was changed, everything adds
/// up, both signatures hold and at least one signer is in `trusted`; ask [`Verified::all_trusted`] for both.
///
/// Memory is bounded whatever `from` holds. Errors name the line.
pub fn verify(from: impl Read, trusted: &[VerifyingKey]) -> Result<Verified> {
    verify_each(from, trusted, |_| ())
}

/// Like [`verify`], and shows each subject line as it passes. What `show` was given is known to be
/// signed only if this returns `Ok`: root and signatures are checked last.
pub fn verify_each(
    from: impl Read,
    trusted: &[VerifyingKey],
    show: impl FnMut(&SubjectRecord),
) -> Result<Verified> {
    let (whole, header_line) = whole(from, show)?;
    let signers =
        [(Role::Source, &whole.header.signers.source), (Role::Target, &whole.header.signers.target)];
    let [source, target] = signers.map(|(role, key)| {
        let is_trusted = trusted.contains(key);
        // The header that names the key is line 1.
        if !is_trusted && trusted.iter().any(|t| t.name() == key.name()) {
            return Err(Error::Impostor { line: header_line, name: key.name().to_owned() });
        }
        Ok(SignerVerdict { role, key: key.clone(), trusted: is_trusted })
    });
    let signers = [source?, target?];
    if signers.iter().all(|s| !s.trusted) {
        let [source, target] = signers.map(|s| s.key.to_string());
        return Err(Error::Untrusted { source_key: source, target_key: target });
    }
    Ok(Verified { header: whole.header, subjects: whole.subjects, signers, single: whole.single })
}

/// A file whose parts fit each other and its signatures; whose signatures they are is not asked yet.
pub(crate) struct Whole {
    pub(crate) header: Header,
    pub(crate) header_bytes: Vec<u8>,
    pub(crate) subjects: u64,
    pub(crate) single: Option<SingleReceipt>,
    /// Both signature lines with their `\n`.
    pub(crate) signatures: String,
}

/// Checks all but trust. Returns the number of the header's line beside it.
pub(crate) fn whole(from: impl Read, show: impl FnMut(&SubjectRecord)) -> Result<(Whole, u64)> {
    let mut lines = Lines::new(BufReader::with_capacity(64 << 10, from));
    let (header, header_bytes) = header(&mut lines)?;
    let header_line = lines.number();
    let (subjects, single) = body(&mut lines, &header, show)?;
    let mut signatures = String::new();
    for key in [&header.signers.source, &header.signers.target] {
        let line = lines.need(LINE_BYTES_MAX, "both signatures")?;
        let text = std::str::from_utf8(line).ok().filter(|text| key.signed(text, &header_bytes));
        match text {
            Some(text) => signatures.extend([text, "\n"]),
            None => {
                return Err(Error::line(
                    lines.number(),
                    format!("not the signature of `{}` over line 1", key.name()),
                ));
            }
        }
    }
    if lines.next(LINE_BYTES_MAX)?.is_some() {
        return Err(Error::line(lines.number(), "something stands after the signatures"));
    }
    Ok((Whole { header, header_bytes, subjects, single, signatures }, header_line))
}

/// The header and its bytes with the `\n`, as they are signed.
fn header(lines: &mut Lines<impl BufRead>) -> Result<(Header, Vec<u8>)> {
    let mut bytes = lines.need(HEADER_BYTES_MAX, "its header")?.to_vec();
    let named = format!("{{\"format\":\"{FORMAT}\",\"version\":");
    let Some(rest) = bytes.strip_prefix(named.as_bytes()) else {
        return Err(Error::line(1, "not the beginning of a receipts file"));
    };
    if !rest.starts_with(format!("{VERSION},").as_bytes()) {
        return Err(Error::line(
            1,
            format!("a version of the format that this build does not know (it knows {VERSION})"),
        ));
    }
    let header: Header = canonical(&bytes, 1, "a header")?;
    header.check().map_err(|what| Error::line(1, what))?;
    if header.subjects.size > SUBJECTS_MAX {
        return Err(Error::line(1, format!("more than {SUBJECTS_MAX} subjects")));
    }
    bytes.push(b'\n');
    Ok((header, bytes))
}

/// What stands between header and signatures, the empty line included.
fn body(
    lines: &mut Lines<impl BufRead>,
    header: &Header,
    mut show: impl FnMut(&SubjectRecord),
) -> Result<(u64, Option<SingleReceipt>)> {
    let (mut tree, mut tally) = (Tree::default(), Tally::default());
    let mut before: Option<(SubjectRecord, Digest)> = None;
    loop {
        // Only the second line after the header may be an opening.
        let bytes_max = if tree.size() == 1 { OPENING_BYTES_MAX } else { LINE_BYTES_MAX };
        let line = lines.need(bytes_max, "the empty line before the signatures")?;
        if line.is_empty() {
            break;
        }
        if line.starts_with(b"{\"subject\":") && tree.size() == 1 {
            let line = line.to_vec();
            let single = single(lines, &line, before, header)?;
            return Ok((1, Some(single)));
        }
        let (leaf, bytes) = (leaf_hash(line), line.to_vec());
        let number = lines.number();
        let record = subject_line(&bytes, number, before.as_ref().map(|b| &b.0))?;
        tree.push(leaf);
        if tree.size() > header.subjects.size {
            return Err(Error::line(number, "more subjects than the header says"));
        }
        tally.add(&record).map_err(|what| Error::line(number, what))?;
        show(&record);
        before = Some((record, leaf));
    }
    if (tree.size(), tree.root()) != (header.subjects.size, header.subjects.root) {
        return Err(Error::line(lines.number(), "the subject lines above are not those that were signed"));
    }
    tally.check_erasure(&header.wave.erasure).map_err(|what| Error::line(1, what))?;
    if tally.finish() != (header.totals.clone(), header.pause) {
        return Err(Error::line(1, "totals or pauses are not those of the subject lines"));
    }
    Ok((header.subjects.size, None))
}

fn subject_line(line: &[u8], number: u64, before: Option<&SubjectRecord>) -> Result<SubjectRecord> {
    let record: SubjectRecord = canonical(line, number, "a subject")?;
    record.check().map_err(|what| Error::line(number, what))?;
    match before {
        Some(b) if b.commitment == record.commitment => Err(Error::line(number, "a subject stands twice")),
        Some(b) if b.commitment > record.commitment => Err(Error::line(number, "subjects are not in order")),
        _ => Ok(record),
    }
}

/// Checks a single receipt's opening and proof, and reads the empty line after it.
fn single(
    lines: &mut Lines<impl BufRead>,
    line: &[u8],
    subject: Option<(SubjectRecord, Digest)>,
    header: &Header,
) -> Result<SingleReceipt> {
    let number = lines.number();
    let opening: Opening = canonical(line, number, "an opening")?;
    let Some((record, leaf)) = subject else {
        return Err(Error::line(number, "an opening without a subject"));
    };
    if opening.salt.commit(&opening.subject) != record.commitment {
        return Err(Error::line(number, "the id and salt shown are not those of the subject's line"));
    }
    let root = root_from_path(leaf, opening.index, header.subjects.size, &opening.path);
    if root != Some(header.subjects.root) {
        return Err(Error::line(
            number,
            "the proof does not lead from the subject's line to the signed root",
        ));
    }
    let mut tally = Tally::default();
    tally.add(&record).map_err(|what| Error::line(number - 1, what))?;
    tally.check_erasure(&header.wave.erasure).map_err(|what| Error::line(number - 1, what))?;
    match lines.need(LINE_BYTES_MAX, "the empty line before the signatures")? {
        b"" => Ok(SingleReceipt { record, opening }),
        _ => Err(Error::line(number + 1, "a line too many in a single receipt")),
    }
}
