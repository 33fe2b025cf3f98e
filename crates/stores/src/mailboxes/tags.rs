//! How mailboxes are found: their tags under a region's keys, and what an account may still ask.

use super::consents::{one_text, other_shape};
use super::registration::Tag;
use super::{Engine, Mailboxes, Refusal};
use crate::control::{Statement, Value};

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// A charge for elements that are evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Under whose key.
    pub region: String,
    /// Which generation of it.
    pub generation: u32,
    /// How many elements.
    pub elements: u32,
    /// How many an account has at once.
    pub allowance: u32,
    /// What is added each day.
    pub a_day: u32,
    /// Now.
    pub now_ms: i64,
}

/// What became of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charged {
    /// It was within what there is.
    Yes,
    /// It was not, and nothing was charged; it will be after this long.
    Spent {
        /// Milliseconds.
        again_ms: i64,
    },
}

/// What lies at a locator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whose it is.
    pub mailbox: String,
    /// Sealed: who knows the number can open it.
    pub entry: Vec<u8>,
}

const HOMED_POSTGRES: &str = "domicile.is_home(t.mailbox)";
const HOMED_SQLITE: &str =
    "EXISTS (SELECT 1 FROM domicile_home h WHERE h.subject = t.mailbox AND h.state NOT IN ('a', 'w'))";

