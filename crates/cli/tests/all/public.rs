//! Public routes and the manifest: the commands on a shop, a real nginx, and what is refused.

use crate::shop::Shop;
use domicile_testbed::web::WebServer;
use domicile_testbed::{free_port, free_ports};
use insta::assert_snapshot;
use std::fs;

const PUBLIC: &str = "\n[[public]]\npath = \"/static/\"\ncategory = \"public\"\nfresh = \"10m\"\n\n\
                      [[public]]\npath = \"/robots.txt\"\ncategory = \"public\"\nquery = \"ignored\"\n";
const MANIFEST: &str = "\n[manifest]\nname = \"Shop Example\"\ndays = 30\n\n\
                        [[manifest.shop]]\nname = \"Shop Example Germany\"\nurl = \"https://de.shop.example\"\ncountry = \"Germany\"\n\n\
                        [[manifest.seller]]\nname = \"Bazaar & Sons\"\ncountry = \"IN\"\n";

/// A shop with two regions that has these tables besides.
fn configured(tail: &str) -> Shop {
    let shop = Shop::bare(0);
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "US", "--region", "us"]);
    shop.add_germany();
    shop.append("domicile.toml", &format!("endpoint = \"https://de.api.shop.example\"\n{tail}"));
    shop
}

/// What the command prints besides the file's name and the key.
fn key_hidden(text: &str, shop: &Shop) -> String {
    let key = shop.read("keys/manifest.pub");
    text.replace(key.trim(), "KEY")
}

