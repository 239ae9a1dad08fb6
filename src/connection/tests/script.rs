//! Requests that scripts answer.

use super::*;

pub(super) const RUN: &[u8] = b"GET /run HTTP/1.1\r\nHost: a\r\n\r\n";
pub(super) const BODY: &[u8] = b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
pub(super) const QUEUED: &[u8] = b"GET /queue HTTP/1.1\r\nHost: a\r\n\r\n";

impl Peer {
    /// The script has answered, with content of this length.
    pub(super) fn relay(&mut self, bytes: Option<u64>) {
        let turn = Turn {
            now: Ms(self.now),
            wall: None,
            limits: &self.limits,
            stopping: self.stopping,
        };
        let mut reply = self.c.reply(&mut self.output);
        reply.status(Status::OK);
        let taken = self.c.relayed(reply, bytes, &self.input, &turn);
        let Taken::Yes { pieces, .. } = taken else {
            panic!("{taken:?}");
        };
        self.answers += 1;
        if pieces {
            self.pieces = match bytes {
                Some(5) => vec![(2, 0), (3, 0)],
                _ => vec![(7, 0), (0, 0)],
            };
        }
    }
}

/// Something that a script may do before it has answered.
pub(super) fn anything(p: &mut Peer, chance: u64) {
    match chance {
        0 => p.conclude(Status::BAD_GATEWAY),
        1 => p.on(|c, _, turn| c.fail_script(Reject::LateScript, turn)),
        n => p.relay((n == 2).then_some(5)),
    }
}

/// Some of the body comes, or goes to the script.
pub(super) fn feed(p: &mut Peer, random: &mut Random) {
    if p.c.holds_content() {
        p.feed(1 + usize::try_from(random.below(9)).unwrap());
    } else {
        let space = p.c.space(&mut p.input).len();
        p.recv(&[b'b'; 20][..space.min(20)]);
    }
}

/// One whose script runs and has not answered.
pub(super) fn running(request: &[u8]) -> Peer {
    let mut p = Peer::new();
    p.recv(request);
    p.serve();
    assert_eq!(p.state(), State::Script);
    p
}

/// One whose script answers before its body has come.
pub(super) fn relaying() -> Peer {
    let mut p = running(BODY);
    p.relay(None);
    assert_eq!(p.state(), State::Relay);
    p
}

/// One that waits for a place.
pub(super) fn queued() -> Peer {
    let mut p = Peer::new();
    p.recv(QUEUED);
    p.serve();
    assert_eq!(p.state(), State::Queue);
    p
}

/// Everything is sent and made until nothing more can be.
fn finish(p: &mut Peer) {
    loop {
        match (p.need().act, p.need().write) {
            (_, Write::Bytes { .. }) => p.flush(),
            (Act::Produce, _) if p.state() != State::Script => p.produce(),
            (_, _) => return,
        }
    }
}

#[test]
fn a_script_answers_in_chunks_and_the_connection_stays() {
    let mut p = running(RUN);
    assert!(!p.c.is_head());
    assert!(!p.c.holds_bytes(), "nothing is owned while it thinks");
    assert_eq!((p.need().act, p.need().read), (Act::Produce, Read::Nothing));
    p.relay(None);
    assert_eq!(p.state(), State::Respond);
    finish(&mut p);
    assert_eq!(p.state(), State::Idle);
    assert!(p.out.ends_with(b"\r\n\r\n7\r\nppppppp\r\n0\r\n\r\n"));
}

#[test]
fn its_body_flows_to_it_and_nothing_behind_that() {
    let mut p = running(&[BODY, b"0123"].concat());
    assert_eq!(p.need().read, Read::Feed);
    assert!(p.c.holds_content());
    p.feed(3);
    p.feed(9);
    assert_eq!(p.kept, b"0123");
    assert!(!p.c.holds_content() && !p.c.holds_bytes());
    assert_eq!(p.c.space(&mut p.input).len(), 6, "as much as is to come");
    p.recv(b"456789");
    p.feed(9);
    assert!(p.c.is_stored());
    assert_eq!(p.need().read, Read::Nothing);
    assert_eq!(p.kept, b"0123456789");
    // What came with the head is the next request.
    let mut p = running(&[BODY, b"0123456789", GET].concat());
    p.feed(99);
    assert_eq!(p.kept, b"0123456789");
    p.relay(Some(5));
    finish(&mut p);
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (2, State::Idle));
}

