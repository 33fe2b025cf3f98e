//! `domicile serve`: the directory service, or a gateway, as a process that runs beside the walk.

use super::instances::end;
use crate::walk::{Result, Walk};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long it may take to listen.
const LISTEN_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process that answers.
pub struct Service {
    /// Where.
    pub url: String,
    child: Child,
}

impl Service {
    /// Starts it, and returns once it listens. What it says is in `log`, in the walk's folder.
    pub fn start(walk: &Walk, address: &str, args: &[&str], log: &str) -> Result<Self> {
        let mut service = Self { url: format!("http://{address}"), child: walk.start(args, log)? };
        let until = Instant::now() + LISTEN_MAX;
        while TcpStream::connect(address).is_err() {
            let ended = service.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || Instant::now() > until {
                return Err(format!("`domicile {}` does not listen\n{}", args.join(" "), walk.read(log)?));
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
