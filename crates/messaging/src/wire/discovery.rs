//! Which of the contacts have a mailbox, without saying who they are.

use super::limits::{EVALUATE_MAX, EVALUATE_SIZES, GENERATIONS_MAX, LOOKUP_MAX, LOOKUP_SIZES, REGIONS_MAX};
use super::{Blinded, Entry, Evaluation, List, Locator, Proof, RegionName};
use serde::{Deserialize, Serialize};

/// `POST /v1/messaging/discovery/evaluate`: blinded numbers, padded to one of [`EVALUATE_SIZES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// Blinded once, for all regions.
    pub blinded: List<Blinded, EVALUATE_MAX>,
    /// Only these regions; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<List<RegionName, REGIONS_MAX>>,
}

impl Evaluate {
    /// Whether the batch has one of the sizes.
    pub fn is_padded(&self) -> bool {
        EVALUATE_SIZES.contains(&self.blinded.len())
    }
}

/// The answer: one result a region, under its current key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluated {
    /// In any order. A region whose relay does not answer is missing; the device asks for it later.
    pub results: List<RegionEvaluated, { REGIONS_MAX * GENERATIONS_MAX }>,
}

/// A batch under one region's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionEvaluated {
    /// Whose key.
    pub region: RegionName,
    /// Which of its keys.
    pub generation: u32,
    /// In the order of the request.
    pub evaluated: List<Evaluation, EVALUATE_MAX>,
    /// For the whole batch.
    pub proof: Proof,
}

/// `POST /v1/messaging/discovery/lookup`: what lies at locators that the filter has, padded to [`LOOKUP_SIZES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// Of which region's filter.
    pub region: RegionName,
    /// And generation.
    pub generation: u32,
    /// Real and random ones, in random order.
    pub locators: List<Locator, LOOKUP_MAX>,
}

impl Lookup {
    /// Whether it has one of the sizes.
    pub fn is_padded(&self) -> bool {
        LOOKUP_SIZES.contains(&self.locators.len())
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// In the order of the request; null where nobody is.
    pub entries: List<Option<Entry>, LOOKUP_MAX>,
}

/// The answer of `GET /v1/messaging/filters`.
pub type Filters = List<FilterListed, { REGIONS_MAX * GENERATIONS_MAX }>;

/// A filter that there is. Its bytes: `GET /v1/messaging/filters/{region}/{generation}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterListed {
    /// Whose users.
    pub region: RegionName,
    /// Under which key their locators are.
    pub generation: u32,
    /// Its `ETag`, with the quotation marks.
    pub etag: super::Text,
    /// How long it is.
    pub bytes: u64,
    /// How many users are in it.
    pub entries: u64,
}
