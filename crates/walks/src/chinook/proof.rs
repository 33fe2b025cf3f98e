//! What must be so afterwards, read by other means than Domicile's.

use super::load::{OURS, Wrote};
use super::places::{HOME, PLACES};
use super::shop::Shop;
use crate::walk::{Result, Walk, say};
use std::collections::BTreeMap;
use std::fmt;

/// The sums of one country.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    customers: i64,
    invoices: i64,
    cents: i64,
    lines: i64,
}

/// Chinook before anything happened to it.
pub struct Before {
    countries: BTreeMap<String, Sums>,
    /// The key of a customer in France.
    pub a_french_customer: u64,
}

impl Before {
    /// Reads it.
    pub fn read(shop: &Shop) -> Result<Self> {
        let french = shop.rows(HOME, "SELECT min(customer_id) FROM customer WHERE country = 'France'")?;
        let a_french_customer = number(french.first().map_or("", |s| s))? as u64;
        Ok(Self { countries: sums(shop, HOME)?, a_french_customer })
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Sums::default();
        for one in self.countries.values() {
            add(&mut all, one);
        }
        write!(
            f,
            "{} customers in {} countries, {} invoices of {}.{:02} in all, {} lines",
            all.customers,
            self.countries.len(),
            all.invoices,
            all.cents / 100,
            all.cents % 100,
            all.lines
        )
    }
}

/// All proofs; each says what it found.
pub fn check(walk: &Walk, shop: &Shop, before: &Before, wrote: &Wrote) -> Result<()> {
    say("checks that do not use Domicile");
    sums_are_the_same(shop, before)?;
    everybody_is_where_they_belong(shop)?;
    employees_are_stubs(shop)?;
    a_foreigner_is_refused(shop)?;
    every_write_is_there_once(shop, wrote)?;
    let plan = walk.json(&["plan"])?;
    let moves = plan["plan"]["moves"].as_array().map_or(usize::MAX, Vec::len);
    if moves != 0 {
        return Err(format!("a new plan would still move somebody: {moves} moves"));
    }
    println!("a new plan moves nobody");
    Ok(())
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|e| format!("`{text}` is no number: {e}"))
}

fn add(to: &mut Sums, one: &Sums) {
    to.customers += one.customers;
    to.invoices += one.invoices;
    to.cents += one.cents;
    to.lines += one.lines;
}

/// Chinook's own rows of a region by country; the applications' are left out.
fn sums(shop: &Shop, place: usize) -> Result<BTreeMap<String, Sums>> {
    let sql = format!(
        "SELECT c.country, count(*), coalesce(sum(i.n), 0), coalesce(sum(i.cents), 0), coalesce(sum(i.lines), 0) \
         FROM customer AS c LEFT JOIN (SELECT i.customer_id AS customer, count(*) AS n, \
           sum(CAST(round(i.total * 100) AS INTEGER)) AS cents, sum(coalesce(l.n, 0)) AS lines \
           FROM invoice AS i LEFT JOIN (SELECT invoice_id AS invoice, count(*) AS n FROM invoice_line GROUP BY 1) AS l \
             ON l.invoice = i.invoice_id \
           WHERE i.invoice_id < {OURS} GROUP BY 1) AS i ON i.customer = c.customer_id \
         GROUP BY 1 ORDER BY 1"
    );
    let mut all = BTreeMap::new();
    for row in shop.rows(place, &sql)? {
        let cells: Vec<&str> = row.split('|').collect();
        let [country, customers, invoices, cents, lines] = cells[..] else {
            return Err(format!("five columns, not `{row}`"));
        };
        let sums = Sums {
            customers: number(customers)?,
            invoices: number(invoices)?,
            cents: number(cents)?,
            lines: number(lines)?,
        };
        all.insert(country.to_owned(), sums);
    }
    Ok(all)
}

fn sums_are_the_same(shop: &Shop, before: &Before) -> Result<()> {
    let mut now: BTreeMap<String, Sums> = BTreeMap::new();
    for place in 0..PLACES.len() {
        for (country, one) in sums(shop, place)? {
            add(now.entry(country).or_default(), &one);
        }
    }
    if now != before.countries {
        return Err(format!("the sums differ\nbefore: {:?}\nnow:    {now:?}", before.countries));
    }
    println!(
        "customers, invoices, sums and lines of {} countries over all regions are what they were",
        now.len()
    );
    Ok(())
}

