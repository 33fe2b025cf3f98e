//! What an application wants to do next, decided before it knows where.

use crate::demo::case::{Case, ServiceName};
use crate::demo::dice::Dice;
use crate::demo::people::Person;
use crate::demo::tables::{self, TableAt};
use crate::demo::world::{self, World};
use std::collections::HashSet;

/// Ids of rows that writers insert begin here, a range for each, so that none meets another or the first rows'.
const FIRST_ID: i64 = 1_000_000_000;
/// Of 1000 writes, so many are for people outside the case's first country: those who move.
const FOREIGN: u64 = 750;

/// One write, complete: repeated elsewhere it says the same.
#[derive(Debug, Clone)]
pub struct Job {
    pub subject: i64,
    pub what: What,
}

/// The kinds of writes.
#[derive(Debug, Clone)]
pub enum What {
    /// A new name, and `rev + 1`: done twice, it shows.
    Rename {
        table: TableAt,
        name: String,
    },
    /// Another text in one column of one row.
    Edit {
        table: TableAt,
        id: i64,
        column: &'static str,
        text: String,
    },
    /// A message, and `rev + 1` of its sender, in one transaction.
    Message {
        id: i64,
        to: i64,
        text: String,
        day: String,
    },
    Contact {
        id: i64,
        name: String,
        hash: String,
    },
    /// A device with a photo: the object first, then two rows.
    Device {
        id: i64,
        model: String,
        imei: String,
        photo: i64,
        bytes: Vec<u8>,
    },
    /// A device goes, its photos by cascade, then their objects.
    DropDevice {
        id: i64,
    },
    /// An order and its lines.
    Order {
        id: i64,
        day: String,
        lines: Vec<(i64, String, i64)>,
    },
    /// An order goes, its lines by cascade.
    DropOrder {
        id: i64,
    },
    /// A row without children goes.
    Delete {
        table: TableAt,
        id: i64,
    },
}

impl Job {
    pub fn service(&self) -> ServiceName {
        tables::ALL[usize::from(self.table())].service
    }

    fn table(&self) -> TableAt {
        match &self.what {
            What::Rename { table, .. } | What::Edit { table, .. } | What::Delete { table, .. } => *table,
            What::Message { .. } => tables::MESSAGES,
            What::Contact { .. } => tables::CONTACTS,
            What::Device { .. } | What::DropDevice { .. } => tables::DEVICES,
            What::Order { .. } | What::DropOrder { .. } => tables::ORDERS,
        }
    }

    /// What it is, for people; names nobody.
    pub fn words(&self) -> String {
        let verb = match &self.what {
            What::Rename { .. } | What::Edit { .. } => "an update",
            What::Message { .. } | What::Contact { .. } | What::Device { .. } | What::Order { .. } => {
                "an insert"
            }
            What::DropDevice { .. } | What::DropOrder { .. } | What::Delete { .. } => "a delete",
        };
        format!("{verb} in {}", tables::ALL[usize::from(self.table())].name)
    }
}

/// One writer's share of the people, and what it knows of their rows.
pub struct Desk {
    dice: Dice,
    next_id: i64,
    /// Places in the list of people: those who live abroad, and all. Every person has one writer.
    foreign: Vec<usize>,
    all: Vec<usize>,
    gone: HashSet<(TableAt, i64)>,
    /// (owner, device) that this writer inserted.
    devices: Vec<(i64, i64)>,
}

