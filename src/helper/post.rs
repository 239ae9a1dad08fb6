//! Who does the helper's work: the one there is, those that leave, and when the next is due.
//!
//! Owns the helper from its first question to the moment when the system keeps nothing of it. It
//! must not know what was asked, nor start a process. Invariants: nothing is allocated after `new`;
//! one that is asked and says nothing for [`SILENT_MS`] is no use; while [`LEAVING`] have not ended
//! no other is wanted, whatever keeps them; whoever leaves is killed.

use super::{Asked, Heard, Helper, Question};
use crate::connection::time::Ms;

/// A helper that is asked something and says nothing for so long is no use: the worst hash that is
/// allowed takes most of a minute on a small router.
const SILENT_MS: u32 = 60_000;
/// A helper that has ended is replaced after this, and looked after in such steps.
const REST_MS: u32 = 1_000;
/// Helpers that were told to end, or killed, and still are there.
const LEAVING: usize = 4;

/// Whom the work is given to. Its real form is [`Helper`].
pub trait Works {
    /// As [`Helper::ask`].
    fn ask(&mut self, id: u32, question: &Question<'_>) -> Asked;
    /// As [`Helper::hear`].
    fn hear(&mut self) -> Heard;
    /// As [`Helper::dismiss`].
    fn dismiss(&mut self);
    /// As [`Helper::kill`].
    fn kill(&mut self);
    /// As [`Helper::reap`].
    fn reap(&mut self) -> bool;
}

impl Works for Helper {
    fn ask(&mut self, id: u32, question: &Question<'_>) -> Asked {
        Self::ask(self, id, question)
    }

    fn hear(&mut self) -> Heard {
        Self::hear(self)
    }

    fn dismiss(&mut self) {
        Self::dismiss(self);
    }

    fn kill(&mut self) {
        Self::kill(self);
    }

    fn reap(&mut self) -> bool {
        Self::reap(self)
    }
}

/// The place that a helper fills. See the module.
#[derive(Debug)]
pub(super) struct Post<A> {
    pub(super) helper: Option<A>,
    /// There is work for one.
    is_wanted: bool,
    leaving: Vec<A>,
    /// When to look after those that leave, or for another one.
    look_at: Option<Ms>,
    /// Questions that have no answer yet.
    open: u32,
    /// When it was heard last, or asked while nothing else was open.
    silent_since: Ms,
}

impl<A: Works> Post<A> {
    /// Nobody, and nobody is wanted.
    pub(super) fn new() -> Self {
        Self {
            helper: None,
            is_wanted: false,
            leaving: Vec::with_capacity(LEAVING),
            look_at: None,
            open: 0,
            silent_since: Ms(0),
        }
    }

    /// There is a helper for good, or there will be one again.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// This one, or for now nobody, has the work from now on. One that was there has lost it; ask
    /// for [`Post::lose`] first, if its questions matter.
    pub(super) fn employ(&mut self, helper: Option<A>, now: Ms) {
        self.lose(now);
        self.is_wanted = true;
        self.look_at = match helper {
            Some(_) if self.leaving.is_empty() => None,
            Some(_) | None => Some(now.after(REST_MS)),
        };
        self.helper = helper;
    }

    /// There is no work any more: it ends when it has answered what was asked.
    pub(super) fn dismiss(&mut self) {
        self.is_wanted = false;
        if let Some(helper) = &mut self.helper {
            helper.dismiss();
        }
    }

    /// One that never had the work ends.
    pub(super) fn turn_away(&mut self, helper: A, now: Ms) {
        self.see_off(helper, now);
    }

    /// `None`: there is nobody.
    pub(super) fn ask(&mut self, id: u32, question: &Question<'_>, now: Ms) -> Option<Asked> {
        let asked = self.helper.as_mut()?.ask(id, question);
        if asked == Asked::Sent {
            if self.open == 0 {
                self.silent_since = now;
            }
            self.open = self.open.saturating_add(1);
        }
        Some(asked)
    }

    /// `None`: there is nobody.
    pub(super) fn hear(&mut self, now: Ms) -> Option<Heard> {
        let heard = self.helper.as_mut()?.hear();
        if let Heard::Verdict(..) = heard {
            self.open = self.open.saturating_sub(1);
            self.silent_since = now;
        }
        Some(heard)
    }

    /// It has ended, or is to, at once: nothing that was asked gets an answer.
    pub(super) fn lose(&mut self, now: Ms) {
        self.open = 0;
        if let Some(helper) = self.helper.take() {
            self.see_off(helper, now);
        }
    }

    /// It has nothing more to do, whatever it is at.
    fn see_off(&mut self, mut helper: A, now: Ms) {
        helper.kill();
        self.look_at = Some(now.after(REST_MS));
        // There is room: no other is wanted while there is none.
        if !helper.reap() && self.leaving.len() < self.leaving.capacity() {
            self.leaving.push(helper);
        }
    }

    /// It is asked something and says nothing: [`Post::lose`] it.
    pub(super) fn is_silent(&self, now: Ms) -> bool {
        self.silent_until().is_some_and(|until| now >= until)
    }

    fn silent_until(&self) -> Option<Ms> {
        (self.open > 0).then(|| self.silent_since.after(SILENT_MS))
    }

    /// When something is to be done without a word of the helper.
    pub(super) fn due(&self) -> Option<Ms> {
        [self.look_at, self.silent_until()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Looks after those that leave. True: another one is to be employed now.
    pub(super) fn wants_another(&mut self, now: Ms) -> bool {
        if self.look_at.is_none_or(|at| now < at) {
            return false;
        }
        self.leaving.retain_mut(|helper| !helper.reap());
        let lacks_one = self.is_wanted && self.helper.is_none();
        let has_room = self.leaving.len() < LEAVING;
        let waits = !self.leaving.is_empty() || lacks_one;
        self.look_at = waits.then(|| now.after(REST_MS));
        lacks_one && has_room
    }
}
