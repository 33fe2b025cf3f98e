//! The phone of the test, and the people round it. All numbers are reserved for fiction: the Australian ones by ACMA, the
//! American ones (555-01xx) by NANPA; the IMEI is the example of 3GPP, the SIM is of the test network 001-01.

use domicile_audit::{Identifier, Kind};
use serde::Serialize;
use zeroize::Zeroizing;

/// The number of the phone's owner.
pub const OWNER: &str = "+61491570156";
/// A contact who uses the service, too.
pub const MEMBER: &str = "+61491570157";
/// A contact who does not.
pub const STRANGER: &str = "+12025550143";
/// Who gets an SMS.
pub const TEXTED: &str = "+12025550167";
/// Who sends one.
pub const TEXTER: &str = "+61491570158";
/// Who gets an MMS.
pub const PICTURED: &str = "+12025550189";
/// Who is called.
pub const CALLED: &str = "+61491570159";
/// Who calls.
pub const CALLER: &str = "+61491570110";
/// The handset's own number (3GPP TS 23.003).
pub const IMEI: &str = "490154203237518";
/// The SIM's (ITU-T E.212).
pub const IMSI: &str = "001010123456789";
/// The carrier, as the phone shows it.
pub const CARRIER: &str = "Nullarbor Mobile 7";
/// The Wi-Fi that it joins.
pub const WIFI: &str = "Kookaburra-Attic-5G";

/// What the owner writes.
pub const TEXT: &str = "Meet me at the old lighthouse at nine";

/// Whose or what an identifier is, so that a table can say it without saying the identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The owner's own number.
    Owner,
    /// The number of somebody else: a contact, who was written to, who called.
    Other,
    /// The number of the contact who is no user.
    Stranger,
    /// The handset.
    Imei,
    /// The SIM.
    Imsi,
    /// The carrier's name.
    Carrier,
    /// The Wi-Fi's name.
    Wifi,
    /// What a message says.
    Text,
}

impl Role {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Owner => "own number",
            Self::Other => "contact's number",
            Self::Stranger => "non-user's number",
            Self::Imei => "IMEI",
            Self::Imsi => "IMSI",
            Self::Carrier => "carrier",
            Self::Wifi => "Wi-Fi name",
            Self::Text => "message's text",
        }
    }
}

/// Everything that must not be seen where it was not agreed to.
pub const IDENTIFIERS: [(Role, Kind, &str); 13] = [
    (Role::Owner, Kind::Phone, OWNER),
    (Role::Other, Kind::Phone, MEMBER),
    (Role::Stranger, Kind::Phone, STRANGER),
    (Role::Other, Kind::Phone, TEXTED),
    (Role::Other, Kind::Phone, TEXTER),
    (Role::Other, Kind::Phone, PICTURED),
    (Role::Other, Kind::Phone, CALLED),
    (Role::Other, Kind::Phone, CALLER),
    (Role::Imei, Kind::Imei, IMEI),
    (Role::Imsi, Kind::Imsi, IMSI),
    (Role::Carrier, Kind::Free, CARRIER),
    (Role::Wifi, Kind::Free, WIFI),
    (Role::Text, Kind::Free, TEXT),
];

/// One of them as the audit takes it.
pub fn identifier((_, kind, text): (Role, Kind, &str)) -> Identifier {
    Identifier { kind, text: Zeroizing::new(text.to_owned()) }
}
