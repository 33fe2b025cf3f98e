//! Filters: who may be found, as a set that a device reads whole and asks nothing of.
//!
//! This region's are built of the database's tags, after a change, the latest [`MessagingLimits::filter_every`](super::MessagingLimits) later; others' are mirrored from their
//! relays, so that a device reads them at home. One that can't be built or read anew stays as it was, until its generation's end.

use super::others::Answered;
use super::refusals::{BAD_REQUEST, NO_FILTER_YET, refused};
use super::routes::json;
use super::settings::RelayListed;
use super::shared::Shared;
use crate::Problem;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domicile_messaging::SigningKey;
use domicile_messaging::consent::Purpose;
use domicile_messaging::discovery::Filter;
use domicile_messaging::wire::limits::FILTER_BYTES_MAX;
use domicile_messaging::wire::{
    FilterListed, Filters as Listed, Key, List, Locator, ProblemCode, RegionName,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Locators of one look at the database.
const PAGE: u32 = 10_000;
/// After so many times [`MessagingLimits::filter_every`](super::MessagingLimits) this region's filter is built although nothing is known
/// to have changed it: moves, and what another process had no time to say.
const ANYWAY: u32 = 10;
/// Between two looks at least: contacts who register one after the other are one change.
const SOON: Duration = Duration::from_secs(2);
/// Of building: so many times what it took until the next one, so that it takes a twentieth of the time.
const BUILD_REST: u32 = 20;
/// Of mirroring: a filter of a million users in half a minute.
const MIRROR_BYTES_PER_S: f64 = 150_000.0;
/// How long another relay may take for its list, and for one filter.
const LIST: Duration = Duration::from_secs(10);
const FILTER: Duration = Duration::from_secs(300);

/// A region's name and the generation of its key.
type Which = (RegionName, u32);

/// Filters of all regions as they are served here.
#[derive(Default)]
pub(super) struct Filters {
    kept: Mutex<BTreeMap<Which, Arc<Kept>>>,
}

/// A filter.
struct Kept {
    etag: String,
    bytes: Bytes,
    entries: u64,
    /// Of the locators that it is built of; another region's: none.
    of: Option<[u8; 32]>,
}

impl Filters {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<Which, Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, which: &Which) -> Option<Arc<Kept>> {
        self.kept().get(which).cloned()
    }

    fn put(&self, which: Which, filter: Kept) {
        self.kept().insert(which, Arc::new(filter));
    }
}

/// `GET filters`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let _caller = shared.admit(request, Purpose::ContactDiscovery).await?;
    shared.listed(|_| true)
}

/// `GET /v1/relay/filters`: this region's.
pub(super) async fn list_own(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let _place = shared.place()?;
    shared.listed(|region| region == shared.region())
}

/// `GET filters/{region}/{generation}`.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path((region, generation)) = path.map_err(|_| BAD_REQUEST)?;
    let headers = request.headers().clone();
    let _caller = shared.admit(request, Purpose::ContactDiscovery).await?;
    let region: RegionName = region.parse().map_err(|_| refused(ProblemCode::RegionUnknown))?;
    shared.served(&region, &generation, &headers)
}

/// `GET /v1/relay/filters/{generation}`: this region's.
pub(super) async fn one_own(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(generation) = path.map_err(|_| BAD_REQUEST)?;
    let _place = shared.place()?;
    shared.served(&shared.region().clone(), &generation, &headers)
}

impl Shared {
    fn listed(&self, wanted: impl Fn(&RegionName) -> bool) -> Result<Response, Problem> {
        let today = super::today();
        let mut listed = Vec::new();
        for relay in self.settings.relays.iter().filter(|relay| wanted(&relay.region)) {
            for (generation, _, _) in relay.served(today) {
                let Some(kept) = self.filters.get(&(relay.region.clone(), *generation)) else { continue };
                listed.push(FilterListed {
                    region: relay.region.clone(),
                    generation: *generation,
                    etag: kept.etag.parse().map_err(|_| super::refusals::BROKEN)?,
                    bytes: kept.bytes.len() as u64,
                    entries: kept.entries,
                });
            }
        }
        let listed: Listed = List::new(listed).ok_or(super::refusals::BROKEN)?;
        Ok(json(StatusCode::OK, &listed))
    }

    fn served(
        &self,
        region: &RegionName,
        generation: &str,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let unknown = || refused(ProblemCode::GenerationUnknown);
        let generation = generation.parse::<u32>().map_err(|_| unknown())?;
        let mut served = self.relay(region)?.served(super::today());
        if !served.any(|(known, _, _)| *known == generation) {
            return Err(unknown());
        }
        let kept = self.filters.get(&(region.clone(), generation)).ok_or(NO_FILTER_YET)?;
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let is_known = known.flat_map(|v| v.split(',')).any(|tag| tag.trim() == kept.etag);
        let mut answer = match is_known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => kept.bytes.clone().into_response(),
        };
        let headers = answer.headers_mut();
        headers.insert(ETAG, HeaderValue::try_from(&*kept.etag).map_err(|_| super::refusals::BROKEN)?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Ok(answer)
    }
}

