//! How crypt(3) writes a digest.
//!
//! Owns the order of the bytes and the comparison. It must not compute a digest. Invariant: texts
//! of the length that the digest has are compared in constant time.

use base64ct::{Base64ShaCrypt, Encoding};
use subtle::ConstantTimeEq;

/// The longest digest: SHA-512.
const DIGEST_BYTES_MAX: usize = 64;
/// Six bits each.
const TEXT_BYTES_MAX: usize = 86;

/// `text` says `digest`, with its bytes in this order.
pub(super) fn says(text: &[u8], digest: &[u8], order: impl Iterator<Item = usize>) -> bool {
    let mut ordered = [0; DIGEST_BYTES_MAX];
    for (byte, at) in ordered.iter_mut().zip(order) {
        *byte = digest.get(at).copied().unwrap_or_default();
    }
    let mut room = [0; TEXT_BYTES_MAX];
    let Some(ordered) = ordered.get(..digest.len()) else {
        return false;
    };
    match Base64ShaCrypt::encode(ordered, &mut room) {
        Ok(right) => right.as_bytes().ct_eq(text).into(),
        Err(_) => false,
    }
}

/// These are signs that crypt(3) writes, and as many.
pub(super) fn is_text(bytes: &[u8], length: usize) -> bool {
    let sign = |byte: &u8| byte.is_ascii_alphanumeric() || b"./".contains(byte);
    bytes.len() == length && bytes.iter().all(sign)
}
