//! `cutover` and `activate`: the seal, the swap, what settles it, and the new home.

use super::{Taken, is_another};
use crate::broken::Broken;
use crate::directory::Settled;
use crate::disk::{Commit, skipped};
use crate::moves::{Event, Model, Way};
use crate::state::{At, Home, SOURCE, State, TARGET, Worker, each, only};

impl Model {
    /// The seal: a compare-and-swap on `fenced` that fails after the deadline.
    pub(super) fn seal(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let late = if let Way::Late(who) = way { who } else { 0 };
        let home = s.db(SOURCE).home;
        let any_state = self.broken == Some(Broken::SealWithoutState);
        let takes = |who: &usize| {
            home[*who] == Home::Fenced || (any_state && matches!(home[*who], Home::Moving | Home::Fencing))
        };
        let sealed = each(w.group & !skipped(s, SOURCE) & !late).filter(takes).map(only).sum();
        if any_state && late != 0 || each(late).any(|who| home[who] != Home::Fenced) {
            return None;
        }
        s.store[SOURCE].commit(self.how(w.at, way), |db| {
            each(sealed).for_each(|who| db.home[who] = Home::Sealed);
        });
        w.back = w.group & !sealed;
        w.group = sealed;
        w.at = At::SealLate;
        if w.back == 0 {
            self.sealed(w);
        } else {
            self.saw(Event::TooLate);
        }
        Some(())
    }

    /// Those too late are un-fenced.
    pub(super) fn seal_late(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        self.unfence(s, w, way, w.back);
        w.back = 0;
        self.sealed(w);
        Some(())
    }

    fn sealed(&self, w: &mut Worker) {
        if w.group == 0 {
            self.next_fence(w);
        } else if self.broken == Some(Broken::ActivateBeforeCutover) {
            w.at = At::ActivateTarget;
        } else {
            w.at = self.before_swap();
        }
    }

    fn before_swap(&self) -> At {
        // Without a standby listed the wait returns at once.
        if self.fails_over(SOURCE) || self.fails_over(TARGET) { At::Standbys } else { At::Swap }
    }

    /// `outlives_a_fail_over`. If the standbys are too slow, or another server has taken the source's place, no swap
    /// was sent: un-sealed, as well as that goes, and an error.
    pub(super) fn standbys(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let ready =
            self.is(Broken::NoStandbyWait) || [SOURCE, TARGET].into_iter().all(|at| self.has_all(s, at));
        if way == Way::TimesOut {
            s.left.timeouts = s.left.timeouts.checked_sub(1)?;
            if ready {
                return None;
            }
            self.saw(Event::StandbysTooSlow);
        } else if !ready {
            return None;
        }
        let unlike = (is_another(s, w, SOURCE) && !self.is(Broken::FailOverUnnoticed))
            || (is_another(s, w, TARGET) && !self.is(Broken::TargetFailOverUnnoticed));
        if way != Way::TimesOut && !unlike {
            w.at = At::Swap;
            return Some(());
        }
        if self.holds(s, w, SOURCE) {
            s.store[SOURCE].commit(Commit::Durable, |db| unseal(db, w.group));
        }
        w.at = At::Idle;
        Some(())
    }

    /// `wait_for_standbys`: those of one side.
    fn has_all(&self, s: &State, at: usize) -> bool {
        s.store[at].standbys_have_all() || (at == TARGET && self.is(Broken::TargetNotFlushed))
    }

    /// `Directory::cutover`, and its answer or none.
    pub(super) fn swap(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        if way == Way::Unanswered {
            s.left.unanswered = s.left.unanswered.checked_sub(1)?;
            s.directory.send(w.group, w.attempt);
            w.at = At::Settle;
            return Some(());
        }
        let landed = s.directory.cutover(w.group, w.attempt);
        w.moved = landed;
        w.going &= !landed;
        w.group &= !landed;
        if w.group == 0 {
            self.settled(w);
        } else {
            w.at = At::Settle;
        }
        Some(())
    }

    /// `settle`, one subject.
    pub(super) fn settle(&self, s: &mut State, w: &mut Worker) -> Taken {
        let who = each(w.group).next()?;
        let answer = if self.broken == Some(Broken::SettleByRead) {
            s.directory.settle_by_read(who)
        } else {
            s.directory.settle(who, w.attempt[who])
        };
        match answer {
            Settled::Moved => {
                self.saw(Event::SettledMoved);
                w.moved |= only(who);
                w.going &= !only(who);
            }
            Settled::Cancelled(attempt) => {
                self.saw(Event::SettledCancelled);
                w.attempt[who] = attempt;
                w.back |= only(who);
            }
        }
        w.group &= !only(who);
        if w.group == 0 {
            w.at = At::BackToMoving;
            if w.back == 0 {
                self.settled(w);
            }
        }
        Some(())
    }

    /// The cancelled are written again at the old home.
    pub(super) fn back_to_moving(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.store[SOURCE].commit(Commit::Durable, |db| unseal(db, w.back));
        w.going |= w.back;
        w.back = 0;
        self.settled(w);
        Some(())
    }

    fn settled(&self, w: &mut Worker) {
        if w.moved != 0 {
            let done = self.broken == Some(Broken::ActivateBeforeCutover) && !w.begins;
            w.at = if done { At::ActivateSource } else { At::ActivateTarget };
        } else if w.begins {
            w.at = At::PutBack;
        } else {
            self.next_fence(w);
        }
    }

    /// `activate`: `home` at the target (`settle_states`; nobody has more than a share of a row that is `arriving`).
    pub(super) fn activate_target(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let early = self.broken == Some(Broken::ActivateBeforeCutover) && w.moved == 0;
        let who = if early { w.group } else { w.moved };
        s.store[TARGET].commit(self.how(w.at, way), |db| {
            for who in each(who) {
                if db.home[who] == Home::Arriving {
                    db.home[who] = Home::Home;
                }
            }
        });
        self.saw(Event::Activated);
        w.at = match self.broken {
            _ if early => self.before_swap(),
            Some(Broken::ActivateNotDurable) => At::ActivateSource,
            _ => At::FlushTarget,
        };
        Some(())
    }

    /// `home_for_good`: the target's log is flushed, and then looked at whether a crash had forgotten them.
    pub(super) fn flush_target(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.store[TARGET].commit(Commit::Durable, |_| {});
        let forgotten = each(w.moved).any(|who| s.db(TARGET).home[who] == Home::Arriving);
        w.at = match forgotten {
            true => At::ActivateTarget,
            false if self.waits_to_keep() => At::ActivateKeeps,
            false => At::ActivateSource,
        };
        Some(())
    }

    /// The target's standbys have it before anybody says so.
    pub(super) fn activate_keeps(&self, s: &State, w: &mut Worker) -> Taken {
        w.at = if self.target_keeps(s, w)? { At::ActivateSource } else { At::Idle };
        Some(())
    }

    /// `send_away`.
    pub(super) fn activate_source(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.store[SOURCE].commit(Commit::Durable, |db| {
            for who in each(w.moved) {
                if db.home[who] == Home::Sealed {
                    db.home[who] = Home::Away;
                }
            }
        });
        w.record.moved |= w.moved;
        if w.begins {
            w.at = At::SaveMoved;
        } else {
            w.moved = 0;
            self.next_fence(w);
        }
        Some(())
    }
}

fn unseal(db: &mut crate::state::Db, group: u8) {
    for who in each(group) {
        if db.home[who] == Home::Sealed {
            db.home[who] = Home::Moving;
        }
    }
}
