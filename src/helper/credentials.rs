//! What is known of credentials: what the helper said of them, for a while.
//!
//! Owns the table of what was said, and who waits for a word. It must not keep a password, nor know
//! a request. Invariants: nothing is allocated after `new`;
//! whoever was not said to be good is not; at most `auth.waiting` wait, and who is wrong too often
//! waits for nobody; every question ends by a word of the helper, by its end, or by [`ASK_MS`].

use super::digest::{Digest, Key};
use super::failures::Failures;
use super::{Asked, Heard, Helper, Question, Verdict};
use crate::config::AuthConfig;
use crate::connection::client::Client;
use crate::connection::time::Ms;
use std::os::fd::BorrowedFd;

/// Credentials that are known at the same time: more than the users of a device.
const KNOWN: usize = 64;
/// `auth.waiting` is at most this.
const WAITING: usize = 64;
/// Credentials that were wrong are not looked at again for so long: who waited for the word hears
/// it, and who sends them again at once costs nothing.
const WRONG_MS: u32 = 1_000;
/// A question that has no answer after this never gets one.
const ASK_MS: u32 = 60_000;
/// A helper that has ended is replaced after this.
const REST_MS: u32 = 1_000;
/// The longest name of a user that is shown in the access log, bytes.
pub const SHOWN_USER_BYTES: usize = 64;

/// Whom the helper is asked by. Its real form is [`Helper`].
pub trait Asks {
    /// As [`Helper::ask`].
    fn ask(&mut self, id: u32, question: &Question<'_>) -> Asked;
    /// As [`Helper::hear`].
    fn hear(&mut self) -> Heard;
    /// As [`Helper::reap`].
    fn reap(&mut self) -> bool;
}

impl Asks for Helper {
    fn ask(&mut self, id: u32, question: &Question<'_>) -> Asked {
        Self::ask(self, id, question)
    }

    fn hear(&mut self) -> Heard {
        Self::hear(self)
    }

