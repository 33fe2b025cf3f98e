//! `consent list|show|verify|withdraw`: records of consent, for who runs the service.

use crate::app::App;
use crate::args::ConsentCommand;
use crate::commands::serve::mailboxes;
use crate::config::{Config, Messaging};
use crate::failure::{self, Failure, Result};
use crate::figures::counted;
use crate::paper;
use crate::relay_keys;
use crate::screen::{Answer, Exit};
use domicile_messaging::consent::{Countersigned, Purpose};
use domicile_messaging::wire::{Key, MailboxId};
use domicile_stores::mailboxes::{Effect, Holder, Kept, Mailboxes, Refusal, WITHDRAWN};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of records is not larger than this, bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Runs a consent command.
pub async fn run(app: &App, command: ConsentCommand) -> Result<Answer> {
    match command {
        ConsentCommand::List { mailbox } => list(app, &mailbox).await,
        ConsentCommand::Show { mailbox, purpose } => show(app, &mailbox, purpose.as_deref()).await,
        ConsentCommand::Verify { file, keys } => verify(app, &file, &keys),
        ConsentCommand::Withdraw { mailbox, purpose } => withdraw(app, &mailbox, &purpose).await,
    }
}

/// A mailbox at its home.
struct Found {
    region: String,
    mailboxes: Arc<Mailboxes>,
    holder: Holder,
}

async fn find(app: &App, mailbox: &str) -> Result<Found> {
    let config = app.config()?;
    let messaging = messaging(&config)?;
    if mailbox.parse::<MailboxId>().is_err() {
        let why = "it is 16 bytes in base64url: 22 characters";
        return Err(Failure::usage(
            "mailbox-invalid",
            "that is no mailbox",
            why,
            "domicile consent list MAILBOX",
        ));
    }
    for relay in &messaging.relays {
        let mailboxes = mailboxes(&config, relay).await?;
        let holder = mailboxes.holder(mailbox).await.map_err(|e| of_refusal(&relay.region, &e))?;
        if let Some(holder) = holder.filter(|holder| holder.is_home) {
            return Ok(Found { region: relay.region.clone(), mailboxes, holder });
        }
    }
    let why = "no region of [messaging] is its home";
    Err(Failure::new(
        "mailbox-unknown",
        "there is no such mailbox",
        why,
        "is it typed as the device shows it?",
    )
    .exit(Exit::No))
}

fn messaging(config: &Config) -> Result<&Messaging> {
    config.messaging.as_ref().ok_or_else(|| {
        let what = format!("{} has no [messaging]", config.file.display());
        Failure::usage(
            "config-serve",
            what,
            "records are in the regions of its relays",
            "domicile messaging init",
        )
    })
}

async fn list(app: &App, mailbox: &str) -> Result<Answer> {
    let found = find(app, mailbox).await?;
    let state = |purpose: &str| {
        let kept = found.holder.consents.iter().find(|(known, _)| known == purpose);
        kept.map_or("never given", |(_, state)| state.as_str()).to_owned()
    };
    let rows: Vec<Vec<String>> =
        Purpose::ALL.map(|p| vec![p.as_str().to_owned(), state(p.as_str())]).to_vec();
    let consents: serde_json::Map<String, Value> =
        rows.iter().map(|row| (row[0].clone(), Value::from(row[1].clone()))).collect();
    let has_device = !found.holder.device.is_empty();
    let text = format!(
        "home: {}; {}\n\n{}",
        found.region,
        if has_device { "a device has it" } else { "no device has it: its owner withdrew" },
        paper::table(&["purpose", "state"], &[], rows)
    );
    Ok(Answer::new(text, json!({ "region": found.region, "has_device": has_device, "consents": consents })))
}

async fn show(app: &App, mailbox: &str, purpose: Option<&str>) -> Result<Answer> {
    let purpose = purpose.map(parsed).transpose()?;
    let found = find(app, mailbox).await?;
    let all = found.mailboxes.records(mailbox).await.map_err(|e| of_refusal(&found.region, &e))?;
    let all = all.iter().filter(|kept| purpose.is_none_or(|p| kept.purpose == p.as_str()));
    let record = |kept: &Kept| serde_json::from_slice::<Value>(&kept.record).unwrap_or(Value::Null);
    let shown: Vec<Value> = all
        .map(|kept| {
            json!({ "purpose": kept.purpose, "seq": kept.seq, "state": kept.state, "record": record(kept) })
        })
        .collect();
    let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
    Ok(Answer::new(format!("{text}\n"), json!({ "region": found.region, "records": shown })))
}

