//! The directory service: `domicile serve --directory` beside the control store.

use super::instances::end;
use crate::walk::{Result, Walk, say};
use domicile_testbed::free_port;
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long it may take to listen.
const LISTEN_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What it says, in the walk's folder.
const LOG: &str = "directory.log";

/// The service, running.
pub struct Service {
    /// Where it answers.
    pub url: String,
    child: Child,
}

impl Service {
    /// Starts it, and returns once it listens.
    pub fn start(walk: &Walk) -> Result<Self> {
        say("the directory service tells the application where somebody lives");
        let address = format!("127.0.0.1:{}", free_port());
        let text = format!("\n[directory]\nlisten = [\"{address}\"]\n");
        print!("{text}");
        walk.append("domicile.toml", &text)?;
        let child = walk.start(&["serve", "--directory"], LOG)?;
        let mut service = Self { url: format!("http://{address}"), child };
        let until = Instant::now() + LISTEN_MAX;
        while TcpStream::connect(&address).is_err() {
            let ended = service.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || Instant::now() > until {
                return Err(format!("the directory service does not listen\n{}", walk.read(LOG)?));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(service)
    }

    /// Ends it as an operator would.
    pub fn stop(mut self) -> Result<()> {
        end(&mut self.child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
