//! The wire: text cases in `tests/wire/*.txt`, bytes in and bytes out, run through `Connection`.
//!
//! A case is `--- name`, then `<<<` bytes in and `>>>` bytes expected (escapes `\r \n \t \\ \xNN`,
//! `{N*text}` repeats), perhaps `fin` (the client shuts its side at the end) or `steps` (what is
//! answered depends on when it arrives: run as written only), and `===` the state or the reason at
//! the end. In `uploads.txt` the site keeps bodies at `/keep`, and `@kept word` is the answer to
//! one that is kept, with its content. In `preface.txt` the connection begins with a preface of the
//! PROXY protocol, and whom it names comes out as `<name>`. `>>> @400`, `@404 keep`, `@hello`,
//! `@hello close` ... stand for whole responses. Every case runs whole, split at every byte, and
//! byte by byte; the bytes out must be the same.

#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, helpers of tests too"
)]

use adieu::connection::head::{Field, Framing, Method, NO_FIELD, Request, Target};
use adieu::connection::limits::{FIELDS_MAX, Limits};
use adieu::connection::linger::Queues;
use adieu::connection::reply::{Reply, Status};
use adieu::connection::state::{State, Teardown};
use adieu::connection::time::{Ms, Turn};
use adieu::connection::{Act, Connection, Content, Read, Taken, Write};
use std::path::Path;

const HALF: usize = 8192;
const FILE: &[u8] = b"hello";
/// The largest body that `/keep` takes, bytes.
const KEEP_BYTES: u64 = 20;
/// What is kept of a body by one call: less than has come, as a disk may do.
const KEPT_AT_ONCE: usize = 3;

