//! Several workers on one wave: real processes, a control store on PostgreSQL, applications that write.

use crate::servers::Servers;
use crate::shop::{Ran, ran};
use crate::writers::Writers;
use domicile_testbed::postgres::Cluster;
use serde_json::Value;
use std::fs::File;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Customers of one in every 13 times this move: 13 x 6.
pub const TIMES: usize = 6;
const MOVE: usize = 13 * TIMES;
/// Longer than anything here takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(240);

/// Both regions, a control store, writers, and whatever processes a test starts.
pub struct Fleet {
    pub servers: Servers,
    pub control: Cluster,
    started: usize,
}

impl Fleet {
    /// With a control store at `hosts` behind the first one; waves are slow enough to have a middle.
    pub fn start(control: Cluster, hosts: &str) -> Self {
        for sql in ["CREATE ROLE domicile LOGIN", "CREATE DATABASE control OWNER domicile"] {
            control.sql("postgres", sql);
        }
        let store =
            format!("postgres://domicile:${{SHOP_PASSWORD}}@127.0.0.1:{}{hosts}/control", control.port);
        let servers = Servers::planned_with(TIMES, Some(&store));
        servers.shop.append(
            "domicile.toml",
            "\n[limits]\ngrace = \"0s\"\nbatch_subjects = 3\nbatches_in_flight = 1\nrows_per_s = 20\n\
             turn_ms = 2000\nsettle_wait_ms = 120000\n",
        );
        Self { servers, control, started: 0 }
    }

    fn alone() -> Self {
        Self::start(Cluster::start(), "")
    }

    /// The same, so slow that what has to be seen in the middle is there for seconds, on a busy machine too.
    fn slow(rows_per_s: u32) -> Self {
        let fleet = Self::alone();
        fleet.servers.shop.edit("domicile.toml", "rows_per_s = 20", &format!("rows_per_s = {rows_per_s}"));
        fleet
    }

    /// Writers on customers of both ends of the plan and on some who stay.
    pub fn writers(&self) -> Writers {
        let (first, last) = (12 * TIMES as i64 + 1, 25 * TIMES as i64);
        let customers: Vec<i64> = (first..first + 4).chain(last - 3..=last).chain([1, 2]).collect();
        Writers::start(&self.servers, 6, &customers)
    }

    /// Starts the binary with its output in files.
    pub fn begin(&mut self, args: &[&str]) -> Process {
        self.started += 1;
        let [out, err] = ["out", "err"].map(|what| format!("{}.{what}", self.started));
        let shop = &self.servers.shop;
        let mut command = shop.command(args);
        command.stdout(Stdio::from(File::create(shop.path(&out)).expect("a file")));
        command.stderr(Stdio::from(File::create(shop.path(&err)).expect("a file")));
        Process { child: command.spawn().expect("the binary runs"), out, err }
    }

    fn worker(&mut self) -> Process {
        self.begin(&["worker", "--json"])
    }

    fn said(&self, process: &Process) -> String {
        self.servers.shop.read(&process.err)
    }

