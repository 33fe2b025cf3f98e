//! The worker dies at every call it makes, and the wave is paused, not resumed: whoever pauses it, or a worker that sees it
//! paused, brings everybody out of the fence, and begins nothing.

use crate::fuse::{Dies, Fuse};
use crate::world::{Engine, World, ask};
use domicile_directory::WaveState;
use domicile_mover::rest::{self, Rested};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Did, Part, Service, plan};
use domicile_stores::records::{State, SubjectId};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Subjects that nobody can write at the old home.
async fn shut(service: &Service) -> u64 {
    let states = service.regions["old"].records.status(false).await.unwrap().subjects;
    let shut = [State::Marking, State::Fencing, State::Fenced, State::Sealed];
    shut.iter().filter_map(|state| states.get(state)).sum()
}

/// By a worker that lives: it looks again and again, as long as the dead one's lease lasts.
async fn by_a_worker(service: &Arc<Service>, wave: &str) {
    let (mut part, began) = (Part::new(service.clone(), wave), Instant::now());
    loop {
        assert_eq!(part.go_on().await.unwrap(), Did::Nothing, "a paused wave is not gone on with");
        if shut(service).await == 0 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "nobody brings them to rest");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Subjects that were shut when the wave was paused, and were brought to rest by the command, by a worker.
type Brought = [u64; 2];

/// One life and death. False once the fuse was never reached.
async fn dies_at(engine: Engine, at: usize, dies: Dies, brought: &mut Brought) -> bool {
    let world = World::new(engine, 3).await;
    let fuse = Fuse::new(at, dies);
    let doomed = world.service_with(Some(fuse.clone()), |_| {}).await;
    let plan = plan::stored(world.service().await.as_ref(), &ask()).await.unwrap();
    let outcome = wave::run_plan(&doomed, &plan, &Options::default()).await;
    if !fuse.blown.load(Ordering::SeqCst) {
        assert!(outcome.is_ok(), "{engine:?}, call {at} was not reached");
        return false;
    }
    drop(doomed);
    let service = world.service().await;
    // In turns of those that matter, wherever in the sweep they come.
    let by_worker = brought[1] < brought[0];
    let what = format!("{engine:?}, call {at}, {dies:?}, by a worker: {by_worker}");
    let found = service.directory.wave("w1").await.unwrap();
    if found.is_none_or(|wave| wave.state != WaveState::Open) {
        return true;
    }
    service.directory.pause("w1").await.unwrap();
    let were = shut(&service).await;
    if by_worker {
        by_a_worker(&service, "w1").await;
    } else {
        let rested = rest::rest(&service, "w1").await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(rested, Rested { freed: were, in_hand: 0 }, "{what}");
    }
    assert_eq!(shut(&service).await, 0, "{what}");
    for id in 1..=3 {
        let home = service.directory.home("main", &SubjectId(id.to_string())).await.unwrap().unwrap();
        let write = format!("UPDATE accounts SET version = version + 1 WHERE id = {id}");
        assert_eq!(
            world.app(&home.region).await.exec(&write).await,
            Ok(1),
            "{what}: {id} at {}",
            home.region
        );
    }
    service.directory.resume("w1").await.unwrap();
    wave::resume(&service, "w1").await.unwrap_or_else(|e| panic!("{what}: {e}"));
    let new = world.dump("new").await;
    for id in 1..=3 {
        let row = format!("{id}|IN|a{id}@example|1");
        assert!(new["accounts"].contains(&row), "{what}: {row} is not among {:?}", new["accounts"]);
    }
    brought[usize::from(by_worker)] += were;
    true
}

async fn dies_everywhere(engine: Engine, step: usize) {
    let step = if std::env::var_os("DOMICILE_TORTURE").is_some() { 1 } else { step };
    let mut brought = Brought::default();
    for dies in [Dies::BeforeDone, Dies::AfterDone] {
        let mut at = 0;
        while dies_at(engine, at, dies, &mut brought).await {
            at += step;
        }
        assert!(at > 8 * step, "the sweep reached its end after call {at}");
    }
    assert!(brought.iter().all(|n| *n > 0), "some died with somebody under the fence: {brought:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_wave_comes_to_rest_on_sqlite() {
    dies_everywhere(Engine::Sqlite, 9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_wave_comes_to_rest_on_postgres() {
    dies_everywhere(Engine::Postgres, 13).await;
}
