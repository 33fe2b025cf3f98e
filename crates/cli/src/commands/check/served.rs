//! What `domicile serve` would refuse or be refused for, said before it is started.

use super::{Finding, Findings};
use crate::commands::serve;
use crate::config::{Config, Doors, Service};
use crate::figures::counted;

/// What policy says of public routes, for a gateway in each region.
pub(super) fn check_public(all: &mut Findings, config: &Config, service: &Service) {
    let routes = config.edge.settings.routes.len();
    if routes == 0 {
        return;
    }
    // Without a gateway of ours the routes are for a CDN.
    if let Some(gateway) = &config.gateway {
        all.of("public", serve::stands(config, gateway));
    }
    let mut forbidden = false;
    for region in config.regions_of(service) {
        // Policies that can't be read are a finding of their own.
        let place = std::slice::from_ref(&region.place);
        let Ok(settings) = crate::edge::settings(config, service, place) else { return };
        for (path, why) in crate::edge::forbidden(&settings) {
            forbidden = true;
            let what = format!("a gateway in region {} does not cache {path}\n{why}", region.id());
            let fix = format!(
                "permit the action `cache` there, if it should: domicile policy explain --country {} {}",
                region.place.country,
                region.id()
            );
            all.slow("public", "public-not-cached", what, fix);
        }
    }
    if !forbidden {
        all.fine("public", format!("{}, may be cached in every region", counted(routes as u64, "route")));
    }
}

/// Until when those who are served believe that it is us.
pub(super) fn check_certificates(all: &mut Findings, config: &Config) {
    let gateway = config.gateway.iter().map(|g| ("gateway".to_owned(), &g.doors));
    let directory = config.directory.iter().map(|d| ("directory service".to_owned(), &d.doors));
    let relays = config.messaging.iter().flat_map(|m| &m.relays);
    let relays = relays.map(|r| (format!("relay {}", r.region), &r.doors));
    for (area, doors) in gateway.chain(directory).chain(relays) {
        check_certificate(all, &area, doors);
    }
}

fn check_certificate(all: &mut Findings, area: &str, doors: &Doors) {
    let Some((chain, _)) = &doors.tls else { return };
    if !chain.exists() {
        // One configuration serves several machines, and each has its own key.
        let what = format!("{}: no such file on this machine", chain.display());
        let fix = "where `domicile serve` runs: domicile check";
        all.risk(area, "certificate-elsewhere", what, fix);
        return;
    }
    let Some(Some(certificate)) = all.of(area, serve::certificate(doors)) else { return };
    let Some(validity) = certificate.validity() else { return };
    match serve::remark(chain, &validity, jiff::Timestamp::now()) {
        None => {
            all.fine(area, format!("{}: holds until {}", chain.display(), serve::end_day(validity.ends)));
        }
        Some(remark) => {
            let works_but = (!remark.is_refused).then_some(" risk ");
            let (area, code, fix) = (area.to_owned(), remark.code, Some(remark.fix.to_owned()));
            let why = Some(remark.why.to_owned());
            all.0.push(Finding { area, what: remark.what, fix, code, works_but, why });
        }
    }
}
