//! The environment of a script (RFC 3875 section 4.1).
//!
//! Owns which variables there are and what they hold. It must not decide who may run. Invariants:
//! no name but those of the RFC, PATH, REQUEST_URI and those that begin with `HTTP_` is ever set,
//! whatever the client sends; no secret of the client is in it; two fields never become one
//! variable unless they have one name.

use super::Body;
use crate::connection::client::Client;
use crate::connection::head::{Field, Request, Target, Version, list};
use crate::connection::limits::FIELDS_MAX;
use crate::connection::reply::{Decimal, Status};
use crate::script::{Frame, Unfit};
use crate::site::host::Host;
use crate::site::text::Text;
use crate::site::{Question, authority};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Where programs are looked for.
const PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
/// Who serves.
const SOFTWARE: &[u8] = concat!("adieu/", env!("CARGO_PKG_VERSION")).as_bytes();
/// The port of http where nobody has named one (RFC 9110 section 4.2.1).
const PORT: &[u8] = b"80";
/// The longest name of a field that becomes a variable, bytes.
const NAME_BYTES: usize = 128;
/// Fields that do not become a variable of their own: what is a variable already, what is a secret
/// (RFC 3875 section 4.1.18), what is about this connection alone, and Proxy, whose variable
/// programs take for their own setting (CVE-2016-5385).
const LEFT_OUT: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is known of a script and its request, beside the request itself.
#[derive(Debug)]
pub(super) struct Facts<'f> {
    /// The path of the script.
    pub(super) path: &'f [u8],
    /// What stood behind it.
    pub(super) info: &'f [u8],
    /// Who was let in.
    pub(super) user: Option<&'f [u8]>,
    /// Where the client has connected to.
    pub(super) server: Option<SocketAddr>,
    pub(super) body: Body,
}

impl Host {
    /// Writes all variables.
    ///
    /// # Errors
    /// 431 if they do not fit; 400 if the request says its type twice.
    pub(super) fn environment(
        &self,
        frame: &mut Frame,
        facts: &Facts<'_>,
        question: Question<'_>,
    ) -> Result<(), Status> {
        let request = question.request;
        let mut types = request.values("content-type");
        let media_type = types.next();
        if types.next().is_some() {
            return Err(Status::BAD_REQUEST);
        }
        let written = || {
            own(frame, facts, question)?;
            self.places(frame, facts, request)?;
            if let Some(media_type) = media_type {
                frame.variable("CONTENT_TYPE", &[media_type])?;
            }
            fields(frame, request)
        };
        let mut written = written;
        written().map_err(|Unfit| Status::FIELDS_TOO_LARGE)
    }

    /// The variables of this server, and of the way to the script.
    fn places(
        &self,
        frame: &mut Frame,
        facts: &Facts<'_>,
        request: &Request<'_>,
    ) -> Result<(), Unfit> {
        let port = facts.server.map(|address| address.port());
        let port = port.map(|port| Decimal::new(port.into()));
        let port = match &port {
            Some(port) => port.as_bytes(),
            None => port_of(request.host).unwrap_or(PORT),
        };
        frame.variable("SERVER_PORT", &[port])?;
        let mut address = Text::<64>::new();
        let name = self.name_of(authority::name(request.host), facts, &mut address);
        frame.variable("SERVER_NAME", &[name])?;
        frame.variable("SCRIPT_NAME", &[facts.path])?;
        frame.variable("PATH_INFO", &[facts.info])?;
        if facts.info.is_empty() {
            return Ok(());
        }
        let names = facts.info.get(1..).unwrap_or_default();
        let (place, beneath) = self.place(names);
        let root = self
            .root_at(place)
            .map_or(&b""[..], |root| root.canonical());
        frame.variable("PATH_TRANSLATED", &[root, b"/", beneath])
    }

    /// The name of this server: what the client calls it, if that is a name of the site or nobody
    /// has named it; else the site's own. Others are the client's invention.
    fn name_of<'n>(
        &'n self,
        name: &'n [u8],
        facts: &Facts<'_>,
        room: &'n mut Text<64>,
    ) -> &'n [u8] {
        let own = self.own_name();
        if !name.is_empty() && (self.is_called(name) || own.is_none()) {
            return name;
        }
        if let Some(own) = own {
            return own;
        }
        let written = match facts.server.map(|address| address.ip().to_canonical()) {
            Some(IpAddr::V4(address)) => write!(room, "{address}"),
            Some(IpAddr::V6(address)) => write!(room, "[{address}]"),
            None => write!(room, "localhost"),
        };
        // It fits: no address is longer than 45 bytes.
        let _ = written;
        room.as_bytes()
    }
}

