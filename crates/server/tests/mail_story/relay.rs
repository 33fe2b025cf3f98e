//! A relay's process: its mail, and in front of it who says who asks. Here a header does; proofs and consent are tested elsewhere.

use crate::Fallible;
use crate::site::{Places, REGIONS, SERVICE, TOKEN};
use domicile_server::listen::{ConnectionLimits, Incoming, Listener, Stop, serve};
use domicile_server::messaging::{Mail, MailCall, MailLimits, MailSettings};
use domicile_server::token::Tokens;
use domicile_server::{Body, body};
use domicile_stores::mailboxes::Mailboxes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Runs a region's relay until it is killed.
pub async fn run(places: &Path, region: &str) -> Fallible<()> {
    // A pipe that closes says that nobody is there who could end this process.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(9);
    });
    let places = Places::read(places)?;
    let mailboxes = Arc::new(Mailboxes::open(&places.mail[region], &places.dir, None).await?);
    let settings = MailSettings {
        service: SERVICE.into(),
        region: region.into(),
        relays: REGIONS.iter().map(|(id, _)| ((*id).to_owned(), Some(places.endpoint(id)))).collect(),
        token: SecretString::from(TOKEN),
        tokens: Tokens::read(TOKEN)?,
        limits: MailLimits {
            sender_burst: 1_000_000,
            sweep: Duration::from_millis(200),
            ..MailLimits::default()
        },
    };
    let stop = Stop::default();
    let mail = Mail::start(places.directory().await?, mailboxes, settings, stop.clone()).await?;
    let address = SocketAddr::from(([127, 0, 0, 1], places.ports[region]));
    let listener = Listener::bind(address, None, false, ConnectionLimits::default())?;
    serve(listener, stop, move |_, request| answer(mail.clone(), request)).await;
    Ok(())
}

async fn answer(mail: Arc<Mail>, request: Request<Incoming>) -> Response<Body> {
    let (parts, incoming) = request.into_parts();
    let Ok(body) = incoming.collect().await.map(|b| b.to_bytes()) else { return bad() };
    let path = parts.uri.path();
    if path.starts_with("/v1/relay/") {
        return mail.answer_relay(path, &parts.headers, &body).await;
    }
    let caller = parts.headers.get("x-mailbox").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    match (caller, MailCall::of(&parts.method, path, parts.uri.query())) {
        (Some(caller), Some(Ok(call))) => mail.answer(caller, call, &body).await,
        _ => bad(),
    }
}

fn bad() -> Response<Body> {
    let mut answer = Response::new(body::empty());
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

/// A relay's process as the story holds it.
pub struct Running(Child);

impl Running {
    /// Starts it, and waits until it listens.
    pub async fn start(places: &Places, region: &str) -> Fallible<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["relay", region]).arg(places.file()).stdin(Stdio::piped());
        let running = Self(command.spawn()?);
        let address = SocketAddr::from(([127, 0, 0, 1], places.ports[region]));
        for _ in 0..3000 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(running);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("a relay does not listen".into())
    }

    /// SIGKILL: whatever it was at is gone.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
