//! The phone: what was shown in 2014, two months before the move, and a phone of which it can't be shown.
//!
//! Two phones, the relays of two regions, and wires between them at which the demo listens. What is found at the end is
//! found by the audit, in what passed and in what the servers keep.

mod maker;
mod search;
mod wire;

use super::case::Place;
use super::stage::Stage;
use crate::failure::{Failure, Result};
use crate::figures::{bytes, count};
use domicile_messaging::consent::Purpose;
use domicile_messaging::device::{Agreed, Device, DeviceFault, Http, Silent};
use domicile_messaging::number::Number;
use domicile_messaging::wire::{IfOffline, Text};
use jiff::Timestamp;
use maker::{Maker, Site};
use search::Searched;
use std::time::{Duration, Instant};
use wire::Passed;

/// One phone's part.
struct Owner {
    country: &'static str,
    number: &'static str,
    name: &'static str,
}

/// By region: who has a phone there. Numbers that are valid and nobody's in this demo's worlds.
const OWNERS: [Owner; 4] = [
    Owner { country: "SG", number: "+6598765430", name: "Li Wei" },
    Owner { country: "IN", number: "+919876501234", name: "Asha" },
    Owner { country: "US", number: "+12025550143", name: "Sam" },
    Owner { country: "CN", number: "+8613912340017", name: "Lin" },
];

/// Contacts who are no users of anything: nobody has agreed that their numbers are sent.
const OTHERS: [(&str, &str); 3] =
    [("Mother", "+6591230001"), ("Doctor", "+4930901820"), ("Plumber", "+5511961234567")];

/// New filters come each second here; on a machine that is busy, later.
const FILTERS: Duration = Duration::from_secs(60);
/// Between two looks for contacts.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The text that is sent.
const TEXT: &str = "Are you coming tonight?";

/// What the scene showed.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Connections and bytes before the owner agreed: must be none.
    pub before: (u64, u64),
    /// Requests' and answers' bytes afterwards.
    pub after_bytes: u64,
    /// Contacts, and those of them that were found to be users.
    pub contacts: (usize, usize),
    /// Times that the message was shown: must be 1.
    pub shown: u64,
    /// Connections after the withdrawal had been told: must be none.
    pub silent_again: bool,
    /// What the audit says.
    pub searched: Searched,
}

impl Shown {
    /// Everything is as it must be.
    pub fn holds(&self) -> bool {
        self.before == (0, 0)
            && self.shown == 1
            && self.silent_again
            && self.contacts.1 == 1
            && self.searched.found == 0
            && self.searched.own > 0
            && self.searched.controls.0 > 0
            && self.searched.controls.0 == self.searched.controls.1
    }
}

/// Plays the scene.
pub async fn phone(stage: &Stage) -> Result<Shown> {
    let page = &stage.page;
    page.begin("The phone");
    page.say(
        "In August 2014 a security firm took a new phone of the maker in Beijing out of its box, put a SIM in, added a \
         contact, and saw the phone send its number, its IMEI and the contact's number to Beijing. Nobody had \
         agreed. Here is a phone that can't: without its owner's consent its program has no way to open a socket. \
         The demo listens at its wire.",
    );
    let [here, there] = sites(stage);
    let maker = Box::pin(Maker::start(stage, [here.0, there.0])).await?;
    let mut scene = Scene { stage, maker, owners: [here.1, there.1], shown: Shown::default() };
    Box::pin(scene.play()).await?;
    let passed: Vec<Passed> = scene.maker.sites.iter().map(|site| site.wire.passed()).collect();
    let kept = scene.maker.kept();
    scene.maker.end();
    let mut shown = scene.shown;
    let contacts: Vec<&str> = OTHERS.iter().map(|(_, number)| *number).collect();
    let searched = tokio::task::block_in_place(|| {
        search::search(&passed, &kept, &contacts, &scene.owners.map(|owner| owner.number))
    });
    shown.searched = searched.map_err(|why| broken(&why))?;
    tell(stage, &shown);
    page.rest().await;
    Ok(shown)
}

/// Two regions of the case, and who has a phone there: such as opened for the move, if there are two of them.
fn sites(stage: &Stage) -> [(&'static Place, &'static Owner); 2] {
    let case = stage.world.case;
    let of = |owner: &'static Owner| Some((case.regions.iter().find(|p| p.country == owner.country)?, owner));
    let (old, new): (Vec<_>, Vec<_>) =
        OWNERS.iter().filter_map(of).partition(|(place, _)| place.id == case.old);
    let mut both = new.into_iter().chain(old);
    std::array::from_fn(|_| both.next().unwrap_or((&case.regions[0], &OWNERS[0])))
}

struct Scene<'s> {
    stage: &'s Stage,
    maker: Maker,
    owners: [&'static Owner; 2],
    shown: Shown,
}

type Connected = Device<Agreed<Http>>;

