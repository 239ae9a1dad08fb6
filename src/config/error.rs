//! The operator's faults: what stops the start, and how to cure it.
//!
//! Owns [`StartError`] and its exit codes. It must not print: `main` does. Invariant: displayed, it
//! is one line that names the place, the fault and the cure.

use std::fmt;

/// Why the server did not start: what, where, and what to do. One line when displayed:
/// `WHERE: WHAT; CURE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// What went wrong, with the system's reason.
    pub what: String,
    /// Where: a file and line, a key or a flag.
    pub place: String,
    /// What the operator can do.
    pub cure: String,
    /// The exit code: 1 runtime, 2 usage, 78 configuration.
    pub code: u8,
}

impl StartError {
    /// Exit code: the configuration is sound, but the system refused (an address in use, a file).
    pub const RUNTIME: u8 = 1;
    /// Exit code: the command line is wrong.
    pub const USAGE: u8 = 2;
    /// Exit code: the configuration is wrong (EX_CONFIG of sysexits.h); an init system should not
    /// start the server again.
    pub const CONFIGURATION: u8 = 78;

    /// An error of the system at run time: exit code 1.
    #[must_use]
    pub fn runtime(
        place: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(Self::RUNTIME, place.into(), what.into(), cure.into())
    }

    /// A wrong command line: exit code 2.
    #[must_use]
    pub fn usage(
        place: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(Self::USAGE, place.into(), what.into(), cure.into())
    }

    /// A wrong configuration: exit code 78.
    #[must_use]
    pub fn configuration(
        place: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(Self::CONFIGURATION, place.into(), what.into(), cure.into())
    }

    fn new(code: u8, place: String, what: String, cure: String) -> Self {
        Self {
            what,
            place,
            cure,
            code,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.cure)
    }
}

impl std::error::Error for StartError {}
