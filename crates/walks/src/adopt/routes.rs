//! How requests find their person's region: the application asks the directory service, or gateways bring them there.

use super::alone;
use super::gateways::Gateways;
use super::instances::Instances;
use super::laps::Laps;
use super::service::Service;
use super::site::{PLACES, Site};
use crate::walk::{Result, Walk, say};
use domicile_testbed::free_port;

/// What tells where people live, running.
pub enum Routes {
    /// The directory service, asked by the application.
    Directory(Service),
    /// Gateways, and the other regions' instances behind them.
    Gateways(Gateways, Vec<Instances>),
}

impl Routes {
    /// Where users' requests go.
    pub fn bases(&self, instances: &Instances) -> Vec<String> {
        match self {
            Self::Directory(_) => instances.bases(),
            Self::Gateways(gateways, _) => gateways.bases(),
        }
    }

    /// Ends all of it.
    pub fn stop(self) -> Result<()> {
        match self {
            Self::Directory(service) => service.stop(),
            Self::Gateways(gateways, instances) => {
                gateways.stop()?;
                instances.into_iter().try_for_each(Instances::stop)
            }
        }
    }
}

/// The application learns of the regions, and newcomers go where policy sends them.
pub fn by_the_directory(
    walk: &Walk,
    site: &Site,
    instances: &mut Instances,
    laps: &mut Laps,
) -> Result<Routes> {
    say("the directory service tells the application where somebody lives");
    let address = format!("127.0.0.1:{}", free_port());
    let text = format!("\n[directory]\nlisten = [\"{address}\"]\n");
    print!("{text}");
    walk.append("domicile.toml", &text)?;
    let service = Service::start(walk, &address, &["serve", "--directory"], "directory.log")?;
    let mut args = alone(site, 0);
    for (at, place) in PLACES.iter().enumerate().skip(1) {
        args.extend(["--home".into(), format!("{}={}", place.id, site.url(at, "app"))]);
    }
    args.extend(["--directory".into(), service.url.clone()]);
    args.extend(["--token-file".into(), walk.path("keys/directory.tokens").display().to_string()]);
    // Who is not known to the directory yet has always been here.
    args.extend(["--others".into(), PLACES[0].id.into()]);
    instances.restart(&args)?;
    laps.step("the application is routed")?;
    walk.ok(&["guard", "backfill"])?;
    laps.step("guard backfill: the last ones")?;
    Ok(Routes::Directory(service))
}

/// Gateways in front of the only region there is. First they see newcomers alone, who get their home by that; when
/// everybody else has one, too, they see everybody.
pub fn by_gateways(walk: &Walk, instances: &Instances, laps: &mut Laps) -> Result<Gateways> {
    let gateways = Gateways::start(walk, &instances.bases()[0])?;
    say("sign-ups go to the gateways, everything else as before");
    laps.send_sign_ups_to(gateways.bases());
    laps.step("sign-ups by the gateways")?;
    walk.ok(&["guard", "backfill"])?;
    laps.step("guard backfill: the last ones")?;
    say("everything goes to the gateways");
    laps.send_to(gateways.bases());
    laps.step("all by the gateways")?;
    Ok(gateways)
}

/// Applications in the other regions, gateways that know of them, and then the policy that sends newcomers there.
pub fn to_all_regions(walk: &Walk, site: &Site, mut gateways: Gateways, laps: &mut Laps) -> Result<Routes> {
    let mut instances = Vec::new();
    for at in 1..PLACES.len() {
        let there = Instances::start(&alone(site, at))?;
        gateways.add(&there.bases()[0]);
        instances.push(there);
    }
    gateways.restart(walk)?;
    laps.step("gateways know all regions")?;
    say("policies/today.cedar goes: from now on people belong in their own country");
    std::fs::remove_file(walk.path("policies/today.cedar")).map_err(|e| e.to_string())?;
    walk.ok(&["guard", "install"])?;
    gateways.restart(walk)?;
    laps.step("newcomers by policy")?;
    Ok(Routes::Gateways(gateways, instances))
}
