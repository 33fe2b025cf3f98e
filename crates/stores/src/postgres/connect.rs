//! From a URL to a connection with pinned settings.
//!
//! `postgres://user[:password]@host[:port]/database[?...]`. Besides libpq's parameters the query takes
//! `sslrootcert=FILE` (PEM, in addition to the system's roots), `allow_plaintext=true` (for
//! `sslmode=disable` off loopback) and `standbys=a,b` (see [`super::Postgres::wait_for_standbys`]).

use super::failure::{self, Whose};
use super::socket::{self, CONNECT_LIMIT, PROBE_AFTER, PROBE_EVERY, PROBES, SILENCE_LIMIT};
use crate::error::{Error, Result, StoreName};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long one address may take until the session is there: name look-up, TLS and login, too. A server, or what
/// stands before it, may answer the first packet and nothing more.
const SESSION_LIMIT: Duration = Duration::from_secs(20);

/// Settings every connection starts with, whatever the role, the database or the server says: the
/// text of a value must be the same on both sides of a move, and a dead worker must not hold locks.
/// Sent in the startup packet, so they cost no round trip and survive `RESET ALL`.
pub(super) const PINNED: &[(&str, &str)] = &[
    ("timezone", "UTC"),
    ("datestyle", "ISO,YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
    ("quote_all_identifiers", "off"),
    ("transform_null_equals", "off"),
    ("default_transaction_deferrable", "off"),
    ("lc_monetary", "C"),
    ("standard_conforming_strings", "on"),
    ("search_path", "pg_catalog,pg_temp"),
    // Rows that a policy hides would be lost rows: an error instead.
    ("row_security", "off"),
    ("default_transaction_isolation", "read\\ committed"),
    ("default_transaction_read_only", "off"),
    ("synchronous_commit", "on"),
    // Limits. A COPY of one large subject over a thin pipe may well take long.
    ("statement_timeout", "3600000"),
    ("lock_timeout", "10000"),
    ("idle_in_transaction_session_timeout", "600000"),
    ("idle_session_timeout", "0"),
    ("client_connection_check_interval", "5000"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("jit", "off"),
    // Plans are kept for as long as a connection lives, those of foreign-key checks, too. Made while a new
    // home is still empty, they would read its tables whole for every row once it has filled.
    ("enable_seqscan", "off"),
];

/// A checked URL: everything needed to connect, and a name that is safe to print.
#[derive(Clone)]
pub(crate) struct Target {
    pub(super) whose: Whose,
    /// Standbys that must have flushed before a cutover.
    pub(super) standbys: Vec<String>,
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

/// Who is handed what a connection's notifications say.
type Told = Option<mpsc::Sender<String>>;

/// What our own parameters of the query said.
#[derive(Default)]
struct Extras {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    allow_plaintext: bool,
    standbys: Vec<String>,
}

impl Target {
    /// Checks the URL. `secret` is the password where the URL holds none.
    pub(crate) fn parse(url: &str, secret: Option<&SecretString>) -> Result<Self> {
        let (plain, extras) = split_query(url)?;
        // The driver's error may quote the URL with its password: its words are not passed on.
        let mut config: Config =
            plain.parse().map_err(|_| setting("not a URL of the form postgres://user@host:5432/database"))?;
        let Some(role) = config.get_user().map(str::to_owned) else {
            return Err(setting("the URL names no user: postgres://USER@host/database"));
        };
        if config.get_hosts().is_empty() {
            return Err(setting("the URL names no host: postgres://user@HOST/database"));
        }
        if config.get_dbname().is_none() {
            config.dbname(role.clone());
        }
        if let (None, Some(secret)) = (config.get_password(), secret) {
            config.password(secret.expose_secret());
        }
        let store = StoreName(printable(&config, &role));
        let tls = tls(&extras, local(&config), &store)?;
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        let options = PINNED.iter().map(|(k, v)| format!("-c {k}={v}"));
        let options: Vec<String> =
            config.get_options().map(str::to_owned).into_iter().chain(options).collect();
        config
            .options(options.join(" "))
            .application_name("domicile")
            .connect_timeout(CONNECT_LIMIT)
            .keepalives(true)
            .keepalives_idle(PROBE_AFTER)
            .keepalives_interval(PROBE_EVERY)
            .keepalives_retries(PROBES)
            .tcp_user_timeout(SILENCE_LIMIT);
        Ok(Self { whose: Whose { store, role }, standbys: extras.standbys, config, tls })
    }

    /// The same without settings: for the control store, which holds no rows whose text must agree, and
    /// may be another engine, which need not know them.
    /// Where it names several servers, the one that may be written to is looked for: after a fail-over that
    /// is another one. They share the time that one address may take.
    pub(crate) fn without_settings(mut self) -> Self {
        self.config.options("").application_name("domicile control");
        let hosts = self.config.get_hosts().len().max(1);
        if hosts > 1 {
            self.config.target_session_attrs(TargetSessionAttrs::ReadWrite);
            let share = u32::try_from(hosts + 1).unwrap_or(u32::MAX);
            self.config.connect_timeout(CONNECT_LIMIT / share);
        }
        self
    }

    /// The same under a name by which the server's list of sessions shows it.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.config.application_name(name);
        self
    }

    /// The URL as it may be printed.
    pub(crate) fn name(&self) -> &str {
        &self.whose.store.0
    }

    /// Opens one connection. The second value is filled with the reason once it has ended.
    pub(crate) async fn connect(&self) -> Result<(Client, Arc<OnceLock<String>>)> {
        self.connect_with(&self.config, None).await
    }

    /// The same under a name by which the server's list of sessions shows it.
    pub(super) async fn connect_as(&self, name: &str) -> Result<(Client, Arc<OnceLock<String>>)> {
        let mut config = self.config.clone();
        config.application_name(name);
        self.connect_with(&config, None).await
    }

    /// The same, with what its notifications say handed to `told`. Where that has no place for one the connection ends: a
    /// listener that missed something must know.
    pub(crate) async fn connect_and_listen(
        &self,
        told: mpsc::Sender<String>,
    ) -> Result<(Client, Arc<OnceLock<String>>)> {
        self.connect_with(&self.config, Some(told)).await
    }

    async fn connect_with(&self, config: &Config, told: Told) -> Result<(Client, Arc<OnceLock<String>>)> {
        let hosts = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(u32::MAX);
        let limit = SESSION_LIMIT.saturating_mul(hosts);
        // Boxed: the handshakes are large, and nobody who holds a connection's future has to be.
        match tokio::time::timeout(limit, Box::pin(self.session(config, told))).await {
            Ok(connected) => connected,
            Err(_) => {
                let why = format!("no session in {} s", limit.as_secs());
                Err(Error::Unreachable { store: self.whose.store.0.clone(), why })
            }
        }
    }

    async fn session(&self, config: &Config, told: Told) -> Result<(Client, Arc<OnceLock<String>>)> {
        let failed = |e| failure::map(&self.whose, "connecting", &e);
        let Some(server) = socket::single(config) else {
            return match &self.tls {
                Some(tls) => Box::pin(config.connect(tls.clone())).await.map(|both| driven(both, told)),
                None => Box::pin(config.connect(NoTls)).await.map(|both| driven(both, told)),
            }
            .map_err(failed);
        };
        let stream = socket::open(server).await.map_err(|error| self.unreachable(&error))?;
        match self.tls_for(server.0)? {
            Some(tls) => Box::pin(config.connect_raw(stream, tls)).await.map(|both| driven(both, told)),
            None => Box::pin(config.connect_raw(stream, NoTls)).await.map(|both| driven(both, told)),
        }
        .map_err(failed)
    }

    fn tls_for(
        &self,
        host: &str,
    ) -> Result<Option<<MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect>> {
        let make = |tls: &MakeRustlsConnect| {
            MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls.clone(), host)
                .map_err(|error| Error::Setting { what: format!("{}: `{host}`: {error}", self.whose.store) })
        };
        self.tls.as_ref().map(make).transpose()
    }

    fn unreachable(&self, error: &std::io::Error) -> Error {
        let why = format!("error connecting to server: {error}");
        Error::Unreachable { store: self.whose.store.0.clone(), why }
    }

    /// Asks the server to stop what a connection is doing. Best effort: nobody waits for the answer.
    pub(super) fn cancel(&self, token: tokio_postgres::CancelToken) {
        let target = self.clone();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let _ = target.ask_to_cancel(token).await;
        });
    }

    async fn ask_to_cancel(&self, token: tokio_postgres::CancelToken) -> Result<()> {
        let failed = |e| failure::map(&self.whose, "cancelling", &e);
        let Some(server) = socket::single(&self.config) else {
            return match &self.tls {
                Some(tls) => token.cancel_query(tls.clone()).await,
                None => token.cancel_query(NoTls).await,
            }
            .map_err(failed);
        };
        let stream = socket::open(server).await.map_err(|error| self.unreachable(&error))?;
        match self.tls_for(server.0)? {
            Some(tls) => token.cancel_query_raw(stream, tls).await,
            None => token.cancel_query_raw(stream, NoTls).await,
        }
        .map_err(failed)
    }

    /// The parameters of a libpq program: host, port, database, user, password (for its environment
    /// only), and `sslmode`.
    pub(super) fn for_libpq(&self) -> Vec<(&'static str, String)> {
        let config = &self.config;
        let mut vars = vec![("PGUSER", self.whose.role.clone()), ("PGAPPNAME", "domicile".to_owned())];
        if let Some(host) = config.get_hosts().first() {
            vars.push(("PGHOST", host_text(host)));
        }
        vars.push(("PGPORT", config.get_ports().first().unwrap_or(&5432).to_string()));
        vars.push(("PGDATABASE", config.get_dbname().unwrap_or_default().to_owned()));
        vars.push(("PGSSLMODE", if self.tls.is_some() { "require" } else { "disable" }.to_owned()));
        if let Some(password) = config.get_password() {
            vars.push(("PGPASSWORD", String::from_utf8_lossy(password).into_owned()));
        }
        vars
    }
}

