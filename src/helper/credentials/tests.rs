//! The table with a helper that is told what to say, and a clock that is told the time.

use super::*;
use crate::helper::table::KNOWN;
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

/// A helper that is told what to say.
#[derive(Debug, Default)]
struct Told {
    asked: Vec<u32>,
    says: VecDeque<Heard>,
    refuses: Option<Asked>,
    /// It takes its time to end.
    lives_on: Rc<Cell<bool>>,
    was_killed: Rc<Cell<bool>>,
}

impl Works for Told {
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

    fn dismiss(&mut self) {
        self.says.push_back(Heard::Gone);
    }

    fn kill(&mut self) {
        self.was_killed.set(true);
    }

    fn reap(&mut self) -> bool {
        !self.lives_on.get()
    }
}

const FILE: &[u8] = b"/etc/users";

fn client(last: u8) -> Client {
    Client::Address(IpAddr::from([192, 0, 2, last]))
}

/// A table with room for all that may wait.
fn table() -> Credentials<Told> {
    tuned(AuthConfig::default())
}

fn tuned(settings: AuthConfig) -> Credentials<Told> {
    let mut table = Credentials::new(settings, 128);
    table.employ(Some(Told::default()), Ms(0));
    table
}

/// The slot of requests that do not wait: nobody relies on anything there.
const PASSES: u16 = u16::MAX;

fn look(table: &mut Credentials<Told>, password: &str, from: u8, now: u64) -> Looked {
    table.begin(PASSES, true);
    look_again(table, FILE, password, from, now)
}

/// For one more rule of the same request.
fn look_again(
    table: &mut Credentials<Told>,
    file: &[u8],
    password: &str,
    from: u8,
    now: u64,
) -> Looked {
    let pair = (&b"alice"[..], password.as_bytes());
    table.look(file, pair, &client(from), Ms(now))
}

/// The request of this slot looks, and waits if it must.
fn wait(table: &mut Credentials<Told>, slot: u16, password: &str, now: u64) -> u32 {
    table.begin(slot, true);
    let number = ticket(look_again(table, FILE, password, 1, now));
    table.wait(number);
    number
}

fn helper(table: &mut Credentials<Told>) -> &mut Told {
    table.post.helper.as_mut().unwrap()
}

fn says(table: &mut Credentials<Told>, heard: Heard, now: u64) -> bool {
    helper(table).says.push_back(heard);
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
        assert_eq!(table.user(), b"alice");
    }
    assert_eq!(helper(&mut table).asked.len(), 1);
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
fn a_name_is_that_of_the_request_and_of_none_that_was_refused() {
    let mut table = table();
    verdict(&mut table, "right", 1, 0, Verdict::Yes);
    assert_eq!(look(&mut table, "right", 1, 1), Looked::Yes);
    assert_eq!(table.user(), b"alice");
    table.begin(3, true);
    assert_eq!(table.user(), b"");
    assert_eq!(look(&mut table, "right", 1, 1), Looked::Yes);
    table.forget_user();
    assert_eq!(table.user(), b"");
}

#[test]
fn what_was_wrong_is_wrong_for_a_moment_and_who_waited_hears_it() {
    let mut table = table();
    let number = wait(&mut table, 7, "wrong", 0);
    assert_eq!(wait(&mut table, 9, "wrong", 0), number);
    assert_eq!(table.next_answered(), None);
    assert!(!says(&mut table, Heard::Verdict(number, Verdict::No), 5));
    assert_eq!(table.next_answered(), Some(7));
    assert_eq!(table.next_answered(), Some(9));
    assert_eq!((table.next_answered(), table.waiting()), (None, 2));
    assert_eq!(look(&mut table, "wrong", 1, 1_004), Looked::No);
    assert_eq!(table.user(), b"");
    ticket(look(&mut table, "wrong", 1, 1_005));
    // These were told so, however late they come.
    for slot in [7, 9] {
        table.begin(slot, true);
        let looked = look_again(&mut table, FILE, "wrong", 1, 9_000);
        assert_eq!(looked, Looked::No);
        table.forget(slot);
    }
    assert_eq!(table.waiting(), 0);
}

