//! Schemas of two regions compared.

use crate::chinook::{answered, chinook};
use crate::tables::*;
use domicile_datamap::catalogue::{Catalogue, FkAction, TableKind};
use domicile_datamap::{diff, dropped_but_present, unindexed};

fn differences(change: impl FnOnce(&mut Catalogue)) -> Vec<String> {
    let source = chinook();
    let mut target = chinook();
    change(&mut target);
    diff(&source, &target, &resolved(&answered(), &source))
}

fn at<'a>(catalogue: &'a mut Catalogue, table: &str) -> &'a mut domicile_datamap::catalogue::Table {
    catalogue.tables.iter_mut().find(|t| t.name == name(table)).unwrap()
}

#[test]
fn equal_schemas_differ_in_nothing() {
    assert!(differences(|_| ()).is_empty());
    // Names of constraints, tables outside the map, defaults and nothing else.
    assert!(
        differences(|t| {
            at(t, "invoice").foreign_keys[0].name = "other_name".into();
            at(t, "invoice").columns[1].has_default = true;
            t.tables.push(table("local", "id integer*"));
        })
        .is_empty()
    );
}

#[test]
fn every_difference_is_a_line() {
    let lines = differences(|t| {
        t.tables.retain(|t| t.name.name != "genre");
        let invoice = at(t, "invoice");
        invoice.columns.retain(|c| c.name != "total");
        invoice.columns[1].type_name = "bigint".into();
        invoice.columns[2].not_null = false;
        invoice.foreign_keys[0].on_delete = FkAction::Cascade;
        invoice.primary_key = vec!["customer_id".into()];
        invoice.kind = TableKind::Partitioned;
        invoice.columns.extend(table("x", "extra text!").columns);
        t.tables.push(table("invoice_1", "invoice_id integer*").partition_of("invoice"));
        let track = at(t, "track");
        track.uniques = table("x", "name text").unique("name").uniques;
        at(t, "customer").columns[0].identity = true;
        at(t, "customer").columns[1].generated = true;
    });
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_foreign_key_answered_keep_id_is_no_difference_but_is_found() {
    let source = postgres([
        customer(),
        table("message", "id integer*, sender_id integer!, recipient_id integer!")
            .fk("sender_id -> customer(id)")
            .fk("recipient_id -> customer(id)"),
    ]);
    let mut map = proposed(&source);
    map.answer("owner:public.message", "sender_id");
    map.answer("other:public.message", "keep-id");
    let layout = resolved(&map, &source);
    let mut target = source.clone();
    target.tables[1].foreign_keys.pop();
    assert!(diff(&source, &target, &layout).is_empty());
    assert!(dropped_but_present(&layout, &target).is_empty());
    assert_eq!(
        dropped_but_present(&layout, &source),
        [(name("message"), "message_recipient_id_fkey".into())]
    );
    // With the foreign key dropped everywhere the map means the same and has the same hash.
    let after = resolved(&map, &target);
    assert_eq!((after.hash, after.dropped_foreign_keys.len()), (layout.hash, 0));
}

#[test]
fn partitions_must_be_there_on_both_sides() {
    let whole = || {
        table("event", "id integer*, customer_id integer!")
            .fk("customer_id -> customer(id)")
            .kind(TableKind::Partitioned)
    };
    let leaf = |n: &str| table(n, "id integer*, customer_id integer!").partition_of("event");
    let source = postgres([customer(), whole(), leaf("event_1"), leaf("event_2")]);
    let target = postgres([customer(), whole(), leaf("event_1")]);
    let layout = resolved(&proposed(&source), &source);
    assert_eq!(layout.tables[1].leaves, [name("event_1"), name("event_2")]);
    assert!(layout.tables[1].partitioned);
    assert_eq!(
        diff(&source, &target, &layout),
        ["public.event: partition public.event_2 is only at the source"]
    );
}

#[test]
fn a_column_that_the_map_was_not_read_with_is_named() {
    let first = chinook();
    let mut others = chinook();
    let mut nickname = at(&mut others, "customer").columns[1].clone();
    nickname.name = "nickname".into();
    at(&mut others, "customer").columns.push(nickname);
    // Both sides of the move are alike; the region at which the map was resolved is a third one.
    assert_eq!(
        diff(&others, &others, &resolved(&answered(), &first)),
        ["public.customer: column nickname is not at the region that the data map was read at"]
    );
}

#[test]
fn look_ups_without_an_index_are_named_with_the_statement_that_makes_it() {
    let mut catalogue = chinook();
    for table in &mut catalogue.tables {
        table.rows_estimate = 20_000;
        table.indexes = vec![table.primary_key.clone()];
    }
    at(&mut catalogue, "invoice").indexes.push(vec!["customer_id".into(), "total".into()]);
    let layout = resolved(&answered(), &catalogue);
    let absent = unindexed(&layout, &catalogue);
    let lines: Vec<_> =
        absent.iter().map(|u| format!("{} by {}: {}", u.table, u.columns.join(", "), u.remedy)).collect();
    let expected = "public.invoice_line by invoice_id: \
         CREATE INDEX CONCURRENTLY ON \"public\".\"invoice_line\" (\"invoice_id\");";
    assert_eq!(lines, [expected], "keys to tables that do not move are left out, and so is the indexed one");

    at(&mut catalogue, "invoice_line").rows_estimate = 10;
    assert!(unindexed(&layout, &catalogue).is_empty(), "a small table is read whole as fast");
}