/// A client whose connection is driven by a task of its own, and the reason for its end, once it has ended.
fn driven<S, T>(
    (client, connection): (Client, Connection<S, T>),
    told: Told,
) -> (Client, Arc<OnceLock<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ended = Arc::new(OnceLock::new());
    let mut reason = Reason { ended: ended.clone() };
    tokio::spawn(async move {
        match told {
            None => reason.keep(connection.await),
            Some(told) => reason.keep(listening(connection, told).await),
        }
    });
    (client, ended)
}

async fn listening<S, T>(
    mut connection: Connection<S, T>,
    told: mpsc::Sender<String>,
) -> std::result::Result<(), tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
        let AsyncMessage::Notification(notification) = message? else { continue };
        if told.try_send(notification.payload().to_owned()).is_err() {
            break;
        }
    }
    Ok(())
}

/// Keeps the words with which a connection ended: a statement in flight only learns "closed".
struct Reason {
    ended: Arc<OnceLock<String>>,
}

impl Reason {
    fn keep(&mut self, end: std::result::Result<(), tokio_postgres::Error>) {
        if let Err(e) = end {
            let words = e.as_db_error().map_or_else(|| e.to_string(), |db| db.message().to_owned());
            let _ = self.ended.set(words);
        }
    }
}

fn setting(what: &str) -> Error {
    Error::Setting { what: format!("records: {what}") }
}

