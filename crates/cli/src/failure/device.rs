//! Words for a handset's faults.

use super::Failure;
use domicile_messaging::device::DeviceFault;
use domicile_messaging::session::SessionFault;
use domicile_messaging::wire::{Problem, ProblemCode};
use std::path::Path;

/// A fault of `domicile device`.
pub fn of_device(fault: DeviceFault, file: &Path) -> Box<Failure> {
    let device = file.display();
    let (what, code) = (fault.to_string(), fault.code());
    match fault {
        DeviceFault::File(error) if is_missing(&error) && !folder_of(file).exists() => {
            let folder = folder_of(file).display();
            Failure::new(
                "no-device",
                format!("there is no folder {folder}"),
                "a device is a file, and --device says where it is",
                format!("mkdir -p {folder}   # or name the device's file as it is"),
            )
        }
        DeviceFault::File(error) if is_missing(&error) => Failure::new(
            "no-device",
            format!("there is no device in {device}"),
            "a device is a file, made with the signed statement of its region's relay",
            format!("domicile device new --device {device} --statement FILE"),
        ),
        DeviceFault::File(error) => super::of_file("use the device", file, &error),
        DeviceFault::NoConsent(purpose) => Failure::new(
            code,
            what,
            "a device sends nothing that its owner has not agreed to",
            format!("domicile device consent give {purpose} --device {device}"),
        )
        .state("no connection was opened"),
        DeviceFault::InUse => Failure::new(
            code,
            what,
            "two processes at once would each lose what the other writes",
            format!("fuser {device}.lock"),
        ),
        DeviceFault::Exists => Failure::new(
            code,
            what,
            "a new one would take the keys and messages of the old one away",
            "domicile device new --device ANOTHER --statement FILE",
        ),
        DeviceFault::NotADevice => {
            Failure::new(code, what, "it does not hold what `device new` writes", format!("ls -l {device}"))
        }
        DeviceFault::OlderCopy => Failure::new(
            code,
            what,
            "it would encrypt with keys again that were used already, and could not read what came since",
            "domicile device new --device ANOTHER --statement FILE   # then register the number: its mailbox comes along",
        )
        .state("nothing was sent"),
        DeviceFault::TermsChanged(purpose) => Failure::new(
            code,
            what,
            "an owner agrees to what was shown, and the region asks for it on other terms by now",
            format!(
                "domicile device consent show {purpose} --device {device}\n\
                 domicile device consent give {purpose} --device {device}"
            ),
        )
        .state("the new terms are on the device; the relay has kept nothing"),
        DeviceFault::NotRegistered | DeviceFault::NotStarted => Failure::new(
            code,
            what,
            "a mailbox comes with a proven number",
            format!("domicile device register NUMBER --device {device}"),
        ),
        DeviceFault::NoContact => Failure::new(
            code,
            what,
            "contacts are on the device only",
            format!("domicile device contacts list --device {device}"),
        ),
        DeviceFault::NotAUser => Failure::new(
            code,
            what,
            "the last sync did not find this contact among the users",
            format!("domicile device contacts sync --device {device}"),
        ),
        DeviceFault::IdentityChanged => Failure::new(
            code,
            what,
            "a new telephone, a new owner of the number, a stolen SIM card, or a relay that lies: only the two of you can tell",
            format!(
                "domicile device open CONTACT --device {device}              # compare the digits, in person or by voice\n\
                 domicile device contacts accept CONTACT --device {device}   # then send again"
            ),
        )
        .state("nothing was sent to the contact"),
        DeviceFault::HomeElsewhere(_) => Failure::new(
            code,
            what,
            "the policies put this number's home into another region, with terms of its own",
            format!(
                "domicile device consent show --device {device}\n\
                 domicile device consent give cloud_messaging --device {device}\n\
                 domicile device register NUMBER --device {device}"
            ),
        )
        .state("the number was not stored in the region that was asked; the other region's terms are on the device"),
        DeviceFault::Unreachable(_) => Failure::new(
            code,
            what,
            "a request may have been done without an answer; each can be repeated, and is done once",
            format!(
                "domicile device flush --device {device}   # texts, once it answers; anything else: the same command again"
            ),
        )
        .state("nothing that the device's file holds is lost"),
        DeviceFault::Oneself => Failure::new(
            code,
            what,
            "messages are encrypted for another device, and nobody could read this one",
            format!("domicile device contacts list --device {device}"),
        ),
        DeviceFault::HasNumber => Failure::new(
            code,
            what,
            "one device has one number and one mailbox",
            format!(
                "domicile device new --device ANOTHER --statement FILE\n\
                 domicile device consent withdraw cloud_messaging --device {device}   # or give the old number up"
            ),
        )
        .state("nothing was sent"),
        DeviceFault::Limit(_) | DeviceFault::Session(SessionFault::TooLong | SessionFault::TooManyPeers) => {
            Failure::new(
                code,
                what,
                "a device keeps so much and no more",
                format!("domicile device --help   # {device} is as it was"),
            )
            .state("nothing was sent, nothing was kept")
        }
        DeviceFault::Refused(problem) => of_refusal(*problem, what, &device.to_string()),
        _ => Failure::new(
            code,
            what,
            "what the relay answered does not hold: it is broken, or somebody is in between",
            "do not go on with this relay; ask its operator",
        )
        .state("the device believes none of it"),
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a relay refused, with what the owner of a handset can do.
fn of_refusal(problem: Problem, what: String, device: &str) -> Box<Failure> {
    let code = problem.code.as_str();
    let (why, fix) = match problem.code {
        ProblemCode::CodeWrong => (
            "a code has eight digits, holds for ten minutes and is over after three wrong tries",
            format!(
                "domicile device register --code CODE --device {device}   # or NUMBER again, for a new code"
            ),
        ),
        ProblemCode::MailboxUnknown => (
            "the contact has withdrawn since the last sync: send an SMS",
            format!("domicile device contacts sync --device {device}"),
        ),
        ProblemCode::KeysOther => (
            "the contact has another device since the last sync, which could not have read it",
            format!(
                "domicile device contacts sync --device {device}             # then\n\
                 domicile device open CONTACT --device {device}             # compare the digits, in person or by voice\n\
                 domicile device contacts accept CONTACT --device {device}  # and send again"
            ),
        ),
        ProblemCode::DeviceReplaced | ProblemCode::DeviceUnknown => (
            "a number has one device: consent and keys of this one have ended",
            format!(
                "domicile device consent give cloud_messaging --device {device}\n\
                 domicile device register NUMBER --device {device}   # to take the number back"
            ),
        ),
        ProblemCode::ConsentWithdrawn => (
            "the service was told in another way that you agree no longer",
            format!(
                "domicile device consent withdraw cloud_messaging --device {device}   # and give what you do agree to"
            ),
        ),
        ProblemCode::MailboxFull => (
            "this receiver has not fetched what waits already, or too much of it is yours",
            format!("domicile device flush --device {device}   # later"),
        ),
        ProblemCode::RegionAway => (
            "another region has a part in this; what your own one can do without it works",
            format!(
                "domicile device flush --device {device}   # texts, later; anything else: the same command again"
            ),
        ),
        ProblemCode::BudgetSpent => (
            "a device may look for so many new contacts, and some more each day, so that nobody tries out all numbers",
            format!("domicile device contacts sync --device {device}   # tomorrow; those found stay found"),
        ),
        ProblemCode::CodesSpent => (
            "so many codes an hour are sent to a number, and asked for by a device",
            format!("domicile device register NUMBER --device {device}   # in an hour"),
        ),
        _ if problem.status == 503 || problem.status == 429 => {
            ("it passes by itself", "the same command again, in a minute".to_owned())
        }
        _ => {
            let fix = problem.fix.unwrap_or_else(|| "the same command again, later".to_owned());
            let why = problem.detail.unwrap_or(problem.title);
            return Failure::new(code, what, why, fix);
        }
    };
    Failure::new(code, what, why, fix).state("the relay has done nothing")
}
