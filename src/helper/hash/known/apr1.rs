//! `$apr1$`: what Apache made of the MD5 of crypt(3).
//!
//! Owns that algorithm; nobody keeps a crate for it. It must not be used for a new password: a
//! thousand rounds of MD5 are little today.

use super::{text, until_dollar};
use md5::{Digest, Md5};

/// The longest salt.
const SALT_MAX: usize = 8;
const ROUNDS: u32 = 1000;
/// 16 bytes, six bits a sign.
const TEXT_BYTES: usize = 22;
/// How the bytes of the digest stand in the text.
const ORDER: [usize; 16] = [12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11];

/// What stands behind `$apr1$`.
pub(super) struct Line<'l> {
    salt: &'l [u8],
    text: &'l [u8],
}

impl<'l> Line<'l> {
    pub(super) fn parse(rest: &'l [u8]) -> Option<Self> {
        let (salt, text) = until_dollar(rest)?;
        let sound = salt.len() <= SALT_MAX && text::is_text(text, TEXT_BYTES);
        sound.then_some(Self { salt, text })
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        text::says(self.text, &self.digest(password), ORDER.into_iter())
    }

    fn digest(&self, password: &[u8]) -> [u8; 16] {
        let first = md5(&[password, self.salt, password]);
        let mut begin = Md5::new();
        begin.update(password);
        begin.update(b"$apr1$");
        begin.update(self.salt);
        for part in password.chunks(first.len()) {
            begin.update(first.get(..part.len()).unwrap_or_default());
        }
        // A NUL for every bit that is set in the length, the first byte for every other one.
        let mut bits = password.len();
        while bits > 0 {
            let byte = if bits & 1 == 1 {
                Some(&0)
            } else {
                password.first()
            };
            begin.update(byte.map(std::slice::from_ref).unwrap_or_default());
            bits >>= 1;
        }
        let mut digest: [u8; 16] = begin.finalize().into();
        for round in 0..ROUNDS {
            let odd = round & 1 == 1;
            digest = md5(&[
                if odd { password } else { &digest },
                if round % 3 == 0 { b"" } else { self.salt },
                if round % 7 == 0 { b"" } else { password },
                if odd { &digest } else { password },
            ]);
        }
        digest
    }
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut all = Md5::new();
    for part in parts {
        all.update(part);
    }
    all.finalize().into()
}
