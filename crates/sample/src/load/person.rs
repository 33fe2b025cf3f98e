//! One person: what they wrote, and what they do next.

use super::client::{Answer, Question};
use super::log::{Entry, What};
use super::{Shared, chance};
use hyper::Method;
use serde_json::{Value, json};
use std::time::Instant;

/// A person keeps so many notes; then one goes for each that comes.
const NOTES_MAX: usize = 8;
/// Of 100 visits so many only read.
const READS: u64 = 20;
/// Of 100 visits so many write a new note; the others change one.
const ADDS: u64 = 45;

/// Somebody who uses the service. Only one request of theirs is in flight at a time.
#[derive(Debug)]
pub struct Person {
    id: String,
    /// Keys given out so far.
    keys: u64,
    notes: Vec<Note>,
    /// The address that answered last.
    at: usize,
}

/// A note as it was last acknowledged.
#[derive(Debug, Clone)]
struct Note {
    key: String,
    id: String,
    text: String,
    /// A change or removal failed: what it says is not known.
    unknown: bool,
}

impl Person {
    /// Somebody whom the service knows. `nr` spreads people over the addresses.
    pub fn known(id: &str, nr: usize) -> Self {
        Self { id: id.to_owned(), keys: 0, notes: Vec::new(), at: nr }
    }

    /// Signs somebody up; `None` where that failed.
    pub(super) async fn sign_up(shared: &Shared, nr: usize, country: &str, due: Instant) -> Option<Self> {
        let id = format!("{}-new-{nr}", shared.asked.run);
        let mut person = Self::known(&id, nr);
        let email = format!("{id}@example.org");
        let body = json!({ "id": id, "email": email, "country": country }).to_string();
        let question = Question { sign_up: true, ..person.question(Method::POST, "/people".into(), body) };
        let answer = shared.client.ask(shared, &question).await;
        let Some(answer) = good(shared, "POST /people", answer) else {
            person.log(shared, What::Unknown, &email, "", "", country);
            return None;
        };
        person.at = answer.at;
        person.log(shared, What::SignUp, &email, &id, &answer.region, country);
        shared.count(|tally| {
            tally.sign_ups += 1;
            tally.latency.record(due.elapsed());
        });
        Some(person)
    }

    /// One request: a read, a new note, another text, or the end of a note.
    pub(super) async fn visit(&mut self, shared: &Shared, due: Instant) {
        let dice = chance() % 100;
        let at = (chance() as usize).checked_rem(self.notes.len());
        match at {
            Some(at) if dice < READS => self.read(shared, at, due).await,
            Some(at) if self.notes.len() >= NOTES_MAX => self.remove(shared, at, due).await,
            Some(at) if dice >= READS + ADDS => self.change(shared, at, due).await,
            _ => self.add(shared, due).await,
        }
    }

    async fn add(&mut self, shared: &Shared, due: Instant) {
        self.keys += 1;
        let key = format!("{}-{}-{}", shared.asked.run, self.id, self.keys);
        let text = format!("note {} {:016x}", self.keys, chance());
        let mut question = self.question(Method::POST, "/notes".into(), text.clone());
        question.key = Some(&key);
        let answer = shared.client.ask(shared, &question).await;
        let answer = self.written(shared, "POST /notes", answer, due);
        let id = answer.as_ref().and_then(|a| serde_json::from_slice::<Value>(&a.body).ok());
        match (answer, id.as_ref().and_then(|id| id["id"].as_str())) {
            (Some(answer), Some(id)) => {
                // 200: it was written before, by whichever region got this key first.
                let region = if answer.status == 201 { &*answer.region } else { "" };
                self.log(shared, What::Add, &key, id, region, &text);
                self.notes.push(Note { key, id: id.to_owned(), text, unknown: false });
            }
            _ => self.log(shared, What::Unknown, &key, "", "", &text),
        }
    }

