//! `serve`: the processes that answer requests, the directory service and the gateway, until a signal comes.
//!
//! SIGHUP reads certificates and keys of tokens again; what can't be read stays as it was, and is said.

mod certificates;
mod doors;
mod gateway;
mod relays;
mod requests;
mod story;

use crate::app::App;
use crate::args::ServeArgs;
use crate::config::{Config, Service};
use crate::failure::{self, Failure, Result};
use crate::keys;
use crate::open::{self, Want};
use crate::screen::Answer;
use crate::signals::reloads;
use certificates::Certificates;
pub use certificates::{day as end_day, read as certificate, remark};
use domicile_datamap::Owner;
use domicile_directory::Directory;
use domicile_server::admin::Admin;
use domicile_server::directory::{DirectoryLimits, DirectoryService, Placing, Served, Spelling};
use domicile_server::gateway::{Gateway, Keys};
use domicile_server::listen::Stop;
use domicile_server::messaging::Relay;
use doors::Doors;
pub use gateway::stands;
pub use relays::{mailboxes, statement};
use requests::Watched;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use story::Story;

/// How fast a signal is heard.
const HEAR_EVERY: Duration = Duration::from_millis(50);

/// Serves until a signal comes; requests under way are finished first.
pub async fn run(app: &App, args: ServeArgs) -> Result<Answer> {
    let config = app.config()?;
    if !args.gateway && !args.directory && args.messaging.is_empty() {
        return Err(nothing(&config));
    }
    let directory = open::directory(&config).await?;
    let story = Story::new(app);
    story.starts(&args);
    let stop = Stop::default();
    let mut doors = Doors::new(&story, &stop);
    let mut serving = Serving::default();
    if args.directory {
        serve_directory(&config, &directory, &story, &mut doors, &mut serving).await?;
    }
    if args.gateway {
        let service = app.service(&config)?;
        let elsewhere = typed(&config, &args)?;
        gateway::serve(&config, service, elsewhere, directory.clone(), &story, &mut doors, &mut serving)
            .await?;
    }
    relays::serve(&config, &args.messaging, &directory, &story, &mut doors, &mut serving).await?;
    admin(&story, &config, &serving, &mut doors).await?;
    app.signals.be_careful_with_requests();
    let mut reload = reloads();
    loop {
        tokio::select! {
            () = reload.next() => serving.reload(&story),
            () = tokio::time::sleep(HEAR_EVERY) => {}
        }
        if app.signals.stopped() {
            break;
        }
        serving.certificates.look(&story);
        story.readiness(serving.gateway.as_deref());
    }
    story.stops();
    // New connections go elsewhere from here on; what is under way is finished, and no fence waits for this gateway.
    stop.stop();
    doors.closed().await;
    if let Some(gateway) = &serving.gateway {
        gateway.end().await;
    }
    serving.watched.end().await;
    Ok(Answer::new("stopped; nothing was cut off\n".to_owned(), json!({ "stopped": true })))
}

/// The doors that were typed instead of those of the configuration.
fn typed(config: &Config, args: &ServeArgs) -> Result<Option<crate::config::Doors>> {
    let Some(gateway) = config.gateway.as_ref().filter(|_| !args.listen.is_empty()) else { return Ok(None) };
    let doors = crate::config::Doors { addresses: args.listen.clone(), ..gateway.doors.clone() };
    match doors.addresses.iter().find(|a| doors.tls.is_none() && !a.ip().is_loopback()) {
        None => Ok(Some(doors)),
        Some(open) => Err(Failure::usage(
            "config-listen",
            format!("{open} would be listened at in the clear"),
            "what is sent there could be read on its way",
            "give [gateway] a certificate and private_key, or listen at 127.0.0.1",
        )),
    }
}

/// What is served, for reloads and the admin's address.
#[derive(Default)]
struct Serving {
    gateway: Option<Arc<Gateway>>,
    certificates: Certificates,
    keys: Option<Arc<Keys>>,
    directory: Option<DirectoryService>,
    watched: Watched,
    relays: Vec<Relay>,
}

impl Serving {
    fn reload(&mut self, story: &Story) {
        self.certificates.reload(story);
        match self.keys.as_ref().map(|keys| keys.reload()) {
            Some(Ok(())) => story.reloaded("keys of tokens", "read again", None),
            Some(Err(error)) => story.reloaded("keys of tokens", "the old ones stay", Some(&error)),
            None => {}
        }
    }
}

async fn serve_directory(
    config: &Config,
    directory: &Arc<Directory>,
    story: &Story,
    doors: &mut Doors<'_>,
    serving: &mut Serving,
) -> Result<()> {
    let Some(settings) = &config.directory else {
        return Err(no_table(config, "directory", DIRECTORY_EXAMPLE));
    };
    let mut all = Vec::new();
    for service in &config.services {
        let (spelling, placing) = rules(config, service, settings.key.as_deref()).await?;
        let endpoint = |r: &crate::config::Region| (r.id().to_owned(), r.endpoint.clone());
        let endpoints = config.regions_of(service).map(endpoint).collect();
        all.push(Served { name: service.name.clone(), endpoints, spelling, placing });
    }
    let tokens = keys::tokens(config, "directory")?;
    let served =
        DirectoryService::new(directory.clone(), all, tokens, DirectoryLimits::default(), doors.stop.clone());
    serving.directory = Some(served.clone());
    let certificate = certificates::read(&settings.doors)?;
    serving.certificates.keep("directory", certificate.clone(), story);
    doors.open("directory", &settings.doors, certificate, false, Default::default(), move |_, request| {
        let served = served.clone();
        async move { served.answer(request).await }
    })?;
    Ok(())
}