#[test]
fn where_nothing_is_remembered_a_word_is_for_those_that_waited() {
    let mut table = tuned(AuthConfig {
        remember_ms: 0,
        ..AuthConfig::default()
    });
    let number = wait(&mut table, 1, "right", 0);
    assert_eq!(wait(&mut table, 2, "right", 0), number);
    says(&mut table, Heard::Verdict(number, Verdict::Yes), 10);
    let further = ticket(look(&mut table, "right", 1, 10));
    assert_ne!(further, number);
    for slot in [1, 2] {
        table.begin(slot, true);
        assert_eq!(look_again(&mut table, FILE, "right", 1, 10), Looked::Yes);
        table.forget(slot);
    }
    // Their next request is looked at as everybody's.
    assert_eq!(wait(&mut table, 1, "right", 11), further);
}

#[test]
fn two_rules_end_however_long_each_takes() {
    let mut table = tuned(AuthConfig {
        remember_ms: 1,
        ..AuthConfig::default()
    });
    let other = b"/etc/others";
    let first = wait(&mut table, 4, "right", 0);
    says(&mut table, Heard::Verdict(first, Verdict::Yes), 9_000);
    assert_eq!(table.next_answered(), Some(4));
    table.begin(4, true);
    assert_eq!(look_again(&mut table, FILE, "right", 1, 9_000), Looked::Yes);
    let second = ticket(look_again(&mut table, other, "right", 1, 9_000));
    table.wait(second);
    assert_eq!(table.waiting(), 1);
    // Everybody else fills the table meanwhile.
    for n in 0..200 {
        verdict(&mut table, &n.to_string(), 2, 9_000 + n, Verdict::Yes);
    }
    says(&mut table, Heard::Verdict(second, Verdict::Yes), 50_000);
    assert_eq!(table.next_answered(), Some(4));
    table.begin(4, true);
    for file in [FILE, other] {
        let looked = look_again(&mut table, file, "right", 1, 55_000);
        assert_eq!(looked, Looked::Yes);
    }
}

#[test]
fn what_a_request_was_told_from_memory_keeps_its_place() {
    let mut table = table();
    let other = b"/etc/others";
    for n in 0..200 {
        let password = format!("{n}");
        verdict(&mut table, &password, 1, n, Verdict::Yes);
    }
    // The one whose time is over first.
    let password = "136";
    table.begin(4, true);
    let looked = look_again(&mut table, FILE, password, 1, 200);
    assert_eq!(looked, Looked::Yes);
    let number = ticket(look_again(&mut table, other, password, 1, 200));
    table.wait(number);
    says(&mut table, Heard::Verdict(number, Verdict::Yes), 90_000);
    table.begin(4, true);
    for file in [FILE, other] {
        let looked = look_again(&mut table, file, password, 1, 90_000);
        assert_eq!(looked, Looked::Yes);
    }
}

#[test]
fn nobody_waits_beyond_the_budget_and_who_leaves_makes_room() {
    let mut table = table();
    for slot in 0..8 {
        wait(&mut table, slot, &slot.to_string(), 0);
    }
    assert_eq!(look(&mut table, "8", 2, 0), Looked::Busy(1));
    assert_eq!(look(&mut table, "3", 2, 0), Looked::Busy(1));
    // Who waits already may wait for something else.
    table.begin(5, true);
    ticket(look_again(&mut table, b"/etc/others", "5", 2, 0));
    table.forget(3);
    ticket(look(&mut table, "3", 2, 0));
    assert_eq!(helper(&mut table).asked.len(), 9);
    helper(&mut table).refuses = Some(Asked::Full);
    assert_eq!(look(&mut table, "9", 2, 0), Looked::Busy(1));
    helper(&mut table).refuses = Some(Asked::TooLong);
    assert_eq!(look(&mut table, "9", 2, 0), Looked::No);
}

