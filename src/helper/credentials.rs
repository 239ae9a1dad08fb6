//! What is known of credentials: what the helper said of them, for a while.
//!
//! Owns the table of what was said, and who waits for a word. It must not keep a password, nor know
//! a request. Invariants: nothing is allocated after `new`; whoever was not said to be good is not;
//! at most `auth.waiting` wait, and who is wrong too often waits for nobody; every question ends by
//! a word of the helper or by its end; a word is kept until all who waited for it are answered.

use super::digest::Key;
use super::failures::Failures;
use super::post::{Post, Works};
use super::table::{Known, Standing, Table};
use super::unreadable::Unreadable;
use super::waiters::{Told, WAITING, Waiters};
use super::{Asked, Heard, Helper, Question, Verdict};
use crate::config::AuthConfig;
use crate::connection::client::Client;
use crate::connection::time::Ms;
use std::os::fd::BorrowedFd;

/// Credentials that were wrong are not looked at again for so long: who sends them again at once
/// costs nothing.
const WRONG_MS: u32 = 1_000;
/// The longest name of a user that is shown in the access log, bytes.
pub const SHOWN_USER_BYTES: usize = 64;

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Looked {
    /// They are good.
    Yes,
    /// They are not.
    No,
    /// Nobody can say: there is no helper, or it cannot read the file.
    Failed,
    /// Look again later: when the helper has answered the question of this number, or, where
    /// nobody may wait, when that has changed.
    Wait(u32),
    /// Too many wait, or this address was wrong too often: come again after so many seconds.
    Busy(u32),
}

/// The table. See the module.
#[derive(Debug)]
pub struct Credentials<A = Helper> {
    post: Post<A>,
    /// Made with the first helper.
    key: Option<Key>,
    settings: AuthConfig,
    known: Table,
    failures: Failures,
    waiters: Waiters,
    next_ticket: u32,
    /// Whose request is looked at.
    slot: u16,
    /// It may wait.
    may_wait: bool,
    /// What it was told.
    told: Told,
    /// Whose credentials it shows, if they are good.
    user: [u8; SHOWN_USER_BYTES],
    user_bytes: usize,
    unreadable: Unreadable,
}

/// Memory it takes, bytes; for the plan.
pub const BYTES: usize = size_of::<Credentials>() + Table::BYTES + Failures::BYTES + Waiters::BYTES;

impl<A: Works> Credentials<A> {
    /// An empty table. Until a helper is employed nobody is let in. Each that waits holds a buffer:
    /// half of the `buffers` at least stay for others.
    #[must_use]
    pub fn new(settings: AuthConfig, buffers: u16) -> Self {
        let waiting = settings.waiting.min(buffers / 2).max(1);
        Self {
            post: Post::new(),
            key: None,
            settings: AuthConfig {
                waiting,
                ..settings
            },
            known: Table::new(),
            failures: Failures::new(),
            waiters: Waiters::new(),
            next_ticket: 0,
            slot: 0,
            may_wait: true,
            told: Told::default(),
            user: [0; SHOWN_USER_BYTES],
            user_bytes: 0,
            unreadable: Unreadable::new(),
        }
    }

    /// From now on these settings hold, but for `waiting`.
    pub fn retune(&mut self, settings: AuthConfig) {
        let waiting = self.settings.waiting;
        self.settings = AuthConfig {
            waiting,
            ..settings
        };
    }

    // ---- the helper ----------------------------------------------------------------------------

    /// There is a helper, or there will be one again.
    #[must_use]
    pub fn has_helper(&self) -> bool {
        self.post.is_wanted()
    }

    /// The helper, or nobody until the next attempt, from now on.
    pub fn employ(&mut self, helper: Option<A>, now: Ms) {
        self.lose(now);
        if helper.is_some() && self.key.is_none() {
            // Without randomness nobody is let in.
            self.key = Key::new().ok();
        }
        self.post.employ(helper, now);
    }

    /// Nobody is asked any more: the helper ends when it has answered those that wait.
    pub fn dismiss(&mut self) {
        self.post.dismiss();
    }

    /// This helper is not needed after all.
    pub fn turn_away(&mut self, helper: A, now: Ms) {
        self.post.turn_away(helper, now);
    }

    /// When something is to be done without a word of the helper.
    #[must_use]
    pub fn due(&self) -> Option<Ms> {
        self.post.due()
    }

    /// A helper that is asked and says nothing is killed. True: that has happened.
    pub fn kill_if_silent(&mut self, now: Ms) -> bool {
        let is_silent = self.post.is_silent(now);
        if is_silent {
            self.lose(now);
        }
        is_silent
    }

    /// Looks after helpers that have ended. True: another one is to be employed now.
    pub fn wants_another(&mut self, now: Ms) -> bool {
        self.post.wants_another(now)
    }

    /// Hears all that the helper has said. True: it has ended, and not because it was told to.
    pub fn hear(&mut self, now: Ms) -> bool {
        loop {
            match self.post.hear(now) {
                Some(Heard::Verdict(ticket, verdict)) => self.take(ticket, verdict, now),
                Some(Heard::Gone) => {
                    self.lose(now);
                    return self.post.is_wanted();
                }
                Some(Heard::Nothing) | None => return false,
            }
        }
    }

    // ---- a request -----------------------------------------------------------------------------

