//! Connections of proxies: whom they are counted under, and what over the share becomes of them.

use super::*;
use crate::config::network::Networks;
use crate::config::speaks::Speaks;
use crate::connection::client::Client;
use crate::connection::state::State;
use crate::reactor::addresses::Key;

/// Its body does not come: it is in progress until it is.
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n";

/// A reactor of eight slots that believes 192.0.2.0/28 and unix sockets.
fn behind(speaks: Speaks, per_address: u16) -> Reactor<Told> {
    let config = Config {
        site: SiteConfig {
            root: "conf/www".into(),
            ..SiteConfig::default()
        },
        connections: 8,
        connections_per_address: per_address,
        buffers: 8,
        trusted: Networks::parse("192.0.2.0/28,unix").unwrap(),
        speaks,
        ..Config::default()
    };
    let site = Site::new(&config).unwrap();
    Reactor::new(Told::default(), site, &config, Teardown::Linger)
}

/// A connection of this peer comes and says this.
fn comes(reactor: &mut Reactor<Told>, peer: Peer, says: &str) {
    reactor.net().accepts.push_back(Ok(peer));
    let says = says.as_bytes().to_vec();
    reactor.net().receives.push_back(Ok(says));
    knock(reactor);
    reactor.turn().unwrap();
    reactor.check();
}

/// The body of the connection that came as number `index` is there.
fn uploads(reactor: &mut Reactor<Told>, index: usize) {
    reactor.net().discards.push_back(5);
    says(reactor, index, "");
}

/// That connection says this, too.
fn says(reactor: &mut Reactor<Told>, index: usize, bytes: &str) {
    let token = reactor.net().registered[index];
    if !bytes.is_empty() {
        reactor.net().receives.push_back(Ok(bytes.into()));
    }
    reactor.net().events.push(readable(token));
    reactor.turn().unwrap();
    reactor.check();
}

const PROXY: Peer = Peer::V4([192, 0, 2, 1]);
const STRANGER: Peer = Peer::V4([192, 0, 2, 77]);

fn value(reactor: &Reactor<Told>, group: &str, name: &str) -> u64 {
    reactor.counters().value(group, name).unwrap()
}

/// Connections that have their answer and still send a body.
fn sending(reactor: &Reactor<Told>) -> usize {
    let place = State::ALL.iter().position(|state| *state == State::Rest);
    reactor.census()[place.unwrap()]
}

fn upload(field: &str) -> String {
    format!("{UPLOAD}{field}\r\n\r\n")
}

#[test]
fn requests_beyond_the_share_of_a_client_get_429_and_the_connection_stays() {
    let mut reactor = behind(Speaks::XForwardedFor, 2);
    for n in 0..3 {
        comes(
            &mut reactor,
            PROXY,
            &upload("X-Forwarded-For: 198.51.100.7"),
        );
        assert_eq!(value(&reactor, "", "refused-address"), 0, "{n}");
    }
    // Two in progress; the third is refused, and its body is read off, too.
    assert_eq!(sending(&reactor), 3);
    assert_eq!(value(&reactor, "response", "4xx"), 3);
    let key = Key::of(&Client::from_address([198, 51, 100, 7].into()));
    assert_eq!(reactor.addresses.count(key), 2);
    uploads(&mut reactor, 0);
    assert_eq!(reactor.addresses.count(key), 1, "it is answered");
    uploads(&mut reactor, 2);
    assert_eq!(reactor.census()[0], 2, "kept, the refused one too");
    assert_eq!(reactor.addresses.count(key), 1);
    // Another client on the connection of the refused one, and the first one again.
    says(&mut reactor, 2, &upload("X-Forwarded-For: 198.51.100.8"));
    let other = Key::of(&Client::from_address([198, 51, 100, 8].into()));
    assert_eq!(
        (reactor.addresses.count(key), reactor.addresses.count(other)),
        (1, 1)
    );
    uploads(&mut reactor, 2);
    says(&mut reactor, 2, &upload("X-Forwarded-For: 198.51.100.7"));
    assert_eq!(
        (reactor.addresses.count(key), reactor.addresses.count(other)),
        (2, 0)
    );
}

