//! What an owner is shown before being asked to agree, and what was agreed to: in words, every field of the record.

use super::{Handset, purpose};
use crate::failure::Result;
use crate::paper;
use crate::screen::Answer;
use domicile_messaging::consent::{EventState, PiiCategory, PrivacyRight, Processing, Purpose};
use domicile_messaging::device::{Device, Silent};
use serde_json::{Value, json};

pub(super) fn show(handset: &Handset, which: Option<&str>) -> Result<Answer> {
    let which = which.map(purpose).transpose()?;
    let device = handset.open()?;
    let mut blocks = Vec::new();
    let mut all = Vec::<Value>::new();
    for each in Purpose::ALL.into_iter().filter(|each| which.is_none_or(|which| which == *each)) {
        let offered = device.offered(each);
        blocks.push(format!("{each}: {}\n{}", state(&device, each), terms(&offered)));
        let record = device
            .consent(each)
            .map(|(signed, service)| json!({ "signed": signed, "countersigned": service }));
        all.push(
            json!({ "purpose": each, "agreed": device.agrees(each), "offered": offered, "record": record }),
        );
    }
    let path = handset.path.display();
    if !device.agrees(Purpose::CloudMessaging) {
        blocks.push(format!(
            "nothing is sent before you agree to cloud_messaging:\n\
             domicile device consent give cloud_messaging --device {path}"
        ));
    }
    Ok(Answer::new(blocks.join("\n\n"), json!({ "purposes": all })))
}

fn state(device: &Device<Silent>, which: Purpose) -> String {
    let state = match device.consent(which) {
        None => "never asked",
        Some(_) if device.agrees(which) => "given",
        Some((signed, _)) if signed.record.event.event_state == EventState::Given => {
            "given, but it holds no longer: not agreed to"
        }
        Some(_) => "withdrawn",
    };
    let is_signed = device.consent(which).is_some_and(|(_, service)| service.is_some());
    format!("{state}{}", if is_signed { ", signed by the service" } else { "" })
}

fn terms(offered: &Processing) -> String {
    let texts = |all: &[String]| all.join(", ");
    let data = offered.pii_categories.iter().map(|each| data(*each).to_owned()).collect::<Vec<_>>();
    let by = offered.pii_controllers.iter().map(|each| format!("{}, {}", each.name, each.contact));
    let places = offered.storage_locations.iter().map(ToString::to_string).collect::<Vec<_>>();
    let recipients = offered.recipients.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let rights = offered.privacy_rights.iter().map(|each| right(*each).to_owned()).collect::<Vec<_>>();
    let lines = [
        ("what for", what_for(offered.purpose).to_owned()),
        ("data", data.join("; ")),
        ("by", by.collect::<Vec<_>>().join("; ")),
        ("where", format!("{}; the law of {} applies", texts(&places), offered.jurisdiction)),
        ("kept", offered.retention.to_string()),
        ("recipients", recipients),
        ("withdrawal", format!("at any time: domicile device consent withdraw {}", offered.purpose)),
        ("rights", texts(&rights)),
        ("notice", offered.privacy_notice.url.to_string()),
    ];
    lines.map(|(label, text)| paper::wrapped(&format!("  {label:<11}"), &text)).join("\n")
}

fn what_for(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::CloudMessaging => {
            "messages over IP: a mailbox that belongs to your number, where messages wait for you"
        }
        Purpose::ContactDiscovery => {
            "to find which of your contacts can be written to, and to be found by those who know your number"
        }
        Purpose::Presence => "to let the contacts that you choose see whether this device is connected",
        Purpose::RegionMove => "to move your mailbox to another region for other reasons than the law",
    }
}

fn data(category: PiiCategory) -> &'static str {
    match category {
        PiiCategory::OwnPhoneNumber => "your telephone number",
        PiiCategory::BlindedContactNumbers => "contacts' numbers, blinded here so that nobody can read them",
        PiiCategory::EncryptedMessages => "encrypted messages, with their time and size",
        PiiCategory::PublicKeys => "public keys",
        PiiCategory::Presence => "whether this device is connected",
        PiiCategory::Mailbox => "everything in the mailbox",
    }
}

fn right(right: PrivacyRight) -> &'static str {
    match right {
        PrivacyRight::Access => "to see it",
        PrivacyRight::Erasure => "to have it erased",
        PrivacyRight::Portability => "to take it along",
        PrivacyRight::Withdrawal => "to withdraw",
        PrivacyRight::Complaint => "to complain to an authority",
    }
}
