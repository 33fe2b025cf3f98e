//! How a command that moves or erases is watched.

use crate::metrics::serve::Typed;
use clap::{Args, ValueEnum};

/// The form of the story on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogForm {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// `--log`.
#[derive(Debug, Clone, Args)]
pub struct LogArg {
    /// The story on stderr: text, or json lines
    #[arg(long, value_name = "FORM", value_enum, default_value_t, hide_possible_values = true)]
    pub log: LogForm,
}

/// `--metrics`.
#[derive(Debug, Clone, Args)]
pub struct MetricsArg {
    /// Serve Prometheus metrics at this address
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
    /// The address may be one that other machines reach
    #[arg(long)]
    pub metrics_off_loopback: bool,
}

impl MetricsArg {
    /// What was typed.
    pub fn typed(&self) -> Typed<'_> {
        Typed { address: self.metrics.as_deref(), off_loopback: self.metrics_off_loopback }
    }
}
