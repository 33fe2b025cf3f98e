//! `check`: everything that must be right before a move, all at once; changes nothing.

mod served;

use crate::absent;
use crate::app::App;
use crate::config::{Config, Guard, Service};
use crate::failure::{self, Failure, Result};
use crate::figures::counted;
use crate::open::{self, Mapped, Seen};
use crate::paper;
use crate::screen::Answer;
use domicile_stores::records::{GuardStatus, Mode};
use serde_json::{Value, json};

/// One thing looked at.
struct Finding {
    area: String,
    what: String,
    /// `None`: it is as it must be.
    fix: Option<String>,
    code: &'static str,
    /// It works without the fix: what it lacks, in a word. Nothing is refused for it.
    works_but: Option<&'static str>,
    /// Why it matters, where several may share it: said under the last of those.
    why: Option<String>,
}

/// The findings while they are gathered.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn fine(&mut self, area: &str, what: impl Into<String>) {
        self.push(area, what.into(), None, "", None);
    }

    fn wrong(&mut self, area: &str, code: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.push(area, what.into(), Some(fix.into()), code, None);
    }

    fn slow(&mut self, area: &str, code: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.push(area, what.into(), Some(fix.into()), code, Some(" slow "));
    }

    fn risk(&mut self, area: &str, code: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.push(area, what.into(), Some(fix.into()), code, Some(" risk "));
    }

    fn push(
        &mut self,
        area: &str,
        what: String,
        fix: Option<String>,
        code: &'static str,
        works_but: Option<&'static str>,
    ) {
        self.0.push(Finding { area: area.to_owned(), what, fix, code, works_but, why: None });
    }

    fn failed(&mut self, area: &str, f: &Failure) {
        self.wrong(area, f.code, format!("{}\n{}", f.what, f.why), f.fix.clone());
    }

    /// Notes a failure and goes on without its value.
    fn of<T>(&mut self, area: &str, result: Result<T>) -> Option<T> {
        result.map_err(|f| self.failed(area, &f)).ok()
    }
}

/// Looks at configuration, keys, control store, policies, data map and every region.
pub async fn run(app: &App) -> Result<Answer> {
    // Without a configuration there is nothing to look at: that is an error, not a finding.
    let config = app.config()?;
    let service = app.service(&config)?;
    let mut all = Findings::default();
    let shown = format!("{} with service `{}`", counted(config.regions.len() as u64, "region"), service.name);
    all.fine("configuration", format!("{}: {shown}", config.file.display()));
    if let Some(Some(address)) = all.of("metrics", crate::metrics::serve::configured(&config)) {
        all.fine("metrics", format!("http://{address}/metrics"));
    }
    check_keys(&mut all, &config, service);
    check_control(&mut all, &config).await;
    check_policies(&mut all, &config, service);
    served::check_public(&mut all, &config, service);
    served::check_certificates(&mut all, &config);
    check_map(&mut all, &config, service).await;
    Ok(answer(all))
}

fn check_keys(all: &mut Findings, config: &Config, service: &Service) {
    let ids: Vec<&str> = config.regions_of(service).map(crate::config::Region::id).collect();
    let read = crate::keys::directory(config)
        .and_then(|_| crate::keys::receipts(config))
        .and_then(|_| crate::keys::check_signing(config, &ids));
    if all.of("keys", read).is_some() {
        all.fine("keys", format!("{}: readable by you alone", config.keys.display()));
    }
}

async fn check_control(all: &mut Findings, config: &Config) {
    let Ok(key) = crate::keys::directory(config) else { return };
    drop(key);
    let Some(directory) = all.of("control store", open::directory(config).await) else { return };
    match directory.counts("").await {
        Ok(_) => all.fine("control store", directory.name()),
        Err(error) => all.failed("control store", &failure::of_directory(&error)),
    }
}

fn check_policies(all: &mut Findings, config: &Config, service: &Service) {
    let Some(rules) = all.of("policies", open::rules(config, service, open::today())) else { return };
    let policies = &rules.policies;
    for warning in policies.warnings() {
        all.wrong("policies", "policy-warning", warning.to_string(), "domicile policy check");
    }
    if policies.is_empty() {
        all.wrong(
            "policies",
            "policy-empty",
            "there is no policy: nothing may be stored anywhere",
            "write one into the policy files",
        );
        return;
    }
    let latency =
        if rules.latency.is_empty() { ", no latency table: homes by law, then by name" } else { "" };
    all.fine("policies", format!("{}{latency}", counted(policies.len() as u64, "rule")));
}

