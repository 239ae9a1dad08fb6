//! The loop over a network that does what each test tells it, call by call. What a whole life looks
//! like is the simulation's matter (`tests/sim`).

use super::net::{Event, Net, Token};
use super::*;
use crate::config::SiteConfig;
use crate::connection::How;
use crate::connection::linger::Queues;
use crate::sys::socket::Peer;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

/// Says what it is told, and counts what it is asked.
#[derive(Debug, Default)]
struct Told {
    now_ms: u64,
    events: Vec<Event>,
    accepts: VecDeque<io::Result<Peer>>,
    accepted: usize,
    receives: VecDeque<io::Result<Vec<u8>>>,
    received: usize,
    closed: Vec<How>,
    unread: u32,
    registered: Vec<Token>,
}

fn blocked<T>() -> io::Result<T> {
    Err(ErrorKind::WouldBlock.into())
}

impl Net for Told {
    type Socket = ();

    fn poll(&mut self, _: Option<u32>, events: &mut Vec<Event>) -> io::Result<()> {
        events.append(&mut self.events);
        Ok(())
    }

    fn now(&mut self) -> Ms {
        Ms(self.now_ms)
    }

    fn wall_s(&mut self) -> Option<i64> {
        None
    }

    fn signal(&mut self) -> Option<crate::sys::signal::Signal> {
        None
    }

    fn listeners(&self) -> u8 {
        1
    }

    fn accept(&mut self, _: u8) -> io::Result<((), Peer)> {
        self.accepted += 1;
        let told = self.accepts.pop_front().unwrap_or_else(blocked);
        told.map(|peer| ((), peer))
    }

    fn waits(&mut self, _: u8) -> bool {
        !self.accepts.is_empty()
    }

    fn pauses(error: &io::Error) -> bool {
        crate::sys::socket::accept_pauses(error)
    }

    fn close_listeners(&mut self) {}

    fn register(&mut self, (): &(), token: Token) -> io::Result<()> {
        self.registered.push(token);
        Ok(())
    }

    fn peek(&mut self, (): &(), _: &mut [u8]) -> io::Result<usize> {
        blocked()
    }

