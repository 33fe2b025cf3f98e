//! A service as this process serves it.

use super::follow::Follower;
use super::placing::Placing;
use super::spelling::Spelling;
use domicile_directory::{Directory, Home};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is served of one service.
#[derive(Debug)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// Where applications reach its regions, by id; a region without an address has none.
    pub endpoints: BTreeMap<String, Option<String>>,
    /// How its subjects' keys are spelt.
    pub spelling: Spelling,
    /// Where new subjects go.
    pub placing: Placing,
}

/// The same with who follows its feed.
pub(super) struct Following {
    pub served: Served,
    pub follower: Follower,
}

impl Following {
    pub fn new(directory: Arc<Directory>, served: Served) -> Self {
        Self { follower: Follower::new(directory, served.name.clone()), served }
    }

    /// A home as it is answered.
    pub fn told(&self, region: &str, epoch: u64) -> Told {
        let endpoint = self.served.endpoints.get(region).cloned().flatten();
        Told { region: region.to_owned(), epoch, endpoint }
    }

    /// The same of a home.
    pub fn told_of(&self, home: &Home) -> Told {
        self.told(&home.region, home.epoch)
    }
}

/// A home in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    pub region: String,
    pub epoch: u64,
    pub endpoint: Option<String>,
}
