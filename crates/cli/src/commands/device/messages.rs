//! Sending and receiving.

use super::Handset;
use crate::app::App;
use crate::args::{Offline, SendArgs};
use crate::failure::{Failure, Result};
use crate::screen::Answer;
use domicile_messaging::device::Received;
use domicile_messaging::wire::{IfOffline, SentState};
use serde_json::{Value, json};

pub(super) async fn send(app: &App, handset: &Handset, args: SendArgs) -> Result<Answer> {
    let mut device = handset.online()?;
    let if_offline = match args.if_offline {
        Offline::Keep => IfOffline::Keep,
        Offline::Sms => IfOffline::Sms,
    };
    let sent = device.send_text(&args.contact, &args.text, if_offline, args.expires).await;
    let state = sent.map_err(|fault| still_waiting(handset.failed(fault), device.waiting()))?;
    app.screen.say("encrypted here; the relay saw a size and a receiver");
    let said = match state {
        SentState::Kept => "sent: kept at the receiver's home until delivered",
        SentState::UseSms => "the receiver is away: nothing was stored, send an SMS",
    };
    Ok(Answer::new(said, json!({ "state": state })).no_if(state == SentState::UseSms))
}

/// After a text that was not taken: is it kept, or not?
fn still_waiting(failure: Box<Failure>, waiting: usize) -> Box<Failure> {
    match waiting {
        0 => failure,
        n => failure.state(format!(
            "{} in the device's file, to be sent by the next `send` or `flush`, each once",
            if n == 1 { "1 text waits".to_owned() } else { format!("{n} texts wait") }
        )),
    }
}

pub(super) async fn flush(handset: &Handset) -> Result<Answer> {
    let mut device = handset.online()?;
    let sent = device.flush().await;
    let sent = sent.map_err(|fault| still_waiting(handset.failed(fault), device.waiting()))?;
    let count = |state: SentState| sent.iter().filter(|(_, each)| *each == state).count();
    let (kept, by_sms) = (count(SentState::Kept), count(SentState::UseSms));
    let mut said = format!("{kept} sent");
    if by_sms > 0 {
        said = format!("{said}; {by_sms} not stored, as the receiver is away: send an SMS");
    }
    Ok(Answer::new(said, json!({ "kept": kept, "use_sms": by_sms })).no_if(by_sms > 0))
}

pub(super) async fn receive(app: &App, handset: &Handset, wait: u32, kept: bool) -> Result<Answer> {
    if kept {
        return Ok(printed(handset.open()?.inbox()));
    }
    let mut device = handset.online()?;
    if wait > 0 {
        app.screen.say(&format!("waiting up to {wait} s"));
    }
    device.receive(wait).await.map_err(|fault| handset.failed(fault))?;
    let unreadable = device.take_unreadable().map_err(|fault| handset.failed(fault))?;
    if unreadable > 0 {
        app.screen.say(&format!(
            "{unreadable} could not be decrypted: for keys that this device does not have, changed on the way, or read before; \
             who sent them has to write again"
        ));
    }
    let new = device.take_new().map_err(|fault| handset.failed(fault))?;
    Ok(printed(&new))
}

fn who(message: &Received) -> String {
    message.contact.as_ref().map_or_else(|| format!("unknown {}", message.from), ToString::to_string)
}

/// A text of a stranger must not reach into the terminal, and none of its lines be taken for another message.
pub(super) fn harmless(text: &str) -> String {
    let hides = |c: char| {
        // What turns the direction of a line around (Unicode, annex 9) or cannot be seen.
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let shown = |c: char| if (c.is_control() && c != '\n') || hides(c) { '\u{fffd}' } else { c };
    text.chars().map(shown).collect::<String>().replace('\n', "\n    ")
}

fn printed(messages: &[Received]) -> Answer {
    let line = |each: &Received| format!("{}  {}: {}", each.received_at, who(each), harmless(&each.text));
    let lines: Vec<String> = messages.iter().map(line).collect();
    let all: Vec<Value> = messages
        .iter()
        .map(|each| {
            json!({
                "id": each.id, "from": each.from, "contact": each.contact, "text": each.text,
                "received_at": each.received_at,
            })
        })
        .collect();
    let said = if lines.is_empty() { "no new messages".to_owned() } else { lines.join("\n") };
    Answer::new(said, json!({ "messages": all }))
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_text_is_no_second_message_and_no_escape() {
        assert_eq!(harmless("hi\n2026-11-27T16:00:00Z  Bob: pay"), "hi\n    2026-11-27T16:00:00Z  Bob: pay");
        assert_eq!(harmless("\u{1b}[2J\u{202e}x"), "\u{fffd}[2J\u{fffd}x");
        assert_eq!(harmless("z\u{fc}rich, \u{5317}\u{4eac}"), "z\u{fc}rich, \u{5317}\u{4eac}");
    }
}
