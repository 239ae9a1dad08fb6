//! Hashes of passwords, as htpasswd(1), mkpasswd(1) and crypt(3) write them.
//!
//! Owns which forms there are, what of them is believed, and whether this build can. It must not
//! read a file or know a user. Invariants: what is no hash, or an absurd one, denies; nothing in a
//! line or a password makes it panic, or work for longer than the worst hash that is allowed; a
//! comparison takes as long for a wrong password as for the right one.
//!
//! | form | what it is | bounds |
//! |---|---|---|
//! | `$2a$`, `$2b$`, `$2y$` | bcrypt | cost 4 to [`BCRYPT_COST_MAX`] |
//! | `$5$`, `$6$` | SHA-256, SHA-512 of crypt(3) | 1000 to [`SHA_ROUNDS_MAX`] rounds, else 5000 |
//! | `$apr1$` | the MD5 of Apache | always 1000 rounds |
//! | without `$` or `{` in front | the password itself | only if the caller allows it |
//!
//! bcrypt takes 72 bytes of a password, here as everywhere; what is beyond does not count.
//! `{SHA}`, `{SSHA}`, `$1$` and the DES of old crypt(3) deny: a graphics card tries billions of
//! them a second.

#[cfg(feature = "auth")]
mod known;

/// This build knows no hash.
#[cfg(not(feature = "auth"))]
mod known {
    pub(super) fn verify(_: &[u8], _: &[u8], _: bool) -> bool {
        false
    }

    pub(super) fn is_sound(_: &[u8], _: bool) -> bool {
        false
    }
}

/// This build knows hashes.
pub const BUILT: bool = cfg!(feature = "auth");

/// Each step doubles the work: 14 takes a second on a PC, and most of a minute on a small router. A
/// file that asks for more would stop the helper for everybody.
pub const BCRYPT_COST_MAX: u32 = 14;
/// A third of a second on a PC for `$6$`, and four times that for the longest password.
pub const SHA_ROUNDS_MAX: u32 = 1_000_000;
/// No password is longer, bytes.
const PASSWORD_MAX: usize = super::PASSWORD_MAX;

/// What stands in a file is of this password. `plain`: it may be the password itself.
///
/// A password with a NUL is refused: C, which made the file, ends it there. One that is longer than
/// any that can be sent is refused as well.
#[must_use]
pub fn verify(stored: &[u8], password: &[u8], plain: bool) -> bool {
    let sound = password.len() <= PASSWORD_MAX && !password.contains(&0);
    sound && known::verify(stored, password, plain)
}

/// What stands in a file is something that a password can be compared with.
#[must_use]
pub fn is_sound(stored: &[u8], plain: bool) -> bool {
    known::is_sound(stored, plain)
}

#[cfg(feature = "auth")]
#[cfg(test)]
mod tests;
