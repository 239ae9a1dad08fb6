//! Heads as they are read: what the scan lets through, and what a request says in the end.

use super::super::body::Body;
use super::super::head::{self, Found, Request, Scan};
use super::*;

/// Reads a head that has come whole.
fn parsed<T>(head: &[u8], look: impl FnOnce(Result<Request<'_>, Reject>) -> T) -> T {
    let mut fields = [NO_FIELD; FIELDS_MAX];
    look(head::parse(head, &mut fields, &Limits::new()))
}

#[test]
fn every_method_is_known_by_its_name() {
    for (name, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("OPTIONS", Method::Options),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("DELETE", Method::Delete),
        ("PATCH", Method::Patch),
        ("TRACE", Method::Trace),
        ("CONNECT", Method::Connect),
        ("BREW", Method::Other),
        ("get", Method::Other),
    ] {
        let target = if name == "CONNECT" { "a:80" } else { "/" };
        let head = format!("{name} {target} HTTP/1.1\r\nHost: a:80\r\n\r\n");
        let read = parsed(head.as_bytes(), |request| request.unwrap().method);
        assert_eq!(read, method, "{name}");
        if method != Method::Other {
            assert_eq!(method.name(), name);
        }
    }
}

#[test]
fn what_is_no_method_is_refused_without_the_scan_too() {
    for name in ["", "G(T", "G\u{7f}T"] {
        let head = format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n");
        let read = parsed(head.as_bytes(), |request| request.err());
        assert_eq!(read, Some(Reject::BadRequestLine), "{name:?}");
    }
}

#[test]
fn a_query_begins_behind_the_first_question_mark() {
    let path = |path, query| Target::Path { path, query };
    for (target, expected) in [
        ("/ab", path(&b"/ab"[..], None)),
        ("/ab?", path(b"/ab", Some(&b""[..]))),
        ("/ab?c=d?e", path(b"/ab", Some(b"c=d?e"))),
        ("/?c", path(b"/", Some(b"c"))),
        ("http://a/ab?c", path(b"/ab", Some(b"c"))),
        ("http://a?c", path(b"/", Some(b"c"))),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        parsed(head.as_bytes(), |request| {
            assert_eq!(request.unwrap().target, expected, "{target}");
        });
    }
}

#[test]
fn a_field_is_found_by_its_name_without_case() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-Two: 2\r\nx-one: 3\r\n\r\n";
    parsed(head, |request| {
        let request = request.unwrap();
        assert_eq!(request.value("x-two"), Some(&b"2"[..]));
        assert_eq!(request.value("X-Three"), None);
        let all: Vec<&[u8]> = request.values("X-ONE").collect();
        assert_eq!(all, [&b"1"[..], b"3"]);
    });
}

/// What the scan says to bytes whose end has not come.
fn scanned(bytes: &[u8]) -> Found {
    Scan::default().look(bytes, &Limits::new())
}

#[test]
fn a_line_that_is_no_field_is_refused_before_the_head_is_whole() {
    for line in ["Foo bar: x", ": x", " x: y", "Foo", "Foo\u{e9}: x"] {
        let bytes = format!("GET / HTTP/1.1\r\n{line}\r\n");
        assert_eq!(
            scanned(bytes.as_bytes()),
            Found::Bad(Reject::BadField),
            "{line}"
        );
    }
    assert_eq!(scanned(b"GET / HTTP/1.1\r\nF: x\r\n"), Found::More);
}

#[test]
fn a_line_ends_at_its_end_wherever_that_stands_in_a_word() {
    for (length, byte) in (1..20).flat_map(|length| (0..=255).map(move |byte| (length, byte))) {
        for at in 0..length {
            let mut value = vec![b'x'; length];
            value[at] = byte;
            let head = [b"GET / HTTP/1.1\r\nF:", value.as_slice(), b"\r\n\r\n"].concat();
            let expected = match byte {
                b'\r' | b'\n' | 0 => Found::Bad(Reject::BadField),
                _ => Found::Whole(u16::try_from(head.len()).unwrap()),
            };
            assert_eq!(scanned(&head), expected, "{byte} at {at} of {length}");
        }
    }
}

#[test]
fn a_request_line_has_three_words_however_long_they_are() {
    for length in 1..20 {
        let target = "/".repeat(length);
        for (line, is_one) in [
            (format!("GET {target} HTTP/1.1"), true),
            (format!("GET {target}"), false),
            (format!("GET {target} HTTP/1.1 "), false),
            (format!("GET {target} {target} HTTP/1.1"), false),
            (target.clone(), false),
        ] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            let found = scanned(head.as_bytes());
            assert_eq!(
                matches!(found, Found::Whole(_)),
                is_one,
                "{line}: {found:?}"
            );
            let refused = parsed(head.as_bytes(), |read| read.err());
            assert_eq!(refused.is_none(), is_one, "{line}: {refused:?}");
        }
    }
}

#[test]
fn blank_is_what_begins_with_blank_lines_and_nothing_else() {
    for (bytes, blank) in [
        (&b""[..], false),
        (b"\r\n", true),
        (b"\r\n\r\n", true),
        (b"\r\nG", false),
        (b"G", false),
        (b"GET / HTTP/1.1\r\n", false),
    ] {
        let mut scan = Scan::default();
        assert_eq!(scan.look(bytes, &Limits::new()), Found::More);
        assert_eq!(scan.is_blank(), blank, "{bytes:?}");
    }
}

#[test]
fn a_size_line_begins_with_its_size() {
    for line in [&b" ;x\r\n\r\n"[..], b"\t;x\r\n\r\n", b" 0\r\n\r\n"] {
        let mut body = Body::Chunked(super::super::body::Chunked::new());
        assert_eq!(body.piece(line).err(), Some(Reject::BadChunk), "{line:?}");
    }
}

#[test]
fn a_trailer_section_has_its_bound_to_the_byte() {
    let bound = usize::from(super::super::limits::TRAILER_BYTES);
    for (bytes, fits) in [(bound, true), (bound + 1, false)] {
        // The name, the colon and the line end count as well.
        let value = "x".repeat(bytes - "a:\r\n".len());
        let text = format!("0\r\na:{value}\r\n\r\n");
        let mut body = Body::Chunked(super::super::body::Chunked::new());
        let read = body.piece(text.as_bytes()).map(|piece| piece.end);
        let expected = if fits {
            Ok(true)
        } else {
            Err(Reject::HeadTooLarge)
        };
        assert_eq!(read, expected, "{bytes}");
    }
}
