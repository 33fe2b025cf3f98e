//! The two services' tables, as one list that the generator, the applications and the check share.

use super::case::ServiceName;

/// A table.
pub struct Table {
    pub service: ServiceName,
    pub name: &'static str,
    /// `SELECT` of the owner's key and the row's columns, in the order of the table.
    pub read: &'static str,
}

const fn table(service: ServiceName, name: &'static str, read: &'static str) -> Table {
    Table { service, name, read }
}

/// A table's place in [`ALL`].
pub type TableAt = u8;

pub const CUSTOMERS: TableAt = 0;
pub const ORDERS: TableAt = 1;
pub const ORDER_LINES: TableAt = 2;
pub const ACCOUNTS: TableAt = 3;
pub const DEVICES: TableAt = 4;
pub const CONTACTS: TableAt = 5;
pub const MESSAGES: TableAt = 6;
pub const PHOTOS: TableAt = 7;

/// All tables. The first column of each is its key.
pub const ALL: [Table; 8] = [
    table(ServiceName::Shop, "customers", "SELECT id, t.* FROM customers t"),
    table(ServiceName::Shop, "orders", "SELECT customer_id, t.* FROM orders t"),
    table(
        ServiceName::Shop,
        "order_lines",
        "SELECT o.customer_id, t.* FROM order_lines t JOIN orders o ON o.id = t.order_id",
    ),
    table(ServiceName::Cloud, "accounts", "SELECT id, t.* FROM accounts t"),
    table(ServiceName::Cloud, "devices", "SELECT account_id, t.* FROM devices t"),
    table(ServiceName::Cloud, "contacts", "SELECT account_id, t.* FROM contacts t"),
    table(ServiceName::Cloud, "messages", "SELECT sender_id, t.* FROM messages t"),
    table(
        ServiceName::Cloud,
        "photos",
        "SELECT d.account_id, t.* FROM photos t JOIN devices d ON d.id = t.device_id",
    ),
];

/// The shop's schema.
const SHOP: &str = "
CREATE TABLE customers (
  id      INTEGER PRIMARY KEY,
  phone   TEXT NOT NULL UNIQUE,
  name    TEXT NOT NULL,
  country TEXT NOT NULL,
  flags   TEXT NOT NULL DEFAULT '',
  rev     INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE orders (
  id          INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers(id) ON DELETE CASCADE,
  placed_on   TEXT NOT NULL,
  status      TEXT NOT NULL
);
CREATE INDEX orders_of ON orders(customer_id);
CREATE TABLE order_lines (
  id       INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES orders(id) ON DELETE CASCADE,
  article  TEXT NOT NULL,
  quantity INTEGER NOT NULL
);
CREATE INDEX order_lines_of ON order_lines(order_id);
";

/// The cloud's schema. `messages.recipient_id` has no foreign key: the recipient may live elsewhere.
const CLOUD: &str = "
CREATE TABLE accounts (
  id      INTEGER PRIMARY KEY,
  phone   TEXT NOT NULL UNIQUE,
  name    TEXT NOT NULL,
  country TEXT NOT NULL,
  flags   TEXT NOT NULL DEFAULT '',
  rev     INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE devices (
  id         INTEGER PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  model      TEXT NOT NULL,
  imei       TEXT NOT NULL
);
CREATE INDEX devices_of ON devices(account_id);
CREATE TABLE contacts (
  id          INTEGER PRIMARY KEY,
  account_id  INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  name        TEXT NOT NULL,
  number_hash TEXT NOT NULL
);
CREATE INDEX contacts_of ON contacts(account_id);
CREATE TABLE messages (
  id           INTEGER PRIMARY KEY,
  sender_id    INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  recipient_id INTEGER NOT NULL,
  body         TEXT NOT NULL,
  sent_at      TEXT NOT NULL
);
CREATE INDEX messages_of ON messages(sender_id);
CREATE TABLE photos (
  id        INTEGER PRIMARY KEY,
  device_id INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
  object    TEXT NOT NULL,
  sha256    TEXT NOT NULL
);
CREATE INDEX photos_of ON photos(device_id);
";

const SHOP_MAP: &str = r#"# Which rows of the shop belong to whom: Domicile moves these rows and nothing else.
version = 1
engine = "sqlite"

[subject]
table = "main.customers"
key = "id"
category = "profile"
country = "country"
flags = "flags"

[[question]]
id = "stores"
text = "Do other stores hold data of these subjects: a search index, a cache, a queue, a warehouse?"
choices = ["none", "declared"]
answer = "none"

[tables]
"main.orders"      = { kind = "direct", subject = "customer_id", category = "purchases" }
"main.order_lines" = { kind = "derived", parent = "main.orders", via = ["order_id"], category = "purchases" }
"#;

const CLOUD_MAP: &str = r#"# Which rows of the cloud belong to whom: Domicile moves these rows and nothing else.
version = 1
engine = "sqlite"

[subject]
table = "main.accounts"
key = "id"
category = "profile"
country = "country"
flags = "flags"

[[question]]
id = "stores"
text = "Do other stores hold data of these subjects: a search index, a cache, a queue, a warehouse?"
choices = ["none", "declared"]
answer = "none"

[tables]
"main.devices"  = { kind = "direct", subject = "account_id", category = "devices" }
"main.contacts" = { kind = "direct", subject = "account_id", category = "contacts" }
# A message belongs to its sender. The recipient may live in another region: the number stays in the row,
# and no region has a foreign key on it.
"main.messages" = { kind = "direct", subject = "sender_id", category = "messages", other = { recipient_id = "keep-id" } }
"main.photos"   = { kind = "derived", parent = "main.devices", via = ["device_id"], category = "photos" }

# A photo's bytes lie in the region's object store, under the key that the row holds.
[[objects]]
table = "main.photos"
column = "object"
without_row = "sweep"
category = "photos"
"#;

impl ServiceName {
    /// The statements that make its tables.
    pub fn schema(self) -> &'static str {
        match self {
            ServiceName::Shop => SHOP,
            ServiceName::Cloud => CLOUD,
        }
    }

    /// Its data map.
    pub fn map(self) -> &'static str {
        match self {
            ServiceName::Shop => SHOP_MAP,
            ServiceName::Cloud => CLOUD_MAP,
        }
    }

    /// Its tables with their places in [`ALL`].
    pub fn tables(self) -> impl Iterator<Item = (TableAt, &'static Table)> {
        ALL.iter().enumerate().filter(move |(_, t)| t.service == self).map(|(at, t)| (at as TableAt, t))
    }
}
