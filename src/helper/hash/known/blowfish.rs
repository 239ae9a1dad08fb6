//! `$2a$`, `$2b$`, `$2y$`: bcrypt. The three are the same for sound programs; `$2x$` is of a broken
//! one, and denies.
//!
//! Owns how such a line is read. The algorithm is the crate's.

use super::BCRYPT_COST_MAX;
use base64ct::{Base64Bcrypt, Encoding};
use subtle::ConstantTimeEq;

/// The least cost that there is.
const COST_MIN: u32 = 4;
/// More of a password does not count.
const KEY_MAX: usize = 72;
/// 16 bytes, six bits a sign.
const SALT_TEXT_BYTES: usize = 22;
/// 23 bytes, six bits a sign.
const TEXT_BYTES: usize = 31;
/// The last byte of the 24 that are computed is not written.
const WRITTEN_BYTES: usize = 23;

/// What stands behind `$2y$`.
pub(super) struct Line<'l> {
    cost: u32,
    salt: [u8; 16],
    text: &'l [u8],
}

impl<'l> Line<'l> {
    pub(super) fn parse(rest: &'l [u8]) -> Option<Self> {
        let ([tens, ones, b'$'], rest) = rest.split_first_chunk()? else {
            return None;
        };
        let digit = |byte: u8| char::from(byte).to_digit(10);
        let cost = digit(*tens)?.checked_mul(10)?.checked_add(digit(*ones)?)?;
        let (salt_text, text) = rest.split_at_checked(SALT_TEXT_BYTES)?;
        let mut salt = [0; 16];
        Base64Bcrypt::decode(salt_text, &mut salt).ok()?;
        let mut room = [0; WRITTEN_BYTES];
        Base64Bcrypt::decode(text, &mut room).ok()?;
        let sound = (COST_MIN..=BCRYPT_COST_MAX).contains(&cost) && text.len() == TEXT_BYTES;
        sound.then_some(Self { cost, salt, text })
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        // The NUL at its end belongs to it, as far as there is room.
        let mut key = [0; KEY_MAX];
        for (byte, given) in key.iter_mut().zip(password) {
            *byte = *given;
        }
        let length = password.len().saturating_add(1).min(KEY_MAX);
        let key = key.get(..length).unwrap_or_default();
        let digest = bcrypt::bcrypt(self.cost, self.salt, key);
        let mut room = [0; TEXT_BYTES];
        let written = digest.get(..WRITTEN_BYTES).unwrap_or_default();
        match Base64Bcrypt::encode(written, &mut room) {
            Ok(right) => right.as_bytes().ct_eq(self.text).into(),
            Err(_) => false,
        }
    }
}
