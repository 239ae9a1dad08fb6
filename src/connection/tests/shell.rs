//! What the shell asks a connection about its books, and what it may do out of turn.

use super::super::limits::REPLY_ROOM_BYTES;
use super::super::state::meaning;
use super::*;

#[test]
fn the_request_line_is_told_as_it_came() {
    for (bytes, line) in [
        (
            &b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            &b"GET /a?b HTTP/1.1"[..],
        ),
        (b"\r\n\r\nGET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0"),
    ] {
        let mut p = Peer::new();
        p.recv(bytes);
        let mut fields = [NO_FIELD; FIELDS_MAX];
        let request = p.c.request(&p.input, &mut fields, &p.limits).unwrap();
        assert_eq!(request.line, line);
    }
}

#[test]
fn the_size_of_an_answer_is_that_of_its_bytes() {
    for file in [5, 100_000] {
        let mut p = Peer::new();
        p.file = file;
        p.recv(GET);
        let mut fields = [NO_FIELD; FIELDS_MAX];
        let verdict =
            p.c.request(&p.input, &mut fields, &p.limits)
                .unwrap()
                .verdict;
        let turn = Turn {
            now: Ms(p.now),
            wall: None,
            limits: &p.limits,
            stopping: false,
        };
        let mut reply = p.c.reply(&mut p.output);
        reply.status(Status::OK);
        let taken =
            p.c.answered(&verdict, reply, Content::File(file), &p.input, &turn);
        let Taken::Yes { size, .. } = taken else {
            panic!("{taken:?}");
        };
        let head = u64::try_from(p.c.sendable(&p.output).len()).unwrap();
        assert_eq!((size.head_bytes, size.bytes), (head, head + file));
        assert_eq!(p.c.response_bytes_owed(), head + file);
        p.send(10);
        assert_eq!(p.c.response_bytes_owed(), head + file - 10);
    }
}

/// Offers the next request of `p` a file of this size.
fn offer(p: &mut Peer, file: u64) -> Taken {
    let mut fields = [NO_FIELD; FIELDS_MAX];
    let request = p.c.request(&p.input, &mut fields, &p.limits);
    let verdict = request.unwrap().verdict;
    let turn = Turn {
        now: Ms(p.now),
        wall: None,
        limits: &p.limits,
        stopping: false,
    };
    let mut reply = p.c.reply(&mut p.output);
    reply.status(Status::OK);
    p.c.answered(&verdict, reply, Content::File(file), &p.input, &turn)
}

#[test]
fn a_small_file_without_room_behind_others_waits_and_a_large_one_does_not() {
    for (bytes_less, waits) in [(1000, true), (0, false)] {
        let mut p = Peer::new();
        p.recv(&[GET, GET].concat());
        assert!(matches!(offer(&mut p, 2000), Taken::Yes { .. }));
        p.c.inlined(2000);
        let half = u64::try_from(p.output.len()).unwrap();
        // With its head it fits a half of its own, or none.
        let taken = offer(&mut p, half - bytes_less);
        assert_eq!(taken == Taken::Later, waits, "{taken:?}");
    }
}

#[test]
fn a_refusal_has_a_size_too_and_says_when_to_come_again() {
    let mut p = Peer::verifying(GET);
    p.pass(p.limits.verdict_ms);
    let Act::Refuse(reject) = p.need().act else {
        panic!("{:?}", p.c);
    };
    let mut output = std::mem::take(&mut p.output);
    let size = p
        .on(|c, _, turn| c.refuse(reject, &mut output, turn))
        .unwrap();
    p.output = output;
    let said = p.c.sendable(&p.output);
    assert_eq!(size.bytes, u64::try_from(said.len()).unwrap());
    assert!(said.starts_with(b"HTTP/1.1 503 "));
    let text = String::from_utf8_lossy(said);
    let (head, page) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(size.head_bytes, u64::try_from(head.len() + 4).unwrap());
    assert!(head.contains("\r\nRetry-After: "), "{head}");
    assert!(page.contains("503 Service Unavailable"));
    // Only who may do better then is told so.
    assert_eq!(Reject::BadHost.retry_after_s(), None);
}

