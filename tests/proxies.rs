//! Clients behind a trusted proxy, on real sockets: who is believed, under whom connections count,
//! and how those end that do not begin as they must.
//!
//! Nothing shows directly whom the server takes for its client; the share of connections does. A
//! request is in progress for certain while a large file is read no further than its head.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::connection::state::Teardown;
use adieu::reactor::teardown::BUILT;
use common::http::{only, read_answer};
use common::root::Root;
use common::server::{Server, Stopped};
use common::{End, PATIENCE, hear};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

const LINGERS: bool = matches!(BUILT, Teardown::Linger);
/// More than the kernel holds between the two ends.
const LARGE_BYTES: u64 = 64 << 20;
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_LARGE: &str = "GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n";
/// Version 1, for 192.0.2.1.
const FIRST: &str = "PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n";
/// Version 2, for 192.0.2.1.
const FIRST_BINARY: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\x12\x67\0\x50";
/// Version 2, of the proxy itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn root() -> Root {
    let root = Root::new();
    root.sparse("large.bin", LARGE_BYTES);
    root
}

/// Says `bytes` and reads the head of the answer: what was asked for is in progress now.
fn begins<S: Read + Write>(mut stream: S, bytes: &[u8]) -> S {
    stream.write_all(bytes).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 200 "),
        "{}",
        head.escape_ascii()
    );
    stream
}

/// Reads the rest of the large file.
fn ends(stream: &mut impl Read) {
    let body = std::io::copy(&mut stream.take(LARGE_BYTES), &mut std::io::sink());
    assert_eq!(body.unwrap(), LARGE_BYTES);
}

/// What comes back for `bytes`, and whether the connection is kept.
fn asked(stream: &mut (impl Read + Write), bytes: &[u8]) -> (u16, bool) {
    stream.write_all(bytes).unwrap();
    let answer = read_answer(stream, false);
    (answer.status, !answer.closes())
}

/// The connection is closed without a word.
fn is_turned_away(mut stream: impl Read + Write, bytes: &[u8]) {
    // Its end may come before the last byte is said.
    if let Err(error) = stream.write_all(bytes) {
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
        return;
    }
    let heard = hear(&mut stream);
    assert_eq!(heard.bytes, b"");
    assert_ne!(heard.end, End::Silence);
}

fn request(path: &str, field: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n").into_bytes()
}

fn after(preface: &[u8], request: &str) -> Vec<u8> {
    [preface, request.as_bytes()].concat()
}

#[test]
fn clients_named_by_a_field_have_each_their_share() {
    let other = "X-Forwarded-For: 192.0.2.9\r\n"; // not what is believed
    for (speaks, first, second) in [
        (
            "x-forwarded-for",
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-For: 192.0.2.2",
        ),
        (
            "forwarded",
            "Forwarded: for=192.0.2.1",
            r#"Forwarded: for="[2001:db8::1]:4711""#,
        ),
    ] {
        let root = root();
        let speaks = format!("proxy.speaks={speaks}");
        let keys = [
            "proxy.trusted=127.0.0.1",
            &speaks,
            "limits.connections_per_address=2",
        ];
        let server = Server::start(root.path(), &keys);
        let large = |field: &str| begins(server.connect(), &request("/large.bin", field));
        let mut one = large(first);
        let two = match first.starts_with('F') {
            true => large(&format!("{other}{first}")),
            false => large(&format!("X-Forwarded-For: 192.0.2.7, {}", &first[17..])),
        };
        // The third of the same client is refused, but the connection is the proxy's and stays.
        let mut shared = server.connect();
        assert_eq!(asked(&mut shared, &request("/", first)), (429, true));
        assert_eq!(asked(&mut shared, &request("/", second)), (200, true));
        assert_eq!(asked(&mut shared, &request("/", first)), (429, true));
        ends(&mut one);
        assert_eq!(asked(&mut shared, &request("/", first)), (200, true));
        drop((one, two, shared));
        server.comes_home();
        let stopped = server.stop();
        assert_eq!(stopped.counter("refused-address"), 0);
    }
}

