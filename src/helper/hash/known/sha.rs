//! `$5$` and `$6$`: SHA-256 and SHA-512 of crypt(3).
//!
//! Owns how such a line is read, and the order of its signs. The algorithm is the crate's.

use super::{SHA_ROUNDS_MAX, text, until_dollar};
use sha_crypt::Params;

/// The longest salt.
const SALT_MAX: usize = 16;
/// More digits than the most rounds have.
const DIGITS_MAX: usize = 9;

/// Which of the two.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Sha256,
    Sha512,
}

/// What stands behind `$5$` or `$6$`.
pub(super) struct Line<'l> {
    kind: Kind,
    params: Params,
    salt: &'l [u8],
    text: &'l [u8],
}

impl<'l> Line<'l> {
    pub(super) fn parse(kind: Kind, rest: &'l [u8]) -> Option<Self> {
        let (params, rest) = match rest.strip_prefix(b"rounds=") {
            None => (Params::default(), rest),
            Some(rest) => {
                let (digits, rest) = until_dollar(rest)?;
                (params(digits)?, rest)
            }
        };
        let (salt, text) = until_dollar(rest)?;
        let length = match kind {
            Kind::Sha256 => 43,
            Kind::Sha512 => 86,
        };
        let sound = salt.len() <= SALT_MAX && text::is_text(text, length);
        sound.then_some(Self {
            kind,
            params,
            salt,
            text,
        })
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        match self.kind {
            Kind::Sha256 => {
                let digest = sha_crypt::sha256_crypt(password, self.salt, self.params);
                text::says(self.text, &digest, order_256())
            }
            Kind::Sha512 => {
                let digest = sha_crypt::sha512_crypt(password, self.salt, self.params);
                text::says(self.text, &digest, order_512())
            }
        }
    }
}

/// So many rounds, written as crypt(3) writes them.
fn params(digits: &[u8]) -> Option<Params> {
    let plain = digits.iter().all(u8::is_ascii_digit) && !digits.starts_with(b"0");
    if !plain || digits.len() > DIGITS_MAX {
        return None;
    }
    let rounds: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let allowed = rounds <= SHA_ROUNDS_MAX;
    allowed.then(|| Params::new(rounds).ok()).flatten()
}

/// Three columns of ten bytes, which change places from row to row, and two bytes.
fn order_256() -> impl Iterator<Item = usize> {
    let rows = (0..10).flat_map(|row: usize| match row % 3 {
        0 => [row + 20, row + 10, row],
        1 => [row + 10, row, row + 20],
        _ => [row, row + 20, row + 10],
    });
    rows.chain([30, 31])
}

/// As above with 21 bytes, the other way round, and one byte.
fn order_512() -> impl Iterator<Item = usize> {
    let rows = (0..21).flat_map(|row: usize| match row % 3 {
        0 => [row + 42, row + 21, row],
        1 => [row, row + 42, row + 21],
        _ => [row + 21, row, row + 42],
    });
    rows.chain([63])
}