#[test]
fn who_waits_leaves_half_of_the_buffers() {
    for (buffers, most) in [(64, 8), (16, 8), (8, 4), (3, 1), (1, 1)] {
        let mut table = Credentials::new(AuthConfig::default(), buffers);
        table.employ(Some(Told::default()), Ms(0));
        for slot in 0..most {
            wait(&mut table, slot, &slot.to_string(), 0);
        }
        assert_eq!(look(&mut table, "x", 1, 0), Looked::Busy(1), "{buffers}");
        table.retune(AuthConfig::default());
        assert_eq!(look(&mut table, "x", 1, 0), Looked::Busy(1), "{buffers}");
    }
}

#[test]
fn who_cannot_wait_asks_nothing() {
    let mut table = table();
    table.begin(1, false);
    ticket(look_again(&mut table, FILE, "right", 1, 0));
    assert_eq!(helper(&mut table).asked.len(), 0);
    verdict(&mut table, "right", 1, 0, Verdict::Yes);
    table.begin(1, false);
    assert_eq!(look_again(&mut table, FILE, "right", 1, 0), Looked::Yes);
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
    wait(&mut table, 1, "right", 0);
    assert!(says(&mut table, Heard::Gone, 10));
    assert_eq!(table.next_answered(), Some(1));
    assert_eq!(look(&mut table, "right", 1, 10), Looked::Failed);
    assert_eq!(look(&mut table, "other", 1, 10), Looked::Failed);
    // It is not the file that cannot be read.
    assert_eq!(table.unreadable(), None);
    assert_eq!(table.due(), Some(Ms(1_010)));
    assert!(table.has_helper() && !table.wants_another(Ms(1_009)));
    assert!(table.wants_another(Ms(1_010)));
    table.employ(Some(Told::default()), Ms(1_010));
    assert_eq!(table.due(), None);
    table.forget(1);
    ticket(look(&mut table, "other", 1, 1_010));
    helper(&mut table).refuses = Some(Asked::Gone);
    assert_eq!(look(&mut table, "third", 1, 1_011), Looked::Failed);
    assert_eq!(table.due(), Some(Ms(2_011)));
    let mut nobody = Credentials::<Told>::new(AuthConfig::default(), 8);
    assert_eq!(look(&mut nobody, "right", 1, 0), Looked::Failed);
    assert!(!nobody.has_helper());
}

#[test]
fn a_helper_that_says_nothing_is_killed_and_replaced() {
    let mut table = table();
    let first = wait(&mut table, 1, "one", 1_000);
    let was_killed = Rc::clone(&helper(&mut table).was_killed);
    // Others ask in vain meanwhile; a word shows that it lives.
    wait(&mut table, 2, "two", 40_000);
    assert_eq!(table.due(), Some(Ms(61_000)));
    says(&mut table, Heard::Verdict(first, Verdict::No), 60_000);
    assert_eq!(table.due(), Some(Ms(120_000)));
    assert!(!table.kill_if_silent(Ms(119_999)) && !was_killed.get());
    assert!(table.kill_if_silent(Ms(120_000)) && was_killed.get());
    assert_eq!(table.next_answered(), Some(1));
    assert_eq!(table.next_answered(), Some(2));
    assert_eq!(look(&mut table, "three", 1, 120_000), Looked::Failed);
    assert!(table.wants_another(Ms(121_000)));
    table.employ(Some(Told::default()), Ms(121_000));
    let last = ticket(look(&mut table, "three", 1, 121_000));
    says(&mut table, Heard::Verdict(last, Verdict::Yes), 121_001);
    // Who is not asked may be silent for ever.
    assert_eq!(table.due(), None);
    assert!(!table.kill_if_silent(Ms(999_999)));
}

