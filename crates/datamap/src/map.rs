//! What the user writes: `datamap.toml`.

/// The file as typed; see docs/config.md.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataMap {}
