//! One writer of the application: owns its rows, and sends one transaction after the other to wherever they are
//! accepted, as an application that learns of moves by being refused.

use super::SUBJECTS;
use super::application::Application;
use super::log::{Log, Outcome};
use super::rows::{Row, Table, value_of};
use super::transaction::{Isolation, Transaction};
use crate::dice::Dice;
use crate::ground::Place;
use crate::site::{REGIONS, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::RwLock;

/// Tries of one transaction before the writer does something else.
const TRIES: u64 = 9;
/// Most people go to the same country for so long, then to the next.
const FASHION: Duration = Duration::from_secs(5);
/// A person who has moved house stays at least so long.
const STAYS: Duration = Duration::from_millis(900);

pub struct Writer {
    number: u64,
    applications: BTreeMap<&'static str, Application>,
    mine: BTreeMap<(Table, i64), Row>,
    /// Orders and items on which something may hang that this writer does not know of: never deleted, or a
    /// cascade would take what the log believes to be there.
    pinned: BTreeSet<i64>,
    /// Where an account or an order was seen last.
    seen: BTreeMap<i64, &'static str>,
    moved_house: BTreeMap<i64, Instant>,
    written: u64,
    site: Site,
    dice: Dice,
    log: Arc<Mutex<Log>>,
}

impl Writer {
    pub fn new(
        number: u64,
        places: BTreeMap<&'static str, Place>,
        mine: Vec<Row>,
        site: Site,
        dice: Dice,
        log: Arc<Mutex<Log>>,
    ) -> Self {
        let applications = places.into_iter().map(|(region, place)| (region, Application::new(place)));
        Self {
            number,
            applications: applications.collect(),
            mine: mine.into_iter().map(|row| (row.key(), row)).collect(),
            pinned: BTreeSet::new(),
            seen: BTreeMap::new(),
            moved_house: BTreeMap::new(),
            written: 1_000_000,
            site,
            dice,
            log,
        }
    }

    /// Writes until `stop`; between two transactions whoever closes the gate is let pass.
    pub async fn run(mut self, gate: Arc<RwLock<()>>, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let open = gate.read().await;
            match self.dice.roll(100) {
                0..26 => self.insert_item().await,
                26..44 => self.update_some().await,
                44..54 => self.move_item().await,
                54..62 => self.delete_item().await,
                62..71 => self.change_owner().await,
                71..76 => self.insert_order().await,
                76..79 => self.delete_order().await,
                79..88 => self.update_account().await,
                88..91 => self.swap_emails().await,
                91..95 => self.insert_part().await,
                95..98 => self.insert_photo().await,
                _ => self.delete_photo().await,
            }
            drop(open);
            tokio::time::sleep(Duration::from_millis(self.dice.roll(8))).await;
        }
    }

    fn value(&mut self) -> i64 {
        self.written += 1;
        value_of(self.number + 1, self.written)
    }

    /// A key that no other writer gives.
    fn new_id(&mut self) -> i64 {
        self.written += 1;
        (self.number as i64 + 1) * 1_000_000_000 + self.written as i64
    }

    fn pick(&mut self, table: Table) -> Option<Row> {
        let all: Vec<Row> = self.mine.values().filter(|row| row.table == table).cloned().collect();
        self.dice.pick(&all).cloned()
    }

    fn count(&self, table: Table) -> usize {
        self.mine.keys().filter(|(t, _)| *t == table).count()
    }

    /// One of everybody's orders, or one of this writer's own.
    fn any_order(&mut self) -> i64 {
        if self.dice.chance(25)
            && let Some(order) = self.pick(Table::Orders)
        {
            return order.id;
        }
        let subject = 1 + self.dice.roll(SUBJECTS as u64) as i64;
        subject * 100 + self.dice.roll(super::ORDERS as u64) as i64
    }

    /// How the transaction runs: the dense form is here.
    fn shape(&mut self, mut t: Transaction) -> Transaction {
        let d = &mut self.dice;
        t.isolation = match d.roll(100) {
            0..20 => Isolation::None,
            20..60 => Isolation::ReadCommitted,
            60..85 => Isolation::RepeatableRead,
            _ => Isolation::Serializable,
        };
        if d.chance(40) {
            t.old = Duration::from_millis(5 + d.roll(115));
        }
        if d.chance(40) {
            t.held = Duration::from_millis(5 + d.roll(95));
        }
        t.detour = d.chance(8);
        t.changed_mind = d.chance(3);
        t
    }

    /// Tries regions until one accepts. `anchor`: the account or order that says where. Done and unknown are
    /// remembered; everything else has done nothing.
    async fn send(&mut self, t: Transaction, anchor: i64, object: Option<&str>) -> Outcome {
        let t = self.shape(t);
        let mut outcome = Outcome::NotHere;
        for round in 0..TRIES {
            let anywhere = REGIONS[self.dice.roll(REGIONS.len() as u64) as usize].0;
            let region = if round % 3 < 2 { *self.seen.get(&anchor).unwrap_or(&anywhere) } else { anywhere };
            let file = object.map(|key| self.put(region, key));
            let Some(application) = self.applications.get_mut(region) else { break };
            outcome = application.send(&t).await;
            self.log.lock().unwrap_or_else(|e| e.into_inner()).note(
                self.number,
                t.subject,
                region,
                &t.effects,
                &outcome,
            );
            match &outcome {
                Outcome::Done => {
                    self.seen.insert(anchor, region);
                    return outcome;
                }
                Outcome::Unknown => return outcome,
                Outcome::Refused(code) if code == "changed-mind" => {
                    file.into_iter().for_each(|f| drop(fs::remove_file(f)));
                    return outcome;
                }
                Outcome::NotHere | Outcome::Down | Outcome::Refused(_) => {
                    file.into_iter().for_each(|f| drop(fs::remove_file(f)));
                    let stale = matches!(&outcome, Outcome::NotHere)
                        || matches!(&outcome, Outcome::Refused(c) if c == "23503" || c == "FOREIGN KEY" || c == "RS001");
                    if stale && self.seen.get(&anchor) == Some(&region) && round % 3 == 1 {
                        self.seen.remove(&anchor);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(1 + round * 3)).await;
        }
        outcome
    }

    /// Remembers rows as an acknowledged transaction left them. Where nobody knows, they are left alone from now
    /// on, and so is what they may hang on.
    fn remember(&mut self, outcome: &Outcome, rows: &[Row]) {
        match outcome {
            Outcome::Done => self.mine.extend(rows.iter().map(|row| (row.key(), row.clone()))),
            Outcome::Unknown => {
                for row in rows {
                    let before = self.mine.get(&row.key()).map(Row::parent);
                    self.pinned.extend(before.into_iter().chain([row.parent()]));
                    // An account or an order hangs on nothing that is ever deleted: its next write sets it whole.
                    if !matches!(row.table, Table::Accounts | Table::Orders) {
                        self.mine.remove(&row.key());
                    }
                }
            }
            _ => {}
        }
    }

    /// Forgets rows that are gone, or may be.
    fn forget(&mut self, outcome: &Outcome, rows: &[Row]) {
        if *outcome == Outcome::Unknown {
            self.pinned.extend(rows.iter().map(Row::parent));
        }
        if matches!(outcome, Outcome::Done | Outcome::Unknown) {
            rows.iter().for_each(|row| drop(self.mine.remove(&row.key())));
        }
    }

    async fn insert_item(&mut self) {
        if self.count(Table::Items) > 40 {
            return self.delete_item().await;
        }
        let (order, id, value) = (self.any_order(), self.new_id(), self.value());
        let row = Row { table: Table::Items, id, cells: vec![order.to_string()], value };
        let t = Transaction::new(order / 100);
        let t = if self.dice.chance(20) { t.upsert(&row) } else { t.insert(&row) };
        let outcome = self.send(t, order, None).await;
        self.remember(&outcome, &[row]);
    }

    /// One to three items of one order or of several.
    async fn update_some(&mut self) {
        let Some(first) = self.pick(Table::Items) else { return };
        let (order, mut t, mut rows) = (first.parent(), Transaction::new(first.parent() / 100), Vec::new());
        let same = self.dice.chance(60);
        let others = self.mine.values().filter(|r| r.table == Table::Items && r.id != first.id);
        let others: Vec<Row> = others.filter(|r| !same || r.parent() == order).cloned().collect();
        let more = self.dice.roll(3) as usize;
        for mut row in std::iter::once(first).chain(others.into_iter().take(more)) {
            row.value = self.value();
            t = t.update(&row);
            rows.push(row);
        }
        let outcome = self.send(t, order, None).await;
        self.remember(&outcome, &rows);
    }

    /// An item goes to another order, perhaps another subject's.
    async fn move_item(&mut self) {
        let Some(mut row) = self.pick(Table::Items) else { return };
        let order = self.any_order();
        let anchor = row.parent();
        (row.cells, row.value) = (vec![order.to_string()], self.value());
        let outcome = self.send(Transaction::new(order / 100).update(&row), anchor, None).await;
        self.remember(&outcome, &[row]);
    }

    async fn delete_item(&mut self) {
        let Some(row) = self.pick(Table::Items).filter(|row| !self.pinned.contains(&row.id)) else { return };
        let mut t = Transaction::new(row.parent() / 100);
        let parts: Vec<Row> = self.below(&row);
        for part in &parts {
            t = t.delete(part);
        }
        let outcome = self.send(t.delete(&row), row.parent(), None).await;
        self.forget(&outcome, &parts);
        self.forget(&outcome, &[row]);
    }

    /// This writer's rows that hang on a row; nobody else hangs any on an item, or on an order of this writer's.
    fn below(&self, row: &Row) -> Vec<Row> {
        let child = match row.table {
            Table::Orders => Table::Items,
            _ => Table::Parts,
        };
        self.mine.values().filter(|r| r.table == child && r.parent() == row.id).cloned().collect()
    }

    /// An order goes to another account with all that hangs on it, whosever items those are.
    async fn change_owner(&mut self) {
        let Some(mut row) = self.pick(Table::Orders) else { return };
        let account = 1 + self.dice.roll(SUBJECTS as u64) as i64;
        (row.cells, row.value) = (vec![account.to_string()], self.value());
        let outcome = self.send(Transaction::new(account).update(&row), row.id, None).await;
        self.remember(&outcome, &[row]);
    }

    async fn insert_order(&mut self) {
        if self.count(Table::Orders) > 6 {
            return self.delete_order().await;
        }
        let account = 1 + self.dice.roll(SUBJECTS as u64) as i64;
        let (id, value) = (self.new_id(), self.value());
        let mut rows = vec![Row { table: Table::Orders, id, cells: vec![account.to_string()], value }];
        for _ in 0..self.dice.roll(3) {
            let (item, value) = (self.new_id(), self.value());
            rows.push(Row { table: Table::Items, id: item, cells: vec![id.to_string()], value });
        }
        let t = rows.iter().fold(Transaction::new(account), |t, row| t.insert(row));
        let outcome = self.send(t, account, None).await;
        // An order that may not be there is never touched again, with all that may hang on it.
        if outcome == Outcome::Done {
            self.remember(&outcome, &rows);
        }
    }

    /// An order of this writer's own, and by cascade its items.
    async fn delete_order(&mut self) {
        let Some(row) =
            self.pick(Table::Orders).filter(|row| row.id > 1_000_000 && !self.pinned.contains(&row.id))
        else {
            return;
        };
        let items = self.below(&row);
        let mut t = Transaction::new(row.parent());
        let mut all = vec![row.clone()];
        for item in &items {
            for part in self.below(item) {
                t = t.delete(&part);
                all.push(part);
            }
        }
        t = t.delete(&row);
        t = items.iter().fold(t, |t, item| t.cascades_to(item));
        all.extend(items);
        let outcome = self.send(t, row.id, None).await;
        self.forget(&outcome, &all);
    }

    /// A new value, and now and then another country.
    async fn update_account(&mut self) {
        let Some(mut row) = self.pick(Table::Accounts) else { return };
        row.value = self.value();
        let settled = self.moved_house.get(&row.id).is_none_or(|at| at.elapsed() > STAYS);
        let moves = settled && self.dice.chance(60);
        if moves {
            row.cells[0] = self.destination().to_owned();
        }
        let outcome = self.send(Transaction::new(row.id).update(&row), row.id, None).await;
        if moves && outcome == Outcome::Done {
            self.moved_house.insert(row.id, Instant::now());
        }
        self.remember(&outcome, &[row]);
    }

    /// For some seconds most people want to go to the same country, so that waves have several batches and rows
    /// change owners between them.
    fn destination(&mut self) -> &'static str {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let fashion = (now.as_secs() / FASHION.as_secs()) as usize % REGIONS.len();
        let anywhere = self.dice.roll(REGIONS.len() as u64) as usize;
        REGIONS[if self.dice.chance(70) { fashion } else { anywhere }].1
    }

    /// Two accounts of this writer's exchange a unique value.
    async fn swap_emails(&mut self) {
        let accounts: Vec<Row> = self.mine.values().filter(|r| r.table == Table::Accounts).cloned().collect();
        let [a, b, ..] = &accounts[..] else { return };
        let (mut a, mut b) = (a.clone(), b.clone());
        (a.value, b.value) = (self.value(), self.value());
        let (mail_a, mail_b) = (a.cells[1].clone(), b.cells[1].clone());
        let aside = format!("UPDATE accounts SET email = 'aside {}' WHERE id = {}", a.value, a.id);
        (a.cells[1], b.cells[1]) = (mail_b, mail_a);
        let t = Transaction::new(a.id).also(aside, Some(1)).update(&b).update(&a);
        let outcome = self.send(t, a.id, None).await;
        self.remember(&outcome, &[a, b]);
    }

    async fn insert_part(&mut self) {
        if self.count(Table::Parts) > 20 {
            let Some(row) = self.pick(Table::Parts) else { return };
            let anchor = self.mine.get(&(Table::Items, row.parent())).map_or(0, Row::parent);
            let outcome = self.send(Transaction::new(anchor / 100).delete(&row), anchor, None).await;
            return self.forget(&outcome, &[row]);
        }
        let Some(item) = self.pick(Table::Items) else { return };
        let (id, value) = (self.new_id(), self.value());
        let row = Row { table: Table::Parts, id, cells: vec![item.id.to_string()], value };
        let outcome =
            self.send(Transaction::new(item.parent() / 100).insert(&row), item.parent(), None).await;
        self.remember(&outcome, &[row]);
    }

    async fn insert_photo(&mut self) {
        if self.count(Table::Photos) > 5 {
            return self.delete_photo().await;
        }
        let account = 1 + self.dice.roll(SUBJECTS as u64) as i64;
        let (id, value) = (self.new_id(), self.value());
        let key = format!("photos/{id}.jpg");
        let row = Row { table: Table::Photos, id, cells: vec![account.to_string(), key.clone()], value };
        let outcome = self.send(Transaction::new(account).insert(&row), account, Some(&key)).await;
        self.remember(&outcome, &[row]);
    }

    async fn delete_photo(&mut self) {
        let Some(row) = self.pick(Table::Photos) else { return };
        let outcome = self.send(Transaction::new(row.parent()).delete(&row), row.parent(), None).await;
        if outcome == Outcome::Done
            && let Some(region) = self.seen.get(&row.parent())
        {
            let _ = fs::remove_file(self.site.objects(region).join(&row.cells[1]));
        }
        self.forget(&outcome, &[row]);
    }

    /// Puts an object where its row is about to be written; whole at once.
    fn put(&self, region: &str, key: &str) -> PathBuf {
        let file = self.site.objects(region).join(key);
        let draft = self.site.dir.join(format!("draft-{}", self.number));
        let put = || -> std::io::Result<()> {
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            fs::write(&draft, format!("picture {key}"))?;
            fs::rename(&draft, &file)
        };
        // An erase may remove the empty folder in between.
        let _ = put().or_else(|_| put());
        file
    }
}
