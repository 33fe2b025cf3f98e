//! Bad maps: each mistake has its code, and all are told at once.

use crate::chinook::{answered, chinook};
use crate::tables::*;
use domicile_datamap::catalogue::{Catalogue, FkAction, TableKind};
use domicile_datamap::map::{Kind, Other, TableRule};
use domicile_datamap::{DataMap, Engine};

/// Codes after a change to Chinook's answered map and its database.
fn after(change: impl FnOnce(&mut DataMap, &mut Catalogue)) -> Vec<&'static str> {
    let (mut map, mut catalogue) = (answered(), chinook());
    change(&mut map, &mut catalogue);
    codes(&map, &catalogue)
}

fn rule<'a>(map: &'a mut DataMap, table: &str) -> &'a mut TableRule {
    map.tables.get_mut(&name(table)).unwrap()
}

fn at<'a>(catalogue: &'a mut Catalogue, table: &str) -> &'a mut domicile_datamap::catalogue::Table {
    catalogue.tables.iter_mut().find(|t| t.name == name(table)).unwrap()
}

#[test]
fn the_unchanged_map_is_accepted() {
    assert!(after(|_, _| ()).is_empty());
}

#[test]
fn answers() {
    assert_eq!(after(|m, _| assert!(m.answer("stores", ""))), ["map-question-unanswered"]);
    assert_eq!(after(|m, _| assert!(m.answer("stores", "maybe"))), ["map-answer-wrong"]);
    assert_eq!(after(|m, _| assert!(m.answer("stores", "declared"))), ["map-stores-undeclared"]);
    assert_eq!(
        after(|m, _| m.questions.retain(|q| q.ask.to_string() != "stores")),
        ["map-stores-undeclared"]
    );
    let removed = after(|m, _| m.questions.retain(|q| q.ask.to_string() == "stores"));
    assert_eq!(removed, ["map-personal-undecided"]);
    let contradicted = after(|m, _| {
        let kind = Kind::Reference { personal: Some(domicile_datamap::map::PersonalAnswer::Copy) };
        rule(m, "employee").kind = kind;
    });
    assert_eq!(contradicted, ["map-answer-contradicts"]);
}

#[test]
fn tables_that_came_and_went() {
    assert_eq!(after(|_, c| c.tables.push(table("device", "id integer*"))), ["map-table-new"]);
    assert_eq!(after(|_, c| c.tables.retain(|t| t.name.name != "playlist_track")), ["map-table-gone"]);
    assert_eq!(after(|_, c| c.tables.retain(|t| t.name.name != "customer")), ["map-table-gone"]);
    assert_eq!(
        after(|_, c| at(c, "invoice").columns.retain(|c| c.name != "customer_id")),
        ["map-column-gone"]
    );
    let listed = after(|m, c| {
        c.tables.push(table("invoice_1", "id integer*").partition_of("invoice"));
        m.tables.insert(name("invoice_1"), TableRule::new(Kind::Direct { subject: "id".into() }, "x"));
    });
    assert_eq!(listed, ["map-partition-listed"]);
    let twice = after(|m, _| {
        m.tables.insert(name("customer"), TableRule::new(Kind::Reference { personal: None }, "x"));
    });
    assert_eq!(twice, ["map-root-twice"]);
    assert_eq!(after(|m, _| m.engine = Engine::Sqlite), ["map-engine"]);
    assert_eq!(after(|m, _| rule(m, "genre").kind = Kind::Undecided), ["map-kind-missing"]);
    assert_eq!(after(|m, _| rule(m, "invoice").category.clear()), ["map-category-empty"]);
}

