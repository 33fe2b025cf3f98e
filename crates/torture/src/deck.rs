//! What is done to workers and databases, as a deck of cards: each is drawn once before any is drawn again.

use crate::dice::Dice;
use crate::ground::{CONTROL, Engine};
use crate::points::{Fault, Needs, POINTS, Point, Way};
use crate::process::Order;
use crate::site::REGIONS;
use crate::worker::Verb;
use domicile_stores::failpoints::When;
use std::time::Duration;

/// Kills at random times in one shift.
const KILLS: usize = 8;

/// One shift's trouble.
#[derive(Debug, Clone)]
pub enum Card {
    /// A worker with these orders, after one with the others where there is one.
    /// One that stops is replaced by `relief`, and goes on so long after that began, or when it has ended.
    Faults { before: Option<Order>, order: Order, relief: Verb, thaw: Option<Duration> },
    /// Workers one after the other, each killed so long after its start; the next one finds what it left.
    Kills(Vec<Duration>),
    /// A database stops so long after a worker's start, and is gone for so long.
    Crash { place: &'static str, after: Duration, gone: Duration },
}

/// The cards in their order.
pub struct Deck {
    engine: Engine,
    cards: Vec<Card>,
    dice: Dice,
    /// Each write once and no more.
    once: bool,
}

impl Deck {
    pub fn new(engine: Engine, seed: u64, once: bool) -> Self {
        let mut deck = Self { engine, cards: Vec::new(), dice: Dice::new(seed ^ 0x5eed), once };
        deck.cards = if once { deck.bounded() } else { deck.whole() };
        deck
    }

    /// The next card. `None`: a bounded deck is used up.
    pub fn draw(&mut self) -> Option<Card> {
        if self.cards.is_empty() && !self.once {
            self.cards = self.whole();
        }
        self.cards.pop()
    }

    /// Once more, at the very end: its moment did not come.
    pub fn put_back(&mut self, card: Card) {
        self.cards.insert(0, card);
    }

    pub fn len(&self) -> usize {
        self.cards.len()
    }

    /// Every write in every way, and as many kills and crashes beside them.
    fn whole(&mut self) -> Vec<Card> {
        let mut cards = Vec::new();
        for point in self.points() {
            for (way, when) in [
                (Way::Errs, When::NotDone),
                (Way::Errs, When::Done),
                (Way::Dies, When::NotDone),
                (Way::Dies, When::Done),
                (Way::Stops, When::NotDone),
                (Way::Stops, When::Done),
            ] {
                let nth = 1 + self.dice.roll(3) as u32;
                cards.push(self.card(point, way, when, nth));
            }
        }
        let writes = cards.len();
        for n in 0..writes {
            match n % 4 {
                0 => cards.push(self.kills(KILLS, 100, 1100)),
                1 => cards.extend(self.crash()),
                2 => cards.push(late(&mut self.dice)),
                _ if n % 8 == 3 => cards.push(loses()),
                _ => {}
            }
        }
        self.dice.shuffle(&mut cards);
        cards
    }

    /// Every write dies once, before or after it was made; all fail once in workers that live; a few others.
    fn bounded(&mut self) -> Vec<Card> {
        let mut cards = Vec::new();
        let points = self.points();
        for point in &points {
            let when = if self.dice.chance(50) { When::Done } else { When::NotDone };
            cards.push(self.card(point, Way::Dies, when, 1));
        }
        let ordinary: Vec<_> =
            points.iter().filter(|p| matches!(p.needs, Needs::Move | Needs::Luck)).collect();
        for part in ordinary.chunks(6) {
            for when in [When::NotDone, When::Done] {
                let faults = part.iter().map(|p| fault(p.name, Way::Errs, when, 1)).collect();
                cards.push(faulty(Order { turns: 2, ..Order::with(faults) }));
            }
        }
        for point in points.iter().filter(|p| !matches!(p.needs, Needs::Move | Needs::Luck)) {
            cards.push(self.card(point, Way::Errs, When::NotDone, 1));
            cards.push(self.card(point, Way::Errs, When::Done, 1));
        }
        for _ in 0..3 {
            cards.push(self.kills(1, 150, 700));
            cards.extend(self.crash());
        }
        for name in ["seal", "copy-commit", "catch-up-commit"] {
            cards.push(faulty(Order::with(vec![fault(name, Way::Stops, When::NotDone, 1)])));
        }
        cards.push(late(&mut self.dice));
        cards.push(loses());
        self.dice.shuffle(&mut cards);
        cards
    }

