//! Validators and preconditions (RFC 9110 sections 8.8 and 13).
//!
//! Owns the entity tag, the Last-Modified date and the answer to If-Match, If-None-Match,
//! If-Modified-Since, If-Unmodified-Since and If-Range. It must not read files nor write replies.
//! Invariants: an entity tag is strong only if the bytes cannot have changed under it;
//! Last-Modified is never later than Date; preconditions are looked at in the order of RFC 9110
//! section 13.2.2.

use super::text::Text;
use crate::connection::head::Request;
use crate::connection::time::Wall;
use crate::sys::file::Stat;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file younger than this may change again without its times changing, seconds: the coarsest
/// mtime is FAT's, 2 s.
const GRAIN_S: i64 = 2;
/// `W/`, two quotes, four numbers of 16 hex digits and three dashes need 71.
const TAG_BYTES: usize = 72;
/// An IMF-fixdate (RFC 9110 section 5.6.7).
const DATE_BYTES: usize = 29;
/// What stands before a weak tag.
const WEAK: &[u8] = b"W/";
/// 10000-01-01, the first second that no HTTP date can name.
const LAST_S: u64 = 253_402_300_800;

/// What is known about the state of a file.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    /// In its weak form.
    tag: Text<TAG_BYTES>,
    /// When it was modified, if an HTTP date can say so.
    date: Option<[u8; DATE_BYTES]>,
    /// The same, seconds since 1970.
    modified_s: i64,
    /// What Last-Modified says at this time.
    last_modified: Option<[u8; DATE_BYTES]>,
    strong: bool,
}

/// What the preconditions of a GET or HEAD come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As if there were none.
    Proceed,
    /// 304
    NotModified,
    /// 412
    Failed,
}

impl Validators {
    /// The validators of a file in this state, as long as nobody knows the time.
    pub(super) fn new(stat: &Stat) -> Self {
        let date = http_date(stat.modified_s);
        Self {
            tag: weak_tag(stat),
            date,
            modified_s: stat.modified_s,
            last_modified: date,
            strong: false,
        }
    }

    /// The same at this time.
    ///
    /// The tag is of inode, size, mtime and ctime, so it changes when a file is replaced by one of
    /// the same size and date as well. It is weak while the mtime is within the grain of the clock,
    /// and while there is no clock to tell. What remains: two writes within one tick of the
    /// kernel's clock, each followed by setting the mtime back.
    pub(super) fn at(&self, wall: Option<Wall>) -> Self {
        let (modified_s, date) = (self.modified_s, self.date);
        let strong = wall.is_some_and(|wall| {
            wall.unix_s.saturating_sub(modified_s).unsigned_abs() >= GRAIN_S.unsigned_abs()
        });
        let last_modified = match wall {
            // RFC 9110 section 8.8.2.1: never later than the message itself.
            Some(wall) if modified_s > wall.unix_s => date.map(|_| wall.date),
            Some(_) | None => date,
        };
        Self {
            strong,
            last_modified,
            ..self.clone()
        }
    }

    /// The tag is strong, Last-Modified that of the file, and both stay so.
    pub(super) fn are_settled(&self, wall: Option<Wall>) -> bool {
        wall.is_some_and(|wall| wall.unix_s.saturating_sub(self.modified_s) >= GRAIN_S)
    }

    /// The value of ETag.
    pub(super) fn etag(&self) -> &[u8] {
        let tag = self.tag.as_bytes();
        let strong = tag.strip_prefix(WEAK).filter(|_| self.strong);
        strong.unwrap_or(tag)
    }

    /// When it was modified, seconds since 1970, if an HTTP date can say so.
    fn modified_s(&self) -> Option<i64> {
        self.date.map(|_| self.modified_s)
    }

    /// The value of Last-Modified.
    pub(super) fn last_modified(&self) -> Option<&[u8]> {
        self.last_modified
            .as_ref()
            .map(<[u8; DATE_BYTES]>::as_slice)
    }

    /// RFC 9110 section 13.2.2, steps 1 to 4, for GET and HEAD of something that exists.
    pub(super) fn check(&self, request: &Request<'_>) -> Outcome {
        let matched = self.listed(request, "If-Match", strongly);
        let unchanged = || self.unchanged_since(request, "If-Unmodified-Since");
        if !matched.or_else(unchanged).unwrap_or(true) {
            return Outcome::Failed;
        }
        let matched = self.listed(request, "If-None-Match", weakly);
        let unchanged = || self.unchanged_since(request, "If-Modified-Since");
        if matched.or_else(unchanged).unwrap_or(false) {
            return Outcome::NotModified;
        }
        Outcome::Proceed
    }

    /// The same steps for a method that changes what exists: it may go on. A date that it may not
    /// have been modified since counts, one that it must have been modified since does not.
    pub(super) fn permit(&self, request: &Request<'_>) -> bool {
        let matched = self.listed(request, "If-Match", strongly);
        let unchanged = || self.unchanged_since(request, "If-Unmodified-Since");
        let known = self.listed(request, "If-None-Match", weakly);
        matched.or_else(unchanged).unwrap_or(true) && !known.unwrap_or(false)
    }

    /// The same of what does not exist: it matches nothing, and was not modified.
    pub(super) fn permit_absent(request: &Request<'_>) -> bool {
        request.value("If-Match").is_none()
    }

