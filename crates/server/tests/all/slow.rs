//! HTTP/2 clients that keep a connection and do not go on: those that open no window, and those that ask for nothing.

use bytes::Bytes;
use domicile_server::Body;
use domicile_server::listen::{ConnectionLimits, Listener, Stop, serve};
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Long enough that no machine is too slow, and short enough to be waited for.
const STALL: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(2);
/// Nothing here takes as long.
const EVER: Duration = Duration::from_secs(120);
/// More than any window.
const PIECES: usize = 64;

/// Answers that are held: one more for each that has begun, one less when it is let go, as the connection to a region is.
#[derive(Clone, Default)]
struct Held(Arc<AtomicUsize>);

struct One(Held);

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Held {
    /// 64 pieces of 64 KiB.
    fn body(&self) -> Body {
        self.0.fetch_add(1, Ordering::SeqCst);
        let one = One(self.clone());
        let pieces = futures::stream::iter(0..PIECES).map(move |_| {
            let _held = &one;
            Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(vec![7; 64 * 1024])))
        });
        StreamBody::new(pieces).map_err(Into::into).boxed_unsync()
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn listen(held: &Held) -> SocketAddr {
    let limits = ConnectionLimits { head: IDLE, stall: STALL, ..ConnectionLimits::default() };
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None, false, limits).unwrap();
    let (address, held) = (listener.address().unwrap(), held.clone());
    tokio::spawn(serve(listener, Stop::default(), move |_, request: Request<_>| {
        let body = match request.uri().path() {
            "/short" => domicile_server::body::full("short"),
            _ => held.body(),
        };
        async move { Response::new(body) }
    }));
    address
}

/// A client, and its connection's end.
async fn client(address: SocketAddr) -> (h2::client::SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    (send, tokio::spawn(connection))
}

async fn ask(send: &mut h2::client::SendRequest<Bytes>, path: &str) -> h2::RecvStream {
    let request = Request::builder().uri(format!("http://a{path}")).body(()).unwrap();
    std::future::poll_fn(|cx| send.poll_ready(cx)).await.unwrap();
    send.send_request(request, true).unwrap().0.await.unwrap().into_body()
}

/// Opens streams, answers pings, takes nothing: its answers are let go.
#[tokio::test]
async fn who_opens_no_window_is_given_up() {
    let held = Held::default();
    let (mut send, connection) = client(listen(&held)).await;
    let mut bodies = Vec::new();
    for _ in 0..8 {
        bodies.push(ask(&mut send, "/long").await);
    }
    assert_eq!(held.count(), 8);
    tokio::time::timeout(EVER, connection).await.expect("its connection is kept for ever").unwrap().ok();
    assert_eq!(held.count(), 0);
    drop(bodies);
}

/// One that takes a little now and then is left alone, for longer than anybody may take nothing.
#[tokio::test]
async fn who_reads_slowly_gets_all_of_it() {
    let held = Held::default();
    let (mut send, _connection) = client(listen(&held)).await;
    let mut slow = ask(&mut send, "/long").await;
    let (began, mut read) = (tokio::time::Instant::now(), 0);
    while let Some(piece) = slow.data().await {
        let bytes = piece.unwrap().len();
        slow.flow_control().release_capacity(bytes).unwrap();
        read += bytes;
        if began.elapsed() < STALL + IDLE {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(read, PIECES * 64 * 1024);
}

/// Whoever asks for nothing more is told to go, and gone.
#[tokio::test]
async fn an_idle_connection_ends() {
    let held = Held::default();
    let address = listen(&held);
    let (_silent, never_asked) = client(address).await;
    let (mut send, asked) = client(address).await;
    let mut short = ask(&mut send, "/short").await;
    assert_eq!(short.data().await.unwrap().unwrap(), "short");
    for connection in [never_asked, asked] {
        tokio::time::timeout(EVER, connection).await.expect("it is kept for ever").unwrap().unwrap();
    }
}