/// One connection with its buffer, its kernel and a site of five pages.
struct Wire {
    connection: Connection,
    limits: Limits,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: Vec<u8>,
    /// Received by the kernel, not yet read.
    kernel: Vec<u8>,
    fin: bool,
    /// While false the peer acknowledges nothing: the goodbye waits for the whole input.
    acks: bool,
    end: Option<String>,
    /// Pieces of the answer that flows: bytes, and how many of the file follow them.
    pieces: Vec<(&'static [u8], u64)>,
    /// What is kept of the body that flows.
    kept: Vec<u8>,
}

/// What the site says to a request.
enum Made {
    /// This follows the head that is written.
    Answer(Content),
    /// Its body is kept first.
    Store,
}

impl Wire {
    fn new(preface: bool) -> Self {
        let limits = Limits::new();
        let mut connection = Connection::new(Teardown::Linger, &turn(&limits));
        if preface {
            connection = connection.with_preface();
        }
        Self {
            connection,
            limits,
            input: vec![0; HALF],
            output: vec![0; HALF],
            sent: Vec::new(),
            kernel: Vec::new(),
            fin: false,
            acks: false,
            end: None,
            pieces: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn queues(&self) -> Queues {
        Queues {
            unacknowledged: u32::from(!self.acks),
            unread: u32::try_from(self.kernel.len()).unwrap(),
            rto_ms: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.kernel.extend_from_slice(bytes);
        self.settle();
    }

    /// Does what is wanted until nothing is.
    fn settle(&mut self) {
        for _ in 0..200_000 {
            if self.end.is_some() || !self.step() {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.connection);
    }

    fn step(&mut self) -> bool {
        let queues = self.queues();
        let limits = self.limits.clone();
        let turn = turn(&limits);
        let need = self.connection.need();
        if need.act != Act::None {
            return self.act(need.act, &turn);
        }
        match need.write {
            Write::Nothing => {}
            Write::Bytes { .. } => {
                let bytes = self.connection.sendable(&self.output).to_vec();
                assert!(!bytes.is_empty(), "asked to send nothing");
                self.sent.extend_from_slice(&bytes);
                self.connection.sent(bytes.len(), &turn);
                return true;
            }
            Write::File(owed) => {
                let owed = usize::try_from(owed).unwrap();
                self.sent.extend_from_slice(&FILE[FILE.len() - owed..]);
                self.connection.sent(owed, &turn);
                return true;
            }
        }
        match need.read {
            Read::Feed => panic!("nothing here is a script"),
            Read::Nothing => return false,
            Read::Into if !self.kernel.is_empty() => {
                let space = self.connection.space(&mut self.input);
                assert!(!space.is_empty(), "asked to receive into nothing");
                let n = space.len().min(self.kernel.len());
                space[..n].copy_from_slice(&self.kernel[..n]);
                self.kernel.drain(..n);
                self.connection.received(n, &self.input, &turn);
            }
            Read::Discard(max) if !self.kernel.is_empty() => {
                let n = usize::try_from(max).unwrap().min(self.kernel.len());
                self.kernel.drain(..n);
                self.connection.discarded(u64::try_from(n).unwrap(), &turn);
                self.connection.tick(self.queues(), &turn);
            }
            Read::Store(max) if !self.kernel.is_empty() => {
                assert!(max > 0, "asked to keep nothing");
                let n = usize::try_from(max).unwrap().min(self.kernel.len());
                self.kept.extend(self.kernel.drain(..n));
                let bytes = u64::try_from(n).unwrap();
                self.connection.stored_unseen(bytes, &turn);
            }
            Read::Into | Read::Discard(_) | Read::Store(_) if self.fin => {
                self.fin = false;
                self.connection.peer_eof(queues, &turn);
            }
            Read::Into | Read::Discard(_) | Read::Store(_) => return false,
        }
        true
    }

    fn act(&mut self, act: Act, turn: &Turn<'_>) -> bool {
        match act {
            Act::None => {}
            Act::Produce => {
                let (bytes, file_bytes) = self.pieces.remove(0);
                let last = self.pieces.is_empty();
                let room = self.connection.room_for_piece(&mut self.output);
                room[..bytes.len()].copy_from_slice(bytes);
                let output = &mut self.output;
                self.connection
                    .produced(bytes.len(), file_bytes, last, output, turn);
            }
            Act::Introduce => {
                let client = self.connection.introduce(&self.input, turn);
                let name = client.map_or("itself".to_owned(), |client| client.to_string());
                self.sent.extend_from_slice(format!("<{name}>").as_bytes());
            }
            Act::Answer => return self.answer(turn),
            Act::Store => {
                let content = self.connection.content(&self.input);
                assert!(!content.is_empty(), "asked to keep nothing");
                let n = content.len().min(KEPT_AT_ONCE);
                self.kept.extend_from_slice(&content[..n]);
                self.connection.stored(n, &self.input, turn);
            }
            Act::Conclude => self.conclude(turn),
            Act::Refuse(reject) => {
                self.connection.refuse(reject, &mut self.output, turn);
            }
            Act::ShutdownWrite => self.connection.write_shut(self.queues(), turn),
            Act::Close(reason, _) => self.end = Some(reason.name().to_owned()),
        }
        true
    }

    fn answer(&mut self, turn: &Turn<'_>) -> bool {
        let mut fields: [Field<'_>; FIELDS_MAX] = [NO_FIELD; FIELDS_MAX];
        let request = match self
            .connection
            .request(&self.input, &mut fields, turn.limits)
        {
            Ok(request) => request,
            Err(reject) => {
                self.connection.refuse(reject, &mut self.output, turn);
                return true;
            }
        };
        let verdict = request.verdict;
        if !self.connection.may_join(&request) {
            return true;
        }
        let mut reply = self.connection.reply(&mut self.output);
        let content = match site(&request, &mut reply) {
            Made::Answer(content) => content,
            Made::Store if verdict.framing == Framing::None => kept(&[], &mut reply),
            Made::Store => {
                self.kept.clear();
                let taken = self
                    .connection
                    .await_store(&verdict, KEEP_BYTES, &self.input, turn);
                assert_eq!(taken, Taken::Body);
                return true;
            }
        };
        let taken = self
            .connection
            .answered(&verdict, reply, content, &self.input, turn);
        if let Taken::Yes { file, pieces, .. } = taken {
            if pieces {
                let is_sized = content == Content::Pieces(Some(5));
                let rest: (&[u8], u64) = if is_sized { (b"l", 2) } else { (b"llo", 0) };
                self.pieces = vec![(b"he", 0), rest];
            }
            if file > 0 && self.connection.room(&mut self.output).len() >= FILE.len() {
                self.connection.room(&mut self.output)[..FILE.len()].copy_from_slice(FILE);
                self.connection.inlined(FILE.len());
            }
        }
        true
    }

    /// The body is there.
    fn conclude(&mut self, turn: &Turn<'_>) {
        let mut reply = self.connection.reply(&mut self.output);
        let content = kept(&self.kept, &mut reply);
        let taken = self.connection.concluded(reply, content, &self.input, turn);
        assert!(matches!(taken, Taken::Yes { file: 0, .. }), "{taken:?}");
    }

    /// The input is over: what is sent is acknowledged, and the client closes if it is to.
    fn finish(&mut self, fin: bool) -> String {
        self.acks = true;
        self.fin = fin;
        self.settle();
        if self.end.is_none() {
            let limits = self.limits.clone();
            self.connection.tick(self.queues(), &turn(&limits));
            self.settle();
        }
        assert_eq!(self.connection.take_misuse(), None);
        let state = format!("{:?}", self.connection.state()).to_lowercase();
        self.end.clone().unwrap_or(state)
    }
}

fn turn(limits: &Limits) -> Turn<'_> {
    Turn {
        now: Ms(1000),
        wall: None,
        limits,
        stopping: false,
    }
}

/// `/` is a file, `/sized` and `/unsized` come in pieces, `/304` is unchanged, `/in` takes a body
/// and throws it away, `/keep` keeps one, everything else is not there.
fn site(request: &Request<'_>, reply: &mut Reply<'_>) -> Made {
    let path = match request.target {
        Target::Path { path, .. } => path,
        Target::Asterisk | Target::Authority => b"*",
    };
    let content = match (request.method, path) {
        (Method::Put, b"/keep") => match request.verdict.framing {
            Framing::Length(bytes) if bytes > KEEP_BYTES => {
                reply.status(Status::CONTENT_TOO_LARGE);
                Content::Page
            }
            Framing::None | Framing::Length(_) | Framing::Chunked => return Made::Store,
        },
        (Method::Get | Method::Head, b"/") => {
            reply.status(Status::OK);
            Content::File(5)
        }
        (Method::Get | Method::Head, b"/sized") => {
            reply.status(Status::OK);
            Content::Pieces(Some(5))
        }
        (Method::Get | Method::Head, b"/unsized") => {
            reply.status(Status::OK);
            Content::Pieces(None)
        }
        (Method::Get | Method::Head, b"/304") => {
            reply.status(Status::NOT_MODIFIED);
            Content::Nothing
        }
        (Method::Post | Method::Put, b"/in") => {
            reply.status(Status::OK);
            Content::Empty
        }
        (Method::Get | Method::Head, _) => {
            reply.status(Status::NOT_FOUND);
            Content::Page
        }
        (Method::Options, _) => {
            reply.status(Status::OK);
            reply.field("Allow", b"GET, HEAD, OPTIONS");
            Content::Empty
        }
        (Method::Post | Method::Put | Method::Delete | Method::Patch, _) => {
            reply.status(Status::METHOD_NOT_ALLOWED);
            reply.field("Allow", b"GET, HEAD, OPTIONS");
            Content::Page
        }
        (Method::Trace | Method::Connect | Method::Other, _) => {
            reply.status(Status::NOT_IMPLEMENTED);
            Content::Page
        }
    };
    Made::Answer(content)
}

/// The answer to a body that is kept: what it was.
fn kept(body: &[u8], reply: &mut Reply<'_>) -> Content {
    reply.status(Status::CREATED);
    reply.field("Kept", body.escape_ascii().to_string().as_bytes());
    Content::Empty
}

// ---- cases
// ---------------------------------------------------------------------------------------

#[derive(Default)]
struct Case {
    name: String,
    steps: Vec<(Vec<u8>, Vec<u8>)>,
    fin: bool,
    stepwise: bool,
    end: String,
}

impl Case {
    /// Its connection begins with a preface.
    fn preface(&self) -> bool {
        self.name.starts_with("preface: ")
    }

    fn input(&self) -> Vec<u8> {
        self.steps.iter().flat_map(|(i, _)| i.clone()).collect()
    }

    fn expected(&self) -> Vec<u8> {
        self.steps.iter().flat_map(|(_, e)| e.clone()).collect()
    }
}

/// `{N*text}` repeated, then escapes.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((n, body, behind)) = repeat(rest) {
            out.extend(bytes(body).repeat(n));
            rest = behind;
            continue;
        }
        let (byte, len) = match (first, rest.as_bytes().get(1)) {
            ('\\', Some(b'r')) => (Some(b'\r'), 2),
            ('\\', Some(b'n')) => (Some(b'\n'), 2),
            ('\\', Some(b't')) => (Some(b'\t'), 2),
            ('\\', Some(b'\\')) => (Some(b'\\'), 2),
            ('\\', Some(b'x')) => (u8::from_str_radix(&rest[2..4], 16).ok(), 4),
            _ => (None, first.len_utf8()),
        };
        match byte {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(&rest.as_bytes()[..len]),
        }
        rest = &rest[len..];
    }
    out
}

fn repeat(text: &str) -> Option<(usize, &str, &str)> {
    let (inside, behind) = text.strip_prefix('{')?.split_once('}')?;
    let (n, body) = inside.split_once('*')?;
    Some((n.parse().ok()?, body, behind))
}

/// The responses that have a name. In patterns `{n}` stands for a number and `{page}` for that many
/// bytes of a page that names the status.
fn expected(text: &str) -> Vec<u8> {
    let Some(name) = text.strip_prefix('@') else {
        return bytes(text);
    };
    let (what, how) = name.split_once(' ').unwrap_or((name, ""));
    if what.starts_with("kept") {
        let connection = match what {
            "kept" => "",
            "kept-alive" => "Connection: keep-alive\\r\\n",
            "kept-close" => "Connection: close\\r\\n",
            _ => panic!("what is {what:?}"),
        };
        return bytes(&format!(
            "HTTP/1.1 201 Created\\r\\nKept: {how}\\r\\n{connection}Content-Length: 0\\r\\n\\r\\n"
        ));
    }
    let connection = match (what, how) {
        ("hello" | "head" | "empty" | "304" | "options", "") | (_, "keep" | "head-keep") => "",
        (_, "keep-alive") => "Connection: keep-alive\\r\\n",
        (_, "" | "close" | "head-close") => "Connection: close\\r\\n",
        _ => panic!("what is {how:?}"),
    };
    let text = match what {
        "hello" => format!("HTTP/1.1 200 OK\\r\\n{connection}Content-Length: 5\\r\\n\\r\\nhello"),
        "head" => format!("HTTP/1.1 200 OK\\r\\n{connection}Content-Length: 5\\r\\n\\r\\n"),
        "empty" => format!("HTTP/1.1 200 OK\\r\\n{connection}Content-Length: 0\\r\\n\\r\\n"),
        "304" => format!("HTTP/1.1 304 Not Modified\\r\\n{connection}\\r\\n"),
        "options" => format!(
            "HTTP/1.1 200 OK\\r\\nAllow: GET, HEAD, OPTIONS\\r\\n{connection}\
             Content-Length: 0\\r\\n\\r\\n"
        ),
        code => {
            let phrase = match code {
                "400" => "Bad Request",
                "404" => "Not Found",
                "405" => "Method Not Allowed\\r\\nAllow: GET, HEAD, OPTIONS",
                "413" => "Content Too Large",
                "414" => "URI Too Long",
                "417" => "Expectation Failed",
                "431" => "Request Header Fields Too Large",
                "501" => "Not Implemented",
                "505" => "HTTP Version Not Supported",
                _ => panic!("what is {code:?}"),
            };
            let page = if how.starts_with("head") {
                ""
            } else {
                "{page}"
            };
            format!(
                "HTTP/1.1 {code} {phrase}\\r\\n{connection}\
                 Content-Type: text/html; charset=utf-8\\r\\n\
                 Content-Length: {{n}}\\r\\n\\r\\n{page}"
            )
        }
    };
    bytes(&text)
}

/// Whether `out` is what `pattern` says.
fn matches(out: &[u8], pattern: &[u8]) -> bool {
    let (mut out, mut pattern) = (out, pattern);
    let (mut n, mut code) = (0_usize, String::new());
    while !pattern.is_empty() {
        if pattern.starts_with(b"HTTP/1.1 ") {
            code = String::from_utf8_lossy(&pattern[9..12]).into_owned();
        }
        if let Some(rest) = pattern.strip_prefix(b"{n}") {
            let digits = out.iter().take_while(|b| b.is_ascii_digit()).count();
            n = String::from_utf8_lossy(&out[..digits]).parse().unwrap_or(0);
            (out, pattern) = (&out[digits..], rest);
        } else if let Some(rest) = pattern.strip_prefix(b"{page}") {
            let page = String::from_utf8_lossy(out.get(..n).unwrap_or_default());
            if !page.contains(&format!("<h1>{code} ")) || !page.ends_with("</h1>\n") {
                return false;
            }
            (out, pattern) = (&out[n..], rest);
        } else {
            if out.first() != pattern.first() {
                return false;
            }
            (out, pattern) = (&out[1..], &pattern[1..]);
        }
    }
    out.is_empty()
}

fn cases() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut cases: Vec<Case> = Vec::new();
    for path in paths {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut out = false;
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some(name) = line.strip_prefix("--- ") {
                let name = format!("{file}: {name}");
                cases.push(Case {
                    name,
                    ..Case::default()
                });
                continue;
            }
            let Some(case) = cases.last_mut().filter(|_| !line.starts_with('#')) else {
                continue;
            };
            match line.split_at(line.len().min(4)) {
                ("<<< ", text) => {
                    case.steps.push((bytes(text), Vec::new()));
                    out = false;
                }
                (">>> ", text) => {
                    case.steps.last_mut().unwrap().1.extend(expected(text));
                    out = true;
                }
                ("    ", text) => {
                    let step = case.steps.last_mut().unwrap();
                    match out {
                        true => step.1.extend(expected(text)),
                        false => step.0.extend(bytes(text)),
                    }
                }
                ("=== ", end) => end.clone_into(&mut case.end),
                ("fin", "") => case.fin = true,
                ("step", "s") => case.stepwise = true,
                ("", "") => {}
                _ => panic!("{}: what is {line:?}", case.name),
            }
        }
    }
    cases
}

