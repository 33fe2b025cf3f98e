//! ATTACKS A1: a swap whose answer was lost may land at any time, until a write has decided. D1 and U1
//! with sockets cut and a backend that waits for a row lock, and the same with doubles on both engines.

use crate::stage::{Fault, Stage, cluster, home, id, swap};
use domicile_directory::{Directory, Error, Settled};
use domicile_stores::control::ControlStore;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[tokio::test]
async fn a_swap_that_comes_after_its_cancel_never_lands() {
    for stage in Stage::both().await {
        let (worker, faulty) = stage.faulty();
        worker.register("shop", "bj", &[id(1), id(2)]).await.unwrap();
        let swaps = [swap(1, "bj", 1, 0), swap(2, "bj", 1, 0)];
        faulty.spoil(&[Fault::Late]);
        assert!(worker.cutover("shop", &swaps, "or").await.unwrap_err().is_unreachable());
        // A read alone says `bj`, which proves nothing yet.
        assert_eq!(worker.home("shop", &id(1)).await.unwrap(), Some(home("bj", 1, 0)));
        let cancelled = Settled::Cancelled { attempt: 1 };
        assert_eq!(worker.settle("shop", &swaps[0], "or").await.unwrap(), cancelled);
        faulty.release().await;
        // The late swap landed for the subject that was not settled, and for that one alone.
        assert_eq!(worker.home("shop", &id(1)).await.unwrap(), Some(home("bj", 1, 1)));
        assert_eq!(worker.home("shop", &id(2)).await.unwrap(), Some(home("or", 2, 0)));
        assert_eq!(worker.settle("shop", &swaps[1], "or").await.unwrap(), Settled::Moved);
        // The answer stays the same, and the next swap names the attempt.
        assert_eq!(worker.settle("shop", &swaps[0], "or").await.unwrap(), cancelled);
        assert_eq!(worker.cutover("shop", &swaps, "or").await.unwrap(), []);
        assert_eq!(worker.cutover("shop", &[swap(1, "bj", 1, 1)], "or").await.unwrap(), [id(1)]);
        assert_eq!(worker.home("shop", &id(1)).await.unwrap(), Some(home("or", 2, 0)));
    }
}

#[tokio::test]
async fn a_cancel_that_comes_late_cancels_nothing_newer() {
    for stage in Stage::both().await {
        let (worker, faulty) = stage.faulty();
        worker.register("shop", "bj", &[id(1)]).await.unwrap();
        let first = swap(1, "bj", 1, 0);
        // The cancel itself is lost once and comes late; its repetition decides.
        faulty.spoil(&[Fault::Late]);
        assert_eq!(worker.settle("shop", &first, "or").await.unwrap(), Settled::Cancelled { attempt: 1 });
        faulty.release().await;
        assert_eq!(worker.home("shop", &id(1)).await.unwrap(), Some(home("bj", 1, 1)), "once, not twice");
        assert_eq!(worker.cutover("shop", &[swap(1, "bj", 1, 1)], "or").await.unwrap(), [id(1)]);
        assert_eq!(worker.settle("shop", &swap(1, "bj", 1, 1), "or").await.unwrap(), Settled::Moved);
    }
}

#[tokio::test]
async fn a_subject_that_somebody_else_moved_is_no_answer() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.register("shop", "bj", &[id(1)]).await.unwrap();
        directory.cutover("shop", &[swap(1, "bj", 1, 0)], "sg").await.unwrap();
        let error = directory.settle("shop", &swap(1, "bj", 1, 0), "or").await.unwrap_err();
        assert!(matches!(error, Error::Elsewhere { count: 1, .. }), "{error}");
        let error = directory.settle("shop", &swap(2, "bj", 1, 0), "or").await.unwrap_err();
        assert!(matches!(error, Error::Elsewhere { count: 1, .. }), "{error}");
    }
}

/// D1: the swap's backend waits for a row lock and its client is gone. Whoever asks with a write waits
/// behind it and gets the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d1_a_swap_that_waits_for_a_lock_lands_without_its_client() {
    let (stage, wire, worker) = behind_a_wire().await;
    let directory = Arc::new(stage.directory());
    directory.register("shop", "bj", &[id(1)]).await.unwrap();
    let holder = holder(&stage).await;
    holder.batch_execute("begin; select 1 from directory_home for update").await.unwrap();
    let swapping = tokio::spawn(async move { worker.cutover("shop", &[swap(1, "bj", 1, 0)], "or").await });
    wait_for_waiters(&holder, 1).await;
    wire.cut();
    let error = swapping.await.unwrap().unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    // A read says the old home, although the swap is still going to land.
    assert_eq!(directory.home("shop", &id(1)).await.unwrap(), Some(home("bj", 1, 0)));
    let asking = Arc::clone(&directory);
    let settling = tokio::spawn(async move { asking.settle("shop", &swap(1, "bj", 1, 0), "or").await });
    wait_for_waiters(&holder, 2).await;
    assert!(!settling.is_finished(), "nobody knows yet");
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(settling.await.unwrap().unwrap(), Settled::Moved);
    assert_eq!(directory.home("shop", &id(1)).await.unwrap(), Some(home("or", 2, 0)));
}