#[test]
fn a_proxy_has_no_share_and_a_stranger_is_not_believed() {
    let mut reactor = behind(Speaks::Forwarded, 1);
    for _ in 0..3 {
        comes(&mut reactor, PROXY, &upload(""));
        comes(
            &mut reactor,
            Peer::Unix,
            &upload("X-Forwarded-For: 198.51.100.7"),
        );
    }
    assert_eq!(sending(&reactor), 6);
    comes(
        &mut reactor,
        STRANGER,
        &upload("Forwarded: for=198.51.100.7"),
    );
    comes(
        &mut reactor,
        STRANGER,
        &upload("Forwarded: for=198.51.100.8"),
    );
    assert_eq!(sending(&reactor), 7);
    assert_eq!(value(&reactor, "", "refused-address"), 1);
}

#[test]
fn clients_that_are_not_known_have_one_share_together() {
    let mut reactor = behind(Speaks::Forwarded, 2);
    for hidden in ["_a", "_b", "unknown"] {
        comes(
            &mut reactor,
            PROXY,
            &upload(&format!("Forwarded: for={hidden}")),
        );
    }
    assert_eq!(reactor.addresses.count(Some(Key::Unknown)), 2);
    comes(&mut reactor, PROXY, &upload("Forwarded: for=198.51.100.7"));
    assert_eq!(sending(&reactor), 4);
}

#[test]
fn a_preface_makes_the_connection_its_clients() {
    let mut reactor = behind(Speaks::ProxyProtocol, 2);
    let preface = "PROXY TCP4 198.51.100.7 192.0.2.9 1 80\r\n";
    let key = Key::of(&Client::from_address([198, 51, 100, 7].into()));
    comes(&mut reactor, PROXY, preface);
    assert_eq!(reactor.addresses.count(key), 1, "as soon as it is read");
    assert_eq!(reactor.census()[0], 1);
    comes(&mut reactor, PROXY, &format!("{preface}{GET}\r\n"));
    assert_eq!(reactor.census()[0], 2, "answered");
    // The third takes the place of the one that had its answer; the first may still ask.
    comes(&mut reactor, PROXY, &format!("{preface}{UPLOAD}\r\n"));
    assert_eq!(value(&reactor, "evicted", "idle"), 1);
    assert_eq!((reactor.census()[0], sending(&reactor)), (1, 1));
    // Nobody of its own can go: the fourth is turned away as if it had never come.
    comes(&mut reactor, Peer::Unix, &format!("{preface}{GET}\r\n"));
    assert_eq!(value(&reactor, "", "refused-address"), 1);
    assert_eq!(value(&reactor, "close", "share-spent"), 1);
    assert_eq!(value(&reactor, "", "requests"), 2);
    assert_eq!(reactor.addresses.count(key), 2);
    // After its grace the first one goes, too.
    reactor.net().now_ms += GRACE_MS;
    comes(&mut reactor, PROXY, &format!("{preface}{UPLOAD}\r\n"));
    assert_eq!((reactor.census()[0], sending(&reactor)), (0, 2));
}

#[test]
fn a_proxy_that_speaks_for_itself_or_by_a_field_only_is_the_proxy() {
    let mut reactor = behind(Speaks::ProxyProtocol, 1);
    for _ in 0..3 {
        let field = "X-Forwarded-For: 198.51.100.7";
        comes(
            &mut reactor,
            PROXY,
            &format!("PROXY UNKNOWN\r\n{}", upload(field)),
        );
    }
    assert_eq!(sending(&reactor), 3);
    comes(&mut reactor, STRANGER, &upload(""));
    assert_eq!(sending(&reactor), 4, "a stranger speaks HTTP at once");
    comes(&mut reactor, PROXY, &upload(""));
    assert_eq!(value(&reactor, "reject", "bad-preface"), 1);
}
