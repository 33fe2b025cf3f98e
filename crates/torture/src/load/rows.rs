//! Rows as the writers think of them: every write sets the whole row, with a value that no other write has.

use std::fmt;

/// A table of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Accounts,
    Orders,
    Items,
    Parts,
    Photos,
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Table::Accounts => "accounts",
            Table::Orders => "orders",
            Table::Items => "items",
            Table::Parts => "parts",
            Table::Photos => "photos",
        }
    }

    /// Columns between `id` and `value`.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Accounts => &["country", "email"],
            Table::Orders => &["account_id"],
            Table::Items => &["order_id"],
            Table::Parts => &["item_id"],
            Table::Photos => &["account_id", "object_key"],
        }
    }
}

/// A row whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub table: Table,
    pub id: i64,
    /// Of [`Table::columns`].
    pub cells: Vec<String>,
    /// No two writes have the same; a writer's grow.
    pub value: i64,
}

/// The value of a writer's `n`th write.
pub fn value_of(writer: u64, n: u64) -> i64 {
    (writer * 1_000_000_000_000 + n) as i64
}

impl Row {
    pub fn key(&self) -> (Table, i64) {
        (self.table, self.id)
    }

    /// The row it hangs on; the account itself has none.
    pub fn parent(&self) -> i64 {
        self.cells[0].parse().unwrap_or(0)
    }

    pub fn insert(&self) -> String {
        let columns = self.table.columns().join(", ");
        let cells: Vec<String> = self.cells.iter().map(|c| format!("'{c}'")).collect();
        let (table, id) = (self.table.name(), self.id);
        format!(
            "INSERT INTO {table}(id, {columns}, value) VALUES ({id}, {}, {})",
            cells.join(", "),
            self.value
        )
    }

    pub fn upsert(&self) -> String {
        let columns = self.table.columns().iter().chain(&["value"]);
        let set: Vec<String> = columns.map(|c| format!("{c} = excluded.{c}")).collect();
        format!("{} ON CONFLICT (id) DO UPDATE SET {}", self.insert(), set.join(", "))
    }

    pub fn update(&self) -> String {
        let cells = self.table.columns().iter().zip(&self.cells);
        let set: Vec<String> = cells.map(|(column, cell)| format!("{column} = '{cell}'")).collect();
        let (table, value, id) = (self.table.name(), self.value, self.id);
        format!("UPDATE {table} SET {}, value = {value} WHERE id = {id}", set.join(", "))
    }

    pub fn delete(&self) -> String {
        format!("DELETE FROM {} WHERE id = {}", self.table.name(), self.id)
    }
}

/// As a reader that knows nothing of this module prints the row: cells and value with bars between.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.cells.join("|"), self.value)
    }
}