#[test]
fn for_how_long_nothing_moved_is_counted_from_the_last_look() {
    let mut p = Peer::new();
    p.file = 100_000;
    p.recv(GET);
    p.serve();
    p.send(usize::MAX);
    p.tick();
    let unmoved = |p: &mut Peer| p.on(|c, _, turn| c.unmoved_ms(turn));
    assert_eq!(unmoved(&mut p), 0);
    p.pass(1500);
    assert_eq!(unmoved(&mut p), 1500);
    p.queues.unacknowledged -= 1;
    p.tick();
    assert_eq!(unmoved(&mut p), 0);

    let mut p = Peer::of_pieces(&[(5, 0)], true);
    p.recv(b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n");
    p.serve();
    p.flush();
    p.now += 1500;
    assert_eq!(
        (p.need().act, unmoved(&mut p)),
        (Act::Produce, 0),
        "we are late"
    );
}

#[test]
fn only_requests_are_held_when_the_file_flows_and_more_has_come() {
    let mut p = Peer::new();
    p.file = 100_000;
    p.recv(b"GET / HT");
    assert!(!p.c.holds_only_requests(), "it is not answered yet");
    p.recv(b"TP/1.1\r\nHost: a\r\n\r\n");
    p.serve();
    assert!(!p.c.holds_only_requests(), "an answer is held");
    p.send(usize::MAX);
    assert!(!p.c.holds_only_requests(), "nothing is held");

    let mut p = Peer::new();
    p.file = 100_000;
    p.recv(&[GET, b"GET / HT"].concat());
    p.serve();
    assert!(!p.c.holds_only_requests(), "an answer and a request");
    p.send(usize::MAX);
    assert!(p.c.holds_only_requests());
}

/// A shell that receives although it was not told to.
fn received_out_of_turn(p: &mut Peer, bytes: &[u8]) {
    let space = p.c.space(&mut p.input);
    space[..bytes.len()].copy_from_slice(bytes);
    let input = std::mem::take(&mut p.input);
    p.on(|c, _, turn| c.received(bytes.len(), &input, turn));
    p.input = input;
}

#[test]
fn a_request_that_is_read_beside_an_answer_is_served_behind_it() {
    let mut p = Peer::new();
    p.file = 100_000;
    p.recv(GET);
    p.serve();
    assert_eq!(p.need().read, Read::Nothing);
    received_out_of_turn(&mut p, GET);
    p.flush();
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (2, State::Idle));
    // Behind the last answer it is read off.
    let mut p = Peer::new();
    p.file = 100_000;
    p.recv(LAST);
    p.serve();
    received_out_of_turn(&mut p, GET);
    p.send(usize::MAX);
    assert!(!p.c.holds_bytes());
    assert_eq!(
        p.c.linger().discarded_bytes(),
        u64::try_from(GET.len()).unwrap()
    );
}

#[test]
fn nothing_received_begins_no_request() {
    let mut p = Peer::new();
    let until = p.until();
    p.now += 1;
    received_out_of_turn(&mut p, b"");
    assert_eq!((p.state(), p.until()), (State::Idle, until));
}

#[test]
fn answers_are_held_back_only_behind_those_that_are_not_sent() {
    let mut p = Peer::new();
    p.recv(&GET.repeat(2));
    assert!(!p.c.hold_answers());
    p.answer();
    assert_eq!(p.need().act, Act::Answer, "the next one joins");
    assert!(p.c.hold_answers());
    assert_eq!(p.need().act, Act::None);
    p.send(usize::MAX);
    assert_eq!(p.need().act, Act::Answer);
}

#[test]
fn a_request_that_begins_at_the_end_of_the_buffer_fits() {
    let mut p = Peer::new();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(4000)
    );
    let two = [long.as_bytes(), long.as_bytes()].concat();
    let half = p.input.len();
    assert!(two.len() < half && two.len() + long.len() > half);
    p.recv(&[&two[..], &long.as_bytes()[..100]].concat());
    p.serve();
    p.flush();
    p.recv(&long.as_bytes()[100..]);
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (3, State::Idle));
}

#[test]
fn a_fin_behind_a_preface_ends_it_when_the_preface_is_taken() {
    let mut p = Peer::new();
    p.c = p.c.clone().with_preface();
    p.recv(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n");
    assert_eq!(p.need().act, Act::Introduce);
    p.fin();
    assert_eq!(p.need().act, Act::Introduce);
    let input = p.input.clone();
    p.on(|c, _, turn| c.introduce(&input, turn)).unwrap();
    p.assert_over(CloseReason::PeerFin, How::Plain);
}

#[test]
fn a_status_that_only_scripts_answer_has_its_phrase() {
    for code in [
        203, 300, 402, 406, 407, 410, 415, 422, 423, 424, 426, 428, 451, 511,
    ] {
        let phrase = Status::of(code).unwrap().phrase();
        assert!(phrase != "Unknown" && phrase.len() > 3, "{code} {phrase}");
    }
    assert_eq!(
        Status::of(451).unwrap().phrase(),
        "Unavailable For Legal Reasons"
    );
    assert_eq!(Status::of(299).unwrap().phrase(), "Unknown");
    assert_eq!(Status::of(199), None);
    assert_eq!(Status::of(600), None);
}

#[test]
fn a_status_line_has_number_and_phrase() {
    for code in 200..=599 {
        let status = Status::of(code).unwrap();
        let mut room = [0; 64];
        let mut reply = Reply::new(&mut room);
        reply.status(status);
        let bytes = reply.len();
        let line = format!("HTTP/1.1 {code} {}\r\n", status.phrase());
        assert_eq!(room[..bytes], *line.as_bytes());
    }
}

#[test]
fn every_state_means_something_of_its_own() {
    let mut all: Vec<&str> = State::ALL.map(meaning).to_vec();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), State::ALL.len());
}

#[test]
fn two_limits_contradict_each_other_from_one_on() {
    let mut limits = Limits::new();
    assert_eq!(limits.contradiction(8192), None);
    limits.linger_idle_ms = limits.linger_total_ms;
    assert_eq!(limits.contradiction(8192), None);
    limits.linger_idle_ms += 1;
    let said = limits.contradiction(8192).unwrap();
    assert!(said.contains("linger.idle_ms"), "{said}");

    let limits = Limits::new();
    let least = usize::from(limits.target_bytes) + REPLY_ROOM_BYTES;
    assert_eq!(limits.contradiction(least), None);
    let said = limits.contradiction(least - 1).unwrap();
    assert!(said.contains("limits.target_bytes"), "{said}");
}

#[test]
fn a_reply_is_empty_until_its_status_is_named() {
    let mut output = [0; 100];
    let mut reply = Reply::new(&mut output);
    assert!(reply.is_empty());
    reply.status(Status::OK);
    assert!(!reply.is_empty());
}