    fn reap(&mut self) -> bool {
        Self::reap(self)
    }
}

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
    /// The helper was asked, under this number: look again when it has answered.
    Wait(u32),
    /// Too many wait, or this address was wrong too often: come again after so many seconds.
    Busy(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Asked,
    Yes,
    No,
    Failed,
}

/// One pair of credentials, for one file.
#[derive(Clone, Copy, Debug)]
struct Known {
    digest: Digest,
    standing: Standing,
    until: Ms,
    ticket: u32,
    /// Who sent them first.
    client: Client,
}

/// The table. See the module.
#[derive(Debug)]
pub struct Credentials<A = Helper> {
    helper: Option<A>,
    /// One that has ended, of which the system may still keep something.
    gone: Option<A>,
    /// A further helper is due.
    replace_at: Option<Ms>,
    /// Made with the first helper.
    key: Option<Key>,
    settings: AuthConfig,
    known: Vec<Option<Known>>,
    failures: Failures,
    /// Slots, and the question each waits for.
    waiters: Vec<Option<(u16, u32)>>,
    next_ticket: u32,
    /// Whose credentials were found good last.
    user: [u8; SHOWN_USER_BYTES],
    user_bytes: usize,
}

/// Memory it takes, bytes; for the plan.
pub const BYTES: usize = size_of::<Credentials>()
    + KNOWN * size_of::<Option<Known>>()
    + Failures::BYTES
    + WAITING * size_of::<Option<(u16, u32)>>();

impl<A: Asks> Credentials<A> {
    /// An empty table. Until a helper is employed nobody is let in.
    #[must_use]
    pub fn new(settings: AuthConfig) -> Self {
        Self {
            helper: None,
            gone: None,
            replace_at: None,
            key: None,
            settings,
            known: vec![None; KNOWN],
            failures: Failures::new(),
            waiters: vec![None; WAITING],
            next_ticket: 0,
            user: [0; SHOWN_USER_BYTES],
            user_bytes: 0,
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

    /// There is a helper, or there will be one again.
    #[must_use]
    pub fn has_helper(&self) -> bool {
        self.helper.is_some() || self.replace_at.is_some()
    }

    /// The helper, or nobody, from now on.
    pub fn employ(&mut self, helper: Option<A>, now: Ms) {
        self.replace_at = match helper {
            Some(_) => None,
            None => Some(now.after(REST_MS)),
        };
        self.helper = helper;
        if self.helper.is_some() && self.key.is_none() {
            // Without randomness nobody is let in.
            self.key = Key::new().ok();
        }
        self.gone.take_if(|gone| gone.reap());
    }

    /// When a further helper is due.
    #[must_use]
    pub fn replace_at(&self) -> Option<Ms> {
        self.replace_at
    }

    /// Whether these are good, as far as is known; the helper is asked when it is not.
    pub fn look(&mut self, file: &[u8], pair: (&[u8], &[u8]), client: &Client, now: Ms) -> Looked {
        let (user, password) = pair;
        let plain = self.settings.plain;
        let Some(key) = &self.key else {
            return Looked::Failed;
        };
        let digest = key.of(&[file, &[u8::from(plain)], user, password]);
        if let Some(known) = self.find(&digest, now) {
            return match known.standing {
                Standing::Yes => {
                    self.note_user(user);
                    Looked::Yes
                }
                Standing::No => Looked::No,
                Standing::Failed => Looked::Failed,
                Standing::Asked if self.is_full() => Looked::Busy(1),
                Standing::Asked => Looked::Wait(known.ticket),
            };
        }
        if let Some(pause_s) = self.failures.pause_s(client, now) {
            return Looked::Busy(pause_s);
        }
        let (true, Some(place)) = (!self.is_full(), self.free_place(now)) else {
            return Looked::Busy(1);
        };
        let Some(helper) = &mut self.helper else {
            return Looked::Failed;
        };
        let ticket = self.next_ticket;
        let question = Question {
            file,
            user,
            password,
            plain,
        };
        match helper.ask(ticket, &question) {
            Asked::TooLong => return Looked::No,
            Asked::Full => return Looked::Busy(1),
            Asked::Gone => {
                self.lose(now);
                return Looked::Failed;
            }
            Asked::Sent => {}
        }
        self.next_ticket = self.next_ticket.wrapping_add(1);
        if let Some(entry) = self.known.get_mut(place) {
            *entry = Some(Known {
                digest,
                standing: Standing::Asked,
                until: now.after(ASK_MS),
                ticket,
                client: *client,
            });
        }
        Looked::Wait(ticket)
    }

    /// A slot waits for the answer to this question.
    pub fn wait(&mut self, slot: u16, ticket: u32) {
        if let Some(place) = self.waiters.iter_mut().find(|place| place.is_none()) {
            *place = Some((slot, ticket));
        }
    }

    /// A slot does not wait any more.
    pub fn forget(&mut self, slot: u16) {
        for place in &mut self.waiters {
            place.take_if(|(waiter, _)| *waiter == slot);
        }
    }

    /// Slots that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.iter().flatten().count()
    }

    /// Hears all that the helper has said. True: it has ended.
    pub fn hear(&mut self, now: Ms) -> bool {
        loop {
            let heard = match &mut self.helper {
                Some(helper) => helper.hear(),
                None => return false,
            };
            match heard {
                Heard::Nothing => return false,
                Heard::Verdict(ticket, verdict) => self.take(ticket, verdict, now),
                Heard::Gone => {
                    self.lose(now);
                    return true;
                }
            }
        }
    }

    /// A slot whose question has its answer; it does not wait any more.
    pub fn next_answered(&mut self) -> Option<u16> {
        let known = &self.known;
        let asked = |ticket: u32| {
            let mut entries = known.iter().flatten();
            entries.any(|entry| entry.ticket == ticket && entry.standing == Standing::Asked)
        };
        let mut waiters = self.waiters.iter_mut();
        let place = waiters.find(|place| place.is_some_and(|(_, ticket)| !asked(ticket)))?;
        place.take().map(|(slot, _)| slot)
    }

    /// The user whose credentials were found good since this was asked last.
    pub fn take_user(&mut self) -> &[u8] {
        let bytes = std::mem::take(&mut self.user_bytes);
        self.user.get(..bytes).unwrap_or_default()
    }

    fn note_user(&mut self, user: &[u8]) {
        let bytes = user.len().min(SHOWN_USER_BYTES);
        if let (Some(to), Some(from)) = (self.user.get_mut(..bytes), user.get(..bytes)) {
            to.copy_from_slice(from);
        }
        self.user_bytes = bytes;
    }

    fn find(&self, digest: &Digest, now: Ms) -> Option<Known> {
        let mut entries = self.known.iter().flatten();
        entries
            .find(|entry| now < entry.until && entry.digest == *digest)
            .copied()
    }

    /// Nobody else may wait.
    fn is_full(&self) -> bool {
        self.waiting() >= usize::from(self.settings.waiting).min(WAITING)
    }

    /// A place for one more: a free one, one whose time is over, or the one that ends first; but
    /// none of a question that was asked.
    fn free_place(&self, now: Ms) -> Option<usize> {
        let places = self.known.iter().enumerate();
        let rank = |entry: &Option<Known>| match entry {
            None => Some(Ms(0)),
            Some(entry) if now >= entry.until => Some(Ms(0)),
            Some(entry) if entry.standing == Standing::Asked => None,
            Some(entry) => Some(entry.until),
        };
        places
            .filter_map(|(place, entry)| Some((rank(entry)?, place)))
            .min()
            .map(|(_, place)| place)
    }

    fn take(&mut self, ticket: u32, verdict: Verdict, now: Ms) {
        let mut entries = self.known.iter_mut().flatten();
        let asked = entries.find(|e| e.ticket == ticket && e.standing == Standing::Asked);
        // It came too late, or was never asked.
        let Some(entry) = asked else { return };
        let (standing, lasts_ms) = match verdict {
            Verdict::Yes => (Standing::Yes, self.settings.remember_ms.max(WRONG_MS)),
            Verdict::No => (Standing::No, WRONG_MS),
            Verdict::Failed => (Standing::Failed, WRONG_MS),
        };
        entry.standing = standing;
        entry.until = now.after(lasts_ms);
        let client = entry.client;
        match verdict {
            Verdict::Yes => self.failures.forgive(&client),
            Verdict::No => self.failures.blame(client, &self.settings, now),
            Verdict::Failed => {}
        }
    }

    /// The helper has ended: nobody knows what it would have said.
    fn lose(&mut self, now: Ms) {
        self.gone = self.helper.take();
        self.replace_at = Some(now.after(REST_MS));
        for entry in self.known.iter_mut().flatten() {
            if entry.standing == Standing::Asked {
                entry.standing = Standing::Failed;
                entry.until = now.after(WRONG_MS);
            }
        }
    }
}

impl Credentials<Helper> {
    /// What is to be watched.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.helper.as_ref().map(Helper::fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::net::{IpAddr, Ipv6Addr};

