//! Heads of scripts, good and bad.

use super::*;

/// What the head came to, and the reply.
fn read(said: &[u8], ended: bool) -> (Said<'_>, String) {
    let mut buffer = [0; 4096];
    let mut reply = Reply::new(&mut buffer);
    let result = Output::default().look(said, ROOM_MIN, ended, &mut reply);
    let len = reply.len();
    let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
    (result, text)
}

/// A head of which everything is known: the reply, the length, the local path.
fn whole(said: &[u8], ended: bool) -> (String, Option<u64>, Option<String>) {
    let (result, reply) = read(said, ended);
    let Said::Whole(answer) = result else {
        panic!("{result:?}: {:?}", String::from_utf8_lossy(said));
    };
    let local = answer
        .local
        .map(|path| String::from_utf8_lossy(path).into_owned());
    (reply, answer.content_bytes, local)
}

/// Heads, and what they become: the reply, the length, the local path.
const HEADS: &[(&str, &str, Option<u64>, Option<&str>)] = &[
    (
        "Content-Type: text/plain\n\n",
        "200 OK\r\nContent-Type: text/plain\r\n",
        None,
        None,
    ),
    (
        "content-type:text/plain\r\n\r\nhello",
        "200 OK\r\ncontent-type: text/plain\r\n",
        None,
        None,
    ),
    (
        "Status: 404 Nope\nContent-Type: text/plain\n\n",
        "404 Not Found\r\nContent-Type: text/plain\r\n",
        None,
        None,
    ),
    (
        "Status: 299\nContent-Type: text/plain\n\n",
        "299 Unknown\r\nContent-Type: text/plain\r\n",
        None,
        None,
    ),
    ("Status: 404\n\n", "404 Not Found\r\n", Some(0), None),
    (
        "Status: 204 No Content\nX: 1\n\n",
        "204 No Content\r\nX: 1\r\n",
        Some(0),
        None,
    ),
    (
        "Status: 304\nContent-Length: 5\n\n",
        "304 Not Modified\r\n",
        Some(0),
        None,
    ),
    ("Content-Length: 0\n\n", "200 OK\r\n", Some(0), None),
    (
        "Content-Type: text/plain\nContent-Length: 5\nContent-Length:5 \n\n",
        "200 OK\r\nContent-Type: text/plain\r\n",
        Some(5),
        None,
    ),
    (
        "Content-Length: 18446744073709551615\nContent-Type: text/plain\n\n",
        "200 OK\r\nContent-Type: text/plain\r\n",
        Some(u64::MAX),
        None,
    ),
    (
        "Location: /other?x=1\n\n",
        "302 Found\r\nLocation: /other?x=1\r\n",
        Some(0),
        Some("/other?x=1"),
    ),
    (
        "Location: /login\nSet-Cookie: a=1\nSet-Cookie: b=2\n\n",
        "302 Found\r\nLocation: /login\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
        Some(0),
        None,
    ),
    (
        "Location: /login\nStatus: 303\n\n",
        "303 See Other\r\nLocation: /login\r\n",
        Some(0),
        None,
    ),
    (
        "Location: //other.example/\n\n",
        "302 Found\r\nLocation: //other.example/\r\n",
        Some(0),
        None,
    ),
    (
        "Location: /a#b\n\n",
        "302 Found\r\nLocation: /a#b\r\n",
        Some(0),
        None,
    ),
    (
        "Location: http://x.example/\n\n",
        "302 Found\r\nLocation: http://x.example/\r\n",
        Some(0),
        None,
    ),
    (
        "Status: 301 Moved\nLocation: mailto:a@b\nContent-Type: text/plain\n\nmoved",
        "301 Moved Permanently\r\nLocation: mailto:a@b\r\nContent-Type: text/plain\r\n",
        None,
        None,
    ),
    (
        "Status: 201\nLocation: /new\nContent-Type: text/plain\n\n",
        "201 Created\r\nLocation: /new\r\nContent-Type: text/plain\r\n",
        None,
        None,
    ),
    (
        "X: \u{e9}\t.\nContent-Type: text/plain\n\n",
        "200 OK\r\nX: \u{e9}\t.\r\nContent-Type: text/plain\r\n",
        None,
        None,
    ),
    (
        "X:\nContent-Type: text/plain\n\n",
        "200 OK\r\nX: \r\nContent-Type: text/plain\r\n",
        None,
        None,
    ),
];

