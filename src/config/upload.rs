//! Where files may be put and removed, and how large they and other bodies may be.
//!
//! Owns [`UploadRule`], a rule of a site. It must not know where a path leads. Invariants: what is
//! displayed is parsed back to the same rule; every rule has a bound.

use super::fault::Fault;
use super::pattern::Pattern;
use super::rules::{Rule, two};
use super::value::{Kind, Unit, Value};
use std::fmt;

/// The bound of a file: 1 byte to 1 TiB.
const BOUND: Kind = Kind::Number {
    unit: Unit::Bytes,
    min: 1,
    max: 1 << 40,
};

/// `PATTERN MAX_BYTES`: PUT and DELETE are allowed there; or a body there is no larger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRule {
    /// The paths.
    pub pattern: Pattern,
    /// The largest file, or body, bytes.
    pub max_bytes: u64,
}

impl Rule for UploadRule {
    fn parse(line: &str) -> Result<Self, Fault> {
        let cure = "write /inbox 64MiB, or /drop/*.jpg 8MiB";
        let fault = |what: &str| Fault::new(format!("\"{line}\" {what}"), cure);
        let (pattern, bound) =
            two(line).ok_or_else(|| fault("is not a path and the size of the largest file"))?;
        let max_bytes = match BOUND.parse(bound) {
            Ok(Value::Number(bytes, _)) => bytes,
            Ok(_) | Err(_) => {
                let range = BOUND.range();
                return Err(fault(&format!(
                    "has no size of {range} for the largest file"
                )));
            }
        };
        Ok(Self {
            pattern: Pattern::parse(pattern)?,
            max_bytes,
        })
    }
}

impl fmt::Display for UploadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = Value::Number(self.max_bytes, Unit::Bytes);
        write!(f, "{} {bound}", self.pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_shown() {
        for (line, bytes, shown) in [
            ("/inbox 64MiB", 64 << 20, "/inbox 64MiB"),
            ("/ 1", 1, "/ 1"),
            ("  *.jpg \t8 MiB ", 8 << 20, "*.jpg 8MiB"),
            ("/a%20b 65536", 65_536, "/a%20b 64KiB"),
            ("/a 1024GiB", 1 << 40, "/a 1024GiB"),
        ] {
            let rule = UploadRule::parse(line).unwrap();
            assert_eq!((rule.max_bytes, &*rule.to_string()), (bytes, shown));
            assert_eq!(UploadRule::parse(shown).unwrap(), rule);
        }
        for line in [
            "",
            "/inbox",
            "/inbox none",
            "/inbox 0",
            "/inbox -1",
            "/inbox 1025GiB",
            "/inbox 18446744073709551616",
            "/inbox 64MB",
            "/inbox 64MiB x",
            "inbox 64MiB",
            "/a/../b 64MiB",
        ] {
            let fault = UploadRule::parse(line).unwrap_err();
            assert!(fault.what.starts_with('"'), "{line}: {}", fault.what);
            assert!(fault.cure.contains("write "));
        }
    }
}
