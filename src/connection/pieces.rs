//! Answers that come piece by piece: their framing, and the books of what was declared.
//!
//! Owns [`Flow`], the room for a piece and the chunk lines around it (RFC 9112 section 7.1). It
//! must not know who makes the pieces, nor hold one: they stand in the output half, one at a time.
//! Invariants: a response of declared length never ends with another one; a chunked one ends with
//! its last chunk or with a reset; no further answer joins before the last piece has left.

use super::Connection;
use super::answer::Content;
use super::head::{Verdict, Version};
use super::limits::PIECE_WAITS;
use super::reason::Misuse;
use super::span::Span;
use super::state::State;
use super::time::Turn;

/// How the content that still comes in pieces is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// No further piece comes.
    Over,
    /// By Content-Length.
    Length,
    /// By chunks.
    Chunked,
    /// By the close of the connection: to HTTP/1.0.
    Close,
}

/// What a chunk is written between: at most four hexadecimal digits and CRLF, for a half has at
/// most 65,535 bytes, and CRLF with the last chunk.
const CHUNK_LEAD: usize = "ffff\r\n".len();
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const CHUNK_TRAIL: usize = "\r\n".len() + LAST_CHUNK.len();

impl Flow {
    /// How `content` flows to who sent the request of `verdict`.
    pub(super) fn of(content: Content, verdict: &Verdict) -> Self {
        match (content, verdict.version) {
            (Content::Pieces(_), _) if verdict.head_only => Self::Over,
            (Content::Pieces(Some(_)), _) => Self::Length,
            (Content::Pieces(None), Version::Http11) => Self::Chunked,
            (Content::Pieces(None), Version::Http10) => Self::Close,
            (Content::Nothing | Content::Empty | Content::Page | Content::File(_), _) => Self::Over,
        }
    }
}

impl Connection {
    /// The response has further pieces.
    #[must_use]
    pub fn has_pieces(&self) -> bool {
        self.flow != Flow::Over
    }

    /// Everything before the next piece is with the kernel: it is our turn to make one.
    pub(super) fn awaits_piece(&self) -> bool {
        matches!(self.state, State::Relay | State::Respond)
            && self.has_pieces()
            && self.interim == 0
            && self.output.is_empty()
            && self.file == 0
    }

    /// Where to write the next piece, in the output half: [`super::Act::Produce`] asks for it. With
    /// the smallest buffer it has 2,035 bytes.
    pub fn room_for_piece<'b>(&self, output: &'b mut [u8]) -> &'b mut [u8] {
        let (lead, trail) = match self.flow {
            Flow::Chunked => (CHUNK_LEAD, CHUNK_TRAIL),
            Flow::Over | Flow::Length | Flow::Close => (0, 0),
        };
        let end = output.len().saturating_sub(trail);
        output.get_mut(lead..end).unwrap_or_default()
    }

    /// `bytes` were written to the front of [`Connection::room_for_piece`]; `file_bytes` of the
    /// file follow them, which only a response of declared length may have; `last`: then nothing.
    ///
    /// A piece that is none, or a sum other than the declared length, is our fault: the connection
    /// is reset, for what was sent already must not look whole.
    pub fn produced(
        &mut self,
        bytes: usize,
        file_bytes: u64,
        last: bool,
        output: &mut [u8],
        turn: &Turn<'_>,
    ) {
        let span = if self.awaits_piece() && self.book(bytes, file_bytes, last) {
            self.framed(bytes, last, output)
        } else {
            None
        };
        let Some(span) = span else {
            self.fault(Misuse::WrongPiece, turn);
            return;
        };
        self.restart_clock(turn);
        self.output = span;
        self.file = file_bytes;
        if last {
            self.flow = Flow::Over;
        }
        if last && self.output.is_empty() && self.file == 0 {
            self.flushed(turn);
        }
    }

    /// It is our turn: the client is not late, but neither does it wait for ever.
    pub(super) fn rest_clock(&mut self, turn: &Turn<'_>) {
        let most_ms = turn.limits.write_ms.saturating_mul(PIECE_WAITS);
        self.deadline = turn.now.after(most_ms);
    }

    /// A piece is there: the client has its time for it, however long we needed. It cannot push
    /// this back, for the next piece comes only when the kernel has taken this one.
    fn restart_clock(&mut self, turn: &Turn<'_>) {
        self.deadline = turn.now.after(turn.limits.write_ms);
    }

    /// Takes a piece off what is owed; false if it cannot be one.
    fn book(&mut self, bytes: usize, file_bytes: u64, last: bool) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(sum) = bytes.checked_add(file_bytes) else {
            return false;
        };
        let is_one = sum > 0 || last;
        match self.flow {
            Flow::Over => false,
            Flow::Length => match self.owed.checked_sub(sum) {
                Some(left) if left == 0 || !last => {
                    self.owed = left;
                    is_one
                }
                Some(_) | None => false,
            },
            Flow::Chunked | Flow::Close => is_one && file_bytes == 0,
        }
    }

    /// Writes the chunk lines around a piece; `None` if it is larger than its room.
    fn framed(&self, bytes: usize, last: bool, output: &mut [u8]) -> Option<Span> {
        if bytes > self.room_for_piece(output).len() {
            return None;
        }
        if self.flow != Flow::Chunked {
            return Some(Span::new(0, bytes));
        }
        let (mut start, mut end) = (CHUNK_LEAD, CHUNK_LEAD.saturating_add(bytes));
        if bytes > 0 {
            start = put_size(output, bytes)?;
            end = put(output, end, b"\r\n")?;
        }
        if last {
            end = put(output, end, LAST_CHUNK)?;
        }
        Some(Span::new(start, end))
    }
}

/// Writes the size line so that it ends where the chunk begins; where it begins.
fn put_size(output: &mut [u8], bytes: usize) -> Option<usize> {
    let mut start = CHUNK_LEAD.checked_sub(2)?;
    put(output, start, b"\r\n")?;
    let mut rest = bytes;
    while rest > 0 {
        start = start.checked_sub(1)?;
        let digit = u8::try_from(rest % 16).ok()?;
        let letter = if digit < 10 { b'0' } else { b'a' - 10 };
        *output.get_mut(start)? = letter.saturating_add(digit);
        rest /= 16;
    }
    Some(start)
}

/// Writes `bytes` at `at`; the end of them.
fn put(output: &mut [u8], at: usize, bytes: &[u8]) -> Option<usize> {
    let end = at.saturating_add(bytes.len());
    output.get_mut(at..end)?.copy_from_slice(bytes);
    Some(end)
}
