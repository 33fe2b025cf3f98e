//! `init`: from a live database to the first data map, configuration, policies and keys.

use crate::app::App;
use crate::args::InitArgs;
use crate::config::{Address, Config, FILE, nearest};
use crate::failure::{self, Failure, Result};
use crate::figures::counted;
use crate::keys;
use crate::open;
use crate::screen::Answer;
use domicile_datamap::{Catalogue, DataMap, TableName};
use domicile_policy::Country;
use serde_json::json;
use std::path::{Path, PathBuf};

const STARTER: &str = include_str!("../demo/policies/starter.cedar");

/// Writes datamap.toml, domicile.toml, policies/starter.cedar and keys/.
pub async fn run(app: &App, args: InitArgs) -> Result<Answer> {
    let files = Files::below(&args.dir, app);
    files.check_absent()?;
    let country = country(app, args.country.as_deref())?;
    let region = args.region.clone().unwrap_or_else(|| slug(country));
    let url = portable(&args.from, &args.dir)?;
    let text = config_text(&url, &region, country, app.global.service.as_deref());
    // Read as it will be read later: what is wrong with it is said now.
    let config = Config::parse(&text, &files.config).map_err(|f| named(&f, &args.from))?;
    let store = config.regions.first().map(|r| r.records.clone()).ok_or_else(|| missing_from(&args.from))?;
    let catalogue = catalogue(&config, &store, app.global.service.as_deref()).await?;
    let root = args.root.as_deref().map(|r| root(r, &catalogue)).transpose()?;
    if catalogue.tables.is_empty() {
        return Err(Failure::new(
            "database-empty",
            "the database has no table",
            "`init` reads which data there is from the tables",
            "is this the right database, and may the role see its tables?",
        ));
    }
    let map = domicile_datamap::init::propose(&catalogue, root.as_ref());
    files.write(&map, &text)?;
    keys::make(&config.keys, &[&region])?;
    Ok(said(&files, &map, &catalogue, &args, &region))
}

/// What `init` writes.
struct Files {
    config: PathBuf,
    map: PathBuf,
    policy: PathBuf,
    keys: PathBuf,
}

impl Files {
    fn below(dir: &Path, app: &App) -> Self {
        let named = &app.global.config;
        // `--config` names the file; else it stands with the others.
        let config = if named.as_os_str() == FILE { join(dir, FILE) } else { named.clone() };
        Self {
            config,
            map: join(dir, "datamap.toml"),
            policy: join(dir, "policies/starter.cedar"),
            keys: join(dir, "keys"),
        }
    }

    fn check_absent(&self) -> Result<()> {
        for path in [&self.config, &self.map] {
            if path.exists() {
                return Err(Failure::usage(
                    "init-exists",
                    format!("{} is there already", path.display()),
                    "`init` overwrites nothing: the data map holds your answers",
                    "domicile check             # to go on with it\ndomicile init --dir NEW ...  # to begin anew elsewhere",
                ));
            }
        }
        Ok(())
    }

    /// CRASH: a rest of files; the next `init` names the first of them.
    fn write(&self, map: &DataMap, config: &str) -> Result<()> {
        write(&self.map, &map.write())?;
        if !self.policy.exists() {
            write(&self.policy, STARTER)?;
        }
        write(&self.config, config)
    }
}

fn join(dir: &Path, name: &str) -> PathBuf {
    if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| failure::of_file("make the folder", folder, &e))?;
    }
    std::fs::write(path, text).map_err(|e| failure::of_file("write", path, &e))
}

fn country(app: &App, given: Option<&str>) -> Result<Country> {
    let asked = || app.screen.ask("In which country does this database stand (for example IN or India)?");
    let Some(text) = given.map(str::to_owned).or_else(asked) else {
        return Err(Failure::usage(
            "init-country",
            "the country of the database is not said",
            "policies decide by country, and a database does not know where it stands",
            "add: --country CC   # for example --country IN",
        ));
    };
    text.parse().map_err(|wrong: domicile_policy::WrongCountry| {
        let fix = match &wrong.nearest {
            Some((country, _)) => format!("--country {country}"),
            None => "--country IN   # an ISO 3166-1 code, or a name".to_owned(),
        };
        Failure::usage("config-country", wrong.to_string(), "policies decide by country", fix)
    })
}

/// The country's name as an id: `United Kingdom` is `united-kingdom`.
fn slug(country: Country) -> String {
    let mut id = String::new();
    for c in country.name().to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => id.push(c),
            _ if !id.is_empty() && !id.ends_with('-') => id.push('-'),
            _ => {}
        }
    }
    let id = id.trim_end_matches('-').to_owned();
    if id.is_empty() { country.alpha2().to_lowercase() } else { id }
}

/// A SQLite path as it is seen from the folder the configuration stands in.
fn portable(url: &str, dir: &Path) -> Result<String> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(url.to_owned()) };
    let path = Path::new(path);
    if dir == Path::new(".") || path.is_absolute() {
        return Ok(url.to_owned());
    }
    let full = std::path::absolute(path).map_err(|e| failure::of_file("find", path, &e))?;
    Ok(format!("sqlite:{}", full.display()))
}

