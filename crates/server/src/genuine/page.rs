//! The page that people read: one file, no script, nothing loaded from anywhere.

use domicile_ledger::Manifest;
use domicile_policy::Country;
use jiff::Timestamp;
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// The page of a verified manifest, as one HTML file. Whatever stands in the manifest is shown as text.
pub fn page(manifest: &Manifest) -> String {
    let name = escaped(&manifest.name);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>What is genuine: {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"eyebrow\">Signed statement</p>\n<h1>{name}</h1>\n\
         <p class=\"lead\">These are our addresses, our shops and those who may sell for us. Whatever is not on this page is not ours.</p>\n\
         <p class=\"term\"><span>Valid from <time datetime=\"{issued_at}\">{issued}</time></span> \
         <span>until <time datetime=\"{expires_at}\">{expires}</time></span></p>\n</header>\n<main>\n",
        issued_at = manifest.issued,
        expires_at = manifest.expires,
        issued = day(manifest.issued),
        expires = day(manifest.expires),
    );
    shops(&mut html, manifest);
    sellers(&mut html, manifest);
    endpoints(&mut html, manifest);
    how_to_check(&mut html, manifest);
    html.push_str("</main>\n<footer>Made by <code>domicile manifest page</code> from the signed manifest. This page runs no script and loads nothing.</footer>\n</body>\n</html>\n");
    html
}

fn shops(html: &mut String, manifest: &Manifest) {
    let rows = manifest.shops.iter().map(|shop| {
        let place = shop.country.as_deref().map_or("several countries".to_owned(), country);
        [text(&shop.name), address(&shop.url), place]
    });
    table(html, "Our shops", ["Shop", "Address", "Sells to"], "We have no shop of our own on the web.", rows);
}

fn sellers(html: &mut String, manifest: &Manifest) {
    let rows = manifest.sellers.iter().map(|seller| {
        let url =
            seller.url.as_deref().map_or("<span class=\"none\">not on the web</span>".to_owned(), address);
        [text(&seller.name), url, country(&seller.country)]
    });
    table(html, "Authorised sellers", ["Seller", "Address", "Country"], "Nobody else may sell for us.", rows);
}

fn endpoints(html: &mut String, manifest: &Manifest) {
    let rows = manifest.endpoints.iter().map(|endpoint| {
        let mut place = country(&endpoint.country);
        if endpoint.operator != endpoint.country {
            let _ = write!(place, "<br><small>run under the law of {}</small>", country(&endpoint.operator));
        }
        [text(&endpoint.region), address(&endpoint.url), place]
    });
    let none = "No region has an address that is reached from outside.";
    table(html, "Where your data is served from", ["Region", "Address", "Stands in"], none, rows);
}

fn table(
    html: &mut String,
    title: &str,
    heads: [&str; 3],
    none: &str,
    rows: impl Iterator<Item = [String; 3]>,
) {
    let _ = write!(html, "<section>\n<h2>{title}</h2>\n");
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        let _ = write!(html, "<p class=\"none\">{none}</p>\n</section>\n");
        return;
    }
    let _ = write!(
        html,
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead>\n<tbody>\n",
        heads[0], heads[1], heads[2]
    );
    for [first, second, third] in rows {
        let _ = writeln!(html, "<tr><th scope=\"row\">{first}</th><td>{second}</td><td>{third}</td></tr>");
    }
    html.push_str("</tbody>\n</table></div>\n</section>\n");
}

fn how_to_check(html: &mut String, manifest: &Manifest) {
    html.push_str(
        "<section class=\"check\">\n<h2>How to check this page</h2>\n\
         <p>A page can be copied; a signature can't. The signed statement behind this page stands at \
         <code>/.well-known/domicile.json</code> at each region's address above. Compare the key below with the one you got \
         from us in another way (on the box, in the shop, in the press), put it into a file, and verify:</p>\n\
         <pre>domicile manifest verify https://ADDRESS/.well-known/domicile.json --key genuine.pub</pre>\n<dl>\n",
    );
    for key in &manifest.signers {
        let _ = writeln!(html, "<dt>Signed with</dt><dd><code>{}</code></dd>", escaped(&key.to_string()));
    }
    html.push_str(
        "</dl>\n<p>The program answers yes or no by itself, offline where you have the file. An address that looks like one of \
         these is not one of these: compare it letter by letter.</p>\n</section>\n",
    );
}

/// The name, and its code.
fn country(code: &str) -> String {
    match code.parse::<Country>() {
        Ok(known) => format!("{} <abbr>{}</abbr>", escaped(known.name()), escaped(code)),
        Err(_) => escaped(code),
    }
}

/// Shown, and not a link: whoever clicks does not compare.
fn address(url: &str) -> String {
    format!("<code>{}</code>", escaped(url))
}

fn text(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(text))
}

fn day(time: Timestamp) -> String {
    time.strftime("%-d %B %Y").to_string()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_ledger::{Endpoint, MANIFEST_FORMAT, MANIFEST_VERSION, Seller, Shop};

    #[test]
    fn what_a_manifest_says_is_shown_and_never_run() {
        let hostile = "<script>alert('x')</script>\"&";
        let manifest = Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            version: MANIFEST_VERSION,
            name: hostile.to_owned(),
            issued: "2014-10-22T00:00:00Z".parse().unwrap(),
            expires: "2015-01-20T00:00:00Z".parse().unwrap(),
            endpoints: vec![Endpoint {
                region: "mumbai".to_owned(),
                country: "IN".to_owned(),
                operator: "US".to_owned(),
                url: "https://in.api.shop.example".to_owned(),
            }],
            shops: vec![Shop {
                name: hostile.to_owned(),
                url: "https://a.example/?a=1&b='2'".to_owned(),
                country: None,
            }],
            sellers: Vec::<Seller>::new(),
            signers: vec![],
        };
        let html = page(&manifest);
        assert!(!html.contains("<script") && !html.contains("href=") && !html.contains("src="), "{html}");
        for shown in [
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;",
            "22 October 2014",
            "20 January 2015",
            "<code>https://a.example/?a=1&amp;b=&#39;2&#39;</code>",
            "India <abbr>IN</abbr><br><small>run under the law of United States",
            "Nobody else may sell for us.",
        ] {
            assert!(html.contains(shown), "{shown}\n{html}");
        }
    }

    /// The whole page, pinned: `domicile manifest page` of an old manifest. After a change, put what the test shows
    /// into the file, and look at it in a browser, narrow and dark too.
    #[test]
    fn the_page_is_as_it_was_looked_at() {
        let old = include_bytes!("../../../cli/tests/all/expired.json");
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let then = "2014-11-01T00:00:00Z".parse().unwrap();
        let html = page(&domicile_ledger::verify_manifest(old, &[key], then).unwrap());
        assert_eq!(html.replace(STYLE, "STYLE\n"), include_str!("page.html"), "\n{html}");
    }
}
