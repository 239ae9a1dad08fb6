//! The credentials of the Basic scheme (RFC 7617).
//!
//! Owns how the value of an Authorization field is read. It must not know a user, or keep anything.
//! Invariants: nothing is allocated, and nothing in a value makes it panic; no byte of the
//! credentials decides how long their decoding takes; what is not exactly as the RFC has it is no
//! credentials at all.

/// The longest name of a user, bytes.
pub(crate) const USER_MAX: usize = 255;
/// The longest password, bytes.
pub(crate) const PASSWORD_MAX: usize = 255;
/// The room that the longest of both need, with the colon between them.
pub(crate) const ROOM_BYTES: usize = USER_MAX + 1 + PASSWORD_MAX;

/// The name of the scheme; its case does not matter.
const SCHEME: &[u8] = b"basic";

/// User and password in the value of an Authorization field, decoded into `room`, of
/// [`ROOM_BYTES`]. Either may be empty; only the password may have colons, and neither has control
/// characters. Their bytes are the client's: it should write UTF-8, if the challenge says so.
pub(crate) fn credentials<'r>(value: &[u8], room: &'r mut [u8]) -> Option<(&'r [u8], &'r [u8])> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    if !scheme.eq_ignore_ascii_case(SCHEME) || blanks == 0 {
        return None;
    }
    let decoded = decode(rest.get(blanks..)?, room)?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, rest) = decoded.split_at_checked(colon)?;
    let password = rest.strip_prefix(b":")?;
    let short = user.len() <= USER_MAX && password.len() <= PASSWORD_MAX;
    let printable = !decoded.iter().any(u8::is_ascii_control);
    (short && printable).then_some((user, password))
}

/// Base64 with its padding (RFC 4648 section 4); `None` too if `room` is too small.
#[cfg(feature = "auth")]
fn decode<'r>(word: &[u8], room: &'r mut [u8]) -> Option<&'r [u8]> {
    use base64ct::{Base64, Encoding};
    Base64::decode(word, room).ok()
}

/// This build asks nobody for a password.
#[cfg(not(feature = "auth"))]
fn decode<'r>(_: &[u8], _: &'r mut [u8]) -> Option<&'r [u8]> {
    None
}

#[cfg(feature = "auth")]
#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut room = [0; ROOM_BYTES];
        let found = credentials(value, &mut room)?;
        Some((found.0.to_vec(), found.1.to_vec()))
    }

    fn both(user: &[u8], password: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        Some((user.to_vec(), password.to_vec()))
    }

    /// The value for these bytes, by an encoder of the test's own.
    fn value(credentials: &[u8]) -> Vec<u8> {
        const SIGNS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = b"Basic ".to_vec();
        for part in credentials.chunks(3) {
            let bits = (0..3).fold(0, |all, at| {
                all << 8 | u32::from(part.get(at).copied().unwrap_or(0))
            });
            for at in 0..4 {
                let sign = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap();
                text.push(if at <= part.len() { SIGNS[sign] } else { b'=' });
            }
        }
        text
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let aladdin = both(b"Aladdin", b"open sesame");
        assert_eq!(read(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
        assert_eq!(
            read(b"Basic dGVzdDoxMjPCow=="),
            both(b"test", "123\u{a3}".as_bytes())
        );
        for scheme in ["basic   ", "BASIC ", "bAsIc  "] {
            let value = format!("{scheme}QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
            assert_eq!(read(value.as_bytes()), aladdin);
        }
    }

    #[test]
    fn the_first_colon_divides_and_either_side_may_be_empty() {
        for (user, password) in [
            (&b""[..], &b""[..]),
            (b"", b"p"),
            (b"u", b""),
            (b"u", b":p:"),
            (b"\xff\x80", b"\xfe\x9f~ "),
        ] {
            let text = [user, b":", password].concat();
            assert_eq!(read(&value(&text)), both(user, password));
        }
    }

    #[test]
    fn what_is_no_basic_is_nothing() {
        for wrong in [
            &b""[..],
            b"Basic",
            b"Basic ",
            b"BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            b"Basic\tQWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            b" Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== ",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ===",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==",
            b"Basic QWxhZGRp bjpvcGVuIHNlc2FtZQ==",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, Bearer x",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2Ft_Q==",
            b"Basic \xff\xff\xff\xff",
            b"Basic ====",
            b"Basic =",
            b"Basic A",
            b"Basic A:==",
            b"Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            b"Basics QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ] {
            assert_eq!(read(wrong), None, "{}", wrong.escape_ascii());
        }
        assert_eq!(read(&value(b"no colon")), None);
    }

    #[test]
    fn control_characters_are_refused_on_both_sides() {
        for byte in (0..=0x1f).chain([0x7f]) {
            for text in [[b'u', byte, b':', b'p'], [b'u', b':', b'p', byte]] {
                assert_eq!(read(&value(&text)), None, "{byte}");
            }
        }
        for byte in (0x20..0x7f).chain(0x80..=0xff) {
            let text = [b'u', b':', b'p', byte];
            assert_eq!(read(&value(&text)), both(b"u", &[b'p', byte]));
        }
    }

    #[test]
    fn both_have_their_bounds_which_are_the_helpers() {
        assert_eq!(USER_MAX, crate::helper::USER_MAX);
        assert_eq!(PASSWORD_MAX, crate::helper::PASSWORD_MAX);
        let of = |user: usize, password: usize| {
            let text = [vec![b'u'; user], vec![b':'], vec![b'p'; password]].concat();
            read(&value(&text)).is_some()
        };
        assert!(of(255, 255));
        assert!(!of(256, 0) && !of(256, 254) && !of(0, 256) && !of(254, 256));
        assert!(!of(100_000, 100_000));
        let mut small = [0; 8];
        assert_eq!(credentials(&value(b"user:password"), &mut small), None);
    }

    #[test]
    fn no_value_makes_it_panic() {
        let good = value(b"alice:wonderland");
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            let mut bad = good.clone();
            for _ in 0..3 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let [a, b, c, _] = seed.to_be_bytes();
                let at = usize::from(a) % bad.len();
                match b % 3 {
                    0 => bad[at] = c,
                    1 => bad.truncate(at.max(1)),
                    _ => bad.insert(at, c),
                }
            }
            let _ = read(&bad);
        }
    }
}
