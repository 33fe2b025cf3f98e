//! Admission by country (finding 8, A9).

use super::{Place, direct, passes, refuses, root, spec};
use domicile_datamap::TableName;
use domicile_datamap::layout::{AttributePath, Hop};

/// "Try to cheat": an Indian user inserted straight into Beijing is refused, with the rule: with a home
/// row, without one, and whatever the conflict clause.
#[test]
fn a_forbidden_country_is_refused_with_the_rule() {
    let place = Place::shop();
    let app = place.app();
    let rule = "RS002: main.accounts: policy forbids this subject here: India's users are kept in India (law 7, it's so)";
    refuses(&app, "INSERT INTO accounts(id, country) VALUES (60, 'IN')", rule);
    refuses(&app, "INSERT OR IGNORE INTO accounts(id, country) VALUES (60, ' in ')", rule);
    refuses(
        &app,
        "INSERT INTO domicile_signup VALUES (60, 1); INSERT INTO accounts(id, country) VALUES (60, 'in')",
        rule,
    );
    refuses(
        &app,
        "INSERT INTO accounts(id, country) VALUES (60, 'BR')",
        "RS002: main.accounts: policy forbids this subject here: Brazil's",
    );
    refuses(&app, "INSERT OR REPLACE INTO accounts(id, country) VALUES (3, 'IN')", rule);
    assert_eq!(place.texts("SELECT country FROM accounts WHERE id IN (3, 60)"), ["CN"]);
}

#[test]
fn an_unknown_country_is_refused() {
    let place = Place::shop();
    let app = place.app();
    for country in ["NULL", "''", "'XX'", "7"] {
        let sql = format!("INSERT INTO accounts(id, country) VALUES (61, {country})");
        refuses(&app, &sql, "RS002: main.accounts: the subject's country is missing or unknown");
    }
    passes(
        &app,
        "INSERT OR IGNORE INTO domicile_signup VALUES (61, 1); INSERT INTO accounts(id, country) VALUES (61, 'Türkiye')",
    );
}

/// A later change to a forbidden country is marked for the next plan, not refused.
#[test]
fn a_subject_that_emigrates_is_marked() {
    let place = Place::shop();
    let app = place.app();
    passes(&app, "UPDATE accounts SET country = 'IN' WHERE id = 3");
    assert_eq!(
        place.texts("SELECT subject || rule FROM domicile_misplaced"),
        ["3India's users are kept in India (law 7, it's so)"]
    );
    passes(
        &app,
        "UPDATE accounts SET country = 'BR' WHERE id = 3; UPDATE accounts SET name = 'y', country = 'BR' WHERE id = 3",
    );
    assert_eq!(
        place.texts("SELECT subject || rule FROM domicile_misplaced"),
        ["3Brazil's users are kept in Brazil"]
    );
    passes(&app, "UPDATE accounts SET country = 'cn' WHERE id = 3");
    assert!(place.texts("SELECT rule FROM domicile_misplaced").is_empty());
    refuses(&app, "UPDATE accounts SET country = 'XX' WHERE id = 3", "RS002");
    refuses(&app, "UPDATE accounts SET country = NULL WHERE id = 3", "RS002");
    passes(
        &app,
        "INSERT INTO accounts(id, country) VALUES (3, 'CN') ON CONFLICT (id) DO UPDATE SET country = 'IN'",
    );
    assert_eq!(place.texts("SELECT count(*) FROM domicile_misplaced"), ["1"]);
}

/// No policy given: nobody is admitted.
#[test]
fn no_rules_admit_nobody() {
    let place = Place::shop();
    place.install(&crate::records::GuardSpec { admission: Vec::new(), ..spec() });
    refuses(&place.app(), "INSERT INTO accounts(id, country) VALUES (62, 'CN')", "RS002");
}

/// A9: a country behind foreign keys is asked where its rows are there, else refused.
#[test]
fn a_country_three_keys_away() {
    let mut place = Place::new(
        "CREATE TABLE countries(code TEXT PRIMARY KEY);
         CREATE TABLE cities(id INTEGER PRIMARY KEY, country TEXT REFERENCES countries(code));
         CREATE TABLE places(id INTEGER PRIMARY KEY, city INTEGER REFERENCES cities(id));
         CREATE TABLE users(id INTEGER PRIMARY KEY, place INTEGER REFERENCES places(id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE rows(id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users(id));
         INSERT INTO countries VALUES ('CN'), ('IN');
         INSERT INTO cities VALUES (1, 'CN'), (2, 'IN'); INSERT INTO places VALUES (1, 1), (2, 2);",
        &[("users", root("id")), ("rows", direct("user_id"))],
    );
    let hop = |table: &str, from: &str, to: &str| Hop {
        table: TableName::new("main", table),
        on: vec![(from.into(), to.into())],
    };
    place.layout.country = AttributePath {
        hops: vec![
            hop("places", "place", "id"),
            hop("cities", "city", "id"),
            hop("countries", "country", "code"),
        ],
        column: "code".into(),
    };
    place.install(&spec());
    place.mode("enforce");
    let app = place.app();
    passes(
        &app,
        "INSERT INTO domicile_signup VALUES (1, 1), (2, 1), (3, 1); INSERT INTO users VALUES (1, 1)",
    );
    refuses(
        &app,
        "INSERT INTO users VALUES (2, 2)",
        "RS002: main.users: policy forbids this subject here: India",
    );
    refuses(
        &app,
        "BEGIN; INSERT INTO users VALUES (3, 9); INSERT INTO places VALUES (9, 1); COMMIT",
        "RS002: main.users: the subject's country",
    );
    passes(&app, "UPDATE users SET place = 2 WHERE id = 1");
    assert_eq!(place.texts("SELECT subject FROM domicile_misplaced"), ["1"]);
}
