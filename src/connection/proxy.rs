//! The PROXY protocol: the few bytes in which a proxy says whom it speaks for, before the first
//! request.
//!
//! Owns both versions as haproxy's `proxy-protocol.txt` (section 2) defines them. It must not
//! decide whom to believe, nor keep anything between calls. Invariants: the verdict depends on the
//! bytes alone, never on how they were cut; what cannot become a preface any more is refused at the
//! byte that makes it so, and nothing longer than [`PREFACE_BYTES_MAX`] is waited for.

use super::client::Client;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::{FromStr, from_utf8};

/// The longest preface of version 2, bytes. A sender writes it at once, and 536 fit the smallest
/// segment of IPv4 (section 2); a unix pair takes 232 of them.
pub const PREFACE_BYTES_MAX: usize = 536;
/// The longest line of version 1, bytes, its CRLF included (section 2.1).
const LINE_BYTES_MAX: usize = 107;
/// What a line of version 1 begins with.
const OPENING: &[u8] = b"PROXY ";
/// What version 2 begins with: no line of text in any protocol (section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, and the length of the rest.
const FIXED_BYTES: usize = 16;
/// Digits of the longest port.
const PORT_BYTES_MAX: usize = 5;
/// The longest IPv4 address as text.
const V4_BYTES_MAX: usize = 15;
/// The longest IPv6 address as text, with an IPv4 address at its end.
const V6_BYTES_MAX: usize = 45;

/// What the bytes at the front of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// The beginning of a preface.
    More,
    /// A whole one.
    Done {
        /// Its length; what is behind it is the first request.
        bytes: u16,
        /// Whom the proxy speaks for; `None`: for itself, or it does not say.
        client: Option<Client>,
    },
    /// No preface.
    Bad,
}

impl Preface {
    fn done(bytes: usize, client: Option<Client>) -> Self {
        u16::try_from(bytes).map_or(Self::Bad, |bytes| Self::Done { bytes, client })
    }
}

/// Reads a preface of either version at the front of `bytes`.
#[must_use]
pub fn parse(bytes: &[u8]) -> Preface {
    match bytes.first() {
        None => Preface::More,
        Some(b'P') => line(bytes),
        Some(_) => binary(bytes),
    }
}

/// Whether `bytes` begin with `whole`: `None` while they may still.
fn begins(bytes: &[u8], whole: &[u8]) -> Option<bool> {
    let both = bytes.len().min(whole.len());
    let alike = bytes.get(..both) == whole.get(..both);
    (!alike || both == whole.len()).then_some(alike)
}

// ---- version 1 --------------------------------------------------------------------------------

/// Version 1, one line: `PROXY TCP4 192.0.2.1 192.0.2.2 4711 443` and CRLF.
fn line(bytes: &[u8]) -> Preface {
    match begins(bytes, OPENING) {
        None => return Preface::More,
        Some(false) => return Preface::Bad,
        Some(true) => {}
    }
    let inside = bytes.len().min(LINE_BYTES_MAX - 1);
    let line = bytes.get(..inside).unwrap_or_default();
    let end = line.iter().position(|b| *b == b'\r');
    let words = line
        .get(OPENING.len()..end.unwrap_or(inside))
        .unwrap_or_default();
    let Some(end) = end else {
        let full = inside == LINE_BYTES_MAX - 1;
        return if full || !may_become(words) {
            Preface::Bad
        } else {
            Preface::More
        };
    };
    let Some(client) = whole(words) else {
        return Preface::Bad;
    };
    match bytes.get(end + 1) {
        None => Preface::More,
        Some(b'\n') => Preface::done(end + 2, client),
        Some(_) => Preface::Bad,
    }
}

/// The words behind the opening, whole: whom they name, or `None` if they are not well formed.
fn whole(words: &[u8]) -> Option<Option<Client>> {
    let mut parts = words.split(|b| *b == b' ');
    let client = match parts.next()? {
        // Whatever else stands there is to be ignored (section 2.1).
        b"UNKNOWN" => return (!words.contains(&b'\n')).then_some(None),
        b"TCP4" => {
            let (source, _) = (
                read::<Ipv4Addr>(parts.next()?)?,
                read::<Ipv4Addr>(parts.next()?)?,
            );
            IpAddr::V4(source)
        }
        b"TCP6" => {
            let (source, _) = (
                read::<Ipv6Addr>(parts.next()?)?,
                read::<Ipv6Addr>(parts.next()?)?,
            );
            IpAddr::V6(source)
        }
        _ => return None,
    };
    let (source, destination) = (parts.next()?, parts.next()?);
    let fits = is_port(source) && is_port(destination) && parts.next().is_none();
    fits.then_some(Some(Client::from_address(client)))
}

