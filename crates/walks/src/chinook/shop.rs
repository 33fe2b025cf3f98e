//! Chinook's databases: one PostgreSQL cluster, or one SQLite file, a region.
//!
//! Statements are written in PostgreSQL's names. Chinook for SQLite has the same names without
//! underscores, and SQLite does not tell upper case from lower, so there underscores are left out.

use super::places::{HOME, PLACES, Place};
use crate::walk::{Result, Walk, piped, say};
use domicile_testbed::postgres::Cluster;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The databases.
pub enum Shop {
    /// A cluster for each place.
    Postgres(Vec<Cluster>),
    /// A file for each place.
    Sqlite(Vec<PathBuf>),
}

impl Shop {
    /// Chinook in the first of six clusters; the others are empty. Three roles: `chinook` owns it, `app`
    /// is the application's, `domicile` is a plain role that may do nothing yet.
    pub fn postgres() -> Result<Self> {
        say("six PostgreSQL clusters: Chinook in the first, the others are empty");
        let clusters: Vec<Cluster> = PLACES.iter().map(|_| Cluster::start()).collect();
        for cluster in &clusters {
            for role in ["chinook", "app", "domicile"] {
                cluster.sql("postgres", &format!("CREATE ROLE {role} LOGIN"));
            }
            cluster.sql("postgres", "CREATE DATABASE chinook OWNER chinook");
        }
        let sql = load(&fixture("chinook_postgresql.sql"))?;
        // The script makes a database of its own; here it is there already, and has an owner.
        let sql: String = sql
            .lines()
            .filter(|l| !["DROP DATABASE", "CREATE DATABASE", "\\c "].iter().any(|w| l.starts_with(w)))
            .flat_map(|l| [l, "\n"])
            .collect();
        let file = clusters[HOME].dir().join("chinook.sql");
        std::fs::write(&file, format!("SET ROLE chinook;\n{sql}")).map_err(|e| e.to_string())?;
        clusters[HOME].sql("chinook", "GRANT CREATE ON SCHEMA public TO chinook");
        clusters[HOME].sql_file("chinook", &file);
        let shop = Self::Postgres(clusters);
        shop.let_the_application_in(HOME)?;
        Ok(shop)
    }

    /// Chinook in a file, and the names of files for the other places.
    pub fn sqlite(walk: &Walk) -> Result<Self> {
        say("Chinook in a SQLite file; the other regions are files that are not there yet");
        let files: Vec<PathBuf> = PLACES.iter().map(|p| walk.path(&format!("{}.db", p.id))).collect();
        let db = open(&files[HOME])?;
        db.execute_batch("PRAGMA journal_mode = WAL; BEGIN").map_err(|e| e.to_string())?;
        db.execute_batch(&load(&fixture("chinook_sqlite.sql"))?).map_err(|e| e.to_string())?;
        db.execute_batch("COMMIT").map_err(|e| e.to_string())?;
        Ok(Self::Sqlite(files))
    }

    /// The URL as Domicile's role uses it.
    pub fn url(&self, walk: &Walk, place: &Place) -> String {
        match self {
            Self::Postgres(clusters) => clusters[index(place)].url("domicile", "chinook"),
            Self::Sqlite(files) => {
                let file = &files[index(place)];
                format!("sqlite:{}", file.strip_prefix(walk.path("")).unwrap_or(file).display())
            }
        }
    }

    /// The name of the table of employees in the data map.
    pub fn employee(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "public.employee",
            Self::Sqlite(_) => "main.Employee",
        }
    }

    /// A session of the application at a place.
    pub fn session(&self, place: usize) -> Result<super::load::Session> {
        match self {
            Self::Postgres(clusters) => super::load::Session::psql(&clusters[place].url("app", "chinook")),
            Self::Sqlite(files) => Ok(super::load::Session::Lite(open(&files[place])?)),
        }
    }

    /// Runs what `guard grants` printed.
    pub fn grant(&self, place: usize, sql: &str) -> Result<()> {
        let Self::Postgres(clusters) = self else { return Ok(()) };
        say("a superuser runs these statements with psql");
        piped(&clusters[place], "chinook", sql)
    }

    /// The application's own privileges, which Domicile does not give.
    pub fn let_the_application_in(&self, place: usize) -> Result<()> {
        if let Self::Postgres(clusters) = self {
            let sql = "GRANT USAGE ON SCHEMA public TO app; \
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app";
            clusters[place].sql("chinook", sql);
        }
        Ok(())
    }

    /// Runs a statement as the administrator.
    pub fn run(&self, place: usize, sql: &str) -> Result<()> {
        self.rows(place, sql).map(drop)
    }

    /// A query's rows as the administrator sees them, columns separated by `|`.
    pub fn rows(&self, place: usize, sql: &str) -> Result<Vec<String>> {
        match self {
            Self::Postgres(clusters) => {
                Ok(clusters[place].sql("chinook", sql).lines().map(str::to_owned).collect())
            }
            Self::Sqlite(files) => {
                rows(&open(&files[place])?, &plain(sql)).map_err(|e| format!("{sql}: {e}"))
            }
        }
    }

    /// A customer with one invoice, written by the application.
    pub fn new_customer(&self, place: usize, id: u32, country: &str) -> Result<()> {
        let sql = format!(
            "INSERT INTO customer (customer_id, first_name, last_name, email, country) \
             VALUES ({id}, 'Ann', 'Other', 'ann@example.org', '{country}')"
        );
        self.session(place)?.write(&sql).map(drop).map_err(|code| format!("a new customer: {code}"))
    }

    /// Makes of each customer, invoice and line so many; new ids, everything else as it was.
    pub fn multiply(&self, times: u32) -> Result<()> {
        let copies = match self {
            Self::Postgres(_) => format!("(SELECT generate_series(1, {}) AS k) AS copies", times - 1),
            Self::Sqlite(_) => format!(
                "(WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {}) \
                 SELECT k FROM n) AS copies",
                times - 1
            ),
        };
        self.run(HOME, &format!(
            "INSERT INTO customer SELECT customer_id + k * 100, first_name, last_name, company, address, city, \
             state, country, postal_code, phone, fax, email, support_rep_id FROM customer, {copies}"
        ))?;
        self.run(
            HOME,
            &format!(
                "INSERT INTO invoice SELECT invoice_id + k * 1000, customer_id + k * 100, invoice_date, \
             billing_address, billing_city, billing_state, billing_country, billing_postal_code, total \
             FROM invoice, {copies}"
            ),
        )?;
        self.run(HOME, &format!(
            "INSERT INTO invoice_line SELECT invoice_line_id + k * 10000, invoice_id + k * 1000, track_id, \
             unit_price, quantity FROM invoice_line, {copies}"
        ))?;
        self.run(HOME, "ANALYZE")
    }
}

fn index(place: &Place) -> usize {
    PLACES.iter().position(|p| p.id == place.id).unwrap_or(HOME)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/chinook").join(name)
}

fn load(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    db.busy_timeout(Duration::from_secs(30)).map_err(|e| e.to_string())?;
    db.execute_batch("PRAGMA foreign_keys = ON").map_err(|e| e.to_string())?;
    Ok(db)
}

/// The statement in the names of Chinook for SQLite.
pub fn plain(sql: &str) -> String {
    sql.chars().filter(|c| *c != '_').collect()
}

fn rows(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Vec::new();
        for at in 0..columns {
            cells.push(match row.get_ref(at)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(n) => n.to_string(),
                ValueRef::Real(x) => x.to_string(),
                ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
            });
        }
        all.push(cells.join("|"));
    }
    Ok(all)
}
