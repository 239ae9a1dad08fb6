//! Every answer arrives whole and every goodbye ends: on real sockets, seen from the client.
//!
//! On Linux a client can still read what arrived before a reset, so that the answer is readable
//! proves little. Each goodbye must show four things: the whole answer, no error from the client's
//! send, no reset, and a FIN as the end. In the flavours without lingering close the loss they are
//! documented to have is shown, and that nothing worse happens.
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
use adieu::sys::socket;
use common::http::{answers, only, read_answer};
use common::outside::{Tcp, sockets};
use common::root::Root;
use common::server::Server;
use common::{End, Heard, eventually, hear, moment, read_some, skip, something_came};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

const LINGERS: bool = matches!(BUILT, Teardown::Linger);
/// Tries of what depends on who is faster.
const TRIES: usize = 20;
const UPLOAD_BYTES: usize = 8 << 20;
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// A request with a body of so many bytes.
fn upload(method: &str, bytes: usize) -> Vec<u8> {
    let head = format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n");
    let mut request = head.into_bytes();
    request.resize(request.len() + bytes, b'x');
    request
}

/// The same in chunks.
fn chunked(method: &str, chunks: usize) -> Vec<u8> {
    let head = format!("{method} / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for _ in 0..chunks {
        request.extend_from_slice(b"1000\r\n");
        request.resize(request.len() + 0x1000, b'x');
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// Sends everything before it reads. Without an error of the send, `Ok`.
fn say_all_then_hear(mut stream: TcpStream, request: &[u8]) -> (std::io::Result<()>, Heard) {
    let said = stream.write_all(request);
    (said, hear(&mut stream))
}

/// `request` is refused with `status` while it is still being sent.
fn refused(request: &[u8], status: u16) {
    let root = Root::new();
    let server = Server::start(root.path(), &["linger.idle_ms=20s"]);
    let mut losses = 0;
    for _ in 0..TRIES {
        let (said, heard) = say_all_then_hear(server.connect(), request);
        if LINGERS {
            said.expect("the client's send never fails");
            assert_eq!(heard.end, End::Fin);
            let answer = only(&heard.bytes);
            assert_eq!(answer.status, status);
            assert!(answer.closes());
        } else {
            let lost = said.is_err() || heard.end != End::Fin;
            losses += usize::from(lost);
        }
    }
    assert!(LINGERS || losses > 0, "the documented loss was not seen");
    server.comes_home();
    server.serves_a_good_client();
    server.stop();
}

#[test]
fn a_refused_upload_is_answered_and_nobodys_send_fails() {
    refused(&upload("POST", UPLOAD_BYTES), 405);
}

#[test]
fn a_body_that_is_too_large_is_answered_and_nobodys_send_fails() {
    refused(&upload("GET", UPLOAD_BYTES), 413);
}

#[test]
fn chunks_beyond_the_limit_are_answered_and_nobodys_send_fails() {
    refused(&chunked("GET", UPLOAD_BYTES / 0x1000), 413);
}

#[test]
fn nothing_behind_a_malformed_request_of_a_pipeline_is_answered() {
    let root = Root::new();
    let server = Server::start(root.path(), &["linger.idle_ms=20s"]);
    let mut pipeline = GET.repeat(49);
    pipeline.extend_from_slice(b"GET / HTTP/1.1\r\nHost : h\r\n\r\n");
    // More than the server reads at once: what is left unread is what a plain close resets for.
    let padded = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {:01000}\r\n\r\n", 0);
    pipeline.extend_from_slice(padded.repeat(50).as_bytes());
    let expected = [vec![200; 49], vec![400]].concat();
    for _ in 0..TRIES {
        let (said, heard) = say_all_then_hear(server.connect(), &pipeline);
        let (found, rest) = answers(&heard.bytes, false);
        let statuses: Vec<u16> = found.iter().map(|answer| answer.status).collect();
        if LINGERS {
            said.unwrap();
            assert_eq!(heard.end, End::Fin);
            assert!(rest.is_empty());
            assert_eq!(statuses, expected);
            assert!(found[49].closes());
        } else {
            assert!(expected.starts_with(&statuses));
        }
    }
    server.comes_home();
    server.stop();
}

#[test]
fn a_client_that_half_closes_gets_its_whole_answer() {
    const BYTES: u64 = 4 << 20;
    let root = Root::new();
    root.sparse("large.bin", BYTES);
    let server = Server::start(root.path(), &[]);
    for _ in 0..3 {
        let mut stream = server.connect();
        let request = b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let heard = hear(&mut stream);
        assert_eq!(heard.end, End::Fin);
        let answer = only(&heard.bytes);
        assert_eq!(u64::try_from(answer.body.len()).unwrap(), BYTES);
    }
    let (port, owed) = (server.port(), [Tcp::CloseWait, Tcp::LastAck]);
    eventually("no CLOSE_WAIT", || sockets(port, &owed) == 0);
    server.comes_home();
    server.stop();
}

/// Nor is anything left in the kernel that waits for an acknowledgement.
fn nothing_unacknowledged(server: &Server) {
    let (port, owed) = (server.port(), [Tcp::FinWait1, Tcp::CloseWait]);
    eventually("no FIN_WAIT1", || sockets(port, &owed) == 0);
}

#[test]
fn a_client_that_never_closes_costs_nothing_once_it_has_acknowledged() {
    let root = Root::new();
    // An acknowledged goodbye does not wait for any of these.
    let keys = ["linger.idle_ms=10m", "linger.total_ms=10m"];
    let server = Server::start(root.path(), &keys);
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut stream = server.connect();
        stream.write_all(GET_LAST).unwrap();
        let heard = hear(&mut stream);
        assert_eq!((only(&heard.bytes).status, heard.end), (200, End::Fin));
        open.push(stream);
    }
    server.comes_home();
    nothing_unacknowledged(&server);
    drop(open);
    server.stop();
}

#[test]
fn a_client_that_never_closes_is_given_up_after_one_idle_period() {
    let root = Root::new();
    // One request a connection: this client did not know, and may have more on the way.
    let keys = ["keepalive.requests=1", "linger.idle_ms=300"];
    let server = Server::start(root.path(), &keys);
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut stream = server.connect();
        stream.write_all(GET).unwrap();
        let heard = hear(&mut stream);
        assert_eq!((only(&heard.bytes).status, heard.end), (200, End::Fin));
        open.push(stream);
    }
    server.comes_home();
    nothing_unacknowledged(&server);
    let stopped = server.stop();
    if LINGERS {
        assert_eq!(stopped.counter("close.linger-idle"), 20);
    }
    drop(open);
}

