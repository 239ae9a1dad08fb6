//! Bodies that are kept.

use super::*;

pub(super) const PUT: &[u8] = b"PUT /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
pub(super) const CHUNKED: &[u8] =
    b"PUT /keep HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
pub(super) const EXPECT: &[u8] = b"PUT /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\
    Expect: 100-continue\r\n\r\n";

/// The head of an upload of so many bytes.
fn put(bytes: usize) -> Vec<u8> {
    format!("PUT /keep HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n").into_bytes()
}

/// One whose head has come and whose body has not.
pub(super) fn storing(head: &[u8]) -> Peer {
    let mut p = Peer::new();
    p.recv(head);
    p.serve();
    assert_eq!(p.state(), State::Store);
    p
}

/// So many bytes come and are kept without having stood in the buffer.
fn unseen(p: &mut Peer, n: u64) {
    assert!(matches!(p.need().read, Read::Store(max) if max >= n));
    p.on(|c, _, turn| c.stored_unseen(n, turn));
}

#[test]
fn a_body_is_kept_as_it_comes_and_answered_at_its_end() {
    let mut p = storing(&[PUT, b"01234"].concat());
    assert_eq!(p.kept, b"01234");
    assert!(!p.c.holds_bytes(), "nothing is owned while it flows");
    assert_eq!(p.need().read, Read::Store(5));
    assert_eq!(p.need().write, Write::Nothing);
    unseen(&mut p, 4);
    assert_eq!((p.need().act, p.need().read), (Act::None, Read::Store(1)));
    unseen(&mut p, 1);
    assert_eq!(
        (p.need().act, p.need().read),
        (Act::Conclude, Read::Nothing)
    );
    p.serve();
    p.flush();
    assert!(p.answered("201"));
    assert_eq!(p.state(), State::Idle);
}

#[test]
fn what_stands_behind_the_body_is_the_next_request() {
    for step in 1..=60 {
        let bytes = [
            PUT,
            b"0123456789",
            CHUNKED,
            b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
            GET,
        ]
        .concat();
        let mut p = Peer::new();
        let mut kept = Vec::new();
        for part in bytes.chunks(step) {
            let mut part = part;
            while !part.is_empty() {
                match p.need().read {
                    Read::Into => {
                        p.recv(part);
                        part = b"";
                    }
                    Read::Store(max) => {
                        let n = part.len().min(usize::try_from(max).unwrap());
                        p.kept.extend_from_slice(&part[..n]);
                        unseen(&mut p, u64::try_from(n).unwrap());
                        part = &part[n..];
                    }
                    Read::Nothing | Read::Discard(_) | Read::Feed => panic!("{:?}", p.c),
                }
                while p.need().act != Act::None {
                    if p.need().act == Act::Conclude {
                        kept.push(p.kept.clone());
                    }
                    match p.need().act {
                        Act::Store => p.keep(2),
                        Act::Conclude => p.conclude(Status::CREATED),
                        _ => p.answer(),
                    }
                    if p.need().write != Write::Nothing && p.need().act == Act::None {
                        p.flush();
                    }
                }
            }
        }
        assert_eq!(kept, [&b"0123456789"[..], b"abcde"], "by {step}");
        assert_eq!(p.answers, 3, "by {step}");
        assert_eq!(p.state(), State::Idle);
    }
}

#[test]
fn a_body_that_is_known_to_be_too_large_is_refused_before_it_is_kept() {
    let mut p = Peer::new();
    p.most = 8;
    p.recv(CHUNKED);
    p.serve();
    p.recv(b"5\r\nhello\r\n");
    p.serve();
    assert_eq!(p.kept, b"hello");
    p.recv(b"4\r\n");
    assert_eq!(p.need().act, Act::Refuse(Reject::BodyTooLarge));
    p.serve();
    p.flush();
    assert!(p.answered("413"));
    assert_eq!(p.state(), State::Linger);
    assert_eq!(p.kept, b"hello");
}

