//! Installing, repeating, removing; what a plain role lacks; what stands in the way.

use crate::shop::{SCHEMA, Shop, connect, ids, layout, run, spec};
use domicile_stores::postgres::Postgres;
use domicile_stores::records::{Mode, State};
use domicile_stores::{Error, Records};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn installing_again_keeps_everything() {
    let shop = Shop::standard().await;
    let (lease, app) = (shop.lease().await, shop.app().await);
    shop.fence(&lease, &[1]).await;
    shop.mark(&lease, &[2]).await;
    app.batch_execute("update items set qty = 3 where id = 2").await.unwrap();
    let mut again = spec();
    again.admission.retain(|a| a.country != "INDIA");
    shop.records.install(&again).await.unwrap();
    shop.records.install(&again).await.unwrap();
    assert_eq!(shop.home(1).await.state, State::Fenced);
    assert_eq!(shop.changed().await, ["2 public.items [2]"]);
    let status = shop.records.status(true).await.unwrap();
    assert_eq!((status.mode, status.changed, status.unhomed), (Some(Mode::Enforce), 1, 0));
    assert_eq!(status.subjects[&State::Home], 18);
    assert!(status.faults.is_empty(), "{:?}", status.faults);
    assert_eq!(run(&app, "insert into users values (90, 'INDIA')").await, "RS002");
}

/// A map that grew or shrank: triggers come and go with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_map_is_followed() {
    let shop = Shop::standard().await;
    let mut smaller = layout();
    smaller.tables.truncate(3);
    smaller.tables[0].children = vec![1];
    smaller.hash = "1".repeat(64);
    let records = Postgres::open(&crate::shop::cluster().url("mover", &shop.name), None, Arc::new(smaller))
        .await
        .unwrap();
    let faults = records.status(false).await.unwrap().faults;
    assert!(faults.iter().any(|f| f.contains("another data map")), "{faults:?}");
    records.install(&spec()).await.unwrap();
    assert!(records.status(false).await.unwrap().faults.is_empty());
    let lease = shop.lease().await;
    shop.fence(&lease, &[1]).await;
    let app = shop.app().await;
    assert_eq!(run(&app, "insert into events values (90, 1, '2021-01-02')").await, "ok");
    assert_eq!(run(&app, "insert into orders values (90, 1)").await, "RS001");
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_leaves_nothing_and_waits_for_everybody_to_be_home() {
    let shop = Shop::standard().await;
    let lease = shop.lease().await;
    shop.fence(&lease, &[1]).await;
    let refused = shop.records.remove().await.unwrap_err();
    assert!(matches!(&refused, Error::Schema { what, .. } if what.contains("1 fenced")), "{refused}");
    shop.step1(&lease, &[1], &[State::Fenced], State::Home).await;
    shop.records.remove().await.unwrap();
    shop.records.remove().await.unwrap();
    let left = "select (select count(*) from pg_trigger where tgname like '00%'), to_regnamespace('domicile') is null";
    let row = shop.admin().await.query_one(left, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, bool>(1)), (0, true));
    assert!(!shop.records.status(true).await.unwrap().installed);
    assert_eq!(run(&shop.app().await, "insert into users values (90, 'BR')").await, "ok");
}

/// Install gives up rather than letting the application queue behind it.
#[tokio::test(flavor = "multi_thread")]
async fn install_gives_way_to_a_long_writer() {
    let shop = Shop::new(SCHEMA, layout()).await;
    let app = shop.app().await;
    app.batch_execute("begin; update items set qty = 2 where id = 1").await.unwrap();
    let gave_up = shop.records.install(&spec()).await.unwrap_err();
    assert!(gave_up.is_again(), "{gave_up}");
    assert!(!shop.records.status(false).await.unwrap().installed, "whole or not at all");
    app.batch_execute("commit").await.unwrap();
    shop.records.install(&spec()).await.unwrap();
}

/// Each missing privilege is named with a GRANT, and the GRANTs are enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_role_is_told_what_it_lacks() {
    let shop = Shop::new(SCHEMA, layout()).await;
    let admin = shop.admin().await;
    admin
        .batch_execute(&format!("create role plain login; revoke all on database {0} from public; grant connect on database {0} to plain; revoke all on schema public from public", shop.name))
        .await
        .unwrap();
    let url = crate::shop::cluster().url("plain", &shop.name);
    let plain = Postgres::open(&url, None, Arc::new(layout())).await.unwrap();
    let missing = plain.missing_privileges().await.unwrap();
    let grants: Vec<&str> = missing.iter().map(|(_, g)| g.as_str()).collect();
    for grant in [
        format!("GRANT CREATE ON DATABASE \"{}\" TO \"plain\"", shop.name),
        format!("GRANT TEMPORARY ON DATABASE \"{}\" TO \"plain\"", shop.name),
        "GRANT USAGE ON SCHEMA \"public\" TO \"plain\"".to_owned(),
        "GRANT shop_owner TO \"plain\"".to_owned(),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON \"public\".\"items\" TO \"plain\"".to_owned(),
    ] {
        assert!(grants.contains(&grant.as_str()), "{grant}: {grants:#?}");
    }
    assert!(plain.install(&spec()).await.is_err());
    for grant in grants {
        admin.batch_execute(grant).await.unwrap();
    }
    assert_eq!(plain.missing_privileges().await.unwrap(), []);
    plain.install(&spec()).await.unwrap();
    assert_eq!(plain.unhomed(None, 100).await.unwrap().len(), 20);
    assert_eq!(plain.adopt(&[(ids(&[1])[0].clone(), 1)]).await.unwrap(), 1);
    let other = shop.records.missing_privileges().await.unwrap();
    assert!(other.iter().any(|(_, g)| g == "ALTER SCHEMA domicile OWNER TO \"mover\""), "{other:?}");
    admin.batch_execute("drop schema domicile cascade; drop owned by plain; drop role plain").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hazards_are_named() {
    let shop = Shop::standard().await;
    assert!(shop.records.hazards().await.unwrap().is_empty());
    let (app, admin) = (shop.app().await, connect("postgres", &shop.name).await);
    app.batch_execute("begin; update items set qty = 2 where id = 1; prepare transaction 'p'").await.unwrap();
    admin
        .batch_execute("alter table events enable row level security, force row level security")
        .await
        .unwrap();
    admin
        .batch_execute("create subscription s connection 'dbname=nowhere' publication p with (connect = false, slot_name = none)")
        .await
        .unwrap();
    admin.batch_execute("insert into pg_subscription_rel select oid, 'items'::regclass, 'i', null from pg_subscription where subname = 's'").await.unwrap();
    let hazards: Vec<String> =
        shop.records.hazards().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(hazards.len(), 3, "{hazards:#?}");
    assert!(hazards.iter().any(|h| h.starts_with("prepared transaction of role app")), "{hazards:#?}");
    assert!(
        hazards.iter().any(|h| h.contains("subscription s applies into \"public\".\"items\"")),
        "{hazards:#?}"
    );
    assert!(hazards.iter().any(|h| h.contains("NO FORCE ROW LEVEL SECURITY")), "{hazards:#?}");
    admin.batch_execute("rollback prepared 'p'").await.unwrap();
    admin.batch_execute("drop subscription s").await.unwrap();
}
