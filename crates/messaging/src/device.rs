//! The device: silent until its owner agrees.
//!
//! The states are types. A [`Device<Silent>`] has a file and nothing else: no transport, no runtime, no name to resolve.
//! The one way to a transport is [`Device::connect`], which asks for a record of consent that the device has signed and
//! kept, and hands an [`Agreement`] to whoever makes the transport; [`Http`] cannot be made without one, and nobody else
//! can make an [`Agreement`]. So code that opens a socket before the owner has agreed does not compile.
//!
//! The device is set up with the signed statement of its service's region ([`crate::region`]), as a phone is shipped with
//! it: notice and terms are at hand, and consent is signed, before anything is asked over the network.
//!
//! It speaks to its home relay only. A relay that answers `moved` is followed to a region that the statement lists, under
//! the key that it lists; the new home is durable before the next packet, so none goes to the old one afterwards.

mod agree;
mod ask;
mod fault;
mod file;
mod filters;
mod find;
mod http;
mod inbox;
mod outbox;
mod register;
mod relay;
mod state;

#[cfg(test)]
mod tests;

pub use agree::Agreement;
pub use fault::DeviceFault;
pub use find::Synced;
pub use http::Http;
pub use relay::{Relay, Unreachable};
pub use state::{Contact, HomeOf, Reached, Received, Returned};

use crate::region::SignedRegion;
use ed25519_dalek::SigningKey;
use file::StateFile;
use state::State;
use std::path::Path;

/// No transport: everything that can be done without a network.
#[derive(Debug)]
pub struct Silent;

/// The owner has agreed: a transport to the home relay.
#[derive(Debug)]
pub struct Agreed<R> {
    relay: R,
}

/// A handset: keys, consents, contacts and messages in one file, and what it may do.
#[derive(Debug)]
pub struct Device<S> {
    file: StateFile,
    state: State,
    link: S,
}

impl Device<Silent> {
    /// A new device with keys of its own, set up for the service whose region has signed `statement`. Sends nothing.
    ///
    /// # Errors
    /// A statement that does not hold, a file that exists.
    pub fn create(path: &Path, statement: SignedRegion) -> Result<Self, DeviceFault> {
        let state = State::new(statement)?;
        let file = StateFile::create(path)?;
        let mut device = Self { file, state, link: Silent };
        device.save()?;
        Ok(device)
    }

    /// Opens an existing one. One process at a time: a second one is refused.
    ///
    /// # Errors
    /// No file, one in use, not a device's, or an older copy of it.
    pub fn open(path: &Path) -> Result<Self, DeviceFault> {
        let (file, bytes) = StateFile::open(path)?;
        let state: State = serde_json::from_slice(&bytes).map_err(|_| DeviceFault::NotADevice)?;
        file.check_newest(state.saves)?;
        Ok(Self { file, state, link: Silent })
    }
}

impl<S> Device<S> {
    // CRASH: before, the file is what it was; after, what it is now. Callers save before they act on it.
    fn save(&mut self) -> Result<(), DeviceFault> {
        self.state.saves += 1;
        let bytes =
            zeroize::Zeroizing::new(serde_json::to_vec(&self.state).map_err(|_| DeviceFault::NotADevice)?);
        self.file.replace(&bytes, self.state.saves)
    }

    /// The next request asks for a new token first, and shows the one that there is.
    fn renew_soon(&mut self) {
        if let Some(token) = &mut self.state.token {
            token.renew_at = i64::MIN;
        }
    }

    fn key(&self) -> SigningKey {
        self.state.key()
    }

    /// This device's id.
    pub fn id(&self) -> crate::wire::DeviceId {
        crate::consent::device_of(&crate::wire::Key(self.key().verifying_key().to_bytes()))
    }

    /// Its mailbox, once registered.
    pub fn mailbox(&self) -> Option<crate::wire::MailboxId> {
        self.state.mailbox
    }

    /// Where it lives.
    pub fn home(&self) -> &HomeOf {
        &self.state.home
    }

    /// What its region says of itself.
    pub fn region(&self) -> &crate::region::RegionStatement {
        &self.state.statement.statement
    }
}
