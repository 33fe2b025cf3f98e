//! The two cases as data: regions, services, who lives where at the beginning, and what moves when.

use jiff::civil::{Date, date};

/// A case, told from its first screen to its last.
pub struct Case {
    /// As typed: `--case reference`.
    pub name: &'static str,
    /// The first screen's heading.
    pub title: &'static str,
    /// What it is about, for somebody who has never heard of it.
    pub story: &'static str,
    /// All regions; those that open later are there from the beginning, and empty.
    pub regions: &'static [Place],
    /// The region where everybody's data is at the beginning.
    pub old: &'static str,
    /// Services in the order of [`ServiceName::index`].
    pub services: &'static [Service],
    /// Per mille of the accounts by country; adds up to 1000.
    pub shares: &'static [(&'static str, u64)],
    /// Accounts that carry this flag, and how many.
    pub flagged: Option<(&'static str, usize)>,
    /// The policy file's name and text.
    pub policy: (&'static str, &'static str),
    /// What moves when.
    pub trips: &'static [Trip],
    /// Number of the trip whose plan is asked who can't be helped.
    pub refusals_at: usize,
    /// Where each country's people live in the end, if not where they were: the case's own expectation, which
    /// no policy was asked for.
    pub settled: &'static [(&'static str, &'static str)],
    /// A country whose resident is not admitted at the old region, for the attempt to cheat.
    pub cheat: (&'static str, &'static str),
}

/// A region.
pub struct Place {
    pub id: &'static str,
    pub country: &'static str,
    pub operator: &'static str,
    pub opens: Option<Date>,
    /// Its name in the latency table.
    pub site: &'static str,
}

/// A service and the regions it may use.
pub struct Service {
    pub name: ServiceName,
    pub regions: &'static [&'static str],
}

/// The services that the demo knows how to fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceName {
    /// Customers, orders and their lines.
    Shop,
    /// Accounts, devices, contacts, messages and photos.
    Cloud,
}

impl ServiceName {
    /// As configured.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceName::Shop => "shop",
            ServiceName::Cloud => "cloud",
        }
    }
}

/// One plan and its moves.
pub struct Trip {
    /// Heading of its screens.
    pub title: &'static str,
    /// One sentence: what happens.
    pub story: &'static str,
    pub service: ServiceName,
    /// The day of the plan.
    pub on: Date,
    pub for_latency: bool,
    /// The worker is killed in the middle of its last wave.
    pub killed: bool,
}

const CN: &str = "CN";

const fn place(id: &'static str, country: &'static str, operator: &'static str, site: &'static str) -> Place {
    Place { id, country, operator, opens: None, site }
}

