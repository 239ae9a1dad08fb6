//! What a strict server refuses and what it must take, over real sockets: one test for each family
//! of the public suites for HTTP/1.1 (h1spec and the differential ones), each with its RFC.
//!
//! `tests/wire` puts many more requests to the heart alone. Here a request arrives whole and in two
//! parts, a good one follows it on the same connection, and the kernel is in between: the status,
//! that nothing behind a refused request is answered, that the connection ends with a FIN, that no
//! send of the client fails, and that the next client is served.
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
use common::http::{Answer, answers};
use common::outside::rests;
use common::root::Root;
use common::server::Server;
use common::{End, Heard, eventually, hear};
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

/// In the other flavours a refused client that still sends may lose the answer; that is theirs.
const LINGERS: bool = matches!(BUILT, Teardown::Linger);
/// A good request that stands behind others.
const NEXT: &[u8] = b"GET / HTTP/1.1\r\nHost: next\r\n\r\n";
/// A good request, after which the client wants no more.
const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n";

/// A server with a page, and what is put to it.
struct Strict {
    server: Server,
    _root: Root,
}

impl Strict {
    fn new() -> Self {
        let root = Root::new();
        // Nothing here is to end by the clock, however slow this machine is.
        let keys = ["linger.idle_ms=20s", "timeout.head_ms=10m"];
        let server = Server::start(root.path(), &keys);
        Self {
            server,
            _root: root,
        }
    }

    /// Sends a part, and waits until the server has dealt with it.
    fn part(&self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes)?;
        let pid = self.server.pid();
        eventually("the part is dealt with", || rests(pid));
        Ok(())
    }

    /// Sends `bytes` in two parts, the second from `cut` on, and hears everything.
    fn say(&self, bytes: &[u8], cut: usize) -> (io::Result<()>, Heard) {
        let mut stream = self.server.connect();
        let (front, back) = bytes.split_at(cut);
        let mut said = Ok(());
        if !front.is_empty() {
            said = self.part(&mut stream, front);
        }
        let said = said.and_then(|()| stream.write_all(back));
        (said, hear(&mut stream))
    }

    /// Each of these is refused with `status`, and that is the end of its connection.
    fn refuses(&self, status: u16, requests: impl IntoIterator<Item = Vec<u8>>) {
        for request in requests {
            let bytes = [request.as_slice(), NEXT].concat();
            for cut in cuts(&request) {
                let shown = show(&request, cut);
                let (said, heard) = self.say(&bytes, cut);
                let (found, rest) = answers(&heard.bytes, false);
                if LINGERS {
                    said.unwrap_or_else(|error| panic!("a send failed: {error} {shown}"));
                    assert_eq!((heard.end, found.len()), (End::Fin, 1), "{found:?} {shown}");
                }
                assert!(rest.is_empty(), "{rest:?} {shown}");
                assert!(found.len() <= 1, "{found:?} {shown}");
                for answer in found {
                    assert_eq!((answer.status, answer.closes()), (status, true), "{shown}");
                }
            }
            self.server.serves_a_good_client();
        }
    }

    /// Each of these is answered with these statuses, and then so is a good request behind it.
    fn takes(&self, statuses: &[u16], requests: impl IntoIterator<Item = Vec<u8>>) {
        for request in requests {
            let bytes = [request.as_slice(), LAST].concat();
            for cut in cuts(&request) {
                let shown = show(&request, cut);
                let (said, heard) = self.say(&bytes, cut);
                said.unwrap_or_else(|error| panic!("a send failed: {error} {shown}"));
                let (found, rest) = answers(&heard.bytes, false);
                let got: Vec<u16> = found.iter().map(|answer| answer.status).collect();
                assert_eq!(got, [statuses, &[200]].concat(), "{shown}");
                assert!(rest.is_empty(), "{rest:?} {shown}");
                assert_eq!(heard.end, End::Fin, "{shown}");
                let closing = found.iter().filter(|answer| answer.closes()).count();
                assert!(closing == 1 && found.last().is_some_and(Answer::closes));
            }
        }
    }

    fn peace(self) {
        self.server.comes_home();
        self.server.stop();
    }
}

/// Where a request is cut: not at all, behind its first byte, in the middle, before its last byte.
fn cuts(request: &[u8]) -> [usize; 4] {
    let length = request.len();
    [0, 1, length / 2, length - 1]
}

