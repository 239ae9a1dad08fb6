//! How far one slot is carried in one turn, and what errors of its socket mean.

use super::*;
use crate::connection::Act;
use crate::connection::state::State;
use crate::reactor::drive::{Budget, Step};

const MISSING: &[u8] = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
const UPLOAD: &[u8] = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n";

/// A reactor with one connection that has sent these bytes.
fn with_one(bytes: &[u8]) -> Reactor<Told> {
    let mut reactor = reactor(2, 2);
    reactor.net().accepts.push_back(from(1));
    reactor.net().receives.push_back(Ok(bytes.to_vec()));
    reactor.turn().unwrap();
    reactor
}

/// A reactor whose one connection is answered with so many bytes of a file; the head has left.
fn with_file(bytes: u64) -> Reactor<Told> {
    let mut reactor = with_one(b"GET");
    let limits = Rc::clone(&reactor.limits);
    let turn = reactor.moment(Ms(0), None, &limits);
    let slot = reactor.slots.get_mut(0).unwrap();
    let (input, output) = reactor.buffers.halves(slot.buffer.unwrap());
    let rest = b" / HTTP/1.1\r\nHost: h\r\n\r\n";
    slot.connection.space(input)[..rest.len()].copy_from_slice(rest);
    slot.connection.received(rest.len(), input, &turn);
    let mut fields = [NO_FIELD; FIELDS_MAX];
    let request = slot.connection.request(input, &mut fields, &limits);
    let verdict = request.unwrap().verdict;
    let mut reply = slot.connection.reply(output);
    reply.status(Status::OK);
    let content = Content::File(bytes);
    let taken = slot
        .connection
        .answered(&verdict, reply, content, input, &turn);
    assert!(matches!(taken, Taken::Yes { .. }));
    slot.file = Some(std::fs::File::open("conf/www/index.html").unwrap().into());
    let head = slot.connection.sendable(output).len();
    slot.connection.sent(head, &turn);
    slot.ready.write = true;
    reactor.runnable.push(0);
    reactor
}

fn event(reactor: &mut Reactor<Told>, change: impl FnOnce(&mut Event)) {
    let mut event = readable(reactor.net().registered[0]);
    change(&mut event);
    reactor.net().events.push(event);
    reactor.turn().unwrap();
    reactor.check();
}

fn ended(reactor: &Reactor<Told>, reason: &str) -> bool {
    reactor.counters().value("close", reason) == Some(1)
}

#[test]
fn a_turn_answers_so_many_requests_and_goes_on_by_itself() {
    let mut reactor = with_one(&MISSING.repeat(100));
    let answers = |reactor: &mut Reactor<Told>| {
        let sent = String::from_utf8_lossy(&reactor.net().sent).into_owned();
        sent.matches("HTTP/1.1 404 ").count()
    };
    assert!((1..=64).contains(&answers(&mut reactor)));
    for _ in 0..2 {
        reactor.turn().unwrap();
    }
    assert_eq!(answers(&mut reactor), 100);
    assert!(reactor.runnable.is_empty());
}

#[test]
fn a_turn_moves_so_many_bytes_of_a_file_and_goes_on_by_itself() {
    const MIB: u64 = 1024 * 1024;
    let mut reactor = with_file(MIB);
    for turns in 1..=4 {
        reactor.turn().unwrap();
        reactor.check();
        let slot = reactor.slots.get(0).unwrap();
        assert_eq!(slot.offset, turns * MIB / 4);
        assert_eq!(slot.file.is_some(), turns < 4, "its file is held as long");
    }
    assert_eq!(reactor.census()[0], 1, "it stays");
    reactor.turn().unwrap();
    assert!(reactor.runnable.is_empty());
}

#[test]
fn what_the_kernel_does_not_take_waits_for_an_edge() {
    let mut reactor = with_file(1000);
    reactor.net().sends.push_back(Ok(300));
    reactor.net().sends.push_back(blocked());
    reactor.turn().unwrap();
    assert!(reactor.runnable.is_empty());
    for _ in 0..2 {
        reactor.turn().unwrap();
    }
    assert_eq!(reactor.slots.get(0).unwrap().offset, 300);
    event(&mut reactor, |event| event.writable = true);
    assert_eq!(reactor.slots.get(0).unwrap().offset, 1000);
    assert_eq!(reactor.census()[0], 1);
}

