//! A database of an odd shape.
use crate::walk::Result;
/// Runs it.
pub fn run(_: &[String]) -> Result<()> {
    Err("not yet".into())
}
