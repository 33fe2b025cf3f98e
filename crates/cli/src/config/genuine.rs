//! `[manifest]`: what is said to be genuine, apart from the regions' endpoints.

use super::Region;
use super::fault::Fault;
use super::meaning::country;
use super::typed::Text;
use domicile_ledger::{MANIFEST_DAYS_MAX, Seller, Shop};
use serde::Deserialize;
use toml::Spanned;

/// How long a manifest holds where nothing else is said, days: a quarter.
const DAYS: i64 = 90;

/// As typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[manifest]` with name")]
pub(super) struct TypedManifest {
    name: String,
    days: Option<Spanned<i64>>,
    #[serde(default)]
    shop: Vec<TypedShop>,
    #[serde(default)]
    seller: Vec<TypedSeller>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[manifest.shop]]` with name and url")]
struct TypedShop {
    name: String,
    url: String,
    country: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[manifest.seller]]` with name and country")]
struct TypedSeller {
    name: String,
    country: Text,
    url: Option<String>,
}

/// What the manifest will say besides the regions.
#[derive(Debug, Clone)]
pub struct Genuine {
    /// Whose it is.
    pub name: String,
    /// How long it holds, days.
    pub days: i64,
    /// Own shops.
    pub shops: Vec<Shop>,
    /// Who else may sell.
    pub sellers: Vec<Seller>,
}

pub(super) fn of(typed: &Spanned<TypedManifest>, regions: &[Region]) -> Result<Genuine, Fault> {
    if regions.iter().any(|r| r.id() == crate::genuine::KEY) {
        let what = "a region is called `manifest`, and there is a [manifest]";
        let why = "both sign with keys/manifest.key";
        let fix = "give the region another id";
        return Err(Fault::new(typed.span().start, "config-manifest", what, why, fix));
    }
    let typed = typed.get_ref();
    let code = |text: &Text| country(text).map(|c| c.alpha2().to_owned());
    let shop = |s: &TypedShop| {
        let country = s.country.as_ref().map(code).transpose()?;
        Ok(Shop { name: s.name.clone(), url: s.url.clone(), country })
    };
    let seller =
        |s: &TypedSeller| Ok(Seller { name: s.name.clone(), country: code(&s.country)?, url: s.url.clone() });
    Ok(Genuine {
        name: typed.name.clone(),
        days: typed.days.as_ref().map_or(Ok(DAYS), days)?,
        shops: typed.shop.iter().map(shop).collect::<Result<_, Fault>>()?,
        sellers: typed.seller.iter().map(seller).collect::<Result<_, Fault>>()?,
    })
}

fn days(typed: &Spanned<i64>) -> Result<i64, Fault> {
    let days = *typed.get_ref();
    if (1..=MANIFEST_DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    let what = format!("days = {days}: a manifest holds for 1 to {MANIFEST_DAYS_MAX} days");
    let why = "it can't be called back, so it must end by itself";
    Err(Fault::new(typed.span().start, "config-manifest", what, why, format!("leave it out for {DAYS} days")))
}
