//! A whole head becomes a [`Request`] or a [`Reject`].
//!
//! Owns httparse and what RFC 9112 adds to it: request line, target, Host, framing verdict,
//! keep-alive, Expect. It must not answer and keeps nothing between calls.

use super::body::is_token;
use super::head::{Field, Framing, Method, Request, Target, Verdict, Version, is_plain};
use super::limits::Limits;
use super::reason::Reject;
use super::scan::{find_line_end, word};

/// Reads a whole head, as [`super::head::Found::Whole`] delimited it.
///
/// # Errors
/// Every [`Reject`] of a head; the connection ends with it.
pub fn parse<'a>(
    head: &'a [u8],
    fields: &'a mut [Field<'a>],
    limits: &Limits,
) -> Result<Request<'a>, Reject> {
    let blank = head
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count();
    let rest = head.get(blank..).unwrap_or_default();
    let (line, section) = split_line(rest).ok_or(Reject::BadRequestLine)?;
    let (method, rest) = word(line);
    let (target, rest) = word(rest.ok_or(Reject::BadRequestLine)?);
    // A third space would stand in the version, where none may.
    let version = read_version(rest.ok_or(Reject::BadRequestLine)?)?;
    let method = read_method(method)?;

    let room = fields.len().min(usize::from(limits.fields));
    let fields = fields.get_mut(..room).ok_or(Reject::HeadTooLarge)?;
    let fields = match httparse::parse_headers(section, fields) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(Reject::HeadTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Reject::BadField),
    };
    let (target, authority) = read_target(method, target)?;
    let told = Told::by(fields, limits);
    let host = read_host(version, told.host, authority)?;
    let framing = read_framing(version, told.length, told.coding)?;
    let verdict = Verdict {
        head_bytes: head.len(),
        framing,
        version,
        keep: told.persists(version),
        head_only: method == Method::Head,
        expects_continue: told.expects(version)?,
    };
    Ok(Request {
        line,
        method,
        target,
        host,
        fields,
        verdict,
    })
}

/// The line at the front without its end, and what stands behind that.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = find_line_end(bytes)?;
    let line = bytes.get(..end)?.strip_suffix(b"\r")?;
    Some((line, bytes.get(end + 1..)?))
}

fn read_version(version: &[u8]) -> Result<Version, Reject> {
    match version {
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            // 1.1; a higher minor of the same major is served as the highest known (RFC 9110
            // section 2.5).
            if *major == b'1' {
                Ok(Version::Http11)
            } else {
                Err(Reject::UnknownVersion)
            }
        }
        _ => Err(Reject::BadRequestLine),
    }
}

fn read_method(method: &[u8]) -> Result<Method, Reject> {
    Ok(match method {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"OPTIONS" => Method::Options,
        b"POST" => Method::Post,
        b"PUT" => Method::Put,
        b"DELETE" => Method::Delete,
        b"PATCH" => Method::Patch,
        b"TRACE" => Method::Trace,
        b"CONNECT" => Method::Connect,
        [] => return Err(Reject::BadRequestLine),
        name if name.iter().all(|b| is_token(*b)) => Method::Other,
        _ => return Err(Reject::BadRequestLine),
    })
}

/// The target and, in absolute-form and authority-form, its authority (RFC 9112 section 3.2).
fn read_target(method: Method, target: &[u8]) -> Result<(Target<'_>, Option<&[u8]>), Reject> {
    // Visible ASCII without what RFC 3986 excludes and nobody sends raw; a fragment never travels.
    let visible = |b: &u8| matches!(b, b'!'..=b'~') && !matches!(b, b'"' | b'<' | b'>' | b'#');
    if target.is_empty() || !target.iter().all(visible) {
        return Err(Reject::BadTarget);
    }
    if method == Method::Connect {
        return Ok((Target::Authority, Some(target)));
    }
    if target == b"*" {
        return match method {
            Method::Options => Ok((Target::Asterisk, None)),
            Method::Get
            | Method::Head
            | Method::Post
            | Method::Put
            | Method::Delete
            | Method::Patch
            | Method::Trace
            | Method::Connect
            | Method::Other => Err(Reject::BadTarget),
        };
    }
    if target.first() == Some(&b'/') {
        return Ok((split_query(target), None));
    }
    let rest = strip_scheme(target).ok_or(Reject::BadTarget)?;
    let end = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).ok_or(Reject::BadTarget)?;
    let target = match (rest.first(), method) {
        (None, Method::Options) => Target::Asterisk, // RFC 9112 section 3.2.4
        (Some(b'/'), _) => split_query(rest),
        (_, _) => Target::Path {
            path: b"/",
            query: rest.get(1..),
        },
    };
    Ok((target, Some(authority)))
}

fn split_query(target: &[u8]) -> Target<'_> {
    match target.iter().position(|b| *b == b'?') {
        Some(at) => Target::Path {
            path: target.get(..at).unwrap_or_default(),
            query: target.get(at + 1..),
        },
        None => Target::Path {
            path: target,
            query: None,
        },
    }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find_map(|scheme| {
            let (front, rest) = target.split_at_checked(scheme.len())?;
            front.eq_ignore_ascii_case(scheme).then_some(rest)
        })
}

