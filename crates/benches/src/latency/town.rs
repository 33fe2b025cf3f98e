//! The servers: the sample application in every region, each with its own SQLite file, a directory, and gateways. Before:
//! one gateway in Beijing that keeps nothing, only so that TLS and HTTP/2 end in the same program on both sides. After: one
//! with an edge cache in every place that is somebody's nearest.

use super::browser::HOST;
use super::delayed::Delayed;
use super::market::{Case, Market, OLD};
use crate::Fallible;
use crate::line::Line;
use bytes::Bytes;
use domicile_directory::{Directory, DirectoryKey};
use domicile_policy::Country;
use domicile_sample::app::{self, Homes};
use domicile_sample::store::{Person, Store, Write};
use domicile_server::directory::Spelling;
use domicile_server::edge::{Asked, EdgeCache, EdgeSettings, PublicRoute, may_cache};
use domicile_server::gateway::{Gateway, Limits, Settings, SubjectRule, Upstream};
use domicile_server::listen::{Certificate, ConnectionLimits, Listener, Stop, serve};
use domicile_stores::control::ControlStore;
use domicile_stores::records::SubjectId;
use http::HeaderName;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The document of a page: so many notes of so many bytes, 16 KiB together.
const NOTES: usize = 32;
const NOTE_BYTES: usize = 450;
/// A photo on a lossy line takes minutes; the gateway's default of 60 s would end it.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// Before and after are two services of one directory.
const SERVICES: [&str; 2] = ["before", "after"];

/// Everything that answers; it ends with the value.
pub struct Town {
    /// PEM file of the certificate to trust.
    pub certificate: PathBuf,
    served: Arc<Certificate>,
    before: Arc<Gateway>,
    after: BTreeMap<String, Arc<Gateway>>,
    stop: Stop,
    _applications: watch::Sender<bool>,
    _between: Vec<Delayed>,
    _folder: TempDir,
}

impl Drop for Town {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

impl Town {
    /// Starts all; each market's user is in both homes, with a few notes.
    pub async fn start(case: &Case, markets: &[Market]) -> Fallible<Self> {
        let folder = tempfile::tempdir()?;
        let (_applications, ending) = watch::channel(false);
        let mut applications = BTreeMap::new();
        for region in &case.regions {
            let store =
                Store::open(&format!("sqlite:{}/{}.db", folder.path().display(), region.id), &region.id)?;
            furnish(&store, &region.id, markets).await?;
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            applications.insert(region.id.clone(), listener.local_addr()?);
            let homes = Homes::Here { region: region.id.clone(), store };
            tokio::spawn(app::serve(listener, homes, ending.clone()));
        }
        let directory = directory(&folder, markets).await?;
        let direct = applications.iter().map(|(id, at)| Ok((id.clone(), upstream(*at)?)));
        let upstreams = direct.collect::<Fallible<BTreeMap<_, _>>>()?;
        let before = gateway(&directory, SERVICES[0], OLD, upstreams, None, None).await?;
        let (mut after, mut _between) = (BTreeMap::new(), Vec::new());
        for edge in markets.iter().map(|m| &m.edge) {
            if !after.contains_key(edge) {
                let gateway =
                    edge_gateway(case, markets, edge, &directory, &applications, &mut _between).await?;
                after.insert(edge.clone(), gateway);
            }
        }
        let (certificate, served) = certificate(&folder)?;
        let stop = Stop::default();
        Ok(Self { certificate, served, before, after, stop, _applications, _between, _folder: folder })
    }

    /// Opens the market's gateway at one more address: before (0) or after (1).
    pub fn listen(&self, market: &Market, side: usize, at: IpAddr) -> Fallible<SocketAddr> {
        let after = self.after.get(&market.edge).ok_or("a market of another town")?;
        let gateway = if side == 0 { &self.before } else { after }.clone();
        let limits = ConnectionLimits { handshake: PATIENCE, head: PATIENCE, ..ConnectionLimits::default() };
        let listener = Listener::bind(SocketAddr::new(at, 0), Some(self.served.clone()), false, limits)?;
        let address = listener.address()?;
        tokio::spawn(serve(listener, self.stop.clone(), move |peer, request| {
            gateway.clone().answer(peer, request)
        }));
        Ok(address)
    }
}

fn certificate(folder: &TempDir) -> Fallible<(PathBuf, Arc<Certificate>)> {
    let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()])?;
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    fs::write(&chain, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    let served = Certificate::read(&chain, &key)?;
    Ok((chain, served))
}