fn show(request: &[u8], cut: usize) -> String {
    let front = &request[..request.len().min(120)];
    format!("cut at {cut}: {}", front.escape_ascii())
}

fn whole(requests: &[&[u8]]) -> Vec<Vec<u8>> {
    requests.iter().map(|request| request.to_vec()).collect()
}

/// A GET with one more field line.
fn with_field(line: &[u8]) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: h\r\n", line, b"\r\n\r\n"].concat()
}

fn with_fields(lines: &[&[u8]]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| with_field(line)).collect()
}

/// A GET with a chunked body.
fn chunked(body: &[u8]) -> Vec<u8> {
    [&with_field(b"Transfer-Encoding: chunked"), body].concat()
}

fn with_chunks(bodies: &[&[u8]]) -> Vec<Vec<u8>> {
    bodies.iter().map(|body| chunked(body)).collect()
}

/// A GET of another version than is usual.
fn of_version(version: &str) -> Vec<u8> {
    format!("GET / {version}\r\nHost: h\r\n\r\n").into_bytes()
}

// ---- the head -----------------------------------------------------------------------------------

/// RFC 9112 section 3: three words with one space between them, and nothing before them.
#[test]
fn the_request_line_is_three_words() {
    let strict = Strict::new();
    strict.refuses(
        400,
        whole(&[
            b" GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
            b"GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET\x0b/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET\xa0/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1 x\r\nHost: h\r\n\r\n",
            b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET HTTP/1.1\r\nHost: h\r\n\r\n",
            b"/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / \r\n\r\n",
            b"Extra lineGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"\xef\xbb\xbfGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"Host: h\r\n\r\n",
        ]),
    );
    strict.takes(
        &[200],
        whole(&[
            b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ]),
    );
    strict.peace();
}

