//! Where Chinook's customers may live.

/// One region of the walk.
pub struct Place {
    /// Its id.
    pub id: &'static str,
    /// The country it stands in.
    pub country: &'static str,
    /// The countries, as Chinook writes them, whose customers belong there.
    pub serves: &'static [&'static str],
}

/// The region where all of Chinook is at first: its place in [`PLACES`].
pub const HOME: usize = 0;

/// All regions.
pub const PLACES: [Place; 6] = [
    Place {
        id: "frankfurt",
        country: "DE",
        serves: &[
            "Germany",
            "Austria",
            "Czech Republic",
            "Denmark",
            "Finland",
            "Hungary",
            "Italy",
            "Netherlands",
            "Norway",
            "Poland",
            "Sweden",
        ],
    },
    Place {
        id: "paris",
        country: "FR",
        serves: &["France", "Belgium", "Ireland", "Portugal", "Spain", "United Kingdom"],
    },
    Place { id: "virginia", country: "US", serves: &["USA", "Australia"] },
    Place { id: "montreal", country: "CA", serves: &["Canada"] },
    Place { id: "sao-paulo", country: "BR", serves: &["Brazil", "Argentina", "Chile"] },
    Place { id: "mumbai", country: "IN", serves: &["India"] },
];

/// The policies of the walk. They are a shop's own rules, not legal advice.
pub const POLICY: &str = r#"// Where Chinook's customers may live: the shop's own rules, for a walk-through. No legal advice.

@id("own-country")
@law("Chinook's rule 1")
@reason("a customer's data lives in the customer's country where there is a region")
permit (principal, action, resource)
when { principal.residence == resource.country };

@id("central-europe")
@law("Chinook's rule 2; GDPR art. 1(3), EEA agreement")
@reason("no region in the country: Germany serves the north and east of Europe")
permit (principal, action, resource == Region::"frankfurt")
when { ["AT", "CZ", "DK", "FI", "HU", "IT", "NL", "NO", "PL", "SE"].contains(principal.residence) };

@id("western-europe")
@law("Chinook's rule 3; GDPR art. 1(3), for GB art. 45")
@reason("no region in the country: France serves the west of Europe")
permit (principal, action, resource == Region::"paris")
when { ["BE", "IE", "PT", "ES", "GB"].contains(principal.residence) };

@id("south-america")
@law("Chinook's rule 4")
@reason("no region in the country: Brazil serves South America")
permit (principal, action, resource == Region::"sao-paulo")
when { ["AR", "CL"].contains(principal.residence) };

@id("pacific")
@law("Chinook's rule 5")
@reason("no region in the country: the United States serve the Pacific")
permit (principal, action, resource == Region::"virginia")
when { principal.residence == "AU" };
"#;
