//! `audit`: traces of known identifiers where they must not be.

use crate::app::App;
use crate::args::{AuditArgs, AuditCommand, OutputArgs, ScanArgs};
use crate::audit::{self, Looked};
use crate::failure::{Failure, Result};
use crate::open::{self, Want};
use crate::screen::Answer;
use std::path::{Path, PathBuf};

/// Runs a search.
pub async fn run(app: &App, args: AuditArgs) -> Result<Answer> {
    match args.command {
        Some(AuditCommand::Residual(args)) => audit::residual(app, args).await,
        None => scan(app, args.scan).await,
    }
}

async fn scan(app: &App, args: ScanArgs) -> Result<Answer> {
    if args.targets.is_empty() {
        return Err(Failure::usage(
            "audit-target",
            "nothing is named to be searched",
            "a target is a path, postgres://, sqlite:, s3://, gs://, az:// or region:ID",
            "domicile audit TARGET... --identifiers FILE",
        ));
    }
    audit::check(&args.output, &read_for(app, &args))?;
    let looked = looked_for(app, &args).await?;
    let mut targets = Vec::new();
    for typed in &args.targets {
        targets.extend(audit::open(app, typed).await?);
    }
    let ran = audit::run(app, looked, targets, &args.output).await?;
    Ok(audit::answer(&ran, &args.output))
}

/// The files that a search reads, as they were typed.
fn read_for<'a>(app: &'a App, args: &'a ScanArgs) -> Vec<&'a Path> {
    let targets = args.targets.iter().map(|t| Path::new(t.strip_prefix("sqlite:").unwrap_or(t)));
    let OutputArgs { salt_file, hmac_key_file, hosts, .. } = &args.output;
    let named = [&args.identifiers, &args.subjects, salt_file, hmac_key_file, hosts];
    let named = named.into_iter().flatten().map(PathBuf::as_path);
    targets.chain(named).chain([app.global.config.as_path()]).collect()
}

/// The list, and what stands in the columns of the subjects named.
async fn looked_for(app: &App, args: &ScanArgs) -> Result<Looked> {
    let mut all = match &args.identifiers {
        Some(path) => {
            let config = if app.global.config.exists() { Some(app.config()?) } else { None };
            audit::from_file(path, &args.output, config.as_ref())?
        }
        None => Looked::default(),
    };
    if let (Some(subjects), Some(from)) = (&args.subjects, &args.from) {
        let config = app.config()?;
        let service = app.service(&config)?;
        let region = config.chosen(service, Some(from))?[0];
        let columns = audit::columns_of(&args.columns, &config)?;
        let mapped = open::mapped(&config, service, &Want::only([region.id()])).await?;
        let records = mapped.records(region).await?;
        let subjects = audit::subjects_in(subjects)?;
        let place = format!("region {from}");
        let from = (&*records, &*mapped.layout, place.as_str());
        let read = audit::of_subjects(from, &columns, &subjects, (&args.output, &config)).await?;
        all.identifiers.extend(read.identifiers);
        (all.subjects, all.unfit) = (read.subjects, read.unfit);
    }
    if all.identifiers.is_empty() {
        return Err(Failure::usage(
            "audit-identifiers",
            "nothing is named to be looked for",
            "a search for nothing would find nothing",
            "domicile audit TARGET... --identifiers FILE   # one identifier a line; - is stdin",
        ));
    }
    Ok(all)
}
