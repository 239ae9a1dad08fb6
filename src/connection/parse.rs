//! A whole head becomes a [`Request`] or a [`Reject`].
//!
//! Owns httparse and what RFC 9112 adds to it: request line, target, Host, framing verdict,
//! keep-alive, Expect. It must not answer and keeps nothing between calls.

use super::body::is_token;
use super::head::{Field, Framing, Method, Request, Target, Verdict, Version, is_plain};
use super::limits::Limits;
use super::reason::Reject;

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
    let line_bytes = rest
        .iter()
        .position(|b| *b == b'\r')
        .ok_or(Reject::BadRequestLine)?;
    let (line, rest) = rest
        .split_at_checked(line_bytes)
        .ok_or(Reject::BadRequestLine)?;
    let section = rest.get(2..).ok_or(Reject::BadRequestLine)?;

    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Reject::BadRequestLine);
    };
    let version = read_version(version)?;
    let method_name = method;
    let method = read_method(method_name)?;

    let room = fields.len().min(usize::from(limits.fields));
    let fields = fields.get_mut(..room).ok_or(Reject::HeadTooLarge)?;
    let fields = match httparse::parse_headers(section, fields) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(Reject::HeadTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Reject::BadField),
    };
    let (target, authority) = read_target(method, target)?;
    let host = read_host(version, fields, authority)?;
    let framing = read_framing(version, fields)?;
    let verdict = Verdict {
        head_bytes: head.len(),
        framing,
        version,
        keep: persists(version, fields, limits),
        head_only: method == Method::Head,
        expects_continue: read_expect(version, fields)?,
    };
    Ok(Request {
        method,
        target,
        host,
        fields,
        verdict,
    })
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
    fields: &[Field<'a>],
    authority: Option<&'a [u8]>,
) -> Result<&'a [u8], Reject> {
    let mut hosts = named(fields, "host");
    let host = match (hosts.next(), hosts.next(), version) {
        (Some(host), None, _) if is_host(host) => host,
        (None, _, Version::Http10) => b"",
        (_, _, _) => return Err(Reject::BadHost),
    };
    match authority {
        Some(authority) if is_host(authority) => Ok(authority),
        Some(_) => Err(Reject::BadTarget),
        None => Ok(host),
    }
}

/// `uri-host [":" port]`, not empty, without user information (RFC 9110 section 7.2).
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.first() {
        Some(b'[') => match host.iter().position(|b| *b == b']') {
            Some(end) => (host.get(1..end), host.get(end + 1..)),
            None => return false,
        },
        _ => {
            let end = host.iter().position(|b| *b == b':').unwrap_or(host.len());
            (host.get(..end), host.get(end..))
        }
    };
    let name_byte = |b: &u8| is_plain(*b) || *b == b'%';
    let literal_byte = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'%' | b'v');
    let name_fits = match (host.first(), name) {
        (Some(b'['), Some(name)) => !name.is_empty() && name.iter().all(literal_byte),
        (_, Some(name)) => !name.is_empty() && name.iter().all(name_byte),
        (_, None) => false,
    };
    let port_fits = match port {
        Some([]) | None => true,
        Some([b':', digits @ ..]) => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    name_fits && port_fits
}

/// RFC 9112 section 6.3, with nothing forgiven: two framings, a repeated, listed, signed or spaced
/// length, and any coding but a single `chunked` are refused.
fn read_framing(version: Version, fields: &[Field<'_>]) -> Result<Framing, Reject> {
    let mut lengths = named(fields, "content-length");
    let mut codings = named(fields, "transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err(Reject::BadFraming),
        (Some(length), None) => {
            if lengths.next().is_some() {
                return Err(Reject::BadFraming);
            }
            match read_length(length).ok_or(Reject::BadFraming)? {
                0 => Ok(Framing::None),
                length => Ok(Framing::Length(length)),
            }
        }
        (None, Some(coding)) => {
            if version == Version::Http10 || codings.next().is_some() {
                return Err(Reject::BadFraming);
            }
            if coding.eq_ignore_ascii_case(b"chunked") {
                return Ok(Framing::Chunked);
            }
            Err(bad_coding(coding))
        }
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

/// `Expect: 100-continue`; HTTP/1.0 has none (RFC 9110 section 10.1.1).
fn read_expect(version: Version, fields: &[Field<'_>]) -> Result<bool, Reject> {
    if version == Version::Http10 {
        return Ok(false);
    }
    let mut expects = false;
    for value in named(fields, "expect").flat_map(list) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Reject::UnknownExpectation);
        }
        expects = true;
    }
    Ok(expects)
}

/// Whether the client is one to be kept (RFC 9112 section 9.3); `limits.keepalive` is seen to where
/// it is answered, for a client that is sent away unasked may have sent more.
fn persists(version: Version, fields: &[Field<'_>], limits: &Limits) -> bool {
    let mut close = false;
    let mut keep_alive = false;
    for option in named(fields, "connection").flat_map(list) {
        close |= option.eq_ignore_ascii_case(b"close");
        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    let wanted = !close && (version == Version::Http11 || keep_alive);
    wanted && !agent_is_off(fields, limits)
}

fn agent_is_off(fields: &[Field<'_>], limits: &Limits) -> bool {
    let off = &limits.keepalive_off_agents;
    !off.is_empty()
        && named(fields, "user-agent")
            .any(|agent| off.iter().any(|prefix| agent.starts_with(prefix)))
}

/// The values of the field lines with this name.
fn named<'a, 'f>(
    fields: &'f [Field<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> + use<'a, 'f> {
    fields
        .iter()
        .filter(move |f| f.name.eq_ignore_ascii_case(name))
        .map(|f| f.value)
}

/// The members of a comma-separated list, trimmed, empty ones left out (RFC 9110 section 5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}