#[test]
fn a_client_that_dribbles_is_cut_by_the_floor() {
    let root = Root::new();
    let keys = ["linger.idle_ms=300", "linger.total_ms=10m"];
    let server = Server::start(root.path(), &keys);
    let mut stream = server.connect();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n";
    stream.write_all(head).unwrap();
    // A byte every few milliseconds: 300 ms bring some sixty, the floor is 1024.
    eventually("the dribbler is cut", || stream.write_all(b"x").is_err());
    server.comes_home();
    let stopped = server.stop();
    if LINGERS {
        assert_eq!(stopped.counter("close.linger-idle"), 1);
    }
}

#[test]
fn a_client_that_floods_is_cut_by_the_byte_budget() {
    const BUDGET: u64 = 1 << 20;
    let root = Root::new();
    let keys = [
        "linger.bytes=1MiB",
        "linger.idle_ms=5m",
        "linger.total_ms=10m",
    ];
    let server = Server::start(root.path(), &keys);
    let mut stream = server.connect();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\n";
    stream.write_all(head).unwrap();
    let mut flooded = 0;
    while stream.write_all(&[b'x'; 16 * 1024]).is_ok() {
        flooded += 16 * 1024;
        // What the kernel's queues of both sides may hold besides.
        assert!(flooded < BUDGET + (32 << 20), "the flood is never cut");
    }
    server.comes_home();
    let stopped = server.stop();
    if LINGERS {
        assert_eq!(stopped.counter("close.linger-bytes"), 1);
        assert!(stopped.counter("bytes-discarded") <= BUDGET);
    }
}