/// How a service's keys are spelt, and where its new subjects go.
async fn rules(config: &Config, service: &Service, key: Option<&str>) -> Result<(Spelling, Placing)> {
    let spelling = match key {
        Some("integer") => Spelling::Integer,
        Some("uuid") => Spelling::Uuid,
        Some(_) => Spelling::Text,
        None => {
            let mapped = open::mapped(config, service, &Want::reachable()).await?;
            let root = mapped.layout.tables.first().ok_or_else(|| no_key(&service.name))?;
            // A subject's key need not be the table's primary one.
            let Owner::Root { column } = &root.owner else { return Err(no_key(&service.name)) };
            let column = root.columns.iter().find(|c| c.name == *column);
            let column = column.ok_or_else(|| no_key(&service.name))?;
            Spelling::of(&column.type_name)
        }
    };
    let map = failure::read_map(&service.map)?;
    let rules = open::rules(config, service, open::today())?;
    let regions = config.regions_of(service).map(|r| r.place.clone()).collect();
    let categories = crate::commands::explain::categories(&map);
    Ok((
        spelling,
        Placing::new(rules.policies, regions, categories, rules.latency, service.mechanisms.clone()),
    ))
}

async fn admin(story: &Story, config: &Config, serving: &Serving, doors: &mut Doors<'_>) -> Result<()> {
    let Some(address) = config.admin else { return Ok(()) };
    let (gateway, directory) = (serving.gateway.clone(), serving.directory.clone());
    let (relays, certificates) = (serving.relays.clone(), serving.certificates.all());
    let (open, dropped) = (doors.connections.clone(), serving.watched.dropped.clone());
    let ready = gateway.clone();
    let (stop, tokens) = (doors.stop.clone(), keys::tokens(config, "admin")?);
    let is_ready = move || !stop.is_stopped() && ready.as_ref().is_none_or(|g| g.is_ready());
    let metrics = move || {
        let gateway = gateway.as_ref().map(|g| g.metrics()).unwrap_or_default();
        let directory = directory.as_ref().map(DirectoryService::metrics).unwrap_or_default();
        gateway
            + &directory
            + &Relay::metrics(&relays)
            + &doors::connections(&open)
            + &certificates::metrics(&certificates)
            + &requests::metrics(&dropped)
    };
    let admin = Admin::new(tokens, is_ready, metrics);
    let at = crate::config::Doors { addresses: vec![address], tls: None };
    doors.open("admin", &at, None, false, Default::default(), move |_, request: http::Request<_>| {
        let answer = admin.answer(&request.into_parts().0);
        async move { answer }
    })?;
    let token = config.keys.join("admin.tokens");
    story.say(&format!("metrics want a token of {}", token.display()));
    Ok(())
}

/// The metric that this command adds to those of the server.
#[cfg(test)]
pub const LOG_LINES_DROPPED: &str = requests::DROPPED.0;

const DIRECTORY_EXAMPLE: &str = "[directory]\nlisten = [\"127.0.0.1:8081\"]";
const GATEWAY_EXAMPLE: &str = "[gateway]\nlisten = [\"127.0.0.1:8080\"]\nsubject = [\"header:X-Subject\"]";

fn nothing(config: &Config) -> Box<Failure> {
    Failure::usage(
        "usage",
        "serve what?",
        "a gateway, which brings requests to their subject's home, the directory service, which tells applications where it is, or a messaging relay",
        format!(
            "domicile serve --gateway      # {}\ndomicile serve --directory    # {}\ndomicile serve --messaging all    # {}",
            if config.gateway.is_some() { "[gateway] is there" } else { "needs [gateway]; docs/gateway.md" },
            if config.directory.is_some() {
                "[directory] is there"
            } else {
                "needs [directory]; docs/directory-service.md"
            },
            if config.messaging.is_some() {
                "[messaging] is there"
            } else {
                "needs [messaging]; docs/messaging.md"
            },
        ),
    )
}

fn no_table(config: &Config, name: &str, example: &str) -> Box<Failure> {
    let what = format!("{} has no [{name}]", config.file.display());
    Failure::usage("config-serve", what, "it says where to listen", format!("add:\n{example}"))
}

fn no_key(service: &str) -> Box<Failure> {
    Failure::usage(
        "serve-key",
        format!("how subjects of service `{service}` are spelt is not known"),
        "no region answers, so the type of the root table's key can't be read",
        "add key = \"integer\", \"uuid\" or \"text\" to [gateway] or [directory]",
    )
}
