//! A password that stands in the file as it is, where the caller allows that.
//!
//! Owns the comparison. Invariant: neither what is wrong nor how long the right one is shows in the
//! time.

use super::PASSWORD_MAX;
use subtle::ConstantTimeEq;

/// The password.
pub(super) struct Line<'l>(&'l [u8]);

impl<'l> Line<'l> {
    /// Nothing at all is no password, and what is written like a hash is one that nobody knows
    /// here: who has read the file must not come in with it.
    pub(super) fn parse(stored: &'l [u8], allowed: bool) -> Option<Self> {
        let like_hash = stored.starts_with(b"$") || stored.starts_with(b"{");
        let sound = allowed && !like_hash && (1..=PASSWORD_MAX).contains(&stored.len());
        sound.then_some(Self(stored))
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        let length = self.0.len().ct_eq(&password.len());
        (padded(self.0).ct_eq(&padded(password)) & length).into()
    }
}

fn padded(bytes: &[u8]) -> [u8; PASSWORD_MAX] {
    let mut all = [0; PASSWORD_MAX];
    for (byte, given) in all.iter_mut().zip(bytes) {
        *byte = *given;
    }
    all
}