/// Exactly one valid Host in HTTP/1.1; an authority in the target replaces it (RFC 9112 section
/// 3.2.2).
fn read_host<'a>(
    version: Version,
    host: Once<'a>,
    authority: Option<&'a [u8]>,
) -> Result<&'a [u8], Reject> {
    let host = match (host, version) {
        (Once::One(host), _) if is_host(host) => host,
        (Once::None, Version::Http10) => b"",
        (_, _) => return Err(Reject::BadHost),
    };
    match authority {
        Some(authority) if is_host(authority) => Ok(authority),
        Some(_) => Err(Reject::BadTarget),
        None => Ok(host),
    }
}

/// `uri-host [":" port]`, not empty, without user information (RFC 9110 section 7.2).
fn is_host(host: &[u8]) -> bool {
    let name_byte = |b: &u8| is_plain(*b) || *b == b'%';
    let literal_byte = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'%' | b'v');
    let (name, port) = match host {
        [b'[', literal @ ..] => match front(literal, literal_byte) {
            (name, [b']', port @ ..]) => (name, port),
            (_, _) => return false,
        },
        _ => front(host, name_byte),
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !name.is_empty() && port_fits
}

/// The bytes at the front that are `meant`, and what stands behind them.
fn front(bytes: &[u8], meant: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| !meant(b));
    let end = end.unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or_default()
}

/// RFC 9112 section 6.3, with nothing forgiven: two framings, a repeated, listed, signed or spaced
/// length, and any coding but a single `chunked` are refused.
fn read_framing(version: Version, length: Once<'_>, coding: Once<'_>) -> Result<Framing, Reject> {
    match (length, coding, version) {
        (Once::None, Once::None, _) => Ok(Framing::None),
        (Once::One(length), Once::None, _) => match read_length(length) {
            Some(0) => Ok(Framing::None),
            Some(length) => Ok(Framing::Length(length)),
            None => Err(Reject::BadFraming),
        },
        (Once::None, Once::One(coding), Version::Http11) => {
            if coding.eq_ignore_ascii_case(b"chunked") {
                return Ok(Framing::Chunked);
            }
            Err(bad_coding(coding))
        }
        (_, _, _) => Err(Reject::BadFraming),
    }
}

/// Codings before a final `chunked` are ours not to know: 501 (RFC 9112 section 6.1). Without a
/// final `chunked`, or with two, nobody knows where the body ends: 400 (section 6.3).
fn bad_coding(coding: &[u8]) -> Reject {
    let is_chunked = |c: &[u8]| c.eq_ignore_ascii_case(b"chunked");
    let chunked = list(coding).filter(|c| is_chunked(c)).count();
    let ends_chunked = list(coding).last().is_some_and(is_chunked);
    if ends_chunked && chunked == 1 && list(coding).count() > 1 {
        Reject::UnknownCoding
    } else {
        Reject::BadFraming
    }
}

/// `1*DIGIT` that fits 63 bits: no sign, no space, no list.
fn read_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, b| {
        let digit = char::from(*b).to_digit(10)?;
        let sum = sum.checked_mul(10)?.checked_add(u64::from(digit))?;
        (sum <= u64::MAX / 2).then_some(sum)
    })
}

/// The value of a field that may come once.
#[derive(Clone, Copy, Debug, Default)]
enum Once<'a> {
    #[default]
    None,
    One(&'a [u8]),
    More,
}

impl<'a> Once<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::None => Self::One(value),
            Self::One(_) | Self::More => Self::More,
        };
    }
}

/// What the field lines say that matters to the connection, read in one pass: nothing is judged
/// here.
#[derive(Clone, Copy, Debug, Default)]
struct Told<'a> {
    host: Once<'a>,
    length: Once<'a>,
    coding: Once<'a>,
    /// Options of Connection.
    close: bool,
    keep_alive: bool,
    /// Members of Expect: `100-continue`, and others.
    waits: bool,
    demands: bool,
    /// `limits.keepalive_off_agents` names its User-Agent.
    agent_is_off: bool,
}

impl<'a> Told<'a> {
    fn by(fields: &[Field<'a>], limits: &Limits) -> Self {
        let mut told = Self::default();
        for Field { name, value } in fields {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("host") {
                told.host.add(value);
            } else if is("user-agent") {
                let mut off = limits.keepalive_off_agents.iter();
                told.agent_is_off |= off.any(|prefix| value.starts_with(prefix));
            } else if is("connection") {
                for option in list(value) {
                    told.close |= option.eq_ignore_ascii_case(b"close");
                    told.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is("content-length") {
                told.length.add(value);
            } else if is("transfer-encoding") {
                told.coding.add(value);
            } else if is("expect") {
                for member in list(value) {
                    let waits = member.eq_ignore_ascii_case(b"100-continue");
                    told.waits |= waits;
                    told.demands |= !waits;
                }
            }
        }
        told
    }

    /// Whether the client is one to be kept (RFC 9112 section 9.3); `limits.keepalive` is seen to
    /// where it is answered, for a client that is sent away unasked may have sent more.
    fn persists(&self, version: Version) -> bool {
        let wanted = !self.close && (version == Version::Http11 || self.keep_alive);
        wanted && !self.agent_is_off
    }

    /// `Expect: 100-continue`; HTTP/1.0 has none (RFC 9110 section 10.1.1).
    fn expects(&self, version: Version) -> Result<bool, Reject> {
        match version {
            Version::Http10 => Ok(false),
            Version::Http11 if self.demands => Err(Reject::UnknownExpectation),
            Version::Http11 => Ok(self.waits),
        }
    }
}

/// The members of a comma-separated list, trimmed, empty ones left out (RFC 9110 section 5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}