/// RFC 9110 section 9.1: a method is a token with its own case; one that nobody knows is 501.
#[test]
fn methods_are_tokens_with_a_case() {
    let strict = Strict::new();
    let of = |method: &[u8]| [method, b" / HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    let unknown: [&[u8]; 6] = [b"get", b"Get", b"GETT", b"G", b"BREW", b"!#$%&'*+-.^_`|~1"];
    strict.takes(&[501], unknown.map(of));
    strict.takes(&[405], [&b"TRACE"[..], b"POST", b"DELETE"].map(of));
    let no_tokens: [&[u8]; 8] = [
        b"G(T",
        b"GET:",
        b"\"GET\"",
        b"GET\x00",
        b"G\xc3\x89T",
        b"\x7fGET",
        b"GE[T",
        b"G=\":<e>",
    ];
    strict.refuses(400, no_tokens.map(of));
    strict.refuses(400, [33, 9000, 200_000].map(|n| of(&b"M".repeat(n))));
    strict.peace();
}

/// RFC 9112 section 3.2: origin-form, absolute-form, asterisk-form; each for its methods.
#[test]
fn targets_have_one_of_their_forms() {
    let strict = Strict::new();
    let of = |target: &[u8]| [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    let good: [&[u8]; 6] = [
        b"/?",
        b"/?a=/../b?c&d=%",
        b"http://other.example/",
        b"HTTP://other.example:81/?q",
        b"https://[::1]:443",
        b"http://other.example?q",
    ];
    strict.takes(&[200], good.map(of));
    let bad: [&[u8]; 18] = [
        b"index.html",
        b"!",
        b"*",
        b"other.example:80",
        b"http:/x",
        b"http://",
        b"http:///x",
        b"http://user:secret@other.example/",
        b"ftp://other.example/",
        b"file:///etc/passwd",
        b"/#top",
        b"/\"",
        b"/<x>",
        b"/\xc3\xa4",
        b"/\x00",
        b"/\x1b[31m",
        b"/\x7f",
        b"http://a b/",
    ];
    strict.refuses(400, bad.map(of));
    strict.refuses(414, [4097, 100_000].map(|n| of(&b"/".repeat(n))));
    strict.peace();
}

/// RFC 9110 section 2.5 and RFC 9112 section 2.3: 1.x is served, other majors are 505, and what is
/// no version is 400, as are a request of HTTP/0.9 and bytes of other protocols.
#[test]
fn versions_and_other_protocols() {
    let strict = Strict::new();
    strict.takes(&[200], ["HTTP/1.1", "HTTP/1.2", "HTTP/1.9"].map(of_version));
    let majors = ["HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"];
    strict.refuses(505, majors.map(of_version));
    let garbage = [
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/11.1",
        "HTTP/1.10",
        "HTTP/1,1",
        "HTTP/+1.1",
        "HTTP/a.b",
        "http/1.1",
        "HTTP1.1",
        "HTTP/",
        "HTTPS/1.1",
        "ICY/1.1",
        "HTTP/1.1\0",
        "HTTP/\r\r1.1",
        "HTTP/1.\u{661}",
    ];
    strict.refuses(400, garbage.map(of_version));
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    strict.refuses(505, whole(&[preface]));
    let mut hello = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".to_vec();
    hello.extend([0xa5; 32]);
    hello.extend(b"\x00\x00\x02\x13\x01\x01\x00\x00\x99\x00\x2b\x00\x03\x02\x03\x04");
    hello.resize(205, 0);
    strict.refuses(400, [hello]);
    strict.refuses(
        400,
        whole(&[
            b"GET /\r\n",
            b"GET /\r\nHost: h\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x05\x01\x00\r\n",
            b"EHLO mail.example\r\n",
            b"\x00\x00\x00\x85\xffSMBr\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ]),
    );
    strict.peace();
}

/// RFC 9112 section 2.2: a line ends with CRLF; a bare LF and a bare CR are refused everywhere.
#[test]
fn lines_end_with_crlf() {
    let strict = Strict::new();
    strict.refuses(
        400,
        whole(&[
            b"GET / HTTP/1.1\nHost: h\n\n",
            b"GET / HTTP/1.1\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\n",
            b"GET / HTTP/1.1\rHost: h\r\r",
            b"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\rX: y\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: y\rHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n",
            b"GET /\nHTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET\r/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ]),
    );
    strict.peace();
}

/// RFC 9112 section 3.2: one Host, and a well-formed one. An empty one is allowed only for a target
/// without an authority, which no client of this server has: it is refused, too.
#[test]
fn host_is_one_and_well_formed() {
    let strict = Strict::new();
    let of = |lines: &[u8]| [b"GET / HTTP/1.1\r\n", lines, b"\r\n"].concat();
    let bad: [&[u8]; 16] = [
        b"",
        b"X-Host: h\r\n",
        b"Host:\r\n",
        b"Host: \t \r\n",
        b"Host: h\r\nHost: h\r\n",
        b"Host: h\r\nX: y\r\nhost: other\r\n",
        b"Host: h, other\r\n",
        b"Host: h other\r\n",
        b"Host: user@h\r\n",
        b"Host: http://h\r\n",
        b"Host: h/\r\n",
        b"Host: h:x\r\n",
        b"Host: h:-1\r\n",
        b"Host: [::1\r\n",
        b"Host: h\\x\r\n",
        b"Host: \xc3\xa4\r\n",
    ];
    strict.refuses(400, bad.map(of));
    let absolute = b"GET http://other.example/ HTTP/1.1\r\n\r\n";
    strict.refuses(400, whole(&[absolute]));
    let good: [&[u8]; 5] = [
        b"hOSt:\th\r\nempty:\r\n",
        b"Host:h:8080\r\n",
        b"Host: h:\r\n",
        b"Host: [2001:db8::1]:80\r\n",
        b"Host: 192.0.2.1\r\n",
    ];
    strict.takes(&[200], good.map(of));
    strict.peace();
}

/// RFC 9112 section 5.1 and RFC 9110 section 5.6.2: a name is a token with the colon behind it.
#[test]
fn field_names_are_tokens() {
    let strict = Strict::new();
    strict.refuses(
        400,
        with_fields(&[
            b"X : y",
            b"X\t: y",
            b"X\x0b: y",
            b": y",
            b"X",
            b"X y: z",
            b"X[]: y",
            b"X(y): z",
            b"X/y: z",
            b"\"X\": y",
            b"X@: y",
            b"X;: y",
            b"X=: y",
            b"X{: y",
            b"X\\: y",
            b"X,Y: z",
            b"\x00X: y",
            b"X\x00: y",
            b"X\x07: y",
            b"X\x7f: y",
            b"X\xff: y",
            b"\xefoo: y",
            b"\xc3\xa4: y",
            b"Content-Length : 5",
            b"Transfer-Encoding : chunked",
        ]),
    );
    let good: [&[u8]; 3] = [b"!#$%&'*+-.^_`|~09azAZ: y", b"X_Y: z", b"x:y"];
    strict.takes(&[200], with_fields(&good));
    strict.peace();
}

/// RFC 9110 section 5.5: visible characters, obs-text, and white space inside; no control but tab.
#[test]
fn field_values_hold_no_controls() {
    let strict = Strict::new();
    let control = |byte: u8| with_field(&[b'X', b':', b' ', b'a', byte, b'b']);
    let controls = (0..0x20).filter(|byte| !b"\t\n".contains(byte));
    strict.refuses(400, controls.chain([0x7f]).map(control));
    let good: [&[u8]; 6] = [
        b"X: a\tb  c",
        b"X: \xff\x80\xe4",
        b"X:",
        b"X: \t ",
        b"X: \"\\ ,;:=",
        b"X: GET / HTTP/1.1",
    ];
    strict.takes(&[200], with_fields(&good));
    strict.peace();
}

/// RFC 9112 section 5.2: a folded line is refused; so is white space before the first field, of
/// which section 2.2 speaks.
#[test]
fn folded_lines_are_refused() {
    let strict = Strict::new();
    strict.refuses(
        400,
        with_fields(&[
            b"X: a\r\n b",
            b"X: a\r\n\tb",
            b"X: a\r\n ",
            b"X:\r\n a",
            b"Transfer-Encoding:\r\n chunked",
            b"Content-Length: 1\r\n 0",
        ]),
    );
    strict.refuses(
        400,
        whole(&[
            b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
            b"GET / HTTP/1.1\r\n\tHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\n \r\nHost: h\r\n\r\n",
        ]),
    );
    strict.peace();
}

/// RFC 6585 section 5: a head has a bound in bytes and in fields, also one that never ends.
#[test]
fn long_heads_are_refused() {
    let strict = Strict::new();
    let field = |name: usize, value: usize| {
        let line = [b"N".repeat(name), b": ".to_vec(), b"v".repeat(value)];
        with_field(&line.concat())
    };
    let lengths = [(1, 9000), (9000, 1), (1, 300_000), (300_000, 1)];
    strict.refuses(431, lengths.map(|(name, value)| field(name, value)));
    let many = |n: usize| with_field(&b"X: y\r\n".repeat(n)[..6 * n - 2]);
    strict.refuses(431, [100, 1000, 20_000].map(many));
    strict.refuses(
        431,
        [chunked(&[b"0\r\n", &b"T: u\r\n".repeat(900)[..]].concat())],
    );
    strict.takes(&[200], [field(1, 8000), field(8000, 1)]);
    strict.takes(&[200], [23, 24, 99].map(many));
    strict.peace();
}

// ---- framing ------------------------------------------------------------------------------------

/// RFC 9112 section 6.3 and RFC 9110 section 8.6: `1*DIGIT`, once, that fits a number.
#[test]
fn a_length_is_one_number() {
    let strict = Strict::new();
    strict.refuses(
        400,
        with_fields(&[
            b"Content-Length: -1",
            b"Content-Length: -1234",
            b"Content-Length: -123456789123456789123456789",
            b"Content-Length: +5",
            b"Content-Length: abc",
            b"Content-Length:",
            b"Content-Length: 1 0",
            b"Content-Length: 1_0",
            b"Content-Length: 0x5",
            b"Content-Length: 5.0",
            b"Content-Length: 1e1",
            b"Content-Length: 5;",
            b"Content-Length: \"5\"",
            b"Content-Length: 5, 5",
            b"Content-Length: 5,",
            b"Content-Length: 5\r\nContent-Length: 5",
            b"Content-Length: 5\r\ncontent-length: 6",
            b"Content-Length: 0\r\nContent-Length: 0",
            b"Content-Length: \xb2",
            b"Content-Length: \xa05",
            b"Content-Length: 9223372036854775808",
            b"Content-Length: 18446744073709551615",
            b"Content-Length: 18446744073709551616",
            b"Content-Length: 18446744073709551621",
            b"Content-Length: 4294967296000000000000000000",
        ]),
    );
    // Numbers, but more than is read off for a GET.
    strict.refuses(
        413,
        with_fields(&[
            b"Content-Length: 65537",
            b"Content-Length: 4294967297",
            b"Content-Length: 9223372036854775807",
        ]),
    );
    let good: [&[u8]; 4] = [
        b"Content-Length: 0",
        b"Content-Length: 5\r\n\r\nhello",
        b"Content-Length: \t 005 \r\n\r\nhello",
        b"Content-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ];
    let exactly = good.map(|line| {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\n";
        let end: &[u8] = if line.ends_with(b"0") {
            b"\r\n\r\n"
        } else {
            b""
        };
        [head, line, end].concat()
    });
    strict.takes(&[200], exactly);
    strict.peace();
}

/// RFC 9112 sections 6.1 and 6.3: `chunked`, once, in HTTP/1.1, without a Content-Length.
#[test]
fn chunked_stands_alone() {
    let strict = Strict::new();
    let body = b"\r\n\r\n0\r\n\r\n";
    let with_body = |line: &[u8]| {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\n";
        [head, line, body].concat()
    };
    let bad: [&[u8]; 25] = [
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunkedx",
        b"Transfer-Encoding: chunke",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: ,chunked",
        b"Transfer-Encoding: chunked,",
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: \"chunked\"",
        b"Transfer-Encoding: 'chunked'",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\x0c",
        b"Transfer-Encoding: \xa0chunked",
        b"Transfer-Encoding: chunked\x85",
        b"Transfer-Encoding: chu\xe2\x84\xaaed",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nTransfer-Encoding: identity",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked",
    ];
    strict.refuses(400, bad.map(with_body));
    strict.refuses(501, [with_body(b"Transfer-Encoding: gzip, chunked")]);
    let old = b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    strict.refuses(400, whole(&[old]));
    let good: [&[u8]; 4] = [
        b"Transfer-Encoding: chunked",
        b"TRANSFER-ENCODING:CHUNKED",
        b"Transfer-Encoding: Chunked",
        b"Transfer-Encoding:\t chunked \t",
    ];
    strict.takes(&[200], good.map(with_body));
    strict.peace();
}

/// RFC 9112 section 7.1: hexadecimal digits, perhaps an extension, CRLF; content, CRLF.
#[test]
fn chunks_are_well_formed() {
    let strict = Strict::new();
    strict.refuses(
        400,
        with_chunks(&[
            b"\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"-2\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"0_5\r\nhello\r\n0\r\n\r\n",
            b"5_\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"\t5\r\nhello\r\n0\r\n\r\n",
            b"g\r\nhello\r\n0\r\n\r\n",
            b"5h\r\nhello\r\n0\r\n\r\n",
            b"5 5\r\nhello\r\n0\r\n\r\n",
            b"5.0\r\nhello\r\n0\r\n\r\n",
            b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
            b"5\x00\r\nhello\r\n0\r\n\r\n",
            b";a=b\r\nhello\r\n0\r\n\r\n",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\rhello\r\n0\r\n\r\n",
            b"5;a\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5;\x00\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"5\r\nhelloX\r\n0\r\n\r\n",
            b"5\r\nhell\r\n0\r\n\r\n",
            b"5\r\nhello\r\n\r\n0\r\n\r\n",
            b"0\n\r\n",
            b"0\r\n\n",
        ]),
    );
    strict.refuses(400, [chunked(&[b"5;", &b"x".repeat(9000)[..]].concat())]);
    // Sizes that are numbers, but more comes than is read off; one of them wraps in 32 bits.
    let sizes: [&[u8]; 4] = [
        b"10001",
        b"100000005",
        b"7FFFFFFFFFFFFFFF",
        b"FFFFFFFFFFFFFFFF",
    ];
    let content = b"x".repeat(70_000);
    let large = sizes.map(|size| chunked(&[size, b"\r\n", &content[..]].concat()));
    strict.refuses(413, large);
    let good: [&[u8]; 7] = [
        b"0\r\n\r\n",
        b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        b"0000000000000000\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"0005;a=b;c=\"d;e\"\r\nhello\r\n0;f\r\n\r\n",
        b"1b\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n0\r\n\r\n",
        b"A\r\n0\r\n\r\n12345\r\n0\r\n\r\n",
    ];
    strict.takes(&[200], with_chunks(&good));
    strict.peace();
}

/// RFC 9112 section 7.1.2: trailer fields are field lines, and mean nothing for the framing.
#[test]
fn trailers_are_field_lines() {
    let strict = Strict::new();
    strict.refuses(
        400,
        with_chunks(&[
            b"0\r\nT : u\r\n\r\n",
            b"0\r\n: u\r\n\r\n",
            b"0\r\nT\r\n\r\n",
            b"0\r\n T: u\r\n\r\n",
            b"0\r\nT: u\r\n v\r\n\r\n",
            b"0\r\nT: u\n\r\n",
            b"0\r\nT: u\r\n\n",
            b"0\r\nT: \x00\r\n\r\n",
            b"0\r\nT: u\rv\r\n\r\n",
        ]),
    );
    let good: [&[u8]; 4] = [
        b"0\r\nT: u\r\nV:\r\n\r\n",
        b"1\r\nx\r\n0\r\nContent-Length: 500\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    ];
    strict.takes(&[200], with_chunks(&good));
    strict.peace();
}

/// RFC 9110 section 10.1.1: nobody waits for a 100 without a body; another expectation is 417.
#[test]
fn an_expectation_needs_a_body() {
    let strict = Strict::new();
    let without = with_field(b"Expect: 100-continue");
    let sent =
        b"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello";
    let (said, heard) = strict.say(&[&sent[..], LAST].concat(), 0);
    said.unwrap();
    let (found, _) = answers(&heard.bytes, false);
    assert_eq!(found.len(), 2, "the body has come: {found:?}");
    strict.takes(&[200], [without]);
    let others: [&[u8]; 3] = [b"Expect: tea", b"Expect: 100-continue, tea", b"Expect: 100"];
    strict.refuses(417, with_fields(&others));
    strict.peace();
}

// ---- the stream ---------------------------------------------------------------------------------

/// RFC 9112 section 2.2: a message is a stream of bytes; where it is cut means nothing. Each part
/// of a request is waited behind, and only the whole is answered, once.
#[test]
fn fragments_are_waited_for() {
    let strict = Strict::new();
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for cut in 1..request.len() {
        let mut stream = strict.server.connect();
        strict.part(&mut stream, &request[..cut]).unwrap();
        stream.set_nonblocking(true).unwrap();
        let heard = stream.peek(&mut [0]).map_err(|error| error.kind());
        assert_eq!(heard, Err(ErrorKind::WouldBlock), "{}", show(request, cut));
        stream.set_nonblocking(false).unwrap();
        stream.write_all(&request[cut..]).unwrap();
        let heard = hear(&mut stream);
        let (found, rest) = answers(&heard.bytes, false);
        assert_eq!((found.len(), rest.len(), heard.end), (1, 0, End::Fin));
        assert_eq!(found[0].status, 200, "{}", show(request, cut));
    }
    // Byte by byte.
    let mut stream = strict.server.connect();
    for byte in request {
        strict.part(&mut stream, &[*byte]).unwrap();
    }
    let heard = hear(&mut stream);
    assert_eq!(
        (answers(&heard.bytes, false).0.len(), heard.end),
        (1, End::Fin)
    );
    drop(stream);
    strict.peace();
}

/// RFC 9112 section 9.3.2: requests of one connection are answered in order, each once, however
/// their bodies look.
#[test]
fn pipelines_are_answered_in_order() {
    let strict = Strict::new();
    let inside = chunked(b"1b\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n0\r\n\r\n");
    let mixed = [
        NEXT,
        b"GET /none HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n",
        NEXT,
        b"\r\n",
        &inside,
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    ];
    strict.takes(&[200, 404, 200, 405, 501, 200], [mixed.concat()]);
    strict.takes(&[200; 300], [NEXT.repeat(300)]);
    // What asked to be the last is; what stands behind it is not answered.
    let behind = [LAST, NEXT, b"POST / HTTP/1.1\r\nbad\r\n\r\n", NEXT].concat();
    let (said, heard) = strict.say(&behind, 0);
    let (found, _) = answers(&heard.bytes, false);
    if LINGERS {
        said.unwrap();
        assert_eq!((found.len(), heard.end), (1, End::Fin));
    }
    assert!(found.iter().all(|answer| answer.status == 200) && found.len() <= 1);
    strict.server.serves_a_good_client();
    strict.peace();
}
