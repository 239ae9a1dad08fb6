//! A client that keeps a server busy and believes nothing: each answer is read to its end, and its
//! status and length are compared with what is due.
//!
//! Owns: connections, requests, the reading of answers, and their count. `benches/compare` starts
//! it and reads what the server spent meanwhile.
//! Must not: know which server it is, or what anything costs.
//!
//! It speaks on its standard streams: `ready` when each connection is open and has had one answer,
//! then it waits for a line; `done` with its counts when it has no request on its way any more,
//! then it waits for another line and ends. So whoever measures reads his clocks while nothing
//! moves.
//!
//! A connection has a batch of requests on its way, and sends the next one when all of the answers
//! came. With `--close` each request asks for the end of the connection, and counts when the
//! server's FIN has come.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench: whatever is wrong here shall stop it"
)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const USAGE: &str = "\
usage: load --port PORT [--path PATH] [--field LINE]... [--connections N] [--in-flight N]
            [--close] [--status CODE]... [--bytes N] [--put BYTES] [--half] [--cold]
            [--seconds S | --requests N]";
/// What is received at once.
const READ_BYTES: usize = 256 * 1024;
/// What is uploaded at once.
const WRITE_BYTES: usize = 256 * 1024;
/// A longer head is none.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Connections that are being opened at the same time: fewer than any queue of a listener.
const OPENING: usize = 64;
/// After so many requests a connection is given up and opened anew, for servers bound them.
const RENEW: u64 = 20_000;
/// A server from which nothing comes for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[allow(
    clippy::disallowed_methods,
    reason = "a bench has no turn of a loop whose clock it could use"
)]
fn now() -> Instant {
    Instant::now()
}

// ---- what is asked ------------------------------------------------------------------------------

/// When it is over.
#[derive(Clone, Copy)]
enum Until {
    Time(Duration),
    /// So many requests were sent.
    Count(u64),
}

struct Options {
    address: SocketAddr,
    connections: usize,
    /// One request, its body left out.
    request: Vec<u8>,
    /// Requests of a batch.
    in_flight: usize,
    close: bool,
    /// Only half a head is sent, and nothing is waited for.
    half: bool,
    /// Nothing is asked before it counts.
    cold: bool,
    statuses: Vec<u16>,
    /// Of the content of an answer; none: that of the first one.
    bytes: Option<u64>,
    put_bytes: u64,
    until: Until,
}

impl Options {
    fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let (mut port, mut path) = (0, "/".to_owned());
        let (mut connections, mut in_flight) = (1, 1);
        let (mut close, mut half, mut cold) = (false, false, false);
        let (mut statuses, mut bytes, mut put) = (Vec::new(), None, None);
        let (mut fields, mut until) = (String::new(), Until::Count(1));
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => port = parser.value()?.parse()?,
                Long("path") => path = parser.value()?.string()?,
                Long("field") => fields += &format!("{}\r\n", parser.value()?.string()?),
                Long("connections") => connections = parser.value()?.parse()?,
                Long("in-flight") => in_flight = parser.value()?.parse()?,
                Long("close") => close = true,
                Long("half") => half = true,
                Long("cold") => cold = true,
                Long("status") => statuses.push(parser.value()?.parse()?),
                Long("bytes") => bytes = Some(parser.value()?.parse()?),
                Long("put") => put = Some(parser.value()?.parse()?),
                Long("seconds") => {
                    until = Until::Time(Duration::from_secs_f64(parser.value()?.parse()?));
                }
                Long("requests") => until = Until::Count(parser.value()?.parse()?),
                // As `cargo bench` without a name calls every bench.
                Long("bench") => return Ok(None),
                other @ (Short(_) | Long(_) | Value(_)) => return Err(other.unexpected()),
            }
        }
        let method = if put.is_some() { "PUT" } else { "GET" };
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
        request += "User-Agent: load\r\nAccept: */*\r\n";
        request += &fields;
        if let Some(bytes) = put {
            request += &format!("Content-Length: {bytes}\r\n");
        }
        if close {
            request += "Connection: close\r\n";
        }
        if half {
            request += "X-Half: ";
        } else {
            request += "\r\n";
        }
        if statuses.is_empty() {
            statuses.push(200);
        }
        Ok(Some(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            connections,
            request: request.into_bytes(),
            in_flight,
            close,
            half,
            cold,
            statuses,
            bytes,
            put_bytes: put.unwrap_or(0),
            until,
        }))
    }
}

