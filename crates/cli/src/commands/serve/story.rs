//! What a serving process tells of itself: lines for people, or `--log json`. Nothing of what it is asked.

use super::certificates::Remark;
use crate::app::App;
use crate::args::ServeArgs;
use crate::log::{self, Level};
use crate::screen::Screen;
use domicile_server::gateway::Gateway;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU8, Ordering};

/// Not said yet, ready, not ready.
const UNSAID: u8 = 0;

/// Tells.
#[derive(Debug)]
pub struct Story {
    /// Where to.
    pub screen: Screen,
    ready: AtomicU8,
}

impl Story {
    /// Nothing is told yet.
    pub fn new(app: &App) -> Self {
        Self { screen: app.screen.clone(), ready: AtomicU8::new(UNSAID) }
    }

    /// A sentence.
    pub fn say(&self, text: &str) {
        self.screen.say(text);
    }

    /// An event with its fields for programs, or a sentence for people where there is one.
    fn tell(&self, level: Level, event: &str, more: Value, text: &str) {
        if self.screen.logs_json() {
            self.screen.log(&log::line(level, "", event, more));
        } else if !text.is_empty() {
            self.screen.say(text);
        }
    }

    /// The process begins.
    pub fn starts(&self, args: &ServeArgs) {
        let more = json!({
            "version": env!("CARGO_PKG_VERSION"), "gateway": args.gateway, "directory": args.directory,
            "messaging": args.messaging,
        });
        self.tell(Level::Info, "start", more, "");
    }

    /// It listens.
    pub fn listens(&self, what: &str, scheme: &str, at: &str) {
        let more = json!({ "what": what, "url": format!("{scheme}://{at}") });
        self.tell(Level::Info, "listening", more, &format!("{what}: {scheme}://{at}"));
    }

    /// Whether the gateway may route, where that is news.
    pub fn readiness(&self, gateway: Option<&Gateway>) {
        let is_ready = gateway.is_none_or(Gateway::is_ready);
        let before = self.ready.swap(1 + u8::from(is_ready), Ordering::Relaxed);
        match (before, is_ready) {
            (UNSAID, true) => self.tell(Level::Info, "ready", json!({}), ""),
            (1, true) => {
                self.tell(Level::Info, "ready", json!({}), "ready: the lease is back, requests are routed")
            }
            (UNSAID | 2, false) => {
                let why = "the lease could not be renewed: the directory can't be reached";
                let text = format!("not ready: {why}; every request is answered 503");
                self.tell(Level::Warn, "not-ready", json!({ "why": why }), &text);
            }
            _ => {}
        }
    }

    /// Something was read again, or could not be.
    pub fn reloaded(&self, what: &str, how: &str, error: Option<&dyn std::fmt::Display>) {
        match error {
            None => self.tell(Level::Info, "reloaded", json!({ "what": what }), &format!("{what}: {how}")),
            Some(error) => {
                let more = json!({ "what": what, "how": how, "why": error.to_string() });
                self.tell(Level::Warn, "not-reloaded", more, &format!("{what}: {how}: {error}"));
            }
        }
    }

    /// A certificate ends, or does not hold.
    pub fn certificate(&self, at: &str, remark: &Remark) {
        let more = json!({
            "at": at, "code": remark.code, "what": remark.what, "ends": remark.ends, "fix": remark.fix,
        });
        let text = format!("{at}: {}\n{}\n{}", remark.what, remark.why, remark.fix);
        self.tell(Level::Warn, "certificate", more, &text);
    }

    /// Something of the environment can't be used.
    pub fn ignores(&self, what: &str) {
        self.tell(Level::Warn, "ignored", json!({ "what": what }), &format!("ignored: {what}"));
    }

    /// A signal came: nothing new is accepted.
    pub fn stops(&self) {
        self.tell(Level::Info, "stopping", json!({}), "");
    }
}