/// Takes our own parameters out of the URL's query; the driver refuses what it does not know.
fn split_query(url: &str) -> Result<(String, Extras)> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(setting("a PostgreSQL URL starts with postgres://"));
    }
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), Extras::default())) };
    let (mut extras, mut rest) = (Extras::default(), Vec::new());
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("sslmode", v) => extras.sslmode = Some(v.to_owned()),
            ("sslrootcert", v) => extras.sslrootcert = Some(v.to_owned()),
            ("allow_plaintext", "true") => extras.allow_plaintext = true,
            ("allow_plaintext", "false") => {}
            ("allow_plaintext", _) => return Err(setting("allow_plaintext is `true` or `false`")),
            ("standbys", v) => {
                extras.standbys = v.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
            }
            _ => rest.push(pair),
        }
    }
    Ok((if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) }, extras))
}

/// TLS or not: off only on loopback or where the user said so twice.
fn tls(extras: &Extras, local: bool, store: &StoreName) -> Result<Option<MakeRustlsConnect>> {
    match extras.sslmode.as_deref() {
        None if local => Ok(None),
        Some("disable") if local || extras.allow_plaintext => Ok(None),
        Some("disable") => Err(Error::Setting {
            what: format!(
                "{store}: sslmode=disable would send rows and password in the clear; \
                 take it out, or add allow_plaintext=true where the network itself is private"
            ),
        }),
        None | Some("prefer" | "allow" | "require" | "verify-ca" | "verify-full") => {
            Ok(Some(rustls_connector(extras.sslrootcert.as_deref(), store)?))
        }
        Some(other) => Err(Error::Setting { what: format!("{store}: unknown sslmode `{other}`") }),
    }
}

