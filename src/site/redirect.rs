//! The way to another place: from `/a` to the directory `/a/`, and to where a path has moved.
//!
//! Owns the Location that this needs. It must not know files. Invariants: Location is a path on
//! this server, whatever the target was, or what the operator wrote: it never begins with `//`, nor
//! with what browsers read as that; it holds nothing but the characters of a URI; and it is no
//! longer than the reply has room for.

use super::text::{Full, Text};
use super::{Content, page};
use crate::config::rules::{HOST, Redirect};
use crate::connection::head::is_plain;
use crate::connection::reply::{Reply, Status};

/// The longest path that is rewritten here, bytes. Clean paths are only echoed and may be longer.
const PATH_BYTES: usize = 4096;
/// How much longer than the target a rewritten path may be: within what
/// [`REPLY_ROOM_BYTES`](crate::connection::limits::REPLY_ROOM_BYTES) leaves.
const GROWTH_BYTES: usize = 256;

/// 301 to the same path with a slash behind it, its query kept (RFC 9110 section 15.4.2).
pub(super) fn to_directory(path: &[u8], query: Option<&[u8]>, reply: &mut Reply<'_>) -> Content {
    // `//host/` would be a reference to another host (RFC 3986 section 4.2).
    let slashes = path.iter().take_while(|&&b| b == b'/').count();
    let path = path.get(slashes..).unwrap_or_default();
    let query = query.unwrap_or_default();
    if !query.iter().all(|&b| is_printable(b)) {
        return page(reply, Status::BAD_REQUEST);
    }
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    let mut escaped = Text::<{ PATH_BYTES + GROWTH_BYTES }>::new();
    let path = if path.iter().all(|&b| is_path(b)) {
        path
    } else {
        match escape(path, &mut escaped) {
            Ok(()) if escaped.len() <= path.len().saturating_add(GROWTH_BYTES) => {
                escaped.as_bytes()
            }
            Ok(()) | Err(Full) => return page(reply, Status::URI_TOO_LONG),
        }
    };
    reply.status(Status::MOVED_PERMANENTLY);
    reply.field_parts("Location", &[b"/", path, b"/", mark, query]);
    Content::Page
}

/// A path that has moved, or all beneath it.
#[derive(Debug)]
pub(super) struct Moved {
    status: Status,
    /// Without its star.
    from: Vec<u8>,
    /// It had one: all beneath.
    beneath: bool,
    /// Without its star.
    to: String,
    /// It had one: the rest is put behind it.
    with_rest: bool,
}

impl Moved {
    /// The rule that was configured.
    pub(super) fn new(rule: &Redirect) -> Self {
        let (from, beneath) = rule.from.front();
        let to = rule.to.strip_suffix('*');
        Self {
            status: match rule.status {
                302 => Status::FOUND,
                307 => Status::TEMPORARY_REDIRECT,
                308 => Status::PERMANENT_REDIRECT,
                _ => Status::MOVED_PERMANENTLY,
            },
            from,
            beneath,
            to: to.unwrap_or(&rule.to).to_owned(),
            with_rest: to.is_some(),
        }
    }

    /// What of this path is the star's; `None` if the rule is not about it. A slash at the end does
    /// not count, so that `/old/*` is about `/old` as well.
    fn rest<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        if self.beneath
            && let Some(rest) = path.strip_prefix(self.from.as_slice())
        {
            return Some(rest);
        }
        let bare = |path: &[u8]| path.strip_suffix(b"/").map_or(path.len(), <[u8]>::len);
        let (path_bytes, from_bytes) = (bare(path), bare(&self.from));
        let same = path.get(..path_bytes) == self.from.get(..from_bytes);
        same.then_some(b"")
    }

    /// The rule is about this decoded path.
    pub(super) fn is_about(&self, path: &[u8]) -> bool {
        self.rest(path).is_some()
    }

    /// A Host stands in its target.
    pub(super) fn needs_host(&self) -> bool {
        self.to.contains(HOST)
    }

    /// The redirect for this decoded path. The query is kept, unless the target has one, or has a
    /// fragment, behind which there can be none.
    pub(super) fn write(
        &self,
        path: &[u8],
        query: Option<&[u8]>,
        host: &[u8],
        room_bytes: usize,
        reply: &mut Reply<'_>,
    ) -> Content {
        let rest = self
            .rest(path)
            .filter(|_| self.with_rest)
            .unwrap_or_default();
        // `/old*` to `/*` must not make `//evil.example` of `/old/evil.example`.
        let slash = self.to.ends_with('/') && rest.starts_with(b"/");
        let rest = rest.get(usize::from(slash)..).unwrap_or_default();
        let query = query
            .filter(|_| !self.to.contains(['?', '#']))
            .unwrap_or_default();
        if !query.iter().all(|&b| is_printable(b)) {
            return page(reply, Status::BAD_REQUEST);
        }
        let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
        let mut escaped = Text::<{ 3 * PATH_BYTES }>::new();
        let (front, back) = match self.to.split_once(HOST) {
            Some((front, back)) => (front, back),
            None => (self.to.as_str(), ""),
        };
        let host = if self.needs_host() { host } else { b"" };
        let fits = escape_decoded(rest, &mut escaped).is_ok();
        let parts = [
            front.as_bytes(),
            host,
            back.as_bytes(),
            escaped.as_bytes(),
            mark,
            query,
        ];
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if !fits || bytes > room_bytes {
            return page(reply, Status::URI_TOO_LONG);
        }
        reply.status(self.status);
        reply.field_parts("Location", &parts);
        Content::Page
    }
}