    /// The request has a precondition that counts for a change.
    pub(super) fn asked_for(request: &Request<'_>) -> bool {
        ["If-Match", "If-None-Match", "If-Unmodified-Since"]
            .iter()
            .any(|name| request.value(name).is_some())
    }

    /// Step 5: Range may be acted on. If-Range needs a strong validator that is the current one; a
    /// date is strong if the file was old enough when it was sent (RFC 9110 sections 8.8.2.2 and
    /// 13.1.5).
    pub(super) fn range_applies(&self, request: &Request<'_>) -> bool {
        let Some(value) = single(request, "If-Range") else {
            return request.value("If-Range").is_none();
        };
        match Tag::parse(value) {
            Some((given, b"")) => self.tag().is_some_and(|own| strongly(own, given)),
            Some(_) => false,
            None => {
                let modified_s = self.modified_s();
                self.strong && modified_s.is_some() && seconds(value) == modified_s
            }
        }
    }

    /// Whether a field lists our tag; `None` if there is no such field. `*` is any tag. What
    /// follows a malformed member is not read: it lists nothing.
    fn listed(
        &self,
        request: &Request<'_>,
        name: &'static str,
        same: fn(Tag<'_>, Tag<'_>) -> bool,
    ) -> Option<bool> {
        request.value(name)?;
        if single(request, name) == Some(b"*") {
            return Some(true);
        }
        let own = self.tag()?;
        Some(fields(request, name).any(|value| Tags(value).any(|given| same(own, given))))
    }

    /// Whether the file is as old as the date in a field; `None` if there is no such date. The true
    /// mtime counts here, also where a later Date stood in Last-Modified.
    fn unchanged_since(&self, request: &Request<'_>, name: &'static str) -> Option<bool> {
        let since = seconds(single(request, name)?)?;
        self.modified_s().map(|modified| modified <= since)
    }

    fn tag(&self) -> Option<Tag<'_>> {
        Tag::parse(self.etag()).map(|(tag, _)| tag)
    }
}

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Clone, Copy, Debug)]
struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// The tag at the front of `input`, and what follows it.
    fn parse(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, input) = match input.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, input),
        };
        let input = input.strip_prefix(b"\"")?;
        let end = input.iter().position(|&b| b == b'"')?;
        let (opaque, rest) = input.split_at_checked(end)?;
        // etagc: no control, no space.
        let legal = opaque.iter().all(|&b| b > b' ' && b != 0x7f);
        Some((Self { weak, opaque }, rest.get(1..)?)).filter(|_| legal)
    }
}

/// The weak comparison (RFC 9110 section 8.8.3.2).
fn weakly(one: Tag<'_>, other: Tag<'_>) -> bool {
    one.opaque == other.opaque
}

/// The strong comparison.
fn strongly(one: Tag<'_>, other: Tag<'_>) -> bool {
    !one.weak && !other.weak && one.opaque == other.opaque
}

/// The members of a list of entity tags, up to its end or the first fault.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        // Empty members do not count (RFC 9110 section 5.6.1.2).
        while let Some((b',' | b' ' | b'\t', rest)) = self.0.split_first() {
            self.0 = rest;
        }
        let (tag, rest) = Tag::parse(std::mem::take(&mut self.0))?;
        let rest = rest.trim_ascii_start();
        match rest.first() {
            None | Some(b',') => {
                self.0 = rest;
                Some(tag)
            }
            Some(_) => None,
        }
    }
}

/// The values of all field lines of this name.
fn fields<'a>(request: &Request<'a>, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    request.values(name).map(<[u8]>::trim_ascii)
}

/// The value of a field that stands once; a second line makes either one worthless.
fn single<'a>(request: &Request<'a>, name: &'static str) -> Option<&'a [u8]> {
    let mut values = fields(request, name);
    values.next().filter(|_| values.next().is_none())
}

/// The weak tag of a file. Times are nanoseconds that wrap every 584 years: any number will do that
/// differs.
fn weak_tag(stat: &Stat) -> Text<TAG_BYTES> {
    let mut text = Text::new();
    let modified = nanoseconds(stat.modified_s, stat.modified_ns);
    let changed = nanoseconds(stat.changed_s, stat.changed_ns);
    // It fits: TAG_BYTES.
    let _ = write!(
        text,
        "W/\"{:x}-{:x}-{modified:x}-{changed:x}\"",
        stat.inode, stat.size
    );
    text
}

fn nanoseconds(s: i64, ns: u32) -> u64 {
    u64::from_ne_bytes(
        s.wrapping_mul(1_000_000_000)
            .wrapping_add(i64::from(ns))
            .to_ne_bytes(),
    )
}

/// An IMF-fixdate (RFC 9110 section 5.6.7), without allocation; `None` before 1970 and after 9999:
/// `httpdate` knows no others.
pub(crate) fn http_date(unix_s: i64) -> Option<[u8; DATE_BYTES]> {
    let s = u64::try_from(unix_s).ok().filter(|&s| s < LAST_S)?;
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(s))?;
    let mut text = Text::<DATE_BYTES>::new();
    write!(text, "{}", httpdate::HttpDate::from(time)).ok()?;
    text.as_bytes().try_into().ok()
}

/// An HTTP date in any of its three forms as seconds since 1970. Dates before 1970 are no dates to
/// us.
fn seconds(value: &[u8]) -> Option<i64> {
    let time: SystemTime = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests;
