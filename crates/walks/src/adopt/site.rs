//! The databases of the application's regions: one PostgreSQL cluster, or one SQLite file, each.

use crate::walk::{Result, Walk, piped, say};
use domicile_sample::check::Region;
use domicile_testbed::postgres::Cluster;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A region of the walk.
pub struct Place {
    /// Its id.
    pub id: &'static str,
    /// Where it stands, and whose people belong there.
    pub country: &'static str,
}

/// All regions. Everybody is in the first one before the walk.
pub const PLACES: [Place; 3] = [
    Place { id: "frankfurt", country: "DE" },
    Place { id: "paris", country: "FR" },
    Place { id: "mumbai", country: "IN" },
];

/// Where people may live: a service's own rule, no legal advice.
pub const POLICY: &str = r#"@id("own-country")
@law("the service's rule 1")
@reason("a person's data lives in the person's country")
permit (principal, action, resource)
when { principal.residence == resource.country };
"#;

/// The same while the other regions are not open yet.
pub const TODAY: &str = r#"@id("today")
@law("the service's rule 0")
@reason("until the other regions are open, everybody lives where everybody has always lived")
permit (principal, action, resource == Region::"frankfurt");
"#;

/// Notes of each person before the walk.
pub const SEEDED_NOTES: u32 = 3;
/// The database's name.
const DATABASE: &str = "notes";

/// The databases.
pub enum Site {
    /// A cluster for each place.
    Postgres(Vec<Cluster>),
    /// A file for each place.
    Sqlite(Vec<PathBuf>),
}

impl Site {
    /// Three clusters. Three roles: `owner` has the tables, `app` is the application's, `domicile` is a plain
    /// role that may do nothing yet.
    pub fn postgres() -> Self {
        say("three PostgreSQL clusters: the application's database is in the first, the others are empty");
        let clusters: Vec<Cluster> = PLACES.iter().map(|_| Cluster::start()).collect();
        for cluster in &clusters {
            for role in ["owner", "app", "domicile"] {
                cluster.sql("postgres", &format!("CREATE ROLE {role} LOGIN"));
            }
            cluster.sql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER owner"));
            cluster.sql(DATABASE, "GRANT CREATE ON SCHEMA public TO owner");
        }
        Self::Postgres(clusters)
    }

    /// Names of files that are not there yet.
    pub fn sqlite(walk: &Walk) -> Self {
        say("a SQLite file; the other regions are files that are not there yet");
        Self::Sqlite(PLACES.iter().map(|p| walk.path(&format!("{}.db", p.id))).collect())
    }

    /// A region's database as a role reaches it.
    pub fn url(&self, place: usize, role: &str) -> String {
        match self {
            Self::Postgres(clusters) => clusters[place].url(role, DATABASE),
            Self::Sqlite(files) => format!("sqlite:{}", files[place].display()),
        }
    }

    /// All regions as an administrator reaches them.
    pub fn regions(&self) -> Vec<Region> {
        let region = |(at, p): (usize, &Place)| Region { id: p.id.into(), url: self.url(at, "postgres") };
        PLACES.iter().enumerate().map(region).collect()
    }

    /// So many people, each with some notes; every fifth has a photo.
    pub fn seed(&self, people: usize) -> Result<()> {
        let photo = match self {
            Self::Postgres(_) => "convert_to(repeat('x', 1000), 'UTF8')",
            Self::Sqlite(_) => "zeroblob(1000)",
        };
        let counted = format!(
            "WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < {}) INSERT INTO ",
            people - 1
        );
        self.run(
            0,
            &format!(
                "{counted} people SELECT 'p' || k, 'p' || k || '@example.org', \
             CASE WHEN k % 10 < 5 THEN 'DE' WHEN k % 10 < 8 THEN 'FR' ELSE 'IN' END, 'frankfurt' FROM n"
            ),
        )?;
        self.run(0, &format!(
            "{counted} notes SELECT 'seed-' || k || '-' || m, 'p' || k, 'seed-' || m, 'an old note', 'frankfurt' \
             FROM n, (SELECT k AS m FROM n WHERE k < {SEEDED_NOTES}) AS many"
        ))?;
        self.run(
            0,
            &format!("{counted} photos SELECT 'p' || k, 'me', {photo}, 'frankfurt' FROM n WHERE k % 5 = 4"),
        )
    }

    /// Runs what `guard grants` printed, as a superuser.
    pub fn grant(&self, place: usize, sql: &str) -> Result<()> {
        let Self::Postgres(clusters) = self else { return Ok(()) };
        say("a superuser runs these statements with psql");
        piped(&clusters[place], DATABASE, sql)
    }

    /// The application's own privileges, which Domicile does not give.
    pub fn let_the_application_in(&self, place: usize) {
        if let Self::Postgres(clusters) = self {
            let sql = "GRANT USAGE ON SCHEMA public TO app; \
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app";
            clusters[place].sql(DATABASE, sql);
        }
    }

    /// Is a trigger on one of the application's tables, and not disabled? Each by name.
    pub fn armed_triggers(&self, place: usize) -> Result<Vec<String>> {
        let sql = match self {
            Self::Postgres(_) => {
                "SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND c.relname IN ('people', 'notes', 'photos')"
            }
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'trigger' \
                 AND tbl_name IN ('people', 'notes', 'photos')"
            }
        };
        self.rows(place, sql)
    }

    fn run(&self, place: usize, sql: &str) -> Result<()> {
        match self {
            Self::Postgres(clusters) => drop(clusters[place].sql(DATABASE, sql)),
            Self::Sqlite(files) => {
                open(&files[place])?.execute_batch(sql).map_err(|e| format!("{sql}: {e}"))?;
            }
        }
        Ok(())
    }

    /// The first column of a query, as the administrator sees it.
    pub fn rows(&self, place: usize, sql: &str) -> Result<Vec<String>> {
        match self {
            Self::Postgres(clusters) => {
                Ok(clusters[place].sql(DATABASE, sql).lines().map(str::to_owned).collect())
            }
            Self::Sqlite(files) => {
                let db = open(&files[place])?;
                let mut statement = db.prepare(sql).map_err(|e| format!("{sql}: {e}"))?;
                let rows = statement.query_map([], |row| row.get(0)).map_err(|e| e.to_string())?;
                rows.collect::<rusqlite::Result<_>>().map_err(|e| format!("{sql}: {e}"))
            }
        }
    }
}

fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    db.busy_timeout(Duration::from_secs(30)).map_err(|e| e.to_string())?;
    Ok(db)
}
