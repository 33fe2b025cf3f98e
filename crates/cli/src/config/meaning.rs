//! From what was typed to what it means; every contradiction is named with its line.

use super::address::{Address, Wrong};
use super::fault::Fault;
use super::typed::{self, Day, Text};
use super::{Config, Metrics, Region, audit, edge, genuine, limits, messaging, served, service};
use domicile_policy::Country;
use jiff::civil::Date;
use std::path::{Path, PathBuf};

const RECORDS: &[&str] = &["postgres://", "postgresql://", "sqlite:"];
const OBJECTS: &[&str] = &["s3://", "gs://", "az://", "azure://", "file:"];

/// The configuration in the file at `path`.
pub(super) fn of(typed: typed::File, path: &Path) -> Result<Config, Fault> {
    let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let limits = limits::of(&typed.limits)?;
    let control_at = typed.control.span().start;
    let control = typed.control.get_ref();
    let store =
        address(&control.store, control.password_file.as_deref(), &base, RECORDS, "the control store")?;
    let keys = below(&base, control.keys.as_deref().unwrap_or("keys"));
    let receipts = below(&base, typed.receipts.folder.as_deref().unwrap_or("receipts"));
    let mut regions: Vec<Region> = Vec::new();
    for one in &typed.region {
        let region = region(one.get_ref(), &base)?;
        if regions.iter().any(|r| r.id() == region.id()) {
            return Err(twice(&one.get_ref().id));
        }
        regions.push(region);
    }
    if regions.is_empty() {
        let why = "a region is a place that stores data; there must be one at least";
        let fix = "add a [[region]] with id, country and records; docs/config.md has examples";
        return Err(Fault::new(control_at, "config-no-region", "the configuration has no region", why, fix));
    }
    limits::check_ceilings(&typed.limits, &regions)?;
    let services = service::all(&typed, &regions, &base)?;
    service::check_stores(&typed, &regions, &services, &base)?;
    let edge = edge::of(&typed.edge, &typed.public, &regions)?;
    let genuine = typed.manifest.as_ref().map(|m| genuine::of(m, &regions)).transpose()?;
    let metrics = Metrics { listen: typed.metrics.listen.clone(), off_loopback: typed.metrics.off_loopback };
    let gateway = typed.gateway.as_ref().map(|g| served::gateway(g, &regions, &base)).transpose()?;
    let directory = typed.directory.as_ref().map(|d| served::directory(d, &base)).transpose()?;
    let messaging =
        typed.messaging.as_ref().map(|m| messaging::of(m, &regions, &services, &base)).transpose()?;
    let admin = served::admin(&typed.admin)?;
    let audit = audit::of(&typed.audit, &base)?;
    Ok(Config {
        file: path.to_owned(),
        base,
        control: store,
        keys,
        receipts,
        regions,
        services,
        limits,
        metrics,
        edge,
        genuine,
        gateway,
        directory,
        messaging,
        admin,
        audit,
    })
}

/// A path of the file, as it is shown in messages: without `./` where the file stands here.
pub(super) fn below(base: &Path, path: &str) -> PathBuf {
    if base == Path::new(".") { PathBuf::from(path) } else { base.join(path) }
}

fn twice(id: &Text) -> Fault {
    let what = format!("region `{}` stands there twice", id.get_ref());
    let why = "an id names one place: it stands in the directory, in policies and on receipts";
    Fault::new(id.span().start, "config-region-twice", what, why, "give one of them another id, or remove it")
}