#[test]
fn a_proxy_has_no_share_of_its_own() {
    let root = root();
    let keys = [
        "proxy.trusted=127.0.0.0/8",
        "limits.connections_per_address=1",
    ];
    let server = Server::start(root.path(), &keys);
    let silent = [(); 3].map(|()| server.connect());
    let all = [(); 3].map(|()| begins(server.connect(), GET_LARGE.as_bytes()));
    server.serves_a_good_client();
    drop((silent, all));
    server.comes_home();
    assert_eq!(server.stop().counter("refused-address"), 0);
}

#[test]
fn a_stranger_is_not_believed() {
    let root = root();
    for speaks in ["x-forwarded-for", "forwarded"] {
        let speaks = format!("proxy.speaks={speaks}");
        let keys = [
            "proxy.trusted=127.0.0.2",
            &speaks,
            "limits.connections_per_address=2",
        ];
        let server = Server::start(root.path(), &keys);
        let claims = |n: u8| format!("X-Forwarded-For: 192.0.2.{n}\r\nForwarded: for=192.0.2.{n}");
        let large = |n| begins(server.connect(), &request("/large.bin", &claims(n)));
        let both = [large(1), large(2)];
        is_turned_away(server.connect(), &request("/", &claims(3)));
        drop(both);
        server.comes_home();
        assert_eq!(server.stop().counter("refused-address"), 1);
    }
}

#[test]
fn with_the_proxy_protocol_a_stranger_speaks_plain_http() {
    let root = root();
    let keys = ["proxy.trusted=127.0.0.2", "proxy.speaks=proxy-protocol"];
    let server = Server::start(root.path(), &keys);
    server.serves_a_good_client();
    let mut stream = server.connect();
    assert_eq!(
        asked(&mut stream, &after(FIRST.as_bytes(), GET)),
        (400, false)
    );
    drop(stream);
    server.comes_home();
    let stopped = server.stop();
    assert_eq!(stopped.counter("reject.bad-preface"), 0);
}

/// Connections of one client through a proxy whose connections `connect` makes.
fn shares<S: Read + Write>(server: Server, connect: impl Fn() -> S) -> Stopped {
    let one = begins(connect(), &after(FIRST.as_bytes(), GET_LARGE));
    let mut two = begins(connect(), &after(FIRST_BINARY, GET_LARGE));
    // Its share is spent: the next is closed as it would be if the client came by itself.
    is_turned_away(connect(), &after(FIRST.as_bytes(), GET));
    // Others have theirs, and the proxy, for itself, has none.
    for preface in [
        "PROXY TCP4 192.0.2.2 127.0.0.1 1 80\r\n",
        "PROXY UNKNOWN\r\n",
    ] {
        let mut stream = connect();
        assert_eq!(
            asked(&mut stream, &after(preface.as_bytes(), GET)),
            (200, true)
        );
    }
    let itself = [(); 3].map(|()| begins(connect(), &after(LOCAL, GET_LARGE)));
    // An answered one of the same client makes room for its next.
    ends(&mut two);
    let mut three = connect();
    assert_eq!(asked(&mut three, &after(FIRST_BINARY, GET)), (200, true));
    assert_ne!(hear(&mut two).end, End::Silence, "evicted");
    assert_eq!(asked(&mut three, GET.as_bytes()), (200, true));
    drop((one, two, three, itself));
    server.comes_home();
    let stopped = server.stop();
    assert_eq!(stopped.counter("refused-address"), 1);
    assert_eq!(stopped.counter("close.share-spent"), 1);
    assert_eq!(stopped.counter("evicted.idle"), 1);
    stopped
}

