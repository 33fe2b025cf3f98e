//! Commands about regions, their guard, policies and receipts.

use super::hyphen::hyphened;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `domicile guard ...`.
#[derive(Debug, Subcommand)]
pub enum GuardCommand {
    /// Install or update the guard; a new one only observes
    #[command(after_help = INSTALL)]
    Install(ChosenRegion),
    /// Give every subject that is there its home, in paced batches
    #[command(after_help = BACKFILL)]
    Backfill(BackfillArgs),
    /// From now on refuse what the guard only counted so far
    #[command(
        after_help = "Look at `domicile guard status` first: it counts what would have been refused.\n\nExample:\n  domicile guard enforce --region oregon"
    )]
    Enforce(ChosenRegion),
    /// Mode, subjects by state, what would have been refused, and what is wrong
    #[command(
        after_help = "Exit code 3 where triggers are missing, disabled or altered.\n\nExample:\n  domicile guard status"
    )]
    Status(ChosenRegion),
    /// Remove everything that Domicile installed
    #[command(
        after_help = "Refused while a subject is on its way or waits to be erased.\n\nExample:\n  domicile guard remove --region oregon"
    )]
    Remove(ChosenRegion),
    /// Shut the dead copy of a subject with two homes, and with --erase remove it
    #[command(after_help = DISOWN)]
    Disown(DisownArgs),
    /// Print the GRANTs that Domicile's role needs
    #[command(
        after_help = "Example:\n  domicile guard grants --region oregon | psql -h db.oregon.example shop"
    )]
    Grants(ChosenRegion),
}

const INSTALL: &str = "\
The way without an outage:
  domicile guard install    triggers are there and only count what they would refuse
  domicile guard backfill   every subject gets its home
  domicile guard enforce    from here on residency is kept";

impl GuardCommand {
    /// The region that was named.
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::Install(c) | Self::Enforce(c) => c.region.as_deref(),
            Self::Backfill(args) => args.chosen.region.as_deref(),
            Self::Status(c) | Self::Remove(c) | Self::Grants(c) => c.region.as_deref(),
            Self::Disown(args) => Some(&args.region),
        }
    }
}

const DISOWN: &str = "\
For a subject that was signed up in two regions (`domicile verify`: second-home). Refused unless
the directory says that its home is another region, and the subject is at home there with its row.
Without --erase the copy at --region is only shut: writes to it are refused, nothing is removed.
--erase can't be undone.

Examples:
  domicile guard disown 4711 --region oregon
  domicile guard disown 4711 --region oregon --erase";

/// `domicile guard disown`.
#[derive(Debug, Args)]
pub struct DisownArgs {
    /// The subject's key
    #[arg(allow_hyphen_values = true, value_parser = hyphened)]
    pub subject: String,
    /// The region whose copy is the dead one
    #[arg(long, value_name = "ID")]
    pub region: String,
    /// Also remove its rows and objects there, for good
    #[arg(long)]
    pub erase: bool,
}

const BACKFILL: &str = "\
Safe to stop and to repeat. Claims (e-mail, phone, user name) of the columns named in
domicile.toml become their subjects' own; one that two subjects have stays with whom it came from
first. They are counted by kind; --list names them: kind, region, key, and a number that those
with the same claim share.

Exit code 3 where a subject has two homes, or two subjects have one claim.

Examples:
  domicile guard backfill
  domicile guard backfill --list duplicates.txt";

/// `domicile guard backfill`.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// Which region.
    #[command(flatten)]
    pub chosen: ChosenRegion,
    /// Write who has a claim that is another's, or that is none, to this file (mode 0600): ids leave the regions with it
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
}

/// `--region`.
#[derive(Debug, Args)]
pub struct ChosenRegion {
    /// Only this region; else all of the service's
    #[arg(long, value_name = "ID")]
    pub region: Option<String>,
}

