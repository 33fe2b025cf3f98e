//! Random bytes of the operating system.

/// `N` random bytes.
///
/// # Panics
/// Where the operating system has none: nothing here can go on without them.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
