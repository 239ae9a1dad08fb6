//! One GET, for a server of our own.
//!
//! Owns the request, the reading of the answer within its bounds, and its framing (RFC 9112 section
//! 6.3). It must not follow redirects or ask twice. Invariants: everything together ends by one
//! deadline, but for what the system takes to look a name up; at most [`ANSWER_BYTES`] are kept.

use super::place::{Place, To};
use crate::config::status::Form;
use crate::sys::clock::monotonic_ms;
use crate::sys::socket::connect_unix;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest answer: some twenty times what a server says.
const ANSWER_BYTES: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) cure: &'static str,
}

impl Fault {
    fn new(what: impl Into<String>, cure: &'static str) -> Self {
        let what = what.into();
        Self { what, cure }
    }
}

fn late() -> Fault {
    let cure = "look whether the server lives, or give it longer with -t";
    Fault::new("it does not answer in time", cure)
}

/// What an error on the way means.
fn broken(error: &io::Error) -> Fault {
    if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) {
        return late();
    }
    let what = format!("the connection broke: {error}");
    Fault::new(what, "look into the log of the server")
}

/// When there is no more time.
#[derive(Clone, Copy)]
struct Deadline(u64);

impl Deadline {
    fn left(self) -> Result<Duration, Fault> {
        match self.0.saturating_sub(monotonic_ms()) {
            0 => Err(late()),
            ms => Ok(Duration::from_millis(ms)),
        }
    }
}

/// A connection, of either kind.
trait Stream: Read + Write {
    fn bound(&self, left: Duration) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn bound(&self, left: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(left))?;
        self.set_write_timeout(Some(left))
    }
}

impl Stream for TcpStream {
    fn bound(&self, left: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(left))?;
        self.set_write_timeout(Some(left))
    }
}

/// The status in this form.
pub(super) fn ask(place: &Place, form: Form, timeout_s: u32) -> Result<Vec<u8>, Fault> {
    let deadline = Deadline(monotonic_ms().saturating_add(u64::from(timeout_s) * 1000));
    let mut stream: Box<dyn Stream> = match &place.to {
        To::Unix(path) => Box::new(unix(path)?),
        To::Tcp(host, port) => Box::new(tcp(host, *port, deadline)?),
    };
    let mut all = Form::ALL.iter();
    let name = all
        .find(|(one, _)| *one == form)
        .map_or("", |(_, name)| name);
    let (path, host) = (&place.path, place.host());
    let request = format!(
        "GET {path}{name} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         User-Agent: adieu-status\r\n\r\n"
    );
    let told = stream.bound(deadline.left()?);
    told.and_then(|()| stream.write_all(request.as_bytes()))
        .map_err(|error| broken(&error))?;
    let mut answer = Vec::new();
    let mut room = [0; 8192];
    loop {
        stream
            .bound(deadline.left()?)
            .map_err(|error| broken(&error))?;
        let count = match stream.read(&mut room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.map_err(|error| broken(&error))?,
        };
        answer.extend_from_slice(room.get(..count).unwrap_or_default());
        if answer.len() > ANSWER_BYTES {
            return Err(strange("its answer is longer than 1 MiB"));
        }
        if let Some(content) = content(&answer, count == 0)? {
            return Ok(content);
        }
        if count == 0 {
            return Err(strange("its answer is cut off"));
        }
    }
}

fn strange(what: impl Into<String>) -> Fault {
    Fault::new(what, "look whether an adieu of this version listens there")
}

fn unix(path: &Path) -> Result<UnixStream, Fault> {
    let connected = connect_unix(path).and_then(|fd| {
        let stream = UnixStream::from(fd);
        stream.set_nonblocking(false)?;
        Ok(stream)
    });
    connected.map_err(|error| {
        let known = [
            (
                ErrorKind::NotFound,
                "there is no socket",
                "look at status.socket of the server, and whether it was started with it",
            ),
            (
                ErrorKind::ConnectionRefused,
                "nobody listens there",
                "look whether the server lives",
            ),
            (
                ErrorKind::PermissionDenied,
                "you may not",
                "ask as the user that started the server, or set status.socket_mode",
            ),
            (ErrorKind::WouldBlock, "too many ask already", "try again"),
        ];
        let mut known = known.into_iter();
        match known.find(|(kind, ..)| *kind == error.kind()) {
            Some((_, what, cure)) => Fault::new(what, cure),
            None => Fault::new(format!("cannot connect: {error}"), "name another socket"),
        }
    })
}