    /// The request of this slot is looked at from now on. `may_wait`: it stands alone, so that it
    /// can; otherwise nobody is asked about it.
    pub fn begin(&mut self, slot: u16, may_wait: bool) {
        self.slot = slot;
        self.may_wait = may_wait;
        self.told = Told::default();
        self.user_bytes = 0;
    }

    /// Whether these are good, as far as is known; the helper is asked when it is not.
    pub fn look(&mut self, file: &[u8], pair: (&[u8], &[u8]), client: &Client, now: Ms) -> Looked {
        let (user, password) = pair;
        let plain = self.settings.plain;
        let Some(key) = &self.key else {
            return Looked::Failed;
        };
        let digest = key.of(&[file, &[u8::from(plain)], user, password]);
        // Whoever waited for a word believes it in any case.
        let relies = |place| self.waiters.relies(self.slot, place);
        if let Some((place, known)) = self.known.find(&digest, relies, now) {
            return self.recall(place, &known, file, user, now);
        }
        if let Some(pause_s) = self.failures.pause_s(client, now) {
            return Looked::Busy(pause_s);
        }
        if !self.may_wait {
            return Looked::Wait(self.next_ticket);
        }
        let kept = |place| self.told.has(place) || self.waiters.anybody_relies(place);
        let (true, Some(place)) = (self.has_room(), self.known.free_place(kept, now)) else {
            return Looked::Busy(1);
        };
        let ticket = self.next_ticket;
        let question = Question {
            file,
            user,
            password,
            plain,
        };
        match self.post.ask(ticket, &question, now) {
            None => return Looked::Failed,
            Some(Asked::TooLong) => return Looked::No,
            Some(Asked::Full) => return Looked::Busy(1),
            Some(Asked::Gone) => {
                self.lose(now);
                return Looked::Failed;
            }
            Some(Asked::Sent) => {}
        }
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.known.asked(place, digest, ticket, *client);
        Looked::Wait(ticket)
    }

    /// What is known of these.
    fn recall(&mut self, place: usize, known: &Known, file: &[u8], user: &[u8], now: Ms) -> Looked {
        match known.standing {
            Standing::Yes => {
                self.unreadable.is_not(file);
                self.told.add(place);
                self.note_user(user);
                Looked::Yes
            }
            Standing::No => {
                self.unreadable.is_not(file);
                Looked::No
            }
            Standing::Failed => {
                self.unreadable.is(file, now);
                Looked::Failed
            }
            Standing::Lost => Looked::Failed,
            Standing::Asked if self.has_room() => Looked::Wait(known.ticket),
            Standing::Asked => Looked::Busy(1),
        }
    }

    /// The request that is looked at waits for the answer to this question.
    pub fn wait(&mut self, ticket: u32) {
        if let Some(word) = self.known.place_of(ticket) {
            self.waiters.put(self.slot, ticket, word, &self.told);
        }
    }

    /// The request of this slot is answered, or over.
    pub fn forget(&mut self, slot: u16) {
        self.waiters.forget(slot);
    }

    /// Slots that wait, or have waited and are not answered yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.count()
    }

    /// A slot whose question has its answer, and that was not told so before.
    pub fn next_answered(&mut self) -> Option<u16> {
        let known = &self.known;
        self.waiters.next(|ticket| !known.is_asked(ticket))
    }

    /// The user whose credentials the request shows; nobody, if it was refused.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        self.user.get(..self.user_bytes).unwrap_or_default()
    }

    /// The request was refused: whoever it is, it was not let in by that name.
    pub fn forget_user(&mut self) {
        self.user_bytes = 0;
    }

    /// A file of users that cannot be read, if that is news.
    pub fn unreadable(&mut self) -> Option<&[u8]> {
        self.unreadable.news()
    }

    fn note_user(&mut self, user: &[u8]) {
        let bytes = user.len().min(SHOWN_USER_BYTES);
        if let (Some(to), Some(from)) = (self.user.get_mut(..bytes), user.get(..bytes)) {
            to.copy_from_slice(from);
        }
        self.user_bytes = bytes;
    }

    /// The request may wait: not too many do, or it is one of them.
    fn has_room(&self) -> bool {
        let most = usize::from(self.settings.waiting).min(WAITING);
        self.waiting() < most || self.waiters.has(self.slot)
    }

    fn take(&mut self, ticket: u32, verdict: Verdict, now: Ms) {
        let (standing, lasts_ms) = match verdict {
            Verdict::Yes => (Standing::Yes, self.settings.remember_ms),
            Verdict::No => (Standing::No, WRONG_MS),
            Verdict::Failed => (Standing::Failed, WRONG_MS),
        };
        let Some(client) = self.known.told(ticket, standing, now.after(lasts_ms)) else {
            return; // it was never asked
        };
        match verdict {
            Verdict::Yes => self.failures.forgive(&client),
            Verdict::No => self.failures.blame(client, &self.settings, now),
            Verdict::Failed => {}
        }
    }

    /// The helper has ended, or is to: nobody knows what it would have said.
    fn lose(&mut self, now: Ms) {
        self.post.lose(now);
        self.known.lose(now.after(WRONG_MS));
    }
}

impl Credentials<Helper> {
    /// What is to be watched.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.post.helper.as_ref().map(Helper::fd)
    }
}

#[cfg(feature = "auth")]
#[cfg(test)]
mod tests;
