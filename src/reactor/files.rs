//! The cache of files, and who tells it of changes.
//!
//! Owns how it is made for a configuration. It must not look for a file or answer: the site does.
//! Invariant: a cache that nobody tells of changes knows that.

use super::net::Net;
use crate::config::Config;
use crate::site::cache::Cache;

/// The cache of `config`. Content that fits the output of a buffer is kept as bytes.
pub(super) fn cache<N: Net>(net: &mut N, config: &Config) -> Cache {
    let mut cache = Cache::new(config.cache_files, config.cache_bytes, config.buffer_bytes);
    let fd = cache.fd().map(|fd| net.watch_files(fd));
    if !matches!(fd, Some(Ok(()))) {
        cache.is_not_watched();
    }
    cache
}