#[test]
fn a_manifest_is_signed_verified_and_shown() {
    let shop = configured(MANIFEST);
    let signed = shop.ok(&["manifest", "sign", "-o", "domicile.json"]);
    assert_snapshot!("manifest_sign", key_hidden(&signed.stdout, &shop));
    assert_snapshot!("manifest_verify", shop.ok(&["manifest", "verify", "domicile.json"]).stdout);
    shop.ok(&["manifest", "page", "domicile.json", "-o", "genuine.html"]);
    let page = shop.read("genuine.html");
    for shown in [
        "Shop Example Germany",
        "Bazaar &amp; Sons",
        "https://de.api.shop.example",
        shop.read("keys/manifest.pub").trim(),
    ] {
        assert!(page.contains(shown), "{shown}\n{page}");
    }
    // An outsider has the file and the key, and nothing else.
    let outside = Shop::empty();
    fs::copy(shop.path("domicile.json"), outside.path("their.json")).expect("a copy");
    fs::copy(shop.path("keys/manifest.pub"), outside.path("genuine.pub")).expect("a copy");
    let json = outside.ok(&["manifest", "verify", "their.json", "--key", "genuine.pub", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["manifest"]["endpoints"][0]["url"], "https://de.api.shop.example");
    let no_keys = outside.run(&["manifest", "verify", "their.json"]);
    assert_eq!(no_keys.code, 2);
    assert_snapshot!("manifest_no_keys", no_keys.stderr);
    // Signed again, it takes the old one's place, with the same key.
    let key = shop.read("keys/manifest.pub");
    shop.ok(&["manifest", "sign", "-o", "domicile.json"]);
    assert_eq!(shop.read("keys/manifest.pub"), key);
    shop.ok(&["manifest", "verify", "domicile.json"]);
}

#[test]
fn a_manifest_that_must_not_be_believed() {
    let shop = configured(MANIFEST);
    shop.ok(&["manifest", "sign", "-o", "domicile.json"]);
    let good = shop.read("domicile.json");
    let refused = |text: &str, keys: &[&str]| {
        shop.write("bad.json", text);
        let ran = shop.run(&[&["manifest", "verify", "bad.json"], keys].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.whole());
        ran.stderr
    };
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        refused(&good.replacen(from, to, 1), &[])
    };
    assert_snapshot!("manifest_changed", changed("de.api.shop", "de.api.sh0p"));
    assert_snapshot!("manifest_unknown_key", changed("\"name\"", "\"nmae\""));
    assert_snapshot!(
        "manifest_key_twice",
        changed("\"version\": 1,", "\"version\": 1,\n    \"version\": 1,")
    );
    assert!(changed("\n", " \n").contains("code:  manifest-changed"));
    let other = configured(MANIFEST);
    other.ok(&["manifest", "sign", "-o", "domicile.json"]);
    let theirs = other.path("keys/manifest.pub").display().to_string();
    assert!(refused(&good, &["--key", &theirs]).contains("code:  manifest-impostor"));
    let unknown = Shop::empty();
    unknown.write("x.pub", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n");
    let stranger = unknown.path("x.pub").display().to_string();
    assert!(refused(&good, &["--key", &stranger]).contains("code:  manifest-untrusted"));
}

#[test]
fn a_manifest_that_expired_and_one_at_no_address() {
    let shop = configured(MANIFEST);
    // Signed long ago, with a key of that time.
    shop.write("old.pub", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n");
    shop.write("old.json", include_str!("expired.json"));
    let expired = shop.run(&["manifest", "verify", "old.json", "--key", "old.pub"]);
    assert_eq!(expired.code, 3);
    assert_snapshot!("manifest_expired", expired.stderr);
    let page = shop.run(&["manifest", "page", "old.json", "-o", "old.html", "--key", "old.pub"]);
    assert_eq!(page.code, 3);
    assert!(!shop.path("old.html").exists());
    let url = format!("http://127.0.0.1:{}/.well-known/domicile.json", free_port());
    let nobody = shop.run(&["manifest", "verify", &url, "--key", "old.pub"]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.stderr.contains("code:  manifest-unreachable"), "{}", nobody.stderr);
}

#[test]
fn a_manifest_by_its_address() {
    let shop = configured(MANIFEST);
    shop.ok(&["manifest", "sign", "-o", "domicile.json"]);
    let port = free_port();
    let text = shop.read("domicile.json");
    let server = WebServer::nginx(port, |dir| {
        fs::create_dir_all(dir.join("root/.well-known")).expect("a folder");
        fs::write(dir.join("root/.well-known/domicile.json"), &text).expect("a file");
        format!("server {{ listen 127.0.0.1:{port}; root {}/root; }}", dir.display())
    })
    .expect("nginx");
    let url = format!("{}/.well-known/domicile.json", server.base());
    assert!(shop.ok(&["manifest", "verify", &url]).stdout.contains("holds"));
    let missing = shop.run(&["manifest", "verify", &format!("{}/other", server.base())]);
    assert!(missing.stderr.contains("status 404"), "{}", missing.stderr);
}

#[test]
fn public_routes_that_cant_be() {
    for (name, tail) in [
        ("public_path", "\n[[public]]\npath = \"/static/../\"\ncategory = \"public\"\n"),
        (
            "public_header",
            "\n[[public]]\npath = \"/static/\"\ncategory = \"public\"\nheaders = [\"Cookie\"]\n",
        ),
        ("public_bounds", "\n[edge]\nmemory_bytes = 1000000\n"),
        ("manifest_days", "\n[manifest]\nname = \"Shop\"\ndays = 4000\n"),
    ] {
        let shop = configured(tail);
        let ran = shop.run(&["cdn", "export", "--format", "nginx"]);
        assert_eq!(ran.code, 2, "{}", ran.whole());
        assert_snapshot!(name, ran.stderr);
    }
    let none = configured("").run(&["cdn", "export", "--format", "nginx"]);
    assert_snapshot!("cdn_nothing_public", none.stderr);
    let unsigned = configured("").run(&["manifest", "sign"]);
    assert_snapshot!("manifest_nothing", unsigned.stderr);
    let shop = configured(
        "\n[manifest]\nname = \"Shop\"\n[[manifest.shop]]\nname = \"S\"\nurl = \"http://s.example\"\n",
    );
    assert_snapshot!("manifest_address", shop.run(&["manifest", "sign"]).stderr);
}

#[test]
fn an_nginx_that_is_configured_by_export_passes_the_check() {
    let shop = configured(PUBLIC);
    let [port, behind] = free_ports();
    let (origin, listen, echo) =
        (format!("http://127.0.0.1:{behind}"), format!("127.0.0.1:{port}"), format!("127.0.0.1:{behind}"));
    let server = WebServer::nginx(port, |dir| {
        let store = dir.join("cache").display().to_string();
        let words = [
            "cdn", "export", "--format", "nginx", "--origin", &origin, "--listen", &listen, "--store", &store,
        ];
        shop.ok(&[&words[..], &["-o", "cdn.conf"]].concat());
        shop.read("cdn.conf")
    })
    .expect("nginx");
    let base = server.base();
    let checked = shop.run(&["cdn", "check", &base, "--echo", &echo, "--private", "/account", "--json"]);
    assert_eq!(checked.code, 0, "{}", checked.whole());
    let json: serde_json::Value = serde_json::from_str(&checked.stdout).expect("JSON");
    assert_eq!((&json["obeys"], &json["echo"], &json["kept"]), (&true.into(), &true.into(), &2.into()));

    // The same with one line that somebody added.
    let port = free_port();
    let text = shop.read("cdn.conf").replace(&listen, &format!("127.0.0.1:{port}"));
    let careless = WebServer::nginx(port, |dir| {
        let store = dir.join("cache").display().to_string();
        let old = text.lines().find(|l| l.starts_with("proxy_cache_path")).expect("the cache").to_owned();
        let new = format!("proxy_cache_path {store} keys_zone=domicile:10m;");
        text.replace(&old, &new)
            .replace("proxy_cache_lock on;", "proxy_cache_lock on; proxy_ignore_headers Set-Cookie;")
    })
    .expect("nginx");
    let checked = shop.run(&["cdn", "check", &careless.base(), "--echo", &echo, "--private", "/account"]);
    assert_eq!(checked.code, 3, "{}", checked.whole());
    assert!(checked.stdout.contains("finding set-cookie-kept"), "{}", checked.stdout);
}

#[test]
fn policy_is_asked_where_copies_are_kept() {
    let shop = configured(PUBLIC);
    let words = ["cdn", "export", "--format", "varnish", "--origin", "http://127.0.0.1:1", "--country", "DE"];
    let ran = shop.ok(&words);
    assert!(ran.stdout.contains("set req.http.Domicile-Public = \"1\""), "{}", ran.whole());
    shop.append(
        "policies/starter.cedar",
        "\n@id(\"no-copies\")\n@law(\"an order\")\n@reason(\"nothing of ours is kept in Germany\")\n\
         forbid (principal, action == Action::\"cache\", resource) when { resource.country == \"DE\" };\n",
    );
    let ran = shop.ok(&words);
    assert!(!ran.stdout.contains("set req.http.Domicile-Public = \"1\""), "{}", ran.whole());
    assert!(ran.stderr.contains("/static/ is left out"), "{}", ran.stderr);
    let checked = shop.run(&["check"]).stdout;
    assert!(checked.contains("a gateway in region de does not cache /static/"), "{checked}");
    assert!(!checked.contains("a gateway in region us does not cache"), "{checked}");
}

/// What `serve --gateway` would refuse, `check` says before; routes of a CDN need no region.
#[test]
fn public_routes_of_a_gateway_that_stands_nowhere() {
    let shop = configured(PUBLIC);
    let checked = shop.run(&["check"]).stdout;
    assert!(!checked.contains("where the gateway stands"), "{checked}");
    shop.append(
        "domicile.toml",
        "\n[gateway]\nlisten = [\"127.0.0.1:0\"]\nsubject = [\"header:X-Subject\"]\n",
    );
    let checked = shop.run(&["check"]);
    assert_eq!(checked.code, 3, "{}", checked.whole());
    let said = "public\n  no  there are [[public]] routes, and where the gateway stands is not known";
    assert!(checked.stdout.contains(said), "{}", checked.stdout);
    assert!(checked.stdout.contains("fix: add region = \"ID\" to [gateway]"), "{}", checked.stdout);
    shop.append("domicile.toml", "region = \"de\"\n");
    let checked = shop.run(&["check"]).stdout;
    assert!(!checked.contains("where the gateway stands"), "{checked}");
}
