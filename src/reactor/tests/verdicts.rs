//! Requests that wait for a word of the helper, turn by turn. The helper is the test.

use super::*;
use crate::helper::{BUILT, Helper, Verdict, verdict_on};
use crate::sys::pair;
use crate::sys::signal::Signal;
use std::os::fd::AsFd;

/// Alice, with a password that is her name.
const ASKS: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YWxpY2U6YWxpY2U=\r\n\r\n";

/// A loop whose site is for users, one of whom has asked; and the helper's end.
fn with_one_that_waits() -> (Reactor<Told>, OwnedFd) {
    let mut reactor = reactor(4, 4);
    let mut config = reactor.config.clone();
    let rule = crate::config::keys::find("site.auth").unwrap();
    let value = rule.kind.parse("/ * /etc/users Realm").unwrap();
    rule.set(&mut config, value).unwrap();
    config.limits.verdict_ms = 600_000;
    let site = Site::new(&config).unwrap();
    reactor = Reactor::new(Told::default(), site, &config, Teardown::Linger);
    let (helper, other) = Helper::stand_in();
    reactor.employ(Some(helper));
    reactor.net().accepts.push_back(from(1));
    reactor.net().receives.push_back(Ok(ASKS.to_vec()));
    knock(&mut reactor);
    reactor.turn().unwrap();
    assert_eq!(reactor.credentials.waiting(), 1);
    (reactor, other)
}

fn says(reactor: &mut Reactor<Told>, other: &OwnedFd, verdict: Verdict) {
    let mut room = [0; 1024];
    let count = pair::wait_for(other.as_fd(), &mut room).unwrap();
    pair::tell(other.as_fd(), &verdict_on(&room[..count], verdict)).unwrap();
    reactor.net().events.push(readable(Token::Helper));
    reactor.turn().unwrap();
}

/// The status that was sent; nothing, while it waits.
fn status(reactor: &mut Reactor<Told>) -> String {
    let sent = String::from_utf8_lossy(&reactor.net().sent).into_owned();
    sent.get(9..12).unwrap_or_default().to_owned()
}

#[test]
fn a_word_wakes_who_waits() {
    if !BUILT {
        return;
    }
    for (verdict, expected) in [
        (Verdict::Yes, "200"),
        (Verdict::No, "401"),
        (Verdict::Failed, "503"),
    ] {
        let (mut reactor, other) = with_one_that_waits();
        assert_eq!(status(&mut reactor), "");
        says(&mut reactor, &other, verdict);
        assert_eq!(status(&mut reactor), expected);
        assert_eq!(reactor.credentials.waiting(), 0);
    }
}

#[test]
fn who_is_told_that_it_takes_too_long_does_not_wait_any_more() {
    if !BUILT {
        return;
    }
    let (mut reactor, other) = with_one_that_waits();
    // Words for others come all the while.
    for now_ms in (50_000..600_000).step_by(50_000) {
        reactor.net().now_ms = now_ms;
        pair::tell(other.as_fd(), &[0xff, 0xff, 0xff, 0xff, b'n']).unwrap();
        reactor.net().events.push(readable(Token::Helper));
        reactor.turn().unwrap();
        assert_eq!(status(&mut reactor), "");
    }
    reactor.net().now_ms = 600_000;
    reactor.turn().unwrap();
    assert_eq!(status(&mut reactor), "503");
    assert_eq!(reactor.credentials.waiting(), 0);
}

#[test]
fn who_is_cut_while_it_waits_does_not_wait_any_more() {
    if !BUILT {
        return;
    }
    let (mut reactor, _other) = with_one_that_waits();
    reactor.net().signals.push_back(Signal::Interrupt);
    reactor.net().events.push(readable(Token::Signals));
    reactor.turn().unwrap();
    assert_eq!(reactor.net().closed.len(), 1);
    assert_eq!(reactor.credentials.waiting(), 0);
}

#[test]
fn a_silent_helper_is_killed_and_who_waits_is_told() {
    if !BUILT {
        return;
    }
    let (mut reactor, other) = with_one_that_waits();
    assert!(reactor.timeout_ms(Ms(0)).is_some_and(|ms| ms <= 60_000));
    reactor.net().now_ms = 59_999;
    reactor.turn().unwrap();
    assert_eq!(status(&mut reactor), "");
    reactor.net().now_ms = 60_000;
    reactor.turn().unwrap();
    assert_eq!(status(&mut reactor), "503");
    // Its question, and then the end.
    let mut room = [0; 1024];
    assert!(pair::wait_for(other.as_fd(), &mut room).unwrap() > 0);
    assert_eq!(pair::wait_for(other.as_fd(), &mut room).unwrap(), 0);
    // Another one is due; this process has threads, so there is none, and it is tried again.
    assert!(reactor.timeout_ms(Ms(60_000)).is_some_and(|ms| ms <= 1_000));
    reactor.net().now_ms = 61_000;
    reactor.turn().unwrap();
    assert!(reactor.credentials.has_helper());
    assert!(reactor.timeout_ms(Ms(61_000)).is_some_and(|ms| ms <= 1_000));
}
