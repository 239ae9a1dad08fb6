//! What the cache of files takes.
//!
//! Owns its lines of the plan. It must not know what is kept. Invariant: there are none where
//! nothing is.

use super::{Line, Sizes, kernel, line, wide};
use crate::config::{CACHE_DIRECTORIES, Config};

/// What the cache of files takes, if there is one.
pub(super) fn lines(config: &Config, sizes: &Sizes) -> Vec<Line> {
    let (files, bytes) = (config.cache_files.into(), config.cache_bytes.into());
    if !config.keeps_files() {
        return vec![];
    }
    let own = wide(sizes.cached_bytes);
    vec![
        line("cached files", "site", files, own, "memory.cache_files"),
        line("cached content", "site", 1, bytes, "memory.cache_bytes"),
        line(
            "files kept open",
            "kernel",
            files,
            kernel::OPEN_FILE_BYTES,
            "memory.cache_files",
        ),
        line(
            "directories watched",
            "kernel",
            CACHE_DIRECTORIES.into(),
            kernel::WATCHED_BYTES,
            "fixed",
        ),
    ]
}
