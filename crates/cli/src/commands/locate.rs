//! `locate`: one subject's home, its state and rows in every region, and policy's word.

use crate::app::App;
use crate::failure::{self, Failure, Result};
use crate::figures::{bytes, count, counted};
use crate::open::{self, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_mover::progress::Silent;
use domicile_mover::{Region, Service};
use domicile_policy::{Circumstances, Class, Placement};
use domicile_stores::records::{HomeRow, Size, SubjectFacts, SubjectId};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one region has of the subject.
struct Here<'s> {
    region: &'s str,
    /// Why it can't be asked.
    down: Option<String>,
    guard: Option<HomeRow>,
    facts: Option<SubjectFacts>,
    tables: BTreeMap<String, Size>,
}

impl Here<'_> {
    fn rows(&self) -> u64 {
        self.tables.values().map(|s| s.rows).sum()
    }
}

/// Looks the subject up everywhere.
pub async fn run(app: &App, subject: String) -> Result<Answer> {
    let config = app.config()?;
    let service = open::service_of(
        app,
        &config,
        app.service(&config)?,
        open::today(),
        Arc::new(Silent),
        &Want::reachable(),
    )
    .await?;
    let subject = SubjectId(subject);
    let home =
        service.directory.home(&service.name, &subject).await.map_err(|e| failure::of_directory(&e))?;
    let mut all = Vec::new();
    for place in &service.places {
        all.push(look(&service, &place.id, &subject).await?);
    }
    if home.is_none() && all.iter().all(|h| h.down.is_none() && h.guard.is_none() && h.rows() == 0) {
        return Err(Failure::new(
            "subject-unknown",
            "nobody has that key: no home in the directory, no row in any region",
            format!("SUBJECT is the value of {}, the root table's key", root_key(&service)),
            "domicile locate KEY",
        )
        .exit(Exit::No));
    }
    // The facts at home count; an old copy's country may be yesterday's.
    let at_home = |h: &&Here<'_>| home.as_ref().is_some_and(|home| home.region == h.region);
    let facts = all.iter().find(at_home).or(all.first()).and_then(|h| h.facts.clone());
    let facts = facts.or_else(|| all.iter().find_map(|h| h.facts.clone()));
    let class = facts.as_ref().map(domicile_mover::plan::class_of);
    let placement = class.as_ref().map(|c| place(&service, c, home.as_ref().map(|h| h.region.as_str())));
    let mut text = match &home {
        Some(home) => format!("home      {} (epoch {})\n", home.region, home.epoch),
        None => "home      none in the directory\n".to_owned(),
    };
    let endpoint = home.as_ref().and_then(|h| config.region(&h.region)).and_then(|r| r.endpoint.clone());
    text.push_str(&endpoint.as_ref().map(|e| format!("endpoint  {e}\n")).unwrap_or_default());
    text.push_str(&said_of(class.as_ref(), placement.as_ref()));
    text.push_str(&regions_text(&all));
    let json = json!({
        "home": home.as_ref().map(|h| json!({ "region": h.region, "epoch": h.epoch })),
        "endpoint": endpoint, "class": class, "policy": placement,
        "regions": all.iter().map(json_of).collect::<Vec<_>>(),
    });
    let mut answer = Answer::new(text, json);
    // Without a home in the directory a region that can't be asked may be the one that has the rows.
    if home.is_none() && all.iter().any(|h| h.down.is_some()) {
        answer.exit = Exit::Failed;
    }
    Ok(answer)
}

fn root_key(service: &Service) -> String {
    let root = service.layout.tables.first();
    root.map(|t| match &t.owner {
        domicile_datamap::Owner::Root { column } => format!("{}.{column}", t.name),
        _ => t.name.to_string(),
    })
    .unwrap_or_default()
}