    /// Waits until it has ended.
    pub fn ended(&self, mut process: Process) -> Ran {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = process.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain until it ends:\n{}", self.said(&process));
            std::thread::sleep(Duration::from_millis(50));
        };
        let read = |name: &str| std::fs::read(self.servers.shop.path(name)).expect("what it said");
        let (stdout, stderr) = (read(&process.out), read(&process.err));
        let output = Output { status, stdout, stderr };
        ran(&output, &self.servers.shop.path(""))
    }

    /// Asks it to end, and says what it did.
    fn dismissed(&self, process: Process) -> (Ran, Value) {
        signal(&process, "-TERM");
        let ran = self.ended(process);
        let json = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}\n{}", ran.whole()));
        (ran, json)
    }

    fn status(&self) -> Value {
        let ran = self.servers.shop.ok(&["status", "--json"]);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}\n{}", ran.whole()))
    }

    fn wave_is(&self, state: &str) -> bool {
        self.status()["waves"][0]["state"] == state
    }

    /// Batches in the hand of that process, with their leases' tokens.
    fn in_hand(&self, process: &Process) -> Vec<(String, i64)> {
        let sql = format!(
            "SELECT batch, token FROM directory_batch WHERE holder LIKE 'pid {} %'",
            process.child.id()
        );
        let text = self.control.sql("control", &sql);
        let pair = |line: &str| {
            let (batch, token) = line.split_once('|').expect("two columns");
            (batch.to_owned(), token.parse().expect("a number"))
        };
        text.lines().map(pair).collect()
    }

    /// Another worker has taken it over and given it back.
    fn was_finished_by_another(&self, (batch, token): &(String, i64)) -> bool {
        let sql = format!(
            "SELECT count(*) FROM directory_batch WHERE batch = '{batch}' AND token > {token} AND holder IS NULL"
        );
        self.control.sql("control", &sql) == "1" || self.wave_is("moved")
    }

    /// Erases, and looks at what is where.
    fn all_moved(&self, writers: Writers) {
        self.servers.shop.ok(&["erase"]);
        writers.all_is_there(&self.servers);
        let count = "SELECT count(*) FROM customer";
        assert_eq!(self.servers.de.sql("shop", count), MOVE.to_string());
        assert_eq!(self.servers.us.sql("shop", count), (27 * TIMES - MOVE).to_string());
        self.servers.shop.consistent();
        self.servers.shop.ok(&["receipt", "verify", "receipts/w1.receipts"]);
    }
}

