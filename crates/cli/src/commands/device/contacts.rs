//! Contacts and presence.

use super::{Handset, number};
use crate::app::App;
use crate::args::ContactsCommand;
use crate::failure::{Failure, Result};
use crate::screen::Answer;
use domicile_messaging::device::Contact;
use domicile_messaging::wire::{Presence, Text};
use serde_json::{Value, json};

pub(super) async fn run(app: &App, handset: &Handset, command: ContactsCommand) -> Result<Answer> {
    match command {
        ContactsCommand::Add { number: typed, name, country } => {
            let again = "domicile device contacts add +15035550123 --name Bob";
            let number = number(&typed, country.as_deref(), again)?;
            let name: Text = name.parse().map_err(|error: domicile_messaging::wire::TextFault| {
                Failure::usage("contact-name", "this name can't be kept", error.to_string(), again)
            })?;
            let mut device = handset.open()?;
            device.add_contact(number, name.clone()).map_err(|fault| handset.failed(fault))?;
            Ok(Answer::new(format!("{name} is a contact; nothing was sent"), json!({ "name": name })))
        }
        ContactsCommand::List => list(handset),
        ContactsCommand::Remove { contact } => {
            let mut device = handset.open()?;
            let number = device.contact(&contact).map(|(number, _)| number.clone());
            let removed = number.and_then(|number| device.remove_contact(&number));
            removed.map_err(|fault| handset.failed(fault))?;
            Ok(Answer::new("removed; nothing was sent", json!({ "removed": true })))
        }
        ContactsCommand::Sync => sync(app, handset).await,
        ContactsCommand::Accept { contact } => {
            let mut device = handset.open()?;
            let accepted = device.accept_identity(&contact).map_err(|fault| handset.failed(fault))?;
            let said = match accepted {
                true => "accepted: messages go to the new identity; nothing was sent",
                false => "nothing to accept: it has no other identity than before",
            };
            Ok(Answer::new(said, json!({ "accepted": accepted })))
        }
    }
}

fn way(contact: &Contact) -> &'static str {
    match (contact.changed, contact.found) {
        (Some(_), _) => "identity changed",
        (None, Some(_)) => "message",
        (None, None) => "sms",
    }
}

fn list(handset: &Handset) -> Result<Answer> {
    let device = handset.open()?;
    let lines: Vec<String> = device
        .contacts()
        .map(|(number, contact)| format!("{}  {}  {}", number.as_str(), contact.name, way(contact)))
        .collect();
    let all: Vec<Value> = device
        .contacts()
        .map(|(number, contact)| json!({ "number": number, "name": contact.name, "way": way(contact) }))
        .collect();
    Ok(Answer::new(lines.join("\n"), json!({ "contacts": all })))
}

async fn sync(app: &App, handset: &Handset) -> Result<Answer> {
    let mut device = handset.online()?;
    app.screen.say("contacts without a tag yet are blinded here; no number leaves this device");
    let synced = device.sync_contacts().await.map_err(|fault| handset.failed(fault))?;
    let mut said = format!(
        "{} of {} contacts are users\n  blinded and asked for now  {} (in {} regions)\n  filters downloaded         {} bytes",
        synced.found,
        device.contacts().count(),
        synced.blinded,
        synced.regions,
        synced.filter_bytes,
    );
    if synced.unseen > 0 {
        said.push_str(&format!(
            "\n\nthe relay has no filter of {} region(s) yet: who was found there before stays a user",
            synced.unseen
        ));
    } else if synced.found < device.contacts().count() {
        said.push_str("\n\nwho has just registered is found within a minute or two: relays make filters anew from time to time");
    }
    if synced.changed > 0 {
        said.push_str("\n\nsome have another identity than before: see `contacts list`; nothing is sent to them until you accept it");
    }
    let json = json!({
        "found": synced.found, "changed": synced.changed, "blinded": synced.blinded, "regions": synced.regions,
        "regions_unseen": synced.unseen, "filter_bytes": synced.filter_bytes,
    });
    Ok(Answer::new(said, json))
}

/// A card is read from the device's own file: nobody hears that it was opened.
pub(super) fn open(handset: &Handset, who: &str) -> Result<Answer> {
    let device = handset.open()?;
    let (number, contact) = device.contact(who).map_err(|fault| handset.failed(fault))?;
    let by = match contact.changed {
        Some(_) => "no way before its other identity is accepted".to_owned(),
        None => way(contact).to_owned(),
    };
    let mut said =
        format!("{}  {}\n  a message goes by {by}; nothing was sent", contact.name, number.as_str());
    // What two people compare, each reading out the own line of theirs.
    let at = contact.changed.or(contact.found);
    let digits = at.map(|at| at.identity.fingerprint());
    if let Some(digits) = &digits {
        let own = device.identity().fingerprint();
        said.push_str(&format!("\n  its identity   {digits}\n  your identity  {own}"));
    }
    let json = json!({ "number": number, "name": contact.name, "way": way(contact), "identity": digits });
    Ok(Answer::new(said, json))
}

pub(super) async fn presence(
    handset: &Handset,
    contact: Option<String>,
    show_to: Option<String>,
) -> Result<Answer> {
    let mut device = handset.online()?;
    if let Some(names) = show_to {
        let names: Vec<String> =
            names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        device.show_presence_to(&names).await.map_err(|fault| handset.failed(fault))?;
        let said = match names.as_slice() {
            [] => "nobody may see whether this device is connected".to_owned(),
            names => format!("may see whether this device is connected: {}", names.join(", ")),
        };
        return Ok(Answer::new(said, json!({ "visible_to": names })));
    }
    let who = contact.unwrap_or_default();
    let presence = device.presence(&who).await.map_err(|fault| handset.failed(fault))?;
    let word = match presence {
        Presence::Here => "here",
        Presence::Away => "away",
        Presence::NotShared => "not shared with this device",
    };
    Ok(Answer::new(format!("{who}: {word}"), json!({ "presence": presence })))
}
