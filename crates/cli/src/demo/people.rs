//! People who do not exist: countries in the case's shares, plausible numbers, names.

use super::case::Case;
use super::dice::Dice;
use std::collections::HashSet;
use std::ops::Range;

/// One account, and which ids its first rows have.
#[derive(Debug, Clone)]
pub struct Person {
    /// Key of the account, and of the shop's customer where there is one.
    pub id: i64,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// E.164, with `+`.
    pub phone: String,
    pub name: String,
    /// Carries the case's flag.
    pub flagged: bool,
    /// Also a customer of the shop.
    pub shops: bool,
    pub devices: Range<i64>,
    pub contacts: Range<i64>,
    pub messages: Range<i64>,
    pub photos: Range<i64>,
    pub orders: Range<i64>,
}

/// What every number of a country looks like: digits, and sets in brackets' place written as `?` (any digit)
/// or a choice of leading pieces.
fn number(country: &str, dice: &mut Dice) -> String {
    let (lead, rest): (&[&str], u32) = match country {
        "CN" => (&["8613", "8615", "8618"], 9),
        "HK" => (&["8525", "8526", "8529"], 7),
        "TW" => (&["8869"], 8),
        "IN" => (&["916", "917", "918", "919"], 9),
        "ID" => (&["62812", "62813", "62857"], 8),
        "MY" => (&["6012", "6013", "6017"], 7),
        "PH" => (&["63917", "63918", "63927"], 7),
        "SG" => (&["658", "659"], 7),
        "BR" => (&["55119", "55219", "55319"], 8),
        _ => (&["1206", "1415", "1503", "1646"], 7),
    };
    format!("+{}{}", dice.pick(lead), dice.digits(rest))
}

fn name(country: &str, dice: &mut Dice) -> String {
    let (first, last): (&[&str], &[&str]) = match country {
        "CN" => (
            &["Wei", "Fang", "Min", "Jing", "Lei", "Yan", "Jun", "Na", "Qiang", "Hui"],
            &["Wang", "Li", "Zhang", "Liu", "Chen", "Yang", "Zhao", "Wu"],
        ),
        "HK" | "TW" | "SG" => (
            &["Ka-ming", "Mei-ling", "Chi-wai", "Shu-fen", "Jia Hao", "Hui Min", "Yi-chun", "Wing"],
            &["Chan", "Lin", "Tan", "Wong", "Huang", "Lim", "Lee", "Ho"],
        ),
        "IN" => (
            &["Aarav", "Priya", "Rohan", "Ananya", "Vikram", "Kavya", "Arjun", "Meera"],
            &["Sharma", "Patel", "Iyer", "Reddy", "Das", "Khan", "Nair", "Singh"],
        ),
        "ID" | "MY" => (
            &["Budi", "Siti", "Agus", "Dewi", "Ahmad", "Nurul", "Farid", "Putri"],
            &["Santoso", "Wijaya", "Rahman", "Lestari", "Ismail", "Hidayat"],
        ),
        "PH" => (
            &["Jose", "Maria", "Juan", "Grace", "Mark", "Angel"],
            &["Santos", "Reyes", "Cruz", "Garcia", "Mendoza", "Torres"],
        ),
        "BR" => (
            &["João", "Ana", "Pedro", "Beatriz", "Lucas", "Juliana"],
            &["Silva", "Souza", "Oliveira", "Costa", "Pereira", "Almeida"],
        ),
        _ => (
            &["Alex", "Sam", "Taylor", "Jordan", "Casey", "Robin"],
            &["Miller", "Johnson", "Davis", "Brown", "Moore", "Clark"],
        ),
    };
    format!("{} {}", dice.pick(first), dice.pick(last))
}

/// Countries in the case's shares, exact to one person; the rest goes to the first country.
fn countries(case: &Case, count: usize) -> Vec<&'static str> {
    let mut all = Vec::with_capacity(count);
    for (country, share) in &case.shares[1..] {
        let of = (count as u64 * share / 1000).max(1) as usize;
        all.extend(std::iter::repeat_n(*country, of));
    }
    all.truncate(count);
    all.resize(count, case.shares[0].0);
    all
}

/// `count` people. Flags go to people outside the case's first country.
pub fn make(case: &Case, count: usize, dice: &mut Dice) -> Vec<Person> {
    let mut countries = countries(case, count);
    // Shuffled (Fisher and Yates), so that no country's ids stand together.
    for at in (1..countries.len()).rev() {
        countries.swap(at, dice.below(at as u64 + 1) as usize);
    }
    let mut taken = HashSet::with_capacity(count);
    let mut next = Ids::default();
    let mut flags = case.flagged.map_or(0, |(_, n)| n);
    let people = countries.into_iter().enumerate().map(|(at, country)| {
        let phone = loop {
            let phone = number(country, dice);
            if taken.insert(phone.clone()) {
                break phone;
            }
        };
        let flagged = flags > 0 && country == "IN";
        flags -= usize::from(flagged);
        let shops = dice.per_mille(300);
        Person {
            id: at as i64 + 1,
            country,
            phone,
            name: name(country, dice),
            flagged,
            shops,
            devices: next.take(0, dice.between(1, 2)),
            contacts: next.take(1, dice.between(3, 8)),
            messages: next.take(2, dice.between(1, 4)),
            photos: next.take(3, u64::from(dice.per_mille(200))),
            orders: next.take(4, if shops { dice.between(1, 3) } else { 0 }),
        }
    });
    people.collect()
}

/// The next free id of each table.
#[derive(Default)]
struct Ids([i64; 5]);

impl Ids {
    fn take(&mut self, table: usize, n: u64) -> Range<i64> {
        let begin = self.0[table] + 1;
        self.0[table] += n as i64;
        begin..self.0[table] + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::{MIRROR, REFERENCE};
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_people() {
        let all = |seed| {
            make(&REFERENCE, 500, &mut Dice::new(seed)).into_iter().map(|p| p.phone).collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn numbers_are_e164_and_nobody_shares_one() {
        let people = make(&REFERENCE, 5000, &mut Dice::new(3));
        let phones: HashSet<&str> = people.iter().map(|p| p.phone.as_str()).collect();
        assert_eq!(phones.len(), 5000);
        assert!(phones.iter().all(|p| p.starts_with('+') && (11..=16).contains(&p.len())));
    }

    #[test]
    fn shares_and_flags_are_kept() {
        let people = make(&REFERENCE, 2000, &mut Dice::new(3));
        let of = |country| people.iter().filter(|p| p.country == country).count();
        assert_eq!((of("IN"), of("SG"), of("CN")), (240, 40, 1200));
        assert_eq!(people.iter().filter(|p| p.flagged).count(), 40);
        assert!(people.iter().filter(|p| p.flagged).all(|p| p.country == "IN"));
        assert!(make(&MIRROR, 100, &mut Dice::new(3)).iter().all(|p| !p.flagged));
        // Ids follow each other without a gap: later scenes rely on it.
        assert!(people.windows(2).all(|two| two[0].contacts.end == two[1].contacts.start));
    }
}
