//! Two regions with an application each, a directory, and a gateway in front.

use bytes::Bytes;
use domicile_directory::ClaimKind;
use domicile_directory::{Directory, DirectoryKey, SubjectHash};
use domicile_policy::{Latency, Policies, Region};
use domicile_server::body::{self, Body};
use domicile_server::directory::{Placing, Spelling};
use domicile_server::edge::EdgeCache;
use domicile_server::gateway::{
    Gateway, Limits, LoginRoute, Settings, SignUpRoute, SubjectRule, Upstream, Watch,
};
use domicile_server::listen::{ConnectionLimits, Listener, Stop, serve};
use domicile_stores::control::ControlStore;
use domicile_stores::records::SubjectId;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request as an application saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

/// An application that remembers what it was asked and answers as it is told.
#[derive(Clone, Default)]
pub struct Application {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// So many of the next requests are refused as a guard's refusal is.
    pub refuse: Arc<AtomicUsize>,
    /// Requests under way.
    pub under_way: Arc<AtomicUsize>,
    /// Answers wait for this.
    pub hold: Arc<tokio::sync::RwLock<()>>,
}

impl Application {
    pub async fn start(&self) -> SocketAddr {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(address, None, false, ConnectionLimits::default()).unwrap();
        let address = listener.address().unwrap();
        let me = self.clone();
        tokio::spawn(serve(listener, Stop::default(), move |_, request| {
            let me = me.clone();
            async move { me.answer(request).await }
        }));
        address
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        if request.headers().contains_key("upgrade") {
            return self.echo(hyper::upgrade::on(&mut request), request.uri().path());
        }
        if request.uri().path() == "/events" {
            return events();
        }
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let (parts, incoming) = request.into_parts();
        let body = incoming.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        drop(self.hold.read().await);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let less = |n: usize| n.checked_sub(1);
        if self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            let answer =
                Response::builder().status(StatusCode::MISDIRECTED_REQUEST).header("domicile-retry", "1");
            return answer.body(body::full("RS001")).unwrap();
        }
        let path = parts.uri.path_and_query().unwrap().to_string();
        let seen =
            Seen { method: parts.method.to_string(), path, headers: parts.headers, body: body.clone() };
        self.seen.lock().unwrap().push(seen);
        Response::builder()
            .header("x-answer", "yes")
            .header("connection", "x-gone")
            .header("x-gone", "1")
            .body(body::full(body))
            .unwrap()
    }

    /// Another protocol: whatever comes is said again.
    fn echo(&self, switched: hyper::upgrade::OnUpgrade, path: &str) -> Response<Body> {
        let seen =
            Seen { method: "GET".into(), path: path.into(), headers: Default::default(), body: Bytes::new() };
        self.seen.lock().unwrap().push(seen);
        tokio::spawn(async move {
            let (mut read, mut write) =
                tokio::io::split(hyper_util::rt::TokioIo::new(switched.await.unwrap()));
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
        let answer =
            Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        answer.body(body::empty()).unwrap()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub struct Town {
    pub directory: Arc<Directory>,
    pub old: Application,
    pub new: Application,
    pub gateway: Arc<Gateway>,
    pub address: SocketAddr,
    pub stop: Stop,
    pub client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
    _folder: Option<tempfile::TempDir>,
}

pub fn id(text: &str) -> SubjectId {
    SubjectId(text.into())
}

/// What a gateway is made of, besides its directory and regions.
#[derive(Default)]
pub struct These {
    pub limits: Limits,
    pub connections: ConnectionLimits,
    pub edge: Option<EdgeCache>,
    pub watch: Watch,
    pub trusts_forwarded: bool,
}

impl Town {
    pub async fn new() -> Self {
        Self::with(Limits::default(), ConnectionLimits::default()).await
    }

    pub async fn with(limits: Limits, connections: ConnectionLimits) -> Self {
        Self::of_these(These { limits, connections, ..These::default() }).await
    }

    /// One whose gateway keeps what is public, asked of the region `new`.
    pub async fn keeping(limits: Limits, connections: ConnectionLimits, edge: Option<EdgeCache>) -> Self {
        Self::of_these(These { limits, connections, edge, ..These::default() }).await
    }

    /// The same, and `watch` hears of every request.
    pub async fn watched(limits: Limits, connections: ConnectionLimits, watch: Watch) -> Self {
        Self::of_these(These { limits, connections, watch, ..These::default() }).await
    }

    pub async fn of_these(these: These) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = ControlStore::open("sqlite:control.db", folder.path(), None).await.unwrap();
        let directory = Arc::new(Directory::open(store, DirectoryKey::generate().unwrap()));
        directory.migrate().await.unwrap();
        directory.register("shop", "old", &[id("ann"), id("bob")]).await.unwrap();
        let (old, new) = (Application::default(), Application::default());
        let (at_old, at_new) = (old.start().await, new.start().await);
        Self::of(directory, (old, at_old), (new, at_new), these, Some(folder)).await
    }

    /// A second gateway of the same directory, whose old region is at another address.
    pub async fn beside(&self, old: SocketAddr) -> Self {
        self.beside_of(old, These::default()).await
    }

    /// The same, made of these.
    pub async fn beside_of(&self, old: SocketAddr, these: These) -> Self {
        let (application, new) = (Application::default(), Application::default());
        let at_new = new.start().await;
        Self::of(self.directory.clone(), (application, old), (new, at_new), these, None).await
    }

    pub async fn of(
        directory: Arc<Directory>,
        (old, at_old): (Application, SocketAddr),
        (new, at_new): (Application, SocketAddr),
        These { limits, connections, edge, watch, trusts_forwarded }: These,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let at = |address: SocketAddr| Upstream { address: format!("http://{address}").parse().unwrap() };
        let settings = Settings {
            service: "shop".into(),
            name: format!("gateway of {at_old}"),
            upstreams: BTreeMap::from([("new".into(), at(at_new)), ("old".into(), at(at_old))]),
            subject: vec![SubjectRule::Header(HeaderName::from_static("x-subject"))],
            spelling: Spelling::Text,
            sign_up: Some(sign_up()),
            logins: vec![LoginRoute { path: "/login".into(), kind: ClaimKind::Email, field: "email".into() }],
            edge,
            stands_in: Some("new".into()),
            well_known: None,
            trusts_forwarded,
            limits,
        };
        let gateway = Gateway::start_watched(directory.clone(), settings, watch).await.unwrap();
        let listener =
            Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None, false, connections).unwrap();
        let (address, stop) = (listener.address().unwrap(), Stop::default());
        let serving = gateway.clone();
        tokio::spawn(serve(listener, stop.clone(), move |peer, request| {
            serving.clone().answer(peer, request)
        }));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { directory, old, new, gateway, address, stop, client, _folder: folder }
    }

    pub fn hash(&self, subject: &str) -> SubjectHash {
        self.directory.hash("shop", &id(subject))
    }

    /// Asks as `subject`; (status, body).
    pub async fn ask(&self, method: &str, path: &str, subject: &str, body: &str) -> (StatusCode, String) {
        let answer = self.answer(method, path, subject, body).await;
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    pub async fn answer(&self, method: &str, path: &str, subject: &str, body: &str) -> Response<Incoming> {
        let uri = format!("http://{}{path}", self.address);
        let request = Request::builder().method(method).uri(uri).header("x-subject", subject);
        self.client.request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap()
    }

    /// Moves the subject's home in the directory, as a cutover does.
    pub async fn move_to(&self, subject: &str, from: &str, to: &str) {
        let home = self.directory.home("shop", &id(subject)).await.unwrap().unwrap();
        let swap = domicile_directory::Swap {
            subject: id(subject),
            from: from.into(),
            epoch: home.epoch,
            attempt: home.attempt,
        };
        assert_eq!(self.directory.cutover("shop", &[swap], to).await.unwrap().len(), 1);
    }

    /// What the gateway answers to these bytes, until it hangs up.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // It may hang up in the middle.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the gateway does not hang up after {:?}", String::from_utf8_lossy(bytes));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Waits for something that comes by itself.
    pub async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..12_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never came: {what}");
    }

    pub fn total(&self, labels: &str) -> u64 {
        self.gateway.counts.all().iter().filter(|c| c.1.contains(labels)).map(|c| c.3).sum()
    }
}

/// Indians may live in `new` only, Germans in `old`, nobody else anywhere.
fn sign_up() -> SignUpRoute {
    let rules = r#"
        @law("law") @reason("at home") permit (principal, action, resource)
        when { principal.residence == resource.country };
    "#;
    let policies = Policies::parse(&[("rules.cedar".to_owned(), rules.to_owned())], &[]).unwrap();
    let region = |id: &str, country: &str| {
        let country = country.parse().unwrap();
        Region { id: id.into(), country, operator: country, opens: None, site: id.into() }
    };
    let regions = vec![region("new", "IN"), region("old", "DE")];
    let placing = Placing::new(policies, regions, vec!["profile".into()], Latency::default(), Vec::new());
    SignUpRoute { path: "/people".into(), country: "country".into(), subject: "id".into(), placing }
}

/// One event at once, and the next never.
fn events() -> Response<Body> {
    let first = futures::stream::once(async {
        Ok::<_, body::BoxError>(http_body::Frame::data(Bytes::from("data: 1\n\n")))
    });
    let all = futures::StreamExt::chain(first, futures::stream::pending());
    let answer = Response::builder().header("content-type", "text/event-stream");
    answer.body(body::streamed(http_body_util::StreamBody::new(Box::pin(all)))).unwrap()
}
