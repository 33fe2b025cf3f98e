//! `domicile device`: a scriptable handset.
//!
//! What needs no network is done on a `Device<Silent>`, which has none.

mod contacts;
mod messages;
mod returned;
mod terms;

use crate::app::App;
use crate::args::{DeviceArgs, DeviceCommand, DeviceConsent, RegisterDevice};
use crate::failure::{self, Failure, Result, of_device};
use crate::screen::Answer;
use domicile_messaging::consent::{EventState, Purpose};
use domicile_messaging::device::{Agreed, Device, DeviceFault, Http, Silent};
use domicile_messaging::number::Number;
use domicile_messaging::region::SignedRegion;
use jiff::Timestamp;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A region's statement is at most so long, bytes.
const STATEMENT_BYTES_MAX: u64 = 1 << 20;

/// Which device, and whom its connections trust.
struct Handset {
    path: PathBuf,
    ca: Option<PathBuf>,
}

type Online = Device<Agreed<Http>>;

impl Handset {
    fn open(&self) -> Result<Device<Silent>> {
        Device::open(&self.path).map_err(|fault| self.failed(fault))
    }

    fn failed(&self, fault: DeviceFault) -> Box<Failure> {
        of_device(fault, &self.path)
    }

    /// The transport, if the owner has agreed to one.
    fn online(&self) -> Result<Online> {
        let roots = self.ca.as_deref().map(read).transpose()?.unwrap_or_default();
        self.connect(self.open()?, &roots)
    }

