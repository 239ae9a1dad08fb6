//! Replies: a status line and fields, written into a fixed buffer.
//!
//! Owns the wire form of a response head and of the small pages that explain a refusal. It must not
//! decide what to answer (that is `site`) nor when to close (that is the state). Invariants:
//! nothing is written past the end; a reply that did not fit is known as such and rolled back
//! whole.

use super::answer::Size;
use super::time::Wall;

/// A status code, 100 to 599, with its reason phrase (RFC 9110 section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u16);

impl Status {
    /// The reason phrase.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self.title() {
            Some(title) => title.get("404 ".len()..).unwrap_or_default(),
            None => phrase_of_script(self.0),
        }
    }
}

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal $phrase:literal,)*) => {
        impl Status {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// Number and reason phrase; `None`: adieu itself never answers it.
            const fn title(self) -> Option<&'static str> {
                match self.0 { $($code => Some(concat!($code, " ", $phrase)),)* _ => None }
            }
        }
    };
}

statuses! {
    /// 100, sent before the final status when a body is wanted.
    CONTINUE = 100 "Continue",
    /// 200
    OK = 200 "OK",
    /// 201
    CREATED = 201 "Created",
    /// 202
    ACCEPTED = 202 "Accepted",
    /// 204
    NO_CONTENT = 204 "No Content",
    /// 205
    RESET_CONTENT = 205 "Reset Content",
    /// 206
    PARTIAL_CONTENT = 206 "Partial Content",
    /// 301
    MOVED_PERMANENTLY = 301 "Moved Permanently",
    /// 302
    FOUND = 302 "Found",
    /// 303
    SEE_OTHER = 303 "See Other",
    /// 304
    NOT_MODIFIED = 304 "Not Modified",
    /// 307
    TEMPORARY_REDIRECT = 307 "Temporary Redirect",
    /// 308
    PERMANENT_REDIRECT = 308 "Permanent Redirect",
    /// 400
    BAD_REQUEST = 400 "Bad Request",
    /// 401
    UNAUTHORIZED = 401 "Unauthorized",
    /// 403
    FORBIDDEN = 403 "Forbidden",
    /// 404
    NOT_FOUND = 404 "Not Found",
    /// 405
    METHOD_NOT_ALLOWED = 405 "Method Not Allowed",
    /// 408
    REQUEST_TIMEOUT = 408 "Request Timeout",
    /// 409
    CONFLICT = 409 "Conflict",
    /// 411
    LENGTH_REQUIRED = 411 "Length Required",
    /// 412
    PRECONDITION_FAILED = 412 "Precondition Failed",
    /// 413
    CONTENT_TOO_LARGE = 413 "Content Too Large",
    /// 414
    URI_TOO_LONG = 414 "URI Too Long",
    /// 416
    RANGE_NOT_SATISFIABLE = 416 "Range Not Satisfiable",
    /// 417
    EXPECTATION_FAILED = 417 "Expectation Failed",
    /// 421
    MISDIRECTED_REQUEST = 421 "Misdirected Request",
    /// 429
    TOO_MANY_REQUESTS = 429 "Too Many Requests",
    /// 431
    FIELDS_TOO_LARGE = 431 "Request Header Fields Too Large",
    /// 500
    INTERNAL_SERVER_ERROR = 500 "Internal Server Error",
    /// 501
    NOT_IMPLEMENTED = 501 "Not Implemented",
    /// 502
    BAD_GATEWAY = 502 "Bad Gateway",
    /// 503
    SERVICE_UNAVAILABLE = 503 "Service Unavailable",
    /// 504
    GATEWAY_TIMEOUT = 504 "Gateway Timeout",
    /// 505
    VERSION_NOT_SUPPORTED = 505 "HTTP Version Not Supported",
    /// 507
    INSUFFICIENT_STORAGE = 507 "Insufficient Storage",
}