    /// A helper that is told what to say.
    #[derive(Debug, Default)]
    struct Told {
        asked: Vec<u32>,
        says: VecDeque<Heard>,
        refuses: Option<Asked>,
    }

    impl Asks for Told {
        fn ask(&mut self, id: u32, _: &Question<'_>) -> Asked {
            if let Some(refusal) = self.refuses {
                return refusal;
            }
            self.asked.push(id);
            Asked::Sent
        }

        fn hear(&mut self) -> Heard {
            self.says.pop_front().unwrap_or(Heard::Nothing)
        }

        fn reap(&mut self) -> bool {
            true
        }
    }

    const FILE: &[u8] = b"/etc/users";

    fn client(last: u8) -> Client {
        Client::Address(IpAddr::from([192, 0, 2, last]))
    }

    fn table() -> Credentials<Told> {
        let mut table = Credentials::new(AuthConfig::default());
        table.employ(Some(Told::default()), Ms(0));
        table
    }

    fn look(table: &mut Credentials<Told>, password: &str, from: u8, now: u64) -> Looked {
        table.look(
            FILE,
            (b"alice", password.as_bytes()),
            &client(from),
            Ms(now),
        )
    }

    fn says(table: &mut Credentials<Told>, heard: Heard, now: u64) -> bool {
        table.helper.as_mut().unwrap().says.push_back(heard);
        table.hear(Ms(now))
    }