/// Words without their end: whether they can still become whole. Those that are ended by a blank
/// are judged as they are, the last one by its letters and its length.
fn may_become(words: &[u8]) -> bool {
    let mut parts = words.split(|b| *b == b' ');
    let family = parts.next().unwrap_or_default();
    if words.len() == family.len() {
        let families: [&[u8]; 3] = [b"TCP4", b"TCP6", b"UNKNOWN"];
        return families.iter().any(|name| name.starts_with(family));
    }
    let is_v4 = match family {
        b"UNKNOWN" => return !words.contains(&b'\n'),
        b"TCP4" => true,
        b"TCP6" => false,
        _ => return false,
    };
    let mut left = parts.clone().count();
    for (place, word) in parts.enumerate() {
        left = left.saturating_sub(1);
        let ended = left > 0;
        let fits = match (place, ended) {
            (0 | 1, true) if is_v4 => read::<Ipv4Addr>(word).is_some(),
            (0 | 1, true) => read::<Ipv6Addr>(word).is_some(),
            (0 | 1, false) => may_become_address(word, is_v4),
            (2, true) => is_port(word),
            (2 | 3, false) => word.is_empty() || is_port(word),
            (_, _) => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

fn may_become_address(word: &[u8], is_v4: bool) -> bool {
    if is_v4 {
        let letters = word.iter().all(|b| b.is_ascii_digit() || *b == b'.');
        return letters && word.len() <= V4_BYTES_MAX;
    }
    let letters = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    word.iter().all(letters) && word.len() <= V6_BYTES_MAX
}

/// An address as it stands, without blanks, zone or brackets.
fn read<T: FromStr>(word: &[u8]) -> Option<T> {
    from_utf8(word).ok()?.parse().ok()
}

/// A decimal number from 0 to 65535 without leading zeros.
fn is_port(word: &[u8]) -> bool {
    let digits = word.iter().all(u8::is_ascii_digit) && word.len() <= PORT_BYTES_MAX;
    let shortest = word.len() == 1 || word.first() != Some(&b'0');
    digits && shortest && read::<u16>(word).is_some()
}

// ---- version 2 --------------------------------------------------------------------------------

/// Who is at the two ends, by family and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    V4,
    V6,
    Unix,
    /// Not said, or said by the proxy of itself.
    Unsaid,
}

impl Ends {
    /// Bytes of both addresses and ports.
    const fn bytes(self) -> usize {
        match self {
            Self::V4 => 12,
            Self::V6 => 36,
            Self::Unix => 216,
            Self::Unsaid => 0,
        }
    }
}

/// Version 2: sixteen bytes, the addresses, and then what is skipped (section 2.2).
fn binary(bytes: &[u8]) -> Preface {
    match begins(bytes, SIGNATURE) {
        None => return Preface::More,
        Some(false) => return Preface::Bad,
        Some(true) => {}
    }
    let is_local = match bytes.get(SIGNATURE.len()) {
        None => return Preface::More,
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Preface::Bad,
    };
    let ends = match bytes.get(SIGNATURE.len() + 1) {
        None => return Preface::More,
        // A health check of the proxy itself: the family is to be ignored.
        Some(_) if is_local => Ends::Unsaid,
        Some(0x11) => Ends::V4,
        Some(0x21) => Ends::V6,
        Some(0x31) => Ends::Unix,
        // One half or both say that they say nothing.
        Some(0x00..=0x02 | 0x10 | 0x20 | 0x30) => Ends::Unsaid,
        Some(_) => return Preface::Bad,
    };
    let Some(&high) = bytes.get(FIXED_BYTES - 2) else {
        return Preface::More;
    };
    // The first byte of the length may say enough.
    let least = usize::from(high) * 256;
    let fits = |length| FIXED_BYTES + length <= PREFACE_BYTES_MAX;
    if !fits(least) {
        return Preface::Bad;
    }
    let Some(&low) = bytes.get(FIXED_BYTES - 1) else {
        return Preface::More;
    };
    let length = least + usize::from(low);
    let whole = FIXED_BYTES + length;
    if !fits(length) || length < ends.bytes() {
        return Preface::Bad;
    }
    let Some(addresses) = bytes.get(FIXED_BYTES..whole) else {
        return Preface::More;
    };
    let client = match ends {
        Ends::V4 => addresses.first_chunk().map(|a: &[u8; 4]| IpAddr::from(*a)),
        Ends::V6 => addresses.first_chunk().map(|a: &[u8; 16]| IpAddr::from(*a)),
        Ends::Unix => return Preface::done(whole, Some(Client::Unix)),
        Ends::Unsaid => None,
    };
    Preface::done(whole, client.map(Client::from_address))
}

#[cfg(test)]
mod tests;
