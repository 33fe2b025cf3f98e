//! The report in the form that was asked for, and where it goes.

use super::Ran;
use crate::app::App;
use crate::args::{Format, OutputArgs};
use crate::failure::{self, Failure, Result};
use crate::screen::{Answer, Exit};
use domicile_audit::hosts::Hosts;
use domicile_audit::report::{self, Verdict};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is known of hosts: the table that was named, else the configured one, and the regions' own endpoints.
pub fn hosts(app: &App, output: &OutputArgs) -> Result<Hosts> {
    let config = if app.global.config.exists() { Some(app.config()?) } else { None };
    let configured = config.as_ref().and_then(|c| c.audit.hosts.clone());
    let mut hosts = match output.hosts.clone().or(configured) {
        None => Hosts::default(),
        Some(path) => {
            let text =
                std::fs::read_to_string(&path).map_err(|e| failure::of_file("read the hosts", &path, &e))?;
            Hosts::parse(&text).map_err(|error| {
                Failure::usage(
                    "audit-hosts",
                    format!("{}: {error}", path.display()),
                    "a country that is not known for certain is not told",
                    "write for example\n[[host]]\nis = \"203.0.113.0/24\"\ncountry = \"CN\"\nowner = \"Example Cloud\"",
                )
            })?
        }
    };
    for region in config.iter().flat_map(|c| &c.regions) {
        let host = region.endpoint.as_deref().and_then(host_of);
        // An endpoint that is no host tells nothing of one.
        let _ = host.map(|host| {
            hosts.add(host, region.place.country.to_string(), Some(format!("region {}", region.id())))
        });
    }
    Ok(hosts)
}

/// The host of a URL.
fn host_of(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => host.split(':').next(),
    }
}

/// The report, and where it goes; exit code 3 where something was found, 1 where a control was missed or not all was read.
/// A report that can't be written is told, and stands in the answer all the same: the search may have taken days.
pub fn answer(ran: &Ran, output: &OutputArgs) -> Answer {
    let Ran { report, asked, .. } = ran;
    let text = report::text(report, asked);
    let mut answer = Answer::new(text, report::json(report, asked));
    answer.exit = match report.verdict() {
        Verdict::Nothing => Exit::Done,
        Verdict::Found => Exit::No,
        Verdict::NotWhole | Verdict::ProvesNothing => Exit::Failed,
    };
    if report.verdict() == Verdict::NotWhole {
        let missing: Vec<&str> = report.missing().map(|(gap, _)| gap.word()).collect();
        let hint =
            format!("\nexit code 1; where that is known to do no harm: --accept {}\n", missing.join(","));
        answer.text.push_str(&hint);
    }
    let form = form(output);
    let whole = match form {
        Format::Text => report::text(report, asked),
        Format::Json => format!("{:#}\n", report::json(report, asked)),
        Format::Sarif => format!("{:#}\n", report::sarif(report, asked)),
        Format::Html => report::html(report, asked),
    };
    match &output.output {
        Some(path) => match write(path, &whole) {
            Ok(()) => answer.text.push_str(&format!("\nthe report is in {}\n", path.display())),
            Err(failure) => {
                let state = "the search is done, and its report stands above; the file is as it was";
                return answer.failing(failure.state(state));
            }
        },
        None if form != Format::Text => answer.raw = Some(whole),
        None => {}
    }
    answer
}

fn form(output: &OutputArgs) -> Format {
    let ending = output.output.as_ref().and_then(|path| path.extension()).and_then(|e| e.to_str());
    output.format.unwrap_or(match ending {
        Some("html" | "htm") => Format::Html,
        Some("sarif") => Format::Sarif,
        Some("json") => Format::Json,
        _ => Format::Text,
    })
}

/// Before a search that may take hours: the report can stand there, and over nothing that is read for it.
pub fn check(output: &OutputArgs, read: &[&Path]) -> Result<()> {
    let Some(path) = &output.output else { return Ok(()) };
    let said = |e: &io::Error| Err(failure::of_file("write the report", path, e));
    if path.is_dir() {
        return said(&io::ErrorKind::IsADirectory.into());
    }
    let there = fs::metadata(folder_of(path)).and_then(|_| match fs::metadata(path) {
        Ok(special) if !special.is_file() => Ok(()),
        // What stands beside it for a moment is what the report will be before it takes its name.
        _ => create(path).and_then(|(new, _)| fs::remove_file(new)),
    });
    if let Err(error) = there {
        return said(&error);
    }
    let same = |other: &&&Path| match (fs::metadata(path), fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    };
    let Some(other) = read.iter().find(same) else { return Ok(()) };
    Err(Failure::usage(
        "audit-output",
        format!("the report would be written over {}", other.display()),
        "that file is read for the search",
        "name another file behind -o",
    ))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Readable by its owner alone: it names places where personal data stands.
///
/// CRASH: the report that was there before, and beside it a rest by another name.
fn write(path: &Path, text: &str) -> Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|there| !there.is_file());
    let written = if is_special { fs::write(path, text) } else { replace(path, text) };
    written.map_err(|e| failure::of_file("write the report", path, &e))
}

/// A new file beside a path.
fn create(path: &Path) -> io::Result<(PathBuf, fs::File)> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = folder_of(path).join(name);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    Ok((new, file))
}

/// Whole or not at all, whoever could read what was there before.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let (new, mut file) = create(path)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What can't be removed stays by a name that says what it is.
        let _ = fs::remove_file(&new);
    }
    written
}
