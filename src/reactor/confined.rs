//! The loop in its sandbox: what it may reach, and who starts processes for it.
//!
//! Owns both, and what is said when nobody can start any more. It must not go into the sandbox.
//! Invariant: what cannot be cured while the server runs is said once.

use super::Reactor;
use super::net::Net;
use crate::config::StartError;
use crate::connection::Taken;
use crate::connection::time::Ms;
use crate::maker::Maker;
use crate::sandbox::{self, Granted};
use crate::script::Confinement;
use crate::site::barred::BARRED;
use crate::sys::file;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// How often it is told that uploads are kept from a directory, ms.
const BARRED_MS: u32 = 10_000;
/// The longest path that the kernel tells, bytes.
const PATH_BYTES: usize = 4096;

/// Why nothing is started any more.
pub(super) const NO_MAKER: &str =
    "the server is in its sandbox, where it can start no further process";
/// And what helps.
pub(super) const MAKER_CURE: &str = "start adieu anew, which then does so before its sandbox";

/// See the module.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) granted: Granted,
    /// Where the configuration is read.
    file: Option<PathBuf>,
    pub(super) maker: Maker,
    /// It could not, and that was told.
    told: bool,
    /// When it was last told where uploads are kept from.
    barred_told: Ms,
}

impl Default for Confined {
    /// In no sandbox.
    fn default() -> Self {
        Self {
            granted: Granted::default(),
            file: None,
            maker: Maker::Ourselves(Confinement::default()),
            told: false,
            barred_told: Ms(0),
        }
    }
}

impl Confined {
    /// Why the configuration was not read again, with the sandbox's part in it.
    pub(super) fn explain(&self, error: StartError) -> StartError {
        match &self.file {
            Some(file) if sandbox::BUILT => sandbox::explain(&self.granted, file, error),
            Some(_) | None => error,
        }
    }

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

    /// A change of a file here was refused, which a rule at this key allows. If that is the
    /// sandbox's doing, it is said, and not again for a while.
    fn tell_barred(&mut self, at: BorrowedFd<'_>, key: &str, now: Ms) {
        let rests = self.barred_told > Ms(0) && now < self.barred_told.after(BARRED_MS);
        if rests || !self.granted.bars(at) {
            return;
        }
        self.barred_told = now;
        let mut room = [0; PATH_BYTES];
        let length = file::path(at, &mut room).unwrap_or(0);
        let path = String::from_utf8_lossy(room.get(..length).unwrap_or_default());
        let path = Some(path).filter(|path| !path.is_empty());
        log::warn!(
            "{key}: files in {} are not changed: it was not granted when the server went into its \
             sandbox; if it was made anew since, start adieu anew",
            path.as_deref().unwrap_or("a directory")
        );
    }
}

impl<N: Net> Reactor<N> {
    /// An answer of a site of this epoch was taken. If a change was refused to which the site has
    /// no objection, looks whether the sandbox has.
    pub(super) fn look_at_refusal(&mut self, taken: &Taken, epoch: u16, now: Ms) {
        if !matches!(taken, Taken::Yes { status, .. } if *status == BARRED) {
            return;
        }
        let barred = self.sites.of(epoch).and_then(|site| site.take_barred());
        if let Some((at, key)) = barred {
            self.confined.tell_barred(at.as_fd(), key, now);
        }
    }

    /// Says who starts processes beside it.
    #[must_use]
    pub fn with_maker(mut self, maker: Maker) -> Self {
        self.confined.maker = maker;
        self
    }

    /// The process is in its sandbox, where this was granted; `file`: where the configuration is
    /// read again.
    pub fn confine(&mut self, granted: Granted, file: Option<&Path>) {
        self.confined.granted = granted;
        self.confined.file = file.map(Path::to_owned);
    }
}
