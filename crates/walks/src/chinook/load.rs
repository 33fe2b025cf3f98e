//! Applications that go on writing while customers move, and remember what was acknowledged.

use super::places::{HOME, PLACES};
use super::shop::{Shop, plain};
use crate::walk::Result;
use domicile_testbed::postgres;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ids of the applications' own rows begin here.
pub const OURS: u64 = 1_000_000_000;
/// How long one write may be refused before the walk fails.
const REFUSED_MAX: Duration = Duration::from_secs(60);

/// One invoice that the applications wrote, as it was last acknowledged.
#[derive(Debug, Default)]
pub struct Invoice {
    /// Its total, in cents.
    pub cents: i64,
    /// The ids of its lines.
    pub lines: BTreeSet<u64>,
}

/// What the applications did.
#[derive(Debug, Default)]
pub struct Wrote {
    /// By id.
    pub invoices: BTreeMap<u64, Invoice>,
    /// Acknowledged statements.
    pub acknowledged: u64,
    /// Statements that were refused or found no row, and were tried again elsewhere.
    pub again: u64,
    /// What they were told, and how often.
    pub told: BTreeMap<String, u64>,
    /// The longest time that one write had to be tried again.
    pub longest: Duration,
}

impl fmt::Display for Wrote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "applications: {} writes acknowledged on {} invoices; {} tries were refused or found no row and \
             were made again, the longest for {} ms",
            self.acknowledged,
            self.invoices.len(),
            self.again,
            self.longest.as_millis()
        )?;
        for (code, n) in &self.told {
            writeln!(f, "  {n:>7} times: {code}")?;
        }
        Ok(())
    }
}

/// The application's connection to one region.
pub enum Session {
    /// A psql that reads statements from a pipe.
    Psql(Child, ChildStdin, BufReader<ChildStderr>),
    /// A SQLite connection.
    Lite(Connection),
}

impl Session {
    /// psql at a URL.
    pub fn psql(url: &str) -> Result<Self> {
        let program = postgres::bin_dir().ok_or("psql was not found")?.join("psql");
        let mut child = Command::new(program)
            .args(["-X", "-q", "-A", "-t", "-v", "VERBOSITY=sqlstate", "-d", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("psql: {e}"))?;
        let input = child.stdin.take().ok_or("psql has no input")?;
        let output = BufReader::new(child.stderr.take().ok_or("psql has no errors")?);
        Ok(Self::Psql(child, input, output))
    }

    /// Runs one statement as a transaction of its own: the rows it touched, or why not, in a word.
    pub fn write(&mut self, sql: &str) -> Result<u64> {
        match self {
            Self::Psql(_, input, output) => {
                // psql writes to stderr without a buffer, so the answer comes at once.
                writeln!(input, "{sql};\n\\warn @@ :SQLSTATE :ROW_COUNT").map_err(|e| e.to_string())?;
                let mut line = String::new();
                while !line.starts_with("@@ ") {
                    line.clear();
                    if output.read_line(&mut line).map_err(|e| e.to_string())? == 0 {
                        return Err("psql ended".to_owned());
                    }
                }
                let mut words = line.split_whitespace().skip(1);
                match (words.next(), words.next().and_then(|n| n.parse().ok())) {
                    (Some("00000"), Some(rows)) => Ok(rows),
                    (code, _) => Err(code.unwrap_or_default().to_owned()),
                }
            }
            Self::Lite(db) => db.execute(&plain(sql), []).map(|n| n as u64).map_err(|e| {
                let text = e.to_string();
                text.split([':', '(']).next().unwrap_or_default().trim().to_owned()
            }),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Self::Psql(child, ..) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Applications at work.
pub struct Applications {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Wrote>>>,
}

impl Applications {
    /// Starts so many, each with a connection to every region.
    pub fn start(shop: &Shop, many: u64) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let ids = shop.rows(HOME, "SELECT customer_id FROM customer ORDER BY customer_id")?;
        let customers: Arc<[String]> = ids.into();
        let mut threads = Vec::new();
        for nr in 0..many {
            let sessions = (0..PLACES.len()).map(|p| shop.session(p)).collect::<Result<Vec<_>>>()?;
            let mut one = Application {
                sessions,
                customers: customers.clone(),
                homes: HashMap::new(),
                next: OURS + nr * 100_000_000,
                dice: 0x9E37_79B9_7F4A_7C15 ^ (nr + 1),
                wrote: Wrote::default(),
            };
            let stop = stop.clone();
            threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    one.visit()?;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(one.wrote)
            }));
        }
        Ok(Self { stop, threads })
    }

