//! The checker on worlds that were tampered with: a proof that can't fail proves nothing.

use super::case::{MIRROR, ServiceName};
use super::folder::Folder;
use super::journal::{Entry, Journal};
use super::proof::{self, Findings, Homes};
use super::tables::{self, MESSAGES};
use super::world::{self, World};
use rusqlite::Connection;

struct Place {
    _dir: tempfile::TempDir,
    world: World,
    journal: Journal,
    homes: Homes,
}

impl Place {
    /// Everybody at the old region, as it is before anything moves.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(&dir.path().join("demo")).unwrap();
        let (world, made) = World::make(&MIRROR, folder, 60, 7).unwrap();
        let journal = Journal::begin(&MIRROR, &world.folder).unwrap();
        assert_eq!(journal.rows.len() as u64, made.rows);
        let homes = world.people.iter().map(|p| ((ServiceName::Cloud, p.id), 0)).collect();
        Self { _dir: dir, world, journal, homes }
    }

    fn at(&self, region: &str) -> Connection {
        let conn = world::open(&self.world.folder, region, ServiceName::Cloud).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        conn
    }

    fn check(&self) -> Findings {
        let mut found = proof::check(&MIRROR, &self.world.folder, &self.journal, &self.homes).unwrap();
        proof::check_objects(&MIRROR, &self.world.folder, &self.homes, &mut found).unwrap();
        found
    }

    /// Copies message 1 to another region, tables as they are.
    fn copy_message(&self, to: &str) {
        let row: (i64, i64, i64, String, String) = self
            .at("oregon")
            .query_row("SELECT * FROM messages WHERE id = 1", [], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
            })
            .unwrap();
        self.at(to).execute("INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5)", row).unwrap();
    }
}

#[test]
fn an_untouched_world_is_clean() {
    let place = Place::new();
    let found = place.check();
    assert!(found.are_clean(), "{found:?}");
    assert_eq!(found.rows as usize, place.journal.rows.len());
    assert!(found.objects > 0);
}

#[test]
fn a_lost_row_is_found() {
    let place = Place::new();
    place.at("oregon").execute("DELETE FROM messages WHERE id = 1", []).unwrap();
    let found = place.check();
    assert_eq!((found.lost, found.wrong()), (1, 1), "{found:?}");
}

#[test]
fn a_write_that_was_acknowledged_and_never_done_is_lost() {
    let mut place = Place::new();
    place.journal.add(&[Entry { row: (MESSAGES, 999_999), subject: 1, value: Some(1) }]);
    let found = place.check();
    assert_eq!((found.lost, found.wrong()), (1, 1));
    assert_eq!(found.examples, ["lost: messages 999999"]);
}

#[test]
fn a_doubled_row_is_found() {
    let place = Place::new();
    place.copy_message("guizhou");
    let found = place.check();
    assert_eq!((found.doubled, found.wrong()), (1, 1), "{found:?}");
}

#[test]
fn an_older_value_is_found() {
    let mut place = Place::new();
    let first = place.journal.rows[&(MESSAGES, 1)].clone();
    place.journal.add(&[Entry { row: (MESSAGES, 1), subject: first.subject, value: Some(42) }]);
    let found = place.check();
    assert_eq!((found.stale, found.wrong()), (1, 1));
    assert_eq!(found.examples, ["an older value: messages 1"]);
    let place = Place::new();
    place.at("oregon").execute("UPDATE messages SET body = 'forged' WHERE id = 1", []).unwrap();
    assert_eq!(place.check().examples, ["a value nobody wrote: messages 1"]);
}

#[test]
fn a_misplaced_row_is_found() {
    let place = Place::new();
    place.copy_message("guizhou");
    place.at("oregon").execute("DELETE FROM messages WHERE id = 1", []).unwrap();
    let found = place.check();
    assert_eq!((found.misplaced, found.wrong()), (1, 1), "{found:?}");
    let mut place = Place::new();
    place.homes.remove(&(ServiceName::Cloud, 1));
    assert!(place.check().misplaced > 0);
}

#[test]
fn a_row_back_from_the_dead_is_found() {
    let mut place = Place::new();
    let subject = place.journal.rows[&(MESSAGES, 1)].subject;
    place.journal.add(&[Entry { row: (MESSAGES, 1), subject, value: None }]);
    let found = place.check();
    assert_eq!((found.resurrected, found.wrong()), (1, 1), "{found:?}");
}

#[test]
fn a_row_that_nobody_wrote_is_found() {
    let place = Place::new();
    place.at("guizhou").execute("INSERT INTO messages VALUES (5000000, 1, 2, 'x', 'y')", []).unwrap();
    let found = place.check();
    assert_eq!((found.invented, found.wrong()), (1, 1), "{found:?}");
}

#[test]
fn photos_are_read_and_those_left_behind_are_found() {
    let place = Place::new();
    let person = place.world.people.iter().find(|p| !p.photos.is_empty()).unwrap();
    let key = world::photo_key(person.id, person.photos.start);
    let here = place.world.folder.object("oregon", &key);
    let there = place.world.folder.object("guizhou", &key);
    std::fs::create_dir_all(there.parent().unwrap()).unwrap();
    std::fs::copy(&here, &there).unwrap();
    assert_eq!(place.check().objects_left, 1);
    std::fs::write(&here, b"other bytes").unwrap();
    assert_eq!(place.check().objects_wrong, 1);
    std::fs::remove_file(&here).unwrap();
    assert_eq!(place.check().objects_wrong, 1);
}

#[test]
fn every_table_of_a_service_is_read() {
    for service in [ServiceName::Shop, ServiceName::Cloud] {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(service.schema()).unwrap();
        let names: Vec<String> = conn
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .unwrap()
            .query_map([], |r| r.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let mut ours: Vec<&str> = service.tables().map(|(_, t)| t.name).collect();
        ours.sort_unstable();
        assert_eq!(names, ours);
        assert!(tables::ALL.iter().filter(|t| t.service == service).all(|t| conn.prepare(t.read).is_ok()));
    }
}