    /// The writes of this engine.
    fn points(&self) -> Vec<&'static Point> {
        POINTS.iter().filter(|p| p.name != "scrub" || self.engine == Engine::Sqlite).collect()
    }

    fn card(&mut self, point: &Point, way: Way, when: When, nth: u32) -> Card {
        let at = fault(point.name, way, when, nth);
        let swap = |when| fault("swap", Way::Errs, when, 1);
        let (before, order) = match point.needs {
            Needs::Move | Needs::Luck => (None, Order::with(vec![at])),
            Needs::Helper => (None, Order { verb: Verb::Help, ..Order::with(vec![Fault { nth: 1, ..at }]) }),
            Needs::LostSwap => {
                let lost = if self.dice.chance(50) { When::Done } else { When::NotDone };
                (None, Order::with(vec![swap(lost), Fault { nth: 1, ..at }]))
            }
            Needs::FailedSwap => (None, Order::with(vec![swap(When::NotDone), Fault { nth: 1, ..at }])),
            Needs::Abort => {
                let begun = ["record-save", "copy-commit", "catch-up-commit", "fence", "mark"];
                let begun = self.dice.pick(&begun).copied().unwrap_or("mark");
                let first = Order::with(vec![fault(begun, Way::Dies, When::Done, 1)]);
                let abort = Order { verb: Verb::Abort, ..Order::with(vec![Fault { nth: 1, ..at }]) };
                (Some(first), abort)
            }
        };
        // A worker that helps erases nothing: what the stopped one could spoil is still there.
        let relief = if self.dice.chance(60) { Verb::Help } else { Verb::Move };
        let thaw = self.dice.chance(50).then(|| Duration::from_millis(400 + self.dice.roll(1800)));
        Card::Faults { before, order, relief, thaw }
    }

    fn kills(&mut self, times: usize, from_ms: u64, more_ms: u64) -> Card {
        Card::Kills((0..times).map(|_| Duration::from_millis(from_ms + self.dice.roll(more_ms))).collect())
    }

    fn crash(&mut self) -> Option<Card> {
        if self.engine == Engine::Sqlite {
            return None;
        }
        let places: Vec<&'static str> = REGIONS.iter().map(|(r, _)| *r).chain([CONTROL]).collect();
        let place = self.dice.pick(&places).copied()?;
        let after = Duration::from_millis(150 + self.dice.roll(900));
        // Shorter or longer than the mover keeps trying.
        let gone = Duration::from_millis(if self.dice.chance(70) { self.dice.roll(600) } else { 4000 });
        Some(Card::Crash { place, after, gone })
    }
}

fn fault(point: &str, way: Way, when: When, nth: u32) -> Fault {
    Fault { point: point.to_owned(), way, when, nth }
}

/// A swap that is made when its worker has long been told that it failed; half of the time the worker can't fence
/// again before that, so that nothing but its own settling stands in the late swap's way.
fn late(dice: &mut Dice) -> Card {
    let nth = 1 + dice.roll(2) as u32;
    let mut faults = vec![fault("swap", Way::Late, When::NotDone, nth)];
    if dice.chance(50) {
        faults.extend((nth + 1..nth + 12).map(|n| fault("fence-begin", Way::Errs, When::NotDone, n)));
        faults.reverse();
    }
    faulty(Order::with(faults))
}

/// Rows that get lost on their way into a copy: for verify to find.
fn loses() -> Card {
    let faults = vec![fault("copy-rows", Way::Loses, When::NotDone, 1)];
    faulty(Order::with(faults))
}

fn faulty(order: Order) -> Card {
    Card::Faults { before: None, order, relief: Verb::Help, thaw: None }
}