    fn receive(&mut self, (): &(), into: &mut [u8]) -> io::Result<usize> {
        self.received += 1;
        let bytes = self.receives.pop_front().unwrap_or_else(blocked)?;
        into[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn discard(&mut self, (): &(), _: usize) -> io::Result<usize> {
        blocked()
    }

    fn send(&mut self, (): &(), bytes: &[u8], _: bool) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn send_file(&mut self, (): &(), _: &OwnedFd, _: u64, max: usize) -> io::Result<usize> {
        Ok(max)
    }

    fn shutdown_write(&mut self, (): &()) -> io::Result<()> {
        Ok(())
    }

    fn queues(&mut self, (): &()) -> Queues {
        Queues {
            unread: self.unread,
            ..Queues::default()
        }
    }

    fn close(&mut self, (): (), how: How) {
        self.closed.push(how);
    }
}

fn reactor(connections: u16, per_address: u16) -> Reactor<Told> {
    let config = Config {
        site: SiteConfig {
            root: "conf/www".into(),
            ..SiteConfig::default()
        },
        connections,
        connections_per_address: per_address,
        buffers: 8,
        ..Config::default()
    };
    let site = Site::new(&config).unwrap();
    Reactor::new(Told::default(), site, &config, Teardown::Linger)
}

fn readable(token: Token) -> Event {
    Event {
        token,
        readable: true,
        writable: false,
        read_closed: false,
    }
}

fn from(last: u8) -> io::Result<Peer> {
    Ok(Peer::V4([192, 0, 2, last]))
}

fn knock(reactor: &mut Reactor<Told>) {
    reactor.net().events.push(readable(Token::Listener(0)));
}

#[test]
fn an_event_for_a_connection_that_is_gone_is_not_for_its_successor() {
    let mut reactor = reactor(1, 1);
    reactor.net().accepts.push_back(from(1));
    reactor.net().receives.push_back(Ok(Vec::new())); // a FIN at once
    reactor.turn().unwrap();
    reactor.net().accepts.push_back(from(2));
    knock(&mut reactor);
    reactor.turn().unwrap();
    let tokens = reactor.net().registered.clone();
    let [
        Token::Slot {
            index: 0,
            generation: first,
        },
        Token::Slot {
            index: 0,
            generation: second,
        },
    ] = tokens[..]
    else {
        panic!("{tokens:?}");
    };
    assert_ne!(first, second);

    let asked = reactor.net().received;
    reactor.net().events.push(readable(tokens[0]));
    reactor.turn().unwrap();
    assert_eq!(
        reactor.net().received,
        asked,
        "the stale event reached the successor"
    );
    reactor.net().events.push(readable(tokens[1]));
    reactor.turn().unwrap();
    assert_eq!(reactor.net().received, asked + 1);
    reactor.check();
}

#[test]
fn accepting_rests_when_descriptors_run_out_and_goes_on_by_itself() {
    let mut reactor = reactor(4, 4);
    let emfile = 24;
    reactor
        .net()
        .accepts
        .push_back(Err(io::Error::from_raw_os_error(emfile)));
    reactor.net().accepts.push_back(from(1));
    reactor.turn().unwrap();
    assert_eq!(reactor.counters().value("", "accept-pauses"), Some(1));
    let asked = reactor.net().accepted;
    reactor.net().now_ms += 100;
    knock(&mut reactor);
    reactor.turn().unwrap();
    assert_eq!(reactor.net().accepted, asked, "it rests");
    reactor.net().now_ms += 200;
    reactor.turn().unwrap();
    assert_eq!(
        reactor.counters().accepted(),
        1,
        "no further edge was needed"
    );
}

#[test]
fn a_client_that_left_the_queue_does_not_stop_the_next() {
    let mut reactor = reactor(4, 4);
    reactor
        .net()
        .accepts
        .push_back(Err(ErrorKind::ConnectionAborted.into()));
    reactor.net().accepts.push_back(from(1));
    reactor.turn().unwrap();
    assert_eq!(reactor.counters().accepted(), 1);
    assert_eq!(reactor.counters().value("", "accept-pauses"), Some(0));
}

#[test]
fn one_address_has_its_share_and_the_others_theirs() {
    let mut reactor = reactor(4, 2);
    for last in [1, 1, 1, 2] {
        reactor.net().accepts.push_back(from(last));
        reactor.net().receives.push_back(Ok(b"GET".to_vec())); // busy: a head has begun
    }
    reactor.turn().unwrap();
    assert_eq!(
        reactor.census()[1],
        3,
        "two of the first address, one of the second"
    );
    assert_eq!(reactor.counters().value("", "refused-address"), Some(1));
    assert_eq!(reactor.net().closed, [How::Plain]);
}

#[test]
fn an_idle_connection_makes_room_for_another_of_its_address() {
    let mut reactor = reactor(4, 1);
    reactor.net().accepts.push_back(from(1));
    reactor
        .net()
        .receives
        .push_back(Ok(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()));
    reactor.turn().unwrap();
    assert_eq!(reactor.census()[0], 1, "it was answered and is idle");
    reactor.net().accepts.push_back(from(1));
    knock(&mut reactor);
    reactor.turn().unwrap();
    assert_eq!(reactor.counters().accepted(), 2);
    assert_eq!(reactor.counters().value("evicted", "idle"), Some(1));
    assert_eq!(reactor.census().iter().sum::<usize>(), 1);
}

#[test]
fn an_idle_connection_whose_next_request_has_come_is_not_evicted() {
    let mut reactor = reactor(1, 2);
    reactor.net().accepts.push_back(from(1));
    reactor
        .net()
        .receives
        .push_back(Ok(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()));
    reactor.turn().unwrap();
    reactor.net().unread = 27;
    reactor
        .net()
        .receives
        .push_back(Ok(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()));
    reactor.net().accepts.push_back(from(2));
    knock(&mut reactor);
    reactor.turn().unwrap();
    assert_eq!(reactor.net().closed, []);
    assert_eq!(reactor.counters().value("", "requests"), Some(2));
}