#[test]
fn clients_named_by_a_preface_have_each_their_share() {
    let root = root();
    let keys = [
        "proxy.trusted=127.0.0.0/8",
        "proxy.speaks=proxy-protocol",
        "limits.connections_per_address=2",
    ];
    let server = Server::start(root.path(), &keys);
    let address = server.address.unwrap();
    shares(server, || {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    });
}

#[test]
fn a_proxy_on_a_unix_socket_is_believed_like_another() {
    let root = root();
    let path = root.path().join("adieu.sock");
    let listen = format!("unix:{}", path.display());
    let keys = [
        "proxy.trusted=unix",
        "proxy.speaks=proxy-protocol",
        "limits.connections_per_address=2",
    ];
    let server = Server::on(&listen, root.path(), &keys);
    shares(server, || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    });
}

#[test]
fn a_preface_may_come_in_pieces() {
    let root = root();
    let keys = [
        "proxy.trusted=127.0.0.1",
        "proxy.speaks=proxy-protocol",
        "limits.connections_per_address=1",
    ];
    let server = Server::start(root.path(), &keys);
    for preface in [FIRST.as_bytes(), FIRST_BINARY] {
        let whole = after(preface, GET_LARGE);
        let mut stream = server.connect();
        let (last, front) = whole.split_last().unwrap();
        for byte in front {
            stream.write_all(&[*byte]).unwrap();
        }
        let stream = begins(stream, &[*last]);
        is_turned_away(server.connect(), &after(preface, GET));
        drop(stream);
        server.comes_home();
    }
    assert_eq!(server.stop().counter("close.share-spent"), 2);
}

#[test]
fn a_bad_preface_is_answered_and_nobodys_send_fails() {
    const TRIES: u64 = 20;
    let root = root();
    let keys = [
        "proxy.trusted=127.0.0.1",
        "proxy.speaks=proxy-protocol",
        "linger.idle_ms=20s",
    ];
    let server = Server::start(root.path(), &keys);
    // More than the server reads at once: what is left unread is what a plain close resets for.
    let long = [GET.as_bytes(), &[b'x'; 256 * 1024]].concat();
    for _ in 0..TRIES {
        let mut stream = server.connect();
        let said = stream.write_all(&long);
        let heard = hear(&mut stream);
        if LINGERS {
            said.expect("the client's send never fails");
            assert_eq!(heard.end, End::Fin);
            let answer = only(&heard.bytes);
            assert_eq!((answer.status, answer.closes()), (400, true));
        }
    }
    server.comes_home();
    let stopped = server.stop();
    assert_eq!(stopped.counter("reject.bad-preface"), TRIES);
    let hints = stopped
        .lines
        .iter()
        .filter(|line| line.contains("set proxy.speaks"));
    assert_eq!(hints.count(), 1, "{:?}", stopped.lines);
}

#[test]
fn a_silent_proxy_is_waited_for_as_for_a_head() {
    let root = root();
    let keys = [
        "proxy.trusted=127.0.0.1",
        "proxy.speaks=proxy-protocol",
        "timeout.head_ms=300",
        "keepalive.idle_ms=1h",
    ];
    let server = Server::start(root.path(), &keys);
    // Half of it is half a head; nothing, or nothing behind it, is a client that never asked.
    for (says, status) in [
        (&b""[..], None),
        (FIRST.as_bytes(), None),
        (FIRST_BINARY, None),
        (b"PROXY TCP4 192.0", Some(408)),
        (&FIRST_BINARY[..20], Some(408)),
        (b"PROXY UNKNOWN\r\nGET / HT", Some(408)),
    ] {
        let mut stream = server.connect();
        stream.write_all(says).unwrap();
        let heard = hear(&mut stream);
        assert_eq!(heard.end, End::Fin);
        let found = (!heard.bytes.is_empty()).then(|| only(&heard.bytes).status);
        assert_eq!(found, status, "{}", says.escape_ascii());
    }
    server.comes_home();
    assert_eq!(server.stop().counter("reject.late-head"), 3);
}
