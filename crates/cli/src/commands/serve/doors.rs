//! Listeners that are open, and their end.

use crate::app::App;
use crate::config;
use crate::failure::{Failure, Result};
use domicile_server::Body;
use domicile_server::listen::{Certificate, ConnectionLimits, Incoming, Listener, Peer, Stop, serve};
use http::{Request, Response};
use std::sync::Arc;
use tokio::task::JoinSet;

/// All that this process listens at.
pub struct Doors<'a> {
    app: &'a App,
    /// Ends them.
    pub stop: Stop,
    open: JoinSet<()>,
}

impl<'a> Doors<'a> {
    /// None yet.
    pub fn new(app: &'a App, stop: &Stop) -> Self {
        Self { app, stop: stop.clone(), open: JoinSet::new() }
    }

    /// Tells whoever started it.
    pub fn say(&self, text: &str) {
        self.app.screen.say(text);
    }

    /// The certificate of these doors.
    pub fn certificate(&self, doors: &config::Doors) -> Result<Option<Arc<Certificate>>> {
        let Some((chain, key)) = &doors.tls else { return Ok(None) };
        let read = Certificate::read(chain, key).map_err(|error| {
            let why = "without it nobody can be answered encrypted";
            Failure::usage(
                "serve-certificate",
                error.to_string(),
                why,
                "correct certificate and private_key: PEM files of one pair",
            )
        });
        read.map(Some)
    }

    /// Listens at each address.
    pub fn open<A, F>(
        &mut self,
        what: &str,
        doors: &config::Doors,
        certificate: Option<Arc<Certificate>>,
        has_proxy_header: bool,
        limits: ConnectionLimits,
        answer: A,
    ) -> Result<()>
    where
        A: Fn(Peer, Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        for address in &doors.addresses {
            let listener = Listener::bind(*address, certificate.clone(), has_proxy_header, limits);
            let listener = listener.map_err(|error| in_use(what, *address, &error))?;
            let scheme = if certificate.is_some() { "https" } else { "http" };
            let at = listener.address().map_or_else(|_| address.to_string(), |at| at.to_string());
            self.app.screen.say(&format!("{what}: {scheme}://{at}"));
            self.open.spawn(serve(listener, self.stop.clone(), answer.clone()));
        }
        Ok(())
    }

    /// Resolves when the last request is answered, or has had its time.
    pub async fn closed(mut self) {
        while self.open.join_next().await.is_some() {}
    }
}

fn in_use(what: &str, address: std::net::SocketAddr, error: &std::io::Error) -> Box<Failure> {
    Failure::usage(
        "serve-address",
        format!("the {what} can't listen at {address}: {error}"),
        "each process needs an address of its own, and ports below 1024 a privilege",
        "name another port in `listen`",
    )
}
