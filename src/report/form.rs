//! The forms of the access log: common, combined and JSON lines.
//!
//! Owns what stands where in a line. It must not keep or write lines. Invariants: a line has at
//! most [`LINE_BYTES`] with its line feed; whatever a client sends is escaped and bounded; where
//! the room is scarce the values of the client are cut and the line stays one of its form.
//!
//! ```text
//! 192.0.2.1 - - [22/Nov/2026:19:04:05 +0000] "GET / HTTP/1.1" 200 1234
//! 192.0.2.1 - alice [22/Nov/2026:19:04:05 +0000] "GET / HTTP/1.1" 200 1234 "http://h/" "curl/8"
//! {"time":"2026-11-22T19:04:05Z","client":"192.0.2.1","user":null,"request":"GET / HTTP/1.1",
//!  "host":"h","referer":"http://h/","agent":"curl/8","status":200,"bytes":1234,"duration_ms":3,
//!  "complete":true,"close":null}
//! ```
//!
//! The JSON is in one line. A response that was cut has `cut=REASON` at the end of the first two.

use super::escape::{Style, Writer};
use super::line::Line;
use super::stamp::Stamp;
use crate::config::AccessFormat;
use crate::connection::client::Client;
use crate::connection::reason::CloseReason;
use crate::connection::reply::Decimal;

/// The request line, escaped.
const REQUEST_BYTES: usize = 1024;
/// Host, Referer and User-Agent, each, escaped.
const FIELD_BYTES: usize = 256;
/// The user, escaped.
const USER_BYTES: usize = 64;
/// What is known when the response begins: the values, and 240 bytes between them.
pub(super) const TEXT_BYTES: usize = REQUEST_BYTES + 3 * FIELD_BYTES + USER_BYTES + 240;
/// What is known at its end.
const TAIL_BYTES: usize = 160;
/// The longest line, its line feed included.
pub(super) const LINE_BYTES: usize = TEXT_BYTES + TAIL_BYTES;
/// What follows the request in a scarce room: names of members and three cut values.
const BEHIND_REQUEST: usize = 64;
/// What follows a field there.
const BEHIND_FIELD: usize = 48;

/// What is known of a request. `None`: it does not say, or it was never read.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asked.
    pub client: Client,
    /// The user whose password was shown.
    pub user: Option<&'a [u8]>,
    /// The request line, without its line end.
    pub line: Option<&'a [u8]>,
    /// Host, or the authority of the target.
    pub host: Option<&'a [u8]>,
    /// Referer.
    pub referer: Option<&'a [u8]>,
    /// User-Agent.
    pub agent: Option<&'a [u8]>,
}

/// How a response ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) status: u16,
    /// Content that is with the kernel.
    pub(super) content_bytes: u64,
    pub(super) duration_ms: u64,
    /// All of it is with the kernel, and was not given up there.
    pub(super) complete: bool,
    /// Why the connection ended, if it ended with this response.
    pub(super) close: Option<CloseReason>,
}

/// Writes what is known of a request to the front of `into`: its length, and where [`tail`]
/// belongs.
pub(super) fn text(
    format: AccessFormat,
    asked: &Asked<'_>,
    stamp: Option<Stamp>,
    into: &mut [u8],
) -> (usize, usize) {
    let mut to = Writer::new(into);
    let client = Line::plain(format_args!("{}", asked.client));
    let client = client.as_bytes();
    let client = client.strip_suffix(b"\n").unwrap_or(client);
    match format {
        AccessFormat::Off => (0, 0),
        AccessFormat::Common | AccessFormat::Combined => {
            let style = Style::Clf;
            to.put(client);
            to.put(b" - ");
            to.value(Style::Word, asked.user.unwrap_or(b"-"), USER_BYTES, 0);
            to.put(b" [");
            to.put(stamp.as_ref().map_or(b"-", |stamp| &stamp.clf));
            to.put(b"] \"");
            to.value(
                style,
                asked.line.unwrap_or(b"-"),
                REQUEST_BYTES,
                BEHIND_REQUEST,
            );
            to.put(b"\"");
            let split = to.len();
            if format == AccessFormat::Combined {
                for field in [asked.referer, asked.agent] {
                    to.put(b" \"");
                    to.value(style, field.unwrap_or(b"-"), FIELD_BYTES, BEHIND_FIELD / 2);
                    to.put(b"\"");
                }
            }
            (to.len(), split)
        }
        AccessFormat::Json => {
            to.put(b"{\"time\":");
            string(
                &mut to,
                stamp.as_ref().map(|stamp| &stamp.rfc3339[..]),
                99,
                0,
            );
            to.put(b",\"client\":");
            string(&mut to, Some(client), 99, 0);
            to.put(b",\"user\":");
            string(&mut to, asked.user, USER_BYTES, 0);
            to.put(b",\"request\":");
            string(&mut to, asked.line, REQUEST_BYTES, BEHIND_REQUEST);
            let fields = [
                (&b",\"host\":"[..], asked.host, BEHIND_FIELD),
                (b",\"referer\":", asked.referer, BEHIND_FIELD / 2),
                (b",\"agent\":", asked.agent, 1),
            ];
            for (name, value, kept) in fields {
                to.put(name);
                string(&mut to, value, FIELD_BYTES, kept);
            }
            (to.len(), to.len())
        }
    }
}