#[test]
fn who_is_dismissed_answers_first_and_is_not_replaced() {
    let mut table = table();
    let number = wait(&mut table, 1, "right", 0);
    let lives_on = Rc::clone(&helper(&mut table).lives_on);
    lives_on.set(true);
    helper(&mut table)
        .says
        .push_back(Heard::Verdict(number, Verdict::Yes));
    table.dismiss();
    assert!(!table.has_helper());
    assert!(!table.hear(Ms(5)), "that it ended is no fault");
    table.begin(1, true);
    assert_eq!(look_again(&mut table, FILE, "right", 1, 5), Looked::Yes);
    // It is looked after until nothing is left of it.
    assert_eq!(table.due(), Some(Ms(1_005)));
    assert!(!table.wants_another(Ms(1_005)));
    assert_eq!(table.due(), Some(Ms(2_005)));
    lives_on.set(false);
    assert!(!table.wants_another(Ms(2_005)));
    assert_eq!(table.due(), None);
}

#[test]
fn helpers_that_do_not_end_are_not_many() {
    let mut table = table();
    let mut employed = 0;
    for second in 1..100 {
        let now = Ms(1_000 * second);
        if let Some(helper) = &mut table.post.helper {
            helper.lives_on.set(true);
            helper.says.push_back(Heard::Gone);
        }
        table.hear(now);
        if table.wants_another(now) {
            table.employ(Some(Told::default()), now);
            employed += 1;
        }
    }
    assert_eq!(employed, 3, "beside the first");
    assert!(table.has_helper());
}

#[test]
fn who_is_turned_away_ends_and_changes_nothing() {
    let mut table = Credentials::<Told>::new(AuthConfig::default(), 8);
    let helper = Told::default();
    let was_killed = Rc::clone(&helper.was_killed);
    table.turn_away(helper, Ms(0));
    assert!(was_killed.get() && !table.has_helper());
    assert!(!table.wants_another(Ms(1_000)));
    assert_eq!(table.due(), None);
}

#[test]
fn a_file_that_cannot_be_read_is_news_once() {
    let mut table = table();
    for (now, is_news) in [(0, true), (20_000, false)] {
        verdict(&mut table, "x", 1, now, Verdict::Failed);
        assert_eq!(look(&mut table, "x", 1, now), Looked::Failed);
        assert_eq!(table.unreadable(), is_news.then_some(FILE));
    }
    verdict(&mut table, "y", 1, 20_001, Verdict::No);
    assert_eq!(look(&mut table, "y", 1, 20_001), Looked::No);
    verdict(&mut table, "z", 1, 40_000, Verdict::Failed);
    assert_eq!(look(&mut table, "z", 1, 40_000), Looked::Failed);
    assert_eq!(table.unreadable(), Some(FILE));
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
    // A word that comes late is as good, and another one on it is none.
    assert_eq!(ticket(look(&mut table, "right", 1, 59_000)), number);
    says(&mut table, Heard::Verdict(number, Verdict::No), 59_000);
    says(&mut table, Heard::Verdict(number, Verdict::Yes), 59_000);
    assert_eq!(look(&mut table, "right", 1, 59_000), Looked::No);
}

#[test]
fn the_table_is_bounded_and_forgets_no_question() {
    let mut table = table();
    for n in 0..200 {
        let (password, now) = (n.to_string(), 100 + n);
        verdict(&mut table, &password, 1, now, Verdict::Yes);
        assert_eq!(look(&mut table, &password, 1, now), Looked::Yes);
    }
    assert_eq!(look(&mut table, "199", 1, 300), Looked::Yes);
    ticket(look(&mut table, "100", 1, 300));
    for n in 0..KNOWN {
        let _ = look(&mut table, &format!("q{n}"), 1, 300);
    }
    assert_eq!(look(&mut table, "one more", 1, 300), Looked::Busy(1));
}
