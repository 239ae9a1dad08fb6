//! Who is told goodbye when the server stops, and who is heard first.

use super::*;
use crate::sys::signal::Signal;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn idle(reactor: &Reactor<Told>) -> usize {
    reactor.census()[0]
}

/// A connection that has had its answer, or one that has not asked yet.
fn with_one(answered: bool) -> Reactor<Told> {
    let mut reactor = reactor(4, 4);
    reactor.net().accepts.push_back(from(1));
    if answered {
        reactor.net().receives.push_back(Ok(GET.to_vec()));
    }
    reactor.turn().unwrap();
    assert_eq!(idle(&reactor), 1);
    reactor
}

fn told(reactor: &mut Reactor<Told>, signal: Signal) {
    reactor.net().signals.push_back(signal);
    reactor.net().events.push(readable(Token::Signals));
    reactor.turn().unwrap();
}

fn hand_over(reactor: &mut Reactor<Told>) {
    reactor.net().taken_over = true;
    reactor.net().events.push(readable(Token::Control));
    reactor.turn().unwrap();
}

/// Its next request comes, and is answered for the last time.
fn is_served(reactor: &mut Reactor<Told>) {
    reactor.net().sent.clear();
    reactor.net().receives.push_back(Ok(GET.to_vec()));
    let token = reactor.net().registered[0];
    reactor.net().events.push(readable(token));
    reactor.turn().unwrap();
    let sent = String::from_utf8_lossy(&reactor.net().sent).into_owned();
    assert!(sent.starts_with("HTTP/1.1 200 OK\r\n"), "{sent}");
    assert!(sent.contains("\r\nConnection: close\r\n"), "{sent}");
    assert_eq!(idle(reactor), 0);
}

#[test]
fn who_had_his_answer_is_told_goodbye_at_once() {
    let mut reactor = with_one(true);
    told(&mut reactor, Signal::Terminate);
    assert_eq!(idle(&reactor), 0);
}

#[test]
fn who_has_not_asked_yet_may_do_so_for_a_grace() {
    let mut asks = with_one(false);
    told(&mut asks, Signal::Terminate);
    assert_eq!(idle(&asks), 1);
    asks.net().now_ms += GRACE_MS - 1;
    is_served(&mut asks);

    let mut silent = with_one(false);
    told(&mut silent, Signal::Terminate);
    silent.net().now_ms += GRACE_MS - 1;
    silent.turn().unwrap();
    assert_eq!(idle(&silent), 1);
    silent.net().now_ms += 1;
    silent.turn().unwrap();
    assert_eq!(idle(&silent), 0);
}

#[test]
fn a_request_that_has_just_come_is_still_served() {
    let mut reactor = with_one(true);
    reactor.net().unread = 27;
    told(&mut reactor, Signal::Terminate);
    assert_eq!(idle(&reactor), 1);
    reactor.net().unread = 0;
    is_served(&mut reactor);
}

#[test]
fn a_hand_over_sends_nobody_away_until_somebody_waits_for_the_end() {
    let mut asks = with_one(true);
    hand_over(&mut asks);
    assert!(asks.has_handed_over());
    asks.turn().unwrap();
    assert_eq!(idle(&asks), 1);
    is_served(&mut asks);

    let mut silent = with_one(true);
    hand_over(&mut silent);
    told(&mut silent, Signal::Terminate);
    assert_eq!(idle(&silent), 0);
}
