//! The loop in its sandbox: what it may reach, and who starts processes for it.
//!
//! Owns both, and what is said when nobody can start any more. It must not go into the sandbox.
//! Invariant: what cannot be cured while the server runs is said once.

use super::Reactor;
use super::net::Net;
use crate::config::StartError;
use crate::maker::Maker;
use crate::sandbox::Granted;
use crate::script::Confinement;

/// Why nothing is started any more.
pub(super) const NO_MAKER: &str =
    "the server is in its sandbox, where it can start no further process";
/// And what helps.
pub(super) const MAKER_CURE: &str = "start adieu anew, which then does so before its sandbox";

/// See the module.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) granted: Granted,
    pub(super) maker: Maker,
    /// It could not, and that was told.
    told: bool,
}

impl Default for Confined {
    /// In no sandbox.
    fn default() -> Self {
        Self {
            granted: Granted::default(),
            maker: Maker::Ourselves(Confinement::default()),
            told: false,
        }
    }
}

impl Confined {
    /// A process was started after all.
    pub(super) fn made(&mut self) {
        self.told = false;
    }

    /// A process was not started. Where another one cannot do it any more, that is said once.
    pub(super) fn not_made(&mut self, error: &StartError) {
        if !std::mem::replace(&mut self.told, self.maker.is_elsewhere()) {
            log::error!("{error}");
        }
    }
}

impl<N: Net> Reactor<N> {
    /// Says who starts processes beside it.
    #[must_use]
    pub fn with_maker(mut self, maker: Maker) -> Self {
        self.confined.maker = maker;
        self
    }

    /// The process is in its sandbox, where this was granted.
    pub fn confine(&mut self, granted: Granted) {
        self.confined.granted = granted;
    }
}