fn everybody_is_where_they_belong(shop: &Shop) -> Result<()> {
    for (at, place) in PLACES.iter().enumerate() {
        let countries = sums(shop, at)?;
        if let Some(stray) = countries.keys().find(|c| !place.serves.contains(&c.as_str())) {
            return Err(format!("{} holds customers of {stray}", place.id));
        }
        if let Some(missing) = place.serves.iter().find(|c| !countries.contains_key(**c)) {
            return Err(format!("{} holds no customer of {missing}", place.id));
        }
        let mut all = Sums::default();
        countries.values().for_each(|one| add(&mut all, one));
        println!(
            "{:<10} {:>6} customers, {:>7} invoices, {:>8}.{:02}: only {}",
            place.id,
            all.customers,
            all.invoices,
            all.cents / 100,
            all.cents % 100,
            place.serves.join(", ")
        );
    }
    Ok(())
}

fn employees_are_stubs(shop: &Shop) -> Result<()> {
    let count = "SELECT count(*), count(phone), count(address), count(birth_date) FROM employee";
    for (at, place) in PLACES.iter().enumerate().skip(1) {
        let found = shop.rows(at, count)?;
        if found != ["8|0|0|0"] {
            return Err(format!("{}: employees are no stubs: {found:?}", place.id));
        }
    }
    println!("employees outside frankfurt are stubs: 8 keys, no phone, no address, no birth date");
    Ok(())
}

fn a_foreigner_is_refused(shop: &Shop) -> Result<()> {
    let sql = "INSERT INTO customer (customer_id, first_name, last_name, email, country) \
        VALUES (900000002, 'Ann', 'Other', 'ann@example.org', 'India')";
    match shop.session(HOME)?.write(sql) {
        Ok(_) => Err("a customer of India was let into frankfurt".to_owned()),
        Err(code) if code.starts_with("RS") => {
            println!("a new customer of India is refused in frankfurt: {code}");
            Ok(())
        }
        Err(code) => Err(format!("a customer of India was refused, but with `{code}`")),
    }
}

fn every_write_is_there_once(shop: &Shop, wrote: &Wrote) -> Result<()> {
    let (mut invoices, mut lines) = (BTreeMap::new(), BTreeMap::new());
    let ours = format!(
        "SELECT invoice_id, CAST(round(total * 100) AS INTEGER) FROM invoice WHERE invoice_id >= {OURS}"
    );
    let our_lines =
        format!("SELECT invoice_line_id, invoice_id FROM invoice_line WHERE invoice_line_id >= {OURS}");
    for at in 0..PLACES.len() {
        pairs(shop, at, &ours, &mut invoices)?;
        pairs(shop, at, &our_lines, &mut lines)?;
    }
    let expected: BTreeMap<i64, i64> = wrote.invoices.iter().map(|(id, i)| (*id as i64, i.cents)).collect();
    let expected_lines: BTreeMap<i64, i64> = wrote
        .invoices
        .iter()
        .flat_map(|(id, i)| i.lines.iter().map(|line| (*line as i64, *id as i64)))
        .collect();
    if invoices != expected || lines != expected_lines {
        return Err(format!(
            "acknowledged writes and rows differ: {} invoices and {} lines instead of {} and {}",
            invoices.len(),
            lines.len(),
            expected.len(),
            expected_lines.len()
        ));
    }
    if wrote.acknowledged > 0 {
        println!(
            "{} acknowledged writes: each is there exactly once, with its last value",
            wrote.acknowledged
        );
    }
    Ok(())
}

/// Rows of two numbers; the same key at two places is an error.
fn pairs(shop: &Shop, place: usize, sql: &str, into: &mut BTreeMap<i64, i64>) -> Result<()> {
    for row in shop.rows(place, sql)? {
        let (key, value) = row.split_once('|').ok_or("two columns")?;
        if into.insert(number(key)?, number(value)?).is_some() {
            return Err(format!("row {key} is at {} and at another region", PLACES[place].id));
        }
    }
    Ok(())
}
