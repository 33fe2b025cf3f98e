//! What can't be moved with a promise is named before anything moves: what, why, the fix, a code. The fix, as
//! it stands there, lets the move begin.

use crate::land::{Case, Hooks, Land, common};
use domicile_mover::Error;
use std::sync::Arc;

const SCHEMA: &str = "CREATE TABLE notes(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users, v int, file oid, at int4range);
    CREATE TABLE more(LIKE notes, PRIMARY KEY (id));";
const ROWS: &str =
    "INSERT INTO users VALUES (1, 'IN'), (2, 'DE'); INSERT INTO notes VALUES (1, 1, 1), (2, 2, 2)";

/// A hazard: made by the superuser at a region, and what preflight says of it.
struct Hazard {
    code: &'static str,
    region: &'static str,
    made: &'static str,
    says: &'static [&'static str],
    /// What undoes it; empty: the fix that preflight prints.
    undone: &'static str,
}

const HAZARDS: &[Hazard] = &[
    Hazard {
        code: "rule",
        region: "old",
        made: "CREATE RULE silent AS ON DELETE TO notes DO INSTEAD NOTHING",
        says: &["rule silent on \"public\".\"notes\"", "an erase would find nothing to do"],
        undone: "DROP RULE silent ON notes",
    },
    Hazard {
        code: "rule",
        region: "new",
        made: "CREATE RULE also AS ON INSERT TO notes DO ALSO SELECT 1",
        says: &["rule also"],
        undone: "DROP RULE also ON notes",
    },
    Hazard {
        code: "large-object",
        region: "old",
        made: "UPDATE notes SET file = lo_create(0) WHERE id = 1",
        says: &["column \"file\" points at large objects", "contents would stay", "lo_get"],
        undone: "UPDATE notes SET file = NULL",
    },
    Hazard {
        code: "inheritance",
        region: "old",
        made: "ALTER TABLE more INHERIT notes",
        says: &["more inherits from public.notes"],
        undone: "ALTER TABLE more NO INHERIT notes",
    },
    Hazard {
        code: "foreign-key-not-valid",
        region: "new",
        made: "ALTER TABLE notes DROP CONSTRAINT notes_owner_fkey, ADD CONSTRAINT notes_owner_fkey FOREIGN KEY (owner) REFERENCES users NOT VALID",
        says: &["foreign key notes_owner_fkey", "belongs to nobody"],
        undone: "",
    },
    Hazard {
        code: "key-deferrable",
        region: "new",
        made: "ALTER TABLE notes DROP CONSTRAINT notes_pkey, ADD CONSTRAINT notes_pkey PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED",
        says: &["the primary key of \"public\".\"notes\" is deferrable"],
        undone: "",
    },
    Hazard {
        code: "subscription",
        region: "new",
        made: "CREATE SUBSCRIPTION s CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = none); INSERT INTO pg_subscription_rel SELECT oid, 'notes'::regclass, 'i', NULL FROM pg_subscription WHERE subname = 's'",
        says: &["subscription s applies into"],
        undone: "DROP SUBSCRIPTION s",
    },
    Hazard {
        code: "row-security",
        region: "old",
        made: "ALTER TABLE notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        says: &["row security of \"public\".\"notes\" is forced"],
        undone: "",
    },
    Hazard {
        code: "prepared-transaction",
        region: "old",
        made: "BEGIN; CREATE TABLE passing(a int); PREPARE TRANSACTION 'p';",
        says: &["prepared transaction of role postgres", "ROLLBACK PREPARED"],
        undone: "ROLLBACK PREPARED 'p'",
    },
    Hazard {
        code: "schema",
        region: "new",
        made: "ALTER TABLE beats SET UNLOGGED",
        says: &["an ordinary table at the source, an unlogged table at the target"],
        undone: "ALTER TABLE beats SET LOGGED",
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn hazards_stop_a_move_before_it_begins() {
    let land =
        Land::new(Case { answers: &[("reach:public.more", "excluded")], ..Case::of_users(SCHEMA, ROWS) })
            .await;
    for hazard in HAZARDS {
        let service = land.service(Arc::new(Hooks::none())).await;
        let plan = land.planned(&service).await;
        land.admin(hazard.region, hazard.made);
        let ran = domicile_mover::wave::run_plan(&service, &plan, &Default::default()).await;
        let said = match ran {
            Err(Error::Preflight(lines)) => lines,
            other => panic!("{}: {other:?}", hazard.code),
        };
        assert_eq!(said.len(), 1, "{said:#?}");
        for part in hazard.says {
            assert!(said[0].contains(part), "{}: {}", hazard.code, said[0]);
        }
        assert!(said[0].contains(hazard.region), "{}", said[0]);
        let fix = match hazard.undone {
            "" => said[0].split_once("; fix: ").unwrap().1.rsplit_once(" (").unwrap().0,
            undone => undone,
        };
        if hazard.code != "schema" {
            assert!(said[0].ends_with(&format!("({})", hazard.code)), "{}", said[0]);
        }
        land.admin(hazard.region, fix);
    }
    land.there_and_back(1).await;
}

/// Refused by `check`, or by `guard install`: the guard's own functions could not work with such keys.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_guard_can_not_work_with() {
    let fuzzy = "CREATE COLLATION fuzzy (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    let people = |before: &str, ty: &str| Case {
        schema: format!(
            "{before}; CREATE TABLE people(id {ty} PRIMARY KEY, country text); CREATE TABLE notes(id int PRIMARY KEY, person {ty} NOT NULL REFERENCES people)"
        ),
        admin: String::new(),
        rows: String::new(),
        root: ("public", "people"),
        key: ("id", Box::leak(ty.split(" COLLATE").next().unwrap().to_owned().into_boxed_str())),
        answers: &[],
    };
    for (before, ty, code) in [
        (fuzzy, "text COLLATE fuzzy", "key-collation"),
        ("CREATE DOMAIN strict AS bigint NOT NULL", "strict", "key-domain"),
        ("CREATE DOMAIN strict AS bigint CHECK (value IS NOT NULL AND value > 0)", "strict", "key-domain"),
        ("CREATE DOMAIN amount AS numeric", "amount", "key-domain"),
        ("CREATE TYPE tag AS (x int); CREATE FUNCTION same(a tag, b tag) RETURNS bool LANGUAGE sql AS 'SELECT true';
          CREATE OPERATOR = (LEFTARG = tag, RIGHTARG = tag, FUNCTION = same); CREATE DOMAIN label AS tag", "label", "key-equality"),
    ] {
        let land = Land::unguarded(people(before, ty), [common(), common()]);
        let service = land.service(Arc::new(Hooks::none())).await;
        let spec = domicile_stores::records::GuardSpec { region: "old".into(), service: "main".into(), wave_only: false, admission: vec![] };
        let refused = service.regions["old"].records.install(&spec).await.unwrap_err().to_string();
        assert!(refused.contains(code) && refused.contains("public.people: key column \"id\""), "{ty}: {refused}");
        assert_eq!(land.admin("old", "SELECT to_regclass('domicile.home') IS NULL"), "t", "nothing was installed");
    }
}

/// What the data map itself refuses: unlogged tables and partitions, no key, cycles that nothing opens.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_the_data_map_refuses() {
    for (schema, code) in [
        ("CREATE UNLOGGED TABLE notes(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users)", "map-table-kind"),
        ("CREATE TABLE notes(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users) PARTITION BY HASH (id);
              CREATE UNLOGGED TABLE notes_0 PARTITION OF notes FOR VALUES WITH (MODULUS 1, REMAINDER 0)", "map-table-kind"),
        ("CREATE TABLE notes(id int, owner bigint NOT NULL REFERENCES users)", "map-no-primary-key"),
        ("CREATE TABLE tree(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users, up int NOT NULL REFERENCES tree)", "map-cycle"),
    ] {
        let land = Land::unguarded(Case::of_users(schema, ""), [common(), common()]);
        let refused = land.layout().await.unwrap_err();
        assert!(refused.contains(code), "{schema}: {refused}");
    }
}
