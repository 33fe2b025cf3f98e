//! `cdn export` and `cdn check`.

use crate::app::App;
use crate::args::{CdnCheckArgs, CdnCommand, CdnFormat, ExportArgs};
use crate::config::Config;
use crate::edge;
use crate::failure::{self, Failure, Result};
use crate::figures::counted;
use crate::paper;
use crate::screen::{self, Answer};
use domicile_policy::Country;
use domicile_server::cdn::{self, Echo, Finding, Origin, Probes, Report};
use serde_json::json;

/// Runs a CDN command.
pub async fn run(app: &App, command: CdnCommand) -> Result<Answer> {
    match command {
        CdnCommand::Export(args) => export(app, &args),
        CdnCommand::Check(args) => check(app, args).await,
    }
}

fn export(app: &App, args: &ExportArgs) -> Result<Answer> {
    let config = app.config()?;
    if config.edge.settings.routes.is_empty() {
        return Err(nothing_public(&config));
    }
    let countries = args.country.iter().map(|c| country(c)).collect::<Result<Vec<_>>>()?;
    let places: Vec<_> = countries.into_iter().map(edge::place).collect();
    let settings = edge::settings(&config, app.service(&config)?, &places)?;
    let origin = origin(&config, args.origin.as_deref())?;
    let text = match args.format {
        CdnFormat::Nginx => cdn::nginx(&settings, &origin, &args.listen, &args.store),
        CdnFormat::Varnish => cdn::varnish(&settings, &origin).map_err(|why| {
            Failure::usage("cdn-origin", "the origin speaks TLS", why, "--origin http://127.0.0.1:PORT")
        })?,
    };
    for (path, why) in edge::forbidden(&settings) {
        app.screen.say(&format!("{path} is left out, policy forbids to cache it there: {why}"));
    }
    let Some(path) = &args.output else {
        screen::raw(text.as_bytes());
        return Ok(Answer::default());
    };
    std::fs::write(path, &text).map_err(|e| failure::of_file("write the rules", path, &e))?;
    let next = format!(
        "the rules are in {}\nnext: domicile cdn check http://ADDRESS   # that it obeys them",
        path.display()
    );
    Ok(Answer::new(next, json!({ "file": path, "routes": settings.routes.len() })))
}

fn country(text: &str) -> Result<Country> {
    text.parse().map_err(|wrong: domicile_policy::WrongCountry| {
        Failure::usage("config-country", wrong.to_string(), "policies decide by country", "--country SG")
    })
}

fn origin(config: &Config, said: Option<&str>) -> Result<Origin> {
    let url = said.or(config.regions.iter().find_map(|r| r.endpoint.as_deref()));
    url.and_then(Origin::of).ok_or_else(|| {
        let what = match url {
            Some(url) => format!("`{url}` is no origin"),
            None => "which origin? no region has an endpoint".to_owned(),
        };
        let why = "the CDN asks it for what it has not kept: a scheme, a host and perhaps a port";
        Failure::usage("cdn-origin", what, why, "--origin https://app.example")
    })
}

fn nothing_public(config: &Config) -> Box<Failure> {
    Failure::usage(
        "cdn-nothing-public",
        format!("{} declares nothing as public", config.file.display()),
        "only routes that are declared public are ever cached",
        "add to it:\n[[public]]\npath = \"/static/\"\ncategory = \"public\"",
    )
}

async fn check(app: &App, args: CdnCheckArgs) -> Result<Answer> {
    let config = app.config()?;
    let settings = &config.edge.settings;
    if settings.routes.is_empty() {
        return Err(nothing_public(&config));
    }
    let Some(_) = Origin::of(&args.url) else {
        let what = format!("`{}` is no address of a CDN", args.url);
        let why = "the paths below it are asked for by this command";
        return Err(Failure::usage("usage", what, why, "domicile cdn check https://www.shop.example"));
    };
    // Held until the check is over.
    let _echo = match args.echo {
        None => None,
        Some(address) => {
            Some(Echo::listen(address, settings.personal_header.clone()).await.map_err(|e| {
                let what = format!("can't listen at {address}");
                Failure::usage(
                    "cdn-echo",
                    what,
                    e.to_string(),
                    "choose an address that is free: --echo 127.0.0.1:9000",
                )
            })?)
        }
    };
    let base = args.url.trim_end_matches('/').to_owned();
    let probes = Probes {
        base,
        host: args.host,
        routes: settings.routes.clone(),
        public: args.public,
        private: args.private,
    };
    let report = cdn::check(&probes).await.map_err(|why| {
        Failure::new(
            "cdn-unreachable",
            format!("{} can't be asked", args.url),
            why,
            format!("curl -v {}", args.url),
        )
    })?;
    Ok(said(&args.url, &report))
}

fn said(url: &str, report: &Report) -> Answer {
    let verdict = match report.findings.len() {
        0 => "nothing was kept or forwarded that must not be".to_owned(),
        n => format!("no: {}", counted(n as u64, "finding")),
    };
    let mut text = format!("{url}: {verdict}\n\n");
    text.push_str(&format!("asked       {}\n", counted(report.asked as u64, "request")));
    text.push_str(&format!("kept        {}, as they may be\n", counted(report.kept as u64, "public path")));
    if !report.echo {
        let unseen = "what is forwarded to the origin could not be seen: that takes --echo behind the CDN";
        text.push_str(&format!("{}\n", paper::wrapped("not seen    ", unseen)));
    }
    text.push_str(&listed("finding", &report.findings));
    text.push_str(&listed("note", &report.notes));
    let json = json!({
        "obeys": report.findings.is_empty(), "asked": report.asked, "kept": report.kept, "echo": report.echo,
        "findings": report.findings, "notes": report.notes,
    });
    Answer::new(text, json).no_if(!report.findings.is_empty())
}

fn listed(word: &str, findings: &[Finding]) -> String {
    let one =
        |f: &Finding| format!("\n{word} {}\n{}\n  {}\n", f.code, paper::wrapped("  ", f.what), f.target);
    findings.iter().map(one).collect()
}
