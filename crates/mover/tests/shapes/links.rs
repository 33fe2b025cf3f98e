//! Foreign keys of every kind: self-references, cycles, and their actions while an application uses them.

use crate::land::{Case, Hooks, Land, assert_same, said};
use domicile_mover::wave;
use std::sync::Arc;

const SCHEMA: &str = "
CREATE TABLE posts(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users ON UPDATE CASCADE ON DELETE CASCADE,
  slug text NOT NULL UNIQUE, parent int REFERENCES posts ON DELETE SET NULL, best int);
CREATE TABLE replies(id int PRIMARY KEY, post int NOT NULL REFERENCES posts ON DELETE CASCADE, body text);
ALTER TABLE posts ADD FOREIGN KEY (best) REFERENCES replies ON DELETE SET NULL;
CREATE TABLE tags(slug text NOT NULL REFERENCES posts(slug) ON UPDATE CASCADE ON DELETE CASCADE, tag text, PRIMARY KEY (slug, tag));
CREATE TABLE uses(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users ON DELETE CASCADE, slug text, tag text DEFAULT 'none',
  FOREIGN KEY (slug, tag) REFERENCES tags ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE drafts(id int PRIMARY KEY, post int NOT NULL DEFAULT 1 REFERENCES posts ON DELETE SET DEFAULT, body text);
CREATE TABLE eggs(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users, hen int NOT NULL);
CREATE TABLE hens(id int PRIMARY KEY, egg int NOT NULL REFERENCES eggs DEFERRABLE INITIALLY DEFERRED, name text);
ALTER TABLE eggs ADD FOREIGN KEY (hen) REFERENCES hens DEFERRABLE;
CREATE TABLE tree(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users, up int NOT NULL REFERENCES tree DEFERRABLE, v int);
CREATE TABLE chain(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users, up int REFERENCES chain ON DELETE RESTRICT, v int);
";

const ROWS: &str = "
INSERT INTO users VALUES (1, 'IN'), (2, 'DE'), (3, 'IN'), (4, 'IN');
INSERT INTO posts SELECT n, 1 + n % 3, 'slug ' || n, NULL, NULL FROM generate_series(1, 30) n;
UPDATE posts SET parent = id - 3 WHERE id > 3;
INSERT INTO replies SELECT n, 1 + n % 30, 'r' || n FROM generate_series(1, 60) n;
UPDATE posts SET best = (SELECT max(id) FROM replies WHERE post = posts.id);
INSERT INTO tags SELECT slug, t FROM posts, unnest(array['a', 'none', 'c']) t;
INSERT INTO uses SELECT id, owner, slug, 'a' FROM posts;
INSERT INTO drafts SELECT id, id, 'd' FROM posts;
BEGIN; SET CONSTRAINTS ALL DEFERRED;
INSERT INTO eggs SELECT n, 1 + n % 3, n FROM generate_series(1, 9) n; INSERT INTO hens SELECT n, n, 'h' FROM generate_series(1, 9) n; COMMIT;
INSERT INTO tree SELECT n, 1, greatest(n / 2, 1), 0 FROM generate_series(1, 50) n;
INSERT INTO chain SELECT n, 1, nullif(n - 1, 0), 0 FROM generate_series(1, 50) n;
";

const ANSWERS: &[(&str, &str)] = &[
    ("owner:public.eggs", "owner"),
    ("other:public.eggs", "same"),
    ("owner:public.posts", "owner"),
    ("other:public.posts", "same"),
    ("owner:public.uses", "owner"),
    ("other:public.uses", "same"),
    ("owner:public.tree", "owner"),
    ("other:public.tree", "same"),
    ("owner:public.chain", "owner"),
    ("other:public.chain", "same"),
];

fn case() -> Case {
    Case { answers: ANSWERS, ..Case::of_users(SCHEMA, ROWS) }
}

#[tokio::test(flavor = "multi_thread")]
async fn cycles_and_self_references() {
    Land::round_trip(case(), 3).await;
}

/// What an application does while its rows move: keys change, parents go, and the actions of foreign keys reach
/// further rows. Each statement's effect is what it would be without a move.
const WRITES: [&str; 12] = [
    "UPDATE posts SET slug = slug || '!' WHERE id % 2 = 0",
    "DELETE FROM tags WHERE tag = 'a' AND slug IN (SELECT slug FROM posts WHERE id % 3 = 0)",
    "UPDATE tags SET tag = 'b' WHERE tag = 'a' AND slug LIKE '%1%'",
    "DELETE FROM replies WHERE id IN (SELECT best FROM posts WHERE id % 5 = 0)",
    "UPDATE drafts SET body = 'kept' WHERE id > 20; DELETE FROM posts WHERE id IN (21, 24)",
    "UPDATE posts SET id = id + 100 WHERE NOT EXISTS (SELECT FROM replies WHERE post = posts.id) AND id > 25 AND false",
    "BEGIN; SET CONSTRAINTS ALL DEFERRED; DELETE FROM eggs WHERE id = 3; INSERT INTO eggs VALUES (3, 1, 3); UPDATE hens SET name = 'new' WHERE id = 3; COMMIT",
    "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO hens VALUES (20, 20, 'late'); INSERT INTO eggs VALUES (20, 3, 20); COMMIT",
    "UPDATE tree SET up = 1; INSERT INTO tree VALUES (60, 1, 60, 1), (61, 1, 60, 1)",
    "UPDATE chain SET up = NULL WHERE id = 25; DELETE FROM chain WHERE id = 50",
    "UPDATE posts AS a SET parent = b.id FROM posts AS b WHERE b.id = a.id - 6",
    "UPDATE users SET country = 'IN' WHERE id = 1; DELETE FROM users WHERE id = 4",
];

#[tokio::test(flavor = "multi_thread")]
async fn actions_of_foreign_keys_while_they_move() {
    // The same writes without any move: what must come out.
    let plain = Land::unguarded(case(), [crate::land::common(), crate::land::common()]);
    let app = plain.app("old").await;
    for sql in WRITES {
        app.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", said(&e)));
    }
    let wanted = plain.rows_of_both();

    let land = Land::new(case()).await;
    for (at, stage) in ["catch up", "verify", "fence"].into_iter().enumerate() {
        let writes: Vec<&str> = WRITES.iter().skip(at * 4).take(4).copied().collect();
        let (there, handle) = (land.clone(), tokio::runtime::Handle::current());
        let hooks = Hooks::at(&[stage], move || {
            for sql in &writes {
                let write = async { there.app("old").await.batch_execute(sql).await.map_err(|e| said(&e)) };
                tokio::task::block_in_place(|| handle.block_on(write))
                    .unwrap_or_else(|e| panic!("{sql}: {e}"));
            }
        });
        // A rehearsal sees the writes of one stage and takes all back; the last run is the move.
        let service = land.service(Arc::new(hooks)).await;
        if at < 2 {
            let plan = land.planned(&service).await;
            let rehearse = wave::Options { rehearse: true, ..wave::Options::default() };
            wave::run_plan(&service, &plan, &rehearse).await.unwrap();
        } else {
            let report = land.run(&service).await.unwrap();
            assert!(report.left.is_empty(), "{:?}", report.left);
            wave::erase_wave(&service, &report.wave).await.unwrap();
        }
    }
    assert_same(&wanted, &land.rows_of_both());
}

/// A tree whose root refers to itself, erased in more transactions than one.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_erased_in_pieces() {
    let schema = "CREATE TABLE tree(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users, up int NOT NULL REFERENCES tree DEFERRABLE INITIALLY DEFERRED)";
    let rows = "INSERT INTO users VALUES (1, 'IN'), (2, 'DE');
        INSERT INTO tree SELECT n, 1, greatest(n / 2, 1) FROM generate_series(1, 200) n";
    let answers = &[("owner:public.tree", "owner"), ("other:public.tree", "same")];
    let land = Land::new(Case { answers, ..Case::of_users(schema, rows) }).await;
    let mut service = Arc::into_inner(land.service(Arc::new(Hooks::none())).await).unwrap();
    service.limits.erase_rows = 50;
    let service = Arc::new(service);
    let report = land.run(&service).await.unwrap();
    assert_eq!(report.subjects, 1, "{:?}", report.left);
    let erased = wave::erase_wave(&service, &report.wave).await.unwrap().0;
    assert_eq!((erased.subjects, erased.rows), (1, 202));
    assert_eq!(land.admin("old", "SELECT count(*) FROM tree"), "0");
}
