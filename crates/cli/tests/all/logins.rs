//! A password that the server refuses, one that is not given, a variable that is not set.

use crate::servers::{SECRET, Servers};
use crate::shop::{Ran, ran};

#[test]
fn a_refused_password_says_where_it_was_read() {
    let servers = Servers::start(1);
    let (shop, us) = (&servers.shop, &servers.us);
    servers.grant_plainly("shop");
    let plain = us.url("domicile", "shop");
    shop.ok(&["init", "--from", &plain, "--country", "US", "--region", "us"]);
    us.sql("postgres", "ALTER ROLE domicile PASSWORD 'another'");
    let hba = us.sql("postgres", "SHOW hba_file");
    let rules = "host all domicile all scram-sha-256\nhost all all all trust\n";
    std::fs::write(&hba, rules).expect("the server's rules");
    us.sql("postgres", "SELECT pg_reload_conf()");

    // No password at all.
    let none = shop.run(&["guard", "install"]);
    assert_eq!((none.code, none.stderr.contains("store-login")), (2, true), "{}", none.whole());
    assert!(none.stderr.contains("the address names no password"), "{}", none.whole());
    // A wrong one, from a variable.
    let url = Servers::url(us, "shop");
    shop.edit("domicile.toml", &plain, &url);
    let wrong = shop.run(&["guard", "install"]);
    let status = shop.run(&["guard", "status"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(status.contains("refused the user or the password; the password is read from"), "{status}");
    assert_eq!((wrong.code, wrong.stderr.contains("store-login")), (2, true), "{}", wrong.whole());
    assert!(
        wrong.stderr.contains("the password is read from the variable SHOP_PASSWORD"),
        "{}",
        wrong.whole()
    );
    assert!(wrong.stderr.contains("refused the user or the password"), "{}", wrong.whole());
    assert!(!wrong.stderr.contains(SECRET), "{}", wrong.whole());
    let init = shop.run(&["init", "--from", &url, "--country", "US", "--dir", "anew"]);
    assert!(init.stderr.contains("the variable SHOP_PASSWORD"), "{}", init.whole());
    // From a file.
    shop.edit("domicile.toml", &url, &plain);
    shop.edit("domicile.toml", &format!("{plain}\"\n"), &format!("{plain}\"\npassword_file = \"pw\"\n"));
    shop.write("pw", "wrong\n");
    let filed = shop.run(&["guard", "install"]);
    assert!(filed.stderr.contains("the password is read from password_file"), "{}", filed.whole());
    shop.write("pw", "another\n");
    assert!(!shop.run(&["guard", "install"]).stderr.contains("store-login"));
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let servers = Servers::start(1);
    let url = Servers::url(&servers.us, "shop");
    let shop = &servers.shop;
    let mut command = shop.command(&["init", "--from", &url, "--country", "US"]);
    let unset: Ran = ran(&command.env_remove("SHOP_PASSWORD").output().expect("it runs"), &shop.path(""));
    assert_eq!((unset.code, unset.stderr.contains("secret-missing")), (2, true), "{}", unset.whole());
    assert!(unset.stderr.contains("export SHOP_PASSWORD="), "{}", unset.whole());
}