fn config_text(url: &str, region: &str, country: Country, service: Option<&str>) -> String {
    let keys = "map = \"datamap.toml\"\npolicies = [\"policies/*.cedar\"]\n";
    let about = "# Keys and examples: docs/config.md. Passwords are never written here: `${VARIABLE}` in a URL's\n\
                 # place for it is read from the environment, password_file = \"PATH\" from a file.\n";
    let (top, bottom) = match service {
        None => (format!("{keys}guard = \"always\"\n\n"), String::new()),
        Some(name) => {
            (String::new(), format!("\n[[service]]\nname = {}\n{keys}guard = \"always\"\n", quoted(name)))
        }
    };
    // An example that is not the region above.
    let (next, its) = if region == "frankfurt" { ("virginia", "US") } else { ("frankfurt", "DE") };
    format!(
        "{about}\n{top}[control]\nstore = \"sqlite:control.db\"\nkeys = \"keys\"\n\n\
         [[region]]\nid = {}\ncountry = \"{country}\"\n\
         # operator = \"CC\"          # the country whose law controls who runs it, if another\n\
         # opens = 2030-01-01       # the day from which it may be a home\n\
         records = {}\n\
         # objects = \"s3://bucket\"  # or gs://, az://, file:\n{bottom}\n\
         # The next region:\n# [[region]]\n# id = \"{next}\"\n# country = \"{its}\"\n\
         # records = \"postgres://domicile:${{{variable}_PASSWORD}}@db.{next}.example/shop\"\n",
        quoted(region),
        quoted(url),
        variable = next.to_uppercase(),
    )
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml_edit::value(text).to_string()
}

/// A failure of the text we wrote ourselves is one of what was typed.
fn named(failure: &Failure, from: &str) -> Box<Failure> {
    let what = failure.what.rsplit_once(": ").map_or(failure.what.clone(), |(_, what)| what.to_owned());
    match failure.code {
        "config-password" => Failure::usage(
            failure.code,
            "a password is written into --from",
            "it would stand in the shell's history and in domicile.toml",
            "write ${DB_PASSWORD} in its place, in single quotes, and export that variable",
        ),
        "config-url" => Failure::usage(
            failure.code,
            format!("--from begins with `{}`", from.split([':', '/']).next().unwrap_or_default()),
            failure.why.clone(),
            "domicile init --from postgres://USER@HOST/DATABASE   # or sqlite:PATH",
        ),
        code => Failure::usage(code, what, failure.why.clone(), failure.fix.clone()),
    }
}

fn missing_from(from: &str) -> Box<Failure> {
    Failure::usage(
        "config-url",
        format!("`{from}` names no database"),
        "it is read first",
        "domicile init --help",
    )
}

async fn catalogue(config: &Config, address: &Address, service: Option<&str>) -> Result<Catalogue> {
    let address = address.of(service.unwrap_or(crate::config::ONLY_SERVICE));
    let layout = open::no_layout(open::engine_of(&address));
    let opened = open::records(config, &address, &[], layout, false).await;
    let store = opened.map_err(|e| open::login(unopened(e.failure("the database")), &address))?;
    let catalogue = store.catalogue().await;
    catalogue.map_err(|e| open::login(failure::of_store("the database", &e), &address))
}

/// There is no configuration to correct yet: what was typed is at fault, or the server is down.
fn unopened(failure: Box<Failure>) -> Box<Failure> {
    match failure.code {
        "config-store" => {
            let why = "it is what --from names, and `init` makes none";
            let fix = "domicile init --from postgres://USER@HOST/DATABASE   # or sqlite:PATH";
            Failure::usage(failure.code, failure.what.clone(), why, fix)
        }
        "store-unreachable" => {
            failure.fix("is the server up, and is that its address? then the same command again")
        }
        _ => failure,
    }
}

/// `--root customer` or `--root public.customer`.
fn root(typed: &str, catalogue: &Catalogue) -> Result<TableName> {
    let names: Vec<String> = catalogue.tables.iter().map(|t| t.name.to_string()).collect();
    let same = |name: &TableName| name.to_string() == typed || name.name == typed;
    let found: Vec<&TableName> = catalogue.tables.iter().map(|t| &t.name).filter(|n| same(n)).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let fix = match nearest(typed, &names) {
                Some(name) => format!("--root {name}"),
                None => "leave --root out: the likeliest table is taken, and asked about".to_owned(),
            };
            Err(Failure::usage(
                "init-root",
                format!("the database has no table {typed}"),
                format!("it has: {}", short(&names)),
                fix,
            ))
        }
        several => Err(Failure::usage(
            "init-root",
            format!("several tables are called {typed}"),
            "each has a schema of its own",
            format!("--root {}", several[0]),
        )),
    }
}

fn short(names: &[&str]) -> String {
    match names.len() {
        0..=12 => names.join(", "),
        n => format!("{}, and {} more", names[..12].join(", "), n - 12),
    }
}

fn said(files: &Files, map: &DataMap, catalogue: &Catalogue, args: &InitArgs, region: &str) -> Answer {
    let open = map.unanswered().count();
    let tables = catalogue.tables.iter().filter(|t| t.partition_of.is_none()).count();
    let cd =
        if args.dir == Path::new(".") { String::new() } else { format!("  cd {}\n", args.dir.display()) };
    let answer = match open {
        0 => String::new(),
        n => format!("  domicile answer          {} in datamap.toml\n", counted(n as u64, "open question")),
    };
    let text = format!(
        "Read {} of {}; one row of {} is one subject.\n\n\
         Wrote\n  {:<24} which rows belong to whom: yours to edit\n  {:<24} regions and services\n  \
         {:<24} who may live where: a start, to be replaced\n  {:<24} keys; back them up\n\n\
         Next\n{cd}{answer}  domicile check           is everything ready?\n  \
         domicile guard install   watch the database; nothing is refused yet\n",
        counted(tables as u64, "table"),
        region,
        map.subject.table,
        files.map.display().to_string(),
        files.config.display().to_string(),
        files.policy.display().to_string(),
        format!("{}/", files.keys.display()),
    );
    let json = json!({
        "region": region, "tables": tables, "root": map.subject.table.to_string(), "questions": open,
        "wrote": [files.map, files.config, files.policy, files.keys],
    });
    Answer::new(text, json)
}
