//! What is amiss with the target of a log.
//!
//! Owns the words about it. It must not decide whom it is told. Invariant: what helps is said where
//! the target does not come by itself.

use std::fmt;
use std::io::{self, ErrorKind};

/// What helps where it may not be opened.
const DENIED: &str =
    "; if it was made anew after the server went into its sandbox, start adieu anew";

/// What went wrong, for the operator.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) what: &'static str,
    pub(super) error: io::Error,
}

impl Trouble {
    /// The user or the sandbox may not open it: it does not come by itself.
    pub(super) fn is_denied(&self) -> bool {
        self.error.kind() == ErrorKind::PermissionDenied
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)?;
        match self.is_denied() {
            true => f.write_str(DENIED),
            false => Ok(()),
        }
    }
}
