//! Messages: taken, kept at the receiver's home until its device has them, known for some time after.
//!
//! A sender repeats a message, with its id, until it has an answer; a receiver's device acknowledges what it has durably. Between
//! these two nothing is lost: the answer is given after the commit, at the home, and what is kept moves with the mailbox as rows.
//! Nothing is shown twice: (receiver, id) is kept once, and known for a day after it was delivered.

use super::mail::{Mail, Place, now_ms, of_store};
use super::notices::Notice;
use super::refusals::{
    AGAIN, BAD_REQUEST, BUSY, KEYS_OTHER, MAILBOX_FULL, MAILBOX_UNKNOWN, MESSAGE_TOO_LARGE, TOO_MANY,
};
use super::relays::{self, json};
use crate::{Body, Problem};
use bytes::Bytes;
use domicile_messaging::wire::limits::{PAGE_BYTES_MAX, PAGE_MESSAGES_MAX};
use domicile_messaging::wire::relay::RelaySend;
use domicile_messaging::wire::{
    Acknowledge, IfOffline, List, MailboxId, Message, MessageBody, Messages, Send, Sent, SentState,
};
use domicile_stores::mailboxes::{self, Fill, Refusal, Unread};
use http::{Response, StatusCode};
use std::time::{Duration, Instant};

impl Mail {
    /// `POST /v1/messaging/messages` of a sender whose mailbox is `from`.
    pub(super) async fn send(&self, from: MailboxId, body: &[u8]) -> Result<Response<Body>, Problem> {
        let message: Send = relays::read(body)?;
        self.senders
            .take(&from.to_string(), Instant::now())
            .map_err(|wait| TOO_MANY.retry_after(wait.max(AGAIN)))?;
        let asked = RelaySend { from, message };
        self.checked(&asked.message)?;
        let to = asked.message.to.to_string();
        let (sent_here, read) = (
            async || self.take(&asked).await,
            |status, _: &[u8]| match status {
                StatusCode::ACCEPTED => Some(Taken::Kept),
                StatusCode::OK => Some(Taken::UseSms),
                _ => None,
            },
        );
        let taken = self.wherever(&to, sent_here, relays::MESSAGES, &asked, read).await?;
        answered(taken).map(|state| sent(&state))
    }

    /// The same for another relay's user: here or nowhere.
    pub(super) async fn sent_here(&self, asked: &RelaySend) -> Result<Place<Sent>, Problem> {
        self.checked(&asked.message)?;
        let to = asked.message.to.to_string();
        match self.at_home(&to, || self.take(asked)).await? {
            Place::Done(taken) => answered(taken).map(Place::Done),
            Place::Elsewhere(home) => Ok(Place::Elsewhere(home)),
        }
    }

    fn checked(&self, message: &Send) -> Result<(), Problem> {
        if message.body.as_ref().len() > self.limits.message_bytes {
            return Err(MESSAGE_TOO_LARGE);
        }
        let fits = (1..=self.limits.expires_s).contains(&u64::from(message.expires_in_s));
        let why = || format!("expires_in_s is from 1 to {}", self.limits.expires_s);
        if fits { Ok(()) } else { Err(BAD_REQUEST.because(why())) }
    }

    /// Takes a message at this home.
    async fn take(&self, asked: &RelaySend) -> Result<Taken, Refusal> {
        let (message, to) = (&asked.message, asked.message.to.to_string());
        let is_full = |fill: &Fill| self.is_full(fill, message.body.as_ref().len());
        let is_to_another =
            |fill: &Fill| message.sealed_to.is_some_and(|key| fill.key.is_some_and(|own| own != key.0));
        let mut fill = self.counted(&to, is_full).await?;
        if is_to_another(&fill) {
            // What is remembered may be older than the receiver's new device.
            self.fills.forget(&to);
            fill = self.counted(&to, is_full).await?;
        }
        if !fill.agreed {
            return self.said_at_home(&to, Taken::Unknown).await;
        }
        if is_to_another(&fill) {
            return self.said_at_home(&to, Taken::OtherKeys).await;
        }
        let may_be_away = message.if_offline == IfOffline::Sms && !self.presences.is_here(&to);
        if may_be_away && self.may_view(&to, &asked.from).await? {
            // A sender whose first answer was lost would send by SMS, too, what is here already.
            let is_known = self.mailboxes.is_known(&to, &message.id.to_string()).await?;
            return Ok(if is_known { Taken::Kept } else { Taken::UseSms });
        }
        let is_much = self.pairs.take(&pair(&asked.from, &to), Instant::now()).is_err();
        if is_full(&fill) || is_much && self.is_half_full(&fill) {
            return self.said_at_home(&to, Taken::Full).await;
        }
        self.keep(message, to).await
    }

