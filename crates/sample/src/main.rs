//! The sample from a terminal: `serve`, `load`, `check`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

use clap::{Args, Parser, Subcommand};
use domicile_sample::app::{self, Everywhere, Homes};
use domicile_sample::check::{self, Region};
use domicile_sample::directory::Directory;
use domicile_sample::load::{Asked, Load, Log, Person, Rate};
use domicile_sample::store::Store;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What went wrong, in words.
type Result<T, E = String> = std::result::Result<T, E>;

/// A small application, a load for it, and a checker of what the load was told.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the application's tables where they are missing.
    Prepare(Prepare),
    /// One instance of the application: notes of people.
    Serve(Serve),
    /// People who write notes; each acknowledged write stands in a log.
    Load(Loaded),
    /// Compares a load's log with all regions' databases; exit code 3 where a write is lost, doubled or misrouted.
    Check(Checked),
}

#[derive(Args)]
struct Prepare {
    /// The database, as the role that will own the tables: postgres://ROLE@HOST/DATABASE or sqlite:PATH.
    #[arg(long, value_name = "URL", env = "SAMPLE_STORE", hide_env_values = true)]
    store: String,
}

#[derive(Args)]
struct Serve {
    /// The region this instance stands in.
    #[arg(long, value_name = "ID")]
    region: String,
    /// The region's database: postgres://ROLE@HOST/DATABASE or sqlite:PATH.
    #[arg(long, value_name = "URL", env = "SAMPLE_STORE", hide_env_values = true)]
    store: String,
    /// Where to listen; port 0 is any, and the one taken is printed.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// Ask this directory service for each person's home; without it all are served from this region.
    #[arg(long, value_name = "URL", requires = "home")]
    directory: Option<String>,
    /// With `--directory`: whom it does not know is in this region. For the time of adoption, before everybody
    /// has a home.
    #[arg(long, value_name = "ID", requires = "directory")]
    others: Option<String>,
    /// The directory's name of this service.
    #[arg(long, value_name = "NAME", default_value = "main")]
    service: String,
    /// File with the directory's token; without it the environment's DOMICILE_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Another region's database; once for each.
    #[arg(long, value_name = "ID=URL", value_parser = region, requires = "directory")]
    home: Vec<Region>,
}

#[derive(Args)]
struct Loaded {
    /// An address of a gateway or of the application; may be repeated.
    #[arg(long, value_name = "URL", required = true)]
    at: Vec<String>,
    /// A file with the id of one person a line; they must be there already.
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// Requests a second.
    #[arg(long, value_name = "N", default_value_t = 100.0, conflicts_with = "closed")]
    rate: f64,
    /// So many at once, each after the one before, instead of a rate.
    #[arg(long, value_name = "N")]
    closed: Option<usize>,
    /// New people a second.
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    sign_ups: f64,
    /// Countries of new people, in turn.
    #[arg(long, value_name = "CC", default_value = "DE", value_delimiter = ',')]
    countries: Vec<String>,
    /// How long.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    seconds: f64,
    /// Begins each idempotency key, and each newcomer's id: two runs must differ, so it is drawn by default.
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// The log.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
}

#[derive(Args)]
struct Checked {
    /// A log; may be repeated where several loads wrote for different people.
    #[arg(long, value_name = "FILE", required = true)]
    log: Vec<PathBuf>,
    /// A region's database, once for each.
    #[arg(long, value_name = "ID=URL", value_parser = region, required = true)]
    region: Vec<Region>,
}

fn region(text: &str) -> Result<Region> {
    let (id, url) = text.split_once('=').ok_or("a region's id, `=`, the URL of its database")?;
    Ok(Region { id: id.to_owned(), url: url.to_owned() })
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Prepare(asked) => prepare(&asked.store).await,
        Command::Serve(asked) => serve(asked).await,
        Command::Load(asked) => load(asked).await,
        Command::Check(asked) => checked(asked).await,
    };
    done.unwrap_or_else(|why| {
        eprintln!("domicile-sample: {why}");
        ExitCode::FAILURE
    })
}

async fn prepare(store: &str) -> Result<ExitCode> {
    let store = Store::open(store, "").map_err(|e| e.to_string())?;
    store.prepare().await.map_err(|e| e.to_string())?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(asked: Serve) -> Result<ExitCode> {
    let homes = homes(&asked).await?;
    let listener = TcpListener::bind(&asked.listen).await.map_err(|e| format!("{}: {e}", asked.listen))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    // Whoever started us waits for this line.
    println!("listening on http://{address}");
    let (end, ending) = watch::channel(false);
    tokio::spawn(async move {
        asked_to_end().await;
        end.send_replace(true);
    });
    app::serve(listener, homes, ending).await.map_err(|e| e.to_string())?;
    Ok(ExitCode::SUCCESS)
}

async fn homes(asked: &Serve) -> Result<Homes> {
    let said = |e: domicile_sample::store::Refusal| e.to_string();
    let store = Store::open(&asked.store, &asked.region).map_err(said)?;
    let region = asked.region.clone();
    let Some(url) = &asked.directory else { return Ok(Homes::Here { region, store }) };
    let mut stores = BTreeMap::from([(region.clone(), store)]);
    for other in &asked.home {
        stores.insert(other.id.clone(), Store::open(&other.url, &other.id).map_err(said)?);
    }
    let directory = Directory::new(url, &asked.service, &token(asked)?);
    let (others, known) = (asked.others.clone(), Mutex::default());
    Ok(Homes::Everywhere(Box::new(Everywhere { region, stores, directory, others, known })))
}

/// The directory's token: the first line of the file named, or the environment's.
fn token(asked: &Serve) -> Result<String> {
    let text = match &asked.token_file {
        Some(file) => std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?,
        None => std::env::var("DOMICILE_TOKEN").unwrap_or_default(),
    };
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// SIGTERM or SIGINT: no new connection, and what was begun is finished.
async fn asked_to_end() {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("SIGTERM can be listened for");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

async fn load(asked: Loaded) -> Result<ExitCode> {
    let ids = match &asked.people {
        Some(file) => std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?,
        None => String::new(),
    };
    let people = ids.lines().enumerate().map(|(nr, id)| Person::known(id, nr)).collect();
    let rate = asked.closed.map_or(Rate::Open(asked.rate), Rate::Closed);
    let how = Asked {
        bases: asked.at,
        run: asked.run.unwrap_or_else(drawn),
        rate,
        sign_ups_per_s: asked.sign_ups,
        countries: asked.countries,
        log: asked.log,
    };
    let load = Load::start(how, people).map_err(|e| e.to_string())?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs_f64(asked.seconds)) => {}
        () = asked_to_end() => {}
    }
    let tally = load.stop().await.map_err(|e| format!("the log: {e}"))?;
    println!("{tally}");
    Ok(ExitCode::from(if tally.failed + tally.wrong == 0 { 0 } else { 3 }))
}

/// A name that no other run has.
fn drawn() -> String {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).expect("the system's chance");
    hex::encode(bytes)
}

async fn checked(asked: Checked) -> Result<ExitCode> {
    let mut log = Vec::new();
    for file in &asked.log {
        log.extend(Log::read(file).map_err(|e| format!("{}: {e}", file.display()))?);
    }
    let verdict = check::check(&asked.region, &log).await?;
    println!("{verdict}");
    Ok(ExitCode::from(if verdict.good() { 0 } else { 3 }))
}