#[test]
fn keys() {
    assert_eq!(after(|_, c| at(c, "invoice_line").primary_key.clear()), ["map-no-primary-key"]);
    assert_eq!(after(|_, c| at(c, "invoice").columns[0].not_null = false), ["map-key-nullable"]);
    assert_eq!(after(|m, _| m.subject.key = "email".into()), ["map-key-type", "map-subject-key-not-unique"]);
    assert_eq!(after(|m, _| m.subject.key = "nobody".into()), ["map-column-gone"]);
    let composite = after(|_, c| at(c, "customer").primary_key.push("email".into()));
    assert_eq!(composite, ["map-subject-key-composite"]);
    assert_eq!(after(|_, c| at(c, "invoice").columns[1].type_name = "uuid".into()), ["map-key-type"]);
    assert_eq!(
        after(|_, c| at(c, "customer").columns[0].type_name = "numeric(10,0)".into()).first(),
        Some(&"map-key-type")
    );
    let nullable = after(|_, c| at(c, "customer").columns[0].not_null = false);
    assert_eq!(nullable, ["map-key-nullable", "map-subject-key-nullable"]);
    assert_eq!(after(|_, c| at(c, "invoice").kind = TableKind::Unlogged), ["map-table-kind"]);
    assert_eq!(after(|_, c| at(c, "genre").kind = TableKind::Foreign), ["map-table-kind"]);
}

#[test]
fn subject_keys_whose_text_is_not_unique_are_refused() {
    for type_name in ["numeric", "public.citext", "character(10)", "double precision", "integer[]", "jsonb"] {
        let catalogue = postgres([table("customer", &format!("id {type_name}*, country text"))]);
        assert_eq!(codes(&proposed(&catalogue), &catalogue), ["map-subject-key-type"], "{type_name}");
    }
    for type_name in ["uuid", "text", "bigint", "character varying(9)", "bytea"] {
        let catalogue = postgres([table("customer", &format!("id {type_name}*, country text"))]);
        assert!(codes(&proposed(&catalogue), &catalogue).is_empty(), "{type_name}");
    }
}

#[test]
fn owners() {
    assert_eq!(after(|_, c| at(c, "invoice").columns[1].not_null = false), ["map-ownerless"]);
    let refused = after(|m, c| {
        at(c, "invoice").columns[1].not_null = false;
        rule(m, "invoice").ownerless_refused = true;
    });
    assert!(refused.is_empty());
    assert_eq!(after(|_, c| at(c, "invoice_line").foreign_keys.clear()), ["map-path-broken"]);
    let unmapped = after(|m, _| {
        rule(m, "invoice_line").kind = Kind::Derived { parent: name("track"), via: vec!["track_id".into()] };
    });
    assert!(unmapped.contains(&"map-parent-not-mapped"), "{unmapped:?}");
    let circle = after(|m, c| {
        *at(c, "invoice") = at(c, "invoice").clone().fk("invoice_id -> invoice_line(invoice_line_id)");
        let via = vec!["invoice_id".into()];
        rule(m, "invoice").kind = Kind::Derived { parent: name("invoice_line"), via };
    });
    assert!(circle.contains(&"map-parent-cycle"), "{circle:?}");
}

#[test]
fn excluded_and_shared_tables_must_not_hold_on_to_mapped_rows() {
    let excluded = |action| {
        after(move |m, c| {
            rule(m, "invoice_line").kind = Kind::Excluded { reason: "old".into() };
            *at(c, "invoice_line") = at(c, "invoice_line").clone().on_delete(action);
        })
    };
    assert_eq!(excluded(FkAction::NoAction), ["map-excluded-refers"]);
    assert_eq!(excluded(FkAction::Cascade), ["map-excluded-refers"]);
    let kept = after(|m, _| {
        rule(m, "invoice_line").kind = Kind::Excluded { reason: "old".into() };
        rule(m, "invoice_line").other.insert("invoice_id".into(), Other::KeepId);
    });
    assert!(kept.is_empty());
    assert_eq!(
        after(|m, _| rule(m, "invoice_line").kind = Kind::Reference { personal: None }),
        ["map-reference-refers"]
    );
    let genre = after(|m, _| rule(m, "genre").kind = Kind::Excluded { reason: "x".into() });
    assert_eq!(genre, ["map-refers-to-excluded"]);
    let track = after(|m, _| rule(m, "track").kind = Kind::Excluded { reason: "x".into() });
    assert_eq!(track, ["map-refers-to-excluded"]);
}