/// Users of both times: those whose home it is, and in the old region everybody.
async fn furnish(store: &Store, region: &str, markets: &[Market]) -> Fallible<()> {
    store.prepare().await?;
    for market in markets.iter().filter(|m| m.home == region || region == OLD) {
        let (id, country) = (market.subject(), market.country.alpha2().to_owned());
        let person = Person { email: format!("{id}@example.org"), id, country };
        store.sign_up(&person, None).await?;
        for note in 0..NOTES {
            let write = Write::Add { key: format!("note-{note}"), text: "n".repeat(NOTE_BYTES) };
            store.write(&person.id, &write).await?;
        }
        // Else the first user would pay for the table's first page.
        let write = Write::Photo { name: "first".to_owned(), body: Bytes::from_static(b"photo") };
        store.write(&person.id, &write).await?;
    }
    Ok(())
}

async fn directory(folder: &TempDir, markets: &[Market]) -> Fallible<Arc<Directory>> {
    let store = ControlStore::open("sqlite:control.db", folder.path(), None).await?;
    let directory = Directory::open(store, DirectoryKey::generate()?);
    directory.migrate().await?;
    for market in markets {
        let subject = [SubjectId(market.subject())];
        for (service, home) in SERVICES.into_iter().zip([OLD, &market.home]) {
            directory.register(service, home, &subject).await?;
        }
    }
    Ok(Arc::new(directory))
}

fn upstream(at: SocketAddr) -> Fallible<Upstream> {
    Ok(Upstream { address: format!("http://{at}").parse()? })
}

async fn gateway(
    directory: &Arc<Directory>,
    service: &str,
    place: &str,
    upstreams: BTreeMap<String, Upstream>,
    edge: Option<EdgeCache>,
    stands_in: Option<String>,
) -> Fallible<Arc<Gateway>> {
    let settings = Settings {
        service: service.to_owned(),
        name: format!("{service}-{place}"),
        upstreams,
        subject: vec![SubjectRule::Header(HeaderName::from_static("x-subject"))],
        spelling: Spelling::Text,
        sign_up: None,
        logins: Vec::new(),
        edge,
        stands_in,
        well_known: None,
        trusts_forwarded: false,
        // Nobody moves here, and a machine that is busy with sixty users must not cost a gateway its lease.
        limits: Limits { answer: PATIENCE, lease: PATIENCE, ..Limits::default() },
    };
    Ok(Gateway::start(directory.clone(), settings).await?)
}

/// A gateway in that place. Applications of other places are as far away as the table says, by proxies in user space: kept
/// connections, so that neither handshakes nor slow starts are missing.
async fn edge_gateway(
    case: &Case,
    markets: &[Market],
    edge: &str,
    directory: &Arc<Directory>,
    applications: &BTreeMap<String, SocketAddr>,
    between: &mut Vec<Delayed>,
) -> Fallible<Arc<Gateway>> {
    let place = case.place(edge)?;
    let (mut upstreams, mut nearest) = (BTreeMap::new(), None);
    for region in &case.regions {
        let Some(at) = applications.get(&region.id) else { continue };
        // Whom the table does not connect nobody here is at home with.
        let Some(ms) = case.between_ms(place, region) else { continue };
        if nearest.as_ref().is_none_or(|(best, _)| ms < *best) {
            nearest = Some((ms, region.id.clone()));
        }
        let at = if ms > 0.0 { far(between, *at, ms).await? } else { *at };
        upstreams.insert(region.id.clone(), upstream(at)?);
    }
    let residents: Vec<Country> = markets.iter().filter(|m| m.edge == edge).map(|m| m.country).collect();
    let asked = Asked { policies: &case.policies, stands: place, mechanisms: &BTreeMap::new() };
    let cached = may_cache(asked, "public", &residents);
    let routes = vec![PublicRoute { cached, ..PublicRoute::new("/static/", "public") }];
    let cache = EdgeCache::new(EdgeSettings { routes, ..EdgeSettings::default() })?;
    let stands_in = nearest.map(|(_, region)| region);
    gateway(directory, SERVICES[1], edge, upstreams, Some(cache), stands_in).await
}

async fn far(between: &mut Vec<Delayed>, at: SocketAddr, ms: f64) -> Fallible<SocketAddr> {
    let round_trip = Duration::from_secs_f64(ms / 1000.0);
    let line = Line { round_trip, loss_ppm: 0, look: Duration::ZERO, bytes_per_s: [0; 2] };
    let delayed = Delayed::before(at, line).await?;
    let address = delayed.address;
    between.push(delayed);
    Ok(address)
}
