//! Keys of every kind: composite, UUID, text, quoted names in two schemas, keys that need pinned settings.

use crate::shop::{Shop, columns, derived, direct, foreign_key, layout_of, mapped, run};
use domicile_datamap::catalogue::{FkAction, TableName};
use domicile_datamap::layout::{Layout, Owner};
use domicile_stores::Records;
use domicile_stores::records::{State, SubjectId, Transition};

const ANN: &str = "0190a6f2-0000-7000-8000-000000000001";

const SCHEMA: &str = r#"
    create schema "Odd ""schema""";
    create table public."Us'er"("Key" uuid primary key, country text);
    create table "Odd ""schema"""."or.der $domicile$"("user" uuid not null references public."Us'er" on delete cascade, at timestamptz, "n o" text,
        primary key ("user", at, "n o"));
    create table "Odd ""schema""".line("user" uuid, at timestamptz, "n o" text, pos numeric(6,2), hash bytea, primary key ("user", at, "n o", pos, hash),
        foreign key ("user", at, "n o") references "Odd ""schema"""."or.der $domicile$" on delete cascade on update cascade);
    insert into public."Us'er" values ('0190a6f2-0000-7000-8000-000000000001', 'IN'), ('0190a6f2-0000-7000-8000-000000000002', 'IN');
    insert into "Odd ""schema"""."or.der $domicile$" select "Key", '2020-01-01 00:00Z', 'a"b''c' from public."Us'er";
    insert into "Odd ""schema""".line select "user", at, "n o", 1, '\x00ff' from "Odd ""schema"""."or.der $domicile$"
"#;

fn layout() -> Layout {
    let odd = |n: &str| TableName::new("Odd \"schema\"", n);
    let user_table = TableName::new("public", "Us'er");
    let mut user = mapped(
        user_table.clone(),
        Owner::Root { column: "Key".to_owned() },
        &["Key"],
        &[("Key", "uuid"), ("country", "text")],
    );
    user.children = vec![1];
    let three = [("user", "uuid"), ("at", "timestamp with time zone"), ("n o", "text")];
    let mut order = mapped(odd("or.der $domicile$"), direct("user"), &["user", "at", "n o"], &three);
    order.children = vec![2];
    order.foreign_keys = vec![foreign_key("user", user_table, "Key", FkAction::Cascade)];
    let mut line =
        mapped(odd("line"), derived(1, "user", "user"), &["user", "at", "n o", "pos", "hash"], &three);
    line.columns.extend(columns(&[("pos", "numeric(6,2)"), ("hash", "bytea")]));
    let link: Vec<_> = ["user", "at", "n o"].iter().map(|c| ((*c).to_owned(), (*c).to_owned())).collect();
    line.owner = Owner::Derived { parent: 1, link, deferrable: false };
    let mut key = foreign_key("user", odd("or.der $domicile$"), "user", FkAction::Cascade);
    key.columns = vec!["user".to_owned(), "at".to_owned(), "n o".to_owned()];
    key.referenced = key.columns.clone();
    key.on_update = FkAction::Cascade;
    line.foreign_keys = vec![key];
    layout_of(vec![user, order, line])
}

