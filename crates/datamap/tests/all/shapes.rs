//! A database of another shape: composite and UUID keys, two schemas, quoted names, self-references,
//! a country three foreign keys away, an ambiguous path.

use crate::tables::*;
use domicile_datamap::catalogue::{Catalogue, TableKind};
use domicile_datamap::layout::{ObjectSource, Owner, WithoutRow};
use domicile_datamap::map::Other;
use domicile_datamap::{DataMap, propose};

fn clinic() -> Catalogue {
    postgres([
        table(
            "care.patient",
            "id uuid*, address_id bigint!, referred_by uuid, photo_key text, mood public.mood",
        )
        .fk("address_id -> care.address(id)")
        .fk("referred_by -> care.patient(id)"),
        table("care.address", "id bigint*, city_id integer!").fk("city_id -> geo.city(id)"),
        table("geo.city", "id integer*, country_id integer!").fk("country_id -> geo.country(id)"),
        table("geo.country", "id integer*, iso character(2)!, name text!"),
        table("care.\"Visit.Log\"", "patient uuid*, nr integer*, note jsonb, reply_to integer")
            .fk("patient -> care.patient(id)")
            .fk("patient, reply_to -> care.\"Visit.Log\"(patient, nr)"),
        table("care.dose", "patient uuid*, visit integer*, nr integer*, by_rule integer")
            .fk("patient, visit -> care.\"Visit.Log\"(patient, nr)")
            .fk("patient -> care.patient(id)"),
        table("care.letter", "id bigint*, author uuid!, reader uuid")
            .fk("author -> care.patient(id)")
            .fk("reader -> care.patient(id)"),
    ])
}

#[test]
fn questions_come_for_all_that_is_not_plain() {
    let map = propose(&clinic(), None);
    assert_eq!(
        asked(&map),
        [
            "country",
            "other:care.patient",
            "owner:care.letter",
            "other:care.letter",
            "ownerless:care.letter",
            "personal:care.address",
            "object:care.patient.photo_key",
            "stores"
        ]
    );
    let country = &map.questions[0];
    assert_eq!(
        country.choices,
        ["address_id->city_id->country_id->iso", "address_id->city_id->country_id->name"]
    );
    assert_eq!(DataMap::read(&map.write()).as_ref(), Ok(&map));
    insta::assert_snapshot!(map.write());
}

fn answered() -> DataMap {
    let mut map = proposed(&clinic());
    for (id, answer) in [
        ("country", "address_id->city_id->country_id->iso"),
        ("owner:care.letter", "author"),
        ("other:care.letter", "refuse"),
        ("ownerless:care.letter", "refuse"),
        ("other:care.patient", "null"),
        ("personal:care.address", "copy"),
        ("object:care.patient.photo_key", "deny"),
    ] {
        assert!(map.answer(id, answer), "{id}");
    }
    map
}

#[test]
fn the_answered_map_resolves() {
    let layout = resolved(&answered(), &clinic());
    let names: Vec<String> = layout.tables.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(names, ["care.patient", "care.\"Visit.Log\"", "care.dose", "care.letter"]);
    let by = |n: &str| &layout.tables[layout.index_of(&name(n)).unwrap()];
    assert_eq!(by("care.letter").owner, Owner::Direct { column: "author".into() });
    assert_eq!(by("care.letter").refusing, ["reader"]);
    assert_eq!(by("care.patient").blanked, ["referred_by"]);
    // (patient, visit) carries the subject's key: no question, and the shorter way is the owner's.
    assert_eq!(by("care.dose").owner, Owner::Direct { column: "patient".into() });
    assert_eq!(by("care.dose").key, ["patient", "visit", "nr"]);
    assert_eq!(by("care.\"Visit.Log\"").null_first, ["reply_to"]);
    let hops: Vec<String> = layout.country.hops.iter().map(|h| h.table.to_string()).collect();
    assert_eq!(hops, ["care.address", "geo.city", "geo.country"]);
    assert_eq!(layout.country.column, "iso");
    let shared: Vec<String> = layout.references.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(shared, ["geo.country", "geo.city", "care.address"]);
    assert_eq!(layout.objects[0].without_row, WithoutRow::Deny);
    assert_eq!(layout.objects[0].source, ObjectSource::Column { table: 0, column: "photo_key".into() });
}

#[test]
fn the_other_answer_gives_the_other_owner_and_another_hash() {
    let mut map = answered();
    map.answer("owner:care.letter", "reader");
    let layout = resolved(&map, &clinic());
    let letter = &layout.tables[layout.index_of(&name("care.letter")).unwrap()];
    assert_eq!(letter.owner, Owner::Direct { column: "reader".into() });
    assert_eq!(letter.refusing, ["author"]);
    assert_ne!(layout.hash, resolved(&answered(), &clinic()).hash);
}

