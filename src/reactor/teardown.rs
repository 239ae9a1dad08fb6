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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flavour_is_named_as_the_feature_that_builds_it() {
        let names = Teardown::ALL.map(name);
        assert_eq!(names, ["linger", "no-lingclose", "so-linger"]);
        let manifest = include_str!("../../Cargo.toml");
        for feature in &names[1..] {
            assert!(manifest.contains(&format!("\n{feature} = ")), "{feature}");
        }
    }
}
