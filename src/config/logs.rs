//! Where logs go, and how the access log is written.
//!
//! Owns [`LogTarget`] and [`AccessFormat`], as words of the configuration. It must not open
//! anything. Invariant: the path of a target is absolute, so that it means the same after every
//! change of the working directory.

use std::fmt;
use std::path::{Path, PathBuf};

/// The form of a line of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// No access log.
    Off,
    /// The common log format of NCSA httpd.
    Common,
    /// The same, with Referer and User-Agent behind it.
    Combined,
    /// One JSON object (RFC 8259) a line.
    Json,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The standard error.
    Stderr,
    /// The standard output.
    Stdout,
    /// The datagram socket of a syslog daemon.
    Syslog(PathBuf),
    /// A file, a FIFO or a device.
    File(PathBuf),
}

/// Where the daemons of syslog listen.
const SYSLOG_PATH: &str = "/dev/log";

/// The longest path: it is opened again while serving, and the standard library allocates for
/// longer ones.
const PATH_BYTES: usize = 255;

/// How a target is written.
pub(super) const TARGETS: &str = "stderr, stdout, syslog, syslog:PATH or file:PATH";

impl LogTarget {
    /// The target that a word names; `None`: no target, or a path that is not absolute.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let absolute = |path: &str| {
            let fits = path.len() <= PATH_BYTES && !path.contains('\0');
            Some(PathBuf::from(path)).filter(|path| fits && path.is_absolute())
        };
        match word {
            "stderr" => Some(Self::Stderr),
            "stdout" => Some(Self::Stdout),
            "syslog" => Some(Self::Syslog(PathBuf::from(SYSLOG_PATH))),
            _ => match word.split_once(':')? {
                ("syslog", path) => absolute(path).map(Self::Syslog),
                ("file", path) => absolute(path).map(Self::File),
                _ => None,
            },
        }
    }

    /// Its path, if it is a file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stderr | Self::Stdout | Self::Syslog(_) => None,
        }
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Stdout => f.write_str("stdout"),
            Self::Syslog(path) => write!(f, "syslog:{}", path.display()),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_shown() {
        for (word, shown) in [
            ("stderr", "stderr"),
            ("stdout", "stdout"),
            ("syslog", "syslog:/dev/log"),
            ("syslog:/run/log", "syslog:/run/log"),
            ("file:/var/log/adieu", "file:/var/log/adieu"),
            ("file:/a:b", "file:/a:b"),
        ] {
            let target = LogTarget::parse(word).unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(LogTarget::parse(shown), Some(target));
        }
        for word in [
            "",
            "stdin",
            "file",
            "file:",
            "file:log",
            "syslog:log",
            "/var/log/x",
            "pipe:/x",
        ] {
            assert_eq!(LogTarget::parse(word), None, "{word}");
        }
        let of = |bytes| LogTarget::parse(&format!("file:/{}", "x".repeat(bytes - 1)));
        assert!(of(PATH_BYTES).is_some() && of(PATH_BYTES + 1).is_none());
    }
}
