//! What is looked for.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What sort of identifier it is: the sort decides its normal forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A telephone number, in E.164 or national writing.
    Phone,
    /// An e-mail address (RFC 5321).
    Email,
    /// The 15 digits of a handset (3GPP TS 23.003).
    Imei,
    /// The up to 15 digits of a SIM (ITU-T E.212).
    Imsi,
    /// Any other string, looked for as it is.
    Free,
}

/// One identifier as it was given; it is wiped when dropped and has no `Debug` that shows it.
#[derive(Clone)]
pub struct Identifier {
    /// Its sort.
    pub kind: Kind,
    /// Its text.
    pub text: Zeroizing<String>,
}

impl std::fmt::Debug for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identifier({:?}, hidden)", self.kind)
    }
}
