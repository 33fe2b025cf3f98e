//! From a request to the door it knocks at.

use super::MailCall;
use super::limits::MessagingLimits;
use super::mail::{Mail, MailLimits, MailSettings};
use super::measure::{self, Measures};
use super::refusals::{BROKEN, UNAUTHORIZED_RELAY, refused};
use super::settings::{RelayListed, RelaySettings};
use super::shared::{RelayParts, Shared};
use super::{consents, discovery, filters, region, register, tags};
use crate::listen::Stop;
use crate::token::Tokens;
use crate::{Body, Problem, body};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domicile_messaging::wire::ProblemCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Answers devices and other relays for one region. Clones share everything.
#[derive(Clone)]
pub struct Relay {
    routes: TowerToHyperService<Router>,
    measures: Arc<Measures>,
    region: String,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("region", &self.region).finish_non_exhaustive()
    }
}

impl Relay {
    /// Serves a region. What it does beside its requests ends with `stop`.
    ///
    /// # Errors
    /// In words for its operator: a key that is none, TLS that can't be set up, a directory that does not answer.
    pub async fn start(
        settings: RelaySettings,
        parts: RelayParts,
        (limits, mail_limits): (MessagingLimits, MailLimits),
        stop: Stop,
    ) -> Result<Self, String> {
        let region = settings.region.as_str().to_owned();
        let listed = |r: &RelayListed| (r.region.as_str().to_owned(), Some(r.endpoint.as_str().to_owned()));
        let mail = MailSettings {
            service: settings.service.clone(),
            region: region.clone(),
            relays: settings.relays.iter().map(listed).collect(),
            token: settings.relay_token.clone(),
            tokens: settings.relay_tokens.clone(),
            limits: mail_limits,
        };
        let (directory, mailboxes) = (parts.directory.clone(), parts.mailboxes.clone());
        let mail = Box::pin(Mail::start(directory, mailboxes, mail, stop.clone())).await;
        let mail = mail.map_err(|e| e.to_string())?;
        let tokens = settings.relay_tokens.clone();
        let shared = Arc::new(Shared::new(settings, parts, mail, limits, stop)?);
        filters::follow(shared.clone());
        tokio::spawn(shared.clone().forgets());
        let routes = TowerToHyperService::new(router(shared, tokens));
        Ok(Self { routes, measures: Arc::default(), region })
    }

    /// Answers one request.
    pub async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Body> {
        let (began, operation) = (Instant::now(), measure::operation(request.method(), request.uri()));
        let mut answer = match self.routes.call(request).await {
            Ok(answer) => answer.map(body::streamed),
            Err(never) => match never {},
        };
        // By it a device whose clock is wrong corrects itself.
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
            answer.headers_mut().insert(DATE, date);
        }
        self.measures.note(operation, answer.status(), began.elapsed());
        answer
    }

    /// What all relays of this process count and measure, as Prometheus reads it.
    pub fn metrics<'a>(relays: impl IntoIterator<Item = &'a Self>) -> String {
        let relays: Vec<_> = relays.into_iter().map(|r| (r.region.as_str(), &*r.measures)).collect();
        measure::text(&relays)
    }
}

fn router(shared: Arc<Shared>, tokens: Tokens) -> Router {
    let relays = Router::new()
        .route("/v1/relay/evaluate", post(discovery::evaluate_for_relay))
        .route("/v1/relay/lookup", post(discovery::look_up_for_relay))
        .route("/v1/relay/filters", get(filters::list_own))
        .route("/v1/relay/filters/{generation}", get(filters::one_own))
        .route_layer(middleware::from_fn_with_state(tokens, admit_relay));
    // Whole paths, none nested: a proof is of the path as it was sent.
    Router::new()
        .route("/v1/messaging/region", get(region::region))
        .route("/v1/messaging/consents", post(consents::give))
        .route("/v1/messaging/token", post(consents::token))
        .route("/v1/messaging/register/start", post(register::start))
        .route("/v1/messaging/register/finish", post(register::finish))
        .route("/v1/messaging/tag", post(tags::tag))
        .route("/v1/messaging/discovery/evaluate", post(discovery::evaluate))
        .route("/v1/messaging/discovery/lookup", post(discovery::look_up))
        .route("/v1/messaging/filters", get(filters::list))
        .route("/v1/messaging/filters/{region}/{generation}", get(filters::one))
        .merge(relays)
        // Each door bounds what it reads; what a device is told is one answer.
        .layer(DefaultBodyLimit::disable())
        .fallback(mail)
        .method_not_allowed_fallback(|| async { refused(ProblemCode::Method) })
        .with_state(shared)
}

/// The mail's doors, which know their paths themselves; who asks is proven here.
async fn mail(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let path = request.uri().path();
    if path.starts_with("/v1/relay/") {
        // Before the body is read: a stranger's would be held in memory meanwhile.
        if !shared.mail.tokens.admit(request.headers()) {
            return Err(UNAUTHORIZED_RELAY);
        }
        let (parts, body) = shared.read(request).await?;
        let answer = shared.mail.answer_relay(parts.uri.path(), &parts.headers, &body);
        let answer = Box::pin(shared.in_time(answer)).await?;
        return Ok(answer.map(axum::body::Body::new));
    }
    let call = MailCall::of(request.method(), path, request.uri().query());
    let call = call.ok_or_else(|| refused(ProblemCode::NotFound))??;
    let purpose = call.purpose().parse().map_err(|_| BROKEN)?;
    let is_long = call.is_long();
    let caller = match is_long {
        true => shared.admit_to_wait(request, purpose).await?,
        false => shared.admit(request, purpose).await?,
    };
    let mailbox = caller.mailbox()?;
    let answer = shared.mail.answer((mailbox, &caller.device), call, &caller.body);
    let answer = match is_long {
        true => Box::pin(shared.while_held(&caller, mailbox, answer)).await?,
        false => Box::pin(shared.in_time(answer)).await?,
    };
    Ok(answer.map(axum::body::Body::new))
}

/// Lets other relays in.
async fn admit_relay(State(tokens): State<Tokens>, request: Request, next: Next) -> Response {
    if tokens.admit(request.headers()) {
        return next.run(request).await;
    }
    let mut answer = refused(ProblemCode::RelayUnknown).into_response();
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

/// An answer in JSON that nobody keeps.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(text) = serde_json::to_vec(value) else { return Problem::into_response(BROKEN) };
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}
