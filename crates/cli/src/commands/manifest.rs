//! `manifest sign`, `manifest verify` and `manifest page`.

use crate::app::App;
use crate::args::ManifestCommand;
use crate::config::{Config, Genuine};
use crate::failure::{self, Failure, Result};
use crate::figures::counted;
use crate::genuine::{self, KEY};
use crate::keys;
use crate::paper;
use crate::screen::{self, Answer};
use domicile_ledger::{
    Endpoint, MANIFEST_BYTES_MAX, MANIFEST_FORMAT, MANIFEST_VERSION, Manifest, VerifyingKey,
};
use domicile_server::cdn::Client;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs a manifest command.
pub async fn run(app: &App, command: ManifestCommand) -> Result<Answer> {
    match command {
        ManifestCommand::Sign { output } => sign(&app.config()?, output.as_deref()),
        ManifestCommand::Verify { from, keys } => verify(app, &from, &keys).await,
        ManifestCommand::Page { file, output, keys } => page(app, &file, output.as_deref(), &keys),
    }
}

fn sign(config: &Config, output: Option<&Path>) -> Result<Answer> {
    let genuine = config.genuine.as_ref().ok_or_else(|| nothing_said(config))?;
    let mut signing = keys::signing(config, &[KEY])?;
    let key = signing.remove(KEY).ok_or_else(|| unsigned(config, &"there is no key"))?;
    let manifest = manifest(config, genuine, Timestamp::now());
    let text = manifest.clone().sign(&[&key]).map_err(|e| unsigned(config, &e))?;
    let Some(path) = output else {
        screen::raw(text.as_bytes());
        return Ok(Answer::default());
    };
    replace(path, text.as_bytes(), "write the manifest")?;
    let public = config.keys.join(format!("{KEY}.pub"));
    let said = format!(
        "the manifest of {} is in {}\n  holds until   {}\n  signed with   {}\n  names         {}, {}, {}\n\n\
         next: serve it at {} and give {} to everybody\n      domicile manifest page {} -o genuine.html",
        manifest.name,
        path.display(),
        manifest.expires,
        key.verifying_key(),
        counted(manifest.endpoints.len() as u64, "endpoint"),
        counted(manifest.shops.len() as u64, "shop"),
        counted(manifest.sellers.len() as u64, "seller"),
        domicile_server::genuine::MANIFEST_PATH,
        public.display(),
        path.display(),
    );
    Ok(Answer::new(said, json!({ "file": path, "expires": manifest.expires, "key": key.verifying_key() })))
}

fn manifest(config: &Config, genuine: &Genuine, now: Timestamp) -> Manifest {
    // Whole seconds: what is signed is what people read.
    let issued = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let endpoint = |r: &crate::config::Region| {
        Some(Endpoint {
            region: r.id().to_owned(),
            country: r.place.country.alpha2().to_owned(),
            operator: r.place.operator.alpha2().to_owned(),
            url: r.endpoint.clone()?,
        })
    };
    Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        version: MANIFEST_VERSION,
        name: genuine.name.clone(),
        issued,
        expires: issued + SignedDuration::from_hours(24 * genuine.days),
        endpoints: config.regions.iter().filter_map(endpoint).collect(),
        shops: genuine.shops.clone(),
        sellers: genuine.sellers.clone(),
        signers: Vec::new(),
    }
}

async fn verify(app: &App, from: &str, given: &[PathBuf]) -> Result<Answer> {
    let trusted = trusted(app, given)?;
    let bytes = if from.starts_with("https://") || from.starts_with("http://") {
        fetched(from).await?
    } else {
        let path = Path::new(from);
        std::fs::read(path).map_err(|e| failure::of_file("read the manifest", path, &e))?
    };
    Ok(said(from, &genuine::believed(from, &bytes, &trusted)?))
}