fn verify(app: &App, file: &Path, given: &[PathBuf]) -> Result<Answer> {
    let keys = trusted(app, given)?;
    let (records, unsigned) = read(file)?;
    let mut rows = Vec::new();
    for record in &records {
        let is_known = keys.iter().any(|key| record.check(key).is_ok());
        let why = match record.signed.check() {
            Err(fault) => fault.to_string(),
            Ok(()) if is_known => String::new(),
            Ok(()) => "no key that is trusted has countersigned it".to_owned(),
        };
        rows.push((record, why));
    }
    let is_bad = unsigned > 0 || rows.iter().any(|(_, why)| !why.is_empty());
    let line = |(record, why): &(&Countersigned, String)| {
        let signed = &record.signed.record;
        let verdict = if why.is_empty() { "holds".to_owned() } else { format!("does not hold: {why}") };
        vec![
            signed.processing.purpose.as_str().to_owned(),
            signed.event.event_state.as_str().to_owned(),
            record.region.as_str().to_owned(),
            record.at.to_string(),
            verdict,
        ]
    };
    let table = paper::table(
        &["purpose", "state", "region", "taken", "verdict"],
        &[],
        rows.iter().map(line).collect(),
    );
    let of = |(record, why): &(&Countersigned, String)| {
        let signed = &record.signed.record;
        json!({
            "purpose": signed.processing.purpose, "state": signed.event.event_state, "region": record.region,
            "at": record.at, "holds": why.is_empty(), "why": why,
        })
    };
    let json = json!({
        "holds": !is_bad, "records": rows.iter().map(of).collect::<Vec<_>>(), "unsigned": unsigned,
    });
    let more = match unsigned {
        0 => String::new(),
        n => format!("\n{} more that no device signed: withdrawn by the operator\n", counted(n, "record")),
    };
    Ok(Answer::new(format!("{table}\n{more}"), json).no_if(is_bad))
}

/// As `consent show` prints it.
#[derive(serde::Deserialize)]
struct Shown {
    record: Value,
}

/// Records with both signatures, and how many have none.
fn read(file: &Path) -> Result<(Vec<Countersigned>, u64)> {
    let doing = "read the records";
    let size = std::fs::metadata(file).map_err(|e| failure::of_file(doing, file, &e))?.len();
    let unreadable = |why: String| {
        let what = format!("{} is no record of consent", file.display());
        Failure::new("consent-unreadable", what, why, "is it a record as the device keeps it?").exit(Exit::No)
    };
    if size > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read(file).map_err(|e| failure::of_file(doing, file, &e))?;
    // The parser's words would quote the record.
    let said = |e: serde_json::Error| {
        unreadable(format!("it can't be read at line {}, column {}", e.line(), e.column()))
    };
    if let Ok(shown) = serde_json::from_slice::<Vec<Shown>>(&text) {
        // None: what a former device agreed to ended when another one took the number over.
        let all = shown.into_iter().map(|shown| shown.record).filter(|record| !record.is_null());
        let (unsigned, signed): (Vec<_>, Vec<_>) = all.partition(|r| r["withdrawn_by"] == "operator");
        let signed: Vec<Countersigned> = signed
            .into_iter()
            .map(serde_json::from_value)
            .collect::<std::result::Result<_, _>>()
            .map_err(said)?;
        return Ok((signed, unsigned.len() as u64));
    }
    let one = serde_json::from_slice::<Countersigned>(&text).map(|one| vec![one]);
    let records = one.or_else(|_| serde_json::from_slice::<Vec<Countersigned>>(&text));
    Ok((records.map_err(said)?, 0))
}

/// The keys given, else those of the configuration's relays.
fn trusted(app: &App, given: &[PathBuf]) -> Result<Vec<Key>> {
    if !given.is_empty() {
        return given.iter().map(|path| relay_keys::key_in(path)).collect();
    }
    let config = app.config()?;
    let relays = &messaging(&config)?.relays;
    relays.iter().map(|relay| Ok(Key(relay_keys::public_service_key(relay)?.to_bytes()))).collect()
}

