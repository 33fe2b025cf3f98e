//! `register`: sign-up's first step. A new subject gets its one home in the directory before its first
//! row is written anywhere.

use crate::app::App;
use crate::args::RegisterArgs;
use crate::failure::{self, Failure, Result};
use crate::open::{self, Mapped, Want};
use crate::paper;
use crate::screen::Answer;
use domicile_datamap::Engine;
use domicile_directory::{Home, Registered};
use domicile_stores::records::SubjectId;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};

/// Subjects of one call to the directory.
const BATCH: usize = 1_000;

/// Gives the subjects their home in the directory, and says which epoch to sign them up with.
pub async fn run(app: &App, args: RegisterArgs) -> Result<Answer> {
    let config = app.config()?;
    let service = app.service(&config)?;
    let region = config.chosen(service, Some(&args.region))?[0];
    let typed = if args.subjects.is_empty() { from_stdin()? } else { args.subjects };
    let mapped = open::mapped(&config, service, &Want::only([region.id()])).await?;
    if mapped.unprepared().any(|r| r.id() == region.id()) {
        return Err(open::unprepared(region.id()));
    }
    let records = mapped.records(region).await?;
    let directory = open::directory(&config).await?;
    let mut all = Vec::with_capacity(typed.len());
    for chunk in typed.chunks(BATCH) {
        let chunk: Vec<SubjectId> = chunk.iter().cloned().map(SubjectId).collect();
        // The directory keeps a hash of the key's text: `007` must not become somebody else than `7`.
        let subjects = records.canonical(&chunk).await.map_err(|e| no_key(&mapped, region.id(), &e))?;
        let registered = directory.register(&service.name, region.id(), &subjects).await;
        let registered = registered.map_err(|e| failure::of_directory(&e))?;
        all.extend(in_order(subjects, registered));
    }
    Ok(answer(&mapped, region.id(), &all))
}

/// One subject's answer: its key, what was done, its home.
type One = (SubjectId, &'static str, Home);

/// What became of the subjects, in the order in which they were asked for.
fn in_order(subjects: Vec<SubjectId>, registered: Registered) -> Vec<One> {
    let mut found: BTreeMap<SubjectId, (&'static str, Home)> = BTreeMap::new();
    for (word, list) in
        [("new", registered.new), ("already", registered.already), ("elsewhere", registered.elsewhere)]
    {
        found.extend(list.into_iter().map(|(subject, home)| (subject, (word, home))));
    }
    let take = |subject: SubjectId| found.get(&subject).cloned().map(|(word, home)| (subject, word, home));
    subjects.into_iter().filter_map(take).collect()
}

fn answer(mapped: &Mapped<'_>, region: &str, all: &[One]) -> Answer {
    let refused = all.iter().filter(|(_, word, _)| *word == "elsewhere").count() as u64;
    let mut text = String::new();
    for (subject, word, home) in all {
        let said = match *word {
            "new" => format!("home {}, epoch {}", home.region, home.epoch),
            "already" => format!("home {} already, epoch {}", home.region, home.epoch),
            _ => format!("refused: its home is {}, epoch {}", home.region, home.epoch),
        };
        text.push_str(&format!("{}: {said}\n", subject.0));
    }
    if refused < all.len() as u64 {
        let sql = match mapped.layout.engine {
            Engine::Postgres => "select domicile.sign_up(SUBJECT, EPOCH)",
            Engine::Sqlite => "INSERT INTO domicile_signup(subject, epoch) VALUES (SUBJECT, EPOCH)",
        };
        text.push_str(&format!("\nnext, at {region}, in the transaction of the first row:\n  {sql}\n"));
    }
    if refused > 0 {
        let said = format!(
            "{} refused: a subject has one home, and only a move changes it. Send the sign-up to that \
             region; `domicile locate SUBJECT` shows what is where.",
            if refused == 1 { "1 is".to_owned() } else { format!("{refused} are") }
        );
        text.push_str(&format!("\n{}\n", paper::wrapped("", &said)));
    }
    let list: Vec<_> = all
        .iter()
        .map(|(subject, word, home)| {
            json!({ "subject": subject.0, "outcome": word, "home": home.region, "epoch": home.epoch })
        })
        .collect();
    Answer::new(text, json!({ "region": region, "subjects": list, "refused": refused })).no_if(refused > 0)
}

/// Keys from stdin; at a terminal nobody would know that they are waited for.
fn from_stdin() -> Result<Vec<String>> {
    let none = || {
        Failure::usage(
            "usage",
            "no subject was named",
            "keys are arguments, or lines on stdin",
            "domicile register 4711 --region ID\ndomicile register --region ID < keys.txt",
        )
    };
    let mut input = std::io::stdin();
    if input.is_terminal() {
        return Err(none());
    }
    let mut text = String::new();
    let read = input.read_to_string(&mut text);
    read.map_err(|e| failure::of_file("read the keys from", std::path::Path::new("stdin"), &e))?;
    let keys: Vec<String> =
        text.lines().map(|l| l.trim_end_matches('\r').to_owned()).filter(|l| !l.is_empty()).collect();
    if keys.is_empty() { Err(none()) } else { Ok(keys) }
}

/// The database does not take a text as its root's key.
fn no_key(mapped: &Mapped<'_>, region: &str, error: &domicile_stores::Error) -> Box<Failure> {
    let place = format!("region {region}");
    if error.is_unreachable() || error.is_again() {
        return failure::of_store(&place, error);
    }
    Failure::usage(
        "subject-key",
        format!("a key that was named can't be one of {}", mapped.map.subject.table),
        error.to_string(),
        "correct the keys; those of the root table are meant, one a line",
    )
}