#[tokio::test(flavor = "multi_thread")]
async fn composite_uuid_and_quoted() {
    let shop = Shop::guarded(SCHEMA, layout()).await;
    let app = shop.app().await;
    let lease = shop.lease().await;
    let ann = [SubjectId(ANN.to_owned())];
    let go = |from, to| Transition { from, to, epoch: None, deadline: None, before_deadline: false };
    let r = &shop.records;
    assert_eq!(r.change_state(&lease, &ann, go(&[State::Home], State::Marking)).await.unwrap(), ann);
    let limit = std::time::Duration::from_secs(5);
    assert_eq!(
        r.change_state_waiting(&lease, &ann, go(&[State::Marking], State::Moving), limit).await.unwrap(),
        ann
    );
    // The application's settings must not change how keys are written down.
    app.batch_execute(
        "set timezone = 'Asia/Shanghai'; set bytea_output = 'escape'; set datestyle = 'German'",
    )
    .await
    .unwrap();
    app.batch_execute("update \"Odd \"\"schema\"\"\".line set pos = 2").await.unwrap();
    app.batch_execute("update \"Odd \"\"schema\"\"\".\"or.der $domicile$\" set \"n o\" = 'z'").await.unwrap();
    let (t, line) = ("\"2020-01-01T00:00:00+00:00\"", "\\\\x00ff");
    let changed = shop.changed().await;
    let expected = [
        format!("{ANN} \"Odd \"\"schema\"\"\".line [\"{ANN}\", {t}, \"a\\\"b'c\", 1.00, \"{line}\"] sub"),
        format!("{ANN} \"Odd \"\"schema\"\"\".line [\"{ANN}\", {t}, \"a\\\"b'c\", 2.00, \"{line}\"] sub"),
        format!("{ANN} \"Odd \"\"schema\"\"\".\"or.der $domicile$\" [\"{ANN}\", {t}, \"a\\\"b'c\"] sub"),
        format!("{ANN} \"Odd \"\"schema\"\"\".\"or.der $domicile$\" [\"{ANN}\", {t}, \"z\"] sub"),
    ];
    for entry in &expected {
        assert!(changed.contains(entry), "{entry}\n{changed:#?}");
    }
    assert!(
        changed.iter().any(|c| c.contains("line") && c.contains("\"z\", 2.00")),
        "the cascade's new key: {changed:#?}"
    );
    assert_eq!(r.change_state(&lease, &ann, go(&[State::Moving], State::Fencing)).await.unwrap(), ann);
    assert_eq!(
        run(&app, &format!("delete from \"Odd \"\"schema\"\"\".line where \"user\" = '{ANN}'")).await,
        "RS001"
    );
    assert_eq!(
        run(&app, &format!("delete from \"Odd \"\"schema\"\"\".line where \"user\" <> '{ANN}'")).await,
        "ok"
    );
    assert!(r.status(true).await.unwrap().faults.is_empty());
    assert_eq!(r.fingerprint().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_keys_sort_and_page() {
    let schema = "create table users(id varchar(20) primary key, country text); create table orders(id int primary key, user_id text not null references users);
        insert into users values ('ann@x', 'IN'), ('bob''s', 'IN'), ('Zoë', 'IN'), ('{a,\"b}', 'IN'); insert into orders values (1, 'ann@x')";
    let mut users = mapped(
        crate::shop::name("users"),
        Owner::Root { column: "id".to_owned() },
        &["id"],
        &[("id", "character varying(20)"), ("country", "text")],
    );
    users.children = vec![1];
    let mut orders = mapped(
        crate::shop::name("orders"),
        direct("user_id"),
        &["id"],
        &[("id", "integer"), ("user_id", "text")],
    );
    orders.foreign_keys = vec![foreign_key("user_id", crate::shop::name("users"), "id", FkAction::NoAction)];
    let shop = Shop::guarded(schema, layout_of(vec![users, orders])).await;
    let mut all = Vec::new();
    while let Some(next) = shop.records.subjects(all.last(), 1).await.unwrap().pop() {
        all.push(next.subject);
    }
    assert_eq!(all.len(), 4);
    assert_eq!(shop.records.facts(&all).await.unwrap().len(), 4);
    let lease = shop.lease().await;
    let go = Transition {
        from: &[State::Home],
        to: State::Marking,
        epoch: None,
        deadline: None,
        before_deadline: false,
    };
    let mut marked = shop.records.change_state(&lease, &all, go).await.unwrap();
    marked.sort();
    all.sort();
    assert_eq!(marked, all);
    assert_eq!(run(&shop.app().await, "insert into orders values (2, 'bob''s')").await, "RS001");
}

/// Catches: a key compared by another `=` than the application's, once search_path is pinned.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_an_equality_of_its_own_is_refused() {
    let schema = "create type tag as (x int); create function same(a tag, b tag) returns bool language sql as 'select true';
        create operator = (leftarg = tag, rightarg = tag, function = same);
        create table users(id bigint primary key, country text); create table orders(id tag, user_id bigint references users)";
    let mut users = mapped(
        crate::shop::name("users"),
        Owner::Root { column: "id".to_owned() },
        &["id"],
        &[("id", "bigint"), ("country", "text")],
    );
    users.children = vec![1];
    let orders = mapped(
        crate::shop::name("orders"),
        direct("user_id"),
        &["id"],
        &[("id", "public.tag"), ("user_id", "bigint")],
    );
    let shop = Shop::new(schema, layout_of(vec![users, orders])).await;
    let refused = shop.records.install(&crate::shop::spec()).await.unwrap_err().to_string();
    assert!(refused.contains("public.orders: key column \"id\" has type public.tag"), "{refused}");
}

/// What policy needs to know, by paths of any length.
#[tokio::test(flavor = "multi_thread")]
async fn facts_come_by_their_paths() {
    use domicile_datamap::layout::{AttributePath, Hop};
    let schema = "create table land(code text primary key, word text); insert into land values ('i', ' IN '), ('b', 'BR');
        create table users(id int primary key, country text, land text references land, flags text);
        insert into users values (1, 'IN', 'b', 'vip, airforce airforce'), (2, null, 'i', null), (10, ' ', null, '')";
    let columns = [("id", "integer"), ("country", "text"), ("land", "text"), ("flags", "text")];
    let mut layout = layout_of(vec![mapped(
        crate::shop::name("users"),
        Owner::Root { column: "id".to_owned() },
        &["id"],
        &columns,
    )]);
    let hops =
        vec![Hop { table: crate::shop::name("land"), on: vec![("land".to_owned(), "code".to_owned())] }];
    layout.citizenship = Some(AttributePath { hops, column: "word".to_owned() });
    layout.flags = Some(AttributePath { hops: Vec::new(), column: "flags".to_owned() });
    let shop = Shop::new(schema, layout).await;
    shop.records.install(&crate::shop::spec()).await.unwrap();
    shop.records.adopt(&[(SubjectId("2".to_owned()), 1)]).await.unwrap();
    let all = shop.records.subjects(None, 10).await.unwrap();
    let told: Vec<_> = all
        .iter()
        .map(|f| {
            (f.subject.0.as_str(), f.country.as_deref(), f.citizenship.as_deref(), f.flags.join("+"), f.state)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("1", Some("IN"), Some("BR"), "airforce+vip".to_owned(), None),
            ("2", None, Some("IN"), String::new(), Some(State::Home)),
            ("10", None, None, String::new(), None),
        ]
    );
    let after = shop.records.subjects(Some(&SubjectId("2".to_owned())), 10).await.unwrap();
    assert_eq!(after.len(), 1, "in the key's own order, not the text's");
}
