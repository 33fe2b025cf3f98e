//! For Varnish: VCL 4.1.

use super::{FOLDED, Origin, STRAIGHT};
use crate::edge::{Cached, EdgeSettings, PublicRoute, Query, media_types};
use std::fmt::Write;

/// Headers that applications are known to read, and that Varnish has no way to leave out by a list of those that may
/// travel.
const STEERING: [&str; 16] = [
    "Authorization",
    "Cookie",
    "Proxy-Authorization",
    "Forwarded",
    "X-Forwarded-Host",
    "X-Forwarded-Server",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Scheme",
    "X-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-User-Id",
    "User-Agent",
];

/// A whole VCL program before `origin`.
///
/// What it can't do: leave out every request header that is not listed. It leaves out those that are known to
/// steer applications.
///
/// # Errors
/// An origin that speaks TLS: Varnish has no TLS towards its backends.
pub fn varnish(settings: &EdgeSettings, origin: &Origin) -> Result<String, &'static str> {
    if origin.tls {
        return Err(
            "Varnish speaks no TLS to its origin: put a TLS client such as haproxy between, and name its address",
        );
    }
    let mut out = format!(
        "vcl 4.1;\n\n# Written by `domicile cdn export --format varnish`.\n\
         # Only what is declared public is cached. Whatever could be read as another path goes past the cache.\n\n\
         backend domicile_origin {{\n    .host = \"{}\";\n    .port = \"{}\";\n}}\n\n\
         sub vcl_recv {{\n    unset req.http.Domicile-Public;\n    unset req.http.Domicile-Fits;\n    \
         # Has the path one reading only?\n    if ((req.method == \"GET\" || req.method == \"HEAD\") &&\n        \
         req.url ~ {} &&\n        req.url !~ \"{FOLDED}\") {{\n",
        origin.host,
        origin.port,
        long(STRAIGHT),
    );
    let mut routes: Vec<&PublicRoute> = settings.routes.iter().collect();
    routes.sort_by_key(|r| (std::cmp::Reverse(r.path.len()), r.hosts.is_empty()));
    for (number, route) in routes.iter().enumerate() {
        rule(&mut out, route, number == 0);
    }
    out.push_str("    }\n    if (!req.http.Domicile-Public) {\n        return (pass);\n    }\n");
    out.push_str(
        "    if (req.http.Authorization) {\n        set req.http.Domicile-Public = \"once\";\n    }\n",
    );
    let kept: Vec<String> = routes.iter().flat_map(|r| &r.headers).map(|h| h.as_str().to_owned()).collect();
    for header in STEERING.iter().filter(|h| !kept.contains(&h.to_ascii_lowercase())) {
        let _ = writeln!(out, "    unset req.http.{header};");
    }
    out.push_str("    if (req.http.Domicile-Public == \"once\") {\n        return (pass);\n    }\n    return (hash);\n}\n\n");
    response(&mut out, settings);
    out.push_str(
        "sub vcl_backend_fetch {\n    unset bereq.http.Domicile-Public;\n    unset bereq.http.Domicile-Fits;\n}\n\n",
    );
    out.push_str(
        "sub vcl_deliver {\n    if (obj.hits > 0) {\n        set resp.http.Cache-Status = \"varnish; hit\";\n    } else {\n        \
         set resp.http.Cache-Status = \"varnish; fwd=miss\";\n    }\n    if (req.http.Domicile-Public) {\n        \
         unset resp.http.Set-Cookie;\n    }\n}\n",
    );
    Ok(out)
}

fn rule(out: &mut String, route: &PublicRoute, first: bool) {
    let word = if first { "if" } else { "elsif" };
    let path = route.path.replace('.', "[.]").replace('+', "[+]").replace('$', "[$]").replace('*', "[*]");
    let path = path.replace('(', "[(]").replace(')', "[)]");
    let end = if route.path.len() > 1 && route.path.ends_with('/') { "" } else { "(?:[?].*)?$" };
    let mut condition = format!("req.url ~ {}", long(&format!("^{path}{end}")));
    if !route.hosts.is_empty() {
        let hosts: Vec<String> = route.hosts.iter().map(|h| h.replace('.', "[.]")).collect();
        let _ = write!(condition, " && req.http.host ~ \"(?i)^(?:{})$\"", hosts.join("|"));
    }
    let _ = writeln!(out, "        {word} ({condition}) {{");
    match &route.cached {
        Cached::Forbidden { why } => {
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(out, "            # not cached: {why}");
        }
        Cached::Allowed => {
            out.push_str("            set req.http.Domicile-Public = \"1\";\n");
            if route.fits {
                out.push_str("            set req.http.Domicile-Fits = \"1\";\n");
            }
            if route.query == Query::Ignored {
                out.push_str("            set req.url = regsub(req.url, \"[?].*$\", \"\");\n");
            }
        }
    }
    out.push_str("        }\n");
}

/// The request's marks are read from the object's own request: `bereq` has lost them on its way out.
fn response(out: &mut String, settings: &EdgeSettings) {
    let personal = settings.personal_header.as_str();
    let _ = write!(
        out,
        "sub vcl_backend_response {{\n    if (beresp.http.Set-Cookie ||\n        beresp.http.Cache-Control ~ \"(?i)(?:private|no-store)\" ||\n        \
         beresp.http.Vary ~ \"[*]\" ||\n        (beresp.http.{personal} && beresp.http.{personal} != \"0\")) {{\n        \
         set beresp.ttl = 10s;\n        set beresp.uncacheable = true;\n    }}\n    if (beresp.status != 200 && beresp.status != 301 && beresp.status != 308 &&\n        \
         beresp.status != 404 && beresp.status != 410) {{\n        set beresp.ttl = 0s;\n        set beresp.uncacheable = true;\n    }}\n    \
         # Nothing is fresh that does not say so.\n    if (beresp.http.Cache-Control !~ \"(?i)(?:max-age|s-maxage)\" && !beresp.http.Expires) {{\n        \
         set beresp.ttl = 0s;\n        set beresp.uncacheable = true;\n    }}\n",
    );
    let fits = settings.routes.iter().any(|r| r.fits);
    for (extensions, types) in media_types().iter().filter(|_| fits) {
        let types: Vec<String> =
            types.iter().map(|t| t.trim_end_matches('*').replace('.', "[.]").replace('+', "[+]")).collect();
        let _ = write!(
            out,
            "    if (beresp.status == 200 && bereq.url ~ \"(?i)[.](?:{})(?:[?].*)?$\" && beresp.http.Content-Type !~ \"(?i)^(?:{})\") {{\n        \
             set beresp.ttl = 10s;\n        set beresp.uncacheable = true;\n    }}\n",
            extensions.join("|"),
            types.join("|")
        );
    }
    out.push_str("}\n\n");
}

/// A long string of VCL, which may hold quotes.
fn long(text: &str) -> String {
    format!("{{\"{text}\"}}")
}
