//! Sequences behind keys: what they give next, and what is in the column already.

use crate::layouts::Way;
use crate::{cluster, database, open};
use domicile_datamap::{Giver, Numbers, TableName, clashes, join_strides};
use domicile_stores::Records;

const SCHEMA: &str = r#"
create table public.person (id serial primary key, land text, "No" bigint unique generated always as identity (start 7 increment 5));
create sequence public.shared start 40;
create table public."A b" (id bigint primary key default nextval('public.shared'), person integer not null references public.person, n serial);
create table public.pair (person integer references public.person, pos bigserial, primary key (person, pos));
"#;

#[tokio::test]
async fn sequences_are_read_with_what_they_count() {
    let tables = [
        ("public.person", Way::Root("id")),
        ("public.A b", Way::Direct("person")),
        ("public.pair", Way::Direct("person")),
    ];
    let url = database("numbers", SCHEMA);
    cluster().sql(
        "numbers",
        "insert into public.person(land) values ('IN'), ('IN'); insert into public.person(id, land) values (100, 'IN'); \
         set role owner; alter table public.person alter \"No\" restart with 500",
    );
    let store = open(&url, &tables, "land").await;
    let found = store.numbers().await.unwrap();
    let line = |n: &Numbers| (n.table.name.clone(), n.column.clone(), n.next, n.step, n.greatest);
    let lines: Vec<_> = found.iter().map(line).collect();
    // Neither `n`, which may repeat, nor `pos`, which stands beside the subject in its key.
    assert_eq!(
        lines,
        [
            ("person".to_owned(), "No".to_owned(), Some(500), 5, Some(17)),
            ("person".to_owned(), "id".to_owned(), Some(3), 1, Some(100)),
            ("A b".to_owned(), "id".to_owned(), Some(40), 1, None),
        ]
    );
    assert_eq!(found[0].giver, Giver::Identity);
    assert_eq!(found[1].giver, Giver::Sequence(TableName::new("public", "person_id_seq")));
}

#[tokio::test]
async fn the_statements_end_the_clash() {
    let tables = [("public.person", Way::Root("id")), ("public.A b", Way::Direct("person"))];
    let mut stores = Vec::new();
    for region in ["numbers_de", "numbers_us", "numbers_fr"] {
        let url = database(region, SCHEMA);
        stores.push((region.to_owned(), open(&url, &tables, "land").await));
    }
    let all = async |of: &[(String, domicile_stores::postgres::Postgres)]| {
        let mut all = Vec::new();
        for (region, store) in of {
            all.push((region.clone(), store.numbers().await.unwrap()));
        }
        all
    };
    for clash in clashes(&all(&stores[..2]).await, 2) {
        for line in clash.remedy {
            let (sql, region) = line.split_once(" -- at ").unwrap();
            cluster().sql(region, sql);
        }
    }
    assert_eq!(clashes(&all(&stores[..2]).await, 2), []);
    // A new region with the strides of the others, as a copied schema has them: `No` counts by five, which
    // is room enough, and keeps that.
    cluster().sql(
        "numbers_fr",
        "alter sequence public.shared increment 8; alter sequence public.person_id_seq increment 8",
    );
    let joined = join_strides(&all(&stores).await, "numbers_fr");
    assert_eq!(joined.len(), 3);
    stores[2].1.run_schema(&joined.join("\n")).await.unwrap();
    assert_eq!(clashes(&all(&stores).await, 3), []);
}
