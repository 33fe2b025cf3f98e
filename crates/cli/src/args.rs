//! What was typed.
//!
//! Each command says in its help what it does, what it changes, and gives an example to paste.

use clap::{ArgAction, Args, Parser, Subcommand};
use hyphen::hyphened;
use std::path::PathBuf;

mod audit;
mod device;
mod hyphen;
mod messaging;
mod public;
mod regions;
mod watching;
mod waves;

pub use audit::{AuditArgs, AuditCommand, Format, OutputArgs, ResidualArgs, ScanArgs};
pub use device::{
    ContactsCommand, DeviceArgs, DeviceCommand, DeviceConsent, Offline, RegisterDevice, SendArgs,
};
pub use messaging::{ConsentCommand, MessagingCommand, MessagingInitArgs};
pub use public::{CdnCheckArgs, CdnCommand, CdnFormat, ExportArgs, ManifestCommand};
pub use regions::{
    BackfillArgs, ChosenRegion, DisownArgs, ExplainArgs, GuardCommand, PolicyCommand, ReceiptCommand,
    RegionCommand,
};
pub use watching::LogForm;
pub use waves::{EraseArgs, MoveArgs, PlanArgs, ResumeArgs, StatusArgs, VerifyArgs, WaveName, WorkerArgs};

/// Puts every user's data in the region where it may live, moves it there live, and proves it.
#[derive(Debug, Parser)]
#[command(
    name = "domicile",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = false,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 the answer is no,\n\
                  4 stopped safely (`domicile resume` continues), 130 interrupted."
)]
pub struct Cli {
    /// What to do; nothing: where to begin.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration file
    #[arg(long, global = true, env = "DOMICILE_CONFIG", value_name = "FILE", default_value = crate::config::FILE, help_heading = "Everywhere")]
    pub config: PathBuf,
    /// Which service, where the configuration has several
    #[arg(long, global = true, value_name = "NAME", help_heading = "Everywhere")]
    pub service: Option<String>,
    /// Answer in JSON on stdout (errors: JSON on stderr)
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// Only the answer and errors: no progress, no story
    #[arg(long, short, global = true, action = ArgAction::SetTrue, help_heading = "Everywhere")]
    pub quiet: bool,
}

/// The commands, in the order in which they are first needed.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// See a phone maker move its users out of Beijing, on this machine, and prove it
    #[command(after_help = crate::demo::HELP)]
    Demo(crate::demo::DemoArgs),
    /// Read a database and write the first data map, policies, keys and configuration
    #[command(after_help = INIT)]
    Init(InitArgs),
    /// Print the guide "move your own database"
    #[command(after_help = "Example:\n  domicile guide | less")]
    Guide,
    /// Show the data map's open questions, or answer one
    #[command(after_help = "Examples:\n  domicile answer\n  domicile answer personal:public.employee stub")]
    Answer(AnswerArgs),
    /// Look at everything that must be right before a move; change nothing
    #[command(after_help = "Exit code 3 where something is not ready yet.\n\nExample:\n  domicile check")]
    Check,
    /// Install the guard in the regions' databases, and look after it
    #[command(subcommand)]
    Guard(GuardCommand),
    /// Sign-up's first step: give new subjects their one home in the directory
    #[command(after_help = REGISTER)]
    Register(RegisterArgs),
    /// Prepare a new region, keep shared tables in step, reconcile a restored one
    #[command(subcommand)]
    Region(RegionCommand),
    /// Show who would move where, and why; change nothing of the data
    #[command(after_help = waves::PLAN)]
    Plan(PlanArgs),
    /// Move the subjects of a plan while they keep working
    #[command(after_help = waves::MOVE)]
    Move(MoveArgs),
    /// Go on with a wave that was stopped, interrupted or paused
    #[command(
        after_help = "Safe to run at any time: what is done is not done again.\n\nExamples:\n  domicile resume\n  domicile resume w1"
    )]
    Resume(ResumeArgs),
    /// Work on waves beside other workers
    #[command(after_help = waves::WORKER)]
    Worker(WorkerArgs),
    /// Let a running wave begin nothing new until `resume`
    #[command(
        after_help = "Works from another terminal; batches under way are finished first. What a worker that was killed left under its fence\nis brought to rest once its lease has run out ([limits] turn_ms).\n\nExample:\n  domicile pause w1"
    )]
    Pause(WaveName),
    /// End a wave early: who has not moved stays, and the copies are removed
    #[command(
        after_help = "Subjects past their cutover stay at their new home.\n\nExample:\n  domicile abort w1"
    )]
    Abort(WaveName),
    /// Show waves, and how many subjects are in which state at which region
    #[command(after_help = "Examples:\n  domicile status\n  domicile status --watch")]
    Status(StatusArgs),
    /// Erase what moved subjects left at their old homes, once the grace period is over
    #[command(after_help = waves::ERASE)]
    Erase(EraseArgs),
    /// Check that every subject has exactly one home, and rows nowhere else
    #[command(after_help = waves::VERIFY)]
    Verify(VerifyArgs),
    /// Show where one subject lives, and what is where
    #[command(
        after_help = "SUBJECT is the value of the root table's key.\n\nExample:\n  domicile locate 4711"
    )]
    Locate {
        /// The subject's key
        #[arg(allow_hyphen_values = true, value_parser = hyphened)]
        subject: String,
    },
    /// Look for traces of known identifiers where they must not be
    #[command(after_help = audit::AUDIT)]
    Audit(Box<AuditArgs>),
    /// Answer requests: as a gateway in front of applications, as the directory service, as a messaging relay
    #[command(after_help = SERVE)]
    Serve(ServeArgs),
    /// Verify receipts offline, take one subject's out of a wave's
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Check residency policies, explain what they decide
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Rules for a CDN that is already there, and whether it obeys
    #[command(subcommand)]
    Cdn(CdnCommand),
    /// The signed manifest of genuine endpoints, shops and sellers
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// A handset to try messaging with: silent until its owner agrees
    #[command(after_help = device::DEVICE)]
    Device(DeviceArgs),
    /// Prepare opt-in messages: keys, tables, data map, policies, configuration
    #[command(subcommand)]
    Messaging(MessagingCommand),
    /// Records of consent: of a mailbox, or one that somebody shows
    #[command(subcommand)]
    Consent(ConsentCommand),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  domicile completions bash > ~/.local/share/bash-completion/completions/domicile"
    )]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder, or the first one to stdout
    #[command(after_help = "Example:\n  domicile man ~/.local/share/man/man1")]
    Man {
        /// The folder
        dir: Option<PathBuf>,
    },
}

