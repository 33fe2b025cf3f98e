//! Services: named ones, or the one whose keys stand at the top of the file.

use super::fault::Fault;
use super::meaning::{below, day, id_of};
use super::typed::{self, Text};
use super::{ClaimColumn, Guard, ONLY_SERVICE, Region, Service, nearest};
use domicile_datamap::TableName;
use domicile_directory::ClaimKind;
use domicile_policy::Mechanism;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;

/// All services of the file.
pub(super) fn all(typed: &typed::File, regions: &[Region], base: &Path) -> Result<Vec<Service>, Fault> {
    let at_top = top(typed);
    if typed.service.is_empty() {
        return Ok(vec![only(typed, regions, base)?]);
    }
    if let Some((key, at)) = at_top {
        let what = format!("`{key}` stands at the top of the file, and there is a [[service]], too");
        let why = "keys at the top describe the only service of a file that has no [[service]]";
        return Err(Fault::new(
            at,
            "config-service-key",
            what,
            why,
            format!("move `{key}` into its [[service]]"),
        ));
    }
    let mut all: Vec<Service> = Vec::new();
    for one in &typed.service {
        let service = named(one.get_ref(), regions, base)?;
        if all.iter().any(|s| s.name == service.name) {
            let what = format!("service `{}` stands there twice", service.name);
            let at = one.get_ref().name.span().start;
            return Err(Fault::new(
                at,
                "config-service-twice",
                what,
                "a name means one service",
                "rename one of them",
            ));
        }
        all.push(service);
    }
    Ok(all)
}

/// The first of a service's keys at the top of the file.
fn top(typed: &typed::File) -> Option<(&'static str, usize)> {
    let text = |key: &'static str, value: &Option<Text>| value.as_ref().map(|v| (key, v.span().start));
    text("map", &typed.map)
        .or(typed.policies.as_ref().map(|p| ("policies", p.span().start)))
        .or(text("latency", &typed.latency))
        .or(text("guard", &typed.guard))
        .or(typed.mechanisms.as_ref().map(|m| ("mechanisms", m.span().start)))
        .or(typed.claim.first().map(|c| ("claim", c.span().start)))
}

fn only(typed: &typed::File, regions: &[Region], base: &Path) -> Result<Service, Fault> {
    let missing = |key: &str, example: &str| {
        let what = format!("the key `{key}` is missing");
        let why = "without a [[service]] the file describes one service by keys at its top";
        Fault::new(
            0,
            "config-missing-key",
            what,
            why,
            format!(
                "write {key} = {example} at the top of the file; for messages only: \
                 cat messaging/domicile.fragment.toml >> domicile.toml   # once `domicile messaging init` has written it"
            ),
        )
    };
    let map = typed.map.as_ref().ok_or_else(|| missing("map", "\"datamap.toml\""))?;
    let policies = typed.policies.as_ref().ok_or_else(|| missing("policies", "[\"policies/*.cedar\"]"))?;
    Ok(Service {
        name: ONLY_SERVICE.to_owned(),
        map: below(base, map.get_ref()),
        policies: texts(policies)?,
        regions: regions.iter().map(|r| r.id().to_owned()).collect(),
        guard: guard(&typed.guard)?,
        latency: typed.latency.as_ref().map(|l| below(base, l.get_ref())),
        mechanisms: mechanisms(&typed.mechanisms)?,
        claims: claims(&typed.claim)?,
    })
}

fn named(typed: &typed::Service, regions: &[Region], base: &Path) -> Result<Service, Fault> {
    let name = id_of(&typed.name, "service")?;
    let may_use: Vec<String> = match &typed.regions {
        None => regions.iter().map(|r| r.id().to_owned()).collect(),
        Some(listed) => {
            for region in listed {
                check_region(&name, region, regions)?;
            }
            listed.iter().map(|r| r.get_ref().clone()).collect()
        }
    };
    Ok(Service {
        name,
        map: below(base, typed.map.get_ref()),
        policies: texts(&typed.policies)?,
        regions: may_use,
        guard: guard(&typed.guard)?,
        latency: typed.latency.as_ref().map(|l| below(base, l.get_ref())),
        mechanisms: mechanisms(&typed.mechanisms)?,
        claims: claims(&typed.claim)?,
    })
}

fn check_region(service: &str, typed: &Text, regions: &[Region]) -> Result<(), Fault> {
    let id = typed.get_ref();
    if regions.iter().any(|r| r.id() == id) {
        return Ok(());
    }
    let known: Vec<&str> = regions.iter().map(Region::id).collect();
    let what = format!("service `{service}` may use region `{id}`, and there is none of that name");
    let why = format!("the file has: {}", known.join(", "));
    let fix = match nearest(id, &known) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("add a [[region]] with id = \"{id}\""),
    };
    Err(Fault::new(typed.span().start, "config-region-unknown", what, why, fix))
}

