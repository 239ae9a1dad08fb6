//! Content that is made piece by piece: what the shell keeps of it, and the calls that make it.
//!
//! Owns [`Work`] and the form of the pieces. It must not keep a buffer or a descriptor: both are
//! lent for each call. Invariants: no call waits or allocates; what a work declared as its length
//! is what its pieces add up to, or a call fails.

use super::Site;
use super::parts::Parts;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What the caller has at hand for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// There is a place for a [`Work`]: an answer in pieces can be given.
    pub work: bool,
}

/// What is left of an answer in pieces. Its size is what each place in the table of works takes.
#[derive(Debug)]
pub enum Work {
    /// Several ranges of a file.
    Parts(Parts),
}

/// An answer in pieces.
#[derive(Debug)]
pub struct Pieces {
    /// What it is made from; lent to every call, and what a [`Piece`] may name a part of.
    pub file: OwnedFd,
    /// Bytes of the content, if they are known.
    pub length: Option<u64>,
    /// How to go on.
    pub work: Work,
}

/// What [`Site::prepare`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// [`Site::produce`] will give a piece.
    Ready,
    /// There is more to do first, in a later turn of the loop.
    Later,
}

/// One piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes that were written to the room.
    pub bytes: usize,
    /// Offset and length of the part of the file that follows them. Only where the length of the
    /// answer is known.
    pub file: Option<(u64, u64)>,
    /// Nothing follows.
    pub last: bool,
}

impl Site {
    /// Does a bounded step of what must be done before the next piece, without a buffer.
    pub fn prepare(&mut self, work: &mut Work, _: BorrowedFd<'_>) -> Prepared {
        match work {
            Work::Parts(_) => Prepared::Ready,
        }
    }

    /// Writes the next piece to the front of `room`. Only the last may have no bytes.
    ///
    /// # Errors
    /// The piece cannot be made any more, as when the file became shorter: the answer cannot be
    /// completed.
    pub fn produce(
        &mut self,
        work: &mut Work,
        file: BorrowedFd<'_>,
        room: &mut [u8],
    ) -> io::Result<Piece> {
        match work {
            Work::Parts(parts) => parts.produce(file, room),
        }
    }

    /// The answer is complete, or will never be.
    pub fn release(&mut self, work: Work) {
        match work {
            Work::Parts(_) => {}
        }
    }
}
