//! Positive controls: canaries that are looked for beside the identifiers.

pub(crate) mod craft;
pub(crate) mod traffic;
