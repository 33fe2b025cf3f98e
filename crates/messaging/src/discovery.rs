//! Which contacts have a mailbox, without any server learning who the contacts are.
//!
//! A verifiable oblivious PRF (RFC 9497, mode VOPRF, suite ristretto255-SHA512): the device hashes a number to a point and
//! blinds it ([`Blinding`]), the region's relay multiplies it by its secret key and proves for the whole batch that it was
//! the published one ([`DiscoveryKey::evaluate`]), and the device takes the blinding away again. What remains is the
//! number's [`Tag`] under that key. Each blinded element is a uniformly random point, so a relay that keeps everything and
//! gives away its key still learns nothing of it, now or later.
//!
//! One blinding serves all regions: each evaluates the same elements under its own key. A device keeps the tags
//! ([`Tags`]), so that a contact is blinded once per region and generation, and relays can charge for new contacts.
//!
//! Of a tag come a [locator](Tag::locator), under which the number's owner lies, and the key of the
//! [entry](Tag::seal) there: mailbox and identity keys. The device downloads a [`Filter`] with the locators of all users
//! and asks only for those of its contacts that are in it.

mod blind;
mod filter;
mod key;
mod lookup;
mod tag;
mod tags;

pub use blind::{BlindFault, Blinding, padded_size};
pub use filter::{Filter, FilterFault};
pub use key::{DiscoveryKey, EvaluateFault, KeyFault};
pub use lookup::{Asked, ask};
pub use tag::{Resident, Tag};
pub use tags::Tags;

use voprf::Ristretto255 as Suite;
