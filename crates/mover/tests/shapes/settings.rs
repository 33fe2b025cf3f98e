//! Settings that change what a value's text is, different at both regions and for every role: rows and digests
//! agree all the same.

use crate::land::{Case, Land, common};
use crate::types::everything;

/// For roles at the old region, then at the new one.
const SETTINGS: [&[&str]; 2] = [
    &[
        "datestyle = 'German, DMY'",
        "intervalstyle = 'sql_standard'",
        "extra_float_digits = -15",
        "bytea_output = 'escape'",
        "timezone = 'Asia/Kolkata'",
        "lc_monetary = 'C.UTF-8'",
        "xmloption = 'document'",
        "search_path = 'odd', 'public'",
        "array_nulls = off",
        "transform_null_equals = on",
        "quote_all_identifiers = on",
        "default_text_search_config = 'simple'",
        "standard_conforming_strings = off",
        "escape_string_warning = off",
        "row_security = off",
        "default_transaction_isolation = 'repeatable read'",
        "idle_session_timeout = '200ms'",
        "enable_seqscan = off",
    ],
    &[
        "datestyle = 'SQL, MDY'",
        "intervalstyle = 'iso_8601'",
        "extra_float_digits = 0",
        "bytea_output = 'hex'",
        "timezone = 'America/St_Johns'",
        "xmlbinary = 'hex'",
        "search_path = ''",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
        "statement_timeout = '30s'",
    ],
];

/// Functions and an operator that stand in the way of those meant, wherever they are looked for.
const TRAPS: &str = "CREATE SCHEMA odd; GRANT USAGE ON SCHEMA odd TO PUBLIC;
CREATE FUNCTION odd.sha256(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT ''\\x00''::bytea';
CREATE FUNCTION odd.never(bigint, bigint) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR odd.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = odd.never);
CREATE TABLE odd.users(id bigint PRIMARY KEY, country text);";

/// For both roles; what the application itself could not work with is the mover's alone.
async fn set(land: &Land) {
    for (region, settings) in [("old", SETTINGS[0]), ("new", SETTINGS[1])] {
        let database = land.database(region);
        for setting in settings {
            for role in ["domicile", "app"] {
                if role == "app" && (setting.contains("read_only") || setting.contains("idle_session")) {
                    continue;
                }
                land.cluster(region)
                    .sql("postgres", &format!("ALTER ROLE {role} IN DATABASE {database} SET {setting}"));
            }
        }
        land.cluster(region).sql("postgres", &format!("ALTER DATABASE {database} SET lc_numeric = 'C'"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_roles_change_no_row() {
    let mut case = everything();
    case.admin = TRAPS.to_owned();
    case.answers = &[("reach:odd.users", "excluded")];
    let land = Land::unguarded(case, [common(), common()]);
    set(&land).await;
    land.adopt().await;
    land.there_and_back(2).await;
}

/// Keys whose text depends on the session that writes them: the guard records them in the application's.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_roles_change_no_key() {
    let schema = "
        CREATE DOMAIN wait AS interval; CREATE DOMAIN moment AS timestamptz; CREATE TYPE stay AS (since timestamptz, lasts interval, f float8);
        CREATE TABLE waits(owner bigint REFERENCES users, k wait, v int, PRIMARY KEY (owner, k));
        CREATE TABLE stays(owner bigint REFERENCES users, k stay, v int, PRIMARY KEY (owner, k));
        CREATE TABLE periods(owner bigint REFERENCES users, k tstzrange, v int, PRIMARY KEY (owner, k));
        CREATE TABLE days(owner bigint REFERENCES users, k daterange[], v int, PRIMARY KEY (owner, k));
        CREATE TABLE moments(owner bigint REFERENCES users, k moment, v int, PRIMARY KEY (owner, k));
        CREATE TABLE sums(owner bigint REFERENCES users, k money, f float8, b bytea, v int, PRIMARY KEY (owner, k, f, b));";
    let rows = "INSERT INTO users VALUES (1, 'IN'), (2, 'DE');
        INSERT INTO waits VALUES (1, '-1 day -02:03:04'), (1, '1 mon -1 day 00:00:01'), (1, '1 year 2 mons');
        INSERT INTO stays VALUES (1, ('2020-03-04 05:06:07.891+00', '-1 day -02:03:04', 0.1));
        INSERT INTO periods VALUES (1, '[\"2020-03-04 05:06+00\",\"2020-04-05 00:00+00\")'), (1, 'empty');
        INSERT INTO days VALUES (1, '{\"[2020-03-04,2020-05-06)\",NULL}');
        INSERT INTO moments VALUES (1, '2020-03-04 05:06:07.891+00'), (1, '0044-03-15 00:00+00 BC'), (1, '294276-12-31 23:59:59.999999+00');
        INSERT INTO sums VALUES (1, -1234.56, 0.1, '\\x00ff'), (1, 0, 'NaN', ''), (1, 1, '-Infinity', 'x'), (1, 2, 5e-324, 'y')";
    let land = Land::unguarded(Case::of_users(schema, rows), [common(), common()]);
    set(&land).await;
    land.adopt().await;
    land.there_and_back(1).await;
}