/// A string of JSON, or null.
fn string(to: &mut Writer<'_>, value: Option<&[u8]>, most: usize, kept: usize) {
    match value {
        Some(value) => {
            to.put(b"\"");
            to.value(Style::Json, value, most, kept);
            to.put(b"\"");
        }
        None => {
            to.put(b"null");
        }
    }
}

/// Writes what is known at the end behind the text in `to`: `before` stands in front of it already,
/// `behind` is the rest of the text. With the line feed.
pub(super) fn tail(format: AccessFormat, ended: &Ended, behind: &[u8], to: &mut Writer<'_>) {
    let number = |to: &mut Writer<'_>, value: u64| {
        to.put(Decimal::new(value).as_bytes());
    };
    match format {
        AccessFormat::Off => {}
        AccessFormat::Common | AccessFormat::Combined => {
            to.put(b" ");
            number(to, ended.status.into());
            to.put(b" ");
            match ended.content_bytes {
                0 => {
                    to.put(b"-");
                }
                bytes => number(to, bytes),
            }
            to.put(behind);
            if !ended.complete {
                to.put(b" cut=");
                to.put(ended.close.map_or("unknown", CloseReason::name).as_bytes());
            }
            to.put(b"\n");
        }
        AccessFormat::Json => {
            to.put(behind);
            to.put(b",\"status\":");
            number(to, ended.status.into());
            to.put(b",\"bytes\":");
            number(to, ended.content_bytes);
            to.put(b",\"duration_ms\":");
            number(to, ended.duration_ms);
            to.put(b",\"complete\":");
            to.put(if ended.complete { b"true" } else { b"false" });
            to.put(b",\"close\":");
            string(
                to,
                ended.close.map(|reason| reason.name().as_bytes()),
                99,
                0,
            );
            to.put(b"}\n");
        }
    }
}