async fn fetched(url: &str) -> Result<Vec<u8>> {
    let unreachable = |why: String| {
        Failure::new("manifest-unreachable", format!("{url} can't be read"), why, format!("curl -v {url}"))
    };
    let uri = url.parse::<http::Uri>().map_err(|e| unreachable(e.to_string()))?;
    let client = Client::new().map_err(unreachable)?;
    let answer = client.ask(http::Method::GET, uri, http::HeaderMap::new(), MANIFEST_BYTES_MAX).await;
    let answer = answer.map_err(unreachable)?;
    match answer.status {
        200 => Ok(answer.body.to_vec()),
        status => Err(unreachable(format!("it answers with status {status}"))),
    }
}

fn page(app: &App, file: &Path, output: Option<&Path>, given: &[PathBuf]) -> Result<Answer> {
    let trusted = trusted(app, given)?;
    let bytes = std::fs::read(file).map_err(|e| failure::of_file("read the manifest", file, &e))?;
    let manifest = genuine::believed(&file.display().to_string(), &bytes, &trusted)?;
    let html = domicile_server::genuine::page(&manifest);
    let Some(path) = output else {
        screen::raw(html.as_bytes());
        return Ok(Answer::default());
    };
    replace(path, html.as_bytes(), "write the page")?;
    let text = format!("the page is in {}; it says the same until {}", path.display(), manifest.expires);
    Ok(Answer::new(text, json!({ "file": path, "expires": manifest.expires })))
}

/// The keys given, else the one beside the configuration.
fn trusted(app: &App, given: &[PathBuf]) -> Result<Vec<VerifyingKey>> {
    if !given.is_empty() {
        return keys::public(given);
    }
    let own = app.config().ok().map(|c| c.keys.join(format!("{KEY}.pub"))).filter(|path| path.exists());
    match own {
        Some(path) => keys::public(&[path]),
        None => Err(Failure::usage(
            "manifest-no-keys",
            "no public key is given, and no configuration with keys/manifest.pub is here",
            "a signature says something only to who knows whose key it is",
            "domicile manifest verify FILE --key genuine.pub",
        )),
    }
}

/// CRASH: the old file, or the new one, and perhaps a draft beside it that the next run writes over.
fn replace(path: &Path, bytes: &[u8], doing: &str) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".draft");
    let draft = path.with_file_name(name);
    let write = || {
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    write().map_err(|e: std::io::Error| failure::of_file(doing, path, &e))
}

fn nothing_said(config: &Config) -> Box<Failure> {
    Failure::usage(
        "manifest-nothing",
        format!("{} has no [manifest]", config.file.display()),
        "it says whose the manifest is, and which shops and sellers are genuine",
        "add to it:\n[manifest]\nname = \"Shop Example\"",
    )
}

fn unsigned(config: &Config, why: &dyn std::fmt::Display) -> Box<Failure> {
    Failure::usage(
        "config-manifest",
        format!("the manifest can't be signed: {why}"),
        "what stands in a manifest can't be called back",
        format!("correct [manifest] or the regions' endpoints in {}", config.file.display()),
    )
}

fn said(from: &str, manifest: &Manifest) -> Answer {
    let signers: Vec<&str> = manifest.signers.iter().map(VerifyingKey::name).collect();
    let mut text = format!("{from}: holds\n\n");
    for (label, value) in [
        ("of", manifest.name.clone()),
        ("from", manifest.issued.to_string()),
        ("until", manifest.expires.to_string()),
        ("signed by", signers.join(", ")),
    ] {
        text.push_str(&format!("{}\n", paper::wrapped(&format!("{label:<12}"), &value)));
    }
    let regions = manifest.endpoints.iter().map(|e| vec![e.region.clone(), e.country.clone(), e.url.clone()]);
    text.push_str(&table("region", regions.collect()));
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let shops = manifest.shops.iter().map(|s| vec![s.name.clone(), or_none(&s.country), s.url.clone()]);
    text.push_str(&table("shop", shops.collect()));
    let sellers = manifest.sellers.iter().map(|s| vec![s.name.clone(), s.country.clone(), or_none(&s.url)]);
    text.push_str(&table("seller", sellers.collect()));
    Answer::new(text, json!({ "holds": true, "manifest": manifest }))
}

fn table(what: &str, rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        String::new()
    } else {
        format!("\n{}\n", paper::table(&[what, "country", "address"], &[], rows))
    }
}