impl Status {
    /// The final status of this number, as a script names it.
    #[must_use]
    pub const fn of(code: u16) -> Option<Self> {
        match code {
            200..=599 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// The reason phrase of a status that adieu itself never answers, but a script may.
const fn phrase_of_script(code: u16) -> &'static str {
    match code {
        203 => "Non-Authoritative Information",
        300 => "Multiple Choices",
        402 => "Payment Required",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        410 => "Gone",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        451 => "Unavailable For Legal Reasons",
        511 => "Network Authentication Required",
        _ => "Unknown",
    }
}

/// A response head in the making. `site` names the status and its fields; the heart adds Date,
/// Content-Length and Connection when the reply is finished.
///
/// A reply that does not fit goes on silently and is reported by [`Reply::overflowed`].
#[derive(Debug)]
pub struct Reply<'b> {
    buffer: &'b mut [u8],
    len: usize,
    status: Status,
    /// Where its head ends.
    head_bytes: usize,
    overflow: bool,
}

impl<'b> Reply<'b> {
    /// An empty reply that will be written to the front of `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            len: 0,
            status: Status::INTERNAL_SERVER_ERROR,
            head_bytes: 0,
            overflow: false,
        }
    }

    /// Starts the reply. Calling it again starts anew: what was written is dropped.
    #[inline(never)] // it is called in a hundred places, which takes 13 KB of a release
    pub fn status(&mut self, status: Status) {
        self.len = 0;
        self.overflow = false;
        self.status = status;
        self.put(b"HTTP/1.1 ");
        self.put_title(status);
        self.put(b"\r\n");
    }

    /// Starts the reply with a front that was written before by another one, status line and field
    /// lines.
    pub fn begin(&mut self, status: Status, front: &[u8]) {
        self.len = 0;
        self.overflow = false;
        self.status = status;
        self.put(front);
    }

    /// The status named last.
    #[must_use]
    pub fn current_status(&self) -> Status {
        self.status
    }

    /// One field line. The value must hold no CR, LF or NUL: debug assertion, in release the line
    /// is left out (a response is never split by data).
    pub fn field(&mut self, name: &str, value: &[u8]) {
        self.field_parts(name, &[value]);
    }

    /// One field line whose value is the parts in a row.
    pub fn field_parts(&mut self, name: &str, parts: &[&[u8]]) {
        // Without a way out of the loop many bytes are looked at in one step.
        let breaks = |bad: bool, b: &u8| bad | matches!(b, b'\r' | b'\n' | 0);
        let clean = parts.iter().all(|part| !part.iter().fold(false, breaks));
        debug_assert!(clean, "a field value with CR, LF or NUL");
        if !clean {
            return;
        }
        self.put(name.as_bytes());
        self.put(b": ");
        for part in parts {
            self.put(part);
        }
        self.put(b"\r\n");
    }

    /// One field line with a decimal value.
    pub fn field_number(&mut self, name: &str, value: u64) {
        self.own_field(name, Decimal::new(value).as_bytes());
    }

    /// One field line with a value that is made here, or stands in the source: no byte of it is
    /// looked at.
    pub(super) fn own_field(&mut self, name: &str, value: &[u8]) {
        self.put(name.as_bytes());
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
    }

    /// The Date field, if the wall clock is plausible.
    pub(super) fn date(&mut self, wall: Option<Wall>) {
        if let Some(wall) = wall {
            self.own_field("Date", &wall.date);
        }
    }

    /// The empty line behind the fields.
    pub(super) fn end_head(&mut self) {
        self.put(b"\r\n");
        self.head_bytes = self.len;
    }

    /// The size of the response, with so many bytes of a file behind it.
    pub(super) fn size(&self, file_bytes: u64) -> Size {
        let wide = |n| u64::try_from(n).unwrap_or(u64::MAX);
        Size {
            head_bytes: wide(self.head_bytes),
            bytes: wide(self.len).saturating_add(file_bytes),
        }
    }

    /// Raw bytes: a small body.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.buffer.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.overflow = true,
        }
    }

    /// Number and reason phrase.
    fn put_title(&mut self, status: Status) {
        if let Some(title) = status.title() {
            self.put(title.as_bytes());
            return;
        }
        self.put(Decimal::new(status.code().into()).as_bytes());
        self.put(b" ");
        self.put(status.phrase().as_bytes());
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes that can be written in all.
    pub(super) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// True before [`Reply::status`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Something did not fit; the reply must be rolled back.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflow
    }
}

const PAGE_TITLE: &[u8] = b"<!doctype html><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width\"><title>";
const PAGE_BODY: &[u8] = b"</title><style>body{font:1.1em system-ui,sans-serif;margin:15vh auto;\
padding:0 1em;max-width:30em;color-scheme:light dark}</style><h1>";
const PAGE_END: &[u8] = b"</h1>\n";

/// Length of [`page`].
pub(super) fn page_bytes(status: Status) -> u64 {
    let name = "404 ".len() + status.phrase().len();
    let bytes = PAGE_TITLE.len() + name + PAGE_BODY.len() + name + PAGE_END.len();
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// A small page that names the status, readable on a phone.
pub(super) fn page(reply: &mut Reply<'_>, status: Status) {
    for lead in [PAGE_TITLE, PAGE_BODY] {
        reply.put(lead);
        reply.put_title(status);
    }
    reply.put(PAGE_END);
}

/// A number in decimal, without allocation.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    /// `value` in decimal.
    #[must_use]
    pub fn new(value: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut rest = value;
        let mut start = digits.len();
        for (index, digit) in digits.iter_mut().enumerate().rev() {
            let units = u8::try_from(rest % 10).unwrap_or(0);
            *digit = b'0' + units;
            rest /= 10;
            start = index;
            if rest == 0 {
                break;
            }
        }
        Self { digits, start }
    }

    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}
