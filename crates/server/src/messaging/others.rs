//! What other regions' relays are asked about discovery: evaluations, entries, filters. One answer each, bounded, in time.

use super::outgoing::{Heard, Outgoing, Unheard};
use super::settings::RelayListed;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// An answer in JSON: the largest batch takes a quarter of it.
const JSON_BYTES_MAX: usize = 256 * 1024;

/// Asks other relays.
pub(super) struct Others {
    outgoing: Outgoing,
    bearer: HeaderValue,
}

impl Others {
    /// `token` is what relays show each other.
    ///
    /// # Errors
    /// In words: the token can't be sent, or TLS can't be set up.
    pub fn new(token: &SecretString) -> Result<Self, String> {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret().trim()));
        let mut bearer = bearer.map_err(|_| "the relays' token can't be sent in a header".to_owned())?;
        bearer.set_sensitive(true);
        let outgoing = Outgoing::new().map_err(|e| e.to_string())?;
        Ok(Self { outgoing, bearer })
    }

    /// Asks a question in JSON. `None`: no answer that can be used.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        relay: &RelayListed,
        path: &str,
        question: &impl Serialize,
        limit: Duration,
    ) -> Result<Answered<T>, Unheard> {
        let body = serde_json::to_vec(question).map_err(|_| Unheard::Unreachable)?;
        let request =
            Request::post(format!("{}{path}", relay.endpoint)).header(CONTENT_TYPE, "application/json");
        let heard = self.send(request.body(body.into()), JSON_BYTES_MAX, limit).await?;
        read(&heard)
    }

    /// Reads something in JSON.
    pub async fn get<T: DeserializeOwned>(
        &self,
        relay: &RelayListed,
        path: &str,
        limit: Duration,
    ) -> Result<Answered<T>, Unheard> {
        read(&self.bytes(relay, path, JSON_BYTES_MAX, limit).await?)
    }

    /// Reads bytes.
    pub async fn bytes(
        &self,
        relay: &RelayListed,
        path: &str,
        bytes_max: usize,
        limit: Duration,
    ) -> Result<Heard, Unheard> {
        let request = Request::get(format!("{}{path}", relay.endpoint)).body(Bytes::new());
        self.send(request, bytes_max, limit).await
    }

    async fn send(
        &self,
        request: http::Result<Request<Bytes>>,
        bytes_max: usize,
        limit: Duration,
    ) -> Result<Heard, Unheard> {
        let mut request = request.map_err(|_| Unheard::Unreachable)?;
        request.headers_mut().insert(AUTHORIZATION, self.bearer.clone());
        self.outgoing.ask(request, bytes_max, limit).await
    }
}

/// What another relay answered.
pub(super) enum Answered<T> {
    Yes(T),
    /// No, with this status.
    No(u16),
}

fn read<T: DeserializeOwned>(heard: &Heard) -> Result<Answered<T>, Unheard> {
    match heard.status {
        200 => serde_json::from_slice(&heard.body).map(Answered::Yes).map_err(|_| Unheard::Unreachable),
        status => Ok(Answered::No(status)),
    }
}
