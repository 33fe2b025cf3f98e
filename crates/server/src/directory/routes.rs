//! From a request to the call that answers it.

use super::limits::DirectoryLimits;
use super::measure::{self, Measures};
use super::refusals::{
    self, AGAIN, BUSY, INVALID_PATH, NO_SUCH_METHOD, NO_SUCH_PATH, UNAUTHORIZED, UNKNOWN_SERVICE,
};
use super::service::{Following, Served};
use super::{claims, homes, request};
use crate::listen::Stop;
use crate::token::Tokens;
use crate::{Body, Problem, body};
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domicile_directory::Directory;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The description of all that is here, OpenAPI 3.1; in the repository docs/directory.openapi.json.
pub const OPENAPI: &str = include_str!("../../../../docs/directory.openapi.json");

/// Answers requests about homes and claims. Clones share everything.
#[derive(Clone)]
pub struct DirectoryService {
    routes: TowerToHyperService<Router>,
    measures: Arc<Measures>,
    limits: DirectoryLimits,
    waiters: Arc<Semaphore>,
}

impl std::fmt::Debug for DirectoryService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryService").finish_non_exhaustive()
    }
}

/// What all requests share.
pub(super) struct Shared {
    pub directory: Arc<Directory>,
    pub limits: DirectoryLimits,
    pub waiters: Arc<Semaphore>,
    pub stop: Stop,
    requests: Arc<Semaphore>,
    services: BTreeMap<String, Following>,
    tokens: Tokens,
}

/// A path that names a service, or what is wrong with it.
pub(super) type Of = Result<Path<String>, PathRejection>;

/// A call at a service; as long as it lives it has its place among those that are answered at once.
pub(super) struct Call<'s, T> {
    pub service: &'s Following,
    pub asked: T,
    pub place: OwnedSemaphorePermit,
}

impl Shared {
    /// The service of that name.
    pub fn service(&self, name: &str) -> Result<&Following, Problem> {
        self.services.get(name).ok_or(UNKNOWN_SERVICE)
    }

    /// A place among the requests that are answered at once.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.requests.clone().try_acquire_owned().map_err(|_| BUSY.retry_after(AGAIN))
    }

    /// What every call that sends something begins with, in this order: its path, its service, a place, its body.
    pub async fn call<T: DeserializeOwned>(&self, path: Of, sent: Request) -> Result<Call<'_, T>, Problem> {
        let Path(name) = path.map_err(|_| INVALID_PATH)?;
        let service = self.service(&name)?;
        let place = self.place()?;
        let asked = request::json(sent, &self.limits).await?;
        Ok(Call { service, asked, place })
    }

    /// What the directory says, in time.
    pub async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, domicile_directory::Error>>,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(self.limits.answer, call).await {
            Ok(answer) => answer.map_err(|e| refusals::of_directory(&e)),
            Err(_) => Err(refusals::AWAY.retry_after(AGAIN)),
        }
    }
}

impl DirectoryService {
    /// Serves these services from the directory. Long polls end with `stop`.
    pub fn new(
        directory: Arc<Directory>,
        services: Vec<Served>,
        tokens: Tokens,
        limits: DirectoryLimits,
        stop: Stop,
    ) -> Self {
        let following = |served: Served| (served.name.clone(), Following::new(directory.clone(), served));
        let services = services.into_iter().map(following).collect();
        let (requests, waiters) = (Semaphore::new(limits.requests), Semaphore::new(limits.waiters));
        let (requests, waiters) = (Arc::new(requests), Arc::new(waiters));
        let of_waiters = waiters.clone();
        let shared = Arc::new(Shared { directory, limits, waiters, stop, requests, services, tokens });
        let routes = TowerToHyperService::new(router(shared));
        Self { routes, measures: Arc::default(), limits, waiters: of_waiters }
    }

    /// Answers one request.
    pub async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Body> {
        let (began, operation) = (Instant::now(), measure::operation(request.method(), request.uri()));
        let answer = match self.routes.call(request).await {
            Ok(answer) => answer.map(body::streamed),
            Err(never) => match never {},
        };
        self.measures.note(operation, answer.status(), began.elapsed());
        answer
    }

    /// What it counts and measures, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        self.measures.text(self.limits.waiters.saturating_sub(self.waiters.available_permits()))
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let about = "/v1/services/{service}";
    Router::new()
        .route(&format!("{about}/homes"), post(homes::sign_up))
        .route(&format!("{about}/homes/lookup"), post(homes::look_up))
        .route(&format!("{about}/homes/{{subject}}"), get(homes::home).delete(homes::remove))
        .route(&format!("{about}/claims/resolve"), post(claims::resolve))
        .route(&format!("{about}/claims/reserve"), post(claims::reserve))
        .route(&format!("{about}/claims/commit"), post(claims::commit))
        .route(&format!("{about}/claims/release"), post(claims::release))
        .route_layer(middleware::from_fn_with_state(shared.clone(), admit))
        .route("/openapi.json", get(openapi))
        .fallback(|| async { NO_SUCH_PATH })
        .method_not_allowed_fallback(|| async { NO_SUCH_METHOD })
        .with_state(shared)
}

/// Lets those in who show a token.
async fn admit(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if shared.tokens.admit(request.headers()) {
        return next.run(request).await;
    }
    let mut answer = UNAUTHORIZED.into_response();
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=3600")], OPENAPI).into_response()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.answer().map(axum::body::Body::new)
    }
}

/// An answer in JSON that nobody keeps.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = match serde_json::to_vec(value) {
        Ok(text) => text,
        Err(_) => return refusals::BROKEN.into_response(),
    };
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}
