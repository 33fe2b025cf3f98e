//! Commands about plans and waves.

use super::watching::{LogArg, MetricsArg};
use clap::Args;
use jiff::civil::Date;
use std::path::PathBuf;

pub(super) const PLAN: &str = "\
Reads every subject once and shows who, why, how much, who is refused, and last what can't be
undone. With -o the plan is written to FILE, and the lists of subjects are kept in the source
regions.

Examples:
  domicile plan
  domicile plan -o plan.json
  domicile plan --on 2015-06-01 --from oregon";

pub(super) const MOVE: &str = "\
Does exactly what the plan shows, or refuses where policies, data map or subjects have changed
since. Ctrl-C stops before the next fence; `domicile resume` goes on. Nobody is erased at the old
home yet.

Examples:
  domicile move --rehearse plan.json    copy and compare, move nobody
  domicile move --first 100 plan.json   a hundred of each move; run it again for the rest
  domicile move plan.json";

pub(super) const ERASE: &str = "\
Can't be undone. Refused during the grace period ([limits] grace), in which routes to the old home
may still exist. Without a wave: all moved waves whose grace period is over.

Example:
  domicile erase";

/// `domicile plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Write the plan to this file, so that `move` can run it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Only subjects that live in this region now; may be repeated
    #[arg(long, value_name = "REGION")]
    pub from: Vec<String>,
    /// As if it were that day: regions open on it may be homes
    #[arg(long, value_name = "DATE")]
    pub on: Option<Date>,
    /// Also move who may stay, where another region is faster
    #[arg(long)]
    pub for_latency: bool,
}

/// `domicile move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// Copy and compare, then drop the copy: nobody moves
    #[arg(long, conflicts_with = "first")]
    pub rehearse: bool,
    /// Only so many subjects of each move
    #[arg(long, value_name = "N")]
    pub first: Option<u64>,
    /// The plan file
    pub file: PathBuf,
    /// How it is told.
    #[command(flatten)]
    pub log: LogArg,
    /// Where it is counted.
    #[command(flatten)]
    pub metrics: MetricsArg,
}

pub(super) const WORKER: &str = "\
Works on the waves of all services, or of --service, beside any number of
other workers, on this machine or others: all need the same configuration
and keys, and a control store they all reach (PostgreSQL, or one SQLite file
on one machine). One worker drives a wave, the others take batches that
nobody has in hand; when one dies, the others go on with what it left.
Ctrl-C or SIGTERM stops at the next safe point.

Examples:
  domicile worker
  domicile worker --once    ends when no wave is under way";

/// `domicile worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// End when no wave is under way, instead of waiting for the next
    #[arg(long)]
    pub once: bool,
    /// How it is told.
    #[command(flatten)]
    pub log: LogArg,
    /// Where it is counted.
    #[command(flatten)]
    pub metrics: MetricsArg,
}

/// `domicile status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show it again every 2 seconds until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Also count subjects without a home: reads the root tables
    #[arg(long)]
    pub deep: bool,
}

pub(super) const VERIFY: &str = "\
Reads every subject in every region; changes nothing. Exit code 3 where something is not as it
must be. Only --list names subjects: FILE, readable by you alone, gets a line for each that was
found (kind, region and key, with tabs between), with a wave also who of it stayed (stayed-busy,
stayed-differs, ...).

Examples:
  domicile verify
  domicile verify w1 --list found.txt";

/// `domicile verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Only this wave's two regions, as `domicile status` shows it
    pub wave: Option<String>,
    /// Write the keys of the subjects that were found to this file
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
}

/// `domicile resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The wave, as `domicile status` shows it; nothing: all it applies to
    pub wave: Option<String>,
    /// How it is told.
    #[command(flatten)]
    pub log: LogArg,
    /// Where it is counted.
    #[command(flatten)]
    pub metrics: MetricsArg,
}

/// `domicile erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// The wave, as `domicile status` shows it; nothing: all it applies to
    pub wave: Option<String>,
    /// How it is told.
    #[command(flatten)]
    pub log: LogArg,
}

/// One wave.
#[derive(Debug, Args)]
pub struct WaveName {
    /// The wave, as `domicile status` shows it; nothing: the one that is under way
    pub wave: Option<String>,
}
