//! The service's configuration: the regions, then the fragment that `messaging init` wrote, with what it left open filled in.

use std::fmt::Write;

/// While everybody lives where everybody has always lived, as in 2014.
pub const TODAY: &str = r#"@id("today")
@law("the service's rule 0")
@reason("until the other region is open, everybody lives where everybody has always lived")
permit (principal, action, resource == Region::"beijing");
"#;

/// The move of 2014: who does not live in China has a home outside.
pub const ABROAD: &str = r#"@id("abroad")
@law("the service's rule 1")
@reason("data of those who live in China stays there, and nobody else's does")
permit (principal, action, resource)
when { (principal.residence == "CN") == (resource.country == "CN") };
"#;

/// Control store and regions: id, country, address.
pub fn regions(regions: impl Iterator<Item = (&'static str, &'static str, String)>) -> String {
    let mut text = "[control]\nstore = \"sqlite:control.db\"\n".to_owned();
    for (id, country, records) in regions {
        let _ =
            write!(text, "\n[[region]]\nid = \"{id}\"\ncountry = \"{country}\"\nrecords = \"{records}\"\n");
    }
    // Nobody has a route that could be stale: the relay asks for each request.
    text + "\n[limits]\ngrace = \"0s\"\n"
}

/// A service has to be there for the file to be one.
pub fn before_messaging(regions: &str) -> String {
    format!(
        "{regions}\n[[service]]\nname = \"phone\"\nmap = \"datamap.toml\"\npolicies = [\"policies/starter.cedar\"]\n"
    )
}

/// How a relay is reached.
#[derive(Debug, Clone)]
pub struct Public {
    /// The address and port that it listens at.
    pub listen: String,
    /// The URL that it is known by.
    pub endpoint: String,
    /// The files of its certificate and key, where it speaks TLS.
    pub certificate: Option<(String, String)>,
}

/// The fragment of `messaging init`, with the relays' doors and databases.
///
/// # Errors
/// In words: the fragment is not what it was when this was written.
pub fn messaging(fragment: &str, publics: &[&Public], records: &[String]) -> Result<String, String> {
    let mut text = format!("\n{fragment}");
    for (n, (public, records)) in publics.iter().zip(records).enumerate() {
        let port = 8090 + n;
        let tls = public.certificate.as_ref().map_or_else(String::new, |(certificate, key)| {
            format!("\ncertificate = \"{certificate}\"\nprivate_key = \"{key}\"")
        });
        for (was, is) in [
            (format!("listen = [\"127.0.0.1:{port}\"]"), format!("listen = [\"{}\"]{tls}", public.listen)),
            (format!("http://127.0.0.1:{port}"), public.endpoint.clone()),
            ("postgres://domicile_relay@HOST/DATABASE".to_owned(), records.clone()),
        ] {
            if !text.contains(&was) {
                return Err(format!("the fragment of `messaging init` has no {was}: {fragment}"));
            }
            text = text.replacen(&was, &is, 1);
        }
    }
    // The same number is registered again and again, and a filter is made at once.
    text.push_str("\n[messaging.limits]\ncodes_an_hour = 10000\ncodes_per_number = 1000\ncodes_per_device = 1000\nfilter_every_s = 1\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_that_is_another_one_is_refused() {
        let public = |certificate| Public {
            listen: "127.0.0.1:1".into(),
            endpoint: "http://127.0.0.1:2".into(),
            certificate,
        };
        let (clear, sealed) = (public(None), public(Some(("a.pem".into(), "a.key".into()))));
        let records = ["postgres://a@h/m".to_owned(), "postgres://b@h/m".to_owned()];
        assert!(messaging("[messaging]", &[&clear, &clear], &records).is_err());
        let one = |port: u16| {
            format!(
                "listen = [\"127.0.0.1:{port}\"]\nendpoint = \"http://127.0.0.1:{port}\"\nrecords = \"postgres://domicile_relay@HOST/DATABASE\"\n"
            )
        };
        let filled = messaging(&(one(8090) + &one(8091)), &[&clear, &sealed], &records).expect("filled in");
        assert!(filled.contains("postgres://a@h/m") && filled.contains("postgres://b@h/m"), "{filled}");
        assert_eq!(filled.matches("private_key = \"a.key\"").count(), 1, "{filled}");
        assert!(!filled.contains("809") && !filled.contains("HOST"), "{filled}");
    }
}