    async fn change(&mut self, shared: &Shared, at: usize, due: Instant) {
        self.keys += 1;
        let (note, text) = (self.notes[at].clone(), format!("changed {} {:016x}", self.keys, chance()));
        let key = format!("{}-{}-{}", shared.asked.run, self.id, self.keys);
        let mut question = self.question(Method::PUT, format!("/notes/{}", note.id), text.clone());
        question.key = Some(&key);
        let answer = shared.client.ask(shared, &question).await;
        match self.written(shared, "PUT /notes/{id}", answer, due) {
            Some(answer) => {
                self.log(shared, What::Change, &note.key, &note.id, &answer.region, &text);
                self.notes[at] = Note { text, ..note };
            }
            None => {
                self.log(shared, What::Unknown, &note.key, &note.id, "", &text);
                self.notes[at].unknown = true;
            }
        }
    }

    async fn remove(&mut self, shared: &Shared, at: usize, due: Instant) {
        self.keys += 1;
        let note = self.notes.swap_remove(at);
        let key = format!("{}-{}-{}", shared.asked.run, self.id, self.keys);
        let mut question = self.question(Method::DELETE, format!("/notes/{}", note.id), String::new());
        question.key = Some(&key);
        let mut answer = shared.client.ask(shared, &question).await;
        // The first one was done and its answer lost: it is gone, as was asked.
        if let Some(answer) = answer.as_mut().filter(|a| a.repeated > 0 && a.status == 404) {
            answer.status = 204;
        }
        match self.written(shared, "DELETE /notes/{id}", answer, due) {
            Some(answer) => self.log(shared, What::Remove, &note.key, &note.id, &answer.region, ""),
            None => self.log(shared, What::Unknown, &note.key, &note.id, "", ""),
        }
    }

    /// A note of this person must say what was written last.
    async fn read(&mut self, shared: &Shared, at: usize, due: Instant) {
        let note = self.notes[at].clone();
        let question = self.question(Method::GET, format!("/notes/{}", note.id), String::new());
        let answer = shared.client.ask(shared, &question).await;
        // "No such note" is an answer, and a wrong one.
        let missing = answer.as_ref().is_some_and(|a| a.status == 404);
        let answer = if missing { answer } else { good(shared, "GET /notes/{id}", answer) };
        let Some(answer) = answer else { return };
        self.at = answer.at;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let right = note.unknown || said["text"] == json!(note.text);
        shared.count(|tally| {
            tally.reads += 1;
            tally.wrong += u64::from(!right);
            tally.read_latency.record(due.elapsed());
        });
    }

    fn question(&self, method: Method, path: String, body: String) -> Question<'_> {
        Question { method, path, person: &self.id, key: None, sign_up: false, body, at: self.at }
    }

    fn written(
        &mut self,
        shared: &Shared,
        what: &str,
        answer: Option<Answer>,
        due: Instant,
    ) -> Option<Answer> {
        let answer = good(shared, what, answer)?;
        self.at = answer.at;
        shared.count(|tally| {
            tally.writes += 1;
            tally.latency.record(due.elapsed());
        });
        Some(answer)
    }

    fn log(&self, shared: &Shared, what: What, key: &str, id: &str, region: &str, text: &str) {
        let [key, id, region, text] = [key, id, region, text].map(str::to_owned);
        shared.log.write(&Entry { what, person: self.id.clone(), key, id, region, text });
    }
}

/// An answer that is a success; everything else is counted.
fn good(shared: &Shared, what: &str, answer: Option<Answer>) -> Option<Answer> {
    match answer {
        Some(answer) if answer.good() => Some(answer),
        Some(answer) => {
            let said = String::from_utf8_lossy(&answer.body);
            let said: String = said.lines().next().unwrap_or_default().chars().take(100).collect();
            shared.count(|tally| tally.failure(format!("{what}: {} {said}", answer.status)));
            None
        }
        None => {
            shared.count(|tally| tally.failure(format!("{what}: no answer at any address")));
            None
        }
    }
}