impl Command {
    /// Is the story told as JSON?
    pub fn logs_json(&self) -> bool {
        let log = match self {
            Command::Move(args) => &args.log,
            Command::Resume(args) => &args.log,
            Command::Worker(args) => &args.log,
            Command::Erase(args) => &args.log,
            Command::Serve(args) => &args.log,
            _ => return false,
        };
        log.log == LogForm::Json
    }
}

const INIT: &str = "\
Writes datamap.toml, domicile.toml, policies/starter.cedar and keys/; overwrites nothing and
changes nothing in the database. What can't be known from the catalogue becomes a question in
datamap.toml.

Examples:
  domicile init --from sqlite:shop.db --country US
  domicile init --from 'postgres://domicile:${DB_PASSWORD}@db.example/shop' --country IN --region mumbai";

/// `domicile init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The database to read: postgres://USER@HOST/DATABASE or sqlite:PATH
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The country the database stands in; asked for at a terminal
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
    /// What to call its region; by default after the country
    #[arg(long, value_name = "ID")]
    pub region: Option<String>,
    /// The table whose rows are the subjects, e.g. public.customer
    #[arg(long, value_name = "TABLE")]
    pub root: Option<String>,
    /// Where to write
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

const REGISTER: &str = "\
Prints the epoch for the next step, in the region, in the transaction of the subject's first row:
  PostgreSQL  select domicile.sign_up(SUBJECT, EPOCH)
  SQLite      INSERT INTO domicile_signup(subject, epoch) VALUES (SUBJECT, EPOCH)
Safe to repeat. A subject whose home is another region is refused and keeps it (exit code 3): sign it
up there. Without SUBJECT the keys are read from stdin, one a line.

Examples:
  domicile register 4711 --region mumbai
  domicile register --region mumbai --json < new-users.txt";

/// `domicile register`.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// Values of the root table's key; without any they are read from stdin, one a line
    #[arg(value_name = "SUBJECT", allow_negative_numbers = true)]
    pub subjects: Vec<String>,
    /// The region that becomes their home
    #[arg(long, value_name = "ID")]
    pub region: String,
}

const SERVE: &str = "\
The gateway brings each request to its subject's home, and holds writes while that one moves. The
directory service tells applications without our gateway where a subject lives. [gateway],
[directory] and [admin] of domicile.toml say where they listen. A relay serves opt-in messages of
one region's users ([messaging]). SIGTERM ends them once the requests under way are answered;
SIGHUP has certificates and keys of tokens read again.

Examples:
  domicile serve --gateway
  domicile serve --directory
  domicile serve --gateway --service shop
  domicile serve --messaging beijing";

/// `domicile serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The gateway of one service
    #[arg(long)]
    pub gateway: bool,
    /// The directory service, of all services
    #[arg(long)]
    pub directory: bool,
    /// The messaging relay of this region; may be repeated, `all` for all of them
    #[arg(long, value_name = "REGION")]
    pub messaging: Vec<String>,
    /// Listen here instead of where the configuration says, for one of several gateways
    #[arg(long, value_name = "ADDRESS", conflicts_with = "directory")]
    pub listen: Vec<std::net::SocketAddr>,
    #[command(flatten)]
    pub log: watching::LogArg,
}

/// `domicile answer`.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The question's id; nothing: show all that are open
    pub question: Option<String>,
    /// The answer
    #[arg(requires = "question")]
    pub answer: Option<String>,
}
