//! The table behind [`Country`]: crate celes' codes and names, made readable, and the names it lacks.

use crate::country::Country;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Both directions of the table.
pub(crate) struct Table {
    /// Upper-cased spelling -> country.
    pub by_spelling: BTreeMap<String, Country>,
    /// Country -> its spellings, sorted.
    pub by_country: BTreeMap<Country, Vec<String>>,
}

/// The table, made once.
pub(crate) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(build)
}

/// The common English name where ISO's or celes' form is not what people say.
pub(crate) fn common_name(alpha2: &str) -> Option<&'static str> {
    NAMES.iter().find(|(code, _)| *code == alpha2).and_then(|(_, names)| names.first().copied())
}

fn build() -> Table {
    let countries = celes::Country::get_countries();
    let mut by_spelling: BTreeMap<String, Country> = BTreeMap::new();
    // Codes first, then official names, then ours, then celes' aliases: the first to claim a spelling
    // keeps it, so that `Samoa` is Samoa and not American Samoa, whose alias it also is.
    let mut claim = |name: &str, country: Country| {
        for form in forms(name) {
            by_spelling.entry(form).or_insert(country);
        }
    };
    for c in &countries {
        claim(c.alpha2, Country::from_alpha2(c.alpha2));
        claim(c.alpha3, Country::from_alpha2(c.alpha2));
    }
    for c in &countries {
        claim(c.long_name, Country::from_alpha2(c.alpha2));
    }
    for (code, names) in NAMES {
        for name in *names {
            claim(name, Country::from_alpha2(code));
        }
    }
    for c in &countries {
        for alias in celes_aliases(c) {
            claim(&alias, Country::from_alpha2(c.alpha2));
        }
    }
    let mut by_country: BTreeMap<Country, Vec<String>> = BTreeMap::new();
    for c in &countries {
        by_country.insert(Country::from_alpha2(c.alpha2), Vec::new());
    }
    for (spelling, country) in &by_spelling {
        by_country.entry(*country).or_default().push(spelling.clone());
    }
    Table { by_spelling, by_country }
}

/// celes' aliases as words: `CzechRepublic` -> `Czech Republic`. Aliases that don't split cleanly
/// (`RepublicofChina`) are in our own list where they matter.
fn celes_aliases(country: &celes::Country) -> Vec<String> {
    // The table's Debug is `Name - [a,b]`; its Display is the list alone.
    let list = country.aliases.to_string();
    let names = list.trim_start_matches('[').trim_end_matches(']').split(',');
    names.filter(|n| !n.is_empty() && !n.contains("ofChina")).map(split_words).collect()
}

fn split_words(joined: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for c in joined.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.push(c);
        before = c;
    }
    words
}

/// The upper-cased forms a name is met in: without `the`, with `&`, with `St.`, in ASCII-only upper case.
fn forms(name: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([name.to_owned()]);
    if let Some(bare) = name.strip_prefix("The ") {
        all.extend([bare.to_owned(), format!("{bare} (The)"), format!("{bare}, The")]);
    }
    extend(&mut all, &[(" And ", " & "), (" and ", " & ")]);
    extend(&mut all, &[("Saint ", "St. "), ("Saint ", "St "), ("St. ", "Saint "), ("St. ", "St ")]);
    all.iter().flat_map(|n| [n.to_uppercase(), n.to_ascii_uppercase()]).collect()
}

fn extend(all: &mut BTreeSet<String>, swaps: &[(&str, &str)]) {
    for (from, to) in swaps {
        let more: Vec<_> = all.iter().filter(|n| n.contains(from)).map(|n| n.replace(from, to)).collect();
        all.extend(more);
    }
}

