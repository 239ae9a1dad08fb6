//! The line scan: where a head ends, and what is refused before its end has come.
//!
//! httparse is lenient about line ends (bare LF, leading blank lines); this scan is not, for
//! smuggling lives there (RFC 9112 sections 2.2 and 11.2). Invariant: the verdict depends on the
//! bytes alone, never on how they were split. For that, whatever may be said before the end of a
//! line is judged first when the line is whole, and in the same order.

use super::body::is_token;
use super::limits::{LEADING_BLANK_BYTES, Limits, METHOD_BYTES};
use super::reason::Reject;

/// `HTTP/1.1` and the CR behind it.
const VERSION_BYTES: usize = 9;

/// How far the scan for the end of a head came. Field lines are read once however they are split; a
/// request line is judged again only while its method or more than the longest target is arriving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// First byte of the line being scanned, from the start of the input.
    line: u16,
    /// Next byte to look at.
    next: u16,
    /// The request line is behind us.
    fields: bool,
}

/// What the scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The head goes on.
    More,
    /// The head ends behind this many bytes.
    Whole(u16),
    /// It is none.
    Bad(Reject),
}

impl Scan {
    /// Nothing but blank lines has come, at least one of them.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        !self.fields && self.line > 0 && self.next == self.line
    }

    /// Looks at what is new in `input`, which begins with the head. Not to be called again once it
    /// said something else than [`Found::More`].
    pub fn look(&mut self, input: &[u8], limits: &Limits) -> Found {
        loop {
            let fresh = input.get(usize::from(self.next)..).unwrap_or_default();
            if self.fields && self.next == self.line {
                let behind = field_line(fresh).and_then(|bytes| self.next.checked_add(bytes));
                if let Some(behind) = behind {
                    self.line = behind;
                    self.next = behind;
                    continue;
                }
            }
            let Some(at) = find_line_end(fresh) else {
                return self.unfinished(input, limits);
            };
            let end = usize::from(self.next) + at;
            let line = input.get(usize::from(self.line)..end).unwrap_or_default();
            let Ok(behind) = u16::try_from(end + 1) else {
                return Found::Bad(Reject::HeadTooLarge);
            };
            let blank = match self.line(line, limits) {
                Ok(blank) => blank,
                Err(reject) => return Found::Bad(reject),
            };
            self.line = behind;
            self.next = behind;
            if blank && self.fields {
                return Found::Whole(behind);
            }
            if blank && behind > LEADING_BLANK_BYTES {
                return Found::Bad(Reject::BadRequestLine);
            }
            self.fields = !blank;
        }
    }

    /// One whole line without its LF; whether it is blank.
    fn line(&self, line: &[u8], limits: &Limits) -> Result<bool, Reject> {
        let (fault, has_words) = match self.fields {
            true => (Reject::BadField, true),
            false => (Reject::BadRequestLine, request_line(line, limits)?),
        };
        let Some((b'\r', line)) = line.split_last() else {
            return Err(fault); // a bare LF
        };
        if breaks(line) {
            return Err(fault);
        }
        let fits = match (line.first(), self.fields) {
            (None, _) => return Ok(true),
            (Some(_), false) => has_words,
            // obs-fold begins with white space, which is no token either
            (Some(_), true) => line
                .iter()
                .position(|b| !is_token(*b))
                .is_some_and(|at| at > 0 && line.get(at) == Some(&b':')),
        };
        if fits { Ok(false) } else { Err(fault) }
    }

    /// No line end yet: remembers how far it looked. A request line that is already too long, or
    /// that no server would read on, is refused without waiting for its end.
    fn unfinished(&mut self, input: &[u8], limits: &Limits) -> Found {
        let line = input.get(usize::from(self.line)..).unwrap_or_default();
        let seen = usize::from(self.next.saturating_sub(self.line));
        self.next = u16::try_from(input.len()).unwrap_or(u16::MAX);
        let telling = seen <= METHOD_BYTES || line.len() > usize::from(limits.target_bytes);
        if !self.fields && telling {
            if let Err(reject) = request_line(line, limits) {
                return Found::Bad(reject);
            }
        }
        Found::More
    }

    /// The verdict when the buffer is full and the head goes on.
    #[must_use]
    pub fn too_large(&self) -> Reject {
        if self.fields {
            Reject::HeadTooLarge
        } else {
            Reject::TargetTooLong
        }
    }
}

