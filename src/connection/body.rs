//! Request bodies: where they end.
//!
//! Owns the strict chunked decoder (RFC 9112 section 7.1) and the count of a Content-Length. It
//! must not keep or copy content: it says which bytes are framing and which are content.
//! Invariants: every line is bounded, every number is checked for overflow, and no bare CR or LF is
//! a line end.

use super::limits::{CHUNK_LINE_BYTES, TRAILER_BYTES};
use super::reason::Reject;

/// What a look at some input found: `framing` bytes to skip, then `content` bytes of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of chunk framing at the front.
    pub framing: usize,
    /// Bytes of content behind them.
    pub content: usize,
    /// The body ends behind them.
    pub end: bool,
}

/// How far a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none, or it is over.
    Over,
    /// This many bytes are still to come.
    Length(u64),
    /// A chunked body.
    Chunked(Chunked),
}

impl Body {
    /// Looks at the input. Call again with what is behind the piece until it is empty or `end`.
    ///
    /// # Errors
    /// [`Reject::BadChunk`], or [`Reject::HeadTooLarge`] for a trailer section beyond its bound.
    pub fn piece(&mut self, input: &[u8]) -> Result<Piece, Reject> {
        match self {
            Self::Over => Ok(Piece {
                framing: 0,
                content: 0,
                end: true,
            }),
            Self::Length(left) => {
                let here = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(input.len());
                let taken = u64::try_from(here).unwrap_or(u64::MAX);
                *left = left.saturating_sub(taken);
                let end = *left == 0;
                if end {
                    *self = Self::Over;
                }
                Ok(Piece {
                    framing: 0,
                    content: here,
                    end,
                })
            }
            Self::Chunked(chunked) => {
                let piece = chunked.piece(input)?;
                if piece.end {
                    *self = Self::Over;
                }
                Ok(piece)
            }
        }
    }

    /// Bytes that are still to come, if that is known.
    #[must_use]
    pub fn remainder(&self) -> Option<u64> {
        match self {
            Self::Over => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) => None,
        }
    }

    /// Bytes of content that are announced and still to come: what is left of a Content-Length, or
    /// of the chunk whose size line was read last.
    #[must_use]
    pub fn announced(&self) -> u64 {
        match self {
            Self::Over => 0,
            Self::Length(left) => *left,
            Self::Chunked(chunked) if chunked.at == At::Data => chunked.left,
            Self::Chunked(_) => 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the size; at least one digit is needed.
    Size,
    /// White space between the size and a `;`.
    Space,
    /// In a chunk extension.
    Extension,
    /// Behind the CR of the size line.
    SizeLf,
    /// In the content.
    Data,
    /// Behind the content.
    DataCr,
    DataLf,
    /// At the first byte of a trailer line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// Behind the CR of the last, empty line.
    EndLf,
}

/// The decoder of a chunked body, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunked {
    at: At,
    /// Size being read, or content left in this chunk.
    left: u64,
    /// Bytes of the current size line.
    line: u16,
    /// Bytes of the trailer section.
    trailer: u16,
}

impl Chunked {
    /// Before the first chunk.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            at: At::Size,
            left: 0,
            line: 0,
            trailer: 0,
        }
    }

    fn piece(&mut self, input: &[u8]) -> Result<Piece, Reject> {
        let mut framing = 0;
        for &byte in input {
            if self.at == At::Data {
                break;
            }
            framing += 1;
            if self.step(byte)? {
                return Ok(Piece {
                    framing,
                    content: 0,
                    end: true,
                });
            }
        }
        let mut content = 0;
        if self.at == At::Data {
            content = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(input.len().saturating_sub(framing));
            self.left = self
                .left
                .saturating_sub(u64::try_from(content).unwrap_or(u64::MAX));
            if self.left == 0 {
                self.at = At::DataCr;
            }
        }
        Ok(Piece {
            framing,
            content,
            end: false,
        })
    }

    /// One byte of framing; `true` at the end of the body.
    fn step(&mut self, byte: u8) -> Result<bool, Reject> {
        self.at = match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (At::Size, b'\r') if self.line > 0 => At::SizeLf,
            (At::Size | At::Space, b';') if self.line > 0 => self.bounded(At::Extension)?,
            (At::Size | At::Space, b' ' | b'\t') if self.line > 0 => self.bounded(At::Space)?,
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..=0xff) => self.bounded(At::Extension)?,
            (At::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 {
                    At::Trailer
                } else {
                    At::Data
                }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::Trailer, b'\r') => At::EndLf,
            (At::Trailer, b) if is_token(b) => self.trailer(At::TrailerName)?,
            (At::TrailerName, b':') => self.trailer(At::TrailerValue)?,
            (At::TrailerName, b) if is_token(b) => self.trailer(At::TrailerName)?,
            (At::TrailerValue, b'\r') => self.trailer(At::TrailerLf)?,
            (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..=0xff) => {
                self.trailer(At::TrailerValue)?
            }
            (At::TrailerLf, b'\n') => self.trailer(At::Trailer)?,
            (At::EndLf, b'\n') => return Ok(true),
            (_, _) => return Err(Reject::BadChunk),
        };
        Ok(false)
    }

    fn digit(&mut self, byte: u8) -> Result<At, Reject> {
        let value = char::from(byte).to_digit(16).ok_or(Reject::BadChunk)?;
        self.left = self.left.checked_mul(16).ok_or(Reject::BadChunk)? | u64::from(value);
        self.bounded(At::Size)
    }

    fn bounded(&mut self, at: At) -> Result<At, Reject> {
        self.line += 1;
        if self.line > CHUNK_LINE_BYTES {
            Err(Reject::BadChunk)
        } else {
            Ok(at)
        }
    }

    fn trailer(&mut self, at: At) -> Result<At, Reject> {
        self.trailer += 1;
        if self.trailer > TRAILER_BYTES {
            Err(Reject::HeadTooLarge)
        } else {
            Ok(at)
        }
    }
}

