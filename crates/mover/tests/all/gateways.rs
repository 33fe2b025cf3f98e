//! The mover and gateways: nobody is shut before every gateway that may route has seen it, and nothing of that stays.

use crate::world::{Engine, World, ask};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Service, plan};
use domicile_stores::records::{State, SubjectId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const PEOPLE: i64 = 12;
const GATEWAY: &str = "the gateway of this test";

fn people() -> Vec<SubjectId> {
    (1..=PEOPLE).map(|id| SubjectId(id.to_string())).collect()
}

/// A gateway that keeps its lease, and says of each park that it has seen it, after it has looked whether anybody of it is
/// shut already. Returns how often who was parked.
async fn faithful(service: Arc<Service>, mut stop: tokio::sync::watch::Receiver<bool>) -> Vec<usize> {
    let (directory, name) = (&service.directory, &service.name);
    let mut seen = BTreeSet::new();
    let mut parked = vec![0; PEOPLE as usize];
    loop {
        directory.renew_gateway(name, GATEWAY, Duration::from_secs(60)).await.unwrap();
        for park in directory.parks(name).await.unwrap() {
            if !seen.insert(park.number) {
                continue;
            }
            for (at, id) in people().iter().enumerate() {
                if park.subjects.contains(&directory.hash(name, id)) {
                    parked[at] += 1;
                    let home =
                        &service.regions["old"].records.homes(std::slice::from_ref(id)).await.unwrap()[0];
                    assert!(matches!(home.state, State::Home | State::Moving), "{home:?} before it was seen");
                }
            }
            directory.seen_park(name, park.number, GATEWAY).await.unwrap();
        }
        if *stop.borrow_and_update() {
            return parked;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_shut_before_the_gateways_have_seen_it() {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let world = World::new(engine, PEOPLE).await;
        let service = world.service().await;
        service.directory.renew_gateway(&service.name, GATEWAY, Duration::from_secs(60)).await.unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let gateway = tokio::spawn(faithful(world.service().await, stopped));
        let plan = plan::stored(&service, &ask()).await.unwrap();
        wave::run_plan(&service, &plan, &Options::default()).await.unwrap();
        stop.send_replace(true);
        let parked = gateway.await.unwrap();
        assert!(parked.iter().all(|times| *times >= 2), "for the mark and for the fence: {parked:?}");
        assert!(service.directory.parks(&service.name).await.unwrap().is_empty(), "every park was lifted");
        for home in service.directory.homes(&service.name, &people()).await.unwrap() {
            assert_eq!(home.unwrap().region, "new");
        }
    }
}

/// A gateway that was killed holds the wave up for its lease, and nobody is parked for as long.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gateway_that_says_nothing_is_waited_for_until_its_lease_ends() {
    let world = World::new(Engine::Postgres, PEOPLE).await;
    let service = world.service_with(None, |limits| limits.gateway_wait = Duration::from_millis(100)).await;
    service.directory.renew_gateway(&service.name, GATEWAY, Duration::from_secs(3)).await.unwrap();
    let plan = plan::stored(&service, &ask()).await.unwrap();
    wave::run_plan(&service, &plan, &Options::default()).await.unwrap();
    let gateways = service.directory.gateways(&service.name).await.unwrap();
    assert!(gateways.iter().all(|g| !g.is_live), "nobody was moved while it could still route: {gateways:?}");
    assert!(service.directory.parks(&service.name).await.unwrap().is_empty());
    for home in service.directory.homes(&service.name, &people()).await.unwrap() {
        assert_eq!(home.unwrap().region, "new");
    }
}
