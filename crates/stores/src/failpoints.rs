//! Failpoints: places at which `cargo xtask torture` makes a durable write fail.
//!
//! Most durable writes pass a seam that can be wrapped from outside ([`Records`](crate::Records),
//! [`Control`](crate::control::Control)); the torture wraps them there. What passes none, objects and the file
//! of receipts, asks here. Without the cargo feature `failpoints` [`fails`] is a constant, and nothing is left
//! of it in the program.

/// On which side of a durable write it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The write is not made, and said to have failed.
    NotDone,
    /// The write is made, and said to have failed.
    Done,
}

/// Are failpoints in this program?
pub const COMPILED_IN: bool = cfg!(feature = "failpoints");

/// Whether the write of this name is to fail here. Not compiled in.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn fails(_point: &str, _when: When) -> bool {
    false
}

#[cfg(feature = "failpoints")]
pub use armed::{arm, fails};

#[cfg(feature = "failpoints")]
mod armed {
    use super::When;
    use std::sync::OnceLock;

    type Hook = Box<dyn Fn(&str, When) -> bool + Send + Sync>;

    static HOOK: OnceLock<Hook> = OnceLock::new();

    /// Who is asked from now on; the first call counts.
    pub fn arm(hook: impl Fn(&str, When) -> bool + Send + Sync + 'static) {
        let _ = HOOK.set(Box::new(hook));
    }

    /// Whether the write of this name is to fail here. Who is asked may also end the process.
    pub fn fails(point: &str, when: When) -> bool {
        HOOK.get().is_some_and(|hook| hook(point, when))
    }
}

/// Makes a durable write of that name in the store `store`, and fails it where that was asked for.
///
/// # Errors
/// The write's, or `Unreachable`, which says that nobody knows whether it was made.
pub async fn durable<T>(
    point: &'static str,
    store: impl Fn() -> String,
    write: impl Future<Output = crate::Result<T>>,
) -> crate::Result<T> {
    let failed = || crate::Error::Unreachable { store: store(), why: format!("failpoint {point}") };
    if fails(point, When::NotDone) {
        return Err(failed());
    }
    let done = write.await?;
    if fails(point, When::Done) { Err(failed()) } else { Ok(done) }
}
