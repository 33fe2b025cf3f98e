//! Rows that refer to each other in circles: copied, changed, deleted and erased in pieces.

use crate::layouts::Way;
use crate::{cluster, database, ids, leased, open};
use domicile_stores::postgres::Postgres;
use domicile_stores::records::{Change, Key, KeySet, Pick, SubjectId};
use domicile_stores::{Error, Records};
use std::collections::BTreeMap;

/// `crew.captain` and `member.crew` close a circle; `member.mentor` refers to its own table; `visit`
/// refers to a member beside its path.
const SCHEMA: &str = "create table person (id integer primary key, country text);
  create table crew (id integer primary key, person_id integer not null references person (id), captain integer);
  create table member (id integer primary key, crew_id integer not null references crew (id) on delete cascade,
    mentor integer references member (id));
  alter table crew add constraint crew_captain foreign key (captain) references member (id);
  create table visit (person_id integer not null references person (id), n integer, host integer references member (id) on delete set null,
    primary key (person_id, n));
  create index on crew (person_id); create index on member (crew_id); create index on member (mentor);
  create index on crew (captain); create index on visit (host)";

const ROWS: &str = "insert into person values (1, 'IN'), (2, 'IN');
  insert into crew select n, 1 + n % 2, null from generate_series(1, 40) n;
  insert into member select n, 1 + n % 40, null from generate_series(1, 400) n;
  update member m set mentor = (select max(o.id) from member o where o.crew_id = m.crew_id);
  update crew c set captain = (select min(id) from member where crew_id = c.id);
  insert into visit select 1 + m.id % 2, m.id, m.id from member m where m.crew_id % 2 <> m.id % 2";

async fn opened(name: &str) -> Postgres {
    let tables = [
        ("public.person", Way::Root("id")),
        ("public.crew", Way::Direct("person_id")),
        ("public.member", Way::By("public.crew")),
        ("public.visit", Way::Direct("person_id")),
    ];
    open(&database(name, SCHEMA), &tables, "country").await
}

#[tokio::test]
async fn circles_are_copied_and_cleared() {
    let (source, target) = (opened("links_source").await, opened("links_target").await);
    cluster().sql("links_source", ROWS);
    assert_eq!(source.layout().tables[1].null_first, ["captain"]);
    let lease = leased(&target).await;
    let both = ids(&["1", "2"]);
    target.arrive(&lease, &[(both[0].clone(), 2), (both[1].clone(), 2)]).await.unwrap();
    let mut here = source.snapshot().await.unwrap();
    let mut writing = target.begin(&lease).await.unwrap();
    for table in 0..4 {
        let rows = here.rows(table, Pick::Subjects(&both), true).await.unwrap();
        writing.load(table, rows).await.unwrap();
    }
    for table in 1..3 {
        let rows = here.rows(table, Pick::Subjects(&both), false).await.unwrap();
        writing.upsert(table, rows).await.unwrap();
    }
    writing.commit().await.unwrap();
    let digests = here.digests(&both).await.unwrap();
    assert_eq!(digests, target.snapshot().await.unwrap().digests(&both).await.unwrap());
    let mut writing = target.begin(&lease).await.unwrap();
    assert_eq!(writing.clear(&both).await.unwrap()[&2], 400);
    writing.commit().await.unwrap();
    assert!(target.snapshot().await.unwrap().counts(&both).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_subtree_is_what_a_delete_could_hit() {
    let store = opened("links_expand").await;
    cluster().sql("links_expand", ROWS);
    let mut snapshot = store.snapshot().await.unwrap();
    let change = |subtree| Change {
        id: 1,
        subject: SubjectId("1".to_owned()),
        table: 1,
        key: Key("[2]".to_owned()),
        subtree,
    };
    let alone = snapshot.expand(&[change(false)]).await.unwrap();
    assert_eq!(alone, KeySet::from([(1, [Key("[2]".to_owned())].into())]));
    let all = snapshot.expand(&[change(true)]).await.unwrap();
    let count = |sql: &str| cluster().sql("links_expand", sql).parse::<usize>().unwrap();
    assert_eq!(all[&2].len(), count("select count(*) from member where crew_id = 2"));
    let visits = "select count(*) from visit join member on host = id where crew_id = 2";
    assert_eq!(all.get(&3).map_or(0, |v| v.len()), count(visits));
    assert_eq!(all[&1].len(), 1);
}

#[tokio::test]
async fn erasing_in_pieces_unties_circles_and_counts_exactly() {
    let store = opened("links_erase").await;
    // Mentors and hosts within one person's rows: another's row that refers here stops the erasure.
    cluster().sql("links_erase", ROWS);
    cluster().sql("links_erase", "delete from visit v using member m, crew c where m.id = v.host and c.id = m.crew_id and c.person_id <> v.person_id");
    let lease = leased(&store).await;
    let away = "insert into domicile.home (subject, state, epoch, gen) values (1, 'w', 7, 0), (2, 'h', 1, 0)";
    cluster().sql("links_erase", away);
    let person = ids(&["1"]);
    let expected: BTreeMap<usize, u64> = {
        let counts = store.snapshot().await.unwrap().counts(&person).await.unwrap();
        counts.into_iter().map(|((_, table), n)| (table, n)).collect()
    };
    let refused = store.erase_some(&lease, &[(SubjectId("2".to_owned()), 1)], 9).await.unwrap_err();
    assert!(matches!(refused, Error::Schema { .. }), "{refused:?}");
    let mut erased = BTreeMap::new();
    loop {
        let some = store.erase_some(&lease, &[(person[0].clone(), 7)], 7).await.unwrap();
        if some.is_empty() {
            break;
        }
        assert!(some.values().sum::<u64>() <= 7, "{some:?}");
        for (table, n) in some {
            *erased.entry(table).or_insert(0) += n;
        }
    }
    assert_eq!(erased, expected);
    let left = "select (select count(*) from member), (select count(*) from crew), (select count(*) from member where mentor is null)";
    assert_eq!(cluster().sql("links_erase", left), "200|20|0", "the other person's rows are as they were");
}