fn texts(typed: &Spanned<Vec<Text>>) -> Result<Vec<String>, Fault> {
    if typed.get_ref().is_empty() {
        let why = "what no policy permits is refused, so nothing could be stored anywhere";
        let fix = "write for example policies = [\"policies/*.cedar\"]";
        return Err(Fault::new(
            typed.span().start,
            "config-no-policy",
            "the list of policies is empty",
            why,
            fix,
        ));
    }
    Ok(typed.get_ref().iter().map(|t| t.get_ref().clone()).collect())
}

fn guard(typed: &Option<Text>) -> Result<Guard, Fault> {
    match typed.as_ref().map(|t| t.get_ref().as_str()) {
        None | Some("always") => Ok(Guard::Always),
        Some("wave") => Ok(Guard::Wave),
        Some(other) => {
            let at = typed.as_ref().map_or(0, |t| t.span().start);
            let why = "always = the guard holds for good; wave = only while a wave is open";
            let what = format!("guard = \"{other}\" is neither `always` nor `wave`");
            Err(Fault::new(at, "config-guard", what, why, "write guard = \"always\" or guard = \"wave\""))
        }
    }
}

fn mechanisms(typed: &Option<Spanned<Vec<typed::Mechanism>>>) -> Result<Vec<Mechanism>, Fault> {
    let Some(typed) = typed else { return Ok(Vec::new()) };
    let one = |m: &typed::Mechanism| {
        let name = id_of(&m.name, "transfer mechanism")?;
        Ok(Mechanism { name, expires: m.expires.as_ref().map(day).transpose()? })
    };
    typed.get_ref().iter().map(one).collect()
}

/// Whether the columns exist is known when a catalogue is read: `check`, `guard backfill`.
fn claims(typed: &[Spanned<typed::Claim>]) -> Result<Vec<ClaimColumn>, Fault> {
    let mut all: Vec<ClaimColumn> = Vec::new();
    for one in typed {
        let (kind, column) = (&one.get_ref().kind, &one.get_ref().column);
        let kind = kind.get_ref().parse().map_err(|()| {
            let kinds = ClaimKind::ALL.map(ClaimKind::name);
            let what = format!("`{}` is no kind of claim", kind.get_ref());
            let why = "each kind has its own form in which two of them are compared";
            let fix = match nearest(kind.get_ref(), &kinds) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("one of: {}", kinds.join(", ")),
            };
            Fault::new(kind.span().start, "config-claim", what, why, fix)
        })?;
        let (table, name) = TableName::parse_with(column.get_ref()).map_err(|_| {
            let what = format!("`{}` is not written as a column", column.get_ref());
            let why = "a column is named with its table: schema.table.column";
            let fix = "write for example \"public.customer.email\" (SQLite: \"main.customer.email\")";
            Fault::new(column.span().start, "config-claim", what, why, fix)
        })?;
        let claim = ClaimColumn { kind, table, column: name };
        if all.contains(&claim) {
            let what = format!("column {claim} stands there twice as {kind}");
            let why = "its claims are read once";
            return Err(Fault::new(one.span().start, "config-claim", what, why, "remove one of them"));
        }
        all.push(claim);
    }
    Ok(all)
}

/// No two (region, service) pairs share a store: moving would copy a row onto itself, and erase it.
pub(super) fn check_stores(
    typed: &typed::File,
    regions: &[Region],
    services: &[Service],
    base: &Path,
) -> Result<(), Fault> {
    let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
    for service in services {
        for (region, source) in regions.iter().zip(&typed.region) {
            if !service.regions.iter().any(|r| r == region.id()) {
                continue;
            }
            let source = source.get_ref();
            let stores = [
                (Some(&region.records), Some(&source.records)),
                (region.objects.as_ref(), source.objects.as_ref()),
            ];
            for (address, text) in stores {
                let (Some(address), Some(text)) = (address, text) else { continue };
                let place = address.of(&service.name).place(base);
                let here = (region.id().to_owned(), service.name.clone());
                if let Some(other) = seen.insert(place, here.clone()) {
                    return Err(same_store(text, &other, &here));
                }
            }
        }
    }
    Ok(())
}

fn same_store(text: &Text, a: &(String, String), b: &(String, String)) -> Fault {
    let at = text.span().start;
    if a.0 == b.0 {
        let what = format!("services `{}` and `{}` have the same store at region `{}`", a.1, b.1, a.0);
        let why = "each service has its own guard, and a database has one";
        return Fault::new(
            at,
            "config-same-store",
            what,
            why,
            "write `{service}` into the address: each service then has its own",
        );
    }
    let what = format!("regions `{}` and `{}` have the same store", a.0, b.0);
    let why = "a subject that moves from one to the other would be copied onto itself, and then erased";
    Fault::new(at, "config-same-store", what, why, "give each region its own database, bucket or folder")
}
