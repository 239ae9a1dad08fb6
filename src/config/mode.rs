//! Permissions of a file, as chmod(1) takes them.
//!
//! Owns [`Mode`] and its parser. It must not apply them. Invariant: no bit beyond the nine of
//! owner, group and others.

use super::fault::Fault;
use std::fmt;

/// Permissions: read, write and search for owner, group and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(u32);

/// The nine bits.
const ALL: u32 = 0o777;

impl Mode {
    /// The nine bits of `bits`; others are dropped.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self(bits & ALL)
    }

    /// The bits, as fchmod(2) takes them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Three octal digits, or four of which the first is 0.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let digits = match text.len() {
            3 => Some(text),
            4 => text.strip_prefix('0'),
            _ => None,
        };
        let octal = digits.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let bits = octal.and_then(|text| u32::from_str_radix(text, 8).ok());
        bits.map(Self).ok_or_else(|| {
            let what = format!("\"{text}\" are no permissions");
            Fault::new(what, "write three octal digits such as 0660 or 0666")
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:03o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_digits_are_read_and_shown() {
        for (text, bits, shown) in [
            ("0660", 0o660, "0660"),
            ("666", 0o666, "0666"),
            ("0000", 0, "0000"),
            ("0777", 0o777, "0777"),
            ("007", 0o007, "0007"),
        ] {
            let mode = Mode::parse(text).unwrap();
            assert_eq!((mode.bits(), mode.to_string().as_str()), (bits, shown));
            assert_eq!(Mode::parse(shown).unwrap(), mode);
        }
        for text in [
            "", "0", "66", "1777", "4755", "0888", "rw-", "0o66", "+66", "00660",
        ] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
        assert_eq!(Mode::new(0o4755), Mode::new(0o755));
    }
}
