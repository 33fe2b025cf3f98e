//! What runs: an application in each region, two gateways in front of all.

use super::RULES;
use crate::adopt::instances::{binary, end, start};
use crate::adopt::site::{PLACES, Site};
use crate::walk::{Result, Walk, say};
use domicile_testbed::free_ports;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A gateway is ready in this time, or does not start.
const READY_MAX: Duration = Duration::from_secs(60);

/// The processes.
pub struct Places {
    applications: Vec<Child>,
    gateways: [Option<Child>; 2],
    ports: [u16; 2],
}

impl Places {
    /// Makes the databases with everybody in the first region, adopts them, and starts all processes.
    pub fn start(walk: &Walk, site: &Site, people: usize) -> Result<Self> {
        let made = Command::new(binary()?).args(["prepare", "--store", &site.url(0, "owner")]).status();
        if !made.map_err(|e| e.to_string())?.success() {
            return Err("the application's tables could not be made".to_owned());
        }
        site.let_the_application_in(0);
        site.seed(people)?;
        let ports = free_ports::<5>();
        adopt(walk, site)?;
        say("an application in each region, which knows its own database only");
        let mut applications = Vec::new();
        for (at, place) in PLACES.iter().enumerate() {
            let args = ["--region", place.id, "--store", &site.url(at, "app")].map(str::to_owned);
            println!("$ domicile-sample serve {} &", args.join(" "));
            applications.push(start(ports[at], &args)?);
        }
        walk.append("domicile.toml", &gateway(&ports))?;
        println!("\n# domicile.toml{}", gateway(&ports));
        walk.ok(&["check"])?;
        let mut places = Self { applications, gateways: [None, None], ports: [ports[3], ports[4]] };
        for nr in 0..2 {
            places.start_gateway(walk, nr)?;
        }
        Ok(places)
    }

    /// Where the gateways answer.
    pub fn gateways(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect()
    }

    /// Starts a gateway and waits until it answers.
    pub fn start_gateway(&mut self, walk: &Walk, nr: usize) -> Result<()> {
        let listen = format!("127.0.0.1:{}", self.ports[nr]);
        let child = walk.start(&["serve", "--gateway", "--listen", &listen], &format!("gateway{nr}.log"))?;
        self.gateways[nr] = Some(child);
        let until = Instant::now() + READY_MAX;
        while std::net::TcpStream::connect(&listen).is_err() {
            if Instant::now() > until {
                return Err(format!("a gateway did not start: {}", walk.read(&format!("gateway{nr}.log"))?));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// SIGKILL: whatever it was at is gone.
    pub fn kill_gateway(&mut self, nr: usize) -> Result<()> {
        let mut child = self.gateways[nr].take().ok_or("that gateway does not run")?;
        child.kill().and_then(|()| child.wait()).map_err(|e| e.to_string())?;
        Ok(())
    }

    /// Ends all, gateways first; none may have died on the way.
    pub fn stop(mut self) -> Result<()> {
        for gateway in self.gateways.iter_mut().filter_map(Option::take) {
            let mut gateway = gateway;
            end(&mut gateway)?;
        }
        self.applications.iter_mut().try_for_each(end)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for child in self.applications.iter_mut().chain(self.gateways.iter_mut().flatten()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The short way of docs/adopt.md, without a load: everybody has a home, residency is kept.
fn adopt(walk: &Walk, site: &Site) -> Result<()> {
    walk.ok(&["init", "--from", &site.url(0, "domicile"), "--country", "DE", "--region", PLACES[0].id])?;
    walk.ok(&["answer", "stores", "none"])?;
    walk.write("policies/residency.cedar", RULES)?;
    std::fs::remove_file(walk.path("policies/starter.cedar")).map_err(|e| e.to_string())?;
    for (at, place) in PLACES.iter().enumerate().skip(1) {
        let url = site.url(at, "domicile");
        let region = format!(
            "\n[[region]]\nid = \"{}\"\ncountry = \"{}\"\nrecords = \"{url}\"\n",
            place.id, place.country
        );
        walk.append("domicile.toml", &region)?;
    }
    for (at, place) in PLACES.iter().enumerate() {
        let grants = walk.ok(&["guard", "grants", "--region", place.id])?;
        site.grant(at, &grants)?;
        if at > 0 {
            walk.ok(&["region", "prepare", place.id])?;
            site.let_the_application_in(at);
        }
    }
    walk.ok(&["guard", "install"])?;
    walk.ok(&["guard", "backfill"])?;
    walk.ok(&["guard", "enforce"])?;
    Ok(())
}

fn gateway(ports: &[u16]) -> String {
    let upstreams: Vec<String> =
        PLACES.iter().zip(ports).map(|(p, port)| format!("{} = \"http://127.0.0.1:{port}\"", p.id)).collect();
    format!(
        "\n[gateway]\nlisten = [\"127.0.0.1:{}\"]\nsubject = [\"header:X-Subject\"]\n\n\
         [gateway.upstreams]\n{}\n\n[gateway.sign_up]\npath = \"/people\"\n",
        ports[3],
        upstreams.join("\n")
    )
}