/// A running `domicile`.
pub struct Process {
    child: Child,
    out: String,
    err: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(process: &Process, name: &str) {
    let status = Command::new("kill").args([name, &process.child.id().to_string()]).status();
    assert!(status.expect("kill").success());
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn workers_share_a_wave() {
    let mut fleet = Fleet::slow(6);
    let writers = fleet.writers();
    let workers = [(); 3].map(|()| fleet.worker());
    let moving = fleet.begin(&["move", "plan.json"]);
    // Each has a batch in hand at the same time, and `status` says who and where.
    until("all four are at it", || {
        fleet.control.sql("control", "SELECT count(DISTINCT holder) FROM directory_batch") == "4"
    });
    let shown = fleet.servers.shop.ok(&["status"]).stdout;
    for process in workers.iter().chain([&moving]) {
        assert!(shown.contains(&format!("pid {} ", process.child.id())), "{shown}");
    }
    for part in ["worker", "host", "has in hand", "turn of w1, w1/000"] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    let host = fleet.status()["workers"][0]["host"].as_str().expect("a host").to_owned();
    assert!(!host.is_empty() && host != "?", "{host}");
    let moved = fleet.ended(moving);
    assert_eq!(moved.code, 0, "{}", moved.whole());
    let mut batches = Vec::new();
    for worker in workers {
        let (ran, json) = fleet.dismissed(worker);
        assert_eq!(ran.code, 0, "{}", ran.whole());
        assert!(ran.stderr.contains("wave w1: helping with it, us -> de, driven by pid"), "{}", ran.whole());
        batches.push(json["batches"].as_u64().expect("a number"));
    }
    assert!(batches.iter().all(|n| *n > 0), "each did some: {batches:?}");
    assert!(batches.iter().sum::<u64>() < (MOVE as u64).div_ceil(3) + 3, "none twice: {batches:?}");
    assert_eq!(fleet.status()["workers"], serde_json::json!([]), "who has ended is not shown");
    fleet.all_moved(writers);
}

#[test]
fn a_worker_that_is_killed_is_replaced() {
    let mut fleet = Fleet::alone();
    let writers = fleet.writers();
    let (first, second) = (fleet.worker(), fleet.worker());
    let moving = fleet.begin(&["move", "plan.json"]);
    let mut had = Vec::new();
    until("it has a batch in hand", || {
        had = fleet.in_hand(&first);
        !had.is_empty()
    });
    let batch = had.remove(0);
    signal(&first, "-KILL");
    until("its batch is taken over and finished", || fleet.was_finished_by_another(&batch));
    let silent = fleet.servers.shop.ok(&["status"]).stdout;
    assert!(silent.contains("silent for"), "{silent}");
    assert_eq!(fleet.ended(moving).code, 0);
    fleet.dismissed(second);
    fleet.all_moved(writers);
}

/// Stopped past its lease in the middle of batches, again and again, and continued: what it had in hand was
/// finished by others, and what it still does then, wherever it stood, harms nothing.
#[test]
fn a_worker_that_thaws_can_do_nothing_with_what_was_taken_over() {
    // Longer than several leases: a batch is finished by others only once one has run out.
    let mut fleet = Fleet::slow(6);
    let writers = fleet.writers();
    let (first, second) = (fleet.worker(), fleet.worker());
    let moving = fleet.begin(&["move", "plan.json"]);
    let mut noticed = 0;
    for round in 0_u64..6 {
        until("it has a batch in hand", || !fleet.in_hand(&first).is_empty() || fleet.wave_is("moved"));
        std::thread::sleep(Duration::from_millis(170 * round));
        signal(&first, "-STOP");
        let had = fleet.in_hand(&first);
        for batch in &had {
            until("its batch is taken over and finished", || fleet.was_finished_by_another(batch));
        }
        let notices =
            |fleet: &Fleet| fleet.said(&first).matches("another worker took it over").count() > noticed;
        signal(&first, "-CONT");
        if fleet.wave_is("moved") {
            break;
        }
        // One that was stopped between its batch's last step and giving it back has nothing left to notice.
        until("it notices, or goes on with the next one", || {
            notices(&fleet) || !fleet.in_hand(&first).is_empty() || fleet.wave_is("moved")
        });
        noticed += usize::from(notices(&fleet));
    }
    assert!(noticed > 0, "it was stopped in the middle of a batch:\n{}", fleet.said(&first));
    assert_eq!(fleet.ended(moving).code, 0);
    let (ran, _) = fleet.dismissed(first);
    assert_eq!(ran.code, 0, "it lived on: {}", ran.whole());
    fleet.dismissed(second);
    fleet.all_moved(writers);
}

#[test]
fn a_driver_that_is_killed_or_stands_still_is_replaced() {
    // Who helps takes the turn once no batch is free: the last ones take seconds.
    let mut fleet = Fleet::slow(3);
    let writers = fleet.writers();
    let moving = fleet.begin(&["move", "plan.json"]);
    let workers = [(); 2].map(|()| fleet.worker());
    until("the wave is shared", || workers.iter().all(|worker| !fleet.in_hand(worker).is_empty()));
    signal(&moving, "-KILL");
    // One of them drives now; it stands still, and the other one takes the turn.
    let driver = |fleet: &Fleet| {
        let holder = fleet.control.sql("control", "SELECT holder FROM directory_wave");
        workers.iter().position(|worker| holder.starts_with(&format!("pid {} ", worker.child.id())))
    };
    let mut seen = None;
    until("a worker has the turn", || {
        seen = driver(&fleet);
        seen.is_some()
    });
    let first = seen.expect("a driver");
    signal(&workers[first], "-STOP");
    until("the other one has the turn", || driver(&fleet) == Some(1 - first));
    signal(&workers[first], "-CONT");
    until("the first one notices", || {
        fleet.said(&workers[first]).contains("another worker has taken over wave w1")
    });
    until("the wave is moved", || fleet.wave_is("moved"));
    let mut drove = Vec::new();
    for worker in workers {
        let (ran, json) = fleet.dismissed(worker);
        assert_eq!(ran.code, 0, "{}", ran.whole());
        drove.extend(json["drove"].as_array().expect("waves").iter().map(ToString::to_string));
    }
    assert_eq!(drove, ["\"w1\""], "one of them ended it");
    fleet.all_moved(writers);
}

/// The control store's primary goes while a swap waits in it, so that subjects are under a fence and then sealed, and `status` says
/// so; then its synchronous standby is promoted.
#[test]
fn the_control_store_fails_over_in_mid_wave() {
    let primary = Cluster::start();
    let standby = primary.standby("alpha");
    // Set behind the copy, or the standby would wait for itself once it is the primary.
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'alpha'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    let mut fleet = Fleet::start(primary, &format!(",127.0.0.1:{}", standby.port));
    let writers = fleet.writers();
    let moving = fleet.begin(&["move", "plan.json"]);
    until("the wave has batches", || {
        fleet.control.sql("control", "SELECT count(*) FROM directory_batch") != "0"
    });
    signal(&moving, "-KILL");
    let workers = [(); 2].map(|()| fleet.begin(&["worker", "--once", "--json"]));
    until("both are at it", || workers.iter().all(|worker| !fleet.in_hand(worker).is_empty()));
    let mut shown = String::new();
    std::thread::scope(|scope| {
        // Homes can be read and not be swapped: whoever comes to its fence waits in it. The lock goes with the server.
        let held = "BEGIN; LOCK TABLE directory_home IN SHARE MODE; SELECT pg_sleep(3600);";
        scope.spawn(|| fleet.control.script("postgres", "control", held));
        until("a swap waits", || {
            let sql = "SELECT count(*) FROM pg_locks WHERE relation = 'directory_home'::regclass AND NOT granted \
                 AND mode = 'RowExclusiveLock'";
            fleet.control.sql("control", sql) != "0"
        });
        fleet.control.crash();
    });
    until("somebody is sealed, and `status` says so", || {
        let ran = fleet.servers.shop.run(&["status"]);
        assert_eq!(ran.code, 1, "{}", ran.whole());
        shown = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        shown.contains("at us sealed: only the control store knows their home, and it is away")
    });
    assert!(shown.contains("the control store can't be reached"), "{shown}");
    std::thread::sleep(Duration::from_secs(3));
    standby.sql("postgres", "SELECT pg_promote()");
    for worker in workers {
        let ran = fleet.ended(worker);
        assert_eq!(ran.code, 0, "{}", ran.whole());
    }
    fleet.control = standby;
    assert!(fleet.wave_is("moved"));
    fleet.all_moved(writers);
}

/// SIGTERM in the middle of a batch: it stops at a safe point, says so, and others go on.
#[test]
fn a_worker_that_is_asked_to_end_leaves_its_batch_to_others() {
    let mut fleet = Fleet::slow(6);
    let writers = fleet.writers();
    let moving = fleet.begin(&["move", "plan.json"]);
    let worker = fleet.worker();
    until("it has a batch in hand", || !fleet.in_hand(&worker).is_empty());
    let its = format!("SELECT count(*) FROM directory_batch WHERE holder LIKE 'pid {} %'", worker.child.id());
    let (ran, _) = fleet.dismissed(worker);
    assert_eq!(ran.code, 4, "{}", ran.whole());
    assert_eq!(fleet.control.sql("control", &its), "0", "what it had in hand is given back");
    assert_eq!(fleet.ended(moving).code, 0);
    fleet.all_moved(writers);
}

#[test]
fn pause_and_abort_reach_every_worker() {
    let mut fleet = Fleet::slow(6);
    let writers = fleet.writers();
    let moving = fleet.begin(&["move", "plan.json"]);
    let workers = [(); 2].map(|()| fleet.worker());
    until("the wave is shared", || workers.iter().all(|worker| !fleet.in_hand(worker).is_empty()));
    fleet.servers.shop.ok(&["pause"]);
    let nobody = |fleet: &Fleet| {
        fleet.control.sql("control", "SELECT count(*) FROM directory_batch WHERE holder IS NOT NULL") == "0"
    };
    until("every batch in hand is finished", || nobody(&fleet));
    std::thread::sleep(Duration::from_secs(2));
    assert!(nobody(&fleet), "none is begun while it is paused");
    let resumed = fleet.servers.shop.ok(&["resume"]);
    assert!(resumed.stdout.contains("its worker goes on"), "{}", resumed.whole());
    until("they go on", || workers.iter().all(|worker| !fleet.in_hand(worker).is_empty()));
    let aborted = fleet.servers.shop.ok(&["abort"]);
    assert!(aborted.stdout.contains("wave w1 is ended"), "{}", aborted.whole());
    assert!(nobody(&fleet), "their batches were waited for");
    let driver = fleet.ended(moving);
    assert_eq!(driver.code, 4, "{}", driver.whole());
    assert!(driver.stderr.contains("code:  abort-asked"), "{}", driver.whole());
    for worker in workers {
        let (ran, _) = fleet.dismissed(worker);
        assert_eq!(ran.code, 0, "they look for other waves: {}", ran.whole());
        assert!(ran.stderr.contains("the abort of wave w1 was asked for"), "{}", ran.whole());
    }
    fleet.servers.shop.run(&["erase"]);
    writers.all_is_there(&fleet.servers);
    fleet.servers.shop.consistent();
    let count = |cluster: &Cluster, sql: &str| cluster.sql("shop", sql).parse::<usize>().expect("a number");
    let left = "SELECT count(*) FROM domicile.home WHERE state <> 'h'";
    assert_eq!((count(&fleet.servers.us, left), count(&fleet.servers.de, left)), (0, 0));
    let all = "SELECT count(*) FROM customer";
    assert_eq!(count(&fleet.servers.us, all) + count(&fleet.servers.de, all), 27 * TIMES);
}

#[test]
fn what_a_worker_cannot_work_with() {
    let fleet = Fleet::alone();
    let shop = &fleet.servers.shop;
    // Nothing is under way.
    let none = shop.ok(&["worker", "--once"]);
    assert!(none.stdout.contains("0 batches brought to their end here"), "{}", none.whole());
    for (args, code, exit) in [
        (&["worker", "--service", "shoop"][..], "code:  service-unknown", 2),
        (&["worker", "w1"], "code:  usage", 2),
        (&["worker", "--config", "nowhere.toml"], "code:  config-missing", 2),
    ] {
        let ran = shop.run(args);
        assert_eq!(ran.code, exit, "{}", ran.whole());
        assert!(ran.stderr.contains(code), "{}", ran.whole());
    }
    // `--first`: the rest waits for its plan, and is nothing for a worker.
    shop.ok(&["move", "--first", "3", "plan.json"]);
    shop.ok(&["worker", "--once"]);
    assert_eq!(fleet.servers.de.sql("shop", "SELECT count(*) FROM customer"), "3");
    // A key that is not this control store's.
    let key = shop.read("keys/directory.key");
    let other = tempfile::tempdir().expect("a folder");
    let mut init = shop.command(&["init", "--country", "US", "--region", "us", "--from"]);
    let from = fleet.servers.us.url("domicile", "shop");
    assert!(init.arg(from).arg("--dir").arg(other.path()).status().expect("init").success());
    let theirs = std::fs::read_to_string(other.path().join("keys/directory.key")).expect("a key");
    shop.write("keys/directory.key", &theirs);
    let ran = shop.run(&["worker"]);
    assert_eq!(ran.code, 2, "{}", ran.whole());
    assert!(ran.stderr.contains("code:  key-other"), "{}", ran.whole());
    shop.write("keys/directory.key", &key);
    fleet.control.crash();
    let ran = shop.run(&["worker"]);
    assert_eq!(ran.code, 1, "{}", ran.whole());
    assert!(ran.stderr.contains("the control store can't be reached"), "{}", ran.whole());
}
