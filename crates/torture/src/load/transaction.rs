//! One transaction of the application, before it is sent anywhere.

use super::log::Effect;
use super::rows::Row;
use std::time::Duration;

/// What the transaction sees of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// No BEGIN at all: one statement.
    None,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    /// After BEGIN.
    pub fn words(self) -> &'static str {
        match self {
            Isolation::None | Isolation::ReadCommitted => "ISOLATION LEVEL READ COMMITTED",
            Isolation::RepeatableRead => "ISOLATION LEVEL REPEATABLE READ",
            Isolation::Serializable => "ISOLATION LEVEL SERIALIZABLE",
        }
    }
}

/// Statements that go together.
#[derive(Debug, Clone)]
pub struct Transaction {
    pub isolation: Isolation,
    /// Between the snapshot and the first write.
    pub old: Duration,
    /// Between the last write and COMMIT, with all locks held.
    pub held: Duration,
    /// A savepoint with a write that is rolled back, before the others.
    pub detour: bool,
    /// ROLLBACK at the end, after everything was written.
    pub changed_mind: bool,
    /// Each with the number of rows it must touch, where that is known.
    pub statements: Vec<(String, Option<u64>)>,
    pub effects: Vec<Effect>,
    /// Whose data, by the writer's word.
    pub subject: i64,
}

impl Transaction {
    pub fn new(subject: i64) -> Self {
        Self {
            isolation: Isolation::ReadCommitted,
            old: Duration::ZERO,
            held: Duration::ZERO,
            detour: false,
            changed_mind: false,
            statements: Vec::new(),
            effects: Vec::new(),
            subject,
        }
    }

    fn with(mut self, sql: String, row: &Row, after: Option<String>) -> Self {
        self.statements.push((sql, Some(1)));
        self.effects.push(Effect { table: row.table, id: row.id, after });
        self
    }

    pub fn insert(self, row: &Row) -> Self {
        self.with(row.insert(), row, Some(row.to_string()))
    }

    pub fn upsert(self, row: &Row) -> Self {
        self.with(row.upsert(), row, Some(row.to_string()))
    }

    pub fn update(self, row: &Row) -> Self {
        self.with(row.update(), row, Some(row.to_string()))
    }

    pub fn delete(self, row: &Row) -> Self {
        self.with(row.delete(), row, None)
    }

    /// A row that goes by a cascade.
    pub fn cascades_to(mut self, row: &Row) -> Self {
        self.effects.push(Effect { table: row.table, id: row.id, after: None });
        self
    }

    /// A statement without an effect that lasts.
    pub fn also(mut self, sql: String, rows: Option<u64>) -> Self {
        self.statements.push((sql, rows));
        self
    }
}