#[test]
fn a_client_that_never_reads_is_reset_and_its_memory_is_free() {
    let root = Root::new();
    root.sparse("huge.bin", 50 << 20);
    let server = Server::start(root.path(), &["timeout.write_ms=500"]);
    let mut stream = server.connect();
    let request = b"GET /huge.bin HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).unwrap();
    something_came(&stream);
    server.comes_home();
    // Not an orphan: nothing that would keep the queue.
    let states = [Tcp::Established, Tcp::FinWait1, Tcp::LastAck, Tcp::Closing];
    assert_eq!(sockets(server.port(), &states), 0);
    let heard = hear(&mut stream);
    assert_eq!(heard.end, End::Reset);
    assert!(heard.bytes.len() < 50 << 20);
    let stopped = server.stop();
    assert_eq!(stopped.counter("close.timeout-write"), 1);
}

#[test]
fn a_kept_connection_times_out_without_a_word() {
    let root = Root::new();
    let server = Server::start(
        root.path(),
        &["keepalive.idle_ms=300", "timeout.head_ms=400"],
    );
    let mut kept = server.connect();
    kept.write_all(GET).unwrap();
    let answer = read_answer(&mut kept, false);
    assert_eq!((answer.status, answer.closes()), (200, false));
    // Nor is anything said to one that never asked.
    for mut stream in [kept, server.connect()] {
        let heard = hear(&mut stream);
        assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    }
    server.comes_home();
    server.stop();
}

#[test]
fn a_head_that_never_ends_gets_408() {
    let root = Root::new();
    let server = Server::start(root.path(), &["timeout.head_ms=300"]);
    let (said, heard) = say_all_then_hear(server.connect(), b"GET / HTTP/1.1\r\nHost: h\r\nX-Ha");
    said.unwrap();
    let answer = only(&heard.bytes);
    assert_eq!((answer.status, answer.closes()), (408, true));
    assert_eq!(heard.end, End::Fin);
    server.comes_home();
    let stopped = server.stop();
    assert_eq!(stopped.counter("reject.late-head"), 1);
}

#[test]
fn an_expectation_is_met_or_refused_but_never_both() {
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    let head = |method: &str| {
        format!(
            "{method} / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
    };
    let mut stream = server.connect();
    stream.write_all(head("POST").as_bytes()).unwrap();
    let heard = hear(&mut stream);
    let answer = only(&heard.bytes);
    assert_eq!((answer.status, answer.closes()), (405, true));
    assert_eq!(heard.end, End::Fin);

    let mut stream = server.connect();
    stream.write_all(head("GET").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 100);
    stream.write_all(b"12345").unwrap();
    stream.write_all(GET_LAST).unwrap();
    let heard = hear(&mut stream);
    let (found, rest) = answers(&heard.bytes, false);
    let statuses: Vec<u16> = found.iter().map(|answer| answer.status).collect();
    assert_eq!((statuses, rest.len()), (vec![200, 200], 0));
    assert_eq!(heard.end, End::Fin);
    server.comes_home();
    server.stop();
}

#[test]
fn a_client_that_resets_in_the_middle_leaves_nothing() {
    let root = Root::new();
    root.sparse("huge.bin", 50 << 20);
    let server = Server::start(root.path(), &[]);
    for _ in 0..TRIES {
        let mut stream = server.connect();
        let request = b"GET /huge.bin HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(request).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        socket::abort(OwnedFd::from(stream));
    }
    server.comes_home();
    server.serves_a_good_client();
    let stopped = server.stop();
    let tries = u64::try_from(TRIES).unwrap();
    assert_eq!(stopped.counter("close.reset-by-peer"), tries);
}

/// A path for a socket, short enough for `sun_path`.
fn socket_path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("adieu-{}-{name}", std::process::id()))
}

