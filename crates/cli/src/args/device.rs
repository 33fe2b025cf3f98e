//! `domicile device`: a handset to try messaging with.

use super::hyphen::{hyphened, some_text};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What `domicile device --help` ends with.
pub const DEVICE: &str = "\
A handset in one file: keys, consents, contacts, messages. It opens no connection before its owner
has given consent to cloud_messaging, and after that speaks to its home relay only. --statement is
what a region's relay says of itself, signed, as a phone is shipped with it: `domicile messaging
statement REGION -o FILE` makes it, without a network.

Two terminals. In the first one, Bob:
  domicile messaging statement oregon -o oregon.json
  domicile device new --device bob --statement oregon.json
  domicile device consent show --device bob                  # what he is asked to agree to
  domicile device consent give cloud_messaging --device bob
  domicile device consent give contact_discovery --device bob
  domicile device register --device bob +15035550123
  domicile device register --device bob --code 12345678      # the code that came by SMS
  domicile device receive --device bob --wait 60
In the second one, Alice, who has registered in the same way:
  domicile device contacts add --device alice +15035550123 --name Bob
  domicile device open --device alice Bob                    # reads her own file: sends nothing
  domicile device contacts sync --device alice
  domicile device send --device alice Bob 'hello'";

/// `domicile device ...`.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// The device's file
    #[arg(long, global = true, value_name = "FILE", default_value = "phone.device")]
    pub device: PathBuf,
    /// Trust the certificates of this PEM file instead of the machine's
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: DeviceCommand,
}

/// What a handset does.
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Make a device; sends nothing
    New {
        /// The signed statement of a region's relay
        #[arg(long, value_name = "FILE")]
        statement: PathBuf,
    },
    /// Give consent, withdraw it, show what was agreed to
    #[command(subcommand)]
    Consent(DeviceConsent),
    /// Prove a number: first the number, then the code that came
    Register(RegisterDevice),
    /// Keep contacts on the device; look which of them are users
    #[command(subcommand)]
    Contacts(ContactsCommand),
    /// Open a contact's card: how a message would go; sends nothing, whoever it is
    Open {
        /// Name or number
        #[arg(allow_hyphen_values = true, value_parser = hyphened)]
        contact: String,
    },
    /// Send a text to a contact who is a user
    Send(SendArgs),
    /// Send what waits in the outbox: texts for which no relay has answered yet, each once
    Flush,
    /// Fetch messages and print those that are new, each once
    Receive {
        /// Wait so many seconds for one
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u32,
        /// Print everything that is kept, also what was shown; asks nobody
        #[arg(long)]
        kept: bool,
    },
    /// See whether a contact is connected, or choose who may see this device
    Presence {
        /// Name or number
        #[arg(required_unless_present = "show_to", conflicts_with = "show_to", allow_hyphen_values = true, value_parser = hyphened)]
        contact: Option<String>,
        /// Only these contacts may see this device from now on, separated by commas; empty: nobody
        #[arg(long, value_name = "NAMES")]
        show_to: Option<String>,
    },
}

/// `domicile device consent ...`.
#[derive(Debug, Subcommand)]
pub enum DeviceConsent {
    /// Agree to a purpose: cloud_messaging, contact_discovery, presence or region_move
    Give {
        /// Which
        purpose: String,
    },
    /// Agree to it no longer; without cloud_messaging everything ends
    Withdraw {
        /// Which
        purpose: String,
    },
    /// What the region asks for and what was agreed to; sends nothing
    Show {
        /// Which; all without
        purpose: Option<String>,
    },
}

/// `domicile device contacts ...`.
#[derive(Debug, Subcommand)]
pub enum ContactsCommand {
    /// Add or rename a contact; sends nothing
    Add {
        /// The number, with + or as it is dialled in --country
        number: String,
        /// What to call it
        #[arg(long, allow_hyphen_values = true, value_parser = hyphened)]
        name: String,
        /// Whose numbers are meant without +
        #[arg(long, value_name = "CC")]
        country: Option<String>,
    },
    /// Show all contacts; sends nothing
    List,
    /// Remove one; sends nothing
    Remove {
        /// Name or number
        #[arg(allow_hyphen_values = true, value_parser = hyphened)]
        contact: String,
    },
    /// Look which contacts are users; their numbers leave blinded
    Sync,
    /// Accept that a contact has another identity than before: compare its digits first, in person or by voice; sends nothing
    Accept {
        /// Name or number
        contact: String,
    },
}

/// `domicile device register`.
#[derive(Debug, Args)]
pub struct RegisterDevice {
    /// The owner's number: a code is sent to it
    #[arg(required_unless_present = "code", conflicts_with = "code")]
    pub number: Option<String>,
    /// The code that came
    #[arg(long)]
    pub code: Option<String>,
    /// Whose numbers are meant without +
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
}

/// `domicile device send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Name or number
    #[arg(allow_hyphen_values = true, value_parser = hyphened)]
    pub contact: String,
    /// The text
    #[arg(allow_hyphen_values = true, value_parser = some_text)]
    pub text: String,
    /// If the receiver is away, and lets this device see that: keep it at home, or say that SMS is the way
    #[arg(long, value_enum, default_value_t = Offline::Keep)]
    pub if_offline: Offline,
    /// Keep it no longer than so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 7 * 24 * 3600)]
    pub expires: u32,
}

/// For `--if-offline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Offline {
    /// The home keeps it
    Keep,
    /// Nothing is stored, exit code 3
    Sms,
}
