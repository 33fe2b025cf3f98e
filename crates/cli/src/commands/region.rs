//! `region prepare`, `region sync-reference`: a new region's schema, and the shared tables; `region reconcile`.

use crate::app::App;
use crate::args::RegionCommand;
use crate::config::{Config, Region, Service};
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted};
use crate::open::{self, Mapped, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_mover::reconcile::May;
use domicile_stores::Records;
use serde_json::json;

mod reconcile;

/// Runs a region command.
pub async fn run(app: &App, command: RegionCommand) -> Result<Answer> {
    let config = app.config()?;
    let service = app.service(&config)?;
    match command {
        RegionCommand::Prepare { id, from } => prepare(app, &config, service, &id, from.as_deref()).await,
        RegionCommand::SyncReference { id, from } => {
            sync(app, &config, service, id.as_deref(), from.as_deref()).await
        }
        RegionCommand::Reconcile { id, erase, open } => {
            reconcile::run(app, &config, service, &id, May { erase, open }).await
        }
    }
}

fn at(region: &Region) -> impl Fn(domicile_stores::Error) -> Box<Failure> + '_ {
    move |e| failure::of_store(&format!("region {}", region.id()), &e)
}

/// The region to take schema and shared rows from: the one named, or the first that has them.
fn source<'c>(mapped: &Mapped<'c>, from: Option<&str>, not: Option<&str>) -> Result<&'c Region> {
    if let Some(id) = from {
        let named = mapped.config.chosen(mapped.service, Some(id))?[0];
        return match mapped.prepared().find(|r| r.id() == named.id()) {
            Some(region) => Ok(region),
            None => Err(open::unprepared(id)),
        };
    }
    // The first region's rows count: another one's may be older.
    let order = |id: &str| mapped.config.regions.iter().position(|r| r.id() == id);
    let first = mapped.prepared().find(|r| Some(r.id()) != not);
    let before = |(region, _): &&(&Region, Box<Failure>)| {
        Some(region.id()) != not && first.is_none_or(|first| order(region.id()) < order(first.id()))
    };
    if let Some((_, failure)) = mapped.down.iter().find(before) {
        let fix = format!("{}\nor take them from another region: --from ID", failure.fix);
        let what = format!("{}, and shared rows come from there", failure.what);
        let mut failure = failure.clone().fix(fix);
        failure.what = what;
        return Err(failure);
    }
    first.ok_or_else(|| {
        Failure::usage(
            "region-no-source",
            "no other region has the service's tables",
            "a region is prepared after one that is in use",
            "domicile check",
        )
    })
}

async fn prepare(
    app: &App,
    config: &Config,
    service: &Service,
    id: &str,
    from: Option<&str>,
) -> Result<Answer> {
    let target = config.chosen(service, Some(id))?[0];
    let want = from.map_or(Want::at_least([id]), |from| Want::only([id, from]));
    let mapped = open::mapped(config, service, &want).await?;
    let source = source(&mapped, from, Some(id))?;
    if source.id() == id {
        let why = "schema and shared rows come from another region";
        return Err(Failure::usage(
            "region-same",
            format!("{id} can't be prepared from itself"),
            why,
            "leave --from out",
        ));
    }
    if mapped.prepared().any(|r| r.id() == id) {
        return there_already(app, &mapped, source, target).await;
    }
    app.screen.say(&format!("copying the schema from {} to {id}", source.id()));
    let from_records = mapped.records(source).await?;
    let sql = from_records.schema_dump().await.map_err(at(source))?;
    let address = target.records.of(&service.name);
    make_folder(config, &address)?;
    // CRASH: the whole schema or none of it; the next `prepare` begins again.
    let bare = open::records(config, &address, &[], open::no_layout(open::engine_of(&address)), true).await;
    let bare = bare.map_err(|e| e.failure(&format!("region {id}")))?;
    bare.run_schema(&sql).await.map_err(at(target))?;
    let tables = mapped.layout.tables.len() + mapped.layout.references.len();
    let rows = references(&mapped, from_records.as_ref(), source, target).await?;
    let total: u64 = rows.iter().map(|(_, n)| n).sum();
    let numbers = crate::numbers::settle(&mapped, target).await?;
    let text = format!(
        "{id} has the schema of {} now, with {} in {}\n\nnext: domicile guard install --region {id}",
        source.id(),
        counted(total, "shared row"),
        counted(rows.len() as u64, "shared table"),
    );
    let text = format!("{text}{}{}", owner_note(&mapped, target), numbers.text(id));
    let left: Vec<_> = numbers.left.iter().map(|c| json!({ "what": c.what, "fix": c.remedy })).collect();
    let json = json!({
        "region": id, "from": source.id(), "tables": tables, "shared_rows": total, "schema": "copied",
        "sequences_set": numbers.ran, "numbers_clash": left,
    });
    Ok(Answer::new(text, json))
}

/// PostgreSQL: owners and privileges are not part of the schema that is copied.
fn owner_note(mapped: &Mapped<'_>, target: &Region) -> String {
    if mapped.layout.engine == domicile_datamap::Engine::Sqlite {
        return String::new();
    }
    let role = target.records.role().unwrap_or("the role of its URL");
    let note = format!(
        "The tables at {} belong to `{role}`. Grant your application's own role there what it has at the \
         other regions; it must not be `{role}`, which the guard lets pass.",
        target.id()
    );
    format!("\n\n{}", paper::wrapped("", &note))
}

