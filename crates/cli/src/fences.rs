//! How old a region's oldest fence is: for `status` and the metrics.

use crate::figures::milliseconds;
use domicile_stores::records::GuardStatus;
use serde_json::json;
use std::time::Duration;

/// The oldest fence of a region. The guard keeps when it ends; when it began follows from the limit.
pub struct Fence {
    age: Duration,
    left_ms: i64,
}

impl Fence {
    /// Of what the guard says; `deadline` is the limit that fences are set with.
    pub fn of(status: &GuardStatus, deadline: Duration) -> Option<Self> {
        let left_ms = status.fence_left_ms?;
        let deadline = i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX);
        let age = Duration::from_millis(u64::try_from(deadline.saturating_sub(left_ms)).unwrap_or(0));
        Some(Self { age, left_ms })
    }

    /// How long ago it began.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// In a sentence.
    pub fn words(&self) -> String {
        let age = milliseconds(self.age.as_secs_f64() * 1000.0);
        match u64::try_from(self.left_ms) {
            Ok(left) => {
                format!("the oldest fence is {age} old, and ends by itself in {}", milliseconds(left as f64))
            }
            Err(_) => format!("the oldest fence is {age} old, past its deadline: the next writer ends it"),
        }
    }

    /// For `--json`.
    pub fn json(&self) -> serde_json::Value {
        json!({ "age_ms": u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX), "deadline_in_ms": self.left_ms })
    }
}
