//! The page that draws the status over time.
//!
//! Owns the order of its parts, and the policy that lets it do no more than it must. The page is
//! `page.html` beside this file; the text form stands in its middle, for who has no scripts.
//! Invariants: nothing comes from elsewhere, and the history stays in the browser.

use super::{Snapshot, text};
use std::fmt::{Result, Write};

/// The page; the mark stands where the text form goes.
const PAGE: &str = include_str!("page.html");
const MARK: &str = "<!--text-->";

/// What the page may do: run its own script, have its own style, and ask this server. The hashes
/// are those of both (CSP 3 section 8.3); a test knows when they are stale.
pub const POLICY: &[u8] = b"default-src 'none'; \
script-src 'sha256-tlZF4VBUMFqJ3PLQkC4z8XgupDc3pjE9kqpdT8V63ms='; \
style-src 'sha256-bP3B28rlMLoODcl9Ib0p7MYCAHRkjprNouuGhtpTWYk='; \
img-src data:; \
connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Writes all of it.
pub(super) fn write(of: &Snapshot, to: &mut dyn Write) -> Result {
    let (front, behind) = PAGE.split_once(MARK).unwrap_or((PAGE, ""));
    to.write_str(front)?;
    text::write(of, to)?;
    to.write_str(behind)
}