    async fn counted(&self, to: &str, is_full: impl Fn(&Fill) -> bool) -> Result<Fill, Refusal> {
        let away = |problem: Problem| Refusal::Again(problem.code.to_owned());
        let epoch = self.moving.of(to).await.map_err(away)?.map_or(0, |home| home.epoch);
        if let Some(fill) = self.fills.known(to, epoch, is_full) {
            return Ok(fill);
        }
        let asked = self.fills.asks();
        let fill = self.mailboxes.fill(to).await?;
        self.fills.counted(to, (epoch, asked), fill);
        Ok(fill)
    }

    /// A no that no write has proven: its rows may be at another home already, then it is asked there.
    async fn said_at_home(&self, mailbox: &str, no: Taken) -> Result<Taken, Refusal> {
        if self.is_home(mailbox).await? { Ok(no) } else { Err(Refusal::NotHere) }
    }

    /// Whether the directory says so now.
    pub(super) async fn is_home(&self, mailbox: &str) -> Result<bool, Refusal> {
        let home =
            self.moving.asked(mailbox).await.map_err(|problem| Refusal::Again(problem.code.to_owned()))?;
        Ok(home.is_some_and(|home| self.moving.is_here(home)))
    }

    async fn keep(&self, message: &Send, to: String) -> Result<Taken, Refusal> {
        let received_ms = now_ms();
        let body = Bytes::copy_from_slice(message.body.as_ref());
        let bytes = body.len();
        let kept = mailboxes::Message {
            mailbox: to.clone(),
            id: message.id.to_string(),
            body,
            received_ms,
            expires_ms: received_ms.saturating_add(i64::from(message.expires_in_s) * 1000),
        };
        if !self.mailboxes.keep(kept).await? {
            // What is remembered is of before its owner withdrew, and nobody has said so.
            self.fills.forget(&to);
            return self.said_at_home(&to, Taken::Unknown).await;
        }
        self.has_kept(message.to, bytes);
        Ok(Taken::Kept)
    }

    fn is_full(&self, fill: &Fill, bytes: usize) -> bool {
        fill.messages >= self.limits.mailbox_messages
            || fill.bytes.saturating_add(bytes as u64) > self.limits.mailbox_bytes
    }

    /// What is left is for others than who has sent the most of it.
    fn is_half_full(&self, fill: &Fill) -> bool {
        fill.messages >= self.limits.mailbox_messages / 2 || fill.bytes >= self.limits.mailbox_bytes / 2
    }