/// The same with the cancel first in the queue: the abandoned swap then finds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d1_a_cancel_that_waits_before_the_swap_wins() {
    let (stage, wire, worker) = behind_a_wire().await;
    let directory = Arc::new(stage.directory());
    directory.register("shop", "bj", &[id(1)]).await.unwrap();
    let holder = holder(&stage).await;
    holder.batch_execute("begin; select 1 from directory_home for update").await.unwrap();
    let asking = Arc::clone(&directory);
    let settling = tokio::spawn(async move { asking.settle("shop", &swap(1, "bj", 1, 0), "or").await });
    wait_for_waiters(&holder, 1).await;
    let swapping = tokio::spawn(async move { worker.cutover("shop", &[swap(1, "bj", 1, 0)], "or").await });
    wait_for_waiters(&holder, 2).await;
    wire.cut();
    assert!(swapping.await.unwrap().unwrap_err().is_unreachable());
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(settling.await.unwrap().unwrap(), Settled::Cancelled { attempt: 1 });
    wait_for_writers_to_end(&holder).await;
    assert_eq!(directory.home("shop", &id(1)).await.unwrap(), Some(home("bj", 1, 1)));
}

/// U1: the swap is delayed on the wire until after the cancel.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn u1_a_swap_delayed_on_the_wire_never_lands_after_its_cancel() {
    let (stage, wire, worker) = behind_a_wire().await;
    let directory = stage.directory();
    directory.register("shop", "bj", &[id(1)]).await.unwrap();
    worker.version("shop").await.unwrap();
    wire.hold();
    let swapping = tokio::spawn(async move { worker.cutover("shop", &[swap(1, "bj", 1, 0)], "or").await });
    wire.wait_until_held().await;
    let settled = directory.settle("shop", &swap(1, "bj", 1, 0), "or").await.unwrap();
    assert_eq!(settled, Settled::Cancelled { attempt: 1 });
    wire.let_go();
    assert_eq!(swapping.await.unwrap().unwrap(), [], "the swap came, and found nothing");
    assert_eq!(directory.home("shop", &id(1)).await.unwrap(), Some(home("bj", 1, 1)));
}

/// A directory whose worker speaks to PostgreSQL over a wire that can be cut or held.
async fn behind_a_wire() -> (Stage, Wire, Directory) {
    let stage = Stage::postgres().await;
    stage.directory().migrate().await.unwrap();
    let wire = Wire::to(cluster().port).await;
    let database = stage.database.as_deref().unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}", wire.port);
    let store = ControlStore::open(&url, Path::new("."), None).await.unwrap();
    let worker = Directory::open(store, stage.key.clone());
    (stage, wire, worker)
}

async fn holder(stage: &Stage) -> tokio_postgres::Client {
    let url = cluster().url("postgres", stage.database.as_deref().unwrap());
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Waits until so many other sessions of this database wait for a lock.
async fn wait_for_waiters(client: &tokio_postgres::Client, count: i64) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() \
               and pid <> pg_backend_pid() and wait_event_type = 'Lock'";
    wait_until(client, sql, count).await;
}

/// Waits until no other session is inside a transaction.
async fn wait_for_writers_to_end(client: &tokio_postgres::Client) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() \
               and pid <> pg_backend_pid() and xact_start is not null";
    wait_until(client, sql, 0).await;
}

async fn wait_until(client: &tokio_postgres::Client, sql: &str, count: i64) {
    while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) != count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A TCP proxy in front of the server.
struct Wire {
    port: u16,
    cut: Arc<watch::Sender<bool>>,
    hold: Arc<watch::Sender<bool>>,
    held: Arc<watch::Sender<bool>>,
}

impl Wire {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let new = || Arc::new(watch::Sender::new(false));
        let wire = Self { port: listener.local_addr().unwrap().port(), cut: new(), hold: new(), held: new() };
        let (cut, hold, held) = (Arc::clone(&wire.cut), Arc::clone(&wire.hold), Arc::clone(&wire.held));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(carry(client, server, cut.subscribe(), hold.subscribe(), Arc::clone(&held)));
            }
        });
        wire
    }

    /// Closes the client's sockets; the server's stay open, as after a network that went away.
    fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Keeps writing transactions from the server from now on.
    fn hold(&self) {
        self.hold.send_replace(true);
    }

    async fn wait_until_held(&self) {
        self.held.subscribe().wait_for(|held| *held).await.unwrap();
    }

    fn let_go(&self) {
        self.hold.send_replace(false);
    }
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    mut cut: watch::Receiver<bool>,
    mut hold: watch::Receiver<bool>,
    held: Arc<watch::Sender<bool>>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forward = async {
        let mut buffer = vec![0; 65536];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            if *hold.borrow() && buffer[..n].windows(14).any(|w| w == b"directory_feed") {
                held.send_replace(true);
                let _ = hold.wait_for(|hold| !*hold).await.map(drop);
            }
            if to_server.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    };
    let was_cut = tokio::select! {
        () = forward => false,
        _ = tokio::io::copy(&mut from_server, &mut to_client) => false,
        done = async { cut.wait_for(|cut| *cut).await.map(drop) } => done.is_ok(),
    };
    if was_cut {
        drop((from_client, to_client));
        // The server's side stays open until the test ends.
        std::future::pending::<()>().await;
    }
}
