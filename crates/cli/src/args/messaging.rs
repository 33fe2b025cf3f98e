//! Commands about opt-in messages.

use super::hyphen::hyphened;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `domicile messaging ...`.
#[derive(Debug, Subcommand)]
pub enum MessagingCommand {
    /// Write keys, tables, data map, policies and a piece of configuration; overwrite nothing
    #[command(after_help = INIT)]
    Init(MessagingInitArgs),
    /// Write a region's signed statement, with which devices are set up; needs no network
    #[command(after_help = STATEMENT)]
    Statement {
        /// Whose
        region: String,
        /// Into this file; without: to stdout
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

const STATEMENT: &str = "\
What the region's relay answers to GET /v1/messaging/region, made from the configuration and the
region's service key: endpoints, public keys, notice and limits. There is nothing secret in it. A
device has no network before its owner agrees, so it is shipped with this file.

Example:
  domicile messaging statement beijing -o beijing.json
  domicile device new --device phone --statement beijing.json";

const INIT: &str = "\
Writes messaging/ (schema for both engines, grants, data map, notice, a piece of domicile.toml),
policies/messaging.cedar, and keys/messaging/: for each region a service key, a discovery key of
generation 1 and a pair of sealing keys, and the relays' token. What is there stays. The sealing
keys' private halves (*.opening) open numbers at rest: take them off this machine. --next adds a
discovery key of the next generation.

Examples:
  domicile messaging init --controller 'Phone Example Ltd' --contact privacy@phone.example
  domicile messaging init --regions beijing,oregon
  domicile messaging init --next --regions beijing";

/// `domicile messaging init`.
#[derive(Debug, Args)]
pub struct MessagingInitArgs {
    /// Regions with a relay; by default all of the configuration
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub regions: Vec<String>,
    /// Who is responsible for what is processed
    #[arg(long, value_name = "NAME", default_value = "Example Ltd")]
    pub controller: String,
    /// Where to write to whoever is responsible
    #[arg(long, value_name = "ADDRESS", default_value = "privacy@example.org")]
    pub contact: String,
    /// The first relay listens at this port of loopback, the others at the next ones
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    pub port: u16,
    /// Only a discovery key of the next generation
    #[arg(long)]
    pub next: bool,
}

/// `domicile consent ...`.
#[derive(Debug, Subcommand)]
pub enum ConsentCommand {
    /// The purposes of a mailbox, and what its owner agrees to now
    #[command(after_help = "Example:\n  domicile consent list MDEyMzQ1Njc4OWFiY2RlZg --service messaging")]
    List {
        /// The mailbox
        #[arg(allow_hyphen_values = true, value_parser = hyphened)]
        mailbox: String,
    },
    /// Every record of a mailbox, in full
    #[command(after_help = "Example:\n  domicile consent show MDEyMzQ1Njc4OWFiY2RlZg --json")]
    Show {
        /// The mailbox
        #[arg(allow_hyphen_values = true, value_parser = hyphened)]
        mailbox: String,
        /// Only this purpose
        #[arg(long, value_name = "PURPOSE")]
        purpose: Option<String>,
    },
    /// Verify a record offline: both signatures
    #[command(after_help = VERIFY)]
    Verify {
        /// A record as a device keeps it, a list of them, or what `consent show` printed
        file: PathBuf,
        /// The service keys to trust: files (*.service.pub)
        #[arg(long = "key", value_name = "PATH", num_args = 1..)]
        keys: Vec<PathBuf>,
    },
    /// Withdraw for an owner who asked for it in another way than by the device
    #[command(after_help = WITHDRAW)]
    Withdraw {
        /// The mailbox
        #[arg(allow_hyphen_values = true, value_parser = hyphened)]
        mailbox: String,
        /// cloud_messaging, contact_discovery, presence or region_move
        purpose: String,
    },
}

const VERIFY: &str = "\
Needs no server and no configuration if --key is given; else the service keys' public halves in
keys/messaging are trusted. Exit code 3 where a record must not be believed.

Example:
  domicile consent show MAILBOX > records.json
  domicile consent verify records.json --key keys/messaging/beijing.service.pub";

const WITHDRAW: &str = "\
Takes effect with the next request of any relay: traffic stops, and with contact_discovery nobody
finds the mailbox any more. cloud_messaging withdraws all. The record is marked as the operator's:
no device has signed it.

Example:
  domicile consent withdraw MDEyMzQ1Njc4OWFiY2RlZg contact_discovery";
