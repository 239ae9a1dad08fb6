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

/// A connection whose request has begun.
fn with_busy() -> Reactor<Told> {
    let mut reactor = reactor(4, 4);
    reactor.net().accepts.push_back(from(1));
    reactor.net().receives.push_back(Ok(GET[..9].to_vec()));
    reactor.turn().unwrap();
    assert_eq!(live(&reactor), 1);
    reactor
}

fn live(reactor: &Reactor<Told>) -> usize {
    reactor.census().iter().sum()
}

#[test]
fn a_second_word_cuts_off_who_is_left() {
    let mut reactor = with_busy();
    told(&mut reactor, Signal::Terminate);
    assert_eq!(live(&reactor), 1, "it may finish");
    told(&mut reactor, Signal::Terminate);
    assert_eq!(live(&reactor), 0);

    let mut reactor = with_busy();
    told(&mut reactor, Signal::Interrupt);
    assert_eq!(live(&reactor), 0);

    // Behind a hand-over the first word is one.
    let mut reactor = with_busy();
    hand_over(&mut reactor);
    told(&mut reactor, Signal::Terminate);
    assert_eq!(live(&reactor), 1);
    told(&mut reactor, Signal::Terminate);
    assert_eq!(live(&reactor), 0);
}

#[test]
fn who_is_queued_still_comes_in_and_then_the_door_is_closed() {
    let mut reactor = reactor(64, 64);
    reactor.net().accepts.extend((0..40).map(|_| from(1)));
    told(&mut reactor, Signal::Terminate);
    assert_eq!(
        reactor.net().doors_closed,
        0,
        "the queue is longer than a batch"
    );
    for _ in 0..3 {
        reactor.turn().unwrap();
    }
    assert_eq!(reactor.counters().accepted(), 40);
    assert_eq!(reactor.net().doors_closed, 1);
    // At once where nobody is to come in any more.
    for stop in [
        |r: &mut Reactor<Told>| told(r, Signal::Interrupt),
        hand_over,
    ] {
        let mut reactor = with_busy();
        stop(&mut reactor);
        assert!(reactor.net().doors_closed > 0);
        reactor.net().accepts.push_back(from(2));
        knock(&mut reactor);
        reactor.turn().unwrap();
        assert_eq!(reactor.counters().accepted(), 1);
    }
}

#[test]
fn the_door_is_closed_at_the_deadline_whoever_is_queued() {
    let mut reactor = with_busy();
    told(&mut reactor, Signal::Terminate);
    reactor.net().now_ms += u64::from(reactor.limits.stop_ms);
    reactor.turn().unwrap();
    assert!(reactor.net().doors_closed > 0);
    assert_eq!(live(&reactor), 0);
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
