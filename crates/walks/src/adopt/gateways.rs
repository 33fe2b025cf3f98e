//! Two gateways in front of the application, each with a file of its own, since both run on this machine.

use super::service::Service;
use super::site::PLACES;
use crate::walk::{Result, Walk, say};
use domicile_testbed::free_ports;

/// So many, so that one can be restarted while the other answers.
const MANY: usize = 2;

/// Gateways, and where each region's application is.
pub struct Gateways {
    ports: [u16; MANY],
    running: Vec<Service>,
    upstreams: Vec<String>,
}

impl Gateways {
    /// Starts them in front of the first region's application.
    pub fn start(walk: &Walk, upstream: &str) -> Result<Self> {
        let mut all =
            Self { ports: free_ports::<MANY>(), running: Vec::new(), upstreams: vec![upstream.to_owned()] };
        say(&format!("{MANY} gateways; each has a file of its own, which ends with"));
        print!("{}", all.config(0));
        for at in 0..MANY {
            let gateway = all.one(walk, at)?;
            all.running.push(gateway);
        }
        Ok(all)
    }

    /// Another region's application, from the next restart on.
    pub fn add(&mut self, upstream: &str) {
        self.upstreams.push(upstream.to_owned());
    }

    /// Where they answer.
    pub fn bases(&self) -> Vec<String> {
        self.running.iter().map(|gateway| gateway.url.clone()).collect()
    }

    /// Restarts one after the other: they read the configuration when they begin.
    pub fn restart(&mut self, walk: &Walk) -> Result<()> {
        say("the gateways restart one after the other");
        for at in 0..MANY {
            self.running.remove(0).stop()?;
            let gateway = self.one(walk, at)?;
            self.running.push(gateway);
        }
        Ok(())
    }

    /// Ends them.
    pub fn stop(self) -> Result<()> {
        self.running.into_iter().try_for_each(Service::stop)
    }

    fn one(&self, walk: &Walk, at: usize) -> Result<Service> {
        let file = format!("gateway-{at}.toml");
        walk.write(&file, &format!("{}{}", walk.read("domicile.toml")?, self.config(at)))?;
        let args = ["serve", "--gateway", "--config", &file];
        Service::start(walk, &format!("127.0.0.1:{}", self.ports[at]), &args, &format!("gateway-{at}.log"))
    }

    fn config(&self, at: usize) -> String {
        let mut text = format!(
            "\n[gateway]\nlisten = [\"127.0.0.1:{}\"]\nsubject = [\"header:X-Subject\"]\n\
             sign_up = {{ path = \"/people\" }}\n\n[gateway.upstreams]\n",
            self.ports[at]
        );
        for (place, upstream) in PLACES.iter().zip(&self.upstreams) {
            text.push_str(&format!("{} = \"{upstream}\"\n", place.id));
        }
        text
    }
}
