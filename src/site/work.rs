//! Content that is made piece by piece: what the shell keeps of it, and the calls that make it.
//!
//! Owns [`Work`] and the form of the pieces. It must not keep a buffer or a descriptor: both are
//! lent for each call. Invariants: no call waits or allocates; what a work declared as its length
//! is what its pieces add up to, or a call fails.

use super::Site;
use super::cache::Cache;
use super::listing::{Listing, Policy, Shelf};
use super::parts::Parts;
use super::script::ScriptMeans;
use crate::connection::time::Ms;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What the caller has at hand for an answer.
#[derive(Debug)]
pub struct Means<'m> {
    /// There is a place for a [`Work`]: an answer in pieces can be given.
    pub work: bool,
    /// There is a place for an [`Upload`](super::Upload): a body can be kept.
    pub upload: bool,
    /// There is a place for a script: one can answer.
    pub script: Option<ScriptMeans<'m>>,
    /// The request came by `status.socket`: it is about nothing else.
    pub of_status: bool,
    /// Files that were asked for a moment ago.
    pub cache: &'m mut Cache,
}

/// What is left of an answer in pieces. Its size is what each place in the table of works takes.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it stands in a table of fixed places; a box would allocate"
)]
pub enum Work {
    /// Several ranges of a file.
    Parts(Parts),
    /// The names in a directory.
    Listing(Listing, Place),
    /// What a test of the shell says, call by call.
    #[cfg(test)]
    Told(std::collections::VecDeque<Told>),
}

/// An outcome of one call.
#[cfg(test)]
#[derive(Debug)]
pub enum Told {
    /// Of [`Site::prepare`].
    Later,
    /// Of [`Site::produce`]: so many bytes, the last or not.
    Piece(usize, bool),
    /// Of [`Site::produce`].
    Fails,
}

/// A directory that is served: where the links in it may lead hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// 0 is the default site, then the named ones.
    pub(super) host: u16,
    /// 0 is the root, then the aliases.
    pub(super) root: u16,
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
    /// There is more to do first, in the next turn of the loop.
    Later,
    /// Another work has what this one needs. It is free again 50 ms after it was used last, 250 ms
    /// after it was first of use, and after a second without a step; others may be before this one.
    Wait,
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
    ///
    /// # Errors
    /// As [`Site::produce`].
    pub fn prepare(
        &mut self,
        work: &mut Work,
        file: BorrowedFd<'_>,
        now: Ms,
    ) -> io::Result<Prepared> {
        Ok(match work {
            Work::Parts(_) => Prepared::Ready,
            Work::Listing(listing, place) => {
                let (shelf, policy) = self.listing_of(*place)?;
                return shelf.prepare(listing, file, &policy, now);
            }
            #[cfg(test)]
            Work::Told(told) if matches!(told.front(), Some(Told::Later)) => {
                told.pop_front();
                Prepared::Later
            }
            #[cfg(test)]
            Work::Told(_) => Prepared::Ready,
        })
    }

    /// The shelf, and what may be shown of the tree at this place.
    fn listing_of(&mut self, place: Place) -> io::Result<(&mut Shelf, Policy<'_>)> {
        let host = match place.host.checked_sub(1) {
            None => Some(&self.default),
            Some(n) => self.named.get(usize::from(n)),
        };
        let policy = host.and_then(|host| host.policy(place.root));
        let both = self.shelf.as_mut().zip(policy);
        both.ok_or_else(|| io::ErrorKind::NotFound.into())
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
            Work::Listing(listing, place) => {
                let (shelf, policy) = self.listing_of(*place)?;
                shelf.produce(listing, file, room, &policy)
            }
            #[cfg(test)]
            Work::Told(told) => match told.pop_front() {
                Some(Told::Piece(bytes, last)) => {
                    room[..bytes].fill(b't');
                    let file = None;
                    Ok(Piece { bytes, file, last })
                }
                told => Err(io::Error::other(format!("{told:?}"))),
            },
        }
    }

    /// The answer is complete, or will never be.
    pub fn release(&mut self, work: Work) {
        match work {
            Work::Parts(_) => {}
            Work::Listing(listing, _) => {
                if let Some(shelf) = &mut self.shelf {
                    shelf.release(&listing);
                }
            }
            #[cfg(test)]
            Work::Told(_) => {}
        }
    }
}
