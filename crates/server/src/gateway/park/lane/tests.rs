use super::*;
use tokio::sync::mpsc;

const ANN: SubjectHash = SubjectHash([1; 16]);
const BOB: SubjectHash = SubjectHash([2; 16]);

fn lanes(per_subject: usize, in_all: usize, wait: Duration) -> Arc<Lanes> {
    Lanes::new(Bounds { wait, per_subject, in_all, released: 4 })
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_write_passes_where_nobody_is_parked() {
    let lanes = lanes(2, 2, LONG);
    let (one, two) = (lanes.enter(ANN, false).await.unwrap(), lanes.enter(ANN, false).await.unwrap());
    assert!(!one.has_waited && !two.has_waited);
    drop((one, two));
    assert_eq!(lanes.len(), 0, "a lane that nobody is in takes no memory");
}

#[tokio::test]
async fn a_park_waits_for_writes_under_way() {
    let lanes = lanes(2, 2, LONG);
    let pass = lanes.enter(ANN, false).await.unwrap();
    let drain = lanes.park(&[ANN, BOB]);
    let waited = tokio::spawn(async move { drain.done().await });
    tokio::task::yield_now().await;
    assert!(!waited.is_finished());
    drop(pass);
    waited.await.unwrap();
    lanes.park(&[ANN]).done().await;
    lanes.unpark(&[ANN]);
    lanes.unpark(&[ANN, BOB]);
    assert_eq!(lanes.len(), 0);
}

#[tokio::test]
async fn who_waits_goes_on_in_the_order_in_which_they_came() {
    let lanes = lanes(100, 100, LONG);
    drop(lanes.park(&[ANN]));
    let (said, mut heard) = mpsc::unbounded_channel();
    for n in 0..20 {
        let (mine, said) = (lanes.clone(), said.clone());
        tokio::spawn(async move {
            let pass = mine.enter(ANN, false).await.unwrap();
            said.send(n).unwrap();
            tokio::task::yield_now().await;
            drop(pass);
        });
        while lanes.waiting() <= n {
            tokio::task::yield_now().await;
        }
    }
    assert!(heard.try_recv().is_err());
    drop(lanes.enter(BOB, false).await.unwrap());
    lanes.unpark(&[ANN]);
    for n in 0..20 {
        assert_eq!(heard.recv().await, Some(n));
    }
    while lanes.len() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lanes.waiting(), 0);
}

#[tokio::test]
async fn a_client_that_has_gone_holds_nobody_up() {
    let lanes = lanes(100, 100, LONG);
    drop(lanes.park(&[ANN]));
    let mine = lanes.clone();
    let gone = tokio::spawn(async move { mine.enter(ANN, false).await.map(drop) });
    while lanes.waiting() < 1 {
        tokio::task::yield_now().await;
    }
    let mine = lanes.clone();
    let stays = tokio::spawn(async move { mine.enter(ANN, false).await.map(drop) });
    while lanes.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    lanes.unpark(&[ANN]);
    stays.await.unwrap().unwrap();
    assert_eq!((lanes.len(), lanes.waiting()), (0, 0));
}

#[tokio::test]
async fn more_than_may_wait_are_turned_away() {
    let lanes = lanes(2, 3, LONG);
    drop(lanes.park(&[ANN, BOB]));
    let mut waiting = Vec::new();
    for (subject, n) in [(ANN, 1), (ANN, 2), (BOB, 3)] {
        let mine = lanes.clone();
        waiting.push(tokio::spawn(async move { mine.enter(subject, false).await.map(drop) }));
        while lanes.waiting() < n {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(lanes.enter(ANN, false).await.map(drop), Err(Turned::Full));
    assert_eq!(lanes.enter(BOB, false).await.map(drop), Err(Turned::Full));
    lanes.unpark(&[ANN, BOB]);
    for one in waiting {
        one.await.unwrap().unwrap();
    }
    drop(lanes.enter(ANN, false).await.unwrap());
    assert_eq!((lanes.len(), lanes.waiting()), (0, 0));
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let lanes = lanes(2, 2, Duration::from_millis(50));
    drop(lanes.park(&[ANN]));
    assert_eq!(lanes.enter(ANN, false).await.map(drop), Err(Turned::TooLong));
    assert_eq!(lanes.waiting(), 0);
    lanes.unpark(&[ANN]);
    assert_eq!(lanes.len(), 0);
}

/// Who was refused comes before those who came later.
#[tokio::test]
async fn a_refused_write_is_the_first_again() {
    let lanes = lanes(9, 9, LONG);
    drop(lanes.park(&[ANN]));
    let (said, mut heard) = mpsc::unbounded_channel();
    for (n, again) in [(1, false), (0, true)] {
        let (mine, said) = (lanes.clone(), said.clone());
        tokio::spawn(async move {
            let _pass = mine.enter(ANN, again).await.unwrap();
            said.send(n).unwrap();
        });
        while lanes.waiting() < 2 - n {
            tokio::task::yield_now().await;
        }
    }
    lanes.unpark(&[ANN]);
    assert_eq!((heard.recv().await, heard.recv().await), (Some(0), Some(1)));
}

/// Many writers, parks that come and go, clients that leave: no write is under way while a drained park holds its subject.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_passes_a_park_that_has_drained() {
    let lanes = lanes(1000, 1000, LONG);
    let under_way = Arc::new(AtomicUsize::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (lanes, under_way) = (lanes.clone(), under_way.clone());
        writers.spawn(async move {
            for round in 0..300 {
                let short = Duration::from_micros(if (n + round) % 5 == 0 { 30 } else { 10_000_000 });
                let Ok(pass) = tokio::time::timeout(short, lanes.enter(ANN, false)).await else { continue };
                let pass = pass.unwrap();
                under_way.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                under_way.fetch_sub(1, Ordering::SeqCst);
                drop(pass);
            }
        });
    }
    let mut parks = 0;
    while !writers.is_empty() {
        lanes.park(&[ANN]).done().await;
        for _ in 0..20 {
            assert_eq!(under_way.load(Ordering::SeqCst), 0);
            tokio::task::yield_now().await;
        }
        lanes.unpark(&[ANN]);
        parks += 1;
        tokio::task::yield_now().await;
        while let Some(done) = writers.try_join_next() {
            done.unwrap();
        }
    }
    assert!(parks > 3, "{parks}");
    assert_eq!((lanes.len(), lanes.waiting()), (0, 0));
}