/// Certificates are always verified, against the system's roots and `sslrootcert`.
fn rustls_connector(extra_root: Option<&str>, store: &StoreName) -> Result<MakeRustlsConnect> {
    let bad = |what: String| Error::Setting { what: format!("{store}: {what}") };
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = extra_root {
        let certs =
            CertificateDer::pem_file_iter(file).map_err(|e| bad(format!("sslrootcert `{file}`: {e}")))?;
        for cert in certs {
            let cert = cert.map_err(|e| bad(format!("sslrootcert `{file}`: {e}")))?;
            roots.add(cert).map_err(|e| bad(format!("sslrootcert `{file}`: {e}")))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| bad(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Do all hosts stand on this machine?
fn local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => true,
    }) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

fn host_text(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    }
}

/// `postgres://user@host:port/db`.
fn printable(config: &Config, role: &str) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(i, host)| {
        let port = ports.get(i).or(ports.first()).copied().unwrap_or(5432);
        format!("{}:{port}", host_text(host))
    });
    format!(
        "postgres://{role}@{}/{}",
        hosts.collect::<Vec<_>>().join(","),
        config.get_dbname().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target> {
        Target::parse(url, Some(&SecretString::from("s3cret")))
    }

    #[test]
    fn a_name_without_its_password() {
        let target = parse("postgres://ann:hunter2@db.example:6432/shop?standbys=a,b").unwrap();
        assert_eq!(target.whose.store.0, "postgres://ann@db.example:6432/shop");
        assert_eq!(target.standbys, ["a", "b"]);
        assert!(target.tls.is_some(), "TLS is the default off loopback");
        assert!(parse("postgres://ann@127.0.0.1/shop").unwrap().tls.is_none());
        assert!(parse("postgres://ann@127.0.0.1/shop?sslmode=require").unwrap().tls.is_some());
    }

    #[test]
    fn plaintext_off_loopback_has_to_be_asked_for_twice() {
        let refused = parse("postgres://ann:hunter2@db.example/shop?sslmode=disable").err().unwrap();
        assert!(matches!(refused, Error::Setting { .. }), "{refused}");
        assert!(!refused.to_string().contains("hunter2"));
        assert!(parse("postgres://ann@db.example/shop?sslmode=disable&allow_plaintext=true").is_ok());
    }

    #[test]
    fn bad_urls_are_named_without_their_password() {
        for url in [
            "mysql://ann:hunter2@h/d",
            "postgres://h/d",
            "postgres://ann:hunter2@h:port/d",
            "postgres://ann:hunter2@h/d?sslmode=maybe",
            "postgres://ann:hunter2@h/d?hunter2=1",
            "postgres://ann:hunter2@h/d?sslrootcert=/no/such/file",
        ] {
            let error = parse(url).err().unwrap_or_else(|| panic!("{url} passed")).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
