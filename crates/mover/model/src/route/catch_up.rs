//! `catch_up::round`: one snapshot at the source, one transaction at the target, then the entries go.

use super::Taken;
use crate::broken::Broken;
use crate::moves::{Model, Way};
use crate::state::{
    At, Home, ITEM, ORDER, Round, Rows, SOURCE, State, Subjects, TARGET, Worker, entry, only,
};

impl Model {
    /// The snapshot: entries and rows of one instant. Where there are entries, the transaction at the target
    /// begins, too.
    pub(super) fn round_read(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.read = s.db(SOURCE).changed & w.entries_wanted();
        w.ids = w.read;
        w.seen = s.db(SOURCE).rows;
        w.cut = false;
        w.at = if self.broken == Some(Broken::ForgetBeforeCommit) { At::RoundForget } else { At::RoundWrite };
        if w.read == 0 {
            self.round_done(w);
        }
        Some(())
    }

    /// `apply`, and its commit at the target.
    pub(super) fn round_write(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let subjects = if w.round == Round::UnderFence { w.group } else { w.going };
        let home = s.db(TARGET).home;
        let mut rows = s.db(TARGET).rows;
        let keys = expand(w.read, &w.seen, &rows);
        let present = keys & w.seen.of(subjects);
        if w.round == Round::UnderFence {
            // `push_aside`: rows of others that arrive here, for keys that the group owns in its snapshot.
            let others = rows.of(!subjects & 3 & arriving(home));
            rows.remove(present & others);
        }
        // Upsert what is there, then delete what is gone and whose owner here is in the batch.
        rows.put(present, &w.seen);
        rows.remove(keys & !present & rows.of(subjects));
        s.store[TARGET].commit(self.how(w.at, way), |db| db.rows = rows);
        if matches!(w.round, Round::BeforeFence | Round::UnderFence) {
            w.dirty |= keys;
        }
        if self.broken == Some(Broken::ForgetBeforeCommit) {
            w.read = 0;
            self.round_ends(w);
        } else {
            w.at = At::RoundForget;
        }
        Some(())
    }

    /// `forget`: exactly the entries that were read.
    pub(super) fn round_forget(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        s.store[SOURCE].commit(self.how(w.at, way), |db| db.changed &= !w.ids);
        if self.broken == Some(Broken::ForgetBeforeCommit) {
            w.at = At::RoundWrite;
        } else {
            (w.read, w.ids) = (0, 0);
            self.round_ends(w);
        }
        Some(())
    }

    /// The snapshot is used or closed after the round: it fails where its connection broke.
    fn round_ends(&self, w: &mut Worker) {
        if w.cut { w.at = At::Idle } else { self.round_done(w) }
    }

    fn round_done(&self, w: &mut Worker) {
        match w.round {
            Round::Verify => w.at = At::Compare,
            Round::UnderFence if self.broken == Some(Broken::CutoverBeforeVerify) => {
                w.seen = Rows::default();
                w.at = At::Seal;
            }
            Round::UnderFence => w.at = At::Check,
            Round::CatchUp => {
                w.seen = Rows::default();
                self.next_round(w, Round::Verify);
            }
            Round::BeforeFence => {
                w.seen = Rows::default();
                w.at = At::FenceBegin;
            }
        }
    }
}

fn arriving(home: [Home; 2]) -> Subjects {
    (0..2).filter(|who| matches!(home[*who], Home::Arriving | Home::Away)).map(only).sum()
}

/// `Snapshot::expand` at both sides: the entries' keys, and the order's item where its subtree changed.
fn expand(read: u8, here: &Rows, there: &Rows) -> u8 {
    let mut keys = 0;
    for who in 0..2 {
        for row in 0..3 {
            if read & (entry(who, row, false) | entry(who, row, true)) != 0 {
                keys |= 1 << row;
            }
        }
        let item = here.owner(ITEM).is_some() || there.owner(ITEM).is_some();
        if read & entry(who, ORDER, true) != 0 && item {
            keys |= 1 << ITEM;
        }
    }
    keys
}