#[test]
fn a_redundant_path_is_asked_and_must_agree() {
    let catalogue = postgres([
        customer(),
        table("orders", "id integer*, customer_id integer!").fk("customer_id -> customer(id)"),
        table("payment", "id integer*, customer_id integer!, order_id integer!")
            .fk("customer_id -> customer(id)")
            .fk("order_id -> orders(id)"),
    ]);
    let mut map = proposed(&catalogue);
    assert_eq!(asked(&map), ["owner:public.payment", "other:public.payment"]);
    assert!(map.questions[0].text.contains("must always agree"), "{}", map.questions[0].text);
    map.answer("owner:public.payment", "order_id");
    map.answer("other:public.payment", "same");
    assert!(matches!(resolved(&map, &catalogue).tables[2].owner, Owner::Derived { parent: 1, .. }));
    map.answer("owner:public.payment", "customer_id");
    assert!(matches!(resolved(&map, &catalogue).tables[2].owner, Owner::Direct { .. }));
    // `refuse` needs a column that holds a subject's key: customer_id does, order_id does not.
    let by_hand = |owner: &str, column: &str| {
        let mut map = map.clone();
        map.answer("owner:public.payment", owner);
        map.tables.get_mut(&name("payment")).unwrap().other.insert(column.into(), Other::Refuse);
        map
    };
    let layout = resolved(&by_hand("order_id", "customer_id"), &catalogue);
    assert_eq!(layout.tables[2].refusing, ["customer_id"]);
    assert_eq!(codes(&by_hand("customer_id", "order_id"), &catalogue), ["map-other-wrong"]);
}

#[test]
fn a_key_to_another_unique_column_of_the_root_is_derived() {
    let catalogue = postgres([
        table("users", "id bigint*, email text!, country text").unique("email"),
        table("newsletter", "id bigint*, email text!").fk("email -> users(email)"),
    ]);
    let layout = resolved(&proposed(&catalogue), &catalogue);
    let link = vec![("email".to_owned(), "email".to_owned())];
    assert_eq!(layout.tables[1].owner, Owner::Derived { parent: 0, link, deferrable: false });
}

#[test]
fn tables_out_of_reach_storage_and_triggers_are_asked_about() {
    let catalogue = postgres([
        customer(),
        table("orders", "id integer*, customer_id integer!")
            .fk("customer_id -> customer(id)")
            .trigger("audit"),
        table("job", "id integer*, payload jsonb"),
        table("session", "id integer*, customer_id integer!, ip inet"),
        table("cache", "id integer*, customer_id integer!")
            .fk("customer_id -> customer(id)")
            .kind(TableKind::Unlogged),
        table("click", "customer_id integer!").fk("customer_id -> customer(id)"),
        table("schema_migrations", "version text*"),
    ]);
    let mut map = proposed(&catalogue);
    let mut ids = asked(&map);
    ids.sort();
    assert_eq!(
        ids,
        [
            "key:public.click",
            "personal:public.session",
            "reach:public.job",
            "reach:public.session",
            "storage:public.cache",
            "trigger:public.orders.audit"
        ]
    );
    for (id, answer) in [
        ("key:public.click", "exclude-drop-key"),
        ("reach:public.job", "excluded"),
        ("reach:public.session", "customer_id"),
        ("storage:public.cache", "exclude-drop-key"),
        ("trigger:public.orders.audit", "safe"),
    ] {
        assert!(map.answer(id, answer), "{id}");
    }
    // The question about personal data is moot: the sessions turned out to be the subject's own.
    let layout = resolved(&map, &catalogue);
    let names: Vec<&str> = layout.tables.iter().map(|t| t.name.name.as_str()).collect();
    assert_eq!(names, ["customer", "orders", "session"]);
    assert_eq!(layout.excluded.len(), 4);
    assert_eq!(layout.dropped_foreign_keys.len(), 2);
    assert_eq!(layout.safe_triggers, [(name("orders"), "audit".into())]);
    map.answer("trigger:public.orders.audit", "remove");
    assert_eq!(codes(&map, &catalogue), ["map-trigger-not-safe"]);
}

#[test]
fn two_likely_roots_are_a_question() {
    let catalogue = postgres([
        table("account", "id integer*"),
        table("users", "id integer*, account_id integer!, country text").fk("account_id -> account(id)"),
    ]);
    let mut map = proposed(&catalogue);
    assert_eq!(map.questions[0].ask.to_string(), "root");
    assert_eq!(map.questions[0].choices, ["public.users", "public.account"]);
    map.answer("root", "public.account");
    assert!(codes(&map, &catalogue).contains(&"map-root-differs"));
    let given = propose(&catalogue, Some(&name("account")));
    assert_eq!(given.subject.table, name("account"));
    assert!(!asked(&given).contains(&"root".to_owned()));
    assert!(domicile_datamap::check(&propose(&postgres([]), None), &postgres([])).is_err());
}
