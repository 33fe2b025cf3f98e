//! What this processor can do beyond what every x86-64 can: found out once, without unsafe code of ours (the crate pulp).

/// The vectors there are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cpu {
    /// AVX-512 (F, BW, CD, DQ, VL).
    #[cfg(target_arch = "x86_64")]
    V4(pulp::x86::V4),
    /// AVX2, BMI and POPCNT.
    #[cfg(target_arch = "x86_64")]
    V3(pulp::x86::V3),
    /// What the program was compiled for.
    Plain,
}

impl Cpu {
    /// The best that this processor has.
    pub(crate) fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(v4) = pulp::x86::V4::try_new() {
            return Self::V4(v4);
        } else if let Some(v3) = pulp::x86::V3::try_new() {
            return Self::V3(v3);
        }
        Self::Plain
    }

    /// Does something, compiled for this processor as far as `what` is inlined.
    #[inline(always)]
    pub(crate) fn run<R>(self, what: impl FnOnce() -> R) -> R {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::V4(v4) => v4.vectorize(what),
            #[cfg(target_arch = "x86_64")]
            Self::V3(v3) => v3.vectorize(what),
            Self::Plain => what(),
        }
    }
}
