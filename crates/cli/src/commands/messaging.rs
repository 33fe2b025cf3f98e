//! `messaging init`: everything that a relay needs, written once. Overwrites nothing.

use crate::app::App;
use crate::args::{MessagingCommand, MessagingInitArgs};
use crate::config::{Config, Region};
use crate::failure::{self, Failure, Result};
use crate::keys::write_new;
use crate::relay_keys;
use crate::screen::Answer;
use domicile_stores::mailboxes::schema;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const POLICY: &str = include_str!("messaging/policy.cedar");
const NOTICE: &str = include_str!("messaging/notice.txt");
const FOLDER: &str = "messaging";

/// Runs a messaging command.
pub fn run(app: &App, command: MessagingCommand) -> Result<Answer> {
    match command {
        MessagingCommand::Init(args) if args.next => next(&app.config()?, &args),
        MessagingCommand::Init(args) => init(&before_any_service(app)?, &args),
        MessagingCommand::Statement { region, output } => statement(app, &region, output.as_deref()),
    }
}

/// The configuration; also one whose first service is the one that is made here.
fn before_any_service(app: &App) -> Result<Config> {
    let path = &app.global.config;
    let read = app.config();
    if !read.as_ref().is_err_and(|failure| failure.code == "config-missing-key") {
        return read;
    }
    let text =
        std::fs::read_to_string(path).map_err(|e| failure::of_file("read the configuration", path, &e))?;
    let service = "\n[[service]]\nname = \"messaging\"\nmap = \"messaging/datamap.toml\"\npolicies = [\"policies/messaging.cedar\"]\n";
    Config::parse(&format!("{text}{service}"), path).or(read)
}

/// What devices are set up with. The relay itself says the same.
fn statement(app: &App, region: &str, output: Option<&Path>) -> Result<Answer> {
    let config = app.config()?;
    let signed = super::serve::statement(&config, region)?;
    let json = serde_json::to_value(&signed).map_err(|_| unsaid(region))?;
    let Some(path) = output else { return Ok(Answer::new(json.to_string(), json)) };
    let text = format!("{json}\n");
    spared(path, region)?;
    std::fs::write(path, text).map_err(|e| failure::of_file("write", path, &e))?;
    let said = format!(
        "{}: the signed statement of {region}, with nothing secret in it\nnext: domicile device new --device phone --statement {}",
        path.display(),
        path.display()
    );
    Ok(Answer::new(said, json))
}

/// An older statement may be written over; anything else is somebody's, and be it the configuration.
fn spared(path: &Path, region: &str) -> Result<()> {
    let Ok(there) = std::fs::metadata(path) else { return Ok(()) };
    let is_statement = || {
        let text = std::fs::read(path).ok()?;
        serde_json::from_slice::<domicile_messaging::region::SignedRegion>(&text).ok()
    };
    if !there.is_file() || there.len() == 0 || is_statement().is_some() {
        return Ok(());
    }
    Err(Failure::usage(
        "statement-output",
        format!("{} is there, and is no statement", path.display()),
        "only an older statement is written over",
        format!("domicile messaging statement {region} -o {region}.json"),
    ))
}

fn unsaid(region: &str) -> Box<Failure> {
    Failure::usage(
        "config-messaging",
        format!("the statement of `{region}` can't be made"),
        "a name or an endpoint of [messaging] does not fit",
        "docs/messaging.md",
    )
}

