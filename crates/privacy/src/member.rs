//! The other user: a contact of the phone's owner, with a device of its own. It is on this machine's own network, so that
//! nothing of it is in a capture.

use crate::event::Event;
use crate::handset::closed::Link;
use crate::handset::quiet::{Quiet, Shipped};
use crate::phone::{MEMBER, OWNER};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the relays may take to make a filter with a new user in it.
pub const FOUND: Duration = Duration::from_secs(30);

/// A device is here for half a minute after it has looked (docs/messaging-delivery.md); a little more.
const AWAY: Duration = Duration::from_secs(33);

/// The user, and when it last looked for messages.
pub struct Member(Quiet, Option<Instant>);

impl Member {
    /// Registers, agrees to be found and to show presence.
    ///
    /// # Errors
    /// What its device said.
    pub fn begin(dir: &Path, sealed: bool) -> Result<Self, String> {
        let shipped = Shipped { dir: dir.to_owned(), sealed, link: Link::Unseen };
        let name = if sealed { "member-tls.device" } else { "member.device" };
        let mut device = Quiet::new(shipped, dir.join(name), MEMBER)?;
        device.hears(&Event::FirstStart)?;
        for purpose in ["cloud_messaging", "contact_discovery", "presence"] {
            device.hears(&Event::Agreed(purpose.into()))?;
        }
        device.hears(&Event::ContactAdded(OWNER.into()))?;
        Ok(Self(device, None))
    }

    /// Finds the owner, and lets the owner see whether it is here.
    ///
    /// # Errors
    /// What its device said; the owner was not found.
    pub fn shows_itself_to_the_owner(&mut self) -> Result<(), String> {
        if !self.finds_the_owner()? {
            return Err("the owner can't be found".into());
        }
        self.0.show_presence_to(OWNER)
    }

    /// Looks until the owner is found, or for as long as a filter may take.
    ///
    /// # Errors
    /// What its device said.
    pub fn finds_the_owner(&mut self) -> Result<bool, String> {
        let began = Instant::now();
        loop {
            self.0.find_again()?;
            // In each scene the owner has a new phone, and both have compared its digits.
            self.0.accept_identity(OWNER)?;
            if self.0.has_found(OWNER) || began.elapsed() > FOUND {
                return Ok(self.0.has_found(OWNER));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Looks until the owner is found no longer, or for as long as it has patience.
    ///
    /// # Errors
    /// What its device said.
    pub fn still_finds_the_owner(&mut self, patience: Duration) -> Result<bool, String> {
        let began = Instant::now();
        loop {
            self.0.find_again()?;
            if !self.0.has_found(OWNER) || began.elapsed() > patience {
                return Ok(self.0.has_found(OWNER));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Looks for messages; returns how many are new.
    ///
    /// # Errors
    /// What its device said.
    pub fn looks(&mut self) -> Result<usize, String> {
        let came = self.0.look(0);
        self.1 = Some(Instant::now());
        came
    }

    /// Waits until no relay takes it for here any more.
    pub fn goes_away(&self) {
        if let Some(looked) = self.1 {
            std::thread::sleep(AWAY.saturating_sub(looked.elapsed()));
        }
    }

    /// Its mailbox.
    ///
    /// # Errors
    /// In words: it has none.
    pub fn mailbox(&mut self) -> Result<String, String> {
        self.0.mailbox().ok_or("the member has no mailbox".into())
    }
}
