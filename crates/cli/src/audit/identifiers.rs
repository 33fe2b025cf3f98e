//! What is looked for: from a list, or read from a region for given subjects.
//!
//! INVARIANT: an identifier is in memory as [`Identifier`] and is wiped; no message holds one.

use crate::args::OutputArgs;
use crate::config::{Config, IdentifierColumn, nearest};
use crate::failure::{self, Failure, Result};
use crate::figures::bytes as bytes_in_words;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domicile_audit::{Country, Forms, Identifier};
use domicile_datamap::Layout;
use domicile_datamap::layout::TableIx;
use domicile_stores::Records;
use domicile_stores::records::SubjectId;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// The longest list that is read, in bytes; one that is longer is refused, never cut.
const LIST_BYTES_MAX: u64 = 1 << 30;
/// Subjects whose columns are read at once.
const BATCH: usize = 1_000;

/// Identifiers, and what was no identifier though it stood where one should.
#[derive(Default)]
pub struct Looked {
    /// What is looked for.
    pub identifiers: Vec<Identifier>,
    /// Subjects they belong to.
    pub subjects: u64,
    /// Values that are none.
    pub unfit: u64,
}

/// A list from a file, `-` is stdin.
pub fn from_file(path: &Path, output: &OutputArgs, config: Option<&Config>) -> Result<Looked> {
    let bytes = bytes_of(path, "read the identifiers")?;
    let identifiers = Identifier::list(&bytes, country(output, config)?).map_err(|error| {
        Failure::usage(
            "audit-identifiers",
            format!("{}: {error}", path.display()),
            "what is looked for must be known for certain; the line is not shown, since it may be an identifier",
            "correct the line: one identifier each, behind phone: email: imei: imsi: or free: where it could be taken for another kind",
        )
    })?;
    if identifiers.is_empty() {
        return Err(Failure::usage(
            "audit-identifiers",
            format!("{} holds no identifier", path.display()),
            "a search for nothing would find nothing",
            "write one identifier a line into it",
        ));
    }
    Ok(Looked { identifiers, subjects: 0, unfit: 0 })
}

fn bytes_of(path: &Path, doing: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    let read = read.map_err(|e| failure::of_file(doing, path, &e))?;
    if read as u64 > LIST_BYTES_MAX {
        return Err(Failure::usage(
            "audit-identifiers",
            format!("{} is longer than {}", path.display(), bytes_in_words(LIST_BYTES_MAX)),
            "a list is held in memory while it is made ready",
            "split it, and search once for each part",
        ));
    }
    Ok(bytes)
}

/// The country in which numbers are written: as typed, else as configured.
fn country(output: &OutputArgs, config: Option<&Config>) -> Result<Option<Country>> {
    let typed = output.country.clone();
    let configured = config.and_then(|c| c.audit.country).map(|c| c.alpha2().to_owned());
    let Some(code) = typed.or(configured) else { return Ok(None) };
    match Country::of(&code) {
        Some(country) => Ok(Some(country)),
        None => Err(Failure::usage(
            "audit-country",
            format!("`{code}` is no country with telephone numbers"),
            "numbers without a country code are read as that country writes them",
            "--country CN   # an ISO 3166-1 code",
        )),
    }
}

/// In what forms they are looked for.
pub fn forms(output: &OutputArgs) -> Result<Forms> {
    let mut forms = Forms::default();
    if let Some(path) = &output.salt_file {
        forms.salts = lines_of(path, "salt")?;
    }
    if let Some(path) = &output.hmac_key_file {
        for (n, line) in (1..).zip(lines_of(path, "key")?) {
            forms.keys.push(key(&line).ok_or_else(|| bad_key(path, n))?);
        }
    }
    Ok(forms)
}

/// The lines of a file that are not empty; one at least.
fn lines_of(path: &Path, what: &str) -> Result<Vec<Zeroizing<Vec<u8>>>> {
    let bytes = bytes_of(path, &format!("read the {what}s"))?;
    let lines = bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines: Vec<_> =
        lines.filter(|line| !line.is_empty()).map(|line| Zeroizing::new(line.to_vec())).collect();
    if lines.is_empty() {
        return Err(Failure::usage(
            "audit-secrets",
            format!("{} holds no {what}", path.display()),
            "what it was named for would not be looked for",
            format!("write one {what} a line into it, or leave the file out"),
        ));
    }
    Ok(lines)
}

