//! Scene 1: the world as it was. Everybody's data is in one region.

use super::case::{Case, ServiceName};
use super::dice::Dice;
use super::folder::Folder;
use super::people::{self, Person};
use crate::failure::{self, Failure, Result};
use rusqlite::{Connection, Statement, params};
use sha2::{Digest, Sha256};
use std::fs;
use std::sync::Arc;

/// Bytes of a photo.
const PHOTO_BYTES: (u64, u64) = (1_000, 20_000);
/// Key of the contacts' number hashes: a phone that has learned to send no numbers keeps one like it.
const CONTACTS_KEY: &[u8] = b"domicile demo: numbers of contacts are hashed on the phone";

/// What the later scenes need to know of the beginning.
pub struct World {
    pub case: &'static Case,
    pub folder: Folder,
    pub people: Arc<Vec<Person>>,
    pub seed: u64,
}

/// What was made.
#[derive(Debug, Default, Clone, Copy)]
pub struct Made {
    pub rows: u64,
    pub objects: u64,
    pub object_bytes: u64,
}

impl World {
    /// Makes the folder, the databases of all regions, and fills the old region's.
    pub fn make(case: &'static Case, folder: Folder, accounts: usize, seed: u64) -> Result<(Self, Made)> {
        folder.furnish(case)?;
        let mut dice = Dice::new(seed);
        let people = people::make(case, accounts, &mut dice);
        let mut made = Made::default();
        for service in case.services {
            for region in service.regions {
                create(&folder, region, service.name).map_err(|e| of_sqlite("make the database", &e))?;
            }
            let filled = fill(case, &folder, service.name, &people, &mut dice, &mut made);
            filled.map_err(|e| of_sqlite("fill the database", &e))?;
        }
        if case.has(ServiceName::Cloud) {
            put_photos(case, &folder, &people, seed, &mut made)?;
        }
        Ok((Self { case, folder, people: Arc::new(people), seed }, made))
    }
}

/// A failure of the demo's own SQLite connections.
pub fn of_sqlite(doing: &str, error: &rusqlite::Error) -> Box<Failure> {
    let why = "the demo keeps its regions in SQLite files in its folder";
    Failure::new("demo-database", format!("can't {doing}: {error}"), why, "df -h .   # is the disk full?")
}

/// Opens a database as a careful application does.
pub fn open(folder: &Folder, region: &str, service: ServiceName) -> rusqlite::Result<Connection> {
    let conn = Connection::open(folder.database(region, service))?;
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    conn.execute_batch("PRAGMA foreign_keys = ON")?;
    Ok(conn)
}

fn create(folder: &Folder, region: &str, service: ServiceName) -> rusqlite::Result<()> {
    let conn = open(folder, region, service)?;
    conn.execute_batch("PRAGMA journal_mode = WAL")?;
    conn.execute_batch(service.schema())
}

/// All of a service's rows in one transaction, with prepared statements.
fn fill(
    case: &Case,
    folder: &Folder,
    service: ServiceName,
    people: &[Person],
    dice: &mut Dice,
    made: &mut Made,
) -> rusqlite::Result<()> {
    let mut conn = open(folder, case.old, service)?;
    let tx = conn.transaction()?;
    made.rows += match service {
        ServiceName::Shop => fill_shop(case, &tx, people, dice)?,
        ServiceName::Cloud => fill_cloud(case, &tx, people, dice)?,
    };
    tx.commit()
}

fn flags(case: &Case, person: &Person) -> &'static str {
    case.flagged.filter(|_| person.flagged).map_or("", |(flag, _)| flag)
}

fn fill_shop(case: &Case, conn: &Connection, people: &[Person], dice: &mut Dice) -> rusqlite::Result<u64> {
    let mut customer = conn.prepare("INSERT INTO customers VALUES (?1, ?2, ?3, ?4, ?5, 0)")?;
    let mut order = conn.prepare("INSERT INTO orders VALUES (?1, ?2, ?3, 'delivered')")?;
    let mut line = conn.prepare("INSERT INTO order_lines VALUES (?1, ?2, ?3, ?4)")?;
    let (mut rows, mut line_id) = (0, 0);
    for person in people.iter().filter(|p| p.shops) {
        customer.execute(params![
            person.id,
            person.phone,
            person.name,
            person.country,
            flags(case, person)
        ])?;
        rows += 1;
        for id in person.orders.clone() {
            order.execute(params![id, person.id, day(dice)])?;
            rows += 1;
            for _ in 0..dice.between(1, 3) {
                line_id += 1;
                line.execute(params![line_id, id, *dice.pick(ARTICLES), dice.between(1, 4) as i64])?;
                rows += 1;
            }
        }
    }
    Ok(rows)
}