impl Desk {
    pub fn new(world: &World, number: usize, of: usize) -> Self {
        let home = world.case.shares[0].0;
        let moves = |p: &Person| match world.case.name {
            "mirror" => p.country == "CN",
            _ => p.country != home,
        };
        let mine = |at: &usize| at % of == number;
        let all: Vec<usize> = (0..world.people.len()).filter(mine).collect();
        let foreign = all.iter().copied().filter(|at| moves(&world.people[*at])).collect();
        Self {
            dice: Dice::new(world.seed.wrapping_mul(31).wrapping_add(number as u64)),
            next_id: FIRST_ID * (number as i64 + 1),
            foreign,
            all,
            gone: HashSet::new(),
            devices: Vec::new(),
        }
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// The next write; `None`: the dice chose a row that is gone, so think again.
    pub fn next(&mut self, case: &Case, people: &[Person]) -> Option<Job> {
        let abroad = !self.foreign.is_empty() && self.dice.per_mille(FOREIGN);
        let at = if abroad { *self.dice.pick(&self.foreign) } else { *self.dice.pick(&self.all) };
        let person = &people[at];
        let shop = case.has(ServiceName::Shop) && person.shops && self.dice.per_mille(500);
        let what = if shop { self.in_shop(person)? } else { self.in_cloud(person, people)? };
        Some(what)
    }

    fn in_shop(&mut self, person: &Person) -> Option<Job> {
        let what = match self.dice.below(10) {
            0..3 => What::Rename { table: tables::CUSTOMERS, name: self.renamed(person) },
            3..6 => self.order(),
            6..8 => What::Edit {
                table: tables::ORDERS,
                id: self.standing(tables::ORDERS, person.orders.clone())?,
                column: "status",
                text: format!("returned {}", self.dice.digits(4)),
            },
            _ => What::DropOrder { id: self.standing(tables::ORDERS, person.orders.clone())? },
        };
        Some(Job { subject: person.id, what })
    }

    fn order(&mut self) -> What {
        let id = self.id();
        let lines = (0..self.dice.between(1, 3))
            .map(|_| {
                (self.id(), (*self.dice.pick(world::ARTICLES)).to_owned(), self.dice.between(1, 4) as i64)
            })
            .collect();
        What::Order { id, day: world::day(&mut self.dice), lines }
    }

    fn in_cloud(&mut self, person: &Person, people: &[Person]) -> Option<Job> {
        let what = match self.dice.below(20) {
            0..3 => What::Rename { table: tables::ACCOUNTS, name: self.renamed(person) },
            3..9 => {
                let to = self.dice.pick(people).id;
                let text = format!("{} ({})", self.dice.pick(world::WORDS), self.dice.digits(4));
                What::Message { id: self.id(), to, text, day: world::day(&mut self.dice) }
            }
            9..12 => What::Edit {
                table: tables::MESSAGES,
                id: self.standing(tables::MESSAGES, person.messages.clone())?,
                column: "body",
                text: format!("edited {}", self.dice.digits(6)),
            },
            12..14 => What::Delete {
                table: tables::MESSAGES,
                id: self.standing(tables::MESSAGES, person.messages.clone())?,
            },
            14..16 => {
                let other = self.dice.pick(people);
                What::Contact {
                    id: self.id(),
                    name: other.name.clone(),
                    hash: world::number_hash(&other.phone),
                }
            }
            16 => What::Delete {
                table: tables::CONTACTS,
                id: self.standing(tables::CONTACTS, person.contacts.clone())?,
            },
            17..19 => What::Device {
                id: self.id(),
                model: (*self.dice.pick(world::MODELS)).to_owned(),
                imei: format!("86{}", self.dice.digits(13)),
                photo: self.id(),
                bytes: {
                    let size = self.dice.between(1_000, 8_000) as usize;
                    self.dice.bytes(size)
                },
            },
            _ => return self.drop_device(),
        };
        Some(Job { subject: person.id, what })
    }

    fn drop_device(&mut self) -> Option<Job> {
        if self.devices.is_empty() {
            return None;
        }
        let at = self.dice.below(self.devices.len() as u64) as usize;
        let (subject, id) = self.devices[at];
        Some(Job { subject, what: What::DropDevice { id } })
    }

    fn renamed(&mut self, person: &Person) -> String {
        let first = person.name.split_once(" (").map_or(person.name.as_str(), |(name, _)| name);
        format!("{first} ({})", self.dice.digits(4))
    }

    /// One of the person's first rows that was not deleted.
    fn standing(&mut self, table: TableAt, ids: std::ops::Range<i64>) -> Option<i64> {
        let id = ids.start + self.dice.below((ids.end - ids.start).max(0) as u64) as i64;
        (ids.contains(&id) && !self.gone.contains(&(table, id))).then_some(id)
    }

    /// A write was acknowledged.
    pub fn done(&mut self, job: &Job) {
        match &job.what {
            What::Delete { table, id } => drop(self.gone.insert((*table, *id))),
            What::DropOrder { id } => drop(self.gone.insert((tables::ORDERS, *id))),
            What::Device { id, .. } => self.devices.push((job.subject, *id)),
            What::DropDevice { id } => self.devices.retain(|(_, device)| device != id),
            _ => {}
        }
    }
}
