//! For nginx: its `proxy_cache`, on the public routes alone.

use super::{FOLDED, Origin, STRAIGHT};
use crate::edge::{Cached, EdgeSettings, PublicRoute, Query, media_types};
use std::fmt::Write;

/// A file to include in nginx's `http` block: the cache, and a server that listens on `listen` (as nginx writes it)
/// before `origin`. `store`: the cache's folder.
///
/// What nginx can't do: refuse an answer that is tagged as personal (it is not stored, but handed to the one who
/// asked), and bound a single object.
pub fn nginx(settings: &EdgeSettings, origin: &Origin, listen: &str, store: &str) -> String {
    let personal = settings.personal_header.as_str().replace('-', "_");
    let mut out = format!(
        "# Written by `domicile cdn export --format nginx`: include it in nginx's http block.\n\
         # Only what is declared public is cached. Whatever could be read as another path goes past the cache.\n\n\
         proxy_cache_path {store} levels=1:2 keys_zone=domicile:10m max_size={size} inactive=7d use_temp_path=off;\n\n\
         upstream domicile_origin {{\n    server {host}:{port};\n    keepalive 32;\n}}\n\n\
         # Has the path one reading only?\n\
         map $request_uri $domicile_straight {{\n    default 0;\n    \"~{FOLDED}\" 0;\n    \"~{STRAIGHT}\" 1;\n}}\n\
         map $request_method $domicile_reads {{\n    default 0;\n    GET 1;\n    HEAD 1;\n}}\n\
         map $request_uri $domicile_path {{\n    \"~^(?<domicile_before>[^?]*)\" $domicile_before;\n}}\n\
         map $upstream_http_{personal} $domicile_personal {{\n    default 1;\n    \"\" 0;\n    0 0;\n}}\n\
         map $upstream_cache_status $domicile_cache_status {{\n    default \"nginx; fwd=bypass\";\n    HIT \"nginx; hit\";\n    \
         STALE \"nginx; hit; detail=stale\";\n    UPDATING \"nginx; hit; detail=stale\";\n    REVALIDATED \"nginx; fwd=stale; fwd-status=304\";\n    \
         EXPIRED \"nginx; fwd=stale\";\n    MISS \"nginx; fwd=uri-miss\";\n}}\n",
        size = size(settings.memory_bytes_max),
        host = origin.host,
        port = origin.port,
    );
    misfit(&mut out);
    let _ = write!(out, "\nserver {{\n    listen {listen};\n    server_name _;\n    merge_slashes off;\n\n");
    let mut routes: Vec<&PublicRoute> = settings.routes.iter().collect();
    routes.sort_by_key(|r| (std::cmp::Reverse(r.path.len()), r.hosts.is_empty()));
    for (path, same) in by_path(&routes) {
        location(&mut out, path, &same, origin);
    }
    let scheme = scheme(origin);
    let _ = write!(
        out,
        "    # Everything else: past the cache, with all that names somebody.\n    location / {{\n{past}    }}\n    \
         location @domicile_past {{\n{past}    }}\n}}\n",
        past = format!(
            "        proxy_pass {scheme}://domicile_origin;\n        proxy_http_version 1.1;\n        proxy_cache off;\n        \
             proxy_set_header Host $host;\n        proxy_set_header Connection \"\";\n        \
             proxy_set_header X-Forwarded-For $remote_addr;\n        proxy_set_header X-Forwarded-Proto $scheme;\n{}",
            sni(origin)
        )
    );
    out
}

/// nginx knows one location a path: the first route of it counts, and its hosts.
fn by_path<'r>(routes: &[&'r PublicRoute]) -> Vec<(&'r str, Vec<&'r PublicRoute>)> {
    let mut found: Vec<(&str, Vec<&PublicRoute>)> = Vec::new();
    for route in routes {
        match found.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, same)) => same.push(route),
            None => found.push((&route.path, vec![route])),
        }
    }
    found
}