#[test]
fn body_in_and_answer_out_at_once() {
    let mut p = relaying();
    assert_eq!(p.need().read, Read::Feed);
    p.flush();
    assert_eq!(p.need().act, Act::Produce);
    p.recv(b"0123");
    p.feed(9);
    p.produce();
    p.recv(b"456789");
    p.feed(9);
    assert_eq!(p.state(), State::Respond, "the body is over");
    finish(&mut p);
    assert_eq!((p.state(), p.kept.len()), (State::Idle, 10));
}

#[test]
fn an_answer_that_ends_before_a_small_body_does_keeps_the_connection() {
    let mut p = relaying();
    p.recv(b"0123");
    finish(&mut p);
    assert_eq!((p.state(), p.need().read), (State::Rest, Read::Discard(6)));
    p.discard(6);
    assert_eq!(p.state(), State::Idle);
    p.recv(GET);
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (2, State::Idle));
}

#[test]
fn a_body_that_is_there_and_was_not_taken_is_over_when_the_answer_is() {
    let mut p = relaying();
    p.recv(b"0123456789");
    finish(&mut p);
    assert_eq!(p.state(), State::Idle);
    let mut p = running(&[BODY, b"0123456789", GET].concat());
    p.relay(None);
    finish(&mut p);
    assert_eq!(p.state(), State::Linger, "nobody has looked behind it");
}

#[test]
fn an_answer_before_a_large_body_ends_in_a_goodbye_that_reads_it_off() {
    let head = "POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n";
    let mut p = Peer::new();
    p.most = u64::MAX;
    p.recv(head.as_bytes());
    p.serve();
    p.recv(&[b'b'; 1000]);
    p.feed(1000);
    p.relay(None);
    let said = p.c.sendable(&p.output);
    assert!(said.windows(17).any(|w| w == b"Connection: close"));
    p.recv(&[b'b'; 1000]);
    finish(&mut p);
    p.shut();
    assert_eq!(p.state(), State::Linger);
    assert_eq!(p.need().read, Read::Discard(4_998_000 + 64 * 1024));
}

#[test]
fn a_script_that_says_nothing_is_late_only_when_it_has_the_body() {
    let mut p = running(BODY);
    p.limits.first_byte_ms = 50_000;
    p.recv(b"0123456789");
    // It does not take it: that is not the client's fault.
    for _ in 0..3 {
        p.pass(p.limits.body_window_ms);
    }
    assert_eq!(p.need().act, Act::Produce);
    p.feed(10);
    p.pass(49_999);
    assert_eq!(p.need().act, Act::Produce);
    p.pass(1);
    assert_eq!(p.need().act, Act::Refuse(Reject::LateScript));
    p.serve();
    p.flush();
    assert!(p.answered("504"));
    // A client that does not send is.
    let mut p = running(BODY);
    p.pass(p.limits.body_window_ms);
    assert_eq!(p.need().act, Act::Refuse(Reject::LateBody));
}

#[test]
fn what_fails_before_the_answer_is_refused_and_later_reset() {
    let mut p = running(RUN);
    p.on(|c, _, turn| c.fail_script(Reject::LateScript, turn));
    assert_eq!(p.need().act, Act::Refuse(Reject::LateScript));
    p.on(|c, _, turn| c.fail_script(Reject::Internal, turn));
    assert_eq!(p.need().act, Act::Refuse(Reject::LateScript), "the first");
    for bytes in [None, Some(5)] {
        let mut p = running(RUN);
        p.relay(bytes);
        p.flush();
        p.on(|c, _, turn| c.fail_script(Reject::LateScript, turn));
        p.assert_over(CloseReason::FileShrank, How::Reset);
    }
    let mut p = running(RUN);
    p.relay(Some(5));
    finish(&mut p);
    p.on(|c, _, turn| c.fail_script(Reject::LateScript, turn));
    assert_eq!(p.state(), State::Idle, "it was whole already");
    let mut p = running(RUN);
    p.relay(Some(5));
    p.flush();
    p.piece(5, 0, true);
    p.on(|c, _, turn| c.fail_script(Reject::LateScript, turn));
    p.flush();
    assert_eq!(p.state(), State::Idle, "whole, and not sent yet");
}

