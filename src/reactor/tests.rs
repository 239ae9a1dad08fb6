//! The loop over a network that does what each test tells it, call by call. What a whole life looks
//! like is the simulation's matter (`tests/sim`).

mod drive;
mod growth;
mod identity;
mod stop;
mod verdicts;
mod wall;

use super::net::{Event, Look, Net, Side, Token};
use super::*;
use crate::config::SiteConfig;
use crate::connection::How;
use crate::connection::head::NO_FIELD;
use crate::connection::limits::FIELDS_MAX;
use crate::connection::linger::Queues;
use crate::connection::reply::Status;
use crate::connection::{Content, Taken};
use crate::site::{Pieces, Work, work::Told as Said};
use crate::sys::socket::Peer;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

/// Says what it is told, and counts what it is asked.
#[derive(Debug, Default)]
struct Told {
    now_ms: u64,
    wall_s: Option<i64>,
    events: Vec<Event>,
    accepts: VecDeque<io::Result<Peer>>,
    accepted: usize,
    receives: VecDeque<io::Result<Vec<u8>>>,
    received: usize,
    /// How often somebody was asked for before each of these.
    accepted_before: Vec<usize>,
    discards: VecDeque<usize>,
    resized: Vec<(Side, u32)>,
    stays: bool,
    near: bool,
    closed: Vec<How>,
    unread: u32,
    unacknowledged: u32,
    registered: Vec<Token>,
    sent: Vec<u8>,
    /// What the next sends come to, of bytes or of a file; none: all is taken.
    sends: VecDeque<io::Result<usize>>,
    doors_closed: usize,
    signals: VecDeque<crate::sys::signal::Signal>,
    taken_over: bool,
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
        self.wall_s
    }

    fn signal(&mut self) -> Option<crate::sys::signal::Signal> {
        self.signals.pop_front()
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

    fn close_listeners(&mut self) {
        self.doors_closed += 1;
    }

    fn is_taken_over(&mut self) -> bool {
        self.taken_over
    }

    fn register(&mut self, (): &(), token: Token) -> io::Result<()> {
        self.registered.push(token);
        Ok(())
    }

    fn peek(&mut self, (): &(), into: &mut [u8]) -> io::Result<usize> {
        let Some(Ok(bytes)) = self.receives.front() else {
            return blocked();
        };
        let n = bytes.len().min(into.len());
        into[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn receive(&mut self, (): &(), into: &mut [u8]) -> io::Result<usize> {
        self.received += 1;
        self.accepted_before.push(self.accepted);
        let bytes = self.receives.pop_front().unwrap_or_else(blocked)?;
        into[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn discard(&mut self, (): &(), _: usize) -> io::Result<usize> {
        self.discards.pop_front().map_or_else(blocked, Ok)
    }

    fn resize(&mut self, (): &(), side: Side, bytes: u32) -> Option<u32> {
        self.resized.push((side, bytes));
        (!self.stays).then_some(bytes)
    }

    fn charged(&mut self, (): &(), side: Side) -> u32 {
        2 * match side {
            Side::Receive => self.unread,
            Side::Send => self.unacknowledged,
        }
    }

    fn round_trip_us(&mut self, (): &()) -> u32 {
        if self.near { 100 } else { 40_000 }
    }

    fn send(&mut self, (): &(), bytes: &[u8], _: bool) -> io::Result<usize> {
        let n = self.sends.pop_front().unwrap_or(Ok(bytes.len()))?;
        let n = n.min(bytes.len());
        self.sent.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn send_file(&mut self, (): &(), _: &OwnedFd, _: u64, max: usize) -> io::Result<usize> {
        self.sends.pop_front().unwrap_or(Ok(max))
    }

    fn shutdown_write(&mut self, (): &()) -> io::Result<()> {
        Ok(())
    }

    fn queues(&mut self, (): &(), _: Look) -> Queues {
        Queues {
            unread: self.unread,
            unacknowledged: self.unacknowledged,
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
        broken: false,
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
    reactor.turn().unwrap();
    let token = reactor.net().registered[0];
    reactor.net().receives.push_back(Ok(Vec::new())); // a FIN
    reactor.net().events.push(readable(token));
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
fn who_is_gone_by_the_end_of_its_first_visit_is_never_watched() {
    let mut reactor = reactor(1, 1);
    reactor.net().accepts.push_back(from(1));
    reactor.net().receives.push_back(Ok(Vec::new())); // a FIN at once
    reactor.turn().unwrap();
    assert_eq!(reactor.net().registered, []);
    assert_eq!(reactor.net().closed.len(), 1);
    reactor.check();
}

#[test]
fn who_takes_the_slot_of_somebody_in_the_same_turn_is_watched_as_itself() {
    let mut reactor = reactor(1, 1);
    for client in [1, 2] {
        reactor.net().accepts.push_back(from(client));
    }
    reactor.net().receives.push_back(Ok(Vec::new())); // the first has gone at once
    reactor.turn().unwrap();
    let generation = reactor.slots.generation(0);
    let token = Token::Slot {
        index: 0,
        generation,
    };
    assert_eq!(reactor.net().registered, [token]);
    reactor.check();
}

#[test]
fn all_who_wait_are_accepted_before_the_first_is_read_from() {
    let mut reactor = reactor(4, 4);
    for client in [1, 2] {
        reactor.net().accepts.push_back(from(client));
    }
    reactor.turn().unwrap();
    assert_eq!(reactor.net().accepted_before, [3, 3]);
    assert_eq!(reactor.net().registered.len(), 2);
    reactor.check();
}

#[test]
fn who_leaves_in_its_first_visit_has_its_share_back() {
    let mut reactor = reactor(4, 1);
    for _ in 0..2 {
        reactor.net().accepts.push_back(from(1));
    }
    reactor.net().receives.push_back(Ok(Vec::new())); // the first has gone at once
    reactor.turn().unwrap();
    assert_eq!(reactor.counters().accepted(), 2);
    assert_eq!(reactor.net().registered.len(), 1);
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
    let gone = io::Error::from_raw_os_error(libc::ECONNABORTED);
    reactor.net().accepts.push_back(Err(gone));
    reactor.net().accepts.push_back(from(1));
    reactor.turn().unwrap();
    assert_eq!(reactor.counters().accepted(), 1);
    assert_eq!(reactor.counters().value("", "accept-pauses"), Some(0));
}

#[test]
fn accepting_that_fails_each_time_rests_whatever_it_says() {
    let mut reactor = reactor(4, 4);
    for _ in 0..super::accept::BATCH {
        // As a filter of system calls may say for ever, or a firewall once.
        let refused = io::Error::from_raw_os_error(libc::EPERM);
        reactor.net().accepts.push_back(Err(refused));
    }
    reactor.net().accepts.push_back(from(1));
    reactor.turn().unwrap();
    assert_eq!(reactor.counters().value("", "accept-pauses"), Some(1));
    assert_eq!(reactor.counters().accepted(), 0);
    reactor.net().now_ms += 300;
    reactor.turn().unwrap();
    assert_eq!(reactor.counters().accepted(), 1);
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
    assert_eq!(reactor.net().closed, [How::Bounded(30_000)]);
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

#[test]
fn an_idle_connection_that_stays_makes_no_room_for_another_of_its_address() {
    let mut reactor = reactor(4, 1);
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    reactor.net().accepts.push_back(from(1));
    reactor.net().receives.push_back(Ok(request.to_vec()));
    reactor.turn().unwrap();
    // Its next request comes just before another connection does.
    reactor.net().unread = 27;
    reactor.net().receives.push_back(Ok(request.to_vec()));
    reactor.net().accepts.push_back(from(1));
    knock(&mut reactor);
    reactor.turn().unwrap();
    reactor.check();
    assert_eq!(reactor.counters().value("", "requests"), Some(2));
    assert_eq!(reactor.census().iter().sum::<usize>(), 1, "its share");
    assert_eq!(reactor.counters().value("", "refused-address"), Some(1));
}

#[test]
fn a_refusal_that_waits_for_room_counts_once() {
    for before in 1..80 {
        let mut reactor = reactor(1, 1);
        reactor.net().accepts.push_back(from(1));
        let mut bytes = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n".repeat(before);
        bytes.extend_from_slice(b"GET /x HTTP/1.1\r\nHost: h\r\nno field\r\n\r\n");
        reactor.net().receives.push_back(Ok(bytes));
        for _ in 0..3 {
            reactor.turn().unwrap();
        }
        let sent = String::from_utf8_lossy(&reactor.net().sent).into_owned();
        assert_eq!(sent.matches("HTTP/1.1 400 ").count(), 1, "{before} before");
        let counted = reactor.counters().value("reject", "bad-field");
        assert_eq!(counted, Some(1), "{before} before it");
    }
}

// ---- answers in pieces -------------------------------------------------------------------------

/// A reactor with two connections. The answer of the first comes in pieces of unknown length.
fn with_pieces(said: impl Into<VecDeque<Said>>) -> Reactor<Told> {
    let mut reactor = reactor(2, 2);
    reactor.net().accepts.extend([from(1), from(2)]);
    reactor.turn().unwrap();
    let limits = Rc::clone(&reactor.limits);
    let turn = reactor.moment(Ms(0), None, &limits);
    assert!(reactor.secure_buffer(0, &turn));
    let slot = reactor.slots.get_mut(0).unwrap();
    let (input, output) = reactor.buffers.halves(slot.buffer.unwrap());
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    slot.connection.space(input)[..request.len()].copy_from_slice(request);
    slot.connection.received(request.len(), input, &turn);
    let mut fields = [NO_FIELD; FIELDS_MAX];
    let request = slot.connection.request(input, &mut fields, &limits);
    let verdict = request.unwrap().verdict;
    let mut reply = slot.connection.reply(output);
    reply.status(Status::OK);
    let content = Content::Pieces(None);
    let taken = slot
        .connection
        .answered(&verdict, reply, content, input, &turn);
    assert!(matches!(taken, Taken::Yes { pieces: true, .. }));
    let pieces = Pieces {
        file: std::fs::File::open("conf/www/index.html").unwrap().into(),
        length: None,
        work: Work::Told(said.into()),
    };
    reactor.begin_pieces(0, pieces, &turn);
    reactor.runnable.push(0);
    reactor
}

/// The socket takes bytes.
fn writable(reactor: &mut Reactor<Told>) {
    reactor.slots.get_mut(0).unwrap().ready.write = true;
}

fn ended(reactor: &mut Reactor<Told>) -> bool {
    reactor.check();
    let (free, all) = reactor.works_home();
    free == all && reactor.net().sent.ends_with(b"\r\n0\r\n\r\n")
}

#[test]
fn a_work_is_prepared_one_step_a_turn_and_without_a_buffer() {
    let mut reactor = with_pieces([
        Said::Later,
        Said::Later,
        Said::Piece(1, false),
        Said::Later,
        Said::Piece(1, true),
    ]);
    writable(&mut reactor);
    for _ in 0..3 {
        assert!(!ended(&mut reactor));
        reactor.turn().unwrap();
        let (home, all) = reactor.buffers_home();
        assert_eq!(home, all, "who prepares holds no buffer");
    }
    assert!(!ended(&mut reactor));
    reactor.turn().unwrap();
    assert!(ended(&mut reactor));
    assert!(
        reactor
            .net()
            .sent
            .ends_with(b"\r\n\r\n1\r\nt\r\n1\r\nt\r\n0\r\n\r\n")
    );
    assert_eq!(reactor.census()[0], 2, "idle, and kept");
    assert!(reactor.runnable.is_empty());
}

#[test]
fn a_piece_waits_for_a_buffer_and_for_a_client_that_reads() {
    let mut reactor = with_pieces([
        Said::Later,
        Said::Piece(1, false),
        Said::Later,
        Said::Piece(1, true),
    ]);
    writable(&mut reactor);
    reactor.turn().unwrap(); // the head leaves, its buffer goes home
    let others: Vec<u16> = std::iter::from_fn(|| reactor.buffers.take(true)).collect();
    for _ in 0..3 {
        reactor.turn().unwrap();
        assert!(reactor.net().sent.ends_with(b"chunked\r\n\r\n"));
    }
    assert_eq!(reactor.waiting.first(), Some(0), "it stands in line");
    for buffer in others {
        reactor.give_buffer(buffer);
    }
    reactor.turn().unwrap();
    assert!(reactor.net().sent.ends_with(b"\r\n1\r\nt\r\n"));
    // The client reads no more: neither is prepared nor a buffer held.
    reactor.slots.get_mut(0).unwrap().ready.write = false;
    for _ in 0..3 {
        reactor.turn().unwrap();
        assert!(reactor.runnable.is_empty());
        let (home, all) = reactor.buffers_home();
        assert_eq!(home, all);
    }
    writable(&mut reactor);
    reactor.runnable.push(0);
    reactor.turn().unwrap();
    reactor.turn().unwrap();
    assert!(ended(&mut reactor));
}

#[test]
fn a_turn_makes_a_few_pieces_and_goes_on_by_itself() {
    let said = (1..=30).map(|n| Said::Piece(1, n == 30));
    let mut reactor = with_pieces(said.collect::<VecDeque<_>>());
    writable(&mut reactor);
    let mut made = 0;
    for turns in 1..=5 {
        assert!(!ended(&mut reactor), "after {made} pieces");
        reactor.turn().unwrap();
        let sent = String::from_utf8_lossy(&reactor.net().sent)
            .matches("1\r\nt\r\n")
            .count();
        assert!(
            sent > made && sent - made <= 8,
            "{sent} after {turns} turns"
        );
        made = sent;
        if made == 30 {
            break;
        }
    }
    assert!(ended(&mut reactor));
}

#[test]
fn between_two_pieces_the_buffer_goes_to_who_waits() {
    let mut reactor = with_pieces([Said::Piece(1, false), Said::Piece(1, true)]);
    writable(&mut reactor);
    let others: Vec<u16> = std::iter::from_fn(|| reactor.buffers.take(true)).collect();
    let limits = Rc::clone(&reactor.limits);
    let turn = reactor.moment(Ms(0), None, &limits);
    assert!(!reactor.secure_buffer(1, &turn), "the second waits");
    let head_only = |reactor: &mut Reactor<Told>| reactor.net().sent.ends_with(b"chunked\r\n\r\n");
    reactor.drive(0, &turn);
    assert!(head_only(&mut reactor), "the head has left, and no piece");
    assert!(reactor.slots.get(1).unwrap().buffer.is_some());
    assert_eq!(reactor.waiting.first(), Some(0));
    // The second has no use for it: it goes back to the first, which ends.
    reactor.turn().unwrap();
    reactor.turn().unwrap();
    for buffer in others {
        reactor.give_buffer(buffer);
    }
    assert!(ended(&mut reactor));
}

#[test]
fn a_piece_that_cannot_be_made_resets_its_connection() {
    let mut reactor = with_pieces([Said::Piece(1, false), Said::Fails]);
    writable(&mut reactor);
    reactor.turn().unwrap();
    assert!(!ended(&mut reactor), "it never looks whole");
    assert!(reactor.net().sent.ends_with(b"\r\n1\r\nt\r\n"));
    assert_eq!(reactor.net().closed, [How::Reset]);
    assert_eq!(reactor.counters().value("close", "file-shrank"), Some(1));
    let (free, all) = reactor.works_home();
    assert_eq!(free, all, "its work is home");
}