/// Names that celes lacks or spells without apostrophes: the common name first, then ISO 3166-1's short
/// name and the forms that statistics offices and form libraries write.
#[rustfmt::skip]
const NAMES: &[(&str, &[&str])] = &[
    ("AE", &["United Arab Emirates", "UAE", "U.A.E."]),
    ("AG", &["Antigua and Barbuda"]),
    ("AX", &["Åland Islands", "Åland", "Aland"]),
    ("BA", &["Bosnia and Herzegovina", "Bosnia-Herzegovina"]),
    ("BL", &["Saint Barthélemy"]),
    ("BN", &["Brunei"]),
    ("BO", &["Bolivia", "Bolivia (Plurinational State of)", "Bolivia, Plurinational State of", "Plurinational State of Bolivia"]),
    ("BQ", &["Bonaire, Sint Eustatius and Saba", "Caribbean Netherlands"]),
    ("BS", &["Bahamas"]),
    ("CC", &["Cocos (Keeling) Islands", "Cocos (Keeling) Islands (the)", "Cocos Islands"]),
    ("CD", &["Democratic Republic of the Congo", "Congo (the Democratic Republic of the)", "Congo, Democratic Republic of the", "Congo, the Democratic Republic of the", "Congo (Democratic Republic)", "Congo, Dem. Rep.", "DR Congo", "D.R. Congo", "DRC", "Congo - Kinshasa", "Congo-Kinshasa", "Congo (Kinshasa)"]),
    ("CF", &["Central African Republic", "C.A.R."]),
    ("CG", &["Republic of the Congo", "Congo", "Congo (the)", "Congo, Republic of the", "Congo, Rep.", "Congo - Brazzaville", "Congo-Brazzaville", "Congo (Brazzaville)"]),
    ("CI", &["Côte d'Ivoire", "Côte d’Ivoire", "Cote d'Ivoire", "Ivory Coast"]),
    ("CK", &["Cook Islands"]),
    ("CN", &["China", "People's Republic of China", "Peoples Republic of China", "PR China", "P.R. China", "PRC", "P.R.C.", "China, People's Republic of", "Mainland China", "China, Mainland", "中国"]),
    ("CV", &["Cabo Verde", "Cape Verde"]),
    ("CW", &["Curaçao"]),
    ("CZ", &["Czechia", "Czech Republic"]),
    ("DE", &["Germany", "Federal Republic of Germany", "Deutschland"]),
    ("DO", &["Dominican Republic"]),
    ("ES", &["Spain", "España"]),
    ("FK", &["Falkland Islands", "Falkland Islands (Malvinas)", "Falkland Islands (the) [Malvinas]"]),
    ("FM", &["Micronesia", "Micronesia (Federated States of)", "Micronesia, Federated States of"]),
    ("FO", &["Faroe Islands", "Faeroe Islands"]),
    ("GB", &["United Kingdom", "UK", "U.K.", "Great Britain", "Britain", "Wales", "Great Britain and Northern Ireland"]),
    ("GM", &["Gambia", "Gambia, The"]),
    ("GR", &["Greece", "EL", "Hellenic Republic"]),
    ("GS", &["South Georgia and the South Sandwich Islands"]),
    ("GW", &["Guinea-Bissau"]),
    ("HK", &["Hong Kong", "Hong Kong SAR", "Hong Kong SAR China", "Hong Kong, China", "Hong Kong S.A.R.", "Hong Kong, SAR China", "HongKong", "香港"]),
    ("HM", &["Heard Island and McDonald Islands"]),
    ("IE", &["Ireland", "Republic of Ireland", "Éire"]),
    ("IM", &["Isle of Man"]),
    ("IN", &["India", "Republic of India", "Bharat"]),
    ("IR", &["Iran", "Iran (Islamic Republic of)", "Iran, Islamic Republic of", "Iran, Islamic Rep."]),
    ("JP", &["Japan", "日本"]),
    ("KG", &["Kyrgyzstan", "Kyrgyz Republic"]),
    ("KM", &["Comoros"]),
    ("KN", &["Saint Kitts and Nevis"]),
    ("KP", &["North Korea", "Korea (the Democratic People's Republic of)", "Korea, Democratic People's Republic of", "Democratic People's Republic of Korea", "Korea, Dem. People's Rep.", "Korea, North", "DPRK"]),
    ("KR", &["South Korea", "Korea (the Republic of)", "Korea, Republic of", "Republic of Korea", "Korea, Rep.", "Korea, South", "한국"]),
    ("KY", &["Cayman Islands"]),
    ("LA", &["Laos", "Lao People's Democratic Republic", "Lao PDR"]),
    ("MD", &["Moldova", "Moldova (the Republic of)", "Moldova, Republic of"]),
    ("MF", &["Saint Martin", "Saint Martin (French part)", "St. Martin (French part)"]),
    ("MH", &["Marshall Islands"]),
    ("MK", &["North Macedonia", "Macedonia", "Macedonia, the former Yugoslav Republic of", "FYROM"]),
    ("MM", &["Myanmar", "Burma", "Myanmar (Burma)"]),
    ("MO", &["Macao", "Macau", "Macao SAR", "Macau SAR", "Macao SAR China", "Macau SAR China", "Macao, China", "Macau, China"]),
    ("MP", &["Northern Mariana Islands"]),
    ("NE", &["Niger"]),
    ("NL", &["Netherlands", "Netherlands, Kingdom of the", "Netherlands (Kingdom of the)", "Kingdom of the Netherlands", "Holland", "Nederland"]),
    ("PH", &["Philippines"]),
    ("PM", &["Saint Pierre and Miquelon"]),
    ("PN", &["Pitcairn", "Pitcairn Islands"]),
    ("PS", &["Palestine", "Palestine, State of", "Palestinian Territory, Occupied", "Palestinian Territories", "West Bank and Gaza"]),
    ("RE", &["Réunion"]),
    ("RU", &["Russia", "Russian Federation"]),
    ("SD", &["Sudan"]),
    ("SH", &["Saint Helena", "Saint Helena, Ascension and Tristan da Cunha"]),
    ("SJ", &["Svalbard and Jan Mayen"]),
    ("SK", &["Slovakia", "Slovak Republic"]),
    ("ST", &["São Tomé and Príncipe", "Sao Tome and Principe"]),
    ("SX", &["Sint Maarten", "Sint Maarten (Dutch part)"]),
    ("SY", &["Syria", "Syrian Arab Republic"]),
    ("SZ", &["Eswatini", "Swaziland"]),
    ("TC", &["Turks and Caicos Islands"]),
    ("TF", &["French Southern Territories"]),
    ("TL", &["Timor-Leste", "East Timor"]),
    ("TR", &["Türkiye", "Turkey", "Turkiye"]),
    ("TT", &["Trinidad and Tobago"]),
    ("TW", &["Taiwan", "Taiwan (Province of China)", "Taiwan, Province of China", "Taiwan, China", "Republic of China", "Taiwan (ROC)", "台灣", "臺灣"]),
    ("TZ", &["Tanzania", "Tanzania, the United Republic of", "Tanzania, United Republic of"]),
    ("UM", &["U.S. Outlying Islands", "United States Minor Outlying Islands"]),
    ("US", &["United States", "U.S.", "U.S.A.", "United States of America", "America"]),
    ("VA", &["Vatican City", "Holy See", "Holy See (Vatican City State)", "Vatican City State"]),
    ("VC", &["Saint Vincent and the Grenadines"]),
    ("VE", &["Venezuela", "Venezuela (Bolivarian Republic of)", "Venezuela, Bolivarian Republic of", "Venezuela, RB"]),
    ("VG", &["British Virgin Islands", "Virgin Islands (British)", "Virgin Islands, British"]),
    ("VI", &["U.S. Virgin Islands", "Virgin Islands (U.S.)", "Virgin Islands, U.S.", "United States Virgin Islands"]),
    ("VN", &["Vietnam", "Viet Nam", "Việt Nam"]),
    ("WF", &["Wallis and Futuna"]),
    ("YE", &["Yemen", "Yemen, Rep."]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_ours_is_taken_by_another_country() {
        for (code, names) in NAMES {
            for name in *names {
                let found = table().by_spelling.get(&name.to_uppercase());
                assert_eq!(found, Some(&Country::from_alpha2(code)), "{name}");
            }
        }
    }

    #[test]
    fn codes_come_before_names() {
        for c in celes::Country::get_countries() {
            assert_eq!(table().by_spelling.get(c.alpha2), Some(&Country::from_alpha2(c.alpha2)));
            assert_eq!(table().by_spelling.get(c.alpha3), Some(&Country::from_alpha2(c.alpha2)));
        }
    }
}