/// Feeds `pieces` and compares what came out and how it ended.
fn run(case: &Case, pieces: &[&[u8]], how: &str) -> Result<(), String> {
    let mut wire = Wire::new(case.preface());
    for piece in pieces {
        wire.feed(piece);
    }
    let end = wire.finish(case.fin);
    if matches(&wire.sent, &case.expected()) && end == case.end {
        return Ok(());
    }
    let (name, wanted) = (&case.name, case.expected());
    let (sent, wanted) = (wire.sent.escape_ascii(), wanted.escape_ascii());
    Err(format!(
        "{name} ({how})\n  sent   {sent}\n  not    {wanted}\n  end    {end}, not {}\n",
        case.end
    ))
}

/// As written: what is sent after each piece of input.
fn run_steps(case: &Case) -> Result<(), String> {
    let mut wire = Wire::new(case.preface());
    for (input, expected) in &case.steps {
        wire.sent.clear();
        wire.feed(input);
        if !matches(&wire.sent, expected) {
            return Err(format!("{}: sent {}", case.name, wire.sent.escape_ascii()));
        }
    }
    let end = wire.finish(case.fin);
    if end == case.end {
        Ok(())
    } else {
        Err(format!("{}: end {end}", case.name))
    }
}

fn run_split(case: &Case) -> Result<(), String> {
    let input = case.input();
    run(case, &[&input], "whole")?;
    let len = input.len();
    // Long ones not at every byte: their ends, and now and then between.
    let telling = |at: &usize| len <= 1000 || at % 997 == 0 || at + 40 > len || *at < 64;
    for at in (1..len).filter(telling) {
        let (front, back) = input.split_at(at);
        run(case, &[front, back], &format!("split at {at}"))?;
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    run(case, &bytes, "byte by byte")
}

#[test]
fn every_case_is_answered_alike_however_it_is_split() {
    let cases = cases();
    assert!(cases.len() > 150, "only {} cases were found", cases.len());
    let mut failures = Vec::new();
    for case in cases {
        assert!(!case.end.is_empty(), "{} has no end", case.name);
        let outcome = if case.stepwise {
            run_steps(&case)
        } else {
            run_split(&case)
        };
        failures.extend(outcome.err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

// ---- mutations
// -----------------------------------------------------------------------------------

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const TELLING: &[u8] = b"\r\n\0 :;,\t0f\x7f\xff/?#*+-";
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let telling = TELLING[random.below(TELLING.len())];
        match random.below(6) {
            0 => bytes.insert(at, telling),
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 if !bytes.is_empty() => bytes[at] = telling,
            3 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            4 => bytes.truncate(at),
            _ => {
                let end = at + random.below(bytes.len() - at + 1);
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
}

#[test]
fn mutated_cases_end_defined_and_alike_however_they_are_split() {
    let seeds: Vec<(Vec<u8>, bool)> = cases()
        .iter()
        .map(|case| (case.input(), case.preface()))
        .filter(|(input, _)| input.len() < 600)
        .collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..20_000 {
        let (mut bytes, preface) = seeds[random.below(seeds.len())].clone();
        mutate(&mut bytes, &mut random);
        let mut whole = Wire::new(preface);
        whole.feed(&bytes);
        let mut halves = Wire::new(preface);
        let (front, back) = bytes.split_at(random.below(bytes.len()));
        halves.feed(front);
        halves.feed(back);
        let fin = random.below(2) == 0;
        let shown = bytes.escape_ascii().to_string();
        // A rest that came with its refused head is acknowledged, one that came later read off.
        let peace = |end: String| end.replace("drained", "acked");
        let ends = (peace(whole.finish(fin)), peace(halves.finish(fin)));
        assert_eq!(ends.0, ends.1, "round {round}: {shown}");
        // A 100 is sent only while the body has not begun to arrive.
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        let at = halves.sent.windows(25).position(|w| w == interim);
        if let Some(at) = at.filter(|_| !whole.sent.windows(25).any(|w| w == interim)) {
            halves.sent.drain(at..at + 25);
        }
        assert_eq!(
            whole.sent.escape_ascii().to_string(),
            halves.sent.escape_ascii().to_string(),
            "round {round}: {shown}"
        );
        let state = whole.connection.state();
        if fin {
            assert_eq!(state, State::Closed, "round {round}: {shown}");
        }
    }
}
