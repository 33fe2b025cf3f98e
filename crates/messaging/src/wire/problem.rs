//! Answers that say no: RFC 9457 problem details with a code that programs may rely on.

use super::{RegionName, Text};
use serde::{Deserialize, Serialize};

/// Where a mailbox lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The region.
    pub region: RegionName,
    /// Its relay, `https://host[:port]`. A device believes it only as the signed region statement has it.
    pub endpoint: Text,
    /// Counts the mailbox's moves: of two answers the one with the higher epoch is newer.
    pub epoch: u64,
}

/// A problem as it is sent. Names no subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:domicile:problem:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is wrong, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, for programs.
    pub code: ProblemCode,
    /// More of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// With `moved`: where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
}

impl From<ProblemCode> for Problem {
    fn from(code: ProblemCode) -> Self {
        let about = code.about();
        Self {
            kind: format!("urn:domicile:problem:{}", about.code),
            title: about.title.to_owned(),
            status: about.status,
            code,
            detail: None,
            fix: (!about.fix.is_empty()).then(|| about.fix.to_owned()),
            home: None,
        }
    }
}

impl Problem {
    /// 421: the mailbox lives elsewhere.
    pub fn moved(home: Home) -> Self {
        Self { home: Some(home), ..ProblemCode::Moved.into() }
    }

    /// The same with more words. They must name no subject.
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// What stands for a code.
struct About {
    code: &'static str,
    status: u16,
    title: &'static str,
    fix: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident, $code:literal, $status:literal, $title:literal, $fix:literal;)*) => {
        /// Everything that a relay may say no with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ProblemCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
            /// A code of a newer relay: its status says what there is to know.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl ProblemCode {
            /// All but `Unknown`.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            const fn about(self) -> About {
                match self {
                    $(Self::$name => About { code: $code, status: $status, title: $title, fix: $fix },)*
                    Self::Unknown => About { code: "unknown", status: 500, title: "unknown problem", fix: "" },
                }
            }
        }
    };
}

