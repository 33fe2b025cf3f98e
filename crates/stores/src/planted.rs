//! Planted bugs: each breaks one thing that the design forbids, so that `cargo xtask torture --planted` can show
//! that it would be found.
//!
//! Without the cargo feature `planted`, which no crate of the product asks for and beside which the binary
//! `domicile` does not compile, [`Bug::is_planted`] is a constant and the broken way is not in the program. With
//! it, the environment variable `DOMICILE_PLANTED` names the one bug.

/// One thing done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The last catch-up under the fence is left out.
    NoLastCatchUp,
    /// Entries of `changed` are removed before the target has committed what they say.
    ForgetFirst,
    /// The new home is opened before the directory has decided.
    ActivateFirst,
    /// Nobody asks whether a lease's token is still the newest.
    NoToken,
    /// A mark neither waits for the subject's writers nor bumps its generation.
    MarkNoGen,
    /// Nor does a fence.
    FenceNoGen,
    /// Catch-up deletes keys at the target whoever's rows they are.
    DeleteOthers,
    /// Source and target are not compared before the fence.
    NoVerify,
    /// A sealed subject is let go by a clock.
    SealEnds,
    /// A swap whose answer is unknown is settled by a read.
    SettleByRead,
}

/// Can a bug be planted in this program?
pub const COMPILED_IN: bool = cfg!(feature = "planted");

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 10] = [
        Bug::NoLastCatchUp,
        Bug::ForgetFirst,
        Bug::ActivateFirst,
        Bug::NoToken,
        Bug::MarkNoGen,
        Bug::FenceNoGen,
        Bug::DeleteOthers,
        Bug::NoVerify,
        Bug::SealEnds,
        Bug::SettleByRead,
    ];

    /// Its name in `DOMICILE_PLANTED`.
    pub const fn name(self) -> &'static str {
        match self {
            Bug::NoLastCatchUp => "no-last-catch-up",
            Bug::ForgetFirst => "forget-first",
            Bug::ActivateFirst => "activate-first",
            Bug::NoToken => "no-token",
            Bug::MarkNoGen => "mark-no-gen",
            Bug::FenceNoGen => "fence-no-gen",
            Bug::DeleteOthers => "delete-others",
            Bug::NoVerify => "no-verify",
            Bug::SealEnds => "seal-ends",
            Bug::SettleByRead => "settle-by-read",
        }
    }

    /// Is it planted in this process?
    #[cfg(not(feature = "planted"))]
    #[inline(always)]
    pub const fn is_planted(self) -> bool {
        false
    }

    /// Is it planted in this process?
    #[cfg(feature = "planted")]
    pub fn is_planted(self) -> bool {
        static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        NAME.get_or_init(|| std::env::var("DOMICILE_PLANTED").ok()).as_deref() == Some(self.name())
    }
}
