//! The invariants of `layout.rs`, on random webs of foreign keys.

use crate::tables::*;
use domicile_datamap::layout::{Layout, Owner};
use domicile_datamap::{Catalogue, DataMap, TableName};
use proptest::prelude::*;

/// Answers every question with one that moves the table.
fn answer_all(map: &mut DataMap) {
    for question in &mut map.questions {
        question.answer = match question.ask.to_string().split(':').next().unwrap() {
            "owner" | "ownerless" | "reach" | "root" => question.choices[0].clone(),
            "stores" => "none".into(),
            "other" => "same".into(),
            other => panic!("unexpected question {other}"),
        };
    }
}

/// What `layout.rs` promises to those who walk the list.
fn holds(layout: &Layout, catalogue: &Catalogue) {
    assert!(matches!(layout.tables[0].owner, Owner::Root { .. }));
    for (i, table) in layout.tables.iter().enumerate() {
        match &table.owner {
            Owner::Derived { parent, link, .. } => {
                assert!(*parent < i, "{} before its parent", table.name);
                assert!(layout.tables[*parent].children.contains(&i));
                assert!(link.iter().all(|(c, _)| !table.null_first.contains(c)));
            }
            Owner::Root { .. } => assert_eq!(i, 0),
            Owner::Direct { column } => assert!(!table.null_first.contains(column)),
        }
        for key in &table.foreign_keys {
            let Some(to) = layout.index_of(&key.references) else { continue };
            let opened = key.columns.iter().any(|c| table.null_first.contains(c));
            assert!(to < i || opened || key.deferrable, "{} after {}", table.name, key.references);
        }
        for column in &table.null_first {
            assert!(!table.columns.iter().find(|c| c.name == *column).unwrap().not_null);
        }
    }
    for (i, shared) in layout.references.iter().enumerate() {
        for key in &shared.foreign_keys {
            let to = layout.references.iter().position(|t| t.name == key.references).unwrap();
            assert!(to <= i || key.deferrable);
        }
    }
    let all = layout.tables.len() + layout.references.len() + layout.excluded.len();
    assert_eq!(all, catalogue.tables.len());
}

/// Tables `t0..`, each with foreign keys to earlier ones, named so that the alphabet is no order.
fn web(edges: &[Vec<(usize, bool)>], scramble: usize) -> Catalogue {
    let called = |i: usize| format!("t{}", (i * 7 + scramble) % 101);
    let mut tables = vec![customer()];
    for (i, to) in edges.iter().enumerate() {
        let mut columns = "id integer*".to_owned();
        for (k, (_, nullable)) in to.iter().enumerate() {
            columns.push_str(&format!(", c{k} integer{}", if *nullable { "" } else { "!" }));
        }
        let mut one = table(&called(i), &columns);
        for (k, (target, _)) in to.iter().enumerate() {
            // 0 is the customer, the rest are tables before this one.
            let target = match target % (i + 1) {
                0 => "customer".to_owned(),
                n => called(n - 1),
            };
            one = one.fk(&format!("c{k} -> {target}(id)"));
        }
        tables.push(one);
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    postgres(tables)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn acyclic_webs_always_resolve(
        edges in proptest::collection::vec(proptest::collection::vec((0usize..50, any::<bool>()), 0..4), 0..14),
        scramble in 0usize..101,
    ) {
        let catalogue = web(&edges, scramble);
        let mut map = domicile_datamap::propose(&catalogue, None);
        prop_assert_eq!(&DataMap::read(&map.write()).unwrap(), &map);
        answer_all(&mut map);
        let layout = resolved(&map, &catalogue);
        holds(&layout, &catalogue);
    }

    #[test]
    fn any_web_resolves_or_says_why(
        edges in proptest::collection::vec((0usize..8, 0usize..8, any::<bool>(), any::<bool>()), 0..20),
    ) {
        let mut tables: Vec<_> = (0..8).map(|i| {
            let mut columns = if i == 0 { "id integer*, country text".to_owned() } else { "id integer*".to_owned() };
            for (k, e) in edges.iter().enumerate().filter(|(_, e)| e.0 == i) {
                columns.push_str(&format!(", c{k} integer{}", if e.2 { "" } else { "!" }));
            }
            table(&if i == 0 { "customer".into() } else { format!("t{i}") }, &columns)
        }).collect();
        for (k, (from, to, _, deferrable)) in edges.iter().enumerate() {
            let target = tables[*to].name.name.clone();
            let mut one = tables[*from].clone().fk(&format!("c{k} -> {target}(id)"));
            one.foreign_keys.last_mut().unwrap().deferrable = *deferrable;
            tables[*from] = one;
        }
        let catalogue = postgres(tables);
        let mut map = domicile_datamap::propose(&catalogue, None);
        answer_all(&mut map);
        match domicile_datamap::check(&map, &catalogue) {
            Ok(layout) => holds(&layout, &catalogue),
            Err(problems) => {
                for p in problems {
                    prop_assert!(["map-cycle", "map-parent-cycle"].contains(&p.code), "{}", p);
                }
            }
        }
    }
}

#[test]
fn a_cycle_is_opened_at_the_column_that_may_be_null() {
    let catalogue = postgres([
        customer(),
        table("account_book", "id integer*, customer_id integer!, last_entry integer")
            .fk("customer_id -> customer(id)")
            .fk("last_entry -> entry(id)"),
        table("entry", "id integer*, book_id integer!").fk("book_id -> account_book(id)"),
    ]);
    let mut map = proposed(&catalogue);
    assert_eq!(asked(&map), ["other:public.account_book"]);
    map.answer("other:public.account_book", "same");
    let layout = resolved(&map, &catalogue);
    holds(&layout, &catalogue);
    let book = &layout.tables[layout.index_of(&name("account_book")).unwrap()];
    assert_eq!(book.null_first, ["last_entry"]);
}

#[test]
fn a_cycle_without_null_needs_a_deferrable_key() {
    let tables = |deferrable: bool| {
        let book = table("book", "id integer*, customer_id integer!, last_entry integer!")
            .fk("customer_id -> customer(id)")
            .fk("last_entry -> entry(id)");
        let book = if deferrable { book.deferrable() } else { book };
        postgres([
            customer(),
            book,
            table("entry", "id integer*, book_id integer!").fk("book_id -> book(id)"),
        ])
    };
    let mut map = proposed(&tables(false));
    map.answer("other:public.book", "same");
    assert_eq!(codes(&map, &tables(false)), ["map-cycle"]);
    let layout = resolved(&map, &tables(true));
    holds(&layout, &tables(true));
    assert!(layout.tables.iter().all(|t| t.null_first.is_empty()));
    // SQLite defers any key.
    let mut sqlite = tables(false);
    sqlite.engine = domicile_datamap::Engine::Sqlite;
    map.engine = sqlite.engine;
    assert_eq!(resolved(&map, &sqlite).tables.len(), 3);
}

#[test]
fn a_country_key_of_the_root_into_its_own_rows_is_filled_last() {
    let catalogue = postgres([
        table("customer", "id integer*, home_id integer").fk("home_id -> address(id)"),
        table("address", "id integer*, customer_id integer!, country text").fk("customer_id -> customer(id)"),
    ]);
    let mut map = proposed(&catalogue);
    assert_eq!(asked(&map), ["country", "other:public.customer"]);
    map.answer("country", "home_id->country");
    map.answer("other:public.customer", "same");
    let layout = resolved(&map, &catalogue);
    assert_eq!(layout.tables[0].null_first, ["home_id"]);
    assert_eq!(layout.country.hops[0].table, TableName::new("public", "address"));
}