    /// Ends them; what all of them wrote.
    pub fn stop(self) -> Result<Wrote> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Wrote::default();
        for thread in self.threads {
            let one = thread.join().map_err(|_| "an application fell over")??;
            all.invoices.extend(one.invoices);
            all.acknowledged += one.acknowledged;
            all.again += one.again;
            all.longest = all.longest.max(one.longest);
            for (code, n) in one.told {
                *all.told.entry(code).or_default() += n;
            }
        }
        Ok(all)
    }
}

/// One application: a route for each customer it met, and no other knowledge of where they live.
struct Application {
    sessions: Vec<Session>,
    customers: Arc<[String]>,
    homes: HashMap<String, usize>,
    next: u64,
    dice: u64,
    wrote: Wrote,
}

impl Application {
    /// A customer buys: an invoice, its lines, a changed total, a line taken back.
    fn visit(&mut self) -> Result<()> {
        let pick = self.roll() % self.customers.len();
        let customer = self.customers[pick].clone();
        let id = self.id();
        let insert = format!(
            "INSERT INTO invoice (invoice_id, customer_id, invoice_date, billing_country, total) \
             SELECT {id}, customer_id, '2026-01-01', country, 1 FROM customer WHERE customer_id = {customer}"
        );
        self.write(&customer, &insert)?;
        self.wrote.invoices.insert(id, Invoice { cents: 100, lines: BTreeSet::new() });
        let (kept, taken_back) = (self.id(), self.id());
        for line in [kept, taken_back] {
            let insert = format!(
                "INSERT INTO invoice_line (invoice_line_id, invoice_id, track_id, unit_price, quantity) \
                 SELECT {line}, invoice_id, 1, 1, 1 FROM invoice WHERE invoice_id = {id}"
            );
            self.write(&customer, &insert)?;
            self.remember(id, |invoice| invoice.lines.insert(line));
        }
        self.write(&customer, &format!("UPDATE invoice SET total = total + 1 WHERE invoice_id = {id}"))?;
        self.remember(id, |invoice| {
            invoice.cents += 100;
            true
        });
        self.write(&customer, &format!("DELETE FROM invoice_line WHERE invoice_line_id = {taken_back}"))?;
        self.remember(id, |invoice| invoice.lines.remove(&taken_back));
        Ok(())
    }

    fn remember(&mut self, id: u64, change: impl FnOnce(&mut Invoice) -> bool) {
        self.wrote.invoices.get_mut(&id).map(change);
    }

    /// Writes at the customer's last known home, then at the others, until a region says one row.
    fn write(&mut self, customer: &str, sql: &str) -> Result<()> {
        let began = Instant::now();
        let mut at = self.homes.get(customer).copied().unwrap_or(HOME);
        let mut refused = 0;
        loop {
            match self.sessions[at].write(sql) {
                Ok(1) => break,
                Ok(0) => *self.wrote.told.entry("no row here".to_owned()).or_default() += 1,
                Ok(n) => return Err(format!("{n} rows instead of one: {sql}")),
                Err(code) => *self.wrote.told.entry(code).or_default() += 1,
            }
            if began.elapsed() > REFUSED_MAX {
                return Err(format!("refused everywhere for {REFUSED_MAX:?}: {sql}: {:?}", self.wrote.told));
            }
            refused += 1;
            at = (at + 1) % self.sessions.len();
            if refused % self.sessions.len() == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.homes.insert(customer.to_owned(), at);
        self.wrote.acknowledged += 1;
        self.wrote.again += refused as u64;
        if refused > 0 {
            self.wrote.longest = self.wrote.longest.max(began.elapsed());
        }
        Ok(())
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// xorshift: the same customers in every walk.
    fn roll(&mut self) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 33) as usize
    }
}
