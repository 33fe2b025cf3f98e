//! Waves that are stopped, killed, held and paused. The moves are slowed by `rows_per_s`.

use crate::shop::{Ran, Shop, ran};
use insta::assert_snapshot;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A wave long enough to be caught in the middle.
fn slow() -> Shop {
    let shop = Shop::ready(20);
    shop.append(
        "domicile.toml",
        "\n[limits]\nbatch_subjects = 20\nbatches_in_flight = 1\nrows_per_s = 200\n",
    );
    shop.ok(&["plan", "-o", "plan.json"]);
    shop
}

fn hurry(shop: &Shop) {
    shop.edit("domicile.toml", "rows_per_s = 200\n", "");
}

/// Starts `move` and comes back once its wave has begun.
fn begun(shop: &Shop) -> Child {
    let mut command = shop.command(&["move", "plan.json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    once_begun(child.expect("the binary runs"))
}

/// Comes back once the wave of this `move`, whose stderr is a pipe, has begun.
pub fn once_begun(mut child: Child) -> Child {
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("begins") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("a line") > 0, "the wave never began");
    }
    child.stderr = Some(lines.into_inner());
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("kill").success());
}

fn ended(child: Child, shop: &Shop) -> Ran {
    ran(&child.wait_with_output().expect("it ends"), &shop.path(""))
}

fn all_moved(shop: &Shop) {
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM customer"), 260);
    assert_eq!(shop.number("de/shop.db", "SELECT count(*) FROM purchase_line"), 260 * 4);
    shop.consistent();
}

#[test]
fn ctrl_c_stops_and_resume_goes_on() {
    let shop = slow();
    let child = begun(&shop);
    signal(&child, "-INT");
    let stopped = ended(child, &shop);
    assert_eq!(stopped.code, 4, "{}", stopped.whole());
    for part in ["state: wave w1 is open:", "fix:   domicile resume w1", "code:  stopped"] {
        assert!(stopped.stderr.contains(part), "{}", stopped.stderr);
    }
    shop.consistent();
    hurry(&shop);
    let resumed = shop.ok(&["resume"]);
    assert!(resumed.stderr.contains("goes on"), "{}", resumed.whole());
    all_moved(&shop);
}

#[test]
fn a_killed_worker_loses_nothing() {
    let shop = slow();
    let child = begun(&shop);
    std::thread::sleep(std::time::Duration::from_millis(700));
    signal(&child, "-KILL");
    ended(child, &shop);
    hurry(&shop);
    shop.ok(&["status"]);
    shop.ok(&["resume"]);
    all_moved(&shop);
}

#[test]
fn abort_leaves_the_source_as_it_was() {
    let shop = slow();
    let child = begun(&shop);
    signal(&child, "-KILL");
    ended(child, &shop);
    let aborted = shop.ok(&["abort", "w1"]);
    let stays = shop.number("shop.db", "SELECT count(*) FROM domicile_home WHERE state = 'h'");
    let moved = shop.number("de/shop.db", "SELECT count(*) FROM customer");
    assert_eq!(stays + moved, 541, "{}", aborted.whole());
    assert_eq!(shop.number("shop.db", "SELECT count(*) FROM customer"), 541);
    shop.consistent();
}

#[test]
fn a_second_move_of_the_same_wave_is_refused() {
    let shop = slow();
    shop.append("domicile.toml", "turn_ms = 1500\n");
    let child = begun(&shop);
    let second = shop.run(&["move", "plan.json"]);
    assert!(second.stderr.contains("code:  wave-held"), "{}", second.whole());
    assert_eq!(second.code, 1);
    signal(&child, "-INT");
    ended(child, &shop);
    hurry(&shop);
    shop.ok(&["resume"]);
    all_moved(&shop);
}

#[test]
fn pause_from_another_terminal() {
    let shop = slow();
    let child = begun(&shop);
    assert_snapshot!("pause", shop.ok(&["pause", "w1"]).whole());
    assert!(shop.ok(&["status"]).stdout.contains("paused"));
    hurry(&shop);
    assert_snapshot!("unpause", shop.ok(&["resume", "w1"]).stdout);
    let moved = ended(child, &shop);
    assert_eq!(moved.code, 0, "{}", moved.whole());
    all_moved(&shop);
}

/// One wave is under way: `abort` and `pause` need not be told which.
#[test]
fn abort_from_another_terminal_without_a_name() {
    let shop = slow();
    let child = begun(&shop);
    shop.ok(&["pause"]);
    let aborted = shop.ok(&["abort"]);
    assert!(aborted.stdout.contains("wave w1 is ended"), "{}", aborted.whole());
    let worker = ended(child, &shop);
    assert_eq!(worker.code, 4, "{}", worker.whole());
    assert!(worker.stderr.contains("code:  abort-asked"), "{}", worker.whole());
    let none = shop.run(&["abort"]);
    assert_eq!(none.code, 1, "{}", none.whole());
    assert!(none.stderr.contains("no wave is under way"), "{}", none.whole());
    shop.consistent();
}

#[test]
fn a_table_altered_before_resume_stops_the_wave() {
    let shop = slow();
    let child = begun(&shop);
    signal(&child, "-INT");
    ended(child, &shop);
    hurry(&shop);
    shop.db("shop.db").execute_batch("ALTER TABLE customer ADD COLUMN nickname TEXT").expect("altered");
    let refused = shop.run(&["resume"]);
    assert_eq!(refused.code, 1, "{}", refused.whole());
    assert!(refused.stderr.contains("code:  schema-changed"), "{}", refused.whole());
    assert_eq!(shop.number("shop.db", "SELECT count(*) FROM customer"), 541);
    shop.db("shop.db").execute_batch("ALTER TABLE customer DROP COLUMN nickname").expect("altered back");
    shop.ok(&["resume"]);
    all_moved(&shop);
}