impl Mailboxes {
    fn homed(&self) -> &'static str {
        match &*self.engine {
            Engine::Postgres(_) => HOMED_POSTGRES,
            Engine::Sqlite(_) => HOMED_SQLITE,
        }
    }

    /// Makes a mailbox found, where it is this device's and its owner agreed to it. False: it is not, or did not.
    /// `number_sealed` is the number, sealed to this region's key.
    ///
    /// # Errors
    /// A refusal.
    pub async fn tag(
        &self,
        (mailbox, device): (&str, &str),
        tag: &Tag,
        number_sealed: &[u8],
    ) -> Result<bool, Refusal> {
        // Tags of a region that was its home before, and of keys that are over, find nobody any more.
        let old = "DELETE FROM mailbox_tag WHERE mailbox = $1 AND (region <> $2 OR generation < CAST($3 AS bigint) - 1)";
        let params = vec![mailbox.into(), tag.region.as_str().into(), i64::from(tag.generation).into()];
        let row = "UPDATE mailbox SET number_sealed = $3, discoverable = true WHERE id = $1 AND device = $2";
        let all = vec![
            Statement::new(row, vec![mailbox.into(), device.into(), number_sealed.into()]),
            Statement::new(old, params),
            tag.statement(mailbox, device),
        ];
        Ok(self.run(all).await?.last().is_some_and(|tagged| tagged.affected == 1))
    }

    /// A mailbox's identity keys, where it has put some.
    ///
    /// # Errors
    /// The database's.
    pub async fn identity(&self, mailbox: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let rows = self.ask("SELECT identity FROM mailbox WHERE id = $1", vec![mailbox.into()]).await?;
        match rows.rows.into_iter().next().map(<[Value; 1]>::try_from) {
            None | Some(Ok([Value::Null])) => Ok(None),
            Some(Ok([Value::Bytes(identity)])) => Ok(Some(identity)),
            Some(_) => Err(other_shape()),
        }
    }

    /// What lies at these locators, in their order, and whose it is. The guard refuses no read, and knows of a mailbox that has
    /// moved only a moment later: whether it is at home here has to be asked of the directory, afterwards.
    ///
    /// # Errors
    /// The database's.
    pub async fn look_up(
        &self,
        region: &str,
        generation: u32,
        locators: &[&[u8]],
    ) -> Result<Vec<Option<Found>>, Refusal> {
        let places: Vec<String> = (0..locators.len()).map(|n| format!("${}", n + 3)).collect();
        let sql = format!(
            "SELECT t.locator, t.mailbox, t.entry FROM mailbox_tag t \
             WHERE t.region = $1 AND t.generation = $2 AND t.locator IN ({}) AND {}",
            places.join(", "),
            self.homed()
        );
        let mut params = vec![Value::from(region), i64::from(generation).into()];
        params.extend(locators.iter().map(|locator| Value::from(*locator)));
        let rows = self.run(vec![Statement::new(sql, params)]).await?.pop().unwrap_or_default();
        let mut found = std::collections::HashMap::new();
        for row in rows.rows {
            let Ok([Value::Bytes(locator), Value::Text(mailbox), Value::Bytes(entry)]) =
                <[Value; 3]>::try_from(row)
            else {
                return Err(other_shape());
            };
            found.insert(locator, Found { mailbox, entry });
        }
        Ok(locators.iter().map(|locator| found.get(*locator).cloned()).collect())
    }

    /// The mailbox at a locator, whoever's home it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn found_at(
        &self,
        region: &str,
        generation: u32,
        locator: &[u8],
    ) -> Result<Option<String>, Refusal> {
        let sql = "SELECT mailbox FROM mailbox_tag WHERE region = $1 AND generation = $2 AND locator = $3";
        let params = vec![region.into(), i64::from(generation).into(), locator.into()];
        one_text(self.ask(sql, params).await?)
    }

    /// Some locators under a key, of mailboxes that live here, after this one in their order.
    ///
    /// # Errors
    /// The database's.
    pub async fn locators_after(
        &self,
        region: &str,
        generation: u32,
        after: &[u8],
        most: u32,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let sql = format!(
            "SELECT t.locator FROM mailbox_tag t WHERE t.region = $1 AND t.generation = $2 AND t.locator > $3 AND {} \
             ORDER BY t.region, t.generation, t.locator LIMIT $4",
            self.homed()
        );
        let params = vec![region.into(), i64::from(generation).into(), after.into(), i64::from(most).into()];
        let rows = self.run(vec![Statement::new(sql, params)]).await?.pop().unwrap_or_default();
        let bytes = |row: Vec<Value>| match <[Value; 1]>::try_from(row) {
            Ok([Value::Bytes(locator)]) => Ok(locator),
            _ => Err(other_shape()),
        };
        rows.rows.into_iter().map(bytes).collect()
    }

    /// Charges an account, or says when it may ask again.
    ///
    /// CRASH: charged or not; what was charged is charged although no answer came, never the other way round.
    ///
    /// # Errors
    /// A refusal.
    pub async fn charge(&self, mailbox: &str, charge: &Charge) -> Result<Charged, Refusal> {
        let (allowance, a_day) = (i64::from(charge.allowance), i64::from(charge.a_day));
        let elements = i64::from(charge.elements);
        if elements > allowance {
            return Ok(Charged::Spent { again_ms: DAY_MS });
        }
        let spend = "INSERT INTO mailbox_budget(mailbox, region, generation, spent, since_ms) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (mailbox, region, generation) DO UPDATE \
             SET spent = mailbox_budget.spent + excluded.spent WHERE mailbox_budget.spent + excluded.spent \
               <= $6 + $7 * ((excluded.since_ms - mailbox_budget.since_ms) / 86400000)";
        let key = [mailbox.into(), charge.region.as_str().into(), i64::from(charge.generation).into()];
        let mut params = key.to_vec();
        params.extend([elements, charge.now_ms, allowance, a_day].map(Value::Int));
        let state = "SELECT spent, since_ms FROM mailbox_budget WHERE mailbox = $1 AND region = $2 AND generation = $3";
        let done = self.run(vec![Statement::new(spend, params), Statement::new(state, key.to_vec())]).await?;
        if done.first().is_some_and(|spent| spent.affected == 1) {
            return Ok(Charged::Yes);
        }
        match done.get(1).and_then(|rows| rows.rows.first()).map(Vec::as_slice) {
            Some([Value::Int(spent), Value::Int(since_ms)]) => {
                let days = (spent + elements - allowance + a_day - 1) / a_day.max(1);
                Ok(Charged::Spent { again_ms: (since_ms + days * DAY_MS - charge.now_ms).max(1_000) })
            }
            _ => Err(other_shape()),
        }
    }
}
