//! The mail's calls as a router finds them: which one it is, which consent it needs, and who answers it.

use super::mail::Mail;
use super::refusals::{BAD_REQUEST, MAILBOX_UNKNOWN, NO_SUCH_METHOD};
use crate::{Body, Problem};
use domicile_messaging::wire::{DeviceId, MailboxId};
use http::{Method, Response};

/// A device's call about its mail. Who asks was proven before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailCall {
    /// `POST /v1/messaging/messages`.
    Send,
    /// `GET /v1/messaging/messages`: for so many seconds.
    Poll(u64),
    /// `POST /v1/messaging/messages/ack`.
    Acknowledge,
    /// `PUT /v1/messaging/keys`.
    PutKeys,
    /// `POST /v1/messaging/keys/claim`.
    ClaimKeys,
    /// `PUT /v1/messaging/presence`.
    ShowPresence,
    /// `GET /v1/messaging/presence/{mailbox}`.
    PresenceOf(MailboxId),
}

impl MailCall {
    /// The call of a request; `None`: the path is none of the mail's.
    ///
    /// # Errors
    /// Another method, or a query or path that can't be understood.
    pub fn of(method: &Method, path: &str, query: Option<&str>) -> Option<Result<Self, Problem>> {
        let rest = path.strip_prefix("/v1/messaging/")?;
        let only = |wanted: Method, call| if *method == wanted { Ok(call) } else { Err(NO_SUCH_METHOD) };
        Some(match rest {
            "messages" if *method == Method::GET => wait(query).map(Self::Poll),
            "messages" => only(Method::POST, Self::Send),
            "messages/ack" => only(Method::POST, Self::Acknowledge),
            "keys" => only(Method::PUT, Self::PutKeys),
            "keys/claim" => only(Method::POST, Self::ClaimKeys),
            "presence" => only(Method::PUT, Self::ShowPresence),
            _ => {
                let mailbox = rest.strip_prefix("presence/")?.parse().map_err(|_| BAD_REQUEST);
                mailbox.and_then(|mailbox| only(Method::GET, Self::PresenceOf(mailbox)))
            }
        })
    }

    /// The purpose to which the owner must have agreed.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::ShowPresence | Self::PresenceOf(_) => "presence",
            _ => "cloud_messaging",
        }
    }

    /// May it take as long as its caller wants, so that no bound on answers applies?
    pub fn is_long(self) -> bool {
        matches!(self, Self::Poll(_))
    }
}

/// `wait_s=N`, once; 0 where it is absent.
fn wait(query: Option<&str>) -> Result<u64, Problem> {
    let mut wait = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let seconds = value.parse::<u64>().ok().filter(|_| name == "wait_s" && wait.is_none());
        wait = Some(seconds.ok_or(BAD_REQUEST)?);
    }
    Ok(wait.unwrap_or(0))
}

impl Mail {
    /// Answers a device's call. `caller` is its mailbox and `device` itself, as proven; `body` was read whole, at most 256 KiB.
    pub async fn answer(
        &self,
        (caller, device): (MailboxId, &DeviceId),
        call: MailCall,
        body: &[u8],
    ) -> Response<Body> {
        // Boxed: each is large in its own way, and a request is one of them.
        let answer = match self.at_its_home(caller).await {
            Err(problem) => Err(problem),
            Ok(()) => Box::pin(self.answered((caller, device), call, body)).await,
        };
        answer.unwrap_or_else(|problem| problem.answer())
    }

    /// INVARIANT: a device speaks to its home relay only.
    ///
    /// That this is the home may be told from memory, since whatever follows finds out. That another one is only the directory says: a
    /// device that has just followed its mailbox here would be sent back.
    async fn at_its_home(&self, caller: MailboxId) -> Result<(), Problem> {
        let name = caller.to_string();
        if self.moving.of(&name).await?.is_some_and(|home| self.moving.is_here(home)) {
            return Ok(());
        }
        let home = self.moving.asked(&name).await?.ok_or(MAILBOX_UNKNOWN)?;
        if self.moving.is_here(home) { Ok(()) } else { Err(self.moving.moved(home)) }
    }

    async fn answered(
        &self,
        (caller, device): (MailboxId, &DeviceId),
        call: MailCall,
        body: &[u8],
    ) -> Result<Response<Body>, Problem> {
        match call {
            MailCall::Send => Box::pin(self.send(caller, body)).await,
            MailCall::Poll(wait_s) => Box::pin(self.poll(caller, wait_s)).await,
            MailCall::Acknowledge => Box::pin(self.acknowledge(caller, body)).await,
            MailCall::PutKeys => Box::pin(self.put_keys((caller, device), body)).await,
            MailCall::ClaimKeys => Box::pin(self.claim_keys(caller, body)).await,
            MailCall::ShowPresence => Box::pin(self.show_presence((caller, device), body)).await,
            MailCall::PresenceOf(mailbox) => Box::pin(self.presence_of(caller, mailbox)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_one_path() {
        let of = |method: &str, path: &str, query| {
            MailCall::of(&method.parse().unwrap(), path, query).map(|call| call.map_err(|e| e.code))
        };
        assert_eq!(of("POST", "/v1/messaging/messages", None), Some(Ok(MailCall::Send)));
        assert_eq!(of("GET", "/v1/messaging/messages", Some("wait_s=30")), Some(Ok(MailCall::Poll(30))));
        assert_eq!(of("GET", "/v1/messaging/messages", None), Some(Ok(MailCall::Poll(0))));
        for bad in ["wait_s=-1", "wait_s=1&wait_s=2", "wait=1", "wait_s=99999999999999999999"] {
            assert_eq!(of("GET", "/v1/messaging/messages", Some(bad)), Some(Err("bad-request")), "{bad}");
        }
        assert_eq!(of("DELETE", "/v1/messaging/keys", None), Some(Err("method")));
        assert_eq!(of("GET", "/v1/messaging/presence/short", None), Some(Err("bad-request")));
        assert_eq!(of("GET", "/v1/messaging/region", None), None);
        assert_eq!(of("GET", "/other", None), None);
    }
}
