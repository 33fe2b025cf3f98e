//! Who a device is here, asked in each request: of all who ask at a moment in one question.
//!
//! INVARIANT: an answer is never older than its question: what is asked together is asked after everybody has come.

use super::consents::{Holder, other_shape, pair};
use super::group::Item;
use super::{Engine, Refusal};
use crate::control::{Statement, Value};
use std::collections::HashMap;

const LATEST: &str = "SELECT c.purpose, c.state FROM mailbox_consent c WHERE c.mailbox = $1 AND c.seq = \
     (SELECT max(l.seq) FROM mailbox_consent l WHERE l.mailbox = c.mailbox AND l.purpose = c.purpose)";

const HOLDER: &str = "SELECT device, device_key, \
     EXISTS (SELECT 1 FROM domicile_home h WHERE h.subject = mailbox.id AND h.state NOT IN ('a', 'w')), \
     number_sealed IS NOT NULL FROM mailbox WHERE id = $1";

/// Whose holder is asked for.
#[derive(Debug, Clone)]
pub(super) struct Holding(pub String);

impl Item for Holding {
    type Done = Option<Holder>;

    async fn commit(engine: &Engine, items: &[Self]) -> Result<Vec<Option<Holder>>, Refusal> {
        if let Engine::Postgres(db) = engine {
            let mailboxes: Vec<&str> = items.iter().map(|item| item.0.as_str()).collect();
            let found = db.holders(&mailboxes).await?;
            let found: HashMap<&str, &Holder> = found.iter().map(|h| (h.mailbox.as_str(), h)).collect();
            return Ok(mailboxes.iter().map(|mailbox| found.get(mailbox).map(|h| (*h).clone())).collect());
        }
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            all.push(one(engine, &item.0).await?);
        }
        Ok(all)
    }
}

async fn one(engine: &Engine, mailbox: &str) -> Result<Option<Holder>, Refusal> {
    let statements =
        vec![Statement::new(HOLDER, vec![mailbox.into()]), Statement::new(LATEST, vec![mailbox.into()])];
    let mut answers = engine.run(statements).await?.into_iter();
    let (own, consents) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
    let Some(row) = own.rows.into_iter().next() else { return Ok(None) };
    let Ok([Value::Text(device), Value::Bytes(device_key), Value::Int(is_home), Value::Int(has_number)]) =
        <[Value; 4]>::try_from(row)
    else {
        return Err(other_shape());
    };
    let consents = consents.rows.into_iter().map(pair).collect::<Result<_, _>>()?;
    let (is_home, has_number) = (is_home != 0, has_number != 0);
    Ok(Some(Holder { mailbox: mailbox.to_owned(), device, device_key, is_home, has_number, consents }))
}