fn region(typed: &typed::Region, base: &Path) -> Result<Region, Fault> {
    let id = id_of(&typed.id, "region")?;
    let country = country(&typed.country)?;
    let operator = typed.operator.as_ref().map(self::country).transpose()?.unwrap_or(country);
    let place = domicile_policy::Region {
        site: typed.site.clone().unwrap_or_else(|| id.clone()),
        id,
        country,
        operator,
        opens: typed.opens.as_ref().map(day).transpose()?,
    };
    for standby in &typed.standbys {
        id_of(standby, "standby")?;
    }
    let whose = format!("region `{}`", place.id);
    let objects = typed.objects.as_ref().map(|o| address(o, None, base, OBJECTS, &whose)).transpose()?;
    Ok(Region {
        records: address(&typed.records, typed.password_file.as_deref(), base, RECORDS, &whose)?,
        objects,
        endpoint: typed.endpoint.clone(),
        standbys: typed.standbys.iter().map(|s| s.get_ref().clone()).collect(),
        retention: domicile_mover::Retention {
            wal_hours: typed.wal_hours,
            replicas_hours: typed.replicas_hours,
            backups_hours: typed.backups_hours,
        },
        place,
    })
}

/// An id that can be a file's name, a key's name and a word on a receipt.
pub(super) fn id_of(text: &Text, what: &str) -> Result<String, Fault> {
    let id = text.get_ref();
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !id.is_empty() && id.len() <= 63 && id.chars().all(fine) && !id.starts_with(['.', '-']) {
        return Ok(id.clone());
    }
    let why = "it is used as a name of files and keys: letters, digits, `-`, `_` and `.`, at most 63";
    let fix = "write for example \"frankfurt-1\"";
    Err(Fault::new(
        text.span().start,
        "config-name",
        format!("`{id}` can't be the name of a {what}"),
        why,
        fix,
    ))
}

pub(super) fn country(text: &Text) -> Result<Country, Fault> {
    text.get_ref().parse().map_err(|wrong: domicile_policy::WrongCountry| {
        let why = "policies decide by country, so each must be known for certain";
        let fix = match &wrong.nearest {
            Some((country, _)) => format!("write \"{country}\""),
            None => "write its ISO 3166-1 code, for example \"IN\"".to_owned(),
        };
        Fault::new(text.span().start, "config-country", wrong.to_string(), why, fix)
    })
}

pub(super) fn day(typed: &toml::Spanned<Day>) -> Result<Date, Fault> {
    let text = match typed.get_ref() {
        Day::Date(date) => date.to_string(),
        Day::Text(text) => text.clone(),
    };
    text.trim().parse().map_err(|_| {
        let what = format!("`{text}` is not a date");
        let why = "a date is a day without a time";
        Fault::new(typed.span().start, "config-date", what, why, "write for example 2015-03-01")
    })
}

/// An address with its password's place; `whose` names the store in messages.
pub(super) fn address(
    text: &Text,
    password_file: Option<&str>,
    base: &Path,
    schemes: &[&str],
    whose: &str,
) -> Result<Address, Fault> {
    let at = text.span().start;
    let file: Option<PathBuf> = password_file.map(|p| below(base, p));
    Address::new(text.get_ref(), file, schemes).map_err(|wrong| match wrong {
        Wrong::Password => {
            let what = format!("a password is written into the address of {whose}");
            let why = "the configuration is copied, shown and committed; a password must not be";
            let fix = "write ${DB_PASSWORD} in its place and export that variable, or use password_file = \"PATH\"\n\
                       and change the password: it has been in a file";
            Fault::new(at, "config-password", what, why, fix)
        }
        Wrong::Scheme => {
            // The address may hold a password where nobody expects it: only its beginning is shown.
            let begin = text.get_ref().split([':', '/']).next().unwrap_or_default();
            let what = format!("the address of {whose} begins with `{begin}`");
            let why = format!("it must begin with one of: {}", schemes.join(", "));
            Fault::new(at, "config-url", what, why, example(schemes))
        }
    })
}

fn example(schemes: &[&str]) -> &'static str {
    if schemes.contains(&"sqlite:") {
        "write for example \"postgres://domicile@db.example/shop\" or \"sqlite:shop.db\""
    } else {
        "write for example \"s3://bucket/prefix\" or \"file:objects\""
    }
}