codes! {
    /// No token came with the request.
    ConsentMissing, "consent-missing", 401, "this request needs a consent token",
        "give consent (POST /v1/messaging/consents), then send its token in Domicile-Consent";
    /// The token's ten minutes are over.
    ConsentExpired, "consent-expired", 401, "the consent token has expired",
        "ask for a new one: POST /v1/messaging/token";
    /// The token is not this region's, or was changed.
    ConsentForged, "consent-forged", 401, "the consent token is not one that this region signed",
        "ask for a new one: POST /v1/messaging/token";
    /// The token is sound and the purpose was never agreed to, or is withdrawn.
    ConsentWithdrawn, "consent-withdrawn", 403, "its owner does not agree to this purpose",
        "give consent for the purpose first: POST /v1/messaging/consents";
    /// The record is not signed by its device, or is not the one that this service asks for.
    RecordForged, "record-forged", 422, "the consent record is not signed by the device that it names",
        "sign the canonical bytes of the record with the device's key";
    /// The record's terms are not the published ones.
    RecordTerms, "record-terms", 422, "the consent record has other terms than this region publishes",
        "read GET /v1/messaging/region again, show its notice, and ask again";
    /// An older record than the one that is kept.
    RecordSuperseded, "record-superseded", 409, "a later record of this purpose is kept already",
        "use a sequence above the last one";
    /// No proof came with the request, or not in its form.
    ProofMissing, "proof-missing", 401, "this request needs a proof of the device's key",
        "send Domicile-Proof: UNIXSECONDS.NONCE.SIGNATURE";
    /// More than two minutes off the relay's clock.
    ProofStale, "proof-stale", 401, "the proof's time is too far from this relay's clock",
        "correct the clock by this answer's Date header and send again";
    /// Seen before.
    ProofReplayed, "proof-replayed", 401, "this proof was used before", "make a new proof for each request";
    /// Not signed by the device, or for another request.
    ProofForged, "proof-forged", 401, "the proof is not this device's for this request",
        "sign method, path with query, time, nonce and the body's SHA-256";
    /// No such device, or not yet.
    DeviceUnknown, "device-unknown", 401, "no device of this id is known here",
        "give consent first: POST /v1/messaging/consents";
    /// The number is registered by another device now.
    DeviceReplaced, "device-replaced", 403, "another device has taken over this number",
        "register again with this device, if it is the one you use";
    /// This needs a mailbox.
    NotRegistered, "not-registered", 403, "this device has no mailbox yet", "register a number first";
    /// The mailbox lives in another region.
    Moved, "moved", 421, "this mailbox lives in another region", "ask the relay named under `home`";
    /// Not JSON, or not of the form.
    BadRequest, "bad-request", 400, "the request is not what this endpoint takes", "";
    /// The body has another type, or says none.
    NoJson, "no-json", 415, "the body's type is application/json", "";
    /// The body was longer under way than a relay waits.
    TooSlow, "too-slow", 408, "the body did not come in time", "";
    /// Too long.
    TooBig, "too-big", 413, "the request's body is too big", "see `limits` in GET /v1/messaging/region";
    /// Not a telephone number that can be registered.
    NumberInvalid, "number-invalid", 422, "this is not a telephone number in E.164",
        "write it as +, country code, number: +8613912345678";
    /// Wrong code, wrong attempt, or too many tries: one answer for all, so that nobody can tell attempts apart.
    CodeWrong, "code-wrong", 422, "the code is wrong, used up, or too old", "start again: POST /v1/messaging/register/start";
    /// Too many codes for a number or a device.
    CodesSpent, "codes-spent", 429, "too many codes were sent", "wait as long as Retry-After says";
    /// The proof of the number is not this service's, or not for this number or mailbox.
    NumberProofForged, "number-proof-forged", 403, "the proof of the number does not hold",
        "register the number again";
    /// The number or country may not have its mailbox in any region.
    NoHome, "no-home", 403, "policies allow no region for this number", "";
    /// Not one of the sizes.
    NotPadded, "not-padded", 422, "the batch has not one of the allowed sizes",
        "pad with random elements to the next size in `limits`";
    /// A blinded element is no point, or the identity.
    PointInvalid, "point-invalid", 422, "an element is not a canonical ristretto255 point, or is the identity",
        "blind as RFC 9497 says";
    /// Past generation, or one that never was.
    GenerationUnknown, "generation-unknown", 409, "this region has no such generation of its discovery key",
        "read GET /v1/messaging/region again";
    /// No such region in this service.
    RegionUnknown, "region-unknown", 404, "this service has no such region", "read GET /v1/messaging/region again";
    /// Too many new contacts.
    BudgetSpent, "budget-spent", 429, "the allowance for new contacts is spent", "wait as long as Retry-After says";
    /// No such mailbox. Sending to it is answered so, too.
    MailboxUnknown, "mailbox-unknown", 404, "no such mailbox", "";
    /// Too much waits in it, or from this sender.
    MailboxFull, "mailbox-full", 429, "too much is waiting for this receiver", "wait as long as Retry-After says";
    /// Neither one-time nor fallback key.
    KeysMissing, "keys-missing", 409, "this mailbox has published no keys yet", "try again later";
    /// A message that the receiver could not read.
    KeysOther, "keys-other", 409, "the receiver has other keys than those that this is encrypted to", "look the receiver up again, then encrypt anew";
    /// Identity keys other than those registered.
    KeysForged, "keys-forged", 422, "a key is not signed by the mailbox's identity", "sign it with the Olm Ed25519 key";
    /// Another relay's bearer token is missing or wrong.
    RelayUnknown, "relay-unknown", 401, "only relays of this service may ask this", "";
    /// Another device or attempt has the number at this moment.
    NumberBusy, "number-busy", 409, "somebody is registering this number at this moment", "try again in ten minutes";
    /// A device has one number.
    DeviceKnown, "device-known", 409, "this device has a mailbox already, with another number",
        "withdraw cloud_messaging for that one first, or register with a new device key";
    /// Another region's relay, which has to be asked, is away.
    RegionAway, "region-away", 503, "the relay of another region does not answer", "wait as long as Retry-After says";
    /// The region's database is away.
    StoreAway, "store-away", 503, "the region's database does not answer", "wait as long as Retry-After says";
    /// The directory is away.
    DirectoryAway, "control-store-away", 503, "the control store does not answer", "wait as long as Retry-After says";
    /// No text message can be sent.
    SmsAway, "sms-away", 503, "the code could not be sent: the text message service does not take it",
        "wait as long as Retry-After says";
    /// A relay that has just started.
    NoFilterYet, "no-filter-yet", 503, "the filter is not there yet", "wait as long as Retry-After says";
    /// Something that its operator has to mend.
    Broken, "broken", 500, "the relay can't answer; its operator can see why: domicile check", "";
    /// A mailbox on its way, a relay that does not answer, too many requests at once.
    Busy, "busy", 503, "this cannot be answered at the moment", "wait as long as Retry-After says";
    /// Too many requests.
    TooMany, "too-many", 429, "too many requests", "wait as long as Retry-After says";
    /// No such endpoint.
    NotFound, "not-found", 404, "there is no such endpoint", "";
    /// Not this method.
    Method, "method", 405, "this endpoint does not take this method", "";
}

impl ProblemCode {
    /// As it is sent.
    pub const fn as_str(self) -> &'static str {
        self.about().code
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.about().status
    }

    /// What is wrong, for people.
    pub const fn title(self) -> &'static str {
        self.about().title
    }

    /// What to do, or empty.
    pub const fn fix(self) -> &'static str {
        self.about().fix
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_sent_as_they_read() {
        let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        for code in ProblemCode::ALL {
            let text = serde_json::to_string(&Problem::from(*code)).unwrap();
            assert!(text.contains(&format!("\"code\":\"{}\"", code.as_str())), "{text}");
            assert_eq!(serde_json::from_str::<Problem>(&text).unwrap().code, *code);
            assert!((400..600).contains(&code.status()));
        }
    }

    #[test]
    fn a_newer_relays_code_is_read_too() {
        let text = r#"{"type":"x","title":"y","status":418,"code":"teapot","more":1}"#;
        assert_eq!(serde_json::from_str::<Problem>(text).unwrap().code, ProblemCode::Unknown);
    }
}
