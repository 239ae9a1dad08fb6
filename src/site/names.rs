//! Names on their way to the kernel.
//!
//! Owns one name as the kernel takes it, and those that are still to go. It must not call the
//! kernel. Invariants: a [`Name`] is followed by a NUL and no longer than a file name can be; what
//! does not fit changes nothing and is [`Refusal::Missing`], for nothing is called so.

use super::path::{NAME_BYTES, PATH_BYTES};
use super::walk::Refusal;
use std::ffi::CStr;

/// One name, ready for the kernel.
#[derive(Debug)]
pub(super) struct Name {
    /// Zeroes follow the name.
    bytes: [u8; NAME_BYTES + 1],
    len: usize,
}

impl Name {
    /// No name yet.
    pub(super) const EMPTY: Self = Self {
        bytes: [0; NAME_BYTES + 1],
        len: 0,
    };

    /// This name.
    pub(super) fn new(name: &[u8]) -> Result<Self, Refusal> {
        Self::EMPTY.with(name)
    }

    /// This name with `suffix` behind it.
    pub(super) fn with(&self, suffix: &[u8]) -> Result<Self, Refusal> {
        let mut bytes = self.bytes;
        let len = self.len.saturating_add(suffix.len());
        // One byte stays for the terminator.
        let room = bytes
            .get_mut(..NAME_BYTES)
            .and_then(|all| all.get_mut(self.len..len));
        room.ok_or(Refusal::Missing)?.copy_from_slice(suffix);
        Ok(Self { bytes, len })
    }

    /// Without its NUL.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// `..`
    pub(super) fn is_parent(&self) -> bool {
        self.as_bytes() == b".."
    }

    /// A NUL inside, which only a configured index name could bring, would name another file.
    pub(super) fn as_c_str(&self) -> Result<&CStr, Refusal> {
        let whole = self.bytes.get(..=self.len).unwrap_or_default();
        CStr::from_bytes_with_nul(whole).map_err(|_| Refusal::Missing)
    }
}

/// The names still to go. They stand at the end of the buffer, so that the target of a link is put
/// in front of them.
pub(super) struct Rest {
    bytes: [u8; PATH_BYTES],
    start: usize,
    /// So many bytes at the end were asked for; what stands before them came from links.
    own: usize,
}

impl Rest {
    /// No name.
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; PATH_BYTES],
            start: PATH_BYTES,
            own: 0,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Drops all names.
    pub(super) fn clear(&mut self) {
        self.start = PATH_BYTES;
        self.own = 0;
    }

    /// What stands here now is what was asked for.
    pub(super) fn is_own(&mut self) {
        self.own = self.len();
    }

    /// No name is left.
    pub(super) fn is_empty(&self) -> bool {
        self.as_bytes().iter().all(|&b| b == b'/')
    }

    /// How many bytes are left of what was asked for, slashes at their front not counted. Missing
    /// if something is left of a link.
    pub(super) fn left(&self) -> Result<usize, Refusal> {
        let left = self.len();
        (left <= self.own).then_some(left).ok_or(Refusal::Missing)
    }

    /// Bytes of all that is left, slashes at its front not counted.
    fn len(&self) -> usize {
        let rest = self.as_bytes();
        let slashes = rest.iter().take_while(|b| **b == b'/').count();
        rest.len().saturating_sub(slashes)
    }

    /// Puts `part` in front, with a slash between.
    pub(super) fn prepend(&mut self, part: &[u8]) -> Result<(), Refusal> {
        if !self.is_empty() {
            self.put(b"/")?;
        }
        self.put(part)
    }

    fn put(&mut self, part: &[u8]) -> Result<(), Refusal> {
        let start = self.start.checked_sub(part.len()).ok_or(Refusal::Missing)?;
        let room = self
            .bytes
            .get_mut(start..self.start)
            .ok_or(Refusal::Missing)?;
        room.copy_from_slice(part);
        self.start = start;
        Ok(())
    }

    /// Takes the first name that leads anywhere (`.` does not).
    pub(super) fn take(&mut self) -> Result<Option<Name>, Refusal> {
        loop {
            let rest = self.as_bytes();
            let skipped = rest.iter().take_while(|&&b| b == b'/').count();
            let rest = rest.get(skipped..).unwrap_or_default();
            let name = rest.split(|&b| b == b'/').next().unwrap_or_default();
            let used = skipped.saturating_add(name.len());
            let taken = match name {
                b"" => return Ok(None),
                b"." => None,
                name => Some(Name::new(name)?),
            };
            self.start = self.start.saturating_add(used).min(PATH_BYTES);
            self.own = self.own.min(self.len());
            if taken.is_some() {
                return Ok(taken);
            }
        }
    }
}
