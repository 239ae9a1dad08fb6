//! Which goodbye this build says: the one file that knows the flavour features.
//!
//! Owns [`BUILT`]. Everything else takes the flavour as a value, so that every build compiles and
//! tests all three.

use crate::connection::state::Teardown;

/// The flavour of this build.
pub const BUILT: Teardown = if cfg!(feature = "so-linger") {
    Teardown::SoLinger
} else if cfg!(feature = "no-lingclose") {
    Teardown::Plain
} else {
    Teardown::Linger
};

/// Its name, as `adieu -V` shows it.
#[must_use]
pub const fn name(teardown: Teardown) -> &'static str {
    match teardown {
        Teardown::Linger => "linger",
        Teardown::Plain => "no-lingclose",
        Teardown::SoLinger => "so-linger",
    }
}