/// The line that says how many were dropped, in each form.
pub(super) fn notice(format: AccessFormat) -> fn(u32) -> Line {
    match format {
        AccessFormat::Json => |dropped| Line::plain(format_args!("{{\"dropped\":{dropped}}}")),
        AccessFormat::Off | AccessFormat::Common | AccessFormat::Combined => |dropped| {
            let plural = if dropped == 1 { "" } else { "s" };
            Line::plain(format_args!("# {dropped} line{plural} dropped"))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamp::Stamps;
    use super::*;

    const ASKED: Asked<'_> = Asked {
        client: Client::Unix,
        user: Some(b"a b\""),
        line: Some(b"GET /\x1b\"\r\n HTTP/1.1"),
        host: Some(b"h"),
        referer: None,
        agent: Some("ü\\".as_bytes()),
    };

    fn line(format: AccessFormat, asked: &Asked<'_>, room: usize, ended: &Ended) -> String {
        let stamp = Stamps::default().of(Some(1_795_374_245));
        let mut text_room = vec![0; room];
        let (len, split) = text(format, asked, stamp, &mut text_room);
        let mut bytes = vec![0; LINE_BYTES];
        bytes[..split].copy_from_slice(&text_room[..split]);
        let mut to = Writer::at(&mut bytes, split);
        tail(format, ended, &text_room[split..len], &mut to);
        let len = to.len();
        bytes.truncate(len);
        String::from_utf8(bytes).unwrap()
    }

    fn ended(close: Option<CloseReason>, complete: bool) -> Ended {
        Ended {
            status: 200,
            content_bytes: if complete { 1234 } else { 0 },
            duration_ms: 3,
            complete,
            close,
        }
    }

    #[test]
    fn each_form_is_what_its_readers_expect() {
        let whole = ended(None, true);
        let head = r#"unix - a\x20b\x22 [22/Nov/2026:19:04:05 +0000] "#.to_owned()
            + r#""GET /\x1b\x22\x0d\x0a HTTP/1.1" 200 "#;
        let room = TEXT_BYTES;
        assert_eq!(
            line(AccessFormat::Common, &ASKED, room, &whole),
            format!("{head}1234\n")
        );
        assert_eq!(
            line(AccessFormat::Combined, &ASKED, room, &whole),
            format!("{head}1234 \"-\" \"\\xc3\\xbc\\x5c\"\n")
        );
        let json = r#"{"time":"2026-11-22T19:04:05Z","client":"unix","#.to_owned()
            + r#""user":"a b\"","request":"GET /\u001b\"\u000d\u000a HTTP/1.1","host":"h","#
            + r#""referer":null,"#
            + r#""agent":"\u00fc\\","status":200,"bytes":1234,"duration_ms":3,"complete":true,"#
            + "\"close\":null}\n";
        assert_eq!(line(AccessFormat::Json, &ASKED, room, &whole), json);

        let cut = ended(Some(CloseReason::TimeoutWrite), false);
        assert_eq!(
            line(AccessFormat::Common, &ASKED, room, &cut),
            format!("{head}- cut=timeout-write\n")
        );
        let cut = line(AccessFormat::Json, &ASKED, room, &cut);
        assert!(cut.ends_with(",\"complete\":false,\"close\":\"timeout-write\"}\n"));
    }

    #[test]
    fn what_is_not_known_is_a_dash_or_null() {
        let asked = Asked {
            client: Client::Unknown,
            user: None,
            line: None,
            host: None,
            referer: None,
            agent: None,
        };
        let mut room = [0; TEXT_BYTES];
        let mut shown = |format| {
            let (len, _) = text(format, &asked, None, &mut room);
            String::from_utf8(room[..len].to_vec()).unwrap()
        };
        assert_eq!(
            shown(AccessFormat::Combined),
            r#"unknown - - [-] "-" "-" "-""#
        );
        let start = r#"{"time":null,"client":"unknown","user":null,"request":null,"host":null,"#;
        let json = format!("{start}\"referer\":null,\"agent\":null");
        assert_eq!(shown(AccessFormat::Json), json);
    }

    #[test]
    fn the_longest_and_the_most_scarce_line_keep_their_form() {
        let evil: Vec<u8> = [&b"GET /"[..], &b"\"\\\x1b\xff\n".repeat(9999)].concat();
        let asked = Asked {
            client: Client::from_address("2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap()),
            user: Some(&evil),
            line: Some(&evil),
            host: Some(&evil),
            referer: Some(&evil),
            agent: Some(&evil),
        };
        let longest = CloseReason::ALL.iter().max_by_key(|r| r.name().len());
        let ended = Ended {
            status: 599,
            content_bytes: u64::MAX,
            duration_ms: u64::MAX,
            complete: false,
            close: longest.copied(),
        };
        for (format, quotes) in [
            (AccessFormat::Common, 2),
            (AccessFormat::Combined, 6),
            (AccessFormat::Json, 40),
        ] {
            for room in [super::super::pending::PLACE_BYTES, TEXT_BYTES] {
                let line = line(format, &asked, room, &ended);
                let (text, end) = line.split_at(line.len() - 1);
                assert_eq!(end, "\n", "{line}");
                assert!(text.bytes().all(|b| matches!(b, b' '..=b'~')));
                assert!(line.len() <= LINE_BYTES);
                let bare = text.replace("\\\\", "").replace("\\\"", "");
                assert_eq!(bare.matches('"').count(), quotes, "{line}");
                assert!(
                    format != AccessFormat::Json || text.ends_with('}'),
                    "{line}"
                );
            }
        }
    }
}