/// 2014: out of Beijing.
pub const REFERENCE: Case = Case {
    name: "reference",
    title: "A phone maker moves its users out of Beijing",
    story: "In October 2014 a phone maker from Beijing had users in many countries, and the data of all of them in \
            Beijing. It announced to move everybody outside mainland China: first the shop, by the end of the \
            year the phone's cloud, and in 2015 India and Brazil to data centres of their own. Its users in \
            China stay. Nobody outside could check that it was done. This is that case, on this machine: real \
            databases, one for each region and service, filled with people who don't exist.",
    regions: &[
        place("beijing", "CN", CN, "Beijing"),
        place("california", "US", CN, "N.California"),
        place("singapore", "SG", CN, "Singapore"),
        place("oregon", "US", CN, "Oregon"),
        Place { id: "mumbai", country: "IN", operator: CN, opens: Some(date(2015, 7, 1)), site: "Mumbai" },
        Place {
            id: "sao-paulo",
            country: "BR",
            operator: CN,
            opens: Some(date(2015, 7, 1)),
            site: "SaoPaulo",
        },
    ],
    old: "beijing",
    services: &[
        Service { name: ServiceName::Shop, regions: &["beijing", "california", "singapore"] },
        Service {
            name: ServiceName::Cloud,
            regions: &["beijing", "singapore", "oregon", "mumbai", "sao-paulo"],
        },
    ],
    shares: &[
        ("CN", 600),
        ("IN", 120),
        ("ID", 60),
        ("TW", 50),
        ("BR", 40),
        ("HK", 35),
        ("MY", 35),
        ("PH", 25),
        ("SG", 20),
        ("US", 15),
    ],
    flagged: Some(("air-force", 40)),
    policy: ("residency.cedar", include_str!("policies/residency.cedar")),
    trips: &[
        Trip {
            title: "October 2014: the shop",
            story: "Customers outside mainland China move to California and Singapore.",
            service: ServiceName::Shop,
            on: date(2014, 10, 31),
            for_latency: false,
            killed: false,
        },
        Trip {
            title: "December 2014: accounts, messages and photos",
            story: "The phone's cloud follows, to Oregon and Singapore.",
            service: ServiceName::Cloud,
            on: date(2014, 12, 31),
            for_latency: false,
            killed: true,
        },
        Trip {
            title: "July 2015: India and Brazil open",
            story: "Indians in Singapore and Brazilians in Oregon may stay where they are. They move on because \
                    home is closer: this plan asks for latency, too.",
            service: ServiceName::Cloud,
            on: date(2015, 7, 1),
            for_latency: true,
            killed: false,
        },
    ],
    refusals_at: 2,
    settled: &[
        ("HK", "singapore"),
        ("TW", "singapore"),
        ("ID", "singapore"),
        ("MY", "singapore"),
        ("PH", "singapore"),
        ("SG", "singapore"),
        ("US", "oregon"),
        ("IN", "mumbai"),
        ("BR", "sao-paulo"),
    ],
    cheat: ("IN", "India"),
};

/// The mirror: a foreign maker's customers in mainland China move into it.
pub const MIRROR: Case = Case {
    name: "mirror",
    title: "A foreign maker moves its Chinese customers into China",
    story: "The same case in the mirror. A maker under United States law keeps everybody's data in Oregon. Data \
            of customers in mainland China has to be stored there, and a Chinese company must operate the \
            place. In 2018 such a region opens in Guizhou. Everybody else stays. Real databases, one for each \
            region, filled with people who don't exist.",
    regions: &[
        place("oregon", "US", "US", "Oregon"),
        place("singapore", "SG", "US", "Singapore"),
        // No measurement names Guizhou; Beijing's stands for it.
        Place { id: "guizhou", country: "CN", operator: CN, opens: Some(date(2018, 2, 28)), site: "Beijing" },
    ],
    old: "oregon",
    services: &[Service { name: ServiceName::Cloud, regions: &["oregon", "singapore", "guizhou"] }],
    shares: &[("US", 450), ("CN", 300), ("BR", 80), ("IN", 60), ("HK", 40), ("TW", 40), ("SG", 30)],
    flagged: None,
    policy: ("mirror.cedar", include_str!("policies/mirror.cedar")),
    trips: &[Trip {
        title: "February 2018: Guizhou opens",
        story: "Customers in mainland China move into it.",
        service: ServiceName::Cloud,
        on: date(2018, 2, 28),
        for_latency: false,
        killed: true,
    }],
    refusals_at: 1,
    settled: &[("CN", "guizhou")],
    cheat: ("CN", "China"),
};

impl Case {
    /// The region's place in [`Case::regions`].
    pub fn region(&self, id: &str) -> Option<usize> {
        self.regions.iter().position(|r| r.id == id)
    }

    /// Does the case have this service?
    pub fn has(&self, service: ServiceName) -> bool {
        self.services.iter().any(|s| s.name == service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_names_fit() {
        for case in [&REFERENCE, &MIRROR] {
            assert_eq!(case.shares.iter().map(|(_, n)| n).sum::<u64>(), 1000, "{}", case.name);
            assert!(case.region(case.old).is_some());
            for service in case.services {
                assert!(service.regions.iter().all(|id| case.region(id).is_some()));
            }
            assert!(case.trips.iter().all(|trip| case.has(trip.service)));
        }
    }
}
