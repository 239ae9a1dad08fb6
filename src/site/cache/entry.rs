//! What is kept of a file, and what it is looked up by.
//!
//! Owns the key and the entry. It must not know where an entry stands. Invariant: whatever decides
//! which file is sent for a path is in the key, or in the directories whose marks the entry has.

use super::super::validators::Validators;
use super::{KEEP_MS, Marks};
use crate::config::Coding;
use crate::connection::time::Ms;
use std::cell::Cell;
use std::os::fd::OwnedFd;

/// What was asked for, as far as it decides which file is sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::site) struct Key<'k> {
    /// Number of the site.
    pub(in crate::site) host: u16,
    /// The decoded path, with its slash if it is that of a directory.
    pub(in crate::site) path: &'k [u8],
    /// Which codings the client takes, and in which order.
    pub(in crate::site) taste: u16,
}

impl Key<'_> {
    /// FNV-1a. Who picks paths that collide gains nothing: they are compared whole.
    pub(super) fn hash(&self) -> u32 {
        let start = 0x811c_9dc5 ^ u32::from(self.host);
        self.path.iter().fold(start, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        })
    }
}

/// What is known of the file that is sent.
#[derive(Clone, Debug)]
pub(in crate::site) struct Known {
    /// Bytes of it.
    pub(in crate::site) size: u64,
    pub(in crate::site) validators: Validators,
    /// The coding it is in.
    pub(in crate::site) coding: Option<Coding>,
    /// There is more than one to choose from; else the client's taste does not matter.
    pub(in crate::site) varies: bool,
    /// It is this index of the site.
    pub(in crate::site) index: Option<u16>,
    /// A rule of scripts is about it: it is nobody's to see.
    pub(in crate::site) is_source: bool,
}

/// A file that was found here.
#[derive(Clone, Copy, Debug)]
pub(in crate::site) struct Hit<'c> {
    pub(in crate::site) kept: Kept,
    /// `None`: the path leads nowhere.
    pub(in crate::site) known: Option<&'c Known>,
    /// The front of its head when it is sent whole; may be empty.
    pub(in crate::site) front: &'c [u8],
}

/// A place in the cache, until the loop goes on to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept(pub(super) u16);

/// A file to be kept.
#[derive(Debug)]
pub(in crate::site) struct Fresh<'f> {
    pub(in crate::site) file: OwnedFd,
    pub(in crate::site) known: &'f Known,
    /// The front of its head when it is sent whole; may be empty.
    pub(in crate::site) front: &'f [u8],
    /// The directories by which it was found.
    pub(in crate::site) marks: Marks,
}

/// One file.
#[derive(Debug)]
pub(super) struct Entry {
    /// `None`: the path leads nowhere.
    pub(super) found: Option<(OwnedFd, Known)>,
    /// Of its path and site.
    pub(super) hash: u32,
    pub(super) host: u16,
    pub(super) taste: u16,
    /// Where its path stands in the arena, and behind it the front of its head, and the
    /// content, if it is small.
    pub(super) at: usize,
    pub(super) path_bytes: u16,
    pub(super) front_bytes: u16,
    pub(super) content_bytes: Option<u16>,
    pub(super) until: Ms,
    /// The directories by which it was found.
    pub(super) marks: Marks,
    /// Somebody has asked for it since it is here.
    pub(super) was_found: Cell<bool>,
}

impl Entry {
    /// What leads nowhere.
    pub(super) fn nowhere(key: Key<'_>, marks: Marks, now: Ms) -> Self {
        Self {
            found: None,
            hash: key.hash(),
            host: key.host,
            taste: key.taste,
            at: 0,
            path_bytes: u16::try_from(key.path.len()).unwrap_or(u16::MAX),
            front_bytes: 0,
            content_bytes: None,
            until: now.after(KEEP_MS),
            marks,
            was_found: Cell::new(false),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.before_content() + usize::from(self.content_bytes.unwrap_or(0))
    }

    /// The taste of the client matters.
    pub(super) fn varies(&self) -> bool {
        self.found.as_ref().is_some_and(|(_, known)| known.varies)
    }

    pub(super) fn before_content(&self) -> usize {
        usize::from(self.path_bytes) + usize::from(self.front_bytes)
    }
}
