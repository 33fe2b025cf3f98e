//! The commands that an answer ends with: once, the right one, and with the file that was named.

use crate::shop::Shop;

fn nexts(text: &str) -> Vec<&str> {
    text.lines().filter(|l| l.starts_with("next:")).collect()
}

#[test]
fn adoption_says_its_next_step_once() {
    let shop = Shop::bare(1);
    shop.ok(&["init", "--from", "sqlite:shop.db", "--country", "DE", "--region", "frankfurt"]);
    let written = shop.read("domicile.toml");
    assert_eq!(written.matches("id = \"frankfurt\"").count(), 1, "the example is another region:\n{written}");
    shop.answer_all();
    shop.add_germany();
    shop.ok(&["guard", "install"]);
    shop.ok(&["region", "prepare", "de"]);
    shop.ok(&["guard", "install"]);
    let observing = shop.ok(&["guard", "status"]).stdout;
    assert_eq!(nexts(&observing), ["next: domicile guard backfill"], "{observing}");
    shop.ok(&["guard", "backfill"]);
    let filled = shop.ok(&["guard", "status"]).stdout;
    assert_eq!(nexts(&filled), ["next: domicile guard enforce"], "{filled}");
    shop.ok(&["guard", "enforce"]);
    assert!(nexts(&shop.ok(&["guard", "status"]).stdout).is_empty());
    let again = shop.ok(&["guard", "install"]).stdout;
    assert_eq!(nexts(&again), ["next: domicile check"], "{again}");

    // A command that is shown can be pasted as it stands.
    std::fs::rename(shop.path("domicile.toml"), shop.path("eu.toml")).expect("another name");
    let named = shop.ok(&["--config", "eu.toml", "guard", "install"]).stdout;
    assert_eq!(nexts(&named), ["next: domicile --config eu.toml check"], "{named}");
    let failed = shop.run(&["--config", "eu.toml", "resume", "w9"]);
    assert!(failed.stderr.contains("fix:   domicile --config eu.toml status"), "{}", failed.whole());
}