#[test]
fn rows_of_two_subjects() {
    let catalogue = postgres([
        customer(),
        table("message", "id integer*, sender integer!, recipient integer!")
            .fk("sender -> customer(id)")
            .fk("recipient -> customer(id)"),
    ]);
    let mut map = proposed(&catalogue);
    map.answer("owner:public.message", "sender");
    map.answer("other:public.message", "copy-to-both");
    let problems = domicile_datamap::check(&map, &catalogue).unwrap_err();
    assert_eq!(problems[0].code, "map-copy-to-both");
    assert!(problems[0].what.contains("`copy-to-both`, which is not built yet"));
    map.answer("other:public.message", "null");
    assert_eq!(codes(&map, &catalogue), ["map-answer-wrong"]);
    map.questions.retain(|q| !q.ask.to_string().starts_with("other"));
    assert_eq!(codes(&map, &catalogue), ["map-other-undecided"]);
    for (column, answer, code) in [
        ("recipient", Other::Null, "map-null-not-nullable"),
        ("sender", Other::Refuse, "map-other-wrong"),
        ("nobody", Other::Refuse, "map-other-wrong"),
    ] {
        let mut map = map.clone();
        rule(&mut map, "message").other.insert(column.into(), answer);
        assert!(codes(&map, &catalogue).contains(&code), "{column}");
    }
}

#[test]
fn paths_to_the_country() {
    let with = |path: &str| {
        let path = path.parse().unwrap();
        after(move |m, _| m.subject.country = Some(path))
    };
    assert!(with("support_rep_id->employee_id").is_empty());
    assert_eq!(with("support_rep_id->country"), ["map-path-unreadable"]);
    assert_eq!(with("nobody->country"), ["map-path-broken"]);
    assert_eq!(with("contry"), ["map-column-gone"]);
    assert_eq!(after(|m, _| m.subject.country = None), ["map-country-missing"]);
    assert_eq!(after(|m, _| m.subject.flags = Some("x".parse().unwrap())), ["map-column-gone"]);
}

#[test]
fn objects() {
    let with = |lines: &str| {
        let text = format!(
            "{}\n[[objects]]\n{lines}\nwithout_row = \"deny\"\ncategory = \"media\"\n",
            answered().write()
        );
        codes(&DataMap::read(&text).unwrap(), &chinook())
    };
    assert!(with("prefix = \"photos/{subject}/\"").is_empty());
    assert!(with("table = \"public.invoice\"\ncolumn = \"billing_city\"").is_empty());
    for prefix in ["photos/{subject}", "photos/", "/photos/{subject}/", "{subject}/{subject}/"] {
        assert_eq!(with(&format!("prefix = \"{prefix}\"")), ["map-object-prefix"], "{prefix}");
    }
    assert_eq!(with("table = \"public.invoice\"\ncolumn = \"total\""), ["map-object-column"]);
    assert_eq!(with("table = \"public.genre\"\ncolumn = \"name\""), ["map-object-column"]);
}

#[test]
fn partitions_follow_their_table() {
    let catalogue = |leaf: domicile_datamap::catalogue::Table| {
        postgres([
            customer(),
            table("event", "id integer*, customer_id integer!")
                .fk("customer_id -> customer(id)")
                .kind(TableKind::Partitioned),
            leaf.partition_of("event"),
        ])
    };
    let leaf = || table("event_1", "id integer*, customer_id integer!").fk("customer_id -> customer(id)");
    let map = proposed(&catalogue(leaf()));
    assert!(codes(&map, &catalogue(leaf())).is_empty());
    assert_eq!(codes(&map, &catalogue(leaf().kind(TableKind::Foreign))), ["map-table-kind"]);
    assert_eq!(codes(&map, &catalogue(leaf().trigger("own"))), ["map-trigger-not-safe"]);
    assert_eq!(codes(&map, &catalogue(leaf().fk("id -> customer(id)"))), ["map-partition-foreign-key"]);
}

#[test]
fn all_problems_at_once() {
    let all = after(|m, c| {
        m.answer("stores", "");
        at(c, "invoice_line").primary_key.clear();
        c.tables.push(table("device", "id integer*"));
        rule(m, "genre").kind = Kind::Excluded { reason: "x".into() };
    });
    assert_eq!(
        all,
        ["map-no-primary-key", "map-question-unanswered", "map-refers-to-excluded", "map-table-new"]
    );
}