    fn ticket(looked: Looked) -> u32 {
        match looked {
            Looked::Wait(ticket) => ticket,
            Looked::Yes | Looked::No | Looked::Failed | Looked::Busy(_) => panic!("{looked:?}"),
        }
    }

    /// Asks, and hears this.
    fn verdict(table: &mut Credentials<Told>, password: &str, from: u8, now: u64, v: Verdict) {
        let ticket = ticket(look(table, password, from, now));
        assert!(!says(table, Heard::Verdict(ticket, v), now));
    }

    #[test]
    fn what_was_good_is_good_for_its_time_and_is_asked_about_once() {
        let mut table = table();
        verdict(&mut table, "right", 1, 0, Verdict::Yes);
        for now in [0, 1, 29_999] {
            assert_eq!(look(&mut table, "right", 2, now), Looked::Yes);
            assert_eq!(table.take_user(), b"alice");
            assert_eq!(table.take_user(), b"");
        }
        assert_eq!(table.helper.as_ref().unwrap().asked.len(), 1);
        ticket(look(&mut table, "right", 1, 30_000));
        // For another file, another user, with plain passwords: other credentials.
        let mut other = |file: &[u8], user: &[u8], password: &[u8]| {
            ticket(table.look(file, (user, password), &client(1), Ms(1)));
        };
        other(b"/etc/others", b"alice", b"right");
        other(FILE, b"alic", b"eright");
        table.settings.plain = true;
        ticket(look(&mut table, "right", 1, 1));
    }

    #[test]
    fn what_was_wrong_is_wrong_for_a_moment_and_who_waited_hears_it() {
        let mut table = table();
        let number = ticket(look(&mut table, "wrong", 1, 0));
        table.wait(7, number);
        assert_eq!(ticket(look(&mut table, "wrong", 2, 0)), number);
        table.wait(9, number);
        assert_eq!(table.next_answered(), None);
        assert!(!says(&mut table, Heard::Verdict(number, Verdict::No), 5));
        assert_eq!(table.next_answered(), Some(7));
        assert_eq!(table.next_answered(), Some(9));
        assert_eq!((table.next_answered(), table.waiting()), (None, 0));
        assert_eq!(look(&mut table, "wrong", 1, 1_004), Looked::No);
        assert_eq!(table.take_user(), b"");
        ticket(look(&mut table, "wrong", 1, 1_005));
    }

    #[test]
    fn nobody_waits_beyond_the_budget_and_who_leaves_makes_room() {
        let mut table = table();
        for slot in 0..8 {
            let number = ticket(look(&mut table, &slot.to_string(), 1, 0));
            table.wait(slot, number);
        }
        assert_eq!(look(&mut table, "8", 2, 0), Looked::Busy(1));
        assert_eq!(look(&mut table, "3", 2, 0), Looked::Busy(1));
        table.forget(3);
        ticket(look(&mut table, "3", 2, 0));
        let mut helper = table.helper.take().unwrap();
        assert_eq!(helper.asked.len(), 8);
        helper.refuses = Some(Asked::Full);
        table.helper = Some(helper);
        assert_eq!(look(&mut table, "9", 2, 0), Looked::Busy(1));
        table.helper.as_mut().unwrap().refuses = Some(Asked::TooLong);
        assert_eq!(look(&mut table, "9", 2, 0), Looked::No);
    }

