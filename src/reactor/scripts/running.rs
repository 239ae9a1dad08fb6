//! A script that was asked for, as the loop sees it.
//!
//! Owns how far it is. It must not do anything with it: its place is `table`'s, its bytes
//! `relay`'s.

use crate::connection::client::Client;
use crate::connection::time::Ms;
use crate::reactor::addresses::Key;
use crate::script::output::Output;
use std::os::fd::OwnedFd;

/// The longest name of a script that is shown in the log, bytes.
const NAME_BYTES: usize = 48;
/// The longest Host that is kept for a local redirect, bytes.
const HOST_BYTES: usize = 255;
/// A few bytes that are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<const N: usize>([u8; N], u8);

impl<const N: usize> Kept<N> {
    /// As much of `text` as there is room for.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut kept = Self([0; N], 0);
        let room = kept.0.iter_mut().take(usize::from(u8::MAX));
        for (to, from) in room.zip(text) {
            *to = *from;
            kept.1 = kept.1.saturating_add(1);
        }
        kept
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.get(..usize::from(self.1)).unwrap_or_default()
    }
}

/// How far a script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its body is kept first.
    Spooling,
    /// It runs.
    Running,
    /// Its process has ended; what it wrote may still be there to be read.
    Ended,
    /// A signal has ended it, or it was lost: what it has not said it would have.
    Cut,
    /// It could not be started.
    Failed,
}

/// What the output of a script has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// It may say more.
    Speaks,
    /// It has ended its output then, and soon its process will have ended too: how, says whether
    /// that was meant.
    Silent(Ms),
    /// It goes on without one, and that was meant.
    Mute,
}

/// A script that was asked for.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) phase: Phase,
    /// Whose answer it makes; none if nobody waits for it any more.
    pub(super) slot: Option<u16>,
    /// What the starter calls it.
    pub(super) ticket: u32,
    pub(super) name: Kept<NAME_BYTES>,
    /// What its request called this server.
    pub(super) host: Kept<HOST_BYTES>,
    /// Who has sent that, and the client whose share its place is of.
    pub(super) client: Client,
    pub(super) counted: Option<Key>,
    /// The directory it is to be started in.
    pub(super) directory: Option<OwnedFd>,
    /// Our end of its standard input; while it is spooled, the whole of it.
    pub(super) input: Option<OwnedFd>,
    /// Our end of its standard output.
    pub(super) output: Option<OwnedFd>,
    /// What edges have told and nothing has used up yet.
    pub(super) writable: bool,
    pub(super) readable: bool,
    /// Its head, while that comes into the frame's memory, and how much has come.
    pub(super) head: Output,
    pub(super) said: usize,
    pub(super) looked: usize,
    /// So much of that was passed on.
    pub(super) passed: usize,
    /// What it may still say, and what its answer still has, if that is known.
    pub(super) allowed: u64,
    pub(super) owed: Option<u64>,
    /// What its output has come to.
    pub(super) voice: Voice,
    /// Its answer is whole.
    pub(super) finished: bool,
    /// It ends by then, and whether it was told so.
    pub(super) until: Ms,
    pub(super) told: bool,
}
