//! The application: people and their notes, over HTTP/1.1.
//!
//! The contract with Domicile is two answers. Where the database says RS001, the transaction is rolled back and
//! the answer is 421 with `Domicile-Retry: 1`, so that a gateway looks the home up again and repeats the request
//! there. Where it says RS002, the answer is 403 with policy's reason. All else is the application's own.

mod answer;
mod homes;
mod live;
mod notes;
mod people;
mod photos;
mod public;

pub use homes::{Everywhere, Homes};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Bytes of a note, a sign-up or a login at most.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a photo at most.
const PHOTO_BYTES_MAX: usize = 20 * 1024 * 1024;

/// What every request needs.
#[derive(Debug, Clone)]
struct App {
    homes: Arc<Homes>,
    /// Turns true when the application is asked to end: event streams end then.
    ending: watch::Receiver<bool>,
}

/// Serves until `ending` turns true, then finishes what was begun.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(listener: TcpListener, homes: Homes, ending: watch::Receiver<bool>) -> io::Result<()> {
    let app = App { homes: Arc::new(homes), ending: ending.clone() };
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // A connection without it still works.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router(app)).with_graceful_shutdown(asked_to_end(ending)).await
}

fn router(app: App) -> Router {
    Router::new()
        .route("/notes", get(notes::list).post(notes::add))
        .route("/notes/{id}", get(notes::read).put(notes::change).delete(notes::remove))
        .route("/people", post(people::sign_up))
        .route("/login", post(people::log_in))
        .route("/whoami", get(people::who_am_i))
        .route("/healthz", get(async || "ok\n"))
        .route("/static/{file}", get(public::file))
        .route("/events", get(live::events))
        .route("/echo", get(live::echo))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .route(
            "/photos/{name}",
            get(photos::read).post(photos::keep).layer(DefaultBodyLimit::max(PHOTO_BYTES_MAX)),
        )
        .with_state(app)
}

async fn asked_to_end(mut ending: watch::Receiver<bool>) {
    // Whoever held the other end is gone: that is an end, too.
    let _ = ending.wait_for(|ending| *ending).await;
}
