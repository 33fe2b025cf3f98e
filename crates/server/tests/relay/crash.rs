//! A registration that ends between the directory's home and the mailbox's row: nobody is stuck.

use crate::phone::Phone;
use crate::stage::{Stage, limits};
use domicile_directory::Cursor;
use domicile_messaging::consent::Purpose;

const NUMBER: &str = "+8613912345678";
const FUNCTION: &str = "CREATE FUNCTION public.crash() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE EXCEPTION 'a crash'; END $$; \
     CREATE TRIGGER crash BEFORE INSERT ON mailbox FOR EACH ROW EXECUTE FUNCTION public.crash()";

impl Stage {
    /// SQL as the owner of the tables of one of the databases.
    fn owner(&self, database: &str, [sqlite, postgres]: [&str; 2]) {
        match self.site.clusters.first() {
            Some(cluster) => drop(cluster.sql(database, postgres)),
            None => {
                let file = if database == "control" { "control.db" } else { "beijing.db" };
                let db = rusqlite::Connection::open(self.site.places.dir.join(file)).unwrap();
                db.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
                db.execute_batch(sqlite).unwrap();
            }
        }
    }

    /// From here on no mailbox's row can be made.
    fn crashes(&self) {
        let sqlite =
            "CREATE TRIGGER crash BEFORE INSERT ON mailbox BEGIN SELECT RAISE(ABORT, 'a crash'); END";
        self.owner("messages", [sqlite, FUNCTION]);
    }

    fn recovers(&self) {
        let postgres = "DROP TRIGGER crash ON mailbox; DROP FUNCTION public.crash()";
        self.owner("messages", ["DROP TRIGGER crash", postgres]);
    }

    async fn homes(&self) -> usize {
        let directory = self.site.places.directory().await.unwrap();
        directory.changes_since(crate::site::SERVICE, Cursor::default(), 100).await.unwrap().changes.len()
    }

    async fn rows(&self) -> usize {
        self.stores[0].ask("SELECT id FROM mailbox", vec![]).await.unwrap().rows.len()
    }

    /// Ten minutes later, as far as reservations go.
    fn later(&self) {
        let sql = "UPDATE directory_claim SET expires_ms = 0 WHERE committed = 0";
        self.owner("control", [sql, sql]);
    }
}