fn init(config: &Config, args: &MessagingInitArgs) -> Result<Answer> {
    let regions = regions(config, args)?;
    // The directory's key too, where this is the first service of the configuration.
    let ids: Vec<&str> = regions.iter().map(|r| r.id()).collect();
    let mut made = crate::keys::make(&config.keys, &ids)?;
    let keys = config.keys.join(FOLDER);
    for region in &regions {
        made.extend(relay_keys::make(&keys, region.id())?);
    }
    let token = keys.join("relay.token");
    if !token.exists() {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes).map_err(|e| no_random(&e))?;
        write_new(&token, format!("{}\n", hex::encode(bytes)).as_bytes(), 0o600)?;
        made.push(token);
    }
    let folder = below(config, FOLDER);
    let is_sqlite = regions.iter().all(|r| r.records.is_sqlite());
    let files = [
        (folder.join("schema.postgres.sql"), schema::POSTGRES.to_owned()),
        (folder.join("schema.sqlite.sql"), schema::SQLITE.to_owned()),
        (folder.join("grants.postgres.sql"), grants()),
        (folder.join("datamap.toml"), data_map(is_sqlite)),
        (folder.join("notice.txt"), NOTICE.to_owned()),
        (folder.join("domicile.fragment.toml"), fragment(config, &regions, args)),
        (below(config, "policies/messaging.cedar"), POLICY.to_owned()),
    ];
    for (path, text) in files {
        if write(&path, &text)? {
            made.push(path);
        }
    }
    Ok(said(config, &regions, &made))
}

fn next(config: &Config, args: &MessagingInitArgs) -> Result<Answer> {
    let mut lines = String::new();
    let mut made = Vec::new();
    for region in regions(config, args)? {
        let (number, path) = relay_keys::make_next(&config.keys.join(FOLDER), region.id())?;
        let _ = writeln!(
            lines,
            "{}: add {{ generation = {number}, key_file = \"{}\" }} to its discovery_keys, and `until` to the one before",
            region.id(),
            path.display()
        );
        made.push(path);
    }
    lines.push_str("\nthen start the relays anew: devices have their numbers tagged under the new key when they next ask\n");
    Ok(Answer::new(lines, json!({ "made": made })))
}

fn regions<'c>(config: &'c Config, args: &MessagingInitArgs) -> Result<Vec<&'c Region>> {
    if args.regions.is_empty() {
        return Ok(config.regions.iter().collect());
    }
    let one = |id: &String| {
        config.region(id).ok_or_else(|| {
            let ids: Vec<&str> = config.regions.iter().map(Region::id).collect();
            let what = format!("there is no region `{id}`");
            Failure::usage(
                "region-unknown",
                what,
                "a relay is a region's",
                format!("one of: {}", ids.join(", ")),
            )
        })
    };
    args.regions.iter().map(one).collect()
}

/// As it is shown: without `./` where the configuration stands here.
fn below(config: &Config, name: &str) -> PathBuf {
    if config.base == Path::new(".") { PathBuf::from(name) } else { config.base.join(name) }
}

/// CRASH: half a file, which the next run does not touch; it is read before it is used.
fn write(path: &Path, text: &str) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| failure::of_file("make the folder", folder, &e))?;
    }
    std::fs::write(path, text).map_err(|e| failure::of_file("write", path, &e))?;
    Ok(true)
}

fn tables() -> impl Iterator<Item = &'static str> {
    std::iter::once(schema::ROOT).chain(schema::OWNED).chain(schema::UNMAPPED)
}

/// What the relay's role needs, and no more: it owns nothing, and the guard applies to it.
fn grants() -> String {
    format!(
        "-- The relay's own role, once a server; then its grants in the messaging service's database of each region.\n\
         -- It must not be the role that moves (the one of [[region]] records): the guard exempts that one.\n\
         DO $$ BEGIN\n\
         \x20 IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'domicile_relay') THEN\n\
         \x20   CREATE ROLE domicile_relay LOGIN;  -- give it a password: \\password domicile_relay\n\
         \x20 END IF;\n\
         END $$;\n\
         GRANT USAGE ON SCHEMA public TO domicile_relay;\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO domicile_relay;\n",
        tables().collect::<Vec<_>>().join(", ")
    )
}

