//! The edge cache: answers on routes declared public are kept at this gateway, for everybody alike.
//!
//! The way of a request: [`EdgeCache::public`] decides whether it is one (`key`, `routes`), and makes of it a
//! request that names nobody (`ask`): only listed headers travel on, so no cookie, no credential and nothing
//! that the key does not know can shape what others get. [`EdgeCache::answer`] looks in the `store`, else
//! one request goes to the origin however many ask (`flight`, `fill`). What comes back is judged (`judge`):
//! RFC 9111 by the library http-cache-semantics, and before it the rules of this house on what is never stored.
//!
//! A request's own `Cache-Control` is not heeded, but for `only-if-cached` (RFC 9111, 5.2.1 leaves it open): a
//! stranger's reload must not reach the origin.

mod answer;
mod ask;
mod count;
mod directives;
mod entry;
mod fill;
mod fits;
mod flight;
mod judge;
mod key;
mod lead;
mod permitted;
mod routes;
mod settings;
mod store;
mod unshared;

pub use answer::EdgeCache;
pub use ask::Public;
pub use count::{Counts, Sample};
pub use fits::media_types;
pub use judge::Reason;
pub use key::{Crooked, Key, PATH_BYTES_MAX, Scheme, host, query, straight};
pub use permitted::{Asked, may_cache};
pub use routes::WrongRoute;
pub use settings::{Cached, EdgeSettings, PublicRoute, Query};

#[cfg(test)]
mod tests;