#[test]
fn status_says_whether_a_worker_is_alive() {
    let shop = slow();
    shop.append("domicile.toml", "turn_ms = 5000\n");
    let child = begun(&shop);
    let alive = shop.ok(&["status"]);
    for part in ["running", "running (worker seen", "ago: pid"] {
        assert!(alive.stdout.contains(part), "{}", alive.stdout);
    }
    signal(&child, "-KILL");
    ended(child, &shop);
    let began = std::time::Instant::now();
    let mut dead = shop.ok(&["status"]).stdout;
    while !dead.contains("no worker: `domicile resume w1` goes on") {
        assert!(began.elapsed().as_secs() < 120, "{dead}");
        dead = shop.ok(&["status"]).stdout;
    }
    let json: serde_json::Value =
        serde_json::from_str(&shop.ok(&["status", "--json"]).stdout).expect("an object");
    assert_eq!(json["waves"][0]["worker"], serde_json::Value::Null, "{json:#}");
    hurry(&shop);
    shop.ok(&["resume", "w1"]);
    all_moved(&shop);
}

/// A wave is open and its worker gone: its subjects are left alone, that is said, and it is not "all is well".
#[test]
fn reconcile_says_that_a_wave_is_in_the_way() {
    let shop = slow();
    let child = begun(&shop);
    let began = std::time::Instant::now();
    while shop.number("shop.db", "SELECT count(*) FROM domicile_home WHERE state = 'm'") == 0 {
        assert!(began.elapsed().as_secs() < 120, "nobody begins to move");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    signal(&child, "-KILL");
    ended(child, &shop);
    let left = shop.run(&["region", "reconcile", "us"]);
    assert_eq!(left.code, 4, "{}", left.whole());
    for said in ["in a wave that is under way: left alone", "domicile resume", "domicile region reconcile us"]
    {
        assert!(left.stdout.contains(said), "no `{said}` in {}", left.whole());
    }
    hurry(&shop);
    shop.ok(&["resume"]);
    shop.ok(&["region", "reconcile", "us"]);
}

/// The worker is killed between the seal and the swap: `pause` waits for its lease to run out, and frees them.
#[test]
fn pause_brings_to_rest_what_a_killed_worker_left() {
    let shop = slow();
    shop.append("domicile.toml", "turn_ms = 1500\n");
    let child = begun(&shop);
    let moving = "SELECT count(*) FROM domicile_home WHERE state = 'm'";
    let began = std::time::Instant::now();
    while shop.number("shop.db", moving) == 0 {
        assert!(began.elapsed().as_secs() < 120, "nobody begins to move");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    signal(&child, "-KILL");
    ended(child, &shop);
    let id = shop.number("shop.db", "SELECT min(subject) FROM domicile_home WHERE state = 'm'");
    // Where it stands between the two: no clock ends this.
    let seal = format!("UPDATE domicile_home SET state = 's' WHERE subject = {id}");
    assert_eq!(shop.db("shop.db").execute(&seal, []), Ok(1));
    let write = format!("UPDATE customer SET name = 'x' WHERE id = {id}");
    let refused = shop.db("shop.db").execute(&write, []).expect_err("sealed").to_string();
    assert!(refused.contains("RS001"), "{refused}");
    let paused = shop.ok(&["pause"]);
    let said = "1 subject was under a fence, whose worker is gone: brought to rest\neverybody can write";
    assert!(paused.stdout.contains(said), "{}", paused.whole());
    assert_eq!(shop.db("shop.db").execute(&write, []), Ok(1));
    hurry(&shop);
    shop.ok(&["resume"]);
    all_moved(&shop);
}

/// The turn is free, and a worker is there that looks for turns: `status` does not say that there is none.
#[test]
fn status_knows_the_worker_that_is_there() {
    let shop = slow();
    shop.append("domicile.toml", "turn_ms = 1500\n");
    let child = begun(&shop);
    shop.ok(&["pause"]);
    signal(&child, "-KILL");
    ended(child, &shop);
    let mut worker = shop.command(&["worker"]);
    let worker = worker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let wanted = "paused: `domicile resume w1`, and the worker that is there goes on";
    let began = std::time::Instant::now();
    let flat = || shop.ok(&["status"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut said = flat();
    while !said.contains(wanted) {
        assert!(began.elapsed().as_secs() < 120, "it never says `{wanted}`: {said}");
        said = flat();
    }
    assert!(!said.contains("no worker"), "{said}");
    signal(&worker, "-TERM");
    ended(worker, &shop);
    hurry(&shop);
    shop.ok(&["resume"]);
    all_moved(&shop);
}

/// `resume` of a wave whose worker lives waits for its turn; that the wave is moved by then is no failure.
#[test]
fn resume_of_a_wave_that_ends_meanwhile() {
    let shop = slow();
    shop.edit("domicile.toml", "rows_per_s = 200\n", "rows_per_s = 400\nturn_ms = 120000\n");
    let child = begun(&shop);
    let resumed = shop.ok(&["resume"]);
    assert!(resumed.stdout.contains("w1: moved; another worker has ended it"), "{}", resumed.whole());
    assert_eq!(ended(child, &shop).code, 0);
    all_moved(&shop);
    let over = shop.run(&["resume", "w1"]);
    assert_eq!(over.code, 1, "{}", over.whole());
}