// ---- what is answered ---------------------------------------------------------------------------

/// What is due, and the head that was seen last: most are the same as the one before.
struct Due {
    statuses: Vec<u16>,
    bytes: Option<u64>,
    head: Vec<u8>,
}

impl Due {
    /// The length of the head at the front of `data` and that of its content; none if it is not
    /// whole yet.
    fn head(&mut self, data: &[u8]) -> Option<(usize, u64)> {
        if !self.head.is_empty() && data.starts_with(&self.head) {
            return Some((self.head.len(), self.bytes?));
        }
        let Some(end) = data.windows(4).position(|four| four == b"\r\n\r\n") else {
            assert!(data.len() <= HEAD_BYTES_MAX, "a head without an end");
            return None;
        };
        let head = &data[..end + 4];
        let text = String::from_utf8_lossy(head);
        let status = text.get(9..12).and_then(|digits| digits.parse().ok());
        assert!(
            text.starts_with("HTTP/1.") && status.is_some_and(|s| self.statuses.contains(&s)),
            "not the answer that is due: {text}"
        );
        let has_content = status != Some(304) && status != Some(204);
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().ok())?
        });
        let bytes = match length {
            _ if !has_content => 0,
            Some(bytes) => bytes,
            None => panic!("an answer without a length: {text}"),
        };
        let due = *self.bytes.get_or_insert(bytes);
        assert!(bytes == due, "{due} bytes are due: {text}");
        self.head.clear();
        self.head.extend_from_slice(head);
        Some((head.len(), bytes))
    }
}

/// What became of a turn of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Something is still to come.
    Waits,
    /// The batch is over: all answers came, and with `--close` the end of the connection.
    Over,
    /// The server ended it before that.
    Ended,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the batch of heads that were sent, and of the body behind it that were not.
    sent: usize,
    unsent_body: u64,
    /// Answers of the batch that have not come to their end.
    due: usize,
    /// Bytes of the content of the one that is coming.
    content: u64,
    /// What is received of an unfinished head.
    rest: Vec<u8>,
    asked: u64,
}

impl Connection {
    /// Sends what can be sent.
    fn send(&mut self, heads: &[u8], body: &[u8]) {
        loop {
            let piece = match heads.get(self.sent..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => {
                    let most = usize::try_from(self.unsent_body).unwrap_or(usize::MAX);
                    &body[..most.min(body.len())]
                }
            };
            if piece.is_empty() {
                return;
            }
            match self.stream.write(piece) {
                Ok(n) if self.sent < heads.len() => self.sent += n,
                Ok(n) => self.unsent_body -= count(n),
                Err(error) if is_early(&error) => return,
                // Whoever ended it is found out by the next read.
                Err(error) if is_end(&error) => return,
                Err(error) => panic!("cannot send: {error}"),
            }
        }
    }

    /// Receives what is there; `to_end`: nothing comes after it. The bytes, and what follows.
    fn receive(&mut self, room: &mut [u8], due: &mut Due, close: bool, to_end: bool) -> Turn {
        loop {
            let kept = self.rest.len();
            room[..kept].copy_from_slice(&self.rest);
            match self.stream.read(&mut room[kept..]) {
                Ok(0) if self.due == 0 && close => return Turn::Over,
                Ok(0) => return Turn::Ended,
                Ok(n) => {
                    self.rest.clear();
                    self.feed(&room[..kept + n], due);
                    if self.due == 0 && !close {
                        return Turn::Over;
                    }
                    // A short read has emptied the queue: the next byte is another event.
                    if kept + n < room.len() && !to_end {
                        return Turn::Waits;
                    }
                }
                Err(error) if is_early(&error) => return Turn::Waits,
                Err(error) if is_end(&error) => return Turn::Ended,
                Err(error) => panic!("cannot receive: {error}"),
            }
        }
    }