/// The length of the field line at the front, its end included, if it is whole and nothing is wrong
/// with it: what nearly all lines are, in one go. Of the others [`Scan::line`] says what they are.
fn field_line(bytes: &[u8]) -> Option<u16> {
    let name = bytes
        .iter()
        .position(|b| !is_token(*b))
        .filter(|n| *n > 0)?;
    let (colon, value) = bytes.get(name..)?.split_first()?;
    let may = |word: u64| below(word, b'\r' + 1);
    let end = find(value, may, |byte| matches!(byte, b'\r' | b'\n' | 0))?;
    let is_whole = *colon == b':' && value.get(end..)?.starts_with(b"\r\n");
    u16::try_from(name + 1 + end + 2).ok().filter(|_| is_whole)
}

/// In each byte of a word.
const fn everywhere(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Where the first byte is that `is` so. `may` marks in eight bytes the first that can be, by its
/// highest bit; where it marks none all are passed at once.
fn find(bytes: &[u8], may: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> Option<usize> {
    let mut start = 0;
    for eight in bytes.chunks_exact(8) {
        let eight = <[u8; 8]>::try_from(eight).unwrap_or_default();
        let marks = may(u64::from_le_bytes(eight));
        if marks != 0 {
            start += usize::try_from(marks.trailing_zeros() / 8).unwrap_or(0);
            break;
        }
        start += 8;
    }
    let rest = bytes.get(start..).unwrap_or_default();
    rest.iter().position(|b| is(*b)).map(|at| start + at)
}

/// The highest bit of the first byte of a word that is below `limit`, which is at most 0x80; those
/// behind it may be marked too. 0: none is.
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(everywhere(limit)) & !word & everywhere(0x80)
}

/// Where the first of these bytes is.
fn find_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    let may = |word: u64| below(word ^ everywhere(byte), 1);
    find(bytes, may, |b| b == byte)
}

/// The end of the line.
pub(super) fn find_line_end(bytes: &[u8]) -> Option<usize> {
    find_byte(bytes, b'\n')
}

/// What stands before the first space, and behind it if there is one.
pub(super) fn word(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match find_byte(bytes, b' ') {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..)),
        None => (bytes, None),
    }
}

/// A CR or NUL in a line.
fn breaks(line: &[u8]) -> bool {
    let may = |word: u64| below(word, b'\r' + 1);
    find(line, may, |byte| matches!(byte, b'\r' | 0)).is_some()
}

/// What can be said of a request line from its front, whole or not: 400 for what is no method, 414
/// before a needlessly long target has arrived whole, 400 for what is longer than a version. Else
/// whether it has its three words.
fn request_line(line: &[u8], limits: &Limits) -> Result<bool, Reject> {
    let (method, rest) = word(line);
    // A CR may be the one of a blank line; elsewhere it is found when the line is whole.
    if method.len() > METHOD_BYTES || !method.iter().all(|b| is_token(*b) || *b == b'\r') {
        return Err(Reject::BadRequestLine);
    }
    let (target, rest) = word(rest.unwrap_or_default());
    if target.len() > usize::from(limits.target_bytes) {
        return Err(Reject::TargetTooLong);
    }
    let (version, more) = word(rest.unwrap_or_default());
    if version.len() > VERSION_BYTES || more.is_some() {
        return Err(Reject::BadRequestLine);
    }
    Ok(rest.is_some())
}