#[test]
fn documents_and_redirects_are_told_apart() {
    for &(said, reply, length, local) in HEADS {
        let found = whole(said.as_bytes(), true);
        let reply = format!("HTTP/1.1 {reply}");
        assert_eq!(found, (reply, length, local.map(str::to_owned)), "{said:?}");
    }
}

#[test]
fn what_is_the_servers_matter_is_left_out() {
    let said =
        b"Date: yesterday\nConnection: keep-alive, X\nKeep-Alive: 5\nproxy-Authenticate: x\n\
        Proxy-Connection: x\nTE: x\nTrailer: x\nUpgrade: h2c\nTransfer-Encoding: identity\n\
        X-CGI-Secret: x\nHTTP2-Settings: x\nStatus: 200 OK\nContent-Length: 3\nServer: mine\n\
        Content-Type: a/b\n\nabc";
    let (reply, length, _) = whole(said, false);
    assert_eq!(
        reply,
        "HTTP/1.1 200 OK\r\nServer: mine\r\nContent-Type: a/b\r\n"
    );
    assert_eq!(length, Some(3));
}

#[test]
fn malformed_heads_have_a_reason() {
    use Malformed as M;
    let kind = "Content-Type: a/b\n";
    for (said, why) in [
        ("\n", M::Empty),
        ("\r\n\r\n", M::Empty),
        ("hello\n\n", M::Line),
        (": x\n\n", M::Line),
        ("A b: x\n\n", M::Line),
        ("A : x\n\n", M::Line),
        ("\u{e9}: x\n\n", M::Line),
        ("A\0: x\n\n", M::Line),
        ("<html>\n\n", M::Line),
        ("A: x\n folded\n\n", M::Folded),
        ("\tA: x\n\n", M::Folded),
        ("HTTP/1.1 200 OK\nContent-Type: a/b\n\n", M::StatusLine),
        ("http/1.0: 200\n\n", M::StatusLine),
        ("A: x\ry\n\n", M::Value),
        ("A: x\0\n\n", M::Value),
        ("A: x\u{7f}\n\n", M::Value),
        ("A: \u{1b}[2J\n\n", M::Value),
        ("Status: 100 Continue\n\n", M::Status),
        ("Status: 101\n\n", M::Status),
        ("Status: 600\n\n", M::Status),
        ("Status: 20\n\n", M::Status),
        ("Status: 2000\n\n", M::Status),
        ("Status: +20\n\n", M::Status),
        ("Status: OK\n\n", M::Status),
        ("Status: HTTP/1.1 200\n\n", M::Status),
        ("Status:\n\n", M::Status),
        ("Status: 200\nStatus: 200\n\n", M::Status),
        ("Content-Length: -1\n\n", M::Length),
        ("Content-Length: +1\n\n", M::Length),
        ("Content-Length: 1, 1\n\n", M::Length),
        ("Content-Length:\n\n", M::Length),
        ("Content-Length: 0x1\n\n", M::Length),
        ("Content-Length: 18446744073709551616\n\n", M::Length),
        ("Content-Length: 1\nContent-Length: 2\n\n", M::Length),
        ("Transfer-Encoding: chunked\n\n", M::Coding),
        ("Content-Type: a/b\nContent-Type: a/b\n\n", M::Type),
        ("Content-Type: \n\n", M::Type),
        ("Status: 404\n\nnot found", M::Type),
        ("Set-Cookie: a=b\n\n<html>", M::Type),
        ("Location: http://x/\n\nmoved", M::Type),
        ("Location: other\n\n", M::Location),
        ("Location: ?x\n\n", M::Location),
        ("Location: http:\n\n", M::Location),
        ("Location: 1http://x/\n\n", M::Location),
        ("Location: /a b\n\n", M::Location),
        ("Location: /\u{e9}\n\n", M::Location),
        ("Location:\n\n", M::Location),
        ("Location: /a\nLocation: /a\n\n", M::Location),
        (kind, M::Cut),
        ("", M::Cut),
        ("Content-Type: a/b\n\r", M::Cut),
    ] {
        assert_eq!(
            read(said.as_bytes(), true).0,
            Said::Malformed(why),
            "{said:?}"
        );
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_the_same() {
    for said in [
        &b"Content-Type: a/b\nX: 1\r\n\r\ncontent\n\n"[..],
        b"Content-Type: a/b\r\n\n\n",
        b"Status: 204\n\r\n",
        b"Location: /x\n\n",
    ] {
        let at_once = whole(said, false);
        let mut output = Output::default();
        let mut buffer = [0; 4096];
        let mut found = None;
        for end in 0..=said.len() {
            let mut reply = Reply::new(&mut buffer);
            match output.look(&said[..end], ROOM_MIN, false, &mut reply) {
                Said::More => assert!(reply.is_empty()),
                Said::Whole(answer) => {
                    assert!(answer.head_bytes <= end);
                    found = Some((answer.content_bytes, reply.len(), answer.head_bytes));
                    break;
                }
                Said::Malformed(why) => panic!("{why:?}"),
            }
        }
        let (length, reply_bytes, head_bytes) = found.unwrap();
        assert_eq!((length, reply_bytes), (at_once.1, at_once.0.len()));
        let (whole, _) = read(said, false);
        assert!(matches!(whole, Said::Whole(answer) if answer.head_bytes == head_bytes));
    }
}

#[test]
fn whether_there_is_content_without_a_type_shows_later() {
    let head = b"Status: 403 Forbidden\n\n";
    assert_eq!(read(head, false).0, Said::More);
    assert_eq!(whole(head, true).1, Some(0));
    let mut output = Output::default();
    let mut buffer = [0; 100];
    for (ended, expected) in [(false, None), (false, None), (true, Some(head.len()))] {
        let mut reply = Reply::new(&mut buffer);
        let found = match output.look(head, ROOM_MIN, ended, &mut reply) {
            Said::Whole(answer) => Some(answer.head_bytes),
            Said::More | Said::Malformed(_) => None,
        };
        assert_eq!(found, expected);
    }
    let more = [&head[..], b"x"].concat();
    assert_eq!(read(&more, false).0, Said::Malformed(Malformed::Type));
}

#[test]
fn what_does_not_fit_is_no_head() {
    let long = vec![b'x'; ROOM_MIN];
    assert_eq!(read(&long[1..], false).0, Said::More);
    assert_eq!(read(&long, false).0, Said::Malformed(Malformed::TooLong));
    let mut small = [0; 40];
    let mut reply = Reply::new(&mut small);
    let said = b"Content-Type: text/plain; charset=utf-8\n\n";
    let result = Output::default().look(said, ROOM_MIN, false, &mut reply);
    assert_eq!(result, Said::Malformed(Malformed::TooLong));
}

#[test]
fn no_mutilated_head_panics_or_splits_a_reply() {
    let seeds: [&[u8]; 4] = [
        b"Status: 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\nhello world!",
        b"Location: http://example.com/a?b\nSet-Cookie: a=b; Path=/\n\n",
        b"Location: /x\n\n",
        b"X-A: 1\nTransfer-Encoding: identity\nContent-Type: a/b\n\n",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let odd = b"\0\r\n\t :/,;\x7f\xff0HS";
    for round in 0..60_000 {
        let mut said = seeds[round % seeds.len()].to_vec();
        for _ in 0..=next() % 4 {
            let at = next() % said.len();
            let byte = odd[next() % odd.len()];
            match next() % 4 {
                0 => said[at] = byte,
                1 => said.insert(at, byte),
                2 => said.truncate(at.max(1)),
                _ => said[at] ^= 1 << (next() % 8),
            }
        }
        let (result, reply) = read(&said, round % 2 == 0);
        if let Said::Whole(answer) = result {
            assert!(answer.head_bytes <= said.len());
            let lines = reply.matches("\r\n").count();
            assert_eq!(reply.matches(['\r', '\n']).count(), lines * 2);
            let lower = reply.to_ascii_lowercase();
            for name in [
                "\ncontent-length:",
                "\ntransfer-encoding:",
                "\nconnection:",
                "\ndate:",
            ] {
                assert!(!lower.contains(name), "{reply}");
            }
        }
    }
}