/// `domicile region ...`.
#[derive(Debug, Subcommand)]
pub enum RegionCommand {
    /// Give an empty region the schema and the shared tables' rows
    #[command(
        after_help = "A schema that is there already is compared, not changed.\n\nExample:\n  domicile region prepare oregon --from beijing"
    )]
    Prepare {
        /// The region to prepare
        id: String,
        /// The region to take them from; by default the first that has them
        #[arg(long, value_name = "ID")]
        from: Option<String>,
    },
    /// Bring the shared tables of regions to the first region's state
    #[command(
        after_help = "Rows are added and changed, never removed.\n\nExample:\n  domicile region sync-reference"
    )]
    SyncReference {
        /// Only this region; else all
        id: Option<String>,
        /// The region to take them from; by default the first that has them
        #[arg(long, value_name = "ID")]
        from: Option<String>,
    },
    /// After a backup was restored: shut what came back of subjects who live elsewhere, and with --erase remove it
    #[command(after_help = RECONCILE)]
    Reconcile {
        /// The region whose database was restored
        id: String,
        /// Also remove their rows and objects there, for good, and half copies of which a whole one stands elsewhere
        #[arg(long)]
        erase: bool,
        /// Also let those be written of whom only a half copy is left
        #[arg(long)]
        open: bool,
    },
}

const RECONCILE: &str = "\
A backup that is older than an erase brings moved subjects back, and their old copies take writes again. The
directory knows where everybody lives. Run this first, before the application is let in:
  domicile region reconcile beijing           shuts every such copy (writes get RS001), counts rows by table
  domicile region reconcile beijing --erase   then removes them; can't be undone
Subjects in a wave that is under way are left alone: end it (`domicile resume`), and run this again. Who moved in after
the backup is missing: counted, never made up. A backup of the middle of a wave has half copies, which nobody can write:
  domicile region reconcile beijing --erase   where a whole copy stands at another region, removes the half one
  domicile region reconcile beijing --open    where nothing else is left, lets the half one be written
Nobody is named, and no receipt is written; --json is the record to keep.

Exit code 3 while something that came back is not erased, or somebody is missing; 4 while only a
wave under way is in the way; 0 when all is well.";

/// `domicile receipt ...`.
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check a receipts file, offline; say what it proves and what not
    #[command(after_help = VERIFY)]
    Verify {
        /// A wave's receipts, or a single one
        file: PathBuf,
        /// Public keys to trust: files, or folders with *.pub
        #[arg(long, value_name = "PATH", num_args = 1..)]
        keys: Vec<PathBuf>,
    },
    /// Take one subject's receipt out of a wave's; it verifies by itself
    #[command(
        after_help = "Needs keys/receipts.key. The receipt shows the subject's key: give it to the subject.\n\nExample:\n  domicile receipt extract 4711 -o 4711.receipt"
    )]
    Extract {
        /// The subject's key
        #[arg(allow_hyphen_values = true, value_parser = hyphened)]
        subject: String,
        /// Only from this wave; else from the newest that has one
        #[arg(long, value_name = "WAVE")]
        wave: Option<String>,
        /// Where to write; by default to stdout
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

const VERIFY: &str = "\
Without --keys the public keys beside the configuration are trusted (keys/*.pub). An outsider
needs this program, the file and the two regions' public keys, nothing else.

Examples:
  domicile receipt verify receipts/w1.receipts
  domicile receipt verify 4711.receipt --keys beijing.pub oregon.pub";

/// `domicile policy ...`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Parse and validate the policies; compare them with the configuration
    #[command(after_help = "Examples:\n  domicile policy check\n  domicile policy check --schema")]
    Check {
        /// Print the schema instead: everything that policies can ask about
        #[arg(long)]
        schema: bool,
    },
    /// Say where a subject, or a resident of a country, may live, and why
    #[command(
        after_help = "Examples:\n  domicile policy explain 4711\n  domicile policy explain --country IN --flag air-force singapore"
    )]
    Explain(ExplainArgs),
}

/// `domicile policy explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The subject's key; with --country the region
    #[arg(value_name = "SUBJECT", allow_hyphen_values = true, value_parser = hyphened)]
    pub about: Option<String>,
    /// Only this region
    pub region: Option<String>,
    /// A resident of this country instead of a subject
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
    /// With this flag; may be repeated
    #[arg(long, value_name = "FLAG", requires = "country")]
    pub flag: Vec<String>,
    /// Who has consented to this purpose; may be repeated
    #[arg(long, value_name = "PURPOSE", requires = "country")]
    pub consent: Vec<String>,
}