fn tcp(host: &str, port: u16, deadline: Deadline) -> Result<TcpStream, Fault> {
    let cure = "look whether the server lives, and at listen.address";
    let addresses = (host, port).to_socket_addrs();
    let addresses =
        addresses.map_err(|error| Fault::new(format!("{host} is unknown: {error}"), cure))?;
    let mut last = Fault::new("the host has no address", cure);
    for address in addresses {
        match TcpStream::connect_timeout(&address, deadline.left()?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Fault::new(format!("cannot connect: {error}"), cure),
        }
    }
    Err(last)
}

/// The content, once it is whole. `over`: nothing more comes.
fn content(answer: &[u8], over: bool) -> Result<Option<Vec<u8>>, Fault> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match answer.len() > 65_536 {
            true => Err(strange("it does not speak HTTP")),
            false => Ok(None),
        };
    };
    let (head, body) = answer.split_at_checked(end + 4).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| digits.parse::<u16>().ok());
    match status {
        Some(200) => {}
        Some(code) => return Err(refusal(code)),
        None => return Err(strange("it does not speak HTTP")),
    }
    let value = |name: &str| {
        let mut fields = lines.clone().filter_map(|line| line.split_once(':'));
        let field = fields.find(|(n, _)| n.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.trim())
    };
    if let Some(coding) = value("transfer-encoding") {
        return match coding.eq_ignore_ascii_case("chunked") {
            true => chunks(body),
            false => Err(strange("its answer is framed in an unknown way")),
        };
    }
    match value("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => Ok(body.get(..length).map(<[u8]>::to_vec)),
        Some(Err(_)) => Err(strange("its answer has no sound length")),
        None => Ok(over.then(|| body.to_vec())),
    }
}

fn refusal(code: u16) -> Fault {
    let cure = match code {
        401 => "a password is wanted there: ask by status.socket",
        403 | 404 => "look at status.path and status.allow of the server, or ask by status.socket",
        503 => "others ask already: try again",
        _ => "look into the log of the server",
    };
    Fault::new(format!("it answers with {code}"), cure)
}

/// The content of chunks (RFC 9112 section 7.1), once the last one is there.
fn chunks(mut body: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let mut content = Vec::new();
    loop {
        let Some(end) = body.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = body.get(..end).unwrap_or_default();
        let digits = line.split(|b| *b == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let size = usize::from_str_radix(digits, 16);
        let size = size.ok().filter(|n| plain && *n <= ANSWER_BYTES);
        let Some(size) = size else {
            return Err(strange("its answer has a bad chunk"));
        };
        if size == 0 {
            return Ok(Some(content));
        }
        let from = end + 2;
        let Some(chunk) = body.get(from..from + size) else {
            return Ok(None);
        };
        content.extend_from_slice(chunk);
        body = match body.get(from + size..) {
            Some([b'\r', b'\n', rest @ ..]) => rest,
            Some([] | [b'\r']) | None => return Ok(None),
            Some(_) => return Err(strange("its answer has a bad chunk")),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answer: &str, over: bool) -> Result<Option<String>, String> {
        let content = content(answer.as_bytes(), over).map_err(|fault| fault.what)?;
        Ok(content.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn an_answer_is_whole_when_its_framing_says_so() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       5;x=y\r\nhello\r\na\r\n, world it\r\n0\r\n";
        for end in 0..chunked.len() - 3 {
            assert_eq!(of(&chunked[..end], false), Ok(None), "{end}");
        }
        assert_eq!(of(chunked, false), Ok(Some("hello, world it".to_owned())));
        let sized = "HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabcd";
        assert_eq!(of(sized, false), Ok(Some("abc".to_owned())));
        assert_eq!(of(&sized[..sized.len() - 2], true), Ok(None));
        let closed = "HTTP/1.0 200 OK\r\n\r\nabc";
        assert_eq!(of(closed, false), Ok(None));
        assert_eq!(of(closed, true), Ok(Some("abc".to_owned())));
    }

    #[test]
    fn what_is_no_answer_is_said_so() {
        for (answer, what) in [
            ("SSH-2.0-x\r\n\r\n", "it does not speak HTTP"),
            ("HTTP/1.1 20\r\n\r\n", "it does not speak HTTP"),
            ("HTTP/1.1 404 Not Found\r\n\r\n", "it answers with 404"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                "its answer is framed in an unknown way",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                "its answer has no sound length",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\n",
                "its answer has a bad chunk",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
                "its answer has a bad chunk",
            ),
        ] {
            assert_eq!(of(answer, false), Err(what.to_owned()), "{answer}");
        }
        let long = "x".repeat(70_000);
        assert_eq!(of(&long, false), Err("it does not speak HTTP".to_owned()));
    }
}
