//! The regions and shorthands the other modules use.

use domicile_policy::{Circumstances, Class, Country, Latency, Policies, Region};
use jiff::civil::{Date, date};
use std::collections::BTreeMap;

pub fn country(code: &str) -> Country {
    code.parse().unwrap()
}

pub fn region(id: &str, at: &str, operator: &str, site: &str, opens: Option<Date>) -> Region {
    Region { id: id.into(), country: country(at), operator: country(operator), opens, site: site.into() }
}

/// The regions of the reference case; India and Brazil open in 2015.
pub fn maker(operator: &str) -> Vec<Region> {
    vec![
        region("beijing", "CN", "CN", "Beijing", None),
        region("oregon", "US", operator, "Oregon", None),
        region("singapore", "SG", operator, "Singapore", None),
        region("mumbai", "IN", operator, "Mumbai", Some(date(2015, 7, 1))),
        region("saopaulo", "BR", operator, "SaoPaulo", Some(date(2015, 7, 1))),
    ]
}

pub fn parse(text: &str) -> Policies {
    Policies::parse(&[("test.cedar".to_owned(), text.to_owned())], &[]).unwrap_or_else(|f| panic!("{f}"))
}

pub fn class(residence: &str, flags: &[&str]) -> Class {
    let flags = flags.iter().map(|f| (*f).to_owned()).collect();
    Class { flags, ..Class::resident(country(residence)) }
}

pub static NO_MECHANISMS: BTreeMap<String, bool> = BTreeMap::new();

pub fn on<'a>(
    today: Date,
    categories: &'a [String],
    regions: &'a [Region],
    latency: &'a Latency,
) -> Circumstances<'a> {
    Circumstances { categories, regions, latency, today, mechanisms: &NO_MECHANISMS, for_latency: false }
}

/// Round trips of the reference case, from the same sources as the project's table.
pub fn latency() -> Latency {
    let rows = [
        "user-IN,Beijing,308,338,1,user-dc,D,S2",
        "user-IN,Singapore,72,78,0,user-dc,M,S4",
        "user-IN,Oregon,225,240,0,user-dc,E,S7",
        "user-IN,Mumbai,3,28,0,user-dc,M,S4",
        "user-BR,Beijing,368,369,0,user-dc,M,S3",
        "user-BR,Singapore,346,358,0,user-dc,M,S2",
        "user-BR,Oregon,163,172,0,user-dc,M,S2",
        "user-BR,SaoPaulo,3,15,0,user-dc,E,S7",
        "user-HK,Beijing,39,44,0,user-dc,D,S2",
        "user-HK,Singapore,47,56,0,user-dc,M,S2",
        "user-HK,Oregon,136,149,0,user-dc,M,S2",
        "user-CN,Beijing,5,30,0,user-dc,E,S7",
        "user-CN,Singapore,155,200,5,user-dc,M,S2",
        "user-US,Oregon,31,39,0,user-dc,M,S2",
        "user-US,Singapore,181,183,0,user-dc,M,S2",
    ];
    let header = "from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source";
    Latency::parse_csv(&format!("{header}\n{}\n", rows.join("\n"))).unwrap()
}
