//! Rows with two sides: what the answers `null`, `keep-id` and `refuse` come to, up to the erase.

use crate::trouble::service_that;
use crate::world::{Engine, Ground, World, ask};
use domicile_mover::WaveReport;
use domicile_mover::plan;
use domicile_mover::wave::{self, Options};

/// Foreign keys to another subject's row: by the subject's key, with an action, by a key of two columns of
/// which one can't be NULL, and from a table to itself.
const SIDES: &str = "
CREATE UNIQUE INDEX orders_pair ON orders(id, account_id);
CREATE TABLE messages(id BIGINT NOT NULL PRIMARY KEY, sender BIGINT NOT NULL REFERENCES accounts(id),
  recipient BIGINT REFERENCES accounts(id), body TEXT);
CREATE TABLE notes(id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts(id),
  about BIGINT REFERENCES accounts(id) ON DELETE CASCADE);
CREATE TABLE gifts(id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts(id),
  order_id BIGINT, giver BIGINT NOT NULL, FOREIGN KEY (order_id, giver) REFERENCES orders(id, account_id) ON DELETE RESTRICT);
ALTER TABLE accounts ADD COLUMN invited_by BIGINT REFERENCES accounts(id);
";

const ANSWERS: &[(&str, &str)] = &[
    ("owner:messages", "sender"),
    ("other:messages", "null"),
    ("owner:notes", "account_id"),
    ("other:notes", "null"),
    ("owner:gifts", "account_id"),
    ("other:gifts", "null"),
    ("other:accounts", "null"),
];

/// 1001 and 1002 stay at first; 1, 2, 3 move.
const ROWS: &str = "
INSERT INTO messages VALUES (1, 1001, 1, 'to one who moves');
INSERT INTO messages VALUES (2, 1, 1001, 'to one who stays');
INSERT INTO messages VALUES (3, 1, 2, 'both move');
INSERT INTO messages VALUES (4, 1002, 1, 'to one who moves');
INSERT INTO messages VALUES (5, 1002, 1001, 'at home');
INSERT INTO notes VALUES (1, 1001, 1);
INSERT INTO notes VALUES (2, 1, 1001);
INSERT INTO notes VALUES (3, 1002, 2);
INSERT INTO gifts VALUES (1, 1002, 10, 1);
INSERT INTO gifts VALUES (2, 1, 10010, 1001);
UPDATE accounts SET invited_by = 1 WHERE id IN (2, 1001, 1002);
UPDATE accounts SET invited_by = 1001 WHERE id = 1
";

async fn moved(world: &World) -> WaveReport {
    let service = world.service().await;
    let plan = plan::stored(&service, &ask()).await.unwrap();
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert!(report.left.is_empty(), "{:?}", report.left);
    report
}

async fn messages(world: &World, region: &str) -> Vec<String> {
    let sql = "SELECT id || ' ' || sender || ' ' || coalesce(CAST(recipient AS TEXT), '-') FROM messages ORDER BY id";
    world.app(region).await.texts(sql).await
}

