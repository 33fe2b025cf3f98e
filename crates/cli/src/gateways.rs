//! Which gateways route requests now, for `status`.

use crate::failure::{self, Result};
use crate::figures::duration;
use crate::paper;
use domicile_directory::GatewaySeen;
use domicile_mover::Service;
use serde_json::{Value, json};

/// The service's gateways by their names; those that were silent for an hour are not among them.
pub struct Gateways(Vec<GatewaySeen>);

impl Gateways {
    /// All that the control store knows of.
    pub async fn of(service: &Service) -> Result<Self> {
        let seen = service.directory.gateways(&service.name).await;
        seen.map(Self).map_err(|e| failure::of_directory(&e))
    }

    /// A table, nothing where there is none.
    pub fn text(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let rows = self.0.iter().map(|g| vec![g.gateway.clone(), state(g)]);
        format!("\n{}\n", paper::table(&["gateway", "seen"], &[], rows.collect()))
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        let one = |g: &GatewaySeen| {
            let ms = u64::try_from(g.ago.as_millis()).unwrap_or(u64::MAX);
            json!({ "gateway": g.gateway, "seen_ms_ago": ms, "silent": !g.is_live })
        };
        self.0.iter().map(one).collect()
    }
}

fn state(gateway: &GatewaySeen) -> String {
    match (gateway.is_live, gateway.ago.as_secs()) {
        (false, _) => {
            format!("silent for {}: it routes nothing, and no fence waits for it", duration(gateway.ago))
        }
        (true, 0) => "less than a second ago".to_owned(),
        (true, s) => format!("{s} s ago"),
    }
}
