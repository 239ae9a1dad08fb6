//! Which representation of a file a client gets: itself, or a coded one beside it.
//!
//! Owns the choice (RFC 9110 section 12.1). It must not find the file or write fields. Invariant: a
//! sibling that is older than its original is never sent.

use super::encoding::{self, Accepted};
use super::host::Host;
use super::walk::{Opened, Walk};
use crate::config::Coding;

impl Host {
    /// The representation of the file at the end of `walk` that the client wants most (RFC 9110
    /// section 12.1), its coding, and whether there is more than one to choose from.
    ///
    /// Siblings are looked for whatever the client takes, for Vary must stand in every answer as
    /// soon as one could differ. A file without any costs one failed statx for each coding, three
    /// by default; one that has the coding wanted most costs statx, openat, statx and close. A
    /// sibling that is older than the original is left over from another one.
    pub(super) fn choose(
        &self,
        own: Opened,
        name: &[u8],
        walk: &Walk<'_>,
        accepted: &Accepted,
    ) -> (Opened, Option<Coding>, bool) {
        let mut varies = false;
        if !encoding::is_coded(name) {
            for coding in accepted.order(self.codings) {
                let sibling = walk.sibling(encoding::suffix(coding));
                let Some(opened) = sibling.filter(|s| age(s) >= age(&own)) else {
                    continue;
                };
                varies = true;
                if accepted.weight(coding) > 0 {
                    return (opened, Some(coding), varies);
                }
                break; // those behind it are wanted as little
            }
        }
        // Also with `identity;q=0`: RFC 9110 section 12.5.3 lets a server disregard the field, and
        // a client that gets its bytes is better off than one with a 406 that it cannot use.
        (own, None, varies)
    }
}

/// When the bytes of a file last changed.
fn age(opened: &Opened) -> (i64, u32) {
    (opened.stat.modified_s, opened.stat.modified_ns)
}