async fn withdraw(app: &App, mailbox: &str, purpose: &str) -> Result<Answer> {
    let purpose = parsed(purpose)?;
    let found = find(app, mailbox).await?;
    if !found.holder.gave(purpose.as_str()) {
        let text = format!("{purpose} was not agreed to: there is nothing to withdraw\n");
        return Ok(Answer::new(text, json!({ "withdrawn": false })));
    }
    let latest = found.mailboxes.latest(mailbox, purpose.as_str()).await;
    let record = Kept {
        purpose: purpose.as_str().to_owned(),
        seq: latest.map_err(|e| of_refusal(&found.region, &e))? + 1,
        state: WITHDRAWN.to_owned(),
        record: json!({ "withdrawn_by": "operator", "at": Timestamp::now() }).to_string().into_bytes(),
    };
    // CRASH: record and effects in one transaction, as long as the device is the one that agreed.
    let whose = (mailbox, &*found.holder.device);
    let done = found.mailboxes.keep_consent(whose, &record, &Effect::of(purpose.as_str())).await;
    done.map_err(|e| of_refusal(&found.region, &e))?;
    let text = format!("{purpose} is withdrawn at {}; the next request is refused\n", found.region);
    Ok(Answer::new(text, json!({ "withdrawn": true, "region": found.region })))
}

fn parsed(purpose: &str) -> Result<Purpose> {
    purpose.parse().map_err(|_| {
        let names = Purpose::ALL.map(Purpose::as_str);
        let fix = crate::config::nearest(purpose, &names).map_or_else(|| names.join(", "), str::to_owned);
        Failure::usage(
            "purpose-unknown",
            format!("`{purpose}` is no purpose"),
            "each is agreed to by itself",
            fix,
        )
    })
}

fn of_refusal(region: &str, refusal: &Refusal) -> Box<Failure> {
    let what = format!("the mailboxes of {region}: {refusal}");
    let why = "the database did not do it";
    let fix = "domicile check   # then the same again";
    Failure::new("relay-store", what, why, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_messaging::consent::{DeviceSigned, EventState, Processing, Record, device_of};
    use domicile_messaging::region::{Controller, Notice, Terms};
    use domicile_server::messaging::{new_service_key, service_key};

    fn countersigned() -> Countersigned {
        let key = || service_key(&new_service_key().0).unwrap();
        let (device, service) = (key(), key());
        let text = |text: &str| text.parse().unwrap();
        let terms = Terms {
            notice: Notice { url: text("https://m.example"), sha256: Key([0; 32]), language: text("en") },
            controller: Controller { name: text("M"), contact: text("m@m.example") },
            jurisdiction: text("CN"),
            storage_country: text("CN"),
        };
        let region: domicile_messaging::wire::RegionName = "beijing".parse().unwrap();
        let offered = Processing::offered(Purpose::Presence, &region, &terms);
        let id = device_of(&Key(device.verifying_key().to_bytes()));
        let record = Record::new(id, offered, EventState::Given, 1, Timestamp::now());
        Countersigned::sign(DeviceSigned::sign(record, &device), region, Timestamp::now(), &service)
    }

    #[test]
    fn what_show_prints_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.json");
        let record = countersigned();
        let shown =
            |record: Value| json!({ "purpose": "presence", "seq": 1, "state": "given", "record": record });
        let own = json!({ "withdrawn_by": "operator", "at": Timestamp::now() });
        let signed = serde_json::to_value(&record).unwrap();
        for (text, counts) in [
            (signed.clone(), (1, 0)),
            (json!([signed]), (1, 0)),
            (json!([shown(signed.clone())]), (1, 0)),
            (json!([shown(signed), shown(own), shown(Value::Null)]), (1, 1)),
        ] {
            std::fs::write(&file, text.to_string()).unwrap();
            let (records, unsigned) = read(&file).unwrap();
            assert_eq!((records.len(), unsigned), counts, "{text}");
            records[0].signed.check().unwrap();
        }
        std::fs::write(&file, json!([shown(json!({ "withdrawn_by": "somebody" }))]).to_string()).unwrap();
        assert_eq!(read(&file).err().unwrap().code, "consent-unreadable");
    }
}
