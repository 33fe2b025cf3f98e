//! `receipt verify` and `receipt extract`: both work offline.

use crate::app::App;
use crate::args::ReceiptCommand;
use crate::config::Config;
use crate::failure::{self, Failure, Result};
use crate::keys;
use crate::paper;
use crate::screen::{self, Answer, Exit};
use domicile_ledger::{Error, Verified, VerifyingKey};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Runs a receipt command.
pub fn run(app: &App, command: ReceiptCommand) -> Result<Answer> {
    match command {
        ReceiptCommand::Verify { file, keys } => verify(app, &file, &keys),
        ReceiptCommand::Extract { subject, wave, output } => {
            extract(&app.config()?, &subject, wave.as_deref(), output.as_deref())
        }
    }
}

fn verify(app: &App, file: &Path, given: &[PathBuf]) -> Result<Answer> {
    let trusted = trusted(app, given)?;
    let opened = File::open(file).map_err(|e| failure::of_file("read the receipts", file, &e))?;
    match domicile_ledger::verify(opened, &trusted) {
        Ok(verified) => Ok(said(file, &verified)),
        Err(error) => Err(refused(file, &error)),
    }
}

/// The keys given, else those beside the configuration.
fn trusted(app: &App, given: &[PathBuf]) -> Result<Vec<VerifyingKey>> {
    let found = if given.is_empty() {
        let config = app.config().map_err(|_| no_keys())?;
        keys::public(std::slice::from_ref(&config.keys))?
    } else {
        keys::public(given)?
    };
    if found.is_empty() { Err(no_keys()) } else { Ok(found) }
}

fn no_keys() -> Box<Failure> {
    Failure::usage(
        "receipt-no-keys",
        "no public key is given, and no configuration with keys is here",
        "a signature says something only to who knows whose key it is",
        "domicile receipt verify FILE --keys REGION.pub ...",
    )
}

fn refused(file: &Path, error: &Error) -> Box<Failure> {
    let shown = file.display();
    let failure = match error {
        Error::Io(e) => return failure::of_file("read the receipts", file, e),
        Error::Untrusted { .. } => Failure::new(
            "receipt-untrusted",
            format!("{shown}: {error}"),
            "the file is whole, but who signed it is unknown here",
            format!(
                "domicile receipt verify {shown} --keys REGION.pub ...   # keys you got from somebody you trust"
            ),
        ),
        Error::Impostor { .. } => Failure::new(
            "receipt-impostor",
            format!("{shown}: {error}"),
            "somebody signed in the name of a region whose key you have, with another key",
            "ask the region's operator whether its key was changed",
        ),
        _ => Failure::new(
            "receipt-wrong",
            format!("{shown}: {error}"),
            "a receipt holds only as it was signed: every byte of it counts",
            "get the file again from where it was issued",
        ),
    };
    failure.exit(Exit::No)
}

fn said(file: &Path, verified: &Verified) -> Answer {
    let lines = verified.summary();
    let mut text = format!("{}: holds\n\n", file.display());
    let mut last = "";
    for (label, value) in &lines {
        let shown = if label == last { "" } else { label };
        last = label;
        text.push_str(&format!("{}\n", paper::wrapped(&format!("{shown:<20}"), value)));
    }
    let list: Vec<Value> = lines.iter().map(|(l, v)| json!({ "label": l, "value": v })).collect();
    let json = json!({
        "holds": true, "all_signers_trusted": verified.all_trusted(), "subjects": verified.subjects,
        "single": verified.single.is_some(), "wave": verified.header.wave.id, "summary": list,
    });
    Answer::new(text, json)
}

fn extract(config: &Config, subject: &str, wave: Option<&str>, output: Option<&Path>) -> Result<Answer> {
    let secret = keys::receipts(config)?;
    for file in files(config, wave)? {
        let opened = File::open(&file).map_err(|e| failure::of_file("read the receipts", &file, &e))?;
        let mut receipt = Vec::new();
        match domicile_ledger::extract(opened, subject, &secret, &mut receipt) {
            Err(Error::NoSuchSubject) => continue,
            Err(error) => return Err(refused(&file, &error)),
            Ok(()) => return hand_out(&file, &receipt, output),
        }
    }
    Err(Failure::new(
        "receipt-no-subject",
        "no receipts file has a line of that subject",
        "who was in no wave has no receipt; a subject is named by its key in the root table",
        "domicile locate KEY",
    )
    .exit(Exit::No))
}

/// The wave's file, or all, the newest first.
fn files(config: &Config, wave: Option<&str>) -> Result<Vec<PathBuf>> {
    if let Some(wave) = wave {
        let file = config.receipts.join(format!("{wave}.receipts"));
        return if file.exists() { Ok(vec![file]) } else { Err(failure::unknown_wave(wave)) };
    }
    let entries = std::fs::read_dir(&config.receipts)
        .map_err(|e| failure::of_file("read the folder of receipts", &config.receipts, &e))?;
    let mut found: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "receipts"))
        .map(|entry| {
            (entry.metadata().and_then(|m| m.modified()).unwrap_or(std::time::UNIX_EPOCH), entry.path())
        })
        .collect();
    found.sort();
    Ok(found.into_iter().rev().map(|(_, path)| path).collect())
}

fn hand_out(from: &Path, receipt: &[u8], output: Option<&Path>) -> Result<Answer> {
    let Some(path) = output else {
        screen::raw(receipt);
        return Ok(Answer::default());
    };
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut f| f.write_all(receipt))
        .map_err(|e| failure::of_file("write the receipt", path, &e))?;
    let text = format!(
        "the subject's receipt from {} is in {}\nit verifies by itself: domicile receipt verify {} --keys REGION.pub ...",
        from.display(),
        path.display(),
        path.display()
    );
    Ok(Answer::new(text, json!({ "file": path, "from": from })))
}