/// Two waves whose copies at the old home point at each other, and rows of one who stays that point at both.
async fn null_lets_erase_finish(engine: Engine) {
    let ground = Ground { more: SIDES, rows: ROWS, answers: ANSWERS, ..Ground::plain(engine) };
    let world = World::on(ground, 3).await;
    let first = moved(&world).await;
    let old = world.app("old").await;
    old.exec("UPDATE accounts SET country = 'IN' WHERE id = 1001").await.unwrap();
    let second = moved(&world).await;
    assert_eq!(messages(&world, "old").await, ["1 1001 1", "2 1 1001", "3 1 2", "4 1002 1", "5 1002 1001"]);

    let service = world.service().await;
    let (erased, _) = wave::erase_wave(&service, &first.wave).await.unwrap();
    assert_eq!(erased.subjects, 3);
    assert_eq!(messages(&world, "old").await, ["1 1001 -", "4 1002 -", "5 1002 1001"]);
    let (erased, _) = wave::erase_wave(&service, &second.wave).await.unwrap();
    assert_eq!(erased.subjects, 1);
    assert_eq!(messages(&world, "old").await, ["4 1002 -", "5 1002 -"]);

    // Nothing else of a row that stays was touched, and no action of a foreign key reached it.
    assert_eq!(old.texts("SELECT body FROM messages ORDER BY id").await, ["to one who moves", "at home"]);
    let notes =
        "SELECT id || ' ' || account_id || ' ' || coalesce(CAST(about AS TEXT), '-') FROM notes ORDER BY id";
    assert_eq!(old.texts(notes).await, ["3 1002 -"]);
    let gifts =
        "SELECT id || ' ' || coalesce(CAST(order_id AS TEXT), '-') || ' ' || giver FROM gifts ORDER BY id";
    assert_eq!(old.texts(gifts).await, ["1 - 1"]);
    let accounts = "SELECT id || ' ' || coalesce(CAST(invited_by AS TEXT), '-') FROM accounts ORDER BY id";
    assert_eq!(old.texts(accounts).await, ["1002 -"]);

    let new = world.app("new").await;
    assert_eq!(messages(&world, "new").await, ["1 1001 -", "2 1 -", "3 1 -"]);
    assert_eq!(new.texts(notes).await, ["1 1001 -", "2 1 -"]);
    assert_eq!(new.texts(accounts).await, ["1 -", "2 -", "3 -", "1001 -"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn null_lets_erase_finish_on_sqlite() {
    null_lets_erase_finish(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn null_lets_erase_finish_on_postgres() {
    null_lets_erase_finish(Engine::Postgres).await;
}

/// A writer holds a row that refers to a moved subject: the erase gives way to it, waits for nobody, and
/// comes to its end once the writer has. The writer never sees a deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn erase_gives_way_to_writers_on_postgres() {
    let ground = Ground { more: SIDES, rows: ROWS, answers: ANSWERS, ..Ground::plain(Engine::Postgres) };
    let world = World::on(ground, 3).await;
    let wave = moved(&world).await.wave;
    let writer = world.app("old").await;
    writer.exec("BEGIN").await.unwrap();
    writer.exec("UPDATE messages SET body = 'being written' WHERE id = 4").await.unwrap();
    let service = world.service().await;
    let erasing = tokio::spawn(async move { wave::erase_wave(&service, &wave).await.unwrap().0 });
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    // Rows that the erase would have blanked by now if it held on to them.
    writer.exec("UPDATE messages SET body = 'being written' WHERE id = 1").await.unwrap();
    writer.exec("INSERT INTO messages VALUES (6, 1002, 2, 'late')").await.unwrap();
    writer.exec("COMMIT").await.unwrap();
    assert_eq!(erasing.await.unwrap().subjects, 3);
    assert_eq!(messages(&world, "old").await, ["1 1001 -", "4 1002 -", "5 1002 1001", "6 1002 -"]);
}

/// One foreign key, and rows that tie 1 and 2 to subjects who stay, and 4 to 5; 3 only to itself.
const TIES: &str = "
CREATE TABLE messages(id BIGINT NOT NULL PRIMARY KEY, sender BIGINT NOT NULL REFERENCES accounts(id),
  recipient BIGINT REFERENCES accounts(id), body TEXT);
";

const TIED: &str = "
INSERT INTO messages VALUES (1, 1, 1001, 'to one who stays');
INSERT INTO messages VALUES (2, 1002, 2, 'from one who stays');
INSERT INTO messages VALUES (3, 3, 3, 'to itself');
INSERT INTO messages VALUES (4, 4, 5, 'both would move');
INSERT INTO messages VALUES (5, 3, NULL, 'to nobody')
";

async fn refuse_holds_the_move_back(engine: Engine) {
    let answers: &[_] = &[("owner:messages", "sender"), ("other:messages", "refuse")];
    let ground = Ground { more: TIES, rows: TIED, answers, ..Ground::plain(engine) };
    let world = World::on(ground, 6).await;
    let service = world.service().await;
    let plan = plan::stored(&service, &ask()).await.unwrap();
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!(report.subjects, 2, "{:?}", report.left);
    assert_eq!(report.left.values().sum::<u64>(), 4, "{:?}", report.left);
    assert!(report.left.keys().all(|why| why.contains("ties it to another subject")), "{:?}", report.left);
    let done = world.verified(&report.receipts.clone().unwrap());
    assert_eq!(done.header.totals.subjects_moved, 2);
    wave::erase_wave(&service, &report.wave).await.unwrap();
    assert_eq!(messages(&world, "old").await, ["1 1 1001", "2 1002 2", "4 4 5"]);
    assert_eq!(messages(&world, "new").await, ["3 3 3", "5 3 -"]);
    // Who stays is at home there, and writes.
    let old = world.app("old").await;
    assert_eq!(old.exec("UPDATE accounts SET version = 1 WHERE id IN (1, 2, 4, 5)").await, Ok(4));

    // The tie is cut: they go with the next plan.
    old.exec("DELETE FROM messages WHERE id IN (1, 2, 4)").await.unwrap();
    assert_eq!(moved(&world).await.subjects, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn refuse_holds_the_move_back_on_sqlite() {
    refuse_holds_the_move_back(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refuse_holds_the_move_back_on_postgres() {
    refuse_holds_the_move_back(Engine::Postgres).await;
}

/// One who stays writes to one who moves after the copy: the fence finds it, and both stay.
async fn a_tie_that_comes_during_the_move_is_found(engine: Engine) {
    let answers: &[_] = &[("owner:messages", "sender"), ("other:messages", "refuse")];
    let ground = Ground { more: TIES, answers, ..Ground::plain(engine) };
    let world = std::sync::Arc::new(World::on(ground, 3).await);
    let (there, handle) = (world.clone(), tokio::runtime::Handle::current());
    let service = service_that(&world, "verify", move || {
        let (there, handle) = (there.clone(), handle.clone());
        let write = async move {
            let app = there.app("old").await;
            app.exec("INSERT INTO messages VALUES (1, 1002, 2, 'meanwhile')").await.unwrap();
        };
        tokio::task::block_in_place(move || handle.block_on(write));
    })
    .await;
    let plan = plan::stored(&service, &ask()).await.unwrap();
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!((report.subjects, report.left.values().sum::<u64>()), (2, 1), "{:?}", report.left);
    wave::erase_wave(&service, &report.wave).await.unwrap();
    assert_eq!(messages(&world, "old").await, ["1 1002 2"]);
    assert!(world.app("new").await.texts("SELECT country FROM accounts WHERE id = 2").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tie_that_comes_during_the_move_is_found_on_sqlite() {
    a_tie_that_comes_during_the_move_is_found(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tie_that_comes_during_the_move_is_found_on_postgres() {
    a_tie_that_comes_during_the_move_is_found(Engine::Postgres).await;
}

/// The column keeps the other subject's id at whichever home; the foreign key must not exist.
async fn keep_id_keeps_the_id(engine: Engine) {
    let kept = "CREATE TABLE messages(id BIGINT NOT NULL PRIMARY KEY, \
        sender BIGINT NOT NULL REFERENCES accounts(id), recipient BIGINT, body TEXT);";
    let ground = Ground { more: kept, rows: TIED, ..Ground::plain(engine) };
    let world = World::on(ground, 6).await;
    let wave = moved(&world).await;
    let (erased, _) = wave::erase_wave(&world.service().await, &wave.wave).await.unwrap();
    assert_eq!(erased.subjects, 6);
    assert_eq!(messages(&world, "old").await, ["2 1002 2"]);
    assert_eq!(messages(&world, "new").await, ["1 1 1001", "3 3 3", "4 4 5", "5 3 -"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_id_keeps_the_id_on_sqlite() {
    keep_id_keeps_the_id(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_id_keeps_the_id_on_postgres() {
    keep_id_keeps_the_id(Engine::Postgres).await;
}

/// With the foreign key the move does not begin, and says which it is.
#[tokio::test(flavor = "multi_thread")]
async fn keep_id_refuses_the_foreign_key_on_postgres() {
    let answers: &[_] = &[("owner:messages", "sender"), ("other:messages", "keep-id")];
    let ground = Ground { more: TIES, rows: TIED, answers, ..Ground::plain(Engine::Postgres) };
    let world = World::on(ground, 6).await;
    let service = world.service().await;
    let plan = plan::stored(&service, &ask()).await.unwrap();
    let error = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err().to_string();
    assert!(error.contains("DROP CONSTRAINT \"messages_recipient_fkey\""), "{error}");
}