/// A SQLite file's folder is made with it.
fn make_folder(config: &Config, address: &crate::config::Address) -> Result<()> {
    let Some(path) = address.text().strip_prefix("sqlite:") else { return Ok(()) };
    let path = config.base.join(path);
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|e| failure::of_file("make the folder", folder, &e))
        }
        None => Ok(()),
    }
}

/// The schema is there: it is compared and left alone; shared rows are brought up to date.
async fn there_already(app: &App, mapped: &Mapped<'_>, source: &Region, target: &Region) -> Result<Answer> {
    let catalogue =
        |id: &str| mapped.seen.iter().find(|s| s.region.id() == id).and_then(|s| s.catalogue.as_ref());
    let (Some(here), Some(there)) = (catalogue(source.id()), catalogue(target.id())) else {
        return Err(open::unprepared(target.id()));
    };
    let mut differences = domicile_datamap::diff(here, there, &mapped.layout);
    for (table, key) in domicile_datamap::dropped_but_present(&mapped.layout, there) {
        differences.push(format!("{table}: foreign key `{key}` must not exist: the data map answers so"));
    }
    let id = target.id();
    if !differences.is_empty() {
        let lines: Vec<String> = differences.iter().map(|d| paper::wrapped("  - ", d)).collect();
        let text = format!(
            "{id} has the service's tables already, but they differ from those of {}:\n{}\n\n\
             nothing was changed; make both alike, for example with your migrations, then: domicile check",
            source.id(),
            lines.join("\n")
        );
        let json =
            json!({ "region": id, "from": source.id(), "schema": "differs", "differences": differences });
        let mut answer = Answer::new(text, json);
        answer.exit = Exit::No;
        return Ok(answer);
    }
    app.screen.say(&format!("{id} has the schema already; bringing shared rows from {}", source.id()));
    let from_records = mapped.records(source).await?;
    let rows = references(mapped, from_records.as_ref(), source, target).await?;
    let total: u64 = rows.iter().map(|(_, n)| n).sum();
    let text = format!(
        "{id} has the schema of {} already; {} written\n\nnext: domicile guard install --region {id}",
        source.id(),
        counted(total, "shared row"),
    );
    Ok(Answer::new(
        text,
        json!({ "region": id, "from": source.id(), "schema": "same", "shared_rows": total }),
    ))
}

/// Copies every shared table's rows; (table, rows written or changed).
async fn references(
    mapped: &Mapped<'_>,
    from: &dyn Records,
    source: &Region,
    target: &Region,
) -> Result<Vec<(String, u64)>> {
    let to = mapped.records(target).await?;
    let mut written = Vec::new();
    for (at_table, table) in mapped.layout.references.iter().enumerate() {
        let rows = from.reference_rows(at_table).await.map_err(at(source))?;
        // CRASH: tables before this one are up to date; doing it again changes nothing in them.
        let changed = to.put_reference(at_table, rows).await.map_err(at(target))?;
        written.push((table.name.to_string(), changed));
    }
    Ok(written)
}

async fn sync(
    app: &App,
    config: &Config,
    service: &Service,
    id: Option<&str>,
    from: Option<&str>,
) -> Result<Answer> {
    let targets = config.chosen(service, id)?;
    let want = match (id, from) {
        (Some(id), Some(from)) => Want::only([id, from]),
        _ => Want::at_least(id.into_iter().chain(from)),
    };
    let mapped = open::mapped(config, service, &want).await?;
    let source = source(&mapped, from, id)?;
    let from_records = mapped.records(source).await?;
    let (mut rows, mut list) = (Vec::new(), Vec::new());
    for target in targets.into_iter().filter(|t| t.id() != source.id()) {
        if let Some((_, failure)) = mapped.down.iter().find(|(r, _)| r.id() == target.id()) {
            let why = open::in_a_line(failure);
            list.push(json!({ "region": target.id(), "unreachable": why }));
            rows.push(vec![target.id().to_owned(), format!("can't be reached: {why}"), String::new()]);
            continue;
        }
        if !mapped.prepared().any(|r| r.id() == target.id()) {
            if id.is_some() {
                return Err(open::unprepared(target.id()));
            }
            rows.push(vec![target.id().to_owned(), "no tables yet".to_owned(), String::new()]);
            continue;
        }
        app.screen.say(&format!("bringing shared rows from {} to {}", source.id(), target.id()));
        for (table, changed) in references(&mapped, from_records.as_ref(), source, target).await? {
            list.push(json!({ "region": target.id(), "table": table, "rows": changed }));
            rows.push(vec![target.id().to_owned(), table, count(changed)]);
        }
    }
    if rows.is_empty() {
        return Ok(Answer::new(
            "no shared table, or no other region: nothing to do",
            json!({ "tables": [] }),
        ));
    }
    let table = paper::table(&["region", "shared table", "rows written"], &[2], rows);
    let mut answer = Answer::new(table, json!({ "from": source.id(), "tables": list }));
    if !mapped.down.is_empty() {
        answer.exit = Exit::Failed;
    }
    Ok(answer)
}
