//! How many descriptors a configuration needs.
//!
//! Owns the sum. It must not ask for a limit nor raise one. Invariant: nothing overflows, it
//! saturates.

use super::Config;

/// What is open beside connections, files and directories: the standard streams, poller, signals,
/// logs, a configuration while it is read, control and supervisor.
const OWN: u64 = 16;
/// Two pipes, and a directory or a body that is kept.
const EACH_SCRIPT: u64 = 3;
/// The pipe through which bodies flow that are kept.
const TUBE: u64 = 2;
/// Of the status: the questions to the kernel, and two files of /proc.
const STATUS: u64 = 3;
/// Orders to the process outside of the sandbox, and the leash of a helper.
const MAKER: u64 = 2;

/// The descriptors of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// All of them.
    pub need: u64,
    /// What of it does not depend on the number of connections, scripts and uploads not counted.
    pub own: u64,
}

impl Descriptors {
    /// A slot, and beside it a file, for each connection; the directories of the sites, twice while
    /// a reload replaces them; plus what the program has open, `listeners` among it.
    #[must_use]
    pub fn of(config: &Config, listeners: u64) -> Self {
        let sites = config.sites.iter().map(|named| &named.site);
        let directories = sites
            .chain([&config.site])
            .map(|site| site.aliases.len().saturating_add(1))
            .fold(0, usize::saturating_add);
        // Where uploads are taken each may have another one, in which they grow.
        let directories = match config.takes_uploads() {
            true => directories.saturating_mul(2),
            false => directories,
        };
        let directories = u64::try_from(directories).unwrap_or(0).saturating_mul(2);
        let status = match config.shows_status() {
            true => STATUS,
            false => 0,
        };
        let maker = match config.needs_maker() {
            true => MAKER,
            false => 0,
        };
        let tube = match config.takes_uploads() {
            true => TUBE,
            false => 0,
        };
        // What tells of changes, and the files themselves.
        let cache = match config.keeps_files() {
            true => u64::from(config.cache_files) + 1,
            false => 0,
        };
        let own = OWN
            .saturating_add(tube)
            .saturating_add(maker)
            .saturating_add(cache)
            .saturating_add(listeners)
            .saturating_add(status)
            .saturating_add(directories);
        // Each upload keeps the directory that its file belongs to.
        let need = u64::from(config.connections)
            .saturating_mul(2)
            .saturating_add(config.upload_places().into())
            .saturating_add(u64::from(config.script_places()).saturating_mul(EACH_SCRIPT))
            .saturating_add(config.socket_slots().into())
            .saturating_add(own);
        Self { need, own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rules::Rule as _;
    use crate::config::{ScriptRule, UploadRule};

    #[test]
    fn everything_that_is_open_is_in_the_sum() {
        let mut config = Config::default();
        config.settle();
        let first = Descriptors::of(&config, 1);
        assert_eq!((first.need, first.own), (2 * 128 + 84, 84));
        config.site.uploads = vec![UploadRule::parse("/inbox 1MiB").unwrap()];
        assert_eq!(Descriptors::of(&config, 1).need, first.need + 16 + 2 + 2);
        config.site.scripts = vec![ScriptRule::parse("/cgi-bin").unwrap()];
        let maker = u64::from(crate::config::SANDBOX_BUILT) * MAKER;
        let need = first.need + 21 + 12 + maker;
        assert_eq!(Descriptors::of(&config, 2).need, need);
        assert_eq!(Descriptors::of(&config, u64::MAX).need, u64::MAX);
    }
}