#[test]
fn a_chunk_that_is_none_is_refused() {
    let mut p = storing(&[CHUNKED, b"5\r\nhello\r\n"].concat());
    p.recv(b"0x5\r\n");
    assert_eq!(p.need().act, Act::Refuse(Reject::BadChunk));
    p.serve();
    p.flush();
    assert!(p.answered("400"));
    assert_eq!(p.state(), State::Linger);
}

#[test]
fn who_waits_for_a_100_gets_it_and_owns_no_buffer_for_that() {
    let mut p = storing(EXPECT);
    assert!(!p.c.holds_bytes());
    assert_eq!(p.need().write, Write::Bytes { more: false });
    p.send(5);
    p.send(usize::MAX);
    assert_eq!(p.out, CONTINUE);
    unseen(&mut p, 10);
    p.serve();
    p.flush();
    assert!(p.answered("201"));
    assert_eq!(p.state(), State::Idle);
    // One that does not wait does not get it.
    let mut p = Peer::new();
    p.recv(&[EXPECT, b"0123456789"].concat());
    p.serve();
    p.flush();
    assert!(p.out.starts_with(b"HTTP/1.1 201"));
}

#[test]
fn a_body_that_cannot_be_kept_is_answered_at_once_and_a_small_rest_read_off() {
    let mut p = storing(&put(50_000));
    unseen(&mut p, 20_000);
    p.conclude(Status::INSUFFICIENT_STORAGE);
    assert_eq!(p.state(), State::Respond);
    assert_eq!(p.need().read, Read::Discard(30_000));
    p.flush();
    assert!(p.answered("507"));
    assert_eq!(
        (p.state(), p.need().read),
        (State::Rest, Read::Discard(30_000))
    );
    p.discard(30_000);
    assert_eq!(p.state(), State::Idle);
}

#[test]
fn a_large_rest_ends_the_connection_in_a_goodbye() {
    let mut p = Peer::new();
    p.most = 1 << 40;
    p.recv(&put(5_000_000));
    p.serve();
    unseen(&mut p, 1_000_000);
    p.conclude(Status::INSUFFICIENT_STORAGE);
    p.flush();
    assert!(p.answered("507"));
    p.shut();
    assert_eq!(p.need().read, Read::Discard(4_000_000 + 64 * 1024));
    // What stands in the input and was not kept belongs to the rest.
    let mut p = Peer::new();
    p.recv(&[&put(70_000)[..], b"abc"].concat());
    p.answer();
    assert_eq!(p.need().act, Act::Store);
    p.conclude(Status::INSUFFICIENT_STORAGE);
    p.flush();
    p.shut();
    assert_eq!(p.need().read, Read::Discard(70_000 - 3 + 64 * 1024));
}

#[test]
fn without_a_buffer_to_say_so_in_it_is_refused_later() {
    let mut p = storing(&put(50_000));
    unseen(&mut p, 20_000);
    p.on(|c, _, turn| c.refuse_store(Reject::StorageFull, turn));
    assert_eq!(p.need().act, Act::Refuse(Reject::StorageFull));
    assert_eq!(p.need().read, Read::Nothing);
    p.serve();
    p.flush();
    assert!(p.answered("507"));
    p.shut();
    assert_eq!(p.need().read, Read::Discard(30_000 + 64 * 1024));
}

#[test]
fn it_is_refused_once_and_for_no_longer_than_a_response_takes() {
    let mut p = storing(&put(50_000));
    p.on(|c, _, turn| c.refuse_store(Reject::StorageFull, turn));
    p.on(|c, _, turn| c.refuse_store(Reject::Internal, turn));
    assert_eq!(p.need().act, Act::Refuse(Reject::StorageFull));
    p.fin();
    assert_eq!(p.need().act, Act::Refuse(Reject::StorageFull));
    // No buffer comes in which it could be told.
    p.pass(p.limits.write_ms - 1);
    assert_eq!(p.need().act, Act::Refuse(Reject::StorageFull));
    p.pass(1);
    p.assert_over(CloseReason::TimeoutWrite, How::Reset);

    let mut p = Peer::new();
    p.on(|c, _, turn| c.refuse_store(Reject::StorageFull, turn));
    assert_eq!(p.need().act, Act::None, "only what is kept is refused");
}