/// The variables of the request line, of the client, and those that are always the same.
fn own(frame: &mut Frame, facts: &Facts<'_>, question: Question<'_>) -> Result<(), Unfit> {
    let request = question.request;
    let (path, query) = match request.target {
        Target::Path { path, query } => (path, query),
        Target::Asterisk | Target::Authority => (&b""[..], None),
    };
    let mark: &[u8] = if query.is_some() { b"?" } else { b"" };
    let query = query.unwrap_or_default();
    let protocol: &[u8] = match request.verdict.version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    };
    let mut client = Text::<64>::new();
    // It fits: no address is longer than 45 bytes. Who is no host is called so.
    let _ = match question.client {
        Client::Address(address) => write!(client, "{address}"),
        Client::Unix | Client::Unknown => write!(client, "{}", question.client),
    };
    frame.variable("GATEWAY_INTERFACE", &[b"CGI/1.1"])?;
    frame.variable("PATH", &[PATH])?;
    frame.variable("QUERY_STRING", &[query])?;
    frame.variable("REMOTE_ADDR", &[client.as_bytes()])?;
    frame.variable("REMOTE_HOST", &[client.as_bytes()])?;
    frame.variable("REQUEST_METHOD", &[request.method.name().as_bytes()])?;
    frame.variable("REQUEST_URI", &[path, mark, query])?;
    frame.variable("SERVER_PROTOCOL", &[protocol])?;
    frame.variable("SERVER_SOFTWARE", &[SOFTWARE])?;
    if let Some(user) = facts.user {
        frame.variable("AUTH_TYPE", &[b"Basic"])?;
        frame.variable("REMOTE_USER", &[user])?;
    }
    match facts.body {
        Body::Length(bytes) => frame.content_length(bytes),
        Body::None | Body::Spool(_) => {}
    }
    Ok(())
}

/// The fields of the request, those of one name in one variable.
fn fields(frame: &mut Frame, request: &Request<'_>) -> Result<(), Unfit> {
    for (index, field) in request.fields.iter().enumerate() {
        let before = request.fields.get(..index).unwrap_or_default();
        let seen = before.iter().any(|other| is_same(other, field));
        if seen || !is_passed_on(field.name, request) {
            continue;
        }
        let mut name = Text::<NAME_BYTES>::new();
        name.push(b"HTTP_").map_err(|_| Unfit)?;
        for byte in field.name.bytes() {
            let byte = if byte == b'-' {
                b'_'
            } else {
                byte.to_ascii_uppercase()
            };
            name.push(&[byte]).map_err(|_| Unfit)?;
        }
        let name = std::str::from_utf8(name.as_bytes()).map_err(|_| Unfit)?;
        let between: &[u8] = match name {
            // RFC 9113 section 8.2.3: a comma would be a part of a cookie.
            "HTTP_COOKIE" => b"; ",
            _ => b", ",
        };
        let mut parts = [&b""[..]; 2 * FIELDS_MAX];
        let mut count = 0_usize;
        let after = request.fields.get(index..).unwrap_or_default();
        let values = after.iter().filter(|other| is_same(other, field));
        for (pair, value) in parts.chunks_exact_mut(2).zip(values) {
            let between = if count == 0 { &b""[..] } else { between };
            pair.copy_from_slice(&[between, value.value]);
            count += 2;
        }
        frame.variable(name, parts.get(..count).unwrap_or_default())?;
    }
    Ok(())
}

fn is_same(one: &Field<'_>, other: &Field<'_>) -> bool {
    one.name.eq_ignore_ascii_case(other.name)
}

/// The field becomes a variable: its name is letters, digits and dashes, so that no other name
/// becomes the same one, and it is not left out; nor is it named by Connection, which says that it
/// is for the next hop alone.
fn is_passed_on(name: &str, request: &Request<'_>) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let left_out = LEFT_OUT.iter().any(|out| name.eq_ignore_ascii_case(out));
    let mut hops = request.values("connection").flat_map(list);
    let hop = hops.any(|hop| hop.eq_ignore_ascii_case(name.as_bytes()));
    plain && !left_out && !hop
}

/// The port that a Host names.
fn port_of(host: &[u8]) -> Option<&[u8]> {
    let colon = host.iter().rposition(|byte| *byte == b':')?;
    let port = host.get(colon + 1..)?;
    let digits = !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    digits.then_some(port)
}