fn data_map(is_sqlite: bool) -> String {
    let (engine, schema) = if is_sqlite { ("sqlite", "main") } else { ("postgres", "public") };
    let category = |table: &str| match table {
        "mailbox_message" | "mailbox_delivered" => "messages",
        "mailbox_consent" => "consent",
        _ => "profile",
    };
    let mut text = format!(
        "# Which rows of the messaging service belong to whom: a mailbox moves with all that lies in it.\n\
         version = 1\nengine = \"{engine}\"\n\n\
         [subject]\ntable = \"{schema}.{}\"\nkey = \"id\"\ncategory = \"profile\"\ncountry = \"country\"\nconsents = \"consents\"\n\n\
         [[question]]\nid = \"stores\"\n\
         text = \"Do other stores hold data of these subjects: a search index, a cache, a queue, a warehouse?\"\n\
         choices = [\"none\", \"declared\"]\nanswer = \"none\"\n\n[tables]\n",
        schema::ROOT
    );
    for table in schema::OWNED {
        let other = if table == "mailbox_viewer" { ", other = { viewer = \"keep-id\" }" } else { "" };
        let _ = writeln!(
            text,
            "\"{schema}.{table}\" = {{ kind = \"direct\", subject = \"mailbox\", category = \"{}\"{other} }}",
            category(table)
        );
    }
    text.push_str(
        "# Devices that have no mailbox yet: nobody's data to move, and each row ends by itself.\n",
    );
    for table in schema::UNMAPPED {
        let _ = writeln!(
            text,
            "\"{schema}.{table}\" = {{ kind = \"excluded\", reason = \"of devices without a mailbox; ends by itself\" }}"
        );
    }
    text
}

fn fragment(config: &Config, regions: &[&Region], args: &MessagingInitArgs) -> String {
    let ids: Vec<String> = regions.iter().map(|r| format!("\"{}\"", r.id())).collect();
    let keys = config.keys.strip_prefix(&config.base).unwrap_or(&config.keys).join(FOLDER);
    let keys = keys.display();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!(
        "# To be added to domicile.toml. A file that describes its only service at its top needs that service as a\n\
         # [[service]], too, and `{{service}}` in the regions' addresses: each service has a database of its own.\n\n\
         [[service]]\nname = \"messaging\"\nmap = \"{FOLDER}/datamap.toml\"\npolicies = [\"policies/messaging.cedar\"]\nregions = [{}]\n\n\
         [messaging]\nservice = \"messaging\"\n\
         notice = {{ url = \"https://example.org/notice\", file = \"{FOLDER}/notice.txt\" }}\n\
         controller = {{ name = {}, contact = {} }}\n\
         sms = {{ file = \"{FOLDER}/sms.jsonl\" }}   # or {{ http = {{ url = \"https://...\", token_file = \"keys/sms.token\" }} }}\n\
         relay_token_file = \"{keys}/relay.token\"\n",
        ids.join(", "),
        quoted(&args.controller),
        quoted(&args.contact),
    );
    for (n, region) in regions.iter().enumerate() {
        let id = region.id();
        let port = usize::from(args.port) + n;
        let _ = write!(
            text,
            "\n[[messaging.relay]]\nregion = \"{id}\"\nlisten = [\"127.0.0.1:{port}\"]\nendpoint = \"http://127.0.0.1:{port}\"\n"
        );
        if !region.records.is_sqlite() {
            let _ = writeln!(
                text,
                "records = \"postgres://domicile_relay@HOST/DATABASE\"   # the relay's own role"
            );
        }
        let _ = write!(
            text,
            "discovery_keys = [{{ generation = 1, key_file = \"{keys}/{id}-1.oprf\" }}]\n\
             service_key_file = \"{keys}/{id}.service\"\nsealing_public_key_file = \"{keys}/{id}.sealing\"\n"
        );
    }
    text
}

