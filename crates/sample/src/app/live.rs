//! `/events` and `/echo`: connections that stay open, a stream of events and a WebSocket.

use super::App;
use super::answer::answered_by;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;

/// Between two events.
const EVERY: Duration = Duration::from_millis(100);
/// Bytes of a WebSocket's message at most.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// `GET /events`: a number ten times a second, until the application ends.
pub async fn events(State(app): State<App>) -> Response {
    answered_by(app.homes.region(), Sse::new(numbers(app.ending.clone()))).into_response()
}

fn numbers(ending: watch::Receiver<bool>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((0_u64, ending), async |(n, mut ending)| {
        let ended = tokio::select! {
            _ = ending.wait_for(|ending| *ending) => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let event = || Event::default().id(n.to_string()).data(n.to_string());
        (!ended).then(|| (Ok(event()), (n + 1, ending)))
    })
}

/// `GET /echo`: a WebSocket that says what it hears.
pub async fn echo(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(MESSAGE_BYTES_MAX).on_upgrade(|socket| echoes(socket, app.ending))
}

async fn echoes(mut socket: WebSocket, mut ending: watch::Receiver<bool>) {
    loop {
        let heard = tokio::select! {
            heard = socket.recv() => heard,
            _ = ending.wait_for(|ending| *ending) => return,
        };
        let said = match heard {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => socket.send(message).await,
            // A ping was answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
        };
        if said.is_err() {
            return;
        }
    }
}