    /// `GET /v1/messaging/messages?wait_s=N` of a device whose mailbox this is: what waits, or what comes within the wait.
    ///
    /// INVARIANT: what is handed out was read while the mailbox was at home here: the directory names the same home, at the same
    /// epoch, afterwards. A copy that was left behind may hold what was acknowledged at the new home since.
    pub(super) async fn poll(&self, mailbox: MailboxId, wait_s: u64) -> Result<Response<Body>, Problem> {
        let _place = self.waiters.try_acquire().map_err(|_| BUSY.retry_after(AGAIN))?;
        let name = mailbox.to_string();
        let (_here, is_news) = self.presences.enter(&name).ok_or(TOO_MANY.retry_after(AGAIN))?;
        let until = Instant::now() + Duration::from_secs(wait_s.min(self.limits.wait_s));
        let mut news = self.moving.wait_for(&name);
        if is_news {
            self.neighbours.tell(Notice::Here(mailbox));
        }
        loop {
            let home = self.moving.of(&name).await?.ok_or(MAILBOX_UNKNOWN)?;
            if !self.moving.is_here(home) {
                return Err(self.moving.moved(home));
            }
            let limit = u32::try_from(PAGE_MESSAGES_MAX).unwrap_or(u32::MAX);
            let unread = self.mailboxes.unread(&name, now_ms(), limit).await.map_err(|e| of_store(&e))?;
            if !unread.is_empty() {
                let now = self.moving.asked(&name).await?.ok_or(MAILBOX_UNKNOWN)?;
                match now == home {
                    true => return Ok(json(StatusCode::OK, &page(unread)?)),
                    false => continue,
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.is_stopped() {
                return Ok(json(StatusCode::OK, &Messages::default()));
            }
            tokio::select! {
                _ = news.heard(left.min(self.limits.reread)) => {}
                () = self.stop.stopped() => {}
            }
        }
    }

    /// `POST /v1/messaging/messages/ack`: the device has these durably, so they go.
    pub(super) async fn acknowledge(
        &self,
        mailbox: MailboxId,
        body: &[u8],
    ) -> Result<Response<Body>, Problem> {
        let asked: Acknowledge = relays::read(body)?;
        let mut ids: Vec<String> = asked.ids.iter().map(ToString::to_string).collect();
        ids.sort_unstable();
        ids.dedup();
        let (name, named) = (mailbox.to_string(), ids.len());
        let here = || self.mailboxes.acknowledge(&name, ids.clone(), now_ms());
        let gone = match self.at_home(&name, here).await? {
            Place::Done(gone) => gone,
            Place::Elsewhere(home) => return Err(self.moving.moved(home)),
        };
        self.has_gone(&name, gone.here);
        if gone.here < named {
            // The guard has seen nothing of the others: were they acknowledged before, or are they elsewhere?
            let home = self.moving.asked(&name).await?.ok_or(MAILBOX_UNKNOWN)?;
            if !self.moving.is_here(home) {
                return Err(self.moving.moved(home));
            }
        }
        Ok(relays::done())
    }
}

/// Of whom to whom: in memory only, and forgotten with the limit that it is for.
pub(super) fn pair(from: &MailboxId, to: &str) -> String {
    format!("{from}{to}")
}

/// What a home did with a message.
enum Taken {
    Kept,
    UseSms,
    Full,
    /// Its owner could not read it.
    OtherKeys,
    /// Its owner wants none: as if there were no such mailbox.
    Unknown,
}

fn answered(taken: Taken) -> Result<Sent, Problem> {
    match taken {
        Taken::Kept => Ok(Sent { state: SentState::Kept }),
        Taken::UseSms => Ok(Sent { state: SentState::UseSms }),
        Taken::Full => Err(MAILBOX_FULL.retry_after(Duration::from_secs(60))),
        Taken::OtherKeys => Err(KEYS_OTHER),
        Taken::Unknown => Err(MAILBOX_UNKNOWN),
    }
}

/// 202 where it is kept, 200 where nothing is.
pub(super) fn sent(sent: &Sent) -> Response<Body> {
    let status = match sent.state {
        SentState::Kept => StatusCode::ACCEPTED,
        SentState::UseSms => StatusCode::OK,
    };
    json(status, sent)
}

/// As many as fit into an answer: at least one.
fn page(unread: Vec<Unread>) -> Result<Messages, Problem> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    for one in unread {
        bytes += one.body.len();
        if bytes > PAGE_BYTES_MAX && !messages.is_empty() {
            break;
        }
        messages.push(message(one).ok_or(super::refusals::BROKEN)?);
    }
    Ok(Messages { messages: List::new(messages).ok_or(super::refusals::BROKEN)? })
}

fn message(unread: Unread) -> Option<Message> {
    Some(Message {
        id: unread.id.parse().ok()?,
        body: MessageBody::new(unread.body)?,
        received_at: jiff::Timestamp::from_millisecond(unread.received_ms).ok()?,
    })
}