/// A registration that ends before the mailbox has a row; its attempt.
async fn cut_short(stage: &Stage, phone: &mut Phone) -> serde_json::Value {
    phone.give(Purpose::CloudMessaging).await.ok();
    let attempt = phone.start(NUMBER).await.ok()["attempt"].clone();
    stage.crashes();
    let ended = phone.finish(&attempt, NUMBER, &stage.code(NUMBER)).await;
    assert!(ended.status.is_server_error(), "{}", ended.status);
    attempt
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_without_a_row_is_finished_by_the_same_attempt() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        let attempt = cut_short(&stage, &mut phone).await;
        assert_eq!((stage.homes().await, stage.rows().await), (1, 0));
        stage.recovers();
        let registered = phone.finish(&attempt, NUMBER, &stage.code(NUMBER)).await.ok();
        assert_eq!((stage.homes().await, stage.rows().await), (1, 1));
        phone.renew().await;
        phone.get("messages").await.ok();
        // Whoever proves the number from now on gets that mailbox.
        let (_, taken) = Phone::registered(&stage, 0, NUMBER).await;
        assert_eq!(taken["mailbox"], registered["mailbox"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_without_a_row_keeps_nobody_from_beginning_again() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        cut_short(&stage, &mut phone).await;
        stage.recovers();
        // Another device, which knows nothing of that attempt: not at once, since the number is reserved.
        let mut other = Phone::new(&stage, 0);
        other.give(Purpose::CloudMessaging).await.ok();
        let again = other.start(NUMBER).await.ok()["attempt"].clone();
        let code = stage.code(NUMBER);
        assert_eq!(other.finish(&again, NUMBER, &code).await.no(), (409, "number-busy".into()));
        stage.later();
        let registered = other.finish(&again, NUMBER, &code).await.ok();
        other.renew().await;
        other.get("messages").await.ok();
        // The first one's home is nobody's; its device gets the number's mailbox like everybody who proves the number.
        assert_eq!((stage.homes().await, stage.rows().await), (2, 1));
        let late = phone.start(NUMBER).await.ok()["attempt"].clone();
        let late = phone.finish(&late, NUMBER, &stage.code(NUMBER)).await.ok();
        assert_eq!(late["mailbox"], registered["mailbox"]);
    }
}

/// A registration that ends when the mailbox has its row, before the number is its own.
async fn half_made(stage: &Stage, phone: &mut Phone) -> String {
    phone.give(Purpose::CloudMessaging).await.ok();
    phone.give(Purpose::ContactDiscovery).await.ok();
    let attempt = phone.start(NUMBER).await.ok()["attempt"].clone();
    let sqlite = "CREATE TRIGGER crash BEFORE UPDATE ON directory_claim WHEN NEW.committed = 1 \
         BEGIN SELECT RAISE(ABORT, 'a crash'); END";
    let postgres = "CREATE FUNCTION public.crash() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'a crash'; END $$; CREATE TRIGGER crash BEFORE UPDATE ON directory_claim \
         FOR EACH ROW WHEN (NEW.committed = 1) EXECUTE FUNCTION public.crash()";
    stage.owner("control", [sqlite, postgres]);
    let ended = phone.finish(&attempt, NUMBER, &stage.code(NUMBER)).await;
    assert!(ended.status.is_server_error(), "{}", ended.status);
    let postgres = "DROP TRIGGER crash ON directory_claim; DROP FUNCTION public.crash()";
    stage.owner("control", ["DROP TRIGGER crash", postgres]);
    stage.stores[0].mailbox_of(&phone.id().to_string()).await.unwrap().expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_a_half_made_mailbox_up_has_the_other_one() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        let half = half_made(&stage, &mut phone).await;
        // Its token names that mailbox from here on.
        phone.renew().await;
        let other = "+8613912345679";
        let (mut former, registered) = Phone::registered(&stage, 0, other).await;
        former.give(Purpose::Presence).await.ok();
        let attempt = phone.start(other).await.ok()["attempt"].clone();
        let taken = phone.finish(&attempt, other, &stage.code(other)).await.ok();
        assert_eq!(taken["mailbox"], registered["mailbox"]);
        phone.renew().await;
        phone.get("messages").await.ok();
        let holder = async |mailbox: &str| stage.stores[0].holder(mailbox).await.unwrap().unwrap();
        let own = holder(taken["mailbox"].as_str().unwrap()).await;
        assert_eq!(own.device, phone.id().to_string());
        assert!(own.gave("cloud_messaging") && own.gave("contact_discovery") && !own.gave("presence"));
        let half = holder(&half).await;
        assert!(half.device.is_empty() && !half.gave("cloud_messaging"));
        // A withdrawal is of what it has.
        phone.withdraw(Purpose::CloudMessaging).await.ok();
        assert!(holder(&own.mailbox).await.device.is_empty());
    }
}

/// The same number, again: the device goes on with the mailbox that was half-made.
#[tokio::test(flavor = "multi_thread")]
async fn a_half_made_mailbox_is_finished_by_the_next_attempt() {
    let stage = Stage::with(false, limits()).await;
    let mut phone = Phone::new(&stage, 0);
    let half = half_made(&stage, &mut phone).await;
    let again = phone.start(NUMBER).await.ok()["attempt"].clone();
    // By another attempt the number is busy until its reservation is over.
    assert_eq!(phone.finish(&again, NUMBER, &stage.code(NUMBER)).await.no(), (409, "number-busy".into()));
    stage.later();
    let registered = phone.finish(&again, NUMBER, &stage.code(NUMBER)).await.ok();
    assert_eq!(registered["mailbox"], half);
    phone.renew().await;
    phone.get("messages").await.ok();
}