#[test]
fn a_unix_socket_is_served_alike() {
    let root = Root::new();
    let path = socket_path("served");
    let listen = format!("unix:{}", path.display());
    let keys = ["linger.idle_ms=20s", "linger.so_linger_s=1"];
    let server = Server::on(&listen, root.path(), &keys);
    let connect = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        stream.set_write_timeout(Some(common::PATIENCE)).unwrap();
        stream
    };
    let mut kept = connect();
    for _ in 0..2 {
        kept.write_all(GET).unwrap();
        let answer = read_answer(&mut kept, false);
        assert_eq!((answer.status, answer.closes()), (200, false));
    }
    kept.write_all(GET_LAST).unwrap();
    assert_eq!(only(&hear(&mut kept).bytes).status, 200);
    drop(kept);
    for _ in 0..3 {
        let mut stream = connect();
        let said = stream.write_all(&upload("POST", 1 << 20));
        let heard = hear(&mut stream);
        if LINGERS {
            said.unwrap();
            assert_eq!((only(&heard.bytes).status, heard.end), (405, End::Fin));
        }
    }
    server.comes_home();
    server.stop();
    let _ = std::fs::remove_file(path);
}

#[test]
fn ipv6_is_served_alike() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        skip("ipv6_is_served_alike", "this machine has no ::1");
        return;
    }
    let root = Root::new();
    let server = Server::on("[::1]:0", root.path(), &["linger.idle_ms=20s"]);
    server.serves_a_good_client();
    let (said, heard) = say_all_then_hear(server.connect(), &upload("POST", 1 << 20));
    if LINGERS {
        said.unwrap();
        assert_eq!((only(&heard.bytes).status, heard.end), (405, End::Fin));
    }
    server.comes_home();
    server.stop();
}

/// A download that has begun, of a client that reads slowly.
fn begun(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let request = b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).unwrap();
    stream.read_exact(&mut [0; 100]).unwrap();
    stream
}

#[test]
fn a_stop_lets_a_download_end_and_then_ends_at_once() {
    const BYTES: usize = 16 << 20;
    let root = Root::new();
    root.sparse("large.bin", u64::try_from(BYTES).unwrap());
    let keys = ["timeout.stop_ms=30m", "keepalive.idle_ms=30m"];
    let server = Server::start(root.path(), &keys);
    let idle = server.connect();
    let mut stream = begun(&server);
    server.signal("TERM");
    server.says("adieu: stopping");
    let port = server.port();
    eventually("the port is free", || {
        TcpStream::connect(("127.0.0.1", port)).is_err()
    });
    let mut read = 100;
    let mut room = [0; 64 * 1024];
    loop {
        match read_some(&mut stream, &mut room) {
            0 => break,
            n => read += n,
        }
        moment();
    }
    assert!(read > BYTES);
    drop(idle);
    drop(stream);
    let stopped = server.wait();
    assert!(stopped.status.success(), "{stopped:?}");
}

#[test]
fn a_second_stop_ends_at_once() {
    let root = Root::new();
    root.sparse("large.bin", 16 << 20);
    for second in ["TERM", "INT"] {
        let server = Server::start(root.path(), &["timeout.stop_ms=30m"]);
        let mut stream = begun(&server);
        server.signal("TERM");
        server.says("adieu: stopping");
        server.signal(second);
        let stopped = server.wait();
        assert!(stopped.status.success(), "{stopped:?}");
        assert_eq!(stopped.counter("close.stopped"), 1, "{stopped:?}");
        assert_eq!(hear(&mut stream).end, End::Reset);
    }
    let server = Server::start(root.path(), &["timeout.stop_ms=30m"]);
    let _stream = begun(&server);
    server.signal("INT");
    assert!(server.wait().status.success(), "one INT is enough");
}

#[test]
fn a_stop_has_its_deadline() {
    let root = Root::new();
    root.sparse("large.bin", 16 << 20);
    let server = Server::start(root.path(), &["timeout.stop_ms=300"]);
    let _stream = begun(&server);
    assert_eq!(server.stop().counter("close.stopped"), 1);
}