/// As [`escape`], for a decoded path: a `%` in it is one.
fn escape_decoded<const N: usize>(path: &[u8], escaped: &mut Text<N>) -> Result<(), Full> {
    path.iter().try_for_each(|byte| match byte {
        b'%' => escaped.push(b"%25"),
        byte => escape(&[*byte], escaped),
    })
}

/// Writes every byte that is none of a path's as an escape. The backslash matters most: browsers
/// take it for a slash, and `/\host/../a` would lead them away.
fn escape<const N: usize>(path: &[u8], escaped: &mut Text<N>) -> Result<(), Full> {
    for &byte in path {
        if is_path(byte) {
            escaped.push(&[byte])?;
        } else {
            escaped.push(&[b'%', digit(byte >> 4), digit(byte & 15)])?;
        }
    }
    Ok(())
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + nibble.saturating_sub(10),
    }
}

/// `pchar`, `/` and the `%` of escapes (RFC 3986 section 3.3).
const fn is_path(byte: u8) -> bool {
    is_plain(byte) || matches!(byte, b':' | b'@' | b'/' | b'%')
}

/// Visible ASCII: nothing that ends or splits a field line.
const fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

#[cfg(test)]
mod tests {
    use super::{Content, Reply, to_directory};

    /// Status and Location.
    fn redirect(path: &str, query: Option<&str>) -> (u16, String) {
        let mut buffer = [0; 16384];
        let mut reply = Reply::new(&mut buffer);
        let content = to_directory(path.as_bytes(), query.map(str::as_bytes), &mut reply);
        assert!(matches!(content, Content::Page));
        assert!(!reply.overflowed());
        let (status, len) = (reply.current_status().code(), reply.len());
        let text = String::from_utf8(buffer[..len].to_vec()).unwrap();
        let location = text
            .lines()
            .find_map(|line| line.strip_prefix("Location: "));
        (status, location.unwrap_or_default().to_owned())
    }

    #[test]
    fn location_is_the_path_as_sent_and_a_slash() {
        for (path, query, location) in [
            ("/a", None, "/a/"),
            ("/a/b", None, "/a/b/"),
            ("/a", Some("x=1&y=%20"), "/a/?x=1&y=%20"),
            ("/a", Some(""), "/a/"),
            ("/a%20b", None, "/a%20b/"),
            ("/%C3%A9", Some("//evil.example"), "/%C3%A9/?//evil.example"),
            ("/a:b@c", None, "/a:b@c/"),
        ] {
            assert_eq!(redirect(path, query), (301, location.to_owned()), "{path}");
        }
    }

    #[test]
    fn location_never_leaves_the_server() {
        for (path, location) in [
            ("//evil.example/../a", "/evil.example/../a/"),
            ("///evil.example", "/evil.example/"),
            ("//a", "/a/"),
            ("/\\evil.example/../a", "/%5Cevil.example/../a/"),
            ("//\\evil.example/../a", "/%5Cevil.example/../a/"),
            ("/%2e/a", "/%2e/a/"),
            ("/a\tb", "/a%09b/"),
            ("/a\r\nSet-Cookie: x", "/a%0D%0ASet-Cookie:%20x/"),
            ("/\u{e9}", "/%C3%A9/"),
            ("/a\"<b>", "/a%22%3Cb%3E/"),
        ] {
            let (status, found) = redirect(path, None);
            assert_eq!((status, found.as_str()), (301, location), "{path:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        assert_eq!(redirect("/a", Some("x\r\ny")).0, 400);
        assert_eq!(redirect("/a", Some("x y")).0, 400);
        assert_eq!(redirect(&format!("/{}", "\\".repeat(128)), None).0, 301);
        assert_eq!(redirect(&format!("/{}", "\\".repeat(129)), None).0, 414);
        assert_eq!(redirect(&format!("/{}\\", "a".repeat(4400)), None).0, 414);
        assert_eq!(redirect(&format!("/{}", "a".repeat(8000)), None).0, 301);
    }
}