async fn check_map(all: &mut Findings, config: &Config, service: &Service) {
    let Some(map) = all.of("data map", failure::read_map(&service.map)) else { return };
    let mut seen = Vec::new();
    for region in config.regions_of(service) {
        let area = format!("region {}", region.id());
        seen.extend(all.of(&area, open::look(config, service, region).await));
    }
    let Some(catalogue) = seen.iter().find(|s| s.has_root(&map)).and_then(|s| s.catalogue.as_ref()) else {
        if !seen.is_empty() {
            let what = format!("no region has the root table {}", map.subject.table);
            all.wrong("data map", "map-root-gone", what, "is this the right database? domicile init --help");
        }
        return;
    };
    match domicile_datamap::check(&map, catalogue) {
        Err(problems) => {
            for p in problems {
                let fix = Some(failure::fix_of(&p));
                let (area, code) = ("data map".to_owned(), p.code);
                all.0.push(Finding { area, what: p.what, fix, code, works_but: None, why: Some(p.why) });
            }
        }
        Ok(layout) => {
            let tables = format!(
                "{}: {}, {} shared, {} excluded, no open question",
                service.map.display(),
                counted(layout.tables.len() as u64, "mapped table"),
                layout.references.len(),
                layout.excluded.len()
            );
            all.fine("data map", tables);
            check_claims(all, service, &layout);
            let layout = std::sync::Arc::new(layout);
            check_regions(all, &Mapped { config, service, layout, seen, down: Vec::new(), map }).await;
        }
    }
}

fn check_claims(all: &mut Findings, service: &Service, layout: &domicile_datamap::Layout) {
    for one in crate::claims::columns(&service.claims, layout) {
        match one {
            Ok(found) => all.fine("claims", format!("{} in {}", found.named.kind, found.named)),
            Err(absent) => all.wrong("claims", "claim-column", absent.what, absent.fix),
        }
    }
}

async fn check_regions(all: &mut Findings, mapped: &Mapped<'_>) {
    let source = mapped.seen.iter().find(|s| s.has_root(&mapped.map));
    for seen in &mapped.seen {
        let id = seen.region.id();
        let area = format!("region {id}");
        if !seen.has_root(&mapped.map) {
            let what = "the service's tables are not there yet";
            all.wrong(&area, "region-unprepared", what, format!("domicile region prepare {id}"));
            continue;
        }
        check_schema(all, &area, mapped, source, seen);
        check_indexes(all, &area, mapped, seen);
        check_store(all, &area, mapped, seen).await;
    }
    check_numbers(all, mapped).await;
}

/// Keys that two regions both give out.
async fn check_numbers(all: &mut Findings, mapped: &Mapped<'_>) {
    // A region that can't be opened was named before.
    let Ok(clashes) = crate::numbers::clashes(mapped).await else { return };
    for clash in clashes {
        let fix = clash.remedy.join("\n");
        match clash.now {
            true => all.wrong("new numbers", "numbers-clash", clash.what, fix),
            false => all.risk("new numbers", "numbers-clash", clash.what, fix),
        }
    }
}

fn check_schema(
    all: &mut Findings,
    area: &str,
    mapped: &Mapped<'_>,
    source: Option<&Seen<'_>>,
    seen: &Seen<'_>,
) {
    let Some(catalogue) = &seen.catalogue else { return };
    for (table, key) in domicile_datamap::dropped_but_present(&mapped.layout, catalogue) {
        let what =
            format!("foreign key `{key}` of {table} must not exist at any region: the data map answers so");
        let drop = format!("ALTER TABLE {} DROP CONSTRAINT \"{key}\";", table.in_sql());
        all.wrong(area, "foreign-key-present", what, drop);
    }
    let Some((from, source)) = source.and_then(|s| s.catalogue.as_ref().map(|c| (s.region.id(), c))) else {
        return;
    };
    if from == seen.region.id() {
        return;
    }
    for line in domicile_datamap::diff(source, catalogue, &mapped.layout) {
        all.wrong(
            area,
            "schema-differs",
            format!("differs from {from}: {line}"),
            "make both schemas alike, for example with your migrations",
        );
    }
}

/// Without these a wave works, but reads whole tables again and again.
fn check_indexes(all: &mut Findings, area: &str, mapped: &Mapped<'_>, seen: &Seen<'_>) {
    let Some(catalogue) = &seen.catalogue else { return };
    for absent in domicile_datamap::unindexed(&mapped.layout, catalogue) {
        let what = format!(
            "no index of {} begins with {}: every batch reads the whole table, and so does every parent \
             row that is erased",
            absent.table,
            absent.columns.join(", ")
        );
        all.slow(area, "index-absent", what, absent.remedy);
    }
}

