//! schemathesis, which tests a service against its OpenAPI description: a Python package in an environment of its own,
//! made by `cargo xtask tools`.

use crate::versions::cache;
use std::path::PathBuf;

/// The version that the tests are made for: another one may find other things.
pub const VERSION: &str = "4.32.5";

/// Where its environment is.
pub fn folder() -> PathBuf {
    cache().join(format!("schemathesis-{VERSION}"))
}

/// The program, where it was installed.
pub fn program() -> Option<PathBuf> {
    Some(folder().join("bin/schemathesis")).filter(|program| program.is_file())
}
