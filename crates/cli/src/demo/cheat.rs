//! Trying to cheat: by plain SQL, past the directory, straight into the old region's database.

use super::page::Tone;
use super::stage::Stage;
use super::tables;
use super::world;
use crate::failure::{Failure, Result};
use crate::paper;
use rusqlite::Connection;

/// Both attempts; the demo fails if one of them succeeds.
pub async fn cheat(stage: &Stage) -> Result<()> {
    let (page, case) = (&stage.page, stage.world.case);
    let Some(trip) = case.trips.last() else { return Ok(()) };
    let table = match trip.service {
        super::case::ServiceName::Shop => tables::ALL[usize::from(tables::CUSTOMERS)].name,
        super::case::ServiceName::Cloud => tables::ALL[usize::from(tables::ACCOUNTS)].name,
    };
    page.begin("Try to cheat");
    let conn = world::open(&stage.world.folder, case.old, trip.service)
        .map_err(|e| world::of_sqlite("open the database", &e))?;
    let (code, country) = case.cheat;
    page.say(&format!(
        "Somebody ignores the directory and writes a new account of a resident of {country} straight into the \
         database in {}:",
        case.old
    ));
    let sql =
        format!("INSERT INTO {table} VALUES (777000777, '+9990005550100', 'A. Newcomer', '{code}', '', 0)");
    attempt(stage, &conn, &sql, "RS002")?;
    page.say("And an old server, which never heard of the move, writes to somebody who has left:");
    let gone = stage.world.people.iter().find(|p| away(&conn, p.id));
    if let Some(person) = gone {
        attempt(
            stage,
            &conn,
            &format!("UPDATE {table} SET name = 'Old Name' WHERE id = {}", person.id),
            "RS001",
        )?;
    }
    page.rest().await;
    Ok(())
}

fn away(conn: &Connection, id: i64) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM domicile_homes WHERE subject = ?1 AND state = 'away')";
    conn.query_row(sql, [id], |row| row.get(0)).unwrap_or(false)
}

/// Runs a statement that must be refused with that code, and shows the refusal as the application gets it.
fn attempt(stage: &Stage, conn: &Connection, sql: &str, code: &str) -> Result<()> {
    let page = &stage.page;
    page.show_wrapped(&page.paint(Tone::Bold, &paper::wrapped("  sqlite> ", sql)));
    let refused = match conn.execute(sql, []) {
        Err(error) => error.to_string(),
        Ok(_) => return Err(admitted(stage, sql)),
    };
    if !refused.contains(code) {
        let what = format!("the write was refused, but for another reason: {refused}");
        return Err(Failure::new(
            "demo-cheat",
            what,
            format!("{code} was expected"),
            "this is a defect: please report it",
        ));
    }
    let shown = paper::wrapped("  ", &refused);
    for line in shown.lines() {
        page.show_line(&page.paint(Tone::Bad, line.trim_start()));
    }
    page.gap();
    Ok(())
}

fn admitted(stage: &Stage, sql: &str) -> Box<Failure> {
    let what = format!("the database in {} accepted: {sql}", stage.world.case.old);
    let why = "the guard must refuse it";
    Failure::new("demo-cheat", what, why, "this is a defect: please report it")
        .state("the row is in the database")
}
