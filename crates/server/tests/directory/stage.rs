//! A directory service on a control store of its own, and requests to it.

use domicile_directory::{Directory, DirectoryKey, Swap};
use domicile_policy::{Latency, Policies, Region};
use domicile_server::directory::{DirectoryLimits, DirectoryService, Placing, Served, Spelling};
use domicile_server::listen::{ConnectionLimits, Listener, Stop, serve};
use domicile_server::token::Tokens;
use domicile_stores::control::{Control, ControlStore, Dialect, Rows, Statement};
use domicile_stores::records::SubjectId;
use domicile_testbed::postgres::Cluster;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

pub const TOKEN: &str = "a-token-for-the-tests";
const POLICIES: &str = r#"
@law("Act 1") @reason("residents of India stay in India")
forbid (principal, action in [Action::"store", Action::"transfer"], resource)
when { principal.residence == "IN" && resource.country != "IN" };
@law("Act 2") @reason("nobody's data may be in China but its residents'")
forbid (principal, action in [Action::"store", Action::"transfer"], resource)
when { principal.residence != "CN" && resource.country == "CN" };
@law("Act 3") @reason("the air force is nobody's business")
forbid (principal in Flag::"air-force", action, resource);
@law("Act 5") @reason("residents of Brazil go abroad if they agree to it")
forbid (principal, action, resource) when { principal.residence == "BR" }
unless { principal in Consent::"region_move" };
@law("Act 4") @reason("the rest is permitted")
permit (principal, action, resource);
"#;
const LATENCY: &str = "from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source\n\
                       user-FR,frankfurt,10,20,0,lastmile,E,-\n\
                       user-FR,mumbai,100,120,0,lastmile,E,-\n\
                       user-SG,mumbai,50,60,0,lastmile,E,-\n\
                       user-SG,frankfurt,150,160,0,lastmile,E,-\n";

/// A server; it ends with this.
pub struct Stage {
    pub url: String,
    pub directory: Arc<Directory>,
    pub stop: Stop,
    pub server: Option<tokio::task::JoinHandle<()>>,
    pub folder: tempfile::TempDir,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text))
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        assert_eq!(self.json()["status"], self.status.as_u16());
        self.json()["code"].as_str().expect("a code").to_owned()
    }

    pub fn tag(&self) -> &str {
        self.headers["etag"].to_str().expect("a tag")
    }
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(DirectoryLimits::default(), BTreeMap::new()).await
    }

    /// With these limits, and these addresses of regions.
    pub async fn with(limits: DirectoryLimits, endpoints: BTreeMap<String, String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ControlStore::open("sqlite:control.db", folder.path(), None).await.expect("a store");
        Self::over(store, folder, limits, endpoints).await
    }

    /// One on each kind of control store.
    pub async fn both() -> [Self; 2] {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let cluster = CLUSTER.get_or_init(Cluster::start);
        let database = format!("control{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        cluster.sql("postgres", &format!("create database {database}"));
        let folder = tempfile::tempdir().expect("a folder");
        let url = cluster.url("postgres", &database);
        let store = ControlStore::open(&url, folder.path(), None).await.expect("a store");
        let postgres = Self::over(store, folder, DirectoryLimits::default(), BTreeMap::new()).await;
        [Self::start().await, postgres]
    }

    /// One whose control store says where the feed is only once the gate has a permit, and adds one to `held` before.
    pub async fn held(gate: Arc<Semaphore>, held: Arc<Semaphore>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ControlStore::open("sqlite:control.db", folder.path(), None).await.expect("a store");
        Self::over(Held { store, gate, held }, folder, DirectoryLimits::default(), BTreeMap::new()).await
    }

    async fn over(
        store: impl Control + 'static,
        folder: tempfile::TempDir,
        limits: DirectoryLimits,
        endpoints: BTreeMap<String, String>,
    ) -> Self {
        let directory = Arc::new(Directory::open(store, DirectoryKey::generate().expect("a key")));
        directory.migrate().await.expect("tables");
        let stop = Stop::default();
        let services = vec![
            served("shop", Spelling::Text, &endpoints),
            served("numbers", Spelling::Integer, &endpoints),
        ];
        let tokens = Tokens::read(TOKEN).expect("a token");
        let service = DirectoryService::new(directory.clone(), services, tokens, limits, stop.clone());
        let at = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(at, None, false, ConnectionLimits::default()).expect("a port");
        let url = format!("http://{}", listener.address().expect("an address"));
        let answer = move |_, request| {
            let service = service.clone();
            async move { service.answer(request).await }
        };
        let server = Some(tokio::spawn(serve(listener, stop.clone(), answer)));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url, directory, stop, server, folder, client }
    }

    /// A request with a token, and a body of JSON or none.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let mut all = vec![("authorization", bearer.as_str())];
        if body.is_some() {
            all.push(("content-type", "application/json"));
        }
        all.extend(headers);
        self.raw(method, path, &all, body.map_or(String::new(), |b| b.to_string())).await
    }

    /// A request with exactly these headers.
    pub async fn raw(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).expect("a request");
        let answer = self.client.request(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    /// Moves a subject of the service `shop`.
    pub async fn swap(&self, subject: &str, from: &str, epoch: u64, to: &str) {
        let swap = Swap { subject: SubjectId(subject.into()), from: from.into(), epoch, attempt: 0 };
        let moved = self.directory.cutover("shop", &[swap], to).await.expect("a swap");
        assert_eq!(moved.len(), 1);
    }
}

fn served(name: &str, spelling: Spelling, endpoints: &BTreeMap<String, String>) -> Served {
    let policies = Policies::parse(&[("test.cedar".into(), POLICIES.into())], &[]).expect("policies");
    let region = |id: &str, country: &str| {
        let country = country.parse().expect("a country");
        Region { id: id.into(), country, operator: country, opens: None, site: id.into() }
    };
    let regions = vec![region("mumbai", "IN"), region("frankfurt", "DE"), region("beijing", "CN")];
    let endpoints = regions.iter().map(|r| (r.id.clone(), endpoints.get(&r.id).cloned())).collect();
    let latency = Latency::parse_csv(LATENCY).expect("latency");
    let placing = Placing::new(policies, regions, vec!["profile".into()], latency, vec![]);
    Served { name: name.into(), endpoints, spelling, placing }
}

/// A control store that is slow to say where the feed is.
struct Held {
    store: ControlStore,
    gate: Arc<Semaphore>,
    held: Arc<Semaphore>,
}

#[async_trait::async_trait]
impl Control for Held {
    fn name(&self) -> String {
        self.store.name()
    }

    async fn dialect(&self) -> domicile_stores::Result<Dialect> {
        self.store.dialect().await
    }

    async fn run(&self, statements: Vec<Statement>) -> domicile_stores::Result<Vec<Rows>> {
        if statements[0].sql.starts_with("SELECT head FROM directory_feed") {
            self.held.add_permits(1);
            self.gate.acquire().await.expect("the gate is there").forget();
        }
        self.store.run(statements).await
    }
}
