//! `audit` and `audit residual`.

use clap::{Args, Subcommand, ValueEnum};
use domicile_audit::Gap;
use std::path::PathBuf;

pub(super) const AUDIT: &str = "\
A TARGET is a file or folder (dumps, logs, captures, archives, a database's own files),
postgres://..., sqlite:FILE, s3://..., gs://..., az://..., or region:ID of domicile.toml (its
records and objects). An identifier is looked for as it is, with separators, with and without its
country code, in UTF-16, hex, base64 and base32, escaped for URLs, JSON, HTML, C and mails
(quoted-printable), inside gzip, zlib, zstd, tar and zip, and as MD5, SHA-1, SHA-256, SHA-512 and
BLAKE3, with your keys also HMAC-SHA-256. Nothing that is printed shows an identifier: it has a
fingerprint, which differs from run to run. Every run also plants controls in all these forms and
looks for them: one missed, and the run has failed.

Exit codes: 3 found; 0 nothing found, and everything was read; 1 a control was missed, so the run
proves nothing; or nothing found, but not everything was read (the report names it, and its sort:
unread, changed, damaged, limit, encrypted, unopened, link, raw, empty, versions); or the report
can't be written. --accept takes sorts that you know to be harmless there.

Examples:
  domicile audit backups/ logs/ --identifiers people.txt
  domicile audit phone.pcap --identifiers people.txt --hosts hosts.toml -o audit.html
  domicile audit 'postgres://auditor:${DB_PASSWORD}@db.example/shop' --identifiers people.txt
  printf '%s\\n' +4915112345678 ann@example.org | domicile audit sqlite:shop.db shop.db -i -
  domicile audit region:beijing --subjects moved.txt --from oregon
  domicile audit residual --wave w1 --also /var/backups/shop";

const RESIDUAL: &str = "\
Looks for what an erase left at the old home: the identifiers of the wave's subjects ([audit]
identifiers of domicile.toml), read at their new home, in the old region's whole database, mapped
or not, in its objects, and in what --also names. The result goes into the wave's receipts, which
both regions sign again; traces do not make them invalid, they are what is not proven.

Exit codes: 3 found; 0 nothing found, and everything was read; 1 nothing found, but something was
not read, which the receipts tell, too (see `domicile audit --help`), or a control was missed or a
target could not be searched to its end: then the receipts stay as they are.

Examples:
  domicile audit residual --region beijing --wave w1
  domicile audit residual --wave w1 --also /var/lib/postgresql --also /var/log/shop";

/// `domicile audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    /// Another search than of the targets named.
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// The search of the targets named.
    #[command(flatten)]
    pub scan: ScanArgs,
}

/// `domicile audit ...`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Look for what an erase left at the old home; the wave's receipts tell the result
    #[command(after_help = RESIDUAL)]
    Residual(ResidualArgs),
}

/// What is looked for, and where.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Files, folders, databases, object stores, region:ID
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Identifiers, one a line, as they are or behind phone: email: imei: imsi: free:; - is stdin
    #[arg(long, short, value_name = "FILE")]
    pub identifiers: Option<PathBuf>,
    /// Keys of subjects, one a line, whose identifiers are read from --from; - is stdin
    #[arg(long, value_name = "FILE", requires = "from")]
    pub subjects: Option<PathBuf>,
    /// The region where those subjects' identifiers are read
    #[arg(long, value_name = "ID", requires = "subjects")]
    pub from: Option<String>,
    /// Columns to read them from, as KIND:schema.table.column; else [audit] identifiers of domicile.toml
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', requires = "subjects")]
    pub columns: Vec<String>,
    /// How the result is shown.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What both searches understand.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The country in which phone numbers without a country code are written, e.g. CN
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
    /// Salts, one a line, tried before and behind each identifier under each digest
    #[arg(long, value_name = "FILE")]
    pub salt_file: Option<PathBuf>,
    /// Keys of HMAC-SHA-256, one a line as they are or behind hex: or base64:, tried on each identifier
    #[arg(long, value_name = "FILE")]
    pub hmac_key_file: Option<PathBuf>,
    /// Sorts of what was not read that need not make a search fail that found nothing, e.g. changed,link
    #[arg(long, value_name = "SORT", value_delimiter = ',', value_parser = gap)]
    pub accept: Vec<Gap>,
    /// A table of hosts with their countries and owners, for captures
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
    /// text, json, sarif (2.1.0) or html; by default what -o ends with, else text
    #[arg(long, value_name = "FORM", value_enum, hide_possible_values = true)]
    pub format: Option<Format>,
    /// Write the report to this file
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

fn gap(word: &str) -> Result<Gap, String> {
    let all = Gap::ALL.into_iter().filter(|gap| *gap != Gap::Known);
    let known = Gap::named(word).filter(|gap| *gap != Gap::Known);
    known.ok_or_else(|| format!("one of: {}", all.map(Gap::word).collect::<Vec<_>>().join(", ")))
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For programs that show findings of many tools
    Sarif,
    /// One page
    Html,
}

/// `domicile audit residual`.
#[derive(Debug, Args)]
pub struct ResidualArgs {
    /// The wave that was erased, as `domicile status` shows it
    #[arg(long, value_name = "ID")]
    pub wave: String,
    /// Its old home, to be sure that it is that one
    #[arg(long, value_name = "ID")]
    pub region: Option<String>,
    /// Also search these files and folders there: write-ahead log, backups, logs
    #[arg(long, value_name = "PATH")]
    pub also: Vec<PathBuf>,
    /// How the result is shown.
    #[command(flatten)]
    pub output: OutputArgs,
}
