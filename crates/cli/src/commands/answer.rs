//! `answer`: the data map's open questions.

use crate::app::App;
use crate::args::AnswerArgs;
use crate::failure::{self, Failure, Result};
use crate::figures::counted;
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_datamap::map::Question;
use serde_json::json;

/// Shows all open questions, or writes one answer.
pub fn run(app: &App, args: AnswerArgs) -> Result<Answer> {
    let config = app.config()?;
    let path = &app.service(&config)?.map;
    let map = failure::read_map(path)?;
    let (Some(id), Some(answer)) = (args.question, args.answer) else {
        return Ok(open(map.unanswered().collect()));
    };
    let question =
        map.questions.iter().find(|q| q.ask.to_string() == id).ok_or_else(|| unknown(&id, path))?;
    // A country is a path, of which the choices are only those found.
    let free = matches!(question.ask, domicile_datamap::map::Ask::Country) || answer == "copy-to-both";
    if !free && !question.choices.is_empty() && !question.choices.contains(&answer) {
        return Err(Failure::usage(
            "map-answer-wrong",
            format!("`{answer}` is no answer to {id}"),
            format!("{}\nanswers: {}", question.text, question.choices.join(", ")),
            format!("domicile answer {id} {}", question.choices[0]),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failure::of_file("read the data map", path, &e))?;
    let written = domicile_datamap::write::answer_in(&text, &id, &answer).map_err(|why| {
        Failure::new("map-unreadable", why, "the answer could not be written", "domicile check")
    })?;
    write_whole(path, &written)?;
    let left = map.unanswered().filter(|q| q.ask.to_string() != id).count();
    let next = if left == 0 {
        "next: domicile check".to_owned()
    } else {
        format!("{} left: domicile answer", counted(left as u64, "question"))
    };
    Ok(Answer::new(
        format!("{id} = {answer}\n{next}"),
        json!({ "question": id, "answer": answer, "left": left }),
    ))
}

/// CRASH: the old map or the new one, never half of one.
fn write_whole(path: &std::path::Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).map_err(|e| failure::of_file("write", &draft, &e))?;
    std::fs::rename(&draft, path).map_err(|e| failure::of_file("write the data map", path, &e))
}

fn unknown(id: &str, path: &std::path::Path) -> Box<Failure> {
    Failure::usage(
        "map-question-unknown",
        format!("{} has no question {id}", path.display()),
        "questions are asked by `domicile init` and named by their id",
        "domicile answer   # shows those that are open",
    )
}

fn open(questions: Vec<&Question>) -> Answer {
    if questions.is_empty() {
        return Answer::new(
            "every question of the data map has an answer\nnext: domicile check",
            json!({ "questions": [] }),
        );
    }
    let mut text = format!("{} to answer\n", counted(questions.len() as u64, "question"));
    for question in &questions {
        text.push_str(&format!("\n{}\n", question.ask));
        text.push_str(&format!("{}\n", paper::wrapped("  ", &question.text)));
        let choices = if question.choices.is_empty() { "TEXT".to_owned() } else { choices(question) };
        text.push_str(&format!("  domicile answer {} {choices}\n", quoted(&question.ask.to_string())));
    }
    let list: Vec<_> = questions
        .iter()
        .map(|q| json!({ "id": q.ask.to_string(), "text": q.text, "choices": q.choices }))
        .collect();
    let mut answer = Answer::new(text, json!({ "questions": list }));
    answer.exit = Exit::No;
    answer
}

/// A path such as `city->country` would be a redirection in a shell, were it not quoted.
fn choices(question: &Question) -> String {
    question.choices.iter().map(|choice| quoted(choice)).collect::<Vec<_>>().join("|")
}

/// As it can be pasted into a shell.
fn quoted(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    if id.chars().all(plain) { id.to_owned() } else { format!("'{}'", id.replace('\'', "'\\''")) }
}
