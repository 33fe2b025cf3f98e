//! Texts that came back: told with whatever command comes first.

use super::Handset;
use super::messages::harmless;
use crate::failure::Result;
use crate::screen::Answer;
use domicile_messaging::device::{Device, Returned};
use serde_json::{Value, json};

/// The answer, and which texts came back since the last one.
// CRASH: they are in the device's file until they are about to be printed.
pub(super) fn with_returned(handset: &Handset, answer: Result<Answer>) -> Result<Answer> {
    // A file that can't be used has failed its command already; one that another process uses is read by the next.
    let Ok(mut device) = Device::open(&handset.path) else { return answer };
    let Ok(returned) = device.take_returned() else { return answer };
    if returned.is_empty() {
        return answer;
    }
    match answer {
        Ok(answer) => Ok(beside(answer, &returned)),
        Err(failure) => Ok(beside(Answer::new("", json!({})), &returned).failing(failure)),
    }
}

fn beside(mut answer: Answer, returned: &[Returned]) -> Answer {
    let lines: Vec<String> = returned.iter().map(line).collect();
    let before = if answer.text.is_empty() { String::new() } else { format!("{}\n\n", answer.text) };
    answer.text = format!("{before}came back, and is sent no more:\n{}", lines.join("\n"));
    if let Some(fields) = answer.json.as_object_mut() {
        fields.insert("returned".to_owned(), returned.iter().map(object).collect::<Vec<_>>().into());
    }
    answer
}

fn line(each: &Returned) -> String {
    let who = each.contact.as_ref().map_or_else(|| format!("unknown {}", each.to), ToString::to_string);
    let text = each.text.as_deref().map_or("a text that was kept encrypted only".to_owned(), harmless);
    format!("  {who}: {text}\n    {}: {}", each.why, words(&each.why))
}

fn object(each: &Returned) -> Value {
    json!({ "id": each.id, "to": each.to, "contact": each.contact, "text": each.text, "why": each.why })
}

fn words(why: &str) -> &'static str {
    match why {
        "use-sms" => "the receiver is away and nothing was stored, send an SMS",
        "mailbox-unknown" => "the contact has withdrawn, send an SMS",
        "keys-other" => "the contact has another device, sync and compare the digits before you send again",
        "no-consent" => "you have withdrawn from messages",
        "device-replaced" | "device-unknown" => "this device has the number no longer",
        _ => "it was given up",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::screen::Exit;

    fn returned() -> Vec<Returned> {
        let json = json!([{ "id": "AAAAAAAAAAAAAAAAAAAAAA", "to": "AAAAAAAAAAAAAAAAAAAAAA", "contact": "Bob",
            "text": "hi\u{1b}[2J\nyou", "why": "use-sms" }]);
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_answer_stands_and_the_text_is_harmless() {
        let answer = beside(Answer::new("1 sent", json!({ "kept": 1 })), &returned());
        let wanted =
            "1 sent\n\ncame back, and is sent no more:\n  Bob: hi\u{fffd}[2J\n    you\n    use-sms: ";
        assert!(answer.text.starts_with(wanted), "{}", answer.text);
        assert_eq!((answer.exit, &answer.json["kept"]), (Exit::Done, &1.into()));
        assert_eq!(answer.json["returned"][0]["contact"], "Bob");
    }

    #[test]
    fn what_failed_still_fails() {
        let failure = Failure::new("busy", "what", "why", "fix");
        let exit = failure.exit;
        let answer = beside(Answer::new("", json!({})), &returned()).failing(failure);
        assert!(answer.exit == exit && answer.failed.is_some() && answer.text.starts_with("came back"));
    }
}
