//! How long the pure parts take: no socket, no file, no system call.
//!
//! Prints a table. It is for comparing two commits on one machine, so there are no limits in it;
//! the numbers of two machines say nothing about each other.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench: whatever is wrong here shall stop it"
)]

use adieu::connection::body::{Body, Chunked};
use adieu::connection::head::{self, NO_FIELD, Scan};
use adieu::connection::limits::{FIELDS_MAX, Limits};
use adieu::connection::linger::Queues;
use adieu::connection::reply::{Reply, Status};
use adieu::connection::state::{Event, State, Teardown, next};
use adieu::connection::time::{Ms, Turn, Wall};
use adieu::connection::{Act, Connection, Content, Write};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What a browser sends for a picture on a page.
const BROWSER: &[u8] = b"GET /images/lamp.jpg HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\
Connection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 \
Firefox/128.0\r\nAccept: image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n\
Referer: http://192.0.2.1:8080/\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\
If-None-Match: \"5f3a-61c2b7a0\"\r\nCache-Control: max-age=0\r\n\r\n";
/// What a load generator sends.
const SHORT: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const HALF_BYTES: usize = 8192;
/// Each row runs for about this long.
const ROW: Duration = Duration::from_millis(150);

#[allow(
    clippy::disallowed_methods,
    reason = "a bench has no turn of a loop whose clock it could use"
)]
fn now() -> Instant {
    Instant::now()
}

/// Runs `work` for a while and prints what one call took.
fn row(what: &str, bytes: usize, mut work: impl FnMut()) {
    let mut calls = 1_u32;
    let per_call = loop {
        let began = now();
        for _ in 0..calls {
            work();
        }
        let took = began.elapsed();
        if took >= ROW {
            break took.as_secs_f64() / f64::from(calls);
        }
        calls = calls.saturating_mul(2);
    };
    let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    let rate = match bytes {
        0.0 => String::new(),
        bytes => format!("{:>10.0} MB/s", bytes / per_call / 1e6),
    };
    println!("{what:<44} {:>10.0} ns {rate}", per_call * 1e9);
}

fn main() {
    let limits = Limits::new();
    let turn = Turn {
        now: Ms(1),
        wall: Some(Wall {
            unix_s: 784_111_777,
            date: *b"Sun, 06 Nov 1994 08:49:37 GMT",
        }),
        limits: &limits,
        stopping: false,
    };
    println!("{:<44} {:>13} {:>15}", "", "a call", "input");
    heads(&limits);
    row("chunked body, 4 chunks of 1000 bytes", 4028, chunked());
    row("the table of transitions, all pairs", 0, || {
        for state in State::ALL {
            for event in Event::ALL {
                black_box(next(black_box(state), black_box(event), Teardown::Linger));
            }
        }
    });
    row("the head of a reply, 6 fields", 0, || {
        let mut room = [0; 1024];
        let mut reply = Reply::new(&mut room);
        write_reply(&mut reply);
        black_box(reply.len());
    });
    for (what, request, at_once) in [
        ("a request to its answer, short", SHORT, 1),
        ("a request to its answer, browser", BROWSER, 1),
        ("16 pipelined requests to their answers", SHORT, 16),
    ] {
        let mut client = Client::new(request, at_once, &turn);
        row(what, request.len() * at_once, || client.round(&turn));
    }
    println!("one connection: {} bytes", size_of::<Connection>());
}

fn heads(limits: &Limits) {
    for (what, bytes) in [("short", SHORT), ("browser", BROWSER)] {
        row(
            &format!("scan for the end of a head, {what}"),
            bytes.len(),
            || {
                black_box(Scan::default().look(black_box(bytes), limits));
            },
        );
        row(&format!("read a head, {what}"), bytes.len(), || {
            let mut fields = [NO_FIELD; FIELDS_MAX];
            black_box(head::parse(black_box(bytes), &mut fields, limits).is_ok());
        });
    }
    row("scan, a byte at a time, browser", BROWSER.len(), || {
        let mut scan = Scan::default();
        for end in 1..=BROWSER.len() {
            black_box(scan.look(black_box(&BROWSER[..end]), limits));
        }
    });
}

fn chunked() -> impl FnMut() {
    let mut wire = Vec::new();
    for _ in 0..4 {
        wire.extend_from_slice(b"3e8\r\n");
        wire.extend_from_slice(&[b'x'; 1000]);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    move || {
        let mut body = Body::Chunked(Chunked::new());
        let mut rest = &wire[..];
        while !rest.is_empty() {
            match body.piece(black_box(rest)) {
                Ok(piece) => rest = &rest[piece.framing + piece.content..],
                Err(reject) => panic!("{reject:?}"),
            }
        }
    }
}

fn write_reply(reply: &mut Reply<'_>) {
    reply.status(Status::OK);
    reply.field("Content-Type", b"text/html; charset=utf-8");
    reply.field("ETag", b"\"1a2b3c4d5e6f7081\"");
    reply.field("Last-Modified", b"Sun, 06 Nov 1994 08:49:37 GMT");
    reply.field("Accept-Ranges", b"bytes");
    reply.field_number("Content-Length", 1440);
}

/// A connection without a socket: what is received and sent is only copied.
struct Client {
    connection: Connection,
    request: Vec<u8>,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Client {
    fn new(request: &[u8], at_once: usize, turn: &Turn<'_>) -> Self {
        Self {
            connection: Connection::new(Teardown::Linger, turn),
            request: request.repeat(at_once),
            input: vec![0; HALF_BYTES],
            output: vec![0; HALF_BYTES],
        }
    }

    /// Sends its requests and takes the answers; begins anew when the connection has had its share.
    fn round(&mut self, turn: &Turn<'_>) {
        let space = self.connection.space(&mut self.input);
        space[..self.request.len()].copy_from_slice(&self.request);
        self.connection
            .received(self.request.len(), &self.input, turn);
        while self.connection.state() != State::Idle {
            let need = self.connection.need(turn.limits);
            match (need.act, need.write) {
                (Act::Answer, _) => self.answer(turn),
                (Act::None, Write::Bytes { .. }) => {
                    let n = black_box(self.connection.sendable(&self.output)).len();
                    self.connection.sent(n, turn);
                }
                _ => {
                    // The most requests on one connection are answered.
                    assert_eq!(need.act, Act::ShutdownWrite);
                    self.connection.cut(Queues::default(), turn);
                    self.connection = Connection::new(Teardown::Linger, turn);
                    return;
                }
            }
        }
    }

    fn answer(&mut self, turn: &Turn<'_>) {
        let mut fields = [NO_FIELD; FIELDS_MAX];
        let request = match self
            .connection
            .request(&self.input, &mut fields, turn.limits)
        {
            Ok(request) => request,
            Err(reject) => panic!("{reject:?}"),
        };
        let verdict = request.verdict;
        if !self.connection.may_join(&request) {
            return;
        }
        let mut reply = self.connection.reply(&mut self.output);
        reply.status(Status::OK);
        reply.field("Content-Type", b"text/html; charset=utf-8");
        reply.field("ETag", b"\"1a2b3c4d5e6f7081\"");
        self.connection
            .answered(&verdict, reply, Content::Empty, &self.input, turn);
    }
}
