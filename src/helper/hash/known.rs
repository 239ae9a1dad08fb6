//! The forms that are known.
//!
//! Owns how a form is told from another. It must not know an algorithm: each has a file beside this
//! one. Invariant: a line is read whole before anything is computed, so that what is no hash, or
//! too much work, costs nothing.

mod apr1;
mod blowfish;
mod plain;
mod sha;
mod text;

use super::{BCRYPT_COST_MAX, PASSWORD_MAX, SHA_ROUNDS_MAX};

/// What stands in a file behind a name.
enum Stored<'l> {
    Apr1(apr1::Line<'l>),
    Bcrypt(blowfish::Line<'l>),
    Plain(plain::Line<'l>),
    Sha(sha::Line<'l>),
}

impl<'l> Stored<'l> {
    /// `None` for what denies everybody.
    fn parse(stored: &'l [u8], plain: bool) -> Option<Self> {
        let Some(named) = stored.strip_prefix(b"$") else {
            return plain::Line::parse(stored, plain).map(Self::Plain);
        };
        let (kind, rest) = until_dollar(named)?;
        match kind {
            b"2a" | b"2b" | b"2y" => blowfish::Line::parse(rest).map(Self::Bcrypt),
            b"5" => sha::Line::parse(sha::Kind::Sha256, rest).map(Self::Sha),
            b"6" => sha::Line::parse(sha::Kind::Sha512, rest).map(Self::Sha),
            b"apr1" => apr1::Line::parse(rest).map(Self::Apr1),
            _ => None,
        }
    }

    fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Apr1(line) => line.is_of(password),
            Self::Bcrypt(line) => line.is_of(password),
            Self::Plain(line) => line.is_of(password),
            Self::Sha(line) => line.is_of(password),
        }
    }
}

pub(super) fn verify(stored: &[u8], password: &[u8], plain: bool) -> bool {
    Stored::parse(stored, plain).is_some_and(|stored| stored.is_of(password))
}

pub(super) fn is_sound(stored: &[u8], plain: bool) -> bool {
    Stored::parse(stored, plain).is_some()
}

/// What stands before the next `$`, and what behind it.
fn until_dollar(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'$')?;
    let (before, rest) = bytes.split_at_checked(end)?;
    Some((before, rest.strip_prefix(b"$")?))
}
