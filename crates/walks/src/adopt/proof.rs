//! Checks that do not use Domicile: the load's log and plain SQL.

use super::site::{PLACES, SEEDED_NOTES, Site};
use crate::walk::Result;
use domicile_sample::check::check;
use domicile_sample::load::{Entry, Tally};
use std::io::{Read, Write};
use std::net::TcpStream;
use tokio::runtime::Runtime;

/// No request failed, nothing is lost, doubled or misrouted, everybody is where they belong, and the database is
/// as free of triggers as before.
///
/// With `always` the guard stays armed.
pub fn all(site: &Site, people: usize, always: bool, tally: &Tally, log: &[Entry]) -> Result<()> {
    let runtime = Runtime::new().map_err(|e| e.to_string())?;
    let verdict = runtime.block_on(check(&site.regions(), log))?;
    println!("\nchecked against the log of acknowledged writes, by plain SQL\n{verdict}");
    println!("  failed       {}, wrong answers {}", tally.failed, tally.wrong);
    if !verdict.good() || verdict.arriving + verdict.away > 0 {
        return Err("acknowledged writes and rows differ".to_owned());
    }
    if tally.failed + tally.wrong > 0 {
        return Err(format!("requests of the application failed\n{tally}"));
    }
    old_rows_are_there_once(site, people)?;
    everybody_is_where_they_belong(site)?;
    if always { everything_is_armed(site) } else { nothing_is_armed(site) }
}

/// Somebody whose country no region may take gets policy's reason, and no row anywhere (the checks of all rows come
/// later).
pub fn a_stranger_is_refused(base: &str) -> Result<()> {
    let body = r#"{"id":"stranger","email":"stranger@example.org","country":"BR"}"#;
    let request = format!(
        "POST /people HTTP/1.1\r\nHost: notes\r\nConnection: close\r\nX-Subject: stranger\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(base.trim_start_matches("http://")).map_err(|e| e.to_string())?;
    socket.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).map_err(|e| e.to_string())?;
    if !answer.starts_with("HTTP/1.1 403 ") || !answer.contains("no policy permits") {
        return Err(format!("a stranger of BR was answered\n{answer}"));
    }
    println!("\na newcomer of BR, whom no region may take, is refused with policy's reason");
    Ok(())
}

fn old_rows_are_there_once(site: &Site, people: usize) -> Result<()> {
    for (what, sql, wanted) in [
        ("people", "SELECT id FROM people WHERE id NOT LIKE 'adopt-%'", people),
        ("notes", "SELECT id FROM notes WHERE id LIKE 'seed-%'", people * SEEDED_NOTES as usize),
        ("photos", "SELECT person_id || name FROM photos", people / 5),
    ] {
        let mut all = Vec::new();
        for at in 0..PLACES.len() {
            all.extend(site.rows(at, sql)?);
        }
        let found = all.len();
        all.sort();
        all.dedup();
        if found != wanted || all.len() != wanted {
            return Err(format!("{what}: {found} rows, {} different, instead of {wanted}", all.len()));
        }
    }
    println!("  old rows     all are there once, in the three regions together");
    Ok(())
}

fn everybody_is_where_they_belong(site: &Site) -> Result<()> {
    let mut said = Vec::new();
    for (at, place) in PLACES.iter().enumerate() {
        let countries = site.rows(at, "SELECT country FROM people")?;
        if let Some(stray) = countries.iter().find(|c| *c != place.country) {
            return Err(format!("{} holds somebody of {stray}", place.id));
        }
        said.push(format!("{} {} ({})", place.id, countries.len(), place.country));
    }
    println!("  people       {}", said.join(", "));
    Ok(())
}

fn nothing_is_armed(site: &Site) -> Result<()> {
    for (at, place) in PLACES.iter().enumerate() {
        let armed = site.armed_triggers(at)?;
        if !armed.is_empty() {
            return Err(format!("{}: triggers still fire: {}", place.id, armed.join(", ")));
        }
    }
    println!("  guard        no trigger fires on the application's tables, in no region");
    Ok(())
}

fn everything_is_armed(site: &Site) -> Result<()> {
    for (at, place) in PLACES.iter().enumerate() {
        if site.armed_triggers(at)?.is_empty() {
            return Err(format!("{}: no trigger fires, and nobody keeps residency", place.id));
        }
    }
    println!("  guard        residency is enforced for good, in each region");
    Ok(())
}