fn fill_cloud(case: &Case, conn: &Connection, people: &[Person], dice: &mut Dice) -> rusqlite::Result<u64> {
    let mut account = conn.prepare("INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, ?5, 0)")?;
    let mut rows = 0;
    for person in people {
        account.execute(params![
            person.id,
            person.phone,
            person.name,
            person.country,
            flags(case, person)
        ])?;
        rows += 1;
    }
    let mut device = conn.prepare("INSERT INTO devices VALUES (?1, ?2, ?3, ?4)")?;
    let mut contact = conn.prepare("INSERT INTO contacts VALUES (?1, ?2, ?3, ?4)")?;
    let mut message = conn.prepare("INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for person in people {
        for id in person.devices.clone() {
            device.execute(params![id, person.id, *dice.pick(MODELS), format!("86{}", dice.digits(13))])?;
        }
        for id in person.contacts.clone() {
            let other = dice.pick(people);
            contact.execute(params![id, person.id, other.name, number_hash(&other.phone)])?;
        }
        for id in person.messages.clone() {
            say(&mut message, id, person, dice.pick(people), dice)?;
        }
        rows += (person.devices.clone().count()
            + person.contacts.clone().count()
            + person.messages.clone().count()) as u64;
    }
    Ok(rows)
}

fn say(
    message: &mut Statement,
    id: i64,
    from: &Person,
    to: &Person,
    dice: &mut Dice,
) -> rusqlite::Result<()> {
    message.execute(params![id, from.id, to.id, *dice.pick(WORDS), day(dice)]).map(drop)
}

/// Photos hang on a person's first device; the row holds the object's key and hash.
fn put_photos(case: &Case, folder: &Folder, people: &[Person], seed: u64, made: &mut Made) -> Result<()> {
    let mut conn =
        open(folder, case.old, ServiceName::Cloud).map_err(|e| of_sqlite("open the database", &e))?;
    let mut dice = Dice::new(seed ^ 0x0070_6870_746f);
    let mut write = || -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
        let tx = conn.transaction()?;
        let mut objects = Vec::new();
        {
            let mut photo = tx.prepare("INSERT INTO photos VALUES (?1, ?2, ?3, ?4)")?;
            for person in people {
                for id in person.photos.clone() {
                    let size = dice.between(PHOTO_BYTES.0, PHOTO_BYTES.1) as usize;
                    let (key, bytes) = (photo_key(person.id, id), dice.bytes(size));
                    photo.execute(params![id, person.devices.start, key, sha256(&bytes)])?;
                    objects.push((key, bytes));
                }
            }
        }
        tx.commit()?;
        Ok(objects)
    };
    let objects = write().map_err(|e| of_sqlite("write the photos' rows", &e))?;
    for (key, bytes) in objects {
        made.rows += 1;
        made.objects += 1;
        made.object_bytes += bytes.len() as u64;
        let path = folder.object(case.old, &key);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        written.map_err(|e| failure::of_file("write the photo", &path, &e))?;
    }
    Ok(())
}

/// Where a photo lies in an object store.
pub fn photo_key(person: i64, photo: i64) -> String {
    format!("photos/{person}/{photo}.jpg")
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A contact's number as it is stored: a keyed hash.
pub fn number_hash(phone: &str) -> String {
    let mut sha = Sha256::new();
    sha.update(CONTACTS_KEY);
    sha.update(phone);
    hex::encode(&sha.finalize()[..12])
}

/// A day in 2014.
pub fn day(dice: &mut Dice) -> String {
    format!("2014-{:02}-{:02}", dice.between(1, 9), dice.between(1, 28))
}

/// What the shop sells.
pub const ARTICLES: &[&str] =
    &["phone", "case", "power bank", "earphones", "fitness band", "router", "charger"];
/// Kinds of phones.
pub const MODELS: &[&str] = &["M2", "M3", "M4", "Note", "Note 4G", "Tab"];
/// What people write; no numbers in it.
pub const WORDS: &[&str] = &[
    "Are you coming tonight?",
    "Happy birthday!",
    "The photos are great, thank you.",
    "Call me when you land.",
    "I am late, sorry.",
    "Did you see the new phone?",
    "Say hello to your mother.",
    "See you on Monday.",
];