fn location(out: &mut String, path: &str, same: &[&PublicRoute], origin: &Origin) {
    let route = same[0];
    if let Cached::Forbidden { why } = &route.cached {
        let _ = writeln!(out, "    # {path} is not cached: {}\n", one_line(why));
        return;
    }
    let mark = if path.len() > 1 && path.ends_with('/') { "^~" } else { "=" };
    let _ = write!(
        out,
        "    # {path}: category {}\n    location {mark} {} {{\n",
        one_line(&route.category),
        quoted(path)
    );
    out.push_str("        error_page 418 = @domicile_past;\n        if ($domicile_straight = 0) { return 418; }\n        if ($domicile_reads = 0) { return 418; }\n");
    if same.iter().all(|r| !r.hosts.is_empty()) {
        let hosts: Vec<String> = same.iter().flat_map(|r| &r.hosts).map(|h| h.replace('.', "[.]")).collect();
        let _ = writeln!(out, "        if ($http_host !~* \"^(?:{})$\") {{ return 418; }}", hosts.join("|"));
    }
    let (target, key) = match route.query {
        Query::Kept => ("$request_uri", "$request_uri"),
        Query::Ignored => ("$domicile_path", "$domicile_path"),
    };
    let fresh =
        route.fresh.map(|f| format!("        proxy_cache_valid 200 301 308 404 410 {}s;\n", f.as_secs()));
    let misfit = if route.fits { " $domicile_misfit" } else { "" };
    let _ = write!(
        out,
        "        proxy_pass {scheme}://domicile_origin{target};\n        proxy_http_version 1.1;\n{sni}\
         \x20       # Only these headers travel: no cookie, no credential, nothing that the key does not know.\n\
         \x20       proxy_pass_request_headers off;\n        proxy_pass_request_body off;\n{headers}\
         \x20       proxy_cache domicile;\n        proxy_cache_key \"$scheme://$http_host{key}\";\n        proxy_cache_methods GET HEAD;\n{fresh}\
         \x20       proxy_cache_lock on;\n        proxy_cache_lock_timeout 30s;\n        proxy_cache_revalidate on;\n        proxy_cache_background_update on;\n\
         \x20       proxy_no_cache $http_authorization $domicile_personal{misfit};\n        proxy_hide_header Set-Cookie;\n\
         \x20       add_header Cache-Status $domicile_cache_status always;\n    }}\n\n",
        scheme = scheme(origin),
        sni = sni(origin),
        headers = headers(route),
        fresh = fresh.unwrap_or_default(),
    );
}

fn headers(route: &PublicRoute) -> String {
    let mut all = vec![
        ("Host".to_owned(), "$http_host".to_owned()),
        ("Connection".to_owned(), "\"\"".to_owned()),
        ("Content-Length".to_owned(), "\"\"".to_owned()),
        ("X-Forwarded-Proto".to_owned(), "$scheme".to_owned()),
    ];
    let listed = ["accept", "accept-encoding", "accept-language"].into_iter();
    for name in listed.chain(route.headers.iter().map(|h| h.as_str())) {
        all.push((name.to_owned(), format!("$http_{}", name.replace('-', "_"))));
    }
    all.iter().map(|(name, value)| format!("        proxy_set_header {name} {value};\n")).collect()
}

/// An answer whose type does not fit the path's extension.
fn misfit(out: &mut String) {
    out.push_str("map $domicile_path $domicile_extension {\n    default \"\";\n    \"~[.](?<domicile_suffix>[^./]+)$\" $domicile_suffix;\n}\n");
    out.push_str(
        "map \"$domicile_extension:$upstream_http_content_type\" $domicile_misfit {\n    default 0;\n",
    );
    let mut known = Vec::new();
    for (extensions, types) in media_types() {
        let types: Vec<String> = types
            .iter()
            .map(|t| match t.strip_suffix('*') {
                Some(beginning) => format!("{}.*", plain(beginning)),
                None => format!("{}(?:[ ;].*)?", plain(t)),
            })
            .collect();
        known.extend_from_slice(extensions);
        let _ = writeln!(out, "    \"~*^(?:{}):(?:{})$\" 0;", extensions.join("|"), types.join("|"));
    }
    let _ = write!(out, "    \"~*^(?:{}):\" 1;\n}}\n", known.join("|"));
}

/// For a regular expression.
fn plain(text: &str) -> String {
    text.replace('.', "[.]").replace('+', "[+]")
}

fn scheme(origin: &Origin) -> &'static str {
    if origin.tls { "https" } else { "http" }
}

fn sni(origin: &Origin) -> String {
    if !origin.tls {
        return String::new();
    }
    let host = &origin.host;
    format!(
        "        proxy_ssl_server_name on;\n        proxy_ssl_name {host};\n        proxy_ssl_verify on;\n        \
         proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;\n"
    )
}

fn size(bytes: usize) -> String {
    format!("{}m", bytes.div_ceil(1 << 20))
}

/// INVARIANT: a public path is straight, so that it holds no quote, blank, `$` followed by a name or brace.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('$', "[$]"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
