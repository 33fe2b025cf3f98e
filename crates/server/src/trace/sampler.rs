//! Which traces are recorded: the samplers of OpenTelemetry that need nobody else. Pure.

use super::context::{Incoming, TraceId};

/// `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// What the caller decided holds.
    pub asks_parent: bool,
    /// Of traces that begin here, or of all: so many, 0 to 1.
    pub ratio: f64,
}

impl Default for Sampler {
    /// `parentbased_always_on`, as OpenTelemetry has it.
    fn default() -> Self {
        Self { asks_parent: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// By the word of the environment and its argument; `None`: no word that is known, or no ratio.
    pub fn named(word: &str, argument: Option<&str>) -> Option<Self> {
        let (asks_parent, bare) = match word.strip_prefix("parentbased_") {
            Some(bare) => (true, bare),
            None => (false, word),
        };
        let ratio = match bare {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => argument.map_or(Some(1.0), |text| text.trim().parse().ok())?,
            _ => return None,
        };
        (0.0..=1.0).contains(&ratio).then_some(Self { asks_parent, ratio })
    }

    /// Is it recorded? The same for one trace wherever the ratio is the same: the last eight bytes of its id decide.
    pub fn samples(&self, trace: TraceId, incoming: Option<&Incoming>) -> bool {
        if let (true, Some(incoming)) = (self.asks_parent, incoming) {
            return incoming.is_sampled;
        }
        if self.ratio >= 1.0 {
            return true;
        }
        let mut last = [0; 8];
        last.copy_from_slice(&trace.0[8..]);
        let bound = (self.ratio * (1_u64 << 63) as f64) as u64;
        u64::from_be_bytes(last) >> 1 < bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::SpanId;

    #[test]
    fn words_of_opentelemetry() {
        let of = |word, argument| Sampler::named(word, argument).map(|s| (s.asks_parent, s.ratio));
        assert_eq!(of("always_on", None), Some((false, 1.0)));
        assert_eq!(of("always_off", Some("0.5")), Some((false, 0.0)));
        assert_eq!(of("traceidratio", Some("0.25")), Some((false, 0.25)));
        assert_eq!(of("parentbased_traceidratio", Some(" 0.25")), Some((true, 0.25)));
        assert_eq!(of("parentbased_always_on", None), Some((true, 1.0)));
        for (word, argument) in
            [("", None), ("jaeger_remote", None), ("traceidratio", Some("2")), ("traceidratio", Some("x"))]
        {
            assert_eq!(of(word, argument), None, "{word} {argument:?}");
        }
        assert_eq!(of("traceidratio", Some("NaN")), None);
    }

    #[test]
    fn a_ratio_is_kept_and_a_parent_heard() {
        let id = |n: u64| {
            let mut bytes = [7; 16];
            bytes[8..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            TraceId(bytes)
        };
        let quarter = Sampler { asks_parent: false, ratio: 0.25 };
        let sampled = (0..10_000).filter(|n| quarter.samples(id(*n), None)).count();
        assert!((2_400..2_600).contains(&sampled), "{sampled}");
        let incoming = |is_sampled| Some(Incoming { trace: id(1), parent: SpanId([1; 8]), is_sampled });
        let parent = Sampler { asks_parent: true, ratio: 0.0 };
        assert!(parent.samples(id(1), incoming(true).as_ref()) && !parent.samples(id(1), None));
        assert!(!Sampler::default().samples(id(1), incoming(false).as_ref()));
        assert!(!Sampler { asks_parent: false, ratio: 0.0 }.samples(id(1), incoming(true).as_ref()));
    }
}