fn said(config: &Config, regions: &[&Region], made: &[PathBuf]) -> Answer {
    let mut text = String::new();
    for path in made {
        let _ = writeln!(text, "  {}", path.display());
    }
    let text =
        if made.is_empty() { "everything was there already\n".to_owned() } else { format!("wrote\n{text}") };
    let keys = config.keys.join(FOLDER);
    let folder = below(config, FOLDER);
    let first = regions.first().map_or("REGION", |r| r.id());
    let engine = if regions.iter().all(|r| r.records.is_sqlite()) { "sqlite" } else { "postgres" };
    let text = format!(
        "{text}\ntake {keys}/*.opening off this machine: they open numbers at rest, and no relay needs them\n\n\
         next: add {folder}/domicile.fragment.toml to {file}\n\
         \x20     make the tables of {folder}/schema.{engine}.sql in each region's database\n\
         \x20     domicile guard install --service messaging && domicile guard backfill --service messaging\n\
         \x20     domicile guard enforce --service messaging && domicile check --service messaging\n\
         \x20     domicile serve --messaging {first}\n\
         \x20     domicile messaging statement {first} -o {first}.json   # what devices are set up with\n",
        keys = keys.display(),
        folder = folder.display(),
        file = config.file.display(),
    );
    Answer::new(text, json!({ "made": made, "regions": regions.iter().map(|r| r.id()).collect::<Vec<_>>() }))
}

fn no_random(error: &getrandom::Error) -> Box<Failure> {
    Failure::new(
        "system",
        error.to_string(),
        "keys are made of the system's random numbers",
        "domicile messaging init",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "[control]\nstore = \"sqlite:control.db\"\n\n\
        [[region]]\nid = \"beijing\"\ncountry = \"CN\"\nrecords = \"sqlite:{service}-b.db\"\n\n\
        [[region]]\nid = \"oregon\"\ncountry = \"US\"\nrecords = \"postgres://mover@db/{service}\"\n\n";

    fn args() -> MessagingInitArgs {
        MessagingInitArgs {
            regions: Vec::new(),
            controller: "Phone \"Example\" Ltd".to_owned(),
            contact: "privacy@phone.example".to_owned(),
            port: 8090,
            next: false,
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("domicile.toml");
        let config = Config::parse(&format!("map = \"m\"\npolicies = [\"p\"]\n{BARE}"), &file).unwrap();
        let made = init(&config, &args()).unwrap();
        assert!(made.text.contains("beijing.opening"), "{}", made.text);
        assert!(made.text.contains("off this machine"), "{}", made.text);
        let fragment =
            std::fs::read_to_string(folder.path().join("messaging/domicile.fragment.toml")).unwrap();
        let config = Config::parse(&format!("{BARE}{fragment}"), &file).unwrap();
        let messaging = config.messaging.as_ref().unwrap();
        assert_eq!(messaging.controller.name.as_str(), "Phone \"Example\" Ltd");
        for relay in &messaging.relays {
            let keys = relay_keys::read(relay).unwrap();
            assert_eq!(keys.service.verifying_key(), relay_keys::public_service_key(relay).unwrap());
            assert_eq!(relay_keys::public_generations(relay).unwrap().len(), 1);
        }
        assert_eq!(messaging.relays[1].records.role(), Some("domicile_relay"));
        let service = config.service(Some("messaging")).unwrap();
        let map = failure::read_map(&service.map).unwrap();
        assert_eq!(map.tables.len(), schema::OWNED.len() + schema::UNMAPPED.len());
        assert_eq!(map.subject.consents.as_ref().unwrap().to_string(), "consents");
        crate::open::policies(&config, service).unwrap();
        // Again: nothing is written over; and the next generation beside the first.
        assert!(init(&config, &args()).unwrap().text.contains("everything was there already"));
        next(&config, &args()).unwrap();
        assert!(folder.path().join("keys/messaging/oregon-2.oprf.pub").exists());
        // A secret that others can read, and a public half of another key.
        let first = &messaging.relays[0];
        std::fs::copy(
            relay_keys::public_of(&messaging.relays[1].service_key_file),
            relay_keys::public_of(&first.service_key_file),
        )
        .unwrap();
        assert_eq!(relay_keys::read(first).unwrap_err().code, "key-unusable");
        // One that never was there: not `init` makes it.
        std::fs::remove_file(&first.generations[0].key_file).unwrap();
        let missing = relay_keys::secret(&first.generations[0].key_file).unwrap_err();
        assert_eq!(missing.code, "key-missing");
        assert!(missing.fix.starts_with("domicile messaging init"), "{}", missing.fix);
    }
}
