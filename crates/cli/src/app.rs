//! What every command works with: how to talk, where the configuration is, and whether to stop.

use crate::args::Global;
use crate::config::{Config, Service};
use crate::failure::{self, Result};
use crate::screen::Screen;
use crate::signals::Signals;
use domicile_mover::WorkerName;
use std::sync::OnceLock;

/// A command's surroundings.
pub struct App {
    /// What was typed before and behind the command's name.
    pub global: Global,
    /// stdout and stderr.
    pub screen: Screen,
    /// Ctrl-C and SIGTERM.
    pub signals: Signals,
}

impl App {
    /// Reads the configuration.
    pub fn config(&self) -> Result<Config> {
        Config::read(&self.global.config)
    }

    /// The service that the command is about.
    pub fn service<'c>(&self, config: &'c Config) -> Result<&'c Service> {
        config.service(self.global.service.as_deref())
    }

    /// By which other workers know this process: the same whatever it works on.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn worker(&self) -> Result<WorkerName> {
        static NAME: OnceLock<WorkerName> = OnceLock::new();
        if let Some(name) = NAME.get() {
            return Ok(name.clone());
        }
        let name = WorkerName::new().map_err(|e| failure::of_mover(&e))?;
        Ok(NAME.get_or_init(|| name).clone())
    }

    /// `--service NAME ` where it was given, to repeat it in commands that are shown.
    pub fn service_flag(&self) -> String {
        self.global.service.as_ref().map(|s| format!(" --service {s}")).unwrap_or_default()
    }
}
