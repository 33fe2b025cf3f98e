//! Discovery: which of a device's contacts have a mailbox, without the relay learning who they are.
//!
//! A device blinds its contacts' numbers once; its home relay evaluates them and has the others' relays do the same. It then looks
//! into filters by itself, and asks only for what it found. Charged is each element that is evaluated, at home, before it is.

use super::others::Answered;
use super::refusals::{REGION_AWAY, of_store, refused};
use super::routes::json;
use super::settings::RelayListed;
use super::shared::{Shared, now_ms};
use crate::Problem;
use axum::extract::{Request, State};
use axum::response::Response;
use domicile_messaging::consent::Purpose;
use domicile_messaging::wire::relay::RelayEvaluate;
use domicile_messaging::wire::{
    Blinded, Entry, Evaluate, Evaluated, Found, List, Lookup, MailboxId, ProblemCode, RegionEvaluated,
    RegionName,
};
use domicile_stores::mailboxes::{self, Charge, Charged};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// How long another region may take; one that takes longer is missing in the answer, and the device asks for it later.
const ANSWER: Duration = Duration::from_secs(10);

/// `POST discovery/evaluate`.
pub(super) async fn evaluate(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = shared.admit(request, Purpose::ContactDiscovery).await?;
    let asked: Evaluate = caller.json()?;
    if !asked.is_padded() {
        return Err(refused(ProblemCode::NotPadded));
    }
    let relays = shared.chosen(asked.regions.as_deref())?;
    shared.charge(&caller.mailbox()?, asked.blinded.len()).await?;
    let question = RelayEvaluate { blinded: asked.blinded };
    let results = relays.into_iter().map(|relay| shared.evaluated_by(relay, &question));
    let results = futures::future::join_all(results).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let results = results.into_iter().flatten().collect();
    let results = List::new(results).ok_or(super::refusals::BROKEN)?;
    Ok(json(StatusCode::OK, &Evaluated { results }))
}

/// `POST /v1/relay/evaluate`: the same for another region's user, who was charged there.
pub(super) async fn evaluate_for_relay(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let _place = shared.place()?;
    let asked: RelayEvaluate = shared.read_json(request).await?;
    if !domicile_messaging::wire::limits::EVALUATE_SIZES.contains(&asked.blinded.len()) {
        return Err(refused(ProblemCode::NotPadded));
    }
    let evaluated = shared.evaluated(asked.blinded.into_vec()).await?;
    Ok(json(StatusCode::OK, &evaluated))
}

/// `POST discovery/lookup`.
pub(super) async fn look_up(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = shared.admit(request, Purpose::ContactDiscovery).await?;
    let asked: Lookup = caller.json()?;
    caller.mailbox()?;
    let relay = shared.checked(&asked)?;
    if relay.region == *shared.region() {
        return Ok(json(StatusCode::OK, &shared.looked_up(&asked).await?));
    }
    match shared.others.ask::<Found>(relay, "/v1/relay/lookup", &asked, ANSWER).await {
        Ok(Answered::Yes(found)) if found.entries.len() == asked.locators.len() => {
            Ok(json(StatusCode::OK, &found))
        }
        Ok(Answered::No(409)) => Err(refused(ProblemCode::GenerationUnknown)),
        _ => Err(REGION_AWAY),
    }
}

/// `POST /v1/relay/lookup`: of this region only.
pub(super) async fn look_up_for_relay(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let _place = shared.place()?;
    let asked: Lookup = shared.read_json(request).await?;
    if shared.checked(&asked)?.region != *shared.region() {
        return Err(refused(ProblemCode::RegionUnknown));
    }
    Ok(json(StatusCode::OK, &shared.looked_up(&asked).await?))
}

impl Shared {
    async fn read_json<T: serde::de::DeserializeOwned>(&self, request: Request) -> Result<T, Problem> {
        let (parts, body) = self.read(request).await?;
        super::admit::is_json(&parts)?;
        domicile_messaging::wire::parse(&body).map_err(super::refusals::unreadable)
    }