#[test]
fn a_failed_send_is_the_peers_fault_or_the_disks() {
    for (kind, reason) in [
        (ErrorKind::BrokenPipe, "reset-by-peer"),
        (ErrorKind::ConnectionReset, "reset-by-peer"),
        (ErrorKind::TimedOut, "reset-by-peer"),
        (ErrorKind::Other, "file-shrank"),
    ] {
        let mut reactor = with_file(1000);
        reactor.net().sends.push_back(Err(kind.into()));
        reactor.turn().unwrap();
        assert!(ended(&reactor, reason), "{kind:?}");
        assert_eq!(reactor.net().closed, [How::Reset]);
    }
    let mut reactor = with_file(1000);
    reactor.net().sends.push_back(Ok(0));
    reactor.turn().unwrap();
    assert!(ended(&reactor, "file-shrank"));
    // Where no file is sent it cannot be the disk's.
    let mut reactor = with_one(b"GET");
    reactor.net().sends.push_back(Err(ErrorKind::Other.into()));
    reactor
        .net()
        .receives
        .push_back(Ok(b" / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()));
    event(&mut reactor, |_| {});
    assert!(ended(&reactor, "reset-by-peer"));
}

#[test]
fn a_short_read_says_that_nothing_is_left_unless_the_peer_has_closed() {
    let asked = |reactor: &mut Reactor<Told>| reactor.net().received;
    let mut reactor = with_one(b"GET / ");
    assert_eq!(asked(&mut reactor), 1, "one short read is enough");
    reactor.net().receives.push_back(Ok(b"HTTP/1".to_vec()));
    event(&mut reactor, |_| {});
    assert_eq!(asked(&mut reactor), 2);
    // No further edge comes behind a FIN.
    reactor.net().receives.push_back(Ok(b".1\r\n".to_vec()));
    reactor.net().receives.push_back(Ok(Vec::new()));
    event(&mut reactor, |event| event.read_closed = true);
    assert!(ended(&reactor, "peer-fin"));
}

#[test]
fn a_full_read_is_followed_by_another() {
    let half = 8192;
    let mut bytes = MISSING.repeat(half / MISSING.len() + 1);
    let rest = bytes.split_off(half);
    let mut reactor = reactor(2, 2);
    reactor.net().accepts.push_back(from(1));
    reactor.net().receives.push_back(Ok(bytes));
    reactor.net().receives.push_back(Ok(rest));
    for _ in 0..8 {
        reactor.turn().unwrap();
    }
    let requests = u64::try_from(half / MISSING.len() + 1).unwrap();
    assert_eq!(reactor.counters().value("", "requests"), Some(requests));
}

#[test]
fn what_is_thrown_away_is_read_like_anything_else() {
    // Of a small rest behind a refusal: full reads one after the other, and after a short one
    // nothing until an edge says so.
    let mut reactor = with_one(UPLOAD);
    reactor.net().discards.extend([10_000, 20_000]);
    event(&mut reactor, |_| {});
    assert_eq!(reactor.net().discards.len(), 1);
    reactor.net().discards.push_back(0);
    event(&mut reactor, |event| event.read_closed = true);
    assert!(reactor.net().discards.is_empty(), "the FIN was read");
    assert!(ended(&reactor, "peer-fin"));

    let large = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    let mut reactor = with_one(large);
    reactor.net().discards.extend([64 * 1024; 10]);
    let limits = Rc::clone(&reactor.limits);
    let turn = reactor.moment(Ms(0), None, &limits);
    reactor.slots.get_mut(0).unwrap().ready.read = true;
    reactor.drive(0, &turn);
    assert_eq!(reactor.net().discards.len(), 6, "256 KiB in one visit");
    for _ in 0..2 {
        reactor.turn().unwrap();
    }
    assert!(reactor.net().discards.is_empty(), "no edge was needed");
}

#[test]
fn a_goodbye_counts_what_it_threw_away() {
    let large = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    let mut reactor = with_one(large);
    reactor.net().discards.extend([60_000, 0]);
    event(&mut reactor, |event| event.read_closed = true);
    assert!(ended(&reactor, "peer-fin"));
    assert_eq!(
        reactor.counters().value("", "bytes-discarded"),
        Some(60_000)
    );
}

#[test]
fn a_body_is_kept_within_the_share_of_a_visit() {
    let mut reactor = with_one(b"PUT /x HTTP/1.1\r\n");
    let limits = Rc::clone(&reactor.limits);
    let turn = reactor.moment(Ms(0), None, &limits);
    let slot = reactor.slots.get_mut(0).unwrap();
    let (input, _) = reactor.buffers.halves(slot.buffer.unwrap());
    let rest = b"Host: h\r\nContent-Length: 5\r\n\r\nhello";
    slot.connection.space(input)[..rest.len()].copy_from_slice(rest);
    slot.connection.received(rest.len(), input, &turn);
    let mut fields = [NO_FIELD; FIELDS_MAX];
    let request = slot.connection.request(input, &mut fields, &limits);
    let verdict = request.unwrap().verdict;
    slot.connection.await_store(&verdict, 5, input, &turn);
    let need = slot.connection.need();
    assert_eq!(need.act, Act::Store);
    let mut budget = Budget {
        bytes: 0,
        requests: 1,
        later: false,
        used: true,
    };
    assert_eq!(reactor.step(0, need, &mut budget, &turn), Step::Blocked);
    assert!(reactor.slots.get(0).unwrap().connection.holds_content());
    budget.bytes = 1;
    assert_eq!(reactor.step(0, need, &mut budget, &turn), Step::Moved);
}

#[test]
fn a_goodbye_ends_when_acknowledgements_have_moved_and_nothing_is_to_be_read() {
    let mut reactor = with_one(b"GET ");
    reactor.net().unacknowledged = 100;
    let rest = b"/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    reactor.net().receives.push_back(Ok(rest.to_vec()));
    event(&mut reactor, |_| {});
    assert_eq!(reactor.census().iter().sum::<usize>(), 1, "on its way");
    reactor.net().unacknowledged = 0;
    event(&mut reactor, |event| {
        event.readable = false;
        event.writable = true;
    });
    assert!(ended(&reactor, "acked"));
}

#[test]
fn who_has_come_the_least_far_gives_way_when_it_had_its_grace() {
    let mut reactor = reactor(4, 4);
    for (last, bytes) in [(1, &b"GET /"[..]), (2, b"GE"), (3, MISSING), (4, UPLOAD)] {
        reactor.net().accepts.push_back(from(last));
        reactor.net().receives.push_back(Ok(bytes.to_vec()));
    }
    reactor.turn().unwrap();
    let states: Vec<State> = reactor.slots.iter().map(|(_, slot)| slot.state).collect();
    assert_eq!(states, [State::Head, State::Head, State::Idle, State::Rest]);
    let least = |now, holds| reactor.least_progress(Ms(now), holds, false);
    assert_eq!(
        (least(GRACE_MS - 1, false), least(GRACE_MS - 1, true)),
        (None, None)
    );
    // Who is in Rest has sent nothing of the body, but holds no buffer.
    assert_eq!(
        (least(GRACE_MS, false), least(GRACE_MS, true)),
        (Some(3), Some(1))
    );
}

#[test]
fn who_waits_for_a_buffer_stands_in_line_only_as_long_as_it_wants_one() {
    let mut reactor = with_one(b"");
    assert_eq!(reactor.census().iter().sum::<usize>(), 0, "a FIN at once");
    let others: Vec<u16> = std::iter::from_fn(|| reactor.buffers.take(true)).collect();
    reactor.net().registered.clear();
    reactor.net().accepts.push_back(from(1));
    reactor.net().receives.push_back(Ok(MISSING.to_vec()));
    knock(&mut reactor);
    reactor.turn().unwrap();
    assert_eq!(reactor.waiting.first(), Some(0));
    reactor.turn().unwrap();
    assert_eq!(reactor.waiting.first(), Some(0), "it wants to read");
    let limits = Rc::clone(&reactor.limits);
    let turn = reactor.moment(Ms(0), None, &limits);
    let slot = reactor.slots.get_mut(0).unwrap();
    slot.connection.stop(Queues::default(), &turn);
    reactor.drive(0, &turn);
    assert_eq!(reactor.waiting.first(), None);
    for buffer in others {
        reactor.give_buffer(buffer);
    }
}

#[test]
fn a_fault_of_ours_is_counted_and_answered() {
    let mut reactor = with_one(b"GET");
    let limits = Rc::clone(&reactor.limits);
    let turn = reactor.moment(Ms(0), None, &limits);
    let slot = reactor.slots.get_mut(0).unwrap();
    let (input, output) = reactor.buffers.halves(slot.buffer.unwrap());
    let rest = b" / HTTP/1.1\r\nHost: h\r\n\r\n";
    slot.connection.space(input)[..rest.len()].copy_from_slice(rest);
    slot.connection.received(rest.len(), input, &turn);
    let mut fields = [NO_FIELD; FIELDS_MAX];
    let request = slot.connection.request(input, &mut fields, &limits);
    let verdict = request.unwrap().verdict;
    let mut reply = slot.connection.reply(output);
    reply.status(Status::OK);
    reply.field("X", &[b'x'; 10_000]);
    let taken = slot
        .connection
        .answered(&verdict, reply, Content::Empty, input, &turn);
    assert_eq!(taken, Taken::Later);
    slot.ready.write = true;
    reactor.drive(0, &turn);
    assert_eq!(
        reactor.counters().value("misuse", "reply-overflow"),
        Some(1)
    );
    assert!(reactor.net().sent.starts_with(b"HTTP/1.1 500 "));
}
