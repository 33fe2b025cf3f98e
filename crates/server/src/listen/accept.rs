//! Accepts connections and serves their requests until it is told to stop; then lets those under way end.

use super::limits::ConnectionLimits;
use super::line::{Line, Stream};
use super::peer::Peer;
use super::proxy_protocol;
use super::pulse::{Answered, Due, Pulse};
use super::tls::Certificate;
use crate::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::{Builder, UpgradeableConnection};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;

/// After an accept that failed: out of file descriptors, most likely, and those that end free some.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Connections the kernel keeps for us.
const BACKLOG: i32 = 4096;

/// (metric, help) of [`Listener::open`].
pub const CONNECTIONS: (&str, &str) =
    ("domicile_connections_open", "Connections that are open, by what is listened for.");

/// One address that is listened at.
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// Encrypted with this; `None`: in the clear.
    pub certificate: Option<Arc<Certificate>>,
    /// Every connection begins with a PROXY header.
    pub has_proxy_header: bool,
    /// What its peers may take.
    pub limits: ConnectionLimits,
    /// Connections that are open; several addresses may share it.
    pub open: Arc<AtomicU64>,
}

impl Listener {
    /// Listens at an address. `SO_REUSEADDR`, so that a process that was killed can be started again at once.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(
        address: SocketAddr,
        certificate: Option<Arc<Certificate>>,
        has_proxy_header: bool,
        limits: ConnectionLimits,
    ) -> io::Result<Self> {
        let domain = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from_std(socket.into())?;
        Ok(Self { socket, certificate, has_proxy_header, limits, open: Arc::default() })
    }

    /// The address that it has.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// The other end of [`serve`]: says when to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// No new connections from here on; those that are open end after the answer they are at.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when somebody said so.
    pub async fn stopped(&self) {
        let mut heard = self.0.subscribe();
        // An error: nobody can say it any more. Then it is over, too.
        let _ = heard.wait_for(|stop| *stop).await;
    }

    /// Has somebody said so?
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

/// Serves requests with `answer` until `stop`, and then until those under way have ended or `drain` is over.
pub async fn serve<F, A>(listener: Listener, stop: Stop, answer: A)
where
    A: Fn(Peer, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(listener.limits.connections));
    let graceful = GracefulShutdown::new();
    let door = Door {
        acceptor: listener.certificate.as_ref().map(|c| TlsAcceptor::from(c.server_config())),
        has_proxy_header: listener.has_proxy_header,
        limits: listener.limits,
        http: builder(&listener.limits),
    };
    let door = Arc::new(door);
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener.socket, &places) => accepted,
            () = stop.stopped() => break,
        };
        let Some((stream, from, place)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let (door, watcher, answer, stop) = (door.clone(), graceful.watcher(), answer.clone(), stop.clone());
        let open = Open::of(&listener.open);
        tokio::spawn(async move {
            let opened = tokio::select! {
                opened = tokio::time::timeout(door.limits.handshake, door.open(stream, from)) => opened,
                () = stop.stopped() => return,
            };
            // Whoever does not get through the door is nobody we could answer.
            if let Ok(Ok((stream, peer))) = opened {
                let (head, stall) = (door.limits.head, door.limits.stall);
                let (pulse, line) = (Pulse::new(), TokioIo::new(Line::new(stream, head, stall)));
                let noted = pulse.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let begun = noted.begin(request.version());
                    let answered = answer(peer, request);
                    async move { Ok::<_, Infallible>(answered.await.map(|body| begun.answered(body))) }
                });
                let connection = door.http.serve_connection_with_upgrades(line, service);
                alive(connection, &pulse, head, stall, &stop).await;
            }
            drop((watcher, place, open));
        });
    }
    drop(listener.socket);
    let _ = tokio::time::timeout(listener.limits.drain, graceful.shutdown()).await;
}

/// Serves one connection until it ends, until `stop` and its last request, or until nothing happens at it any more.
async fn alive<S>(
    connection: UpgradeableConnection<'_, TokioIo<Line<Box<dyn Stream>>>, S, TokioExecutor>,
    pulse: &Pulse,
    idle: Duration,
    stall: Duration,
    stop: &Stop,
) where
    S: Service<Request<Incoming>, Response = Response<Answered>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let mut connection = std::pin::pin!(connection);
    let mut look = std::pin::pin!(sleep_until(Instant::now() + idle.min(stall)));
    let (mut is_stopping, mut end) = (false, None);
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.stopped(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut look => {
                let now = Instant::now();
                match (pulse.due(now, idle, stall), end) {
                    (Due::Cut, _) => return,
                    (_, Some(end)) if end <= now => return,
                    (Due::At(at), None) => look.as_mut().reset(at),
                    (_, Some(end)) => look.as_mut().reset(end),
                    (Due::Wind, None) => {
                        connection.as_mut().graceful_shutdown();
                        end = Some(now + stall);
                        look.as_mut().reset(now + stall);
                    }
                }
            }
        }
    }
}

/// One that is open, in the count of all.
struct Open(Arc<AtomicU64>);

impl Open {
    fn of(all: &Arc<AtomicU64>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(all.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// The next connection that there is a place for; `None`: try again a little later.
async fn next(socket: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = places.clone().acquire_owned().await.ok()?;
    let (stream, from) = socket.accept().await.ok()?;
    // An answer's last piece must not wait for the one before it to be acknowledged.
    stream.set_nodelay(true).ok()?;
    Some((stream, from, place))
}

/// What a connection goes through before its first request.
struct Door {
    acceptor: Option<TlsAcceptor>,
    has_proxy_header: bool,
    limits: ConnectionLimits,
    http: Builder<TokioExecutor>,
}

impl Door {
    async fn open(&self, mut stream: TcpStream, from: SocketAddr) -> io::Result<(Box<dyn Stream>, Peer)> {
        let mut peer = Peer { address: from, is_tls: self.acceptor.is_some() };
        if self.has_proxy_header {
            peer.address = proxy_protocol::read(&mut stream).await?.unwrap_or(from);
        }
        match &self.acceptor {
            Some(acceptor) => Ok((Box::new(acceptor.accept(stream).await?), peer)),
            None => Ok((Box::new(stream), peer)),
        }
    }
}

pub(super) fn builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes.max(8192))
        .max_headers(limits.headers)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.head);
    builder
}
