//! Sign-up: the application claims the subject in the directory first (none -> home, epoch 1), then
//! says `INSERT INTO domicile_signup(subject, epoch) VALUES (...)` here, then writes the root row.
//!
//! A view with an INSTEAD OF trigger, so that nobody has to write `domicile_home` by hand and a clause
//! such as OR REPLACE can't put `home` over the row of a subject that is away: inside a trigger that
//! clause would win over the trigger's own, so the trigger asks before it inserts.
//!
//! The guard can't know what the directory says. An application that signs a subject up here without its
//! claim makes a second home; the claim is what forbids it.

use super::words::{raise, refuse_unless_open};

/// The view and its trigger. `epoch` of 1 or more; repeating a sign-up that was done is no error.
pub(crate) fn statements() -> [String; 2] {
    let bad = raise("RS002: sign-up: a subject and an epoch of 1 or more are needed; nothing was written");
    let stale = raise(
        "RS001: sign-up: this subject is at home here with another epoch; nothing was written; look its home up and retry there",
    );
    let closed = refuse_unless_open("h.state", "sign-up", "this sign-up", "NULL");
    [
        "CREATE VIEW domicile_signup(subject, epoch) AS SELECT subject, epoch FROM domicile_home WHERE 0"
            .into(),
        format!(
            "CREATE TRIGGER domicile_signup_insert INSTEAD OF INSERT ON domicile_signup FOR EACH ROW\nBEGIN\n  \
             SELECT {bad} WHERE NEW.subject IS NULL OR coalesce(CAST(NEW.epoch AS INTEGER), 0) < 1;\n  \
             SELECT {closed} FROM domicile_home AS h WHERE h.subject = NEW.subject;\n  \
             SELECT {stale} FROM domicile_home AS h WHERE h.subject = NEW.subject AND h.epoch <> CAST(NEW.epoch AS INTEGER);\n  \
             INSERT INTO domicile_home(subject, state, epoch, gen) SELECT NEW.subject, 'h', CAST(NEW.epoch AS INTEGER), 1\n    \
             WHERE NOT EXISTS (SELECT 1 FROM domicile_home AS h WHERE h.subject = NEW.subject);\nEND"
        ),
    ]
}