#[test]
fn a_page_in_its_place_keeps_the_connection() {
    let mut p = running(BODY);
    p.conclude(Status::BAD_GATEWAY);
    p.flush();
    assert!(p.answered("502"));
    assert_eq!((p.state(), p.need().read), (State::Rest, Read::Discard(10)));
}

#[test]
fn a_head_request_gets_no_content() {
    let mut p = running(b"HEAD /run HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(p.c.is_head());
    p.relay(None);
    assert!(!p.c.has_pieces());
    p.flush();
    assert_eq!(p.state(), State::Idle);
    assert!(p.out.ends_with(b"\r\n\r\n"));
}

#[test]
fn a_fin_is_a_half_close_once_the_body_is_there() {
    let mut p = running(RUN);
    p.fin();
    assert_eq!(p.state(), State::Script);
    let mut p = relaying();
    p.fin();
    assert_eq!(p.state(), State::Respond, "the script hears its end");
    assert!(p.c.is_stored());
    finish(&mut p);
    assert!(p.out.ends_with(b"0\r\n\r\n"));
}

#[test]
fn who_waits_for_a_100_gets_it_from_a_script_too() {
    let mut p = running(
        b"POST /run HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    );
    p.flush();
    assert_eq!(p.out, CONTINUE);
    p.recv(b"abc");
    p.feed(3);
    p.relay(Some(5));
    finish(&mut p);
    assert_eq!(p.state(), State::Idle);
}

#[test]
fn a_body_that_was_kept_first_is_handed_over_whole() {
    let mut p = store::storing(&[store::CHUNKED, b"3\r\nabc\r\n0\r\n"].concat());
    p.recv(b"\r\n");
    assert_eq!(p.need().act, Act::Conclude);
    p.on(|c, _, turn| c.hand_to_script(turn));
    assert_eq!((p.state(), p.need().act), (State::Script, Act::Produce));
    let first_byte_ms = u64::from(p.limits.first_byte_ms);
    assert_eq!(p.until(), Ms(p.now + first_byte_ms));
    p.relay(None);
    finish(&mut p);
    assert_eq!((p.state(), &p.kept[..]), (State::Idle, &b"abc"[..]));
}

#[test]
fn who_waits_for_a_place_is_asked_about_once_more_or_refused() {
    let mut p = queued();
    assert!(p.c.holds_bytes());
    assert_eq!((p.need().act, p.need().read), (Act::None, Read::Nothing));
    p.fin();
    assert_eq!(p.state(), State::Queue, "a half-close");
    assert!(p.on(|c, _, turn| c.placed(turn)));
    assert_eq!(p.need().act, Act::Answer);
    let mut p = queued();
    p.pass(p.limits.queue_ms);
    assert_eq!(p.need().act, Act::Refuse(Reject::NoPlace));
    assert!(!p.on(|c, _, turn| c.placed(turn)), "too late");
    p.serve();
    p.flush();
    assert!(p.answered("503"));
    // Behind answers that are not sent it waits for these first.
    let mut p = Peer::new();
    p.file = 5;
    p.recv(&[GET, QUEUED].concat());
    p.serve();
    assert_eq!(p.state(), State::Respond);
    p.flush();
    p.serve();
    assert_eq!(p.state(), State::Queue);
}

#[test]
fn a_body_that_ends_late_takes_no_time_from_the_script() {
    let mut p = relaying();
    p.flush();
    let until = p.c.deadline;
    p.recv(b"0123456789");
    p.feed(10);
    assert_eq!((p.state(), p.need().act), (State::Respond, Act::Produce));
    assert_eq!(
        p.c.deadline, until,
        "it is still the script that is waited for"
    );
}

#[test]
fn script_what_it_has_said_is_held_for_nothing_but_the_fin() {
    let mut p = running(b"GET /run HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    p.relay(None);
    for held in [false, false, true] {
        assert_eq!(p.need().write, Write::Bytes { more: held });
        p.send(usize::MAX);
        if !held {
            assert_eq!(p.need().act, Act::Produce);
            p.produce();
        }
    }
    assert_eq!(p.need().act, Act::ShutdownWrite);
}