    fn feed(&mut self, mut data: &[u8], due: &mut Due) {
        while !data.is_empty() {
            assert!(self.due > 0, "more came than was asked for");
            if self.content == 0 {
                let Some((head, content)) = due.head(data) else {
                    self.rest.extend_from_slice(data);
                    return;
                };
                data = &data[head..];
                self.content = content;
            }
            let here = usize::try_from(self.content).map_or(data.len(), |n| n.min(data.len()));
            data = &data[here..];
            self.content -= count(here);
            if self.content == 0 {
                self.due -= 1;
            }
        }
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length fits")
}

/// There is nothing to do yet.
fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}

// ---- the load -----------------------------------------------------------------------------------

#[derive(Default)]
struct Counts {
    /// Requests whose answers are whole.
    requests: u64,
    /// Connections that were opened.
    opened: u64,
    /// Connections that the server ended although they were to stay.
    ended: u64,
}

struct Load {
    options: Options,
    poll: Poll,
    events: Events,
    connections: Vec<Option<Connection>>,
    due: Due,
    heads: Vec<u8>,
    body: Vec<u8>,
    room: Vec<u8>,
    counts: Counts,
    /// Connections with a batch on its way.
    busy: usize,
    /// Requests that may still be begun.
    left: u64,
}

impl Load {
    fn new(options: Options) -> io::Result<Self> {
        let body_bytes = usize::try_from(options.put_bytes).unwrap_or(usize::MAX);
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            connections: (0..options.connections).map(|_| None).collect(),
            due: Due {
                statuses: options.statuses.clone(),
                bytes: options.bytes,
                head: Vec::new(),
            },
            heads: options.request.repeat(options.in_flight),
            body: vec![b'u'; body_bytes.min(WRITE_BYTES)],
            room: vec![0; READ_BYTES],
            counts: Counts::default(),
            busy: 0,
            left: 0,
            options,
        })
    }

    /// Begins a batch, on a new connection if there is none.
    fn begin(&mut self, index: usize) {
        let batch = count(self.options.in_flight);
        self.left = self.left.saturating_sub(batch);
        let old = self.connections[index].take();
        let mut connection = match old.filter(|c| c.asked < RENEW) {
            Some(connection) => connection,
            None => self.open(index),
        };
        connection.sent = 0;
        connection.unsent_body = self.options.put_bytes * batch;
        connection.due = self.options.in_flight;
        connection.asked += batch;
        connection.send(&self.heads, &self.body);
        self.connections[index] = Some(connection);
        self.busy += 1;
    }

    fn open(&mut self, index: usize) -> Connection {
        // On the loopback the queue of the listener has it before this returns.
        let stream = TcpStream::connect(self.options.address).expect("cannot connect");
        stream.set_nonblocking(true).expect("cannot set O_NONBLOCK");
        let both = Interest::READABLE.add(Interest::WRITABLE);
        let registry = self.poll.registry();
        registry
            .register(&mut SourceFd(&stream.as_raw_fd()), Token(index), both)
            .expect("cannot watch a socket");
        self.counts.opened += 1;
        Connection {
            stream,
            sent: 0,
            unsent_body: 0,
            due: 0,
            content: 0,
            rest: Vec::new(),
            asked: 0,
        }
    }

    /// Waits for events and does what they ask for; the connections that have nothing on their way
    /// now are put into `free`.
    fn turn(&mut self, free: &mut Vec<usize>) {
        self.poll
            .poll(&mut self.events, Some(PATIENCE))
            .expect("cannot wait");
        assert!(
            !self.events.is_empty(),
            "nothing came for {PATIENCE:?}, and {} connections wait",
            self.busy
        );
        for event in &self.events {
            let index = event.token().0;
            let Some(connection) = &mut self.connections[index] else {
                continue;
            };
            if connection.due == 0 && !self.options.close {
                // Between two phases the server may end it: the next batch opens another one.
                if event.is_read_closed() {
                    self.connections[index] = None;
                    self.counts.ended += 1;
                }
                continue;
            }
            if event.is_writable() {
                connection.send(&self.heads, &self.body);
            }
            if self.options.half || !event.is_readable() && !event.is_read_closed() {
                continue;
            }
            let (close, to_end) = (self.options.close, event.is_read_closed());
            let turn = connection.receive(&mut self.room, &mut self.due, close, to_end);
            if turn == Turn::Waits {
                continue;
            }
            let came = self.options.in_flight - connection.due;
            self.counts.requests += count(came);
            if turn == Turn::Ended {
                self.counts.ended += 1;
                let few = 1000 + self.counts.requests;
                assert!(self.counts.ended < few, "the server ends connections");
            }
            if turn == Turn::Ended || close {
                self.connections[index] = None;
            }
            self.busy -= 1;
            free.push(index);
        }
    }

    /// Every connection has one answer.
    fn warm_up(&mut self) {
        self.left = u64::MAX;
        let mut free = Vec::new();
        for index in 0..self.connections.len() {
            while self.busy >= OPENING {
                self.turn(&mut free);
            }
            self.begin(index);
        }
        while self.busy > 0 {
            self.turn(&mut free);
        }
        let wanted = count(self.options.connections * self.options.in_flight);
        assert!(
            self.counts.requests == wanted,
            "{} of the first {wanted} answers came",
            self.counts.requests
        );
    }

    /// Half a head on each connection; none waits for an answer.
    fn half(&mut self) {
        for index in 0..self.connections.len() {
            self.begin(index);
            while !self.is_sent(index) {
                self.turn(&mut Vec::new());
            }
        }
    }

    fn is_sent(&self, index: usize) -> bool {
        let connection = self.connections[index].as_ref();
        connection.is_some_and(|c| c.sent == self.heads.len())
    }

    /// How many connections the server has not ended.
    fn held(&mut self) -> usize {
        let mut held = 0;
        for connection in self.connections.iter_mut().flatten() {
            // What is readable is an answer that was not asked for, or the end.
            let read = connection.stream.read(&mut self.room);
            held += usize::from(read.is_err_and(|error| is_early(&error)));
        }
        held
    }

    fn run(&mut self) -> Duration {
        let began = now();
        self.counts = Counts::default();
        self.left = match self.options.until {
            Until::Time(_) => u64::MAX,
            Until::Count(requests) => requests,
        };
        let mut free: Vec<usize> = (0..self.connections.len()).collect();
        loop {
            for index in std::mem::take(&mut free) {
                if self.left > 0 {
                    self.begin(index);
                }
            }
            if self.busy == 0 {
                return began.elapsed();
            }
            self.turn(&mut free);
            if let Until::Time(time) = self.options.until
                && began.elapsed() >= time
            {
                self.left = 0;
            }
        }
    }
}

/// Says a line, and waits for one. The end of the input is a line, too.
fn say(line: &str) {
    println!("{line}");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).expect("no input");
}

fn main() {
    let options = match Options::read() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("load: the client of benches/compare, which starts it");
            return;
        }
        Err(error) => {
            eprintln!("load: {error}\n{USAGE}");
            std::process::exit(2);
        }
    };
    let (half, cold) = (options.half, options.cold);
    let mut load = Load::new(options).expect("no epoll");
    if half {
        load.half();
        say("ready");
        say(&format!("done held={}", load.held()));
        return;
    }
    if !cold {
        load.warm_up();
    }
    say("ready");
    let took = load.run();
    let counts = &load.counts;
    let (requests, opened, ended) = (counts.requests, counts.opened, counts.ended);
    let (ns, held) = (took.as_nanos(), load.held());
    say(&format!(
        "done requests={requests} ns={ns} opened={opened} ended={ended} held={held}"
    ));
}
