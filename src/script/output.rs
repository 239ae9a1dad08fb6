//! What a script says before its content (RFC 3875 section 6).
//!
//! Owns the reading of that head, and which of its fields reach the wire. It must not read from a
//! pipe, nor know a request. Invariants: nothing that a script writes makes it panic or read beyond
//! what was given; whatever frames a message or speaks of a connection is never passed on; a head
//! that could be read in two ways is malformed.

use crate::connection::body::is_token;
use crate::connection::reply::{Reply, Status};

/// The smallest room in which a head is read, bytes; one that does not fit its room is no head.
pub const ROOM_MIN: usize = 2048;

/// Fields that are the connection's or the server's own: they are left out.
const OWN: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "http2-settings",
    "keep-alive",
    "status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Beginnings of names that are left out as well: for proxies, and for the server alone (RFC 3875
/// section 6.3.5).
const OWN_FRONTS: &[&str] = &["proxy-", "x-cgi-"];

/// Why a script's head is none; the answer is 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ended before its empty line.
    Cut,
    /// There is no field in it.
    Empty,
    /// A line without a colon, without a name before it, or with blanks around the name.
    Line,
    /// A line that begins with a blank (obs-fold of RFC 9112 section 5.2).
    Folded,
    /// A status line of its own (NPH).
    StatusLine,
    /// A control character in a value.
    Value,
    /// A status that is none, that is not final, or two.
    Status,
    /// A length that is none, or two different ones.
    Length,
    /// A coding of the transfer, which is not the script's matter.
    Coding,
    /// Two types, or content without one.
    Type,
    /// Two locations, or one that is neither a URI nor a path.
    Location,
    /// It does not fit the room, or the reply.
    TooLong,
}

impl Malformed {
    /// What is wrong, for a log.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cut => "it ends before its empty line",
            Self::Empty => "it has no field",
            Self::Line => "a line is no field",
            Self::Folded => "a line begins with a blank",
            Self::StatusLine => "it has a status line; write Status: 200",
            Self::Value => "a value has a control character",
            Self::Status => "its Status is none, not final, or there twice",
            Self::Length => "its Content-Length is none, or there twice",
            Self::Coding => "it has a Transfer-Encoding",
            Self::Type => "its content has no Content-Type, or two",
            Self::Location => "its Location is neither a URI nor a path, or there twice",
            Self::TooLong => "it is too long",
        }
    }
}

/// What has been said so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Said<'h> {
    /// Not all of the head, or not enough to know what it means: read more.
    More,
    /// The head is whole.
    Whole(Answer<'h>),
    /// It is no head.
    Malformed(Malformed),
}

/// What a whole head means. The reply has its status and its fields, without those that tell its
/// length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'h> {
    /// Bytes of the head, its empty line included; the content follows.
    pub head_bytes: usize,
    /// Bytes of the content, if they are known: the script has declared them, or there are none.
    /// Whatever comes beyond is not to be sent.
    pub content_bytes: Option<u64>,
    /// A path of this server, with its query, that is to be answered instead (a local redirect,
    /// RFC 3875 section 6.2.2). The reply is the same as a redirect of the client, 302, for whoever
    /// does not do that.
    pub local: Option<&'h [u8]>,
}

/// The head of one script's output, while it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// So many bytes were looked at, and hold no end of the head.
    seen: usize,
}

impl Output {
    /// Looks at all that the script has said so far: `said` grows at its end from call to call, and
    /// has `room` bytes at most. `ended`: nothing follows. Only of a whole head something stands in
    /// the reply.
    pub fn look<'h>(
        &mut self,
        said: &'h [u8],
        room: usize,
        ended: bool,
        reply: &mut Reply<'_>,
    ) -> Said<'h> {
        let Some(head_bytes) = self.head_bytes(said) else {
            return match (ended, said.len() >= room) {
                (true, _) => Said::Malformed(Malformed::Cut),
                (false, true) => Said::Malformed(Malformed::TooLong),
                (false, false) => Said::More,
            };
        };
        let (head, content) = said.split_at_checked(head_bytes).unwrap_or_default();
        let parts = match Parts::read(head) {
            Ok(parts) => parts,
            Err(malformed) => return Said::Malformed(malformed),
        };
        let known = parts.content_bytes();
        if parts.media_type.is_none() && known.is_none() && parts.local().is_none() {
            // Only content must have a type: whether there is some shows now.
            match (content.is_empty(), ended) {
                (false, _) => return Said::Malformed(Malformed::Type),
                (true, false) => return Said::More,
                (true, true) => {}
            }
        }
        let none = parts.media_type.is_none().then_some(0);
        parts.write(head, reply);
        if reply.overflowed() {
            return Said::Malformed(Malformed::TooLong);
        }
        Said::Whole(Answer {
            head_bytes,
            content_bytes: known.or(none),
            local: parts.local(),
        })
    }

    /// Bytes of the head with its empty line, once that is there.
    fn head_bytes(&mut self, said: &[u8]) -> Option<usize> {
        let mut from = self.seen;
        while let Some(rest) = said.get(from..) {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                break;
            };
            let after = from.saturating_add(end).saturating_add(1);
            let line = said.get(self.seen..after).unwrap_or_default();
            if matches!(line, b"\n" | b"\r\n") {
                return Some(after);
            }
            // The next line begins here.
            self.seen = after;
            from = after;
        }
        None
    }
}

