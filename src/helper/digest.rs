//! A keyed digest, so that credentials can be remembered without being kept.
//!
//! Owns the key and the algorithm: HMAC-SHA-256 (RFC 2104), of which the first half is used
//! (section 5). It must not keep what it has digested. Invariants: the key is the kernel's
//! randomness, never leaves the process and is never shown; nothing is allocated; parts cannot be
//! shifted into each other; digests are compared in constant time.

use std::fmt;

/// What is remembered.
#[derive(Clone, Copy)]
pub(crate) struct Digest([u8; Digest::BYTES]);

impl Digest {
    /// 128 bits: nobody finds another input for one, with or without the key.
    pub(crate) const BYTES: usize = 16;
}

/// The key of one server. Another start has another.
pub(crate) struct Key(built::Key);

impl Key {
    /// A new one. Waits while the system has no randomness yet: for the start only.
    ///
    /// # Errors
    ///
    /// Unsupported in a build without the feature `auth`; see [`crate::sys::random::fill`].
    pub(crate) fn new() -> std::io::Result<Self> {
        built::Key::new().map(Self)
    }

    /// The digest of these parts, as they are divided.
    pub(crate) fn of(&self, parts: &[&[u8]]) -> Digest {
        Digest(self.0.of(parts))
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        built::same(&self.0, &other.0)
    }
}

impl Eq for Digest {}

/// Shows nothing: who sees it could try passwords on it, had they the key.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// Shows nothing.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(feature = "auth")]
mod built {
    use super::Digest;
    use crate::sys::random;
    use sha2::{Digest as _, Sha256};
    use std::io;
    use subtle::ConstantTimeEq;

    /// What SHA-256 takes at once.
    const BLOCK_BYTES: usize = 64;
    /// The key is as long as the digest of SHA-256 (RFC 2104 section 3).
    const KEY_BYTES: usize = 32;

    pub(super) struct Key([u8; KEY_BYTES]);

    impl Key {
        pub(super) fn new() -> io::Result<Self> {
            let mut key = [0; KEY_BYTES];
            random::fill(&mut key)?;
            Ok(Self(key))
        }

        #[cfg(test)]
        pub(super) fn known(key: [u8; KEY_BYTES]) -> Self {
            Self(key)
        }

        pub(super) fn of(&self, parts: &[&[u8]]) -> [u8; Digest::BYTES] {
            let mut inner = self.begun(0x36);
            for part in parts {
                let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
                inner.update(length.to_le_bytes());
                inner.update(part);
            }
            let mut outer = self.begun(0x5c);
            outer.update(inner.finalize());
            let whole: [u8; 32] = outer.finalize().into();
            let mut half = [0; Digest::BYTES];
            for (byte, made) in half.iter_mut().zip(whole) {
                *byte = made;
            }
            half
        }

        /// A hash that has taken the key with this pad.
        fn begun(&self, pad: u8) -> Sha256 {
            let mut block = [pad; BLOCK_BYTES];
            for (byte, key) in block.iter_mut().zip(self.0) {
                *byte ^= key;
            }
            Sha256::new_with_prefix(block)
        }
    }

    pub(super) fn same(one: &[u8; Digest::BYTES], other: &[u8; Digest::BYTES]) -> bool {
        one.ct_eq(other).into()
    }
}

/// This build remembers nobody: there is no key, and so no digest.
#[cfg(not(feature = "auth"))]
mod built {
    use super::Digest;
    use std::io;

    pub(super) enum Key {}

    impl Key {
        pub(super) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn of(&self, _: &[&[u8]]) -> [u8; Digest::BYTES] {
            match *self {}
        }
    }

    pub(super) fn same(_: &[u8; Digest::BYTES], _: &[u8; Digest::BYTES]) -> bool {
        false
    }
}

#[cfg(feature = "auth")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hmac_of_the_rfc() {
        // python3: hmac.new(bytes(range(32)), struct.pack("<Q", 5) + b"alice"
        //     + struct.pack("<Q", 10) + b"wonderland", "sha256").hexdigest()[:32]
        let mut key = [0; 32];
        for (byte, number) in key.iter_mut().zip(0..) {
            *byte = number;
        }
        let key = Key(built::Key::known(key));
        let expected = 0xb2a2390f_dd8ec18d_53e0cad3_8f255f59_u128.to_be_bytes();
        assert_eq!(key.of(&[b"alice", b"wonderland"]).0, expected);
    }

    #[test]
    fn parts_cannot_be_shifted() {
        let key = Key::new().unwrap();
        let all: [&[&[u8]]; 8] = [
            &[b"ab", b"c"],
            &[b"a", b"bc"],
            &[b"abc"],
            &[b"abc", b""],
            &[b"", b"abc"],
            &[],
            &[b""],
            &[b"", b""],
        ];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(key.of(one) == key.of(other), at == other_at);
            }
        }
    }

    #[test]
    fn another_key_gives_another_digest_and_none_is_shown() {
        let (one, other) = (Key::new().unwrap(), Key::new().unwrap());
        let digest = one.of(&[b"alice"]);
        assert_ne!(digest, other.of(&[b"alice"]));
        assert_eq!(format!("{one:?} {digest:?}"), "Key Digest");
    }

    #[test]
    fn every_bit_counts() {
        let digest = Key::new().unwrap().of(&[b"alice"]);
        for bit in 0..128 {
            let other = u128::from_be_bytes(digest.0) ^ 1 << bit;
            assert_ne!(digest, Digest(other.to_be_bytes()));
        }
    }
}