#[test]
fn no_more_is_read_while_content_waits_to_be_kept() {
    let mut p = Peer::new();
    p.recv(&[CHUNKED, b"3\r\nabc\r\n"].concat());
    p.answer();
    assert_eq!((p.need().act, p.need().read), (Act::Store, Read::Nothing));
    p.serve();
    assert_eq!((p.need().act, p.need().read), (Act::None, Read::Into));
}

#[test]
fn a_fin_in_the_middle_ends_it_and_one_behind_the_body_does_not() {
    let mut p = storing(PUT);
    unseen(&mut p, 9);
    p.fin();
    p.assert_over(CloseReason::PeerFin, How::Plain);
    let mut p = storing(PUT);
    unseen(&mut p, 10);
    assert_eq!(p.need().act, Act::Conclude);
    p.fin();
    assert_eq!(p.need().act, Act::Conclude);
    p.serve();
    p.flush();
    assert!(p.answered("201"));
}

#[test]
fn it_has_a_minimum_rate_and_a_total_of_its_own() {
    let mut p = storing(&put(90_000));
    p.pass(p.limits.body_window_ms);
    assert_eq!(p.need().act, Act::Refuse(Reject::LateBody));
    p.serve();
    p.flush();
    assert!(p.answered("408"));

    let mut p = Peer::new();
    p.limits.body_window_ms = 60_000;
    p.most = u64::MAX;
    p.recv(b"PUT /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    p.serve();
    let begun = p.now;
    while p.need().act == Act::None {
        unseen(&mut p, 1024);
        p.pass(p.limits.body_window_ms);
        assert!(p.now - begun <= u64::from(p.limits.upload_ms));
    }
    assert!(
        p.now - begun > u64::from(p.limits.body_ms),
        "longer than a body that is not kept"
    );
    assert_eq!(p.need().act, Act::Refuse(Reject::LateBody));
}

#[test]
fn who_has_sent_all_is_not_late_and_does_not_wait_for_ever() {
    let mut p = storing(PUT);
    unseen(&mut p, 10);
    p.pass(p.limits.body_ms - 1);
    assert_eq!(p.need().act, Act::Conclude);
    p.on(|c, _, turn| c.give_way(turn));
    assert_eq!(p.need().act, Act::Conclude, "nor does it give way");
    p.pass(1);
    assert_eq!(p.need().act, Act::Refuse(Reject::Internal));
}

#[test]
fn its_answer_says_what_the_request_asked_of_the_connection() {
    for (head, keep) in [
        ("PUT /keep HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", None),
        (
            "PUT /keep HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
            Some("keep-alive"),
        ),
        (
            "PUT /keep HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
            None,
        ),
    ] {
        let mut p = storing_all(head);
        p.flush();
        let text = String::from_utf8_lossy(&p.out).into_owned();
        let says = keep.unwrap_or("close");
        assert!(text.contains(&format!("Connection: {says}\r\n")), "{text}");
        let over = if keep.is_some() {
            State::Idle
        } else {
            State::Linger
        };
        assert_eq!(p.state(), over, "{head}");
    }
}

fn storing_all(request: &str) -> Peer {
    let mut p = Peer::new();
    p.recv(request.as_bytes());
    p.serve();
    assert!(p.answers == 1, "{:?}", p.c);
    p
}

#[test]
fn what_changes_something_waits_until_all_before_it_has_left() {
    let mut p = Peer::new();
    p.file = 5;
    let delete = b"DELETE /no HTTP/1.1\r\nHost: a\r\n\r\n";
    p.recv(&[GET, delete].concat());
    p.answer();
    assert_eq!(p.need().act, Act::Answer);
    p.answer();
    assert_eq!((p.answers, p.need().act), (1, Act::None), "it waits");
    p.flush();
    p.serve();
    assert_eq!(p.answers, 2);
}
