//! Databases of regions, and instances of the application on them.

use domicile_sample::app::{self, Homes};
use domicile_sample::check::Region;
use domicile_sample::store::{Person, Store};
use domicile_testbed::postgres::Cluster;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::path::Path;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The databases of one or more regions.
pub enum Site {
    Postgres(Cluster),
    Sqlite(tempfile::TempDir),
}

/// An instance of the application.
pub struct Instance {
    pub base: String,
    end: watch::Sender<bool>,
    at_work: JoinHandle<std::io::Result<()>>,
}

impl Site {
    pub fn both() -> [Self; 2] {
        [Self::Postgres(Cluster::start()), Self::Sqlite(tempfile::tempdir().expect("a folder"))]
    }

    pub fn url(&self, region: &str) -> String {
        match self {
            Self::Postgres(cluster) => cluster.url("postgres", region),
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join(region).display()),
        }
    }

    /// A region's database with the application's tables.
    pub async fn region(&self, id: &str) -> Region {
        if let Self::Postgres(cluster) = self {
            cluster.sql("postgres", &format!("CREATE DATABASE {id}"));
        }
        let url = self.url(id);
        Store::open(&url, id).expect("a store").prepare().await.expect("tables");
        Region { id: id.to_owned(), url }
    }

    /// Statements as an administrator's.
    pub fn sql(&self, region: &str, sql: &str) {
        match self {
            Self::Postgres(cluster) => drop(cluster.sql(region, sql)),
            Self::Sqlite(folder) => run(&folder.path().join(region), sql),
        }
    }
}

fn run(path: &Path, sql: &str) {
    let db = rusqlite::Connection::open(path).expect("a file");
    db.busy_timeout(std::time::Duration::from_secs(5)).expect("a timeout");
    db.execute_batch(sql).expect(sql);
}

pub async fn person(region: &Region, id: &str) {
    let store = Store::open(&region.url, &region.id).expect("a store");
    let person = Person { id: id.into(), email: format!("{id}@example.org"), country: "DE".into() };
    assert!(store.sign_up(&person, None).await.expect("a sign-up"));
}

impl Instance {
    pub async fn start(region: &Region) -> Self {
        Self::start_at(region, "127.0.0.1:0").await
    }

    pub async fn start_at(region: &Region, address: &str) -> Self {
        let store = Store::open(&region.url, &region.id).expect("a store");
        let homes = Homes::Here { region: region.id.clone(), store };
        let listener = TcpListener::bind(address).await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (end, ending) = watch::channel(false);
        Self { base, end, at_work: tokio::spawn(app::serve(listener, homes, ending)) }
    }

    /// Ends it as SIGTERM would.
    pub async fn stop(self) {
        self.end.send_replace(true);
        self.at_work.await.expect("it ends").expect("without an error");
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).expect("a request");
        let client: Client<_, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let (head, body) = client.request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Said(Response::from_parts(head, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// An answer.
pub struct Said(pub Response<String>);

impl Said {
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub fn header(&self, name: &str) -> &str {
        self.0.headers().get(name).map_or("", |v| v.to_str().expect("text"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.0.body()).expect("JSON")
    }
}
