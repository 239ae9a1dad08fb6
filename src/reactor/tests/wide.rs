//! Who gets a large receive buffer in its goodbye, and when it comes home.

use super::*;

const KIB: usize = 1024;
const UPLOAD: &[u8] =
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\nConnection: close\r\n\r\n";

/// A reactor of so many slots, and an upload that was refused for each of `refused` clients.
fn with_refused(connections: u16, refused: u8) -> Reactor<Told> {
    let mut reactor = reactor(connections, connections);
    for client in 1..=refused {
        reactor.net().accepts.push_back(from(client));
        reactor.net().receives.push_back(Ok(UPLOAD.to_vec()));
        knock(&mut reactor);
        reactor.turn().unwrap();
    }
    reactor.check();
    reactor
}

/// The client that came as number `index` has sent on.
fn sends_on(reactor: &mut Reactor<Told>, index: usize, bytes: usize) {
    reactor.net().discards.push_back(bytes);
    let token = reactor.net().registered[index];
    reactor.net().events.push(readable(token));
    reactor.turn().unwrap();
    assert!(reactor.net().discards.is_empty(), "all of it was read off");
    reactor.check();
}

#[test]
fn who_sends_on_in_its_goodbye_gets_one_once() {
    let mut reactor = with_refused(8, 1);
    // A full receive buffer says nothing: it came before the answer did.
    sends_on(&mut reactor, 0, 16 * KIB - 1);
    assert!(reactor.net().widened.is_empty());
    for bytes in [1, 64 * KIB, 1] {
        sends_on(&mut reactor, 0, bytes);
    }
    assert_eq!(reactor.net().widened, [128 << 10]);
}

#[test]
fn there_are_as_many_as_planned_and_a_close_brings_one_home() {
    let mut reactor = with_refused(17, 3);
    for client in 0..3 {
        sends_on(&mut reactor, client, 64 * KIB);
    }
    assert_eq!(reactor.net().widened.len(), 2, "17 slots have two");
    sends_on(&mut reactor, 0, 0); // its FIN
    assert_eq!(reactor.net().closed.len(), 1);
    sends_on(&mut reactor, 2, 1);
    assert_eq!(reactor.net().widened.len(), 3);
}

#[test]
fn who_cannot_have_one_takes_none() {
    let mut reactor = with_refused(8, 2);
    reactor.net().stays_narrow = true; // a unix socket
    sends_on(&mut reactor, 0, 64 * KIB);
    reactor.net().stays_narrow = false;
    sends_on(&mut reactor, 1, 64 * KIB);
    assert_eq!(reactor.wide.taken, 1);
}

#[test]
fn there_is_none_where_the_usual_one_is_as_large() {
    let config = Config {
        receive_bytes: 128 << 10,
        ..Config::default()
    };
    assert_eq!(config.wide_places(), 0);
    let mut reactor = with_refused(8, 1);
    reactor.wide = Wide::new(&config);
    sends_on(&mut reactor, 0, 64 * KIB);
    sends_on(&mut reactor, 0, 64 * KIB);
    assert!(reactor.net().widened.is_empty());
}