impl Default for Chunked {
    fn default() -> Self {
        Self::new()
    }
}

/// A token character (RFC 9110 section 5.6.2).
pub fn is_token(byte: u8) -> bool {
    TOKENS.get(usize::from(byte)).copied().unwrap_or(false)
}

#[allow(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "done by the compiler, which refuses what does not fit"
)]
const TOKENS: [bool; 256] = {
    let all = *b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut known = [false; 256];
    let mut rest = all.as_slice();
    while let Some((byte, behind)) = rest.split_first() {
        known[*byte as usize] = true;
        rest = behind;
    }
    known
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `bytes` in steps of `step`; the content length and what is left behind the body.
    fn decode(bytes: &[u8], step: usize) -> Result<Option<(usize, usize)>, Reject> {
        let mut body = Body::Chunked(Chunked::new());
        let mut content = 0;
        let mut at = 0;
        let mut end = step.min(bytes.len());
        loop {
            while at < end {
                let piece = body.piece(&bytes[at..end])?;
                at += piece.framing + piece.content;
                content += piece.content;
                if piece.end {
                    return Ok(Some((content, bytes.len() - at)));
                }
            }
            if end == bytes.len() {
                return Ok(None);
            }
            end = (end + step).min(bytes.len());
        }
    }

    #[test]
    fn good_bodies_end_alike_however_they_are_split() {
        let cases: [(&[u8], usize, usize); 6] = [
            (b"0\r\n\r\n", 0, 0),
            (b"5\r\nhello\r\n0\r\n\r\nGET", 5, 3),
            (b"5;a=b;c=\"d e\"\r\nhello\r\n00\r\n\r\n", 5, 0),
            (b"5 ;a\r\nhello\r\n0\r\n\r\n", 5, 0),
            (
                b"A\r\n0123456789\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
                11,
                0,
            ),
            (b"0\r\nX:\r\n\r\n", 0, 0),
        ];
        for (bytes, content, rest) in cases {
            for step in 1..=bytes.len() {
                assert_eq!(
                    decode(bytes, step),
                    Ok(Some((content, rest))),
                    "{bytes:?} by {step}"
                );
            }
        }
    }

    #[test]
    fn bad_bodies_are_refused_however_they_are_split() {
        let cases: [&[u8]; 19] = [
            b"\r\n",
            b";a\r\n",
            b" 5\r\n",
            b"-2\r\n",
            b"+5\r\n",
            b"0x5\r\n",
            b"5\nhello",
            b"5;\nhello",
            b"5\rhello",
            b"5\r\nhello\n",
            b"5\r\nhelloX",
            b"5\r\nhello0\r\n",
            b"FFFFFFFFFFFFFFFFF\r\n",
            b"10000000000000000\r\n",
            b"0\r\n A: b\r\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\nA: \0\r\n\r\n",
            b"0\r\n\n",
        ];
        for bytes in cases {
            for step in 1..=bytes.len() {
                assert_eq!(
                    decode(bytes, step),
                    Err(Reject::BadChunk),
                    "{bytes:?} by {step}"
                );
            }
        }
    }

    #[test]
    fn lines_are_bounded() {
        let mut long = b"1;".to_vec();
        long.extend(std::iter::repeat_n(b'a', 400));
        assert_eq!(decode(&long, 7), Err(Reject::BadChunk));
        let mut trailers = b"0\r\n".to_vec();
        for _ in 0..500 {
            trailers.extend_from_slice(b"Abcdef: ghi\r\n");
        }
        assert_eq!(decode(&trailers, 7), Err(Reject::HeadTooLarge));
        let many_zeros = [b"0".repeat(300), b"\r\n\r\n".to_vec()].concat();
        assert_eq!(decode(&many_zeros, 7), Err(Reject::BadChunk));
    }

    #[test]
    fn a_length_is_counted_down() {
        let mut body = Body::Length(5);
        assert_eq!(
            body.piece(b"abc"),
            Ok(Piece {
                framing: 0,
                content: 3,
                end: false
            })
        );
        assert_eq!(body.remainder(), Some(2));
        assert_eq!(
            body.piece(b"deGET"),
            Ok(Piece {
                framing: 0,
                content: 2,
                end: true
            })
        );
        assert_eq!(body.remainder(), Some(0));
    }
}