/// Asks one region; one that does not answer is no reason to keep quiet about the others.
async fn look<'s>(service: &Service, id: &'s str, subject: &SubjectId) -> Result<Here<'s>> {
    let down = |why: &str| Here {
        region: id,
        down: Some(why.to_owned()),
        guard: None,
        facts: None,
        tables: BTreeMap::new(),
    };
    let Some(region) = service.regions.get(id) else {
        return Ok(down(service.closed.get(id).map_or("it was not opened", String::as_str)));
    };
    match ask(service, region, id, subject).await {
        Err(failure) if failure.code == "store-unreachable" => Ok(down(&open::in_a_line(&failure))),
        other => other,
    }
}

async fn ask<'s>(service: &Service, region: &Region, id: &'s str, subject: &SubjectId) -> Result<Here<'s>> {
    let at = |e| failure::of_store(&format!("region {}", region.id), &e);
    let one = std::slice::from_ref(subject);
    let guard = region.records.homes(one).await.map_err(at)?.pop();
    let facts = region.records.facts(one).await.map_err(at)?.pop();
    let sizes = region.records.measure(one).await.map_err(at)?;
    let name = |ix: usize| service.layout.tables[ix].name.to_string();
    let tables = sizes.into_iter().filter(|(_, s)| s.rows > 0).map(|(ix, s)| (name(ix), s)).collect();
    Ok(Here { region: id, down: None, guard, facts, tables })
}

fn place(service: &Service, class: &Class, home: Option<&str>) -> Placement {
    let categories = service.layout.categories();
    let from = home.and_then(|id| service.places.iter().find(|r| r.id == id));
    service.rules.policies.place(
        class,
        from,
        &Circumstances {
            categories: &categories,
            regions: &service.places,
            latency: &service.rules.latency,
            today: open::today(),
            mechanisms: &service.rules.mechanisms,
            for_latency: false,
        },
    )
}

fn said_of(class: Option<&Class>, placement: Option<&Placement>) -> String {
    let mut text = String::new();
    if let Some(class) = class {
        let mut words =
            vec![class.residence.map_or("no known country".to_owned(), |c| format!("{} ({c})", c.name()))];
        words.extend(class.citizenship.map(|c| format!("citizen of {}", c.name())));
        words.extend(class.flags.iter().cloned());
        text.push_str(&format!("{}\n", paper::wrapped("lives in  ", &words.join(", "))));
    }
    if let Some(placement) = placement {
        text.push_str(&format!("{}\n", paper::wrapped("policy    ", &placement.why)));
    }
    text
}

fn regions_text(all: &[Here<'_>]) -> String {
    let rows = all.iter().map(|here| {
        let state = here.guard.as_ref().map_or("-".to_owned(), |g| format!("{:?}", g.state).to_lowercase());
        let epoch = here.guard.as_ref().map_or("-".to_owned(), |g| g.epoch.to_string());
        if here.down.is_some() {
            return [here.region, "unreachable", "?", "?", "?"].map(str::to_owned).into();
        }
        let size: u64 = here.tables.values().map(|s| s.bytes).sum();
        vec![here.region.to_owned(), state, epoch, count(here.rows()), bytes(size)]
    });
    let mut text = format!(
        "\n{}\n",
        paper::table(&["region", "state", "epoch", "rows", "bytes"], &[2, 3, 4], rows.collect())
    );
    for here in all.iter().filter(|h| h.rows() > 0) {
        let tables: Vec<String> = here.tables.iter().map(|(t, s)| format!("{t} {}", count(s.rows))).collect();
        let line = format!("{}: {}", counted(here.rows(), "row"), tables.join(", "));
        text.push_str(&format!("\n{}\n", paper::wrapped(&format!("{}  ", here.region), &line)));
    }
    for (here, why) in all.iter().filter_map(|h| h.down.as_ref().map(|why| (h, why))) {
        let said = format!("can't be reached: {why}");
        text.push_str(&format!("\n{}\n", paper::wrapped(&format!("{}  ", here.region), &said)));
    }
    text
}

fn json_of(here: &Here<'_>) -> serde_json::Value {
    json!({
        "region": here.region,
        "unreachable": here.down,
        "state": here.guard.as_ref().map(|g| g.state),
        "epoch": here.guard.as_ref().map(|g| g.epoch),
        "rows": here.rows(),
        "tables": here.tables,
    })
}
