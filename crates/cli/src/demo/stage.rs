//! What every scene works with: the world, the configuration, the directory, and the commands' own functions.

use super::case::ServiceName;
use super::page::{Page, hushed};
use super::world::World;
use crate::app::App;
use crate::args::Global;
use crate::config::Config;
use crate::failure::{self, Result};
use crate::open;
use domicile_directory::Directory;
use domicile_mover::Service;
use domicile_mover::progress::Observer;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A scene's surroundings.
pub struct Stage {
    pub page: Page,
    pub world: World,
    pub config: Config,
    pub directory: Arc<Directory>,
    signals: crate::signals::Signals,
}

impl Stage {
    /// Reads the configuration that the world was given, and opens its directory.
    pub async fn set(app: &App, page: Page, world: World) -> Result<Self> {
        let config = Config::read(&world.folder.config())?;
        let directory = open::directory(&config).await?;
        directory.migrate().await.map_err(|e| failure::of_directory(&e))?;
        Ok(Self { page, world, config, directory, signals: app.signals.clone() })
    }

    /// The surroundings of a command, as if it were typed with the demo's configuration.
    pub fn app(&self, service: ServiceName) -> App {
        App {
            global: Global {
                config: self.world.folder.config(),
                service: Some(service.as_str().to_owned()),
                json: false,
                quiet: true,
            },
            screen: hushed(),
            signals: self.signals.clone(),
        }
    }

    /// A service as the mover sees it.
    pub async fn service(
        &self,
        name: ServiceName,
        day: Date,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Service>> {
        let app = self.app(name);
        let service = self.config.service(Some(name.as_str()))?;
        open::service_of(&app, &self.config, service, day, observer, &open::Want::all()).await
    }

    /// How many subjects live where, by the directory.
    pub async fn counts(&self, service: ServiceName) -> Result<BTreeMap<String, u64>> {
        self.directory.counts(service.as_str()).await.map_err(|e| failure::of_directory(&e))
    }
}
