//! Listeners that are open, and their end.

use super::story::Story;
use crate::config;
use crate::failure::{self, Failure, Result};
use domicile_server::Body;
use domicile_server::admin::exposition;
use domicile_server::listen::{
    CONNECTIONS, Certificate, ConnectionLimits, Incoming, Listener, Peer, Stop, serve,
};
use http::{Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;

/// All that this process listens at.
pub struct Doors<'a> {
    story: &'a Story,
    /// Ends them.
    pub stop: Stop,
    open: JoinSet<()>,
    /// Connections that are open, by what is listened for.
    pub connections: Vec<(&'static str, Arc<AtomicU64>)>,
}

impl<'a> Doors<'a> {
    /// None yet.
    pub fn new(story: &'a Story, stop: &Stop) -> Self {
        Self { story, stop: stop.clone(), open: JoinSet::new(), connections: Vec::new() }
    }

    /// Tells whoever started it.
    pub fn say(&self, text: &str) {
        self.story.say(text);
    }

    /// Listens at each address.
    pub fn open<A, F>(
        &mut self,
        what: &'static str,
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
        let open = Arc::<AtomicU64>::default();
        self.connections.push((what, open.clone()));
        for address in &doors.addresses {
            let listener = Listener::bind(*address, certificate.clone(), has_proxy_header, limits);
            let mut listener = listener.map_err(|error| in_use(what, *address, &error))?;
            listener.open = open.clone();
            let scheme = if certificate.is_some() { "https" } else { "http" };
            let at = listener.address().map_or_else(|_| address.to_string(), |at| at.to_string());
            self.story.listens(what, scheme, &at);
            self.open.spawn(serve(listener, self.stop.clone(), answer.clone()));
        }
        Ok(())
    }

    /// Resolves when the last request is answered, or has had its time.
    pub async fn closed(mut self) {
        while self.open.join_next().await.is_some() {}
    }
}

/// As Prometheus reads them.
pub fn connections(open: &[(&'static str, Arc<AtomicU64>)]) -> String {
    // Several relays in one process are one line: a label twice would be an error for whoever reads.
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (what, open) in open {
        *sums.entry(format!("{{at=\"{what}\"}}")).or_default() += open.load(Ordering::Relaxed);
    }
    let (name, help) = CONNECTIONS;
    let samples: Vec<_> = sums.iter().map(|(labels, n)| (name, labels.as_str(), help, *n)).collect();
    exposition("gauge", &samples)
}

fn in_use(what: &str, address: std::net::SocketAddr, error: &std::io::Error) -> Box<Failure> {
    let fix = match what {
        // `--listen` moves the other doors, not this one.
        "admin" => {
            "one more process on this machine: --config with a copy of the file that has another port in [admin], or no [admin]"
        }
        "relay" => {
            "ss -ltnp   # who has it: a relay that runs already? Else another port in `listen` of its [[messaging.relay]]"
        }
        _ => "name another port in `listen`; one more process on this machine: --listen ADDRESS",
    };
    Failure::usage(
        "serve-address",
        format!("the {what} can't listen at {address}: {}", failure::reason(error)),
        "each process needs an address of its own, and ports below 1024 a privilege",
        fix,
    )
}