/// The fields that mean something to the server.
#[derive(Clone, Copy, Debug, Default)]
struct Parts<'h> {
    status: Option<Status>,
    length: Option<u64>,
    media_type: Option<&'h [u8]>,
    location: Option<&'h [u8]>,
    fields: usize,
}

impl<'h> Parts<'h> {
    fn read(head: &'h [u8]) -> Result<Self, Malformed> {
        let mut parts = Self::default();
        for line in lines(head) {
            let (name, value) = field(line)?;
            parts.fields += 1;
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("status") {
                let status = status(value).ok_or(Malformed::Status)?;
                once(&mut parts.status, status, Malformed::Status)?;
            } else if is("content-length") {
                let length = number(value).ok_or(Malformed::Length)?;
                if parts.length.is_some_and(|before| before != length) {
                    return Err(Malformed::Length);
                }
                parts.length = Some(length);
            } else if is("content-type") {
                if value.is_empty() {
                    return Err(Malformed::Type);
                }
                once(&mut parts.media_type, value, Malformed::Type)?;
            } else if is("location") {
                if !is_location(value) {
                    return Err(Malformed::Location);
                }
                once(&mut parts.location, value, Malformed::Location)?;
            } else if is("transfer-encoding") && !value.eq_ignore_ascii_case(b"identity") {
                return Err(Malformed::Coding);
            }
        }
        match parts.fields {
            0 => Err(Malformed::Empty),
            _ => Ok(parts),
        }
    }

    /// The path of a local redirect: a location that is a path, and nothing beside it.
    fn local(&self) -> Option<&'h [u8]> {
        let path = self.location.filter(|_| self.fields == 1)?;
        let is_path = path.starts_with(b"/") && !path.starts_with(b"//") && !path.contains(&b'#');
        is_path.then_some(path)
    }

    fn status(&self) -> Status {
        let moved = self.location.map(|_| Status::FOUND);
        self.status.or(moved).unwrap_or(Status::OK)
    }

    /// Bytes of the content, as far as the head tells.
    fn content_bytes(&self) -> Option<u64> {
        let none = matches!(
            self.status(),
            Status::NO_CONTENT | Status::RESET_CONTENT | Status::NOT_MODIFIED
        );
        let none = none || self.local().is_some();
        none.then_some(0).or(self.length)
    }

    fn write(&self, head: &[u8], reply: &mut Reply<'_>) {
        reply.status(self.status());
        for (name, value) in lines(head).filter_map(|line| field(line).ok()) {
            // A token is ASCII.
            let name = std::str::from_utf8(name).unwrap_or_default();
            let front = |front: &&str| {
                let start = name.as_bytes().get(..front.len()).unwrap_or_default();
                start.eq_ignore_ascii_case(front.as_bytes())
            };
            let own = OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
            if !own && !OWN_FRONTS.iter().any(front) {
                reply.field(name, value);
            }
        }
    }
}

/// The lines of a head, without their ends and without the empty one.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.take_while(|line| !line.is_empty())
}

/// Name and value of a line.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Malformed::Folded);
    }
    if line
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP/"))
    {
        return Err(Malformed::StatusLine);
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, rest) = line
        .split_at_checked(colon.unwrap_or(0))
        .unwrap_or_default();
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(Malformed::Line);
    }
    let value = rest.get(1..).unwrap_or_default();
    if value
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(Malformed::Value);
    }
    Ok((name, value.trim_ascii()))
}

fn once<T>(place: &mut Option<T>, value: T, twice: Malformed) -> Result<(), Malformed> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice),
    }
}

/// `404`, `404 Not Found`: a final status. The reason is for people, and HTTP has its own.
fn status(value: &[u8]) -> Option<Status> {
    let (digits, reason) = value.split_at_checked(3)?;
    let code = number(digits)?;
    let ends = reason.is_empty() || reason.starts_with(b" ");
    Status::of(u16::try_from(code).ok()?).filter(|_| ends)
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    text.parse().ok()
}

/// A path from `/` on or a URI, of bytes that a URI can hold.
fn is_location(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\');
    if !value.iter().all(plain) {
        return false;
    }
    let colon = value.iter().position(|byte| *byte == b':').unwrap_or(0);
    let scheme = value.get(..colon).unwrap_or_default();
    let mut rest = scheme.iter();
    let letter = rest.next().is_some_and(u8::is_ascii_alphabetic);
    let named = rest.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    value.starts_with(b"/") || (letter && named && value.len() > colon + 1)
}

#[cfg(test)]
mod tests;