    #[test]
    fn who_is_wrong_too_often_pauses_and_nobody_else_does() {
        let mut table = table();
        for n in 0..5 {
            verdict(&mut table, &format!("w{n}"), 1, n, Verdict::No);
        }
        assert_eq!(look(&mut table, "w5", 1, 4), Looked::Busy(10));
        assert_eq!(look(&mut table, "w5", 1, 9_005), Looked::Busy(1));
        ticket(look(&mut table, "w5", 2, 4));
        // What is known to be good is good in a pause, too.
        verdict(&mut table, "right", 2, 4, Verdict::Yes);
        assert_eq!(look(&mut table, "right", 1, 5), Looked::Yes);
        // After it there is one attempt, and then the next pause.
        verdict(&mut table, "w6", 1, 10_004, Verdict::No);
        assert_eq!(look(&mut table, "w7", 1, 10_005), Looked::Busy(10));
        // Who was right is forgiven; who was quiet is, too.
        verdict(&mut table, "right2", 1, 20_004, Verdict::Yes);
        for n in 0..4 {
            verdict(&mut table, &format!("x{n}"), 1, 20_005, Verdict::No);
        }
        verdict(&mut table, "x4", 1, 20_005 + 600_000, Verdict::No);
        ticket(look(&mut table, "x5", 1, 20_006 + 600_000));
    }

    #[test]
    fn a_network_answers_for_its_addresses() {
        let mut table = table();
        let from = |n: u16| {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, n);
            Client::Address(IpAddr::V6(address))
        };
        for n in 0..5 {
            let pair = (&b"alice"[..], &[n, n][..]);
            let number = ticket(table.look(FILE, pair, &from(n.into()), Ms(0)));
            says(&mut table, Heard::Verdict(number, Verdict::No), 0);
        }
        let looked = table.look(FILE, (b"alice", b"more"), &from(99), Ms(0));
        assert_eq!(looked, Looked::Busy(10));
    }

    #[test]
    fn a_helper_that_ends_lets_nobody_in_and_nobody_wait() {
        let mut table = table();
        let number = ticket(look(&mut table, "right", 1, 0));
        table.wait(1, number);
        assert!(says(&mut table, Heard::Gone, 10));
        assert_eq!(table.next_answered(), Some(1));
        assert_eq!(look(&mut table, "right", 1, 10), Looked::Failed);
        assert_eq!(look(&mut table, "other", 1, 10), Looked::Failed);
        assert_eq!(table.replace_at(), Some(Ms(1_010)));
        assert!(table.has_helper());
        table.employ(Some(Told::default()), Ms(1_010));
        assert_eq!(table.replace_at(), None);
        assert!(table.gone.is_none());
        ticket(look(&mut table, "other", 1, 1_010));
        table.helper.as_mut().unwrap().refuses = Some(Asked::Gone);
        assert_eq!(look(&mut table, "third", 1, 1_011), Looked::Failed);
        assert_eq!(table.replace_at(), Some(Ms(2_011)));
        let mut nobody = Credentials::<Told>::new(AuthConfig::default());
        assert_eq!(look(&mut nobody, "right", 1, 0), Looked::Failed);
        assert!(!nobody.has_helper());
    }

    #[test]
    fn words_that_nobody_waits_for_change_nothing() {
        let mut table = table();
        let number = ticket(look(&mut table, "right", 1, 0));
        assert!(!says(
            &mut table,
            Heard::Verdict(number + 1, Verdict::Yes),
            0
        ));
        assert_eq!(ticket(look(&mut table, "right", 1, 1)), number);
        // Too late: it is asked about anew.
        let again = ticket(look(&mut table, "right", 1, 60_000));
        assert_ne!(again, number);
        says(&mut table, Heard::Verdict(number, Verdict::Yes), 60_000);
        assert_eq!(ticket(look(&mut table, "right", 1, 60_000)), again);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_no_question() {
        let mut table = table();
        for n in 0..200 {
            let (password, now) = (n.to_string(), 100 + n);
            verdict(&mut table, &password, 1, now, Verdict::Yes);
            assert_eq!(look(&mut table, &password, 1, now), Looked::Yes);
        }
        assert_eq!(table.known.len(), KNOWN);
        assert_eq!(look(&mut table, "199", 1, 300), Looked::Yes);
        ticket(look(&mut table, "100", 1, 300));
        for n in 0..KNOWN {
            let _ = look(&mut table, &format!("q{n}"), 1, 300);
        }
        assert_eq!(look(&mut table, "one more", 1, 300), Looked::Busy(1));
    }
}
