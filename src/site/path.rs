//! The path of a request as names beneath the root.
//!
//! Owns percent-decoding, which happens once and here only, and the removal of dot segments. It
//! must not touch the file system. Invariants of a [`CleanPath`]: no segment is empty, `.` or `..`,
//! none holds a `/` or a NUL, none is longer than a file name can be.

use super::text::Text;
use crate::connection::reply::Status;

/// The longest path after decoding, bytes: PATH_MAX of Linux.
pub(super) const PATH_BYTES: usize = 4096;
/// The longest file name of Linux (NAME_MAX), bytes.
pub(super) const NAME_BYTES: usize = 255;

/// Why a path names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not a path: no leading slash, `%` without two hex digits, or a NUL.
    Malformed,
    /// More `..` than segments before them. RFC 3986 section 5.2.4 would clamp; but clients resolve
    /// dot segments themselves, so what arrives like this is an attempt and is told so.
    AboveRoot,
    /// `%2F`: a slash inside a name. No file is called so, and as a separator it would let a path
    /// mean one thing to a proxy's rules and another to us.
    EncodedSlash,
    /// A segment longer than any file name.
    LongSegment,
    /// Longer than the buffer.
    TooLong,
}

impl Fault {
    /// The answer.
    pub(super) const fn status(self) -> Status {
        match self {
            Self::Malformed | Self::AboveRoot => Status::BAD_REQUEST,
            Self::EncodedSlash | Self::LongSegment => Status::NOT_FOUND,
            Self::TooLong => Status::URI_TOO_LONG,
        }
    }
}

/// A decoded path: segments joined by `/`, without a slash at either end; empty for the root.
#[derive(Debug)]
pub(super) struct CleanPath {
    text: Text<PATH_BYTES>,
    directory: bool,
}

impl CleanPath {
    /// Decodes `path` and removes dot segments. Empty segments (`//`) vanish as they do in the
    /// kernel: links glued together carelessly work, and no name is reached that had none before.
    pub(super) fn parse(path: &[u8]) -> Result<Self, Fault> {
        let mut clean = Self::new();
        clean.read(path)?;
        Ok(clean)
    }

    /// The root.
    pub(super) const fn new() -> Self {
        Self {
            text: Text::new(),
            directory: true,
        }
    }

    /// The same as [`CleanPath::parse`], in place: it has 4 KiB, which are not moved for each
    /// request. After a fault it is of no use.
    pub(super) fn read(&mut self, path: &[u8]) -> Result<(), Fault> {
        self.text.truncate(0);
        self.directory = true;
        let rest = path.strip_prefix(b"/").ok_or(Fault::Malformed)?;
        let mut raws = rest.split(|&b| b == b'/');
        raws.try_for_each(|raw| self.enter(raw))
    }

    /// One more segment, still encoded.
    fn enter(&mut self, raw: &[u8]) -> Result<(), Fault> {
        let before = self.text.len();
        if before > 0 {
            self.push(b"/")?;
        }
        let start = self.text.len();
        self.decode(raw)?;
        let segment = self.text.as_bytes().get(start..).unwrap_or_default();
        let (step, long) = (Step::of(segment), segment.len() > NAME_BYTES);
        if long {
            return Err(Fault::LongSegment);
        }
        self.directory = true;
        match step {
            Step::Name => self.directory = false,
            Step::Stay => self.text.truncate(before),
            Step::Up => {
                self.text.truncate(before);
                if !self.text.pop_segment() {
                    return Err(Fault::AboveRoot);
                }
            }
        }
        Ok(())
    }

    fn decode(&mut self, raw: &[u8]) -> Result<(), Fault> {
        if !raw.iter().any(|byte| matches!(byte, b'%' | 0)) {
            return self.push(raw);
        }
        let mut rest = raw.iter();
        while let Some(&byte) = rest.next() {
            let byte = match byte {
                b'%' => escape(rest.next(), rest.next()).ok_or(Fault::Malformed)?,
                plain => plain,
            };
            match byte {
                0 => return Err(Fault::Malformed),
                b'/' => return Err(Fault::EncodedSlash),
                other => self.push(&[other])?,
            }
        }
        Ok(())
    }

    fn push(&mut self, part: &[u8]) -> Result<(), Fault> {
        self.text.push(part).map_err(|_| Fault::TooLong)
    }

    /// The segments, joined by `/`.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The path ended in `/`, `/.` or `/..`: it names a directory.
    pub(super) const fn is_directory(&self) -> bool {
        self.directory
    }

    /// A segment begins with a dot, as names do that are not meant to be seen. `.well-known` at the
    /// front is (RFC 8615 section 3).
    pub(super) fn is_hidden(&self) -> bool {
        let mut segments = self.as_bytes().split(|&b| b == b'/').enumerate();
        segments
            .any(|(place, name)| is_hidden_name(name) && !(place == 0 && name == b".well-known"))
    }

    /// The last segment; empty for the root.
    pub(super) fn name(&self) -> &[u8] {
        self.as_bytes()
            .rsplit(|&b| b == b'/')
            .next()
            .unwrap_or_default()
    }
}

/// The name begins with a dot.
pub(super) fn is_hidden_name(name: &[u8]) -> bool {
    name.starts_with(b".")
}

/// What a decoded segment does.
enum Step {
    Name,
    Stay,
    Up,
}

impl Step {
    const fn of(segment: &[u8]) -> Self {
        match segment {
            b"" | b"." => Self::Stay,
            b".." => Self::Up,
            _ => Self::Name,
        }
    }
}

/// The byte that `%` and two hex digits stand for.
fn escape(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    Some(hex(*high?)? * 16 + hex(*low?)?)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
