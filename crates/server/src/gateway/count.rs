//! What the gateway counts. No label names a subject, a path or an address.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $field:ident = $name:literal $labels:literal,)*) => {
        /// Counters since the process began.
        #[derive(Debug, Default)]
        pub struct Counts { $($(#[doc = $doc])* pub $field: AtomicU64,)* }

        impl Counts {
            /// (metric, labels, help, value) of each, in a fixed order.
            pub fn all(&self) -> Vec<(&'static str, &'static str, &'static str, u64)> {
                vec![$(($name, $labels, concat!($($doc),*), self.$field.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counts! {
    /// Requests answered.
    requests = "domicile_gateway_requests_total" "",
    /// Requests forwarded to a region, repeats included.
    forwarded = "domicile_gateway_forwarded_total" "",
    /// Writes that waited for a park to end.
    parked = "domicile_gateway_parked_total" "",
    /// Writes that an application refused before any effect, and that were sent again.
    repeated = "domicile_gateway_repeated_total" "",
    /// Requests turned away: malformed.
    malformed = "domicile_gateway_refused_total" r#"{reason="malformed"}"#,
    /// Requests turned away: they name no subject.
    no_subject = "domicile_gateway_refused_total" r#"{reason="no-subject"}"#,
    /// Requests turned away: a token that does not verify.
    bad_token = "domicile_gateway_refused_total" r#"{reason="token"}"#,
    /// Requests turned away: a subject without a home.
    unknown_home = "domicile_gateway_refused_total" r#"{reason="unknown-home"}"#,
    /// Requests turned away: a home in a region that this gateway does not know.
    unknown_region = "domicile_gateway_refused_total" r#"{reason="unknown-region"}"#,
    /// Sign-ups turned away: policy permits no region.
    policy = "domicile_gateway_refused_total" r#"{reason="policy"}"#,
    /// Requests turned away: this gateway has no lease.
    no_lease = "domicile_gateway_refused_total" r#"{reason="no-lease"}"#,
    /// Requests turned away: the directory could not be asked.
    directory_away = "domicile_gateway_refused_total" r#"{reason="directory"}"#,
    /// Writes turned away: too many wait already.
    park_full = "domicile_gateway_refused_total" r#"{reason="park-full"}"#,
    /// Writes turned away: they waited as long as a write may.
    park_too_long = "domicile_gateway_refused_total" r#"{reason="park-too-long"}"#,
    /// Requests for which the region's application could not be reached, or broke off.
    upstream_broke = "domicile_gateway_refused_total" r#"{reason="upstream"}"#,
    /// Requests for which the region's application took too long.
    upstream_slow = "domicile_gateway_refused_total" r#"{reason="upstream-slow"}"#,
    /// Requests whose client went away before an answer was there.
    client_gone = "domicile_gateway_clients_gone_total" "",
    /// New subjects that were given a home.
    signed_up = "domicile_gateway_sign_ups_total" "",
    /// Homes found in memory.
    home_hits = "domicile_gateway_homes_total" r#"{from="memory"}"#,
    /// Homes asked for.
    home_lookups = "domicile_gateway_homes_total" r#"{from="directory"}"#,
    /// Homes that changed while this gateway knew them.
    home_moves = "domicile_gateway_home_changes_total" "",
    /// Times the lease could not be renewed.
    lease_lost = "domicile_gateway_lease_failures_total" "",
}

/// One more.
pub(super) fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
