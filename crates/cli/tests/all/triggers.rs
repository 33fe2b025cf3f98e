//! The user's own triggers, listed as safe, that are not.

use crate::servers::Servers;

const LOOKS: &str = "SET ROLE keeper; \
    CREATE FUNCTION looks() RETURNS trigger LANGUAGE plpgsql AS \
      $$ BEGIN PERFORM 1 FROM employee; RETURN new; END $$; \
    CREATE TRIGGER looks BEFORE INSERT ON purchase FOR EACH ROW EXECUTE FUNCTION looks()";

const CHANGES: &str = "CREATE OR REPLACE FUNCTION public.looks() RETURNS trigger LANGUAGE plpgsql AS \
      $$ BEGIN new.placed_on = '1999-01-01'; RETURN new; END $$";

#[test]
fn a_trigger_that_fails_or_changes_rows_is_named() {
    let servers = Servers::start(1);
    let (shop, us, de) = (&servers.shop, &servers.us, &servers.de);
    servers.grant_plainly("shop");
    us.sql("shop", LOOKS);
    shop.ok(&["init", "--from", &us.url("domicile", "shop"), "--country", "US", "--region", "us"]);
    let asked = shop.run(&["answer"]).stdout;
    let words = asked.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("search_path pinned to pg_catalog"), "{asked}");
    assert!(words.contains("It must not change rows"), "{asked}");
    for [question, answer] in
        [["personal:public.employee", "stub"], ["stores", "none"], ["trigger:public.purchase.looks", "safe"]]
    {
        shop.ok(&["answer", question, answer]);
    }
    let url = de.url("domicile", "shop");
    shop.append(
        "domicile.toml",
        &format!("\n[[region]]\nid = \"de\"\ncountry = \"DE\"\nrecords = \"{url}\"\n"),
    );
    servers.open("shop", &[]);
    shop.ok(&["plan", "-o", "plan.json"]);

    let failed = shop.run(&["move", "plan.json"]);
    assert_eq!((failed.code, failed.stderr.contains("trigger-failed")), (1, true), "{}", failed.whole());
    let said = failed.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("loading rows into public.purchase"), "{said}");
    assert!(said.contains("ALTER FUNCTION public.looks() SET search_path = public, pg_temp;"), "{said}");
    assert!(said.contains("relation \"employee\" does not exist"), "{said}");

    // It no longer fails, and changes the rows.
    de.sql("shop", CHANGES);
    let differs = shop.run(&["resume"]);
    let said = differs.whole().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("public.purchase (the same number of rows, 2, but with other content"), "{said}");
    assert!(said.contains("trigger looks"), "{said}");
}
