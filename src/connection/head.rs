//! Request heads: what `site` is shown.
//!
//! Owns the types of a head; `scan.rs` finds its end, `parse.rs` reads it.

pub use super::parse::{list, parse};
pub use super::scan::{Found, Scan};
pub use httparse::{EMPTY_HEADER as NO_FIELD, Header as Field};

/// The request method (RFC 9110 section 9). Unknown ones are [`Method::Other`]: 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// PATCH (RFC 5789)
    Patch,
    /// TRACE
    Trace,
    /// CONNECT
    Connect,
    /// A token adieu does not know.
    Other,
}

/// The target of a request (RFC 9112 section 3.2), still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A path that begins with `/`, and the query behind `?` if there is one. Absolute-form ends up
    /// here too, its authority in [`Request::host`].
    Path {
        /// The path, from its first `/`.
        path: &'a [u8],
        /// What follows the first `?`.
        query: Option<&'a [u8]>,
    },
    /// `*`: the server as a whole (OPTIONS only).
    Asterisk,
    /// `host:port` (CONNECT only).
    Authority,
}

/// How the body of a request is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// Content-Length, above 0.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// HTTP/1.0 or HTTP/1.1 (and higher minors, which mean 1.1: RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// What the head says about the connection; decided in one place, carried to the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Length of the head in the input, its empty line included.
    pub head_bytes: usize,
    /// How the body is delimited.
    pub framing: Framing,
    /// The version of the request.
    pub version: Version,
    /// The connection may stay open after the reply (version, Connection, User-Agent).
    pub keep: bool,
    /// The method is HEAD: the reply has no body.
    pub head_only: bool,
    /// The client waits for `100 Continue` before its body.
    pub expects_continue: bool,
}

/// A whole request head, borrowed from the input buffer.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The request line as it came, without its end.
    pub line: &'a [u8],
    /// The method.
    pub method: Method,
    /// The target.
    pub target: Target<'a>,
    /// Host, or the authority of an absolute target: validated, without user information; empty
    /// in HTTP/1.0 without Host.
    pub host: &'a [u8],
    /// All field lines in order.
    pub fields: &'a [Field<'a>],
    /// What follows for the connection.
    pub verdict: Verdict,
}

impl Method {
    /// Who asks with it does not ask for a change (RFC 9110 section 9.2.1).
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// Its name; empty for one that is not told apart from others.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other => "",
        }
    }
}

impl<'a> Request<'a> {
    /// The values of all field lines with this name (compared without case), in order.
    pub fn values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields
            .iter()
            .filter(move |f| f.name.eq_ignore_ascii_case(name))
            .map(|f| f.value)
    }

    /// The value of the first field line with this name.
    #[must_use]
    pub fn value(&self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }
}

/// What may stand in a host name or a path segment without an escape: `unreserved` and `sub-delims`
/// (RFC 3986 section 2).
#[must_use]
pub const fn is_plain(byte: u8) -> bool {
    matches!(byte,
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'
        | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}