impl Scene<'_> {
    async fn play(&mut self) -> Result<()> {
        let page = &self.stage.page;
        let mut silent = self.fresh(0)?;
        for (name, number) in OTHERS.iter().copied().chain([(self.owners[1].name, self.owners[1].number)]) {
            silent.add_contact(typed(number)?, text(name)?).map_err(|e| of_device(&e))?;
        }
        for _ in 0..2 {
            silent.contact(OTHERS[0].0).map_err(|e| of_device(&e))?;
        }
        self.shown.contacts.0 = OTHERS.len() + 1;
        let passed = self.wire(0);
        self.shown.before = (passed.connections, (passed.up.len() + passed.down.len()) as u64);
        page.done(&format!(
            "switched on, a SIM, {} contacts saved, a card opened twice: {} connections, {} bytes",
            self.shown.contacts.0, self.shown.before.0, self.shown.before.1
        ));
        // The other side agrees, too: nobody is found who did not.
        let mut other = self.agree(1, self.fresh(1)?).await?;
        let mut own = self.agree(0, silent).await?;
        self.registered(&own, 0);
        self.shown.contacts.1 = look(&mut own).await?;
        page.done(&format!(
            "agrees to be found, and looks who else does: numbers go out blinded, {} of {} contacts is a user, in {}",
            self.shown.contacts.1, self.shown.contacts.0, self.maker.sites[1].region
        ));
        self.message(&mut own, &mut other).await?;
        self.withdraw(own).await
    }

    fn fresh(&self, at: usize) -> Result<Device<Silent>> {
        let path = self
            .stage
            .world
            .folder
            .path()
            .join(format!("phone-{}.json", self.owners[at].country.to_lowercase()));
        Device::create(&path, self.maker.sites[at].statement.clone()).map_err(|e| of_device(&e))
    }

    fn wire(&self, at: usize) -> Passed {
        self.maker.sites[at].wire.passed()
    }

    /// The owner agrees to messages and to be found, and proves the number.
    async fn agree(&self, at: usize, mut device: Device<Silent>) -> Result<Connected> {
        for purpose in [Purpose::CloudMessaging, Purpose::ContactDiscovery, Purpose::Presence] {
            device.agree(purpose, Timestamp::now()).map_err(|e| of_device(&e))?;
        }
        let mut device = connected(device)?;
        device.start_registration(typed(self.owners[at].number)?).await.map_err(|e| of_device(&e))?;
        let code = self.maker.code().and_then(|code| code.parse().ok()).ok_or_else(no_code)?;
        device.finish_registration(code).await.map_err(|e| of_device(&e))?;
        Ok(device)
    }

    fn registered(&self, device: &Connected, at: usize) {
        let passed = self.wire(at);
        let Site { region, .. } = self.maker.sites[at];
        let what = format!(
            "{} agrees to messages and proves the number: {} to {} alone; at rest the number is sealed",
            self.owners[at].name,
            bytes((passed.up.len() + passed.down.len()) as u64),
            region
        );
        if device.mailbox().is_some() {
            self.stage.page.done(&what);
        }
    }

    async fn message(&mut self, own: &mut Connected, other: &mut Connected) -> Result<()> {
        let name = self.owners[1].name;
        own.send_text(name, TEXT, IfOffline::Keep, 3_600).await.map_err(|e| of_device(&e))?;
        for _ in 0..2 {
            other.receive(0).await.map_err(|e| of_device(&e))?;
            let new = other.take_new().map_err(|e| of_device(&e))?;
            self.shown.shown += new.iter().filter(|message| message.text == TEXT).count() as u64;
        }
        let to = self.maker.sites[1].region;
        self.stage.page.done(&format!(
            "a message to {name} in {to}: encrypted on the phone, shown {} time",
            self.shown.shown
        ));
        Ok(())
    }

    async fn withdraw(&mut self, mut own: Connected) -> Result<()> {
        own.withdraw(Purpose::CloudMessaging, Timestamp::now()).map_err(|e| of_device(&e))?;
        own.deliver_consents().await.map_err(|e| of_device(&e))?;
        let silent = own.fall_silent();
        let before = self.wire(0);
        self.shown.after_bytes = (before.up.len() + before.down.len()) as u64;
        let refused = silent.connect(|agreement| Http::new(agreement, &[])).is_err();
        self.shown.silent_again = refused && self.wire(0) == before;
        self.stage
            .page
            .done("withdraws: told once, keys and mailbox are gone there, and the phone is silent again");
        Ok(())
    }
}

fn tell(stage: &Stage, shown: &Shown) {
    let page = &stage.page;
    let searched = &shown.searched;
    let line = format!(
        "the audit: {} traces of contacts' numbers in {} of wire and of the servers' disks; the owner's own is on \
         the wire, once agreed, and {} of {} planted controls were found",
        count(searched.found),
        bytes(searched.bytes),
        count(searched.controls.1),
        count(searched.controls.0)
    );
    let wrapped = crate::paper::wrapped("    ", &line);
    page.show_line(&format!("{} {}", page.mark(shown.holds()), wrapped.trim_start()));
    page.gap();
}

/// Looks for contacts until one is found: who has just agreed is in the next filter, a second later here.
async fn look(own: &mut Connected) -> Result<usize> {
    let began = Instant::now();
    loop {
        let found = own.sync_contacts().await.map_err(|e| of_device(&e))?.found;
        if found > 0 || began.elapsed() > FILTERS {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn connected(device: Device<Silent>) -> Result<Connected> {
    device.connect(|agreement| Http::new(agreement, &[])).map_err(|(_, fault)| of_device(&fault))
}

fn typed(number: &str) -> Result<Number> {
    Number::typed(number, None).map_err(|e| broken(&e.to_string()))
}

fn text(name: &str) -> Result<Text> {
    name.parse().map_err(|_| broken("a contact's name"))
}

fn no_code() -> Box<Failure> {
    broken("no code came by text message")
}

fn of_device(fault: &DeviceFault) -> Box<Failure> {
    broken(&fault.to_string())
}

fn broken(what: &str) -> Box<Failure> {
    let why = "the demo's phones speak to relays on loopback";
    Failure::new("demo-phone", format!("the phone's scene failed: {what}"), why, "domicile demo   # again")
}
