//! Finding 8: sign-up, and policy's word on a country.

use crate::shop::{SCHEMA, Shop, layout, refusal, run};
use domicile_datamap::catalogue::FkAction;
use domicile_datamap::layout::{AttributePath, Hop, Layout, Owner};
use domicile_stores::Records;

#[tokio::test(flavor = "multi_thread")]
async fn signing_up() {
    let shop = Shop::standard().await;
    let app = shop.app().await;
    assert_eq!(run(&app, "begin; select domicile.sign_up(90, 1); insert into users values (90, 'India'); insert into orders values (90, 90); commit").await, "ok");
    assert_eq!(run(&app, "select domicile.sign_up(90, 1)").await, "ok", "safe to repeat");
    assert_eq!(run(&app, "select domicile.sign_up(90, 2)").await, "RS001");
    shop.put(90, "w", "null").await;
    assert_eq!(run(&app, "select domicile.sign_up(90, 7)").await, "RS001", "it lives elsewhere now");
    assert_eq!(run(&app, "select domicile.sign_up(null, 1)").await, "22023");
    // The application sees neither tables nor the inner functions.
    for sql in [
        "select * from domicile.home",
        "select domicile.enter(1, 'x')",
        "select domicile.country_changed(1, 'x')",
        "insert into domicile.admission values ('BR', true, '')",
    ] {
        assert_eq!(run(&app, sql).await, "42501", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_country_is_refused_with_its_rule() {
    let shop = Shop::standard().await;
    let app = shop.app().await;
    let (code, message, ..) = refusal(&app, "insert into users values (91, ' br ')").await;
    assert_eq!(code, "RS002", "also without a home row");
    assert_eq!(message, "policy forbids a row of public.users in region beijing: rule-for-BR");
    assert_eq!(
        run(&app, "insert into users values (91, 'IN')").await,
        "RS001",
        "allowed, but without a home row"
    );
    app.batch_execute("select domicile.sign_up(91, 1)").await.unwrap();
    for country in ["'BR'", "'Atlantis'", "null"] {
        assert_eq!(
            run(&app, &format!("insert into users values (91, {country})")).await,
            "RS002",
            "{country}"
        );
    }
    assert_eq!(run(&app, "insert into users values (91, 'in')").await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_country_that_changes_marks_the_subject_for_the_next_plan() {
    let shop = Shop::standard().await;
    let app = shop.app().await;
    assert_eq!(run(&app, "update users set country = 'BR' where id in (1, 2)").await, "ok");
    let listed = || async { shop.records.status(false).await.unwrap().observed };
    let expected = ("public.users".to_owned(), "country no longer permitted here: rule-for-BR".to_owned(), 2);
    assert_eq!(listed().await, [expected]);
    app.batch_execute("update users set country = 'IN'").await.unwrap();
    assert!(listed().await.is_empty());
}

/// users -> address -> city -> country, all foreign keys deferrable where they may come late.
fn far_country() -> (String, Layout) {
    let schema = "
        create table nation(id int primary key, word text);
        create table city(id int primary key, nation_id int references nation);
        create table users(id bigint primary key, address_id int not null);
        create table address(id int primary key, user_id bigint not null references users, city_id int references city);
        alter table users add foreign key (address_id) references address deferrable initially deferred;
        insert into nation values (1, 'IN'), (2, 'BR'); insert into city values (10, 1), (20, 2);
        begin; insert into users select n, n from generate_series(1, 3) n;
        insert into address select n, n, 10 from generate_series(1, 3) n; commit;
        create table keep();"
        .to_owned();
    let mut users = crate::shop::mapped(
        crate::shop::name("users"),
        Owner::Root { column: "id".to_owned() },
        &["id"],
        &[("id", "bigint"), ("address_id", "integer")],
    );
    users.children = vec![1];
    let mut address = crate::shop::mapped(
        crate::shop::name("address"),
        crate::shop::direct("user_id"),
        &["id"],
        &[("id", "integer"), ("user_id", "bigint"), ("city_id", "integer")],
    );
    address.foreign_keys =
        vec![crate::shop::foreign_key("user_id", crate::shop::name("users"), "id", FkAction::NoAction)];
    let mut layout = crate::shop::layout_of(vec![users, address]);
    let hop = |table: &str, a: &str| Hop {
        table: crate::shop::name(table),
        on: vec![(a.to_owned(), "id".to_owned())],
    };
    layout.country = AttributePath {
        hops: vec![hop("address", "address_id"), hop("city", "city_id"), hop("nation", "nation_id")],
        column: "word".to_owned(),
    };
    (schema.replace("begin; ", "").replace(" commit;", ""), layout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_country_behind_foreign_keys_is_checked_at_commit() {
    let (schema, layout) = far_country();
    let shop = Shop::guarded(&schema, layout).await;
    let app = shop.app().await;
    let facts = shop.records.subjects(None, 2).await.unwrap();
    assert_eq!(facts.iter().map(|f| f.country.as_deref()).collect::<Vec<_>>(), [Some("IN"), Some("IN")]);
    app.batch_execute("select domicile.sign_up(7, 1)").await.unwrap();
    let sign_up = |city: &str| {
        format!("begin; insert into users values (7, 7); insert into address values (7, 7, {city}); commit")
    };
    assert_eq!(run(&app, &sign_up("20")).await, "RS002");
    assert_eq!(run(&app, &sign_up("null")).await, "RS002");
    assert_eq!(
        run(&app, "begin; insert into users values (7, 7); set constraints all immediate").await,
        "RS002",
        "early: not yet means no"
    );
    app.batch_execute("rollback").await.unwrap();
    assert_eq!(run(&app, &sign_up("10")).await, "ok");
    // On the way: a mapped table's row decides.
    app.batch_execute("update address set city_id = 20 where id = 2").await.unwrap();
    let observed = shop.records.status(false).await.unwrap().observed;
    assert_eq!(observed.len(), 1, "{observed:?}");
    app.batch_execute(
        "update address set city_id = 10 where id = 2; update users set address_id = 2 where id = 3",
    )
    .await
    .unwrap();
    assert!(shop.records.status(false).await.unwrap().observed.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_ask_who_is_at_home() {
    let shop = Shop::guarded(SCHEMA, layout()).await;
    let app = shop.app().await;
    for (state, here) in [("h", true), ("m", true), ("f", true), ("s", true), ("a", false), ("w", false)] {
        shop.put(1, state, "null").await;
        let answer: bool = app.query_one("select domicile.is_home(1)", &[]).await.unwrap().get(0);
        assert_eq!(answer, here, "{state}");
    }
    let answer: bool = app.query_one("select domicile.is_home(4711)", &[]).await.unwrap().get(0);
    assert!(!answer);
    // The policy that the docs print.
    shop.raw_mover().await.batch_execute("set role shop_owner; alter table orders enable row level security; create policy domicile_home on orders using (domicile.is_home(user_id))").await.unwrap();
    let seen: i64 = app.query_one("select count(*) from orders", &[]).await.unwrap().get(0);
    assert_eq!(seen, 19);
    let kept = shop.records.remove().await.unwrap_err();
    assert!(kept.to_string().contains("not at home") || kept.to_string().contains("is_home"), "{kept}");
}