/// Builds and mirrors filters beside the requests, until the relay stops. Small ones soon after a change, so that who registers is found
/// by a contact who looks a moment later; large ones as seldom as it takes, so that they cost neither the database nor the line more
/// than they may.
pub(super) fn follow(shared: Arc<Shared>) {
    for relay in shared.settings.relays.iter().filter(|relay| relay.region != *shared.region()) {
        tokio::spawn(mirrors(shared.clone(), relay.clone()));
    }
    tokio::spawn(builds(shared));
}

async fn builds(shared: Arc<Shared>) {
    let mut last: Option<Instant> = None;
    loop {
        let is_old = last.is_none_or(|last| last.elapsed() >= shared.limits.filter_every * ANYWAY);
        let mut took = Duration::ZERO;
        if shared.mail.neighbours.found() || is_old {
            let began = Instant::now();
            tokio::select! {
                () = build(&shared) => {}
                () = shared.stop.stopped() => return,
            }
            (last, took) = (Some(began), began.elapsed());
        }
        if rests(&shared, took * BUILD_REST).await {
            return;
        }
    }
}

async fn mirrors(shared: Arc<Shared>, relay: RelayListed) {
    loop {
        let read = tokio::select! {
            read = mirror(&shared, &relay) => read,
            () = shared.stop.stopped() => return,
        };
        if rests(&shared, Duration::from_secs_f64(read as f64 / MIRROR_BYTES_PER_S)).await {
            return;
        }
    }
}

/// Waits for so long, within bounds; whether the relay stops.
async fn rests(shared: &Shared, so_long: Duration) -> bool {
    let every = shared.limits.filter_every;
    tokio::select! {
        () = tokio::time::sleep(so_long.clamp(SOON.min(every), every)) => false,
        () = shared.stop.stopped() => true,
    }
}

/// This region's filters, of what is in the database now.
async fn build(shared: &Arc<Shared>) {
    let Ok(relay) = shared.relay(shared.region()) else { return };
    let generations: Vec<u32> = relay.served(super::today()).map(|(generation, _, _)| *generation).collect();
    shared
        .filters
        .kept()
        .retain(|(region, generation), _| region != shared.region() || generations.contains(generation));
    for generation in generations {
        let Some(locators) = locators(shared, generation).await else {
            // The database does not answer: what there is stays, and the next look builds it.
            shared.mail.neighbours.look_again();
            continue;
        };
        let which = (shared.region().clone(), generation);
        let before = shared.filters.get(&which).and_then(|kept| kept.of);
        let built = {
            let (key, which) = (shared.settings.service_key.clone(), which.clone());
            tokio::task::spawn_blocking(move || filter(&key, which, locators, before)).await
        };
        if let Ok(Some(built)) = built {
            shared.filters.put(which, built);
        }
    }
}

async fn locators(shared: &Shared, generation: u32) -> Option<Vec<Locator>> {
    let (mut all, mut after) = (Vec::new(), Vec::new());
    loop {
        let region = shared.region().as_str();
        let page = shared.mailboxes.locators_after(region, generation, &after, PAGE).await.ok()?;
        let is_last = page.len() < PAGE as usize;
        all.extend(page.iter().filter_map(|bytes| <[u8; 16]>::try_from(&**bytes).ok()).map(Locator));
        match page.into_iter().next_back() {
            Some(last) if !is_last => after = last,
            _ => return Some(all),
        }
    }
}

/// A filter of these, sorted and each once; `None`: it is the one that there is, or none can be built.
fn filter(
    key: &SigningKey,
    (region, generation): Which,
    locators: Vec<Locator>,
    before: Option<[u8; 32]>,
) -> Option<Kept> {
    let mut hash = Sha256::new();
    locators.iter().for_each(|locator| hash.update(locator.0));
    let of: [u8; 32] = hash.finalize().into();
    if before == Some(of) {
        return None;
    }
    let entries = locators.len() as u64;
    let bytes = super::secrets::filter(key, region, generation, locators)?;
    Some(Kept { etag: etag(&bytes), bytes: bytes.into(), entries, of: Some(of) })
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16]))
}

/// Another region's filters, where they are not the ones that there are; bytes that were read.
async fn mirror(shared: &Shared, relay: &RelayListed) -> usize {
    let listed = shared.others.get::<Listed>(relay, "/v1/relay/filters", LIST).await;
    // It does not answer: what was mirrored stays.
    let Ok(Answered::Yes(listed)) = listed else { return 0 };
    let (mut read, today) = (0, super::today());
    shared.filters.kept().retain(|(region, generation), _| {
        *region != relay.region || relay.served(today).any(|(served, _, _)| served == generation)
    });
    for one in listed.iter().filter(|one| one.region == relay.region) {
        let is_served = relay.served(today).any(|(generation, _, _)| *generation == one.generation);
        let which = (relay.region.clone(), one.generation);
        let is_here = shared.filters.get(&which).is_some_and(|kept| kept.etag == one.etag.as_str());
        if !is_served || is_here {
            continue;
        }
        let path = format!("/v1/relay/filters/{}", one.generation);
        let heard = shared.others.bytes(relay, &path, FILTER_BYTES_MAX, FILTER).await;
        if let Ok(heard) = heard
            && heard.status == 200
            && Filter::believe(&heard.body, &Key(relay.service_key.to_bytes())).is_ok()
        {
            read += heard.body.len();
            let kept = Kept { etag: etag(&heard.body), bytes: heard.body, entries: one.entries, of: None };
            shared.filters.put(which, kept);
        }
    }
    read
}
