//! `POST tag`: a number that was proven before is found again, after a move or under a new generation of the region's key.

use super::refusals::{BROKEN, of_store, refused};
use super::routes::json;
use super::shared::Shared;
use crate::Problem;
use axum::extract::{Request, State};
use axum::response::Response;
use domicile_messaging::consent::Purpose;
use domicile_messaging::wire::{IdentityKeys, ProblemCode, Retag, Tagged};
use http::StatusCode;
use std::sync::Arc;

pub(super) async fn tag(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let caller = shared.admit(request, Purpose::ContactDiscovery).await?;
    let asked: Retag = caller.json()?;
    let mailbox = caller.mailbox()?;
    let forged = || refused(ProblemCode::NumberProofForged);
    // Whichever region sent the code: all relays know all service keys.
    let relay = shared.relay(&asked.number_proof.region).map_err(|_| forged())?;
    let proven = asked.number_proof.check(&relay.service_key, (&mailbox, &caller.device), &asked.number);
    proven.map_err(|fault| forged().because(fault.to_string()))?;
    let (id, device) = (mailbox.to_string(), caller.device.to_string());
    let identity = shared.mailboxes.identity(&id).await.map_err(|e| of_store(&e))?;
    let identity = identity.and_then(|bytes| IdentityKeys::from_bytes(&bytes)).ok_or(BROKEN)?;
    let tag = shared.tag(&asked.number, &mailbox, &identity);
    let sealed = shared.seal(&asked.number, &mailbox)?;
    match shared.mailboxes.tag((&id, &device), &tag, &sealed).await {
        Ok(true) => {}
        // Withdrawn, or taken over, since it was admitted.
        Ok(false) => return Err(refused(ProblemCode::ConsentWithdrawn).because("contact_discovery")),
        Err(refusal) if refusal.is_elsewhere() => return Err(shared.not_here(&id).await),
        Err(refusal) => return Err(of_store(&refusal)),
    }
    shared.mail.is_findable();
    Ok(json(StatusCode::OK, &Tagged { region: shared.region().clone(), generation: tag.generation }))
}