    /// The relays that are asked: each once.
    fn chosen(&self, regions: Option<&[RegionName]>) -> Result<Vec<&RelayListed>, Problem> {
        let Some(regions) = regions else { return Ok(self.settings.relays.iter().collect()) };
        for region in regions {
            self.relay(region)?;
        }
        Ok(self.settings.relays.iter().filter(|relay| regions.contains(&relay.region)).collect())
    }

    /// A batch under one region's key; `None`: its relay does not answer. An error: the batch is none.
    async fn evaluated_by(
        &self,
        relay: &RelayListed,
        question: &RelayEvaluate,
    ) -> Result<Option<RegionEvaluated>, Problem> {
        if relay.region == *self.region() {
            return self.evaluated(question.blinded.to_vec()).await.map(Some);
        }
        let said = self.others.ask::<RegionEvaluated>(relay, "/v1/relay/evaluate", question, ANSWER).await;
        let wanted = question.blinded.len();
        match said {
            // Whether it is right is the device's to see: it has the proof, and the published key.
            Ok(Answered::Yes(one)) if one.region == relay.region && one.evaluated.len() == wanted => {
                Ok(Some(one))
            }
            Ok(Answered::No(422)) => Err(refused(ProblemCode::PointInvalid)),
            _ => Ok(None),
        }
    }

    /// Charges the account, under the generation of its home's key.
    async fn charge(&self, mailbox: &MailboxId, elements: usize) -> Result<(), Problem> {
        let charge = Charge {
            region: self.region().as_str().to_owned(),
            generation: self.generation(),
            elements: u32::try_from(elements).unwrap_or(u32::MAX),
            allowance: self.limits.discovery_allowance,
            a_day: self.limits.discovery_a_day,
            now_ms: now_ms(),
        };
        let mailbox = mailbox.to_string();
        match self.mailboxes.charge(&mailbox, &charge).await {
            Ok(Charged::Yes) => Ok(()),
            Ok(Charged::Spent { again_ms }) => {
                let wait = Duration::from_millis(again_ms.unsigned_abs());
                Err(refused(ProblemCode::BudgetSpent).retry_after(wait))
            }
            Err(refusal) if refusal.is_elsewhere() => Err(self.not_here(&mailbox).await),
            Err(refusal) => Err(of_store(&refusal)),
        }
    }

    /// The region that is looked into; its generation must be one that is served.
    fn checked(&self, asked: &Lookup) -> Result<&RelayListed, Problem> {
        if !asked.is_padded() {
            return Err(refused(ProblemCode::NotPadded));
        }
        let relay = self.relay(&asked.region)?;
        let is_served =
            relay.served(super::today()).any(|(generation, _, _)| *generation == asked.generation);
        if is_served { Ok(relay) } else { Err(refused(ProblemCode::GenerationUnknown)) }
    }

    async fn looked_up(&self, asked: &Lookup) -> Result<Found, Problem> {
        let locators: Vec<&[u8]> = asked.locators.iter().map(|locator| &locator.0[..]).collect();
        let found = self.mailboxes.look_up(self.region().as_str(), asked.generation, &locators).await;
        let found = found.map_err(|e| of_store(&e))?;
        let entries = futures::future::join_all(found.into_iter().map(|one| self.entry(one))).await;
        let entries = entries.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Found { entries: List::new(entries).ok_or(super::refusals::BROKEN)? })
    }

    /// What lies at a locator, of who lives here: one who has moved may have withdrawn at the new home since.
    async fn entry(&self, found: Option<mailboxes::Found>) -> Result<Option<Entry>, Problem> {
        let Some(found) = found else { return Ok(None) };
        let home = self.mail.moving.asked(&found.mailbox).await?;
        let is_here = home.is_some_and(|home| self.mail.moving.is_here(home));
        Ok(found.entry.try_into().ok().map(Entry).filter(|_| is_here))
    }

    /// Evaluates, beside the requests that wait for the database: a batch takes milliseconds of a core.
    async fn evaluated(&self, blinded: Vec<Blinded>) -> Result<RegionEvaluated, Problem> {
        let keys = self.discovery.clone();
        let evaluated = tokio::task::spawn_blocking(move || keys.evaluate(&blinded)).await;
        evaluated.map_err(|_| super::refusals::BROKEN)?.ok_or_else(|| refused(ProblemCode::PointInvalid))
    }
}