    fn connect(&self, device: Device<Silent>, roots: &[u8]) -> Result<Online> {
        let connected = device.connect(|agreement| Http::new(agreement, roots));
        connected.map_err(|(_, fault)| self.failed(fault))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(STATEMENT_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| failure::of_file("read", path, &error))?;
    Ok(bytes)
}

/// Runs a device command.
pub async fn run(app: &App, args: DeviceArgs) -> Result<Answer> {
    let handset = Handset { path: args.device, ca: args.ca };
    let answer = Box::pin(done(app, &handset, args.command)).await;
    returned::with_returned(&handset, answer)
}

async fn done(app: &App, handset: &Handset, command: DeviceCommand) -> Result<Answer> {
    match command {
        DeviceCommand::New { statement } => new(handset, &statement),
        DeviceCommand::Consent(command) => consent(app, handset, command).await,
        DeviceCommand::Register(args) => Box::pin(register(app, handset, args)).await,
        DeviceCommand::Contacts(command) => Box::pin(contacts::run(app, handset, command)).await,
        DeviceCommand::Open { contact } => contacts::open(handset, &contact),
        DeviceCommand::Send(args) => Box::pin(messages::send(app, handset, args)).await,
        DeviceCommand::Flush => Box::pin(messages::flush(handset)).await,
        DeviceCommand::Receive { wait, kept } => Box::pin(messages::receive(app, handset, wait, kept)).await,
        DeviceCommand::Presence { contact, show_to } => {
            Box::pin(contacts::presence(handset, contact, show_to)).await
        }
    }
}

fn new(handset: &Handset, file: &Path) -> Result<Answer> {
    let statement: SignedRegion = serde_json::from_slice(&read(file)?).map_err(|_| {
        Failure::usage(
            "region-statement",
            format!("{} is not the statement of a region's relay", file.display()),
            "it is the JSON that the operator of the relay gives out",
            "domicile messaging statement REGION -o REGION.json",
        )
    })?;
    let device = Device::create(&handset.path, statement).map_err(|fault| handset.failed(fault))?;
    let said = format!(
        "a new device is in {}\n  service  {}, region {}\n\nit has sent nothing, and sends nothing before you agree\n\
         next: domicile device consent show --device {}",
        handset.path.display(),
        device.region().service,
        device.region().region,
        handset.path.display(),
    );
    let json = json!({ "device": device.id(), "service": device.region().service, "region": device.region().region });
    Ok(Answer::new(said, json))
}

fn purpose(text: &str) -> Result<Purpose> {
    text.parse().map_err(|error: domicile_messaging::consent::NoPurpose| {
        Failure::usage(
            "unknown-purpose",
            format!("there is no purpose {text}"),
            error.to_string(),
            "domicile device consent show",
        )
    })
}

async fn consent(app: &App, handset: &Handset, command: DeviceConsent) -> Result<Answer> {
    let (which, state) = match command {
        DeviceConsent::Show { purpose: which } => return terms::show(handset, which.as_deref()),
        DeviceConsent::Give { purpose: which } => (purpose(&which)?, EventState::Given),
        DeviceConsent::Withdraw { purpose: which } => (purpose(&which)?, EventState::Withdrawn),
    };
    let mut device = handset.open()?;
    let now = Timestamp::now();
    let is_new = device.agrees(which) != (state == EventState::Given);
    let signed = match state {
        EventState::Given => device.agree(which, now),
        EventState::Withdrawn => device.withdraw(which, now),
    };
    signed.map_err(|fault| handset.failed(fault))?;
    if is_new {
        app.screen.say(&format!("signed and kept: {which} {}", state.as_str()));
    }
    let delivered = deliver(app, handset, device).await?;
    let said = match (state, delivered) {
        (EventState::Given, true) => format!("you agree to {which}; the service has signed too"),
        (EventState::Given, false) => {
            format!("you agree to {which}; nothing was sent, the service hears of it later")
        }
        (EventState::Withdrawn, _) if !is_new => format!("you do not agree to {which}"),
        (EventState::Withdrawn, true) => {
            format!("you no longer agree to {which}; the service has signed too")
        }
        (EventState::Withdrawn, false) => {
            format!("you no longer agree to {which}; nothing more is sent for it")
        }
    };
    Ok(Answer::new(said, json!({ "purpose": which, "state": state, "delivered": delivered })))
}

/// Brings the relay what was signed, where the owner has agreed to a transport at all. A relay that does not answer
/// changes nothing of what was signed: the next command brings it.
async fn deliver(app: &App, handset: &Handset, device: Device<Silent>) -> Result<bool> {
    let waiting =
        Purpose::ALL.iter().any(|each| device.consent(*each).is_some_and(|(_, service)| service.is_none()));
    let roots = handset.ca.as_deref().map(read).transpose()?.unwrap_or_default();
    let mut online = match handset.connect(device, &roots) {
        Ok(online) => online,
        Err(failure) if failure.code == "no-consent" => return Ok(false),
        Err(failure) => return Err(failure),
    };
    if !waiting {
        return Ok(true);
    }
    match online.settle().await {
        Ok(()) => Ok(true),
        Err(DeviceFault::Unreachable(fault)) => {
            app.screen.say(&format!("the relay does not answer ({fault}); it is told with the next command"));
            Ok(false)
        }
        Err(fault) => Err(handset.failed(fault)),
    }
}

/// A number as it was typed; `again` is the command with a right one.
fn number(text: &str, country: Option<&str>, again: &str) -> Result<Number> {
    Number::typed(text, country).map_err(|_| {
        Failure::usage(
            "number-invalid",
            "this is not a telephone number",
            "it is written as +, country code and number; or, with --country, as it is dialled there. The number must be one \
             that its country gives out",
            again,
        )
    })
}

async fn register(app: &App, handset: &Handset, args: RegisterDevice) -> Result<Answer> {
    let mut device = handset.online()?;
    if let Some(text) = &args.number {
        let number = number(text, args.country.as_deref(), "domicile device register +15035550123")?;
        device.start_registration(number).await.map_err(|fault| handset.failed(fault))?;
        let said = format!(
            "a code was sent by SMS\nnext: domicile device register --code CODE --device {}",
            handset.path.display()
        );
        return Ok(Answer::new(said, json!({ "state": "code-sent" })));
    }
    let code = args.code.unwrap_or_default().parse().map_err(|error: domicile_messaging::wire::NoCode| {
        Failure::usage(
            "code-wrong",
            "this is not a code",
            error.to_string(),
            "domicile device register --code 12345678",
        )
    })?;
    app.screen.say("bringing the code, and the keys that others encrypt to");
    device.finish_registration(code).await.map_err(|fault| handset.failed(fault))?;
    let home = device.home();
    let said = format!("registered: the mailbox's home is {}", home.region);
    Ok(Answer::new(said, json!({ "mailbox": device.mailbox(), "home": home.region })))
}