/// A key as it is, or written in hexadecimal or base64.
fn key(line: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let read = match (line.strip_prefix(b"hex:"), line.strip_prefix(b"base64:")) {
        (Some(digits), _) => hex::decode(digits.trim_ascii()).ok()?,
        (_, Some(text)) => BASE64_STANDARD.decode(text.trim_ascii()).ok()?,
        _ => line.to_vec(),
    };
    Some(Zeroizing::new(read)).filter(|key| !key.is_empty())
}

fn bad_key(path: &Path, line: usize) -> Box<Failure> {
    Failure::usage(
        "audit-secrets",
        format!("{}: key {line} is not written in what stands before it", path.display()),
        "another key would find nothing; it is not shown",
        "hex:00ff... or base64:AP8=, or the key as it is, which may not begin so",
    )
}

/// Keys of subjects from a file, `-` is stdin.
pub fn subjects_in(path: &Path) -> Result<Vec<SubjectId>> {
    let bytes = bytes_of(path, "read the subjects")?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::usage(
            "subject-key",
            format!("{} is no text in UTF-8", path.display()),
            "it holds keys of the root table, one a line",
            "domicile audit --subjects FILE ...",
        )
    })?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(|line| SubjectId(line.to_owned())).collect())
}

/// The columns as typed, else those of the configuration.
pub fn columns_of(typed: &[String], config: &Config) -> Result<Vec<IdentifierColumn>> {
    let wrong = |text: &String| {
        Failure::usage(
            "audit-columns",
            format!("`{text}` is not written as a column with identifiers"),
            "each kind is looked for in forms of its own, so it must be said",
            "--columns email:public.customer.email,phone:public.customer.phone   # SQLite: email:main.customer.email",
        )
    };
    let columns = match typed {
        [] => config.audit.identifiers.clone(),
        typed => {
            typed.iter().map(|t| IdentifierColumn::typed(t).ok_or_else(|| wrong(t))).collect::<Result<_>>()?
        }
    };
    if columns.is_empty() {
        return Err(Failure::usage(
            "audit-columns",
            format!("{} does not say which columns hold identifiers", config.file.display()),
            "a person is found by what an application wrote down: telephone numbers, mail addresses",
            "add to domicile.toml:\n[audit]\nidentifiers = [{ kind = \"email\", column = \"public.customer.email\" }]",
        ));
    }
    Ok(columns)
}

/// Reads what stands in the columns of these subjects.
pub async fn of_subjects(
    (records, layout, place): (&dyn Records, &Layout, &str),
    columns: &[IdentifierColumn],
    subjects: &[SubjectId],
    (output, config): (&OutputArgs, &Config),
) -> Result<Looked> {
    let country = country(output, Some(config))?;
    let tables = columns.iter().map(|c| table(c, layout)).collect::<Result<Vec<TableIx>>>()?;
    let (mut looked, mut known) =
        (Looked { subjects: subjects.len() as u64, ..Looked::default() }, BTreeSet::new());
    for some in subjects.chunks(BATCH) {
        for (column, table) in columns.iter().zip(&tables) {
            let read = records.column(*table, &column.column, some).await;
            for (_, text) in read.map_err(|e| failure::of_store(place, &e))? {
                let text = Zeroizing::new(text);
                match Identifier::new(column.kind, &text, country) {
                    Ok(one) => {
                        if known.insert((one.kind, Sha256::digest(one.text.as_bytes()))) {
                            looked.identifiers.push(one);
                        }
                    }
                    Err(_) => looked.unfit += u64::from(!text.trim().is_empty()),
                }
            }
        }
    }
    Ok(looked)
}

fn table(named: &IdentifierColumn, layout: &Layout) -> Result<TableIx> {
    let absent = |what: String, typed: &str, all: &[&str]| {
        let fix = match nearest(typed, all) {
            Some(one) => format!("did you mean {one}?"),
            None => format!("one of: {}", all.join(", ")),
        };
        Failure::usage(
            "audit-columns",
            what,
            "identifiers are read from columns that move with their subjects",
            fix,
        )
    };
    let Some(table) = layout.index_of(&named.table) else {
        let tables: Vec<String> = layout.tables.iter().map(|t| t.name.to_string()).collect();
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        return Err(absent(format!("{} is no mapped table", named.table), &named.table.to_string(), &tables));
    };
    let names: Vec<&str> = layout.tables[table].columns.iter().map(|c| c.name.as_str()).collect();
    if names.contains(&named.column.as_str()) {
        return Ok(table);
    }
    Err(absent(format!("{} has no column `{}` that moves", named.table, named.column), &named.column, &names))
}
