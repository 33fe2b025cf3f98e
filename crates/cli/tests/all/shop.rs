//! A small shop in SQLite files, and the binary run on it.

use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Customers by country: US stays, DE and FR may move, IN has no region, one has no country.
pub const COUNTRIES: [(&str, usize); 4] = [("USA", 12), ("Germany", 9), ("FR", 4), ("India", 2)];

const SCHEMA: &str = "
CREATE TABLE employee (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, phone TEXT);
CREATE TABLE product (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE customer (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, country TEXT,
  rep_id INTEGER REFERENCES employee (id));
CREATE TABLE purchase (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer (id), placed_on TEXT NOT NULL);
CREATE TABLE purchase_line (
  purchase_id INTEGER NOT NULL REFERENCES purchase (id), line INTEGER NOT NULL,
  product_id INTEGER NOT NULL REFERENCES product (id), quantity INTEGER NOT NULL,
  PRIMARY KEY (purchase_id, line));
INSERT INTO employee VALUES (1, 'Ann Other', 'ann@shop.example', '+1 555 0100');
INSERT INTO product VALUES (1, 'lamp'), (2, 'chair');
";

/// A folder with a shop in it; removed when dropped.
pub struct Shop {
    dir: tempfile::TempDir,
}

/// What a run of the binary printed.
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Ran {
    /// The run in one text for a golden file.
    pub fn whole(&self) -> String {
        let mut text = format!("exit {}\n", self.code);
        if !self.stdout.is_empty() {
            text.push_str(&format!("--- stdout\n{}", self.stdout));
        }
        if !self.stderr.is_empty() {
            text.push_str(&format!("--- stderr\n{}", self.stderr));
        }
        text
    }
}

impl Shop {
    /// A folder with nothing in it.
    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A shop in `shop.db` with `times` as many customers, and nothing of Domicile yet.
    pub fn bare(times: usize) -> Self {
        let shop = Self::empty();
        let db = shop.db("shop.db");
        db.execute_batch("PRAGMA journal_mode = WAL").expect("WAL");
        db.execute_batch(SCHEMA).expect("the schema");
        db.execute_batch("BEGIN").expect("begin");
        let mut id = 0;
        for (country, many) in COUNTRIES {
            for _ in 0..many * times {
                id += 1;
                customer(&db, id, Some(country));
            }
        }
        customer(&db, id + 1, None);
        db.execute_batch("COMMIT").expect("commit");
        shop
    }

    /// The same, with a map, a second region and the guard enforced: ready for `plan`.
    pub fn ready(times: usize) -> Self {
        let shop = Self::bare(times);
        shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
        shop.answer_all();
        shop.add_germany();
        shop.ok(&["guard", "install"]);
        shop.ok(&["region", "prepare", "de"]);
        for step in ["install", "backfill", "enforce"] {
            shop.ok(&["guard", step]);
        }
        shop
    }

    /// Answers what `init` asks about this shop.
    pub fn answer_all(&self) {
        self.ok(&["answer", "personal:main.employee", "stub"]);
        self.ok(&["answer", "stores", "none"]);
    }

    /// Adds the region `de` to the configuration.
    pub fn add_germany(&self) {
        self.append(
            "domicile.toml",
            "\n[[region]]\nid = \"de\"\ncountry = \"DE\"\nrecords = \"sqlite:de/shop.db\"\n",
        );
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Opens a database as the application would.
    pub fn db(&self, name: &str) -> Connection {
        let db = Connection::open(self.path(name)).expect("a database");
        db.busy_timeout(std::time::Duration::from_secs(20)).expect("a timeout");
        db.execute_batch("PRAGMA foreign_keys = ON").expect("foreign keys");
        db
    }

    /// A number that a query gives.
    pub fn number(&self, db: &str, sql: &str) -> i64 {
        self.db(db).query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    pub fn append(&self, name: &str, text: &str) {
        self.write(name, &format!("{}{text}", self.read(name)));
    }

    /// Replaces the first `from` in a file; it must be there.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no `{from}`:\n{text}");
        self.write(name, &text.replacen(from, to, 1));
    }

    /// The binary, ready to be run in the folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_domicile"));
        command.args(args).current_dir(self.dir.path()).env_remove("DOMICILE_CONFIG").env("NO_COLOR", "1");
        command.env("SHOP_PASSWORD", crate::servers::SECRET);
        command.stdin(Stdio::null());
        command
    }

    /// Runs the binary.
    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&self.command(args).output().expect("the binary runs"), self.dir.path())
    }

    /// Runs it and wants exit code 0.
    pub fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}\n{}", ran.whole());
        ran
    }

    /// One home each and no stray row; residents of countries that no region serves are no surprise here.
    pub fn consistent(&self) {
        let ran = self.run(&["verify", "--json"]);
        let json: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}\n{}", ran.whole()));
        for finding in json["findings"].as_array().expect("findings") {
            assert_eq!(finding["kind"], "policy", "{}", ran.whole());
        }
    }
}

/// One customer with two purchases of two lines.
pub fn customer(db: &Connection, id: i64, country: Option<&str>) {
    let email = format!("c{id}@example.org");
    db.execute(
        "INSERT INTO customer VALUES (?1, ?2, ?3, ?4, 1)",
        rusqlite::params![id, format!("customer {id}"), email, country],
    )
    .expect("a customer");
    for purchase in [2 * id, 2 * id + 1] {
        db.execute("INSERT INTO purchase VALUES (?1, ?2, '2014-10-01')", [purchase, id]).expect("a purchase");
        for line in [1, 2] {
            let row = [purchase, line, line, 1];
            db.execute("INSERT INTO purchase_line VALUES (?1, ?2, ?3, ?4)", row).expect("a line");
        }
    }
}

/// What a process printed, with what differs from run to run made equal.
pub fn ran(output: &Output, dir: &Path) -> Ran {
    let text = |bytes: &[u8]| crate::words::settled(&String::from_utf8_lossy(bytes), dir);
    Ran {
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        code: output.status.code().unwrap_or(-1),
    }
}