async fn check_store(all: &mut Findings, area: &str, mapped: &Mapped<'_>, seen: &Seen<'_>) {
    let id = seen.region.id();
    let Some(region) = all.of(area, mapped.open(seen.region).await) else { return };
    let records = &region.records;
    let of_store = |e| failure::of_store(area, &e);
    let lacking = all.of(area, records.missing_privileges().await.map_err(of_store)).unwrap_or_default();
    // Without them the look for hazards would only be refused.
    let hazards = match lacking.is_empty() {
        true => all.of(area, records.hazards().await.map_err(of_store)).unwrap_or_default(),
        false => Vec::new(),
    };
    for (what, grant) in lacking {
        all.wrong(area, "store-denied", format!("no privilege for {what}"), grant);
    }
    let ceilings = domicile_mover::ceilings_problem(&mapped.config.limits, &region).await;
    if let Some((what, fix)) = all.of(area, ceilings.map_err(|e| failure::of_mover(&e))).flatten() {
        all.wrong(area, "store-denied", what, fix);
    }
    for hazard in hazards {
        let (area, code, why) = (area.to_owned(), hazard.code, Some(hazard.why.to_owned()));
        all.0.push(Finding { area, what: hazard.what, fix: Some(hazard.fix), code, works_but: None, why });
    }
    if !mapped.layout.objects.is_empty() && region.objects.is_none() {
        let what = "the data map names objects, and the region has no object store";
        all.wrong(area, "config-no-objects", what, format!("add objects = \"...\" to [[region]] {id}"));
    }
    let Some(status) = all.of(area, records.status(true).await.map_err(of_store)) else { return };
    check_guard(all, area, mapped.service.guard, id, &status);
    check_homes(all, area, mapped, id, &status).await;
}

/// Nothing is refused for them, and one that is signing up is no fault; whoever restored a backup has to hear of it.
async fn check_homes(all: &mut Findings, area: &str, mapped: &Mapped<'_>, id: &str, status: &GuardStatus) {
    // A control store that can't be asked was named before.
    let Ok(directory) = open::directory(mapped.config).await else { return };
    let Ok(homes) = directory.counts(&mapped.service.name).await else { return };
    let lives = homes.get(id).copied().unwrap_or(0);
    let absent = absent::absent(lives, status);
    if absent > 0 {
        all.risk(area, "homes-missing", absent::words(absent, lives), "domicile verify");
    }
}

fn check_guard(all: &mut Findings, area: &str, guard: Guard, id: &str, status: &GuardStatus) {
    for fault in &status.faults {
        all.wrong(area, "guard-fault", fault.clone(), format!("domicile guard install --region {id}"));
    }
    let wanted = if guard == Guard::Wave { Mode::Wave } else { Mode::Enforce };
    match status.mode {
        None => all.wrong(
            area,
            "guard-absent",
            "the guard is not installed",
            format!("domicile guard install --region {id}"),
        ),
        Some(mode) if mode == wanted && status.faults.is_empty() => {
            let home: u64 = status.subjects.values().sum();
            all.fine(area, format!("ready; {} known to the guard", counted(home, "subject")));
        }
        Some(mode) if mode == wanted => {}
        Some(_) if status.unhomed > 0 => {
            let what = format!("the guard only observes, and {} no home yet", have(status.unhomed));
            all.wrong(area, "guard-observes", what, format!("domicile guard backfill --region {id}"));
        }
        Some(_) => all.wrong(
            area,
            "guard-observes",
            "the guard only observes",
            format!("domicile guard enforce --region {id}"),
        ),
    }
}

fn have(n: u64) -> String {
    format!("{} {}", counted(n, "subject"), if n == 1 { "has" } else { "have" })
}

/// Reason and fix are the same: a dozen open questions need them once.
fn alike(one: &Finding, next: &Finding) -> bool {
    one.area == next.area && one.why == next.why && one.fix == next.fix
}

fn answer(all: Findings) -> Answer {
    let wrong = all.0.iter().filter(|f| f.fix.is_some() && f.works_but.is_none()).count() as u64;
    let mut text = String::new();
    let mut area = "";
    for (n, finding) in all.0.iter().enumerate() {
        if finding.area != area {
            text.push_str(&format!("{}{}\n", if area.is_empty() { "" } else { "\n" }, finding.area));
            area = &finding.area;
        }
        let mark = match (&finding.fix, finding.works_but) {
            (None, _) => "  ok  ",
            (Some(_), Some(word)) => word,
            (Some(_), None) => "  no  ",
        };
        text.push_str(&format!("{}\n", paper::wrapped(mark, &finding.what)));
        if all.0.get(n + 1).is_some_and(|next| next.why.is_some() && alike(finding, next)) {
            continue;
        }
        if let Some(line) = &finding.why {
            text.push_str(&format!("{}\n", paper::wrapped("      ", line)));
        }
        for line in finding.fix.iter().flat_map(|f| f.lines()) {
            text.push_str(&format!("      fix: {line}\n"));
        }
    }
    let verdict = match wrong {
        0 => "\nready: domicile plan".to_owned(),
        n => format!(
            "\nnot ready: {} above",
            counted(n, "thing to mend").replace("thing to mends", "things to mend")
        ),
    };
    text.push_str(&verdict);
    let findings: Vec<Value> = all
        .0
        .iter()
        .map(|f| {
            let code = f.fix.as_ref().map(|_| f.code);
            let ok = f.fix.is_none() || f.works_but.is_some();
            let what = f.why.as_ref().map_or(f.what.clone(), |why| format!("{}\n{why}", f.what));
            json!({ "area": f.area, "ok": ok, "what": what, "fix": f.fix, "code": code })
        })
        .collect();
    Answer::new(text, json!({ "ready": wrong == 0, "findings": findings })).no_if(wrong > 0)
}
