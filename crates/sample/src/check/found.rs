//! What is in the regions' databases.

use super::Region;
use super::expected::Key;
use rusqlite::{Connection, OpenFlags};
use std::collections::{BTreeMap, HashMap};
use tokio_postgres::NoTls;

/// A note's row that somebody can read.
#[derive(Debug, Clone)]
pub struct Row {
    pub region: String,
    pub id: String,
    pub text: String,
    pub written_by: String,
}

/// A person's row that somebody can read.
#[derive(Debug, Clone)]
pub struct Home {
    pub region: String,
    /// The guard's word on how often the person was given a home; `None` where it has none.
    pub epoch: Option<u64>,
}

/// All regions' live rows, and how many people have others.
#[derive(Debug, Default)]
pub struct Found {
    pub notes: HashMap<Key, Vec<Row>>,
    pub people: BTreeMap<String, Vec<Home>>,
    pub arriving: u64,
    pub away: u64,
}

/// One region's tables as text.
struct Tables {
    people: Vec<[String; 1]>,
    notes: Vec<[String; 5]>,
    homes: Vec<[String; 3]>,
}

const PEOPLE: &str = "SELECT id FROM people";
const NOTES: &str = "SELECT person_id, key, id, text, region_written FROM notes";

impl Found {
    pub async fn read(regions: &[Region]) -> Result<Self, String> {
        let mut found = Self::default();
        for region in regions {
            let tables = match region.url.strip_prefix("sqlite:") {
                Some(path) => sqlite(path).map_err(|e| e.to_string()),
                None => postgres(&region.url).await.map_err(|e| e.to_string()),
            };
            found.take(&region.id, tables.map_err(|e| format!("region {}: {e}", region.id))?);
        }
        Ok(found)
    }

    fn take(&mut self, region: &str, tables: Tables) {
        let homes: HashMap<String, (String, u64)> = tables
            .homes
            .into_iter()
            .map(|[subject, state, epoch]| (subject, (state, epoch.parse().unwrap_or(0))))
            .collect();
        let state = |person: &str| homes.get(person).map_or("", |(state, _)| state.as_str());
        for [person] in tables.people {
            match state(&person) {
                "a" => self.arriving += 1,
                "w" => self.away += 1,
                _ => {
                    let epoch = homes.get(&person).map(|(_, epoch)| *epoch);
                    self.people.entry(person).or_default().push(Home { region: region.to_owned(), epoch });
                }
            }
        }
        for [person, key, id, text, written_by] in tables.notes {
            if !["a", "w"].contains(&state(&person)) {
                let row = Row { region: region.to_owned(), id, text, written_by };
                self.notes.entry((person, key)).or_default().push(row);
            }
        }
    }
}

/// One snapshot of a PostgreSQL database.
async fn postgres(url: &str) -> Result<Tables, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let at_work = tokio::spawn(connection);
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let guarded = client.query_one("SELECT to_regclass('domicile.home') IS NOT NULL", &[]).await?.get(0);
    let homes = "SELECT subject::text, state::text, epoch::text FROM domicile.home";
    let tables = Tables {
        people: rows(&client, PEOPLE).await?,
        notes: rows(&client, NOTES).await?,
        homes: if guarded { rows(&client, homes).await? } else { Vec::new() },
    };
    at_work.abort();
    Ok(tables)
}

async fn rows<const N: usize>(
    client: &tokio_postgres::Client,
    sql: &str,
) -> Result<Vec<[String; N]>, tokio_postgres::Error> {
    let rows = client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| std::array::from_fn(|at| row.get(at))).collect())
}

/// One snapshot of a SQLite file.
fn sqlite(path: &str) -> rusqlite::Result<Tables> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.execute_batch("BEGIN")?;
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'domicile_home'";
    let guarded: i64 = db.query_row(sql, [], |r| r.get(0))?;
    let homes = "SELECT CAST(subject AS TEXT), state, CAST(epoch AS TEXT) FROM domicile_home";
    Ok(Tables {
        people: texts(&db, PEOPLE)?,
        notes: texts(&db, NOTES)?,
        homes: if guarded > 0 { texts(&db, homes)? } else { Vec::new() },
    })
}

fn texts<const N: usize>(db: &Connection, sql: &str) -> rusqlite::Result<Vec<[String; N]>> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = [const { String::new() }; N];
        for (at, cell) in cells.iter_mut().enumerate() {
            *cell = row.get(at)?;
        }
        all.push(cells);
    }
    Ok(all)
}
