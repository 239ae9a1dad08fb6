//! What the system says.
//!
//! Owns [`Readings`], the files that they come from, and how these are read. It must not judge.
//! Invariants: whatever stands in a file, nothing panics: what is no number is not there, and one
//! that is too large is the largest; no file is read beyond its bound.

use super::{Group, Probe};
use crate::config::Config;
use crate::sys;
use std::fs::File;
use std::io::Read;

/// Longer than any of these files; what lies beyond is not looked at.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Its place in the line of capabilities: may raise hard limits (capabilities(7)).
const CAP_SYS_RESOURCE: u64 = 1 << 24;

/// Reads a file as text; `None` when it cannot be.
pub(super) type Source<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the system has. `None`: it could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// net.core.somaxconn
    pub somaxconn: Option<u64>,
    /// net.core.rmem_max, bytes.
    pub rmem_max: Option<u64>,
    /// net.core.wmem_max, bytes.
    pub wmem_max: Option<u64>,
    /// net.ipv4.tcp_rmem, bytes: least, default, most.
    pub tcp_rmem: Option<[u64; 3]>,
    /// net.ipv4.tcp_wmem, bytes: least, default, most.
    pub tcp_wmem: Option<[u64; 3]>,
    /// net.ipv4.tcp_mem, pages: no pressure below, pressure above, most.
    pub tcp_mem: Option<[u64; 3]>,
    /// net.ipv4.tcp_max_orphans
    pub tcp_max_orphans: Option<u64>,
    /// net.ipv4.tcp_fin_timeout, seconds.
    pub tcp_fin_timeout: Option<u64>,
    /// net.ipv4.tcp_max_tw_buckets
    pub tcp_max_tw_buckets: Option<u64>,
    /// net.ipv4.tcp_abort_on_overflow: 0 is no.
    pub tcp_abort_on_overflow: Option<u64>,
    /// fs.file-max: descriptors of the whole system.
    pub file_max: Option<u64>,
    /// The first number of fs.file-nr: how many of these are taken.
    pub files_taken: Option<u64>,
    /// fs.nr_open: the highest limit of one process.
    pub nr_open: Option<u64>,
    /// RLIMIT_NOFILE of this process, soft and hard.
    pub open_files: Option<(u64, u64)>,
    /// This process may raise its hard limits (CAP_SYS_RESOURCE).
    pub may_raise: Option<bool>,
    /// MemTotal, bytes.
    pub memory_bytes: Option<u64>,
    /// MemAvailable, bytes; since Linux 3.14.
    pub available_bytes: Option<u64>,
    /// The control group of this process.
    pub group: Option<Group>,
    /// Size of a page, in which tcp_mem counts.
    pub page_bytes: Option<u64>,
    /// What the kernel says of Landlock.
    pub landlock: Option<sys::confine::Answer>,
    /// What two sockets on the loopback do.
    pub probe: Option<Probe>,
}

impl Readings {
    /// Asks this system; sockets get the sizes of `config`.
    #[must_use]
    pub fn of_system(config: &Config) -> Self {
        Self {
            open_files: sys::limits::open_files().ok(),
            page_bytes: sys::memory::page_bytes(),
            landlock: Some(sys::confine::ask()),
            probe: Probe::of_system(config),
            ..Self::of_files(&read)
        }
    }

    /// What stands in files.
    #[must_use]
    pub fn of_files(read: Source<'_>) -> Self {
        let memory = read("/proc/meminfo").unwrap_or_default();
        let one = |path| sysctl(read, path).map(|[n]| n);
        Self {
            somaxconn: one("net/core/somaxconn"),
            rmem_max: one("net/core/rmem_max"),
            wmem_max: one("net/core/wmem_max"),
            tcp_rmem: sysctl(read, "net/ipv4/tcp_rmem"),
            tcp_wmem: sysctl(read, "net/ipv4/tcp_wmem"),
            tcp_mem: sysctl(read, "net/ipv4/tcp_mem"),
            tcp_max_orphans: one("net/ipv4/tcp_max_orphans"),
            tcp_fin_timeout: one("net/ipv4/tcp_fin_timeout"),
            tcp_max_tw_buckets: one("net/ipv4/tcp_max_tw_buckets"),
            tcp_abort_on_overflow: one("net/ipv4/tcp_abort_on_overflow"),
            file_max: one("fs/file-max"),
            files_taken: sysctl(read, "fs/file-nr").map(|[taken, _, _]| taken),
            nr_open: one("fs/nr_open"),
            may_raise: read("/proc/self/status")
                .and_then(|text| may_raise(&text))
                .map(|may| may && read("/proc/self/uid_map").is_none_or(|map| is_first(&map))),
            memory_bytes: kibibytes(&memory, "MemTotal:"),
            available_bytes: kibibytes(&memory, "MemAvailable:"),
            group: Group::of_files(read),
            ..Self::default()
        }
    }
}

/// A file of the system.
fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    // What is no text belongs to others: a name of a mount.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The numbers of a sysctl, which has exactly so many.
#[inline(never)] // once is enough: nobody waits for it
fn sysctl<const N: usize>(read: Source<'_>, path: &str) -> Option<[u64; N]> {
    numbers(&read(&format!("/proc/sys/{path}"))?)
}

/// Exactly so many numbers with blanks between them.
fn numbers<const N: usize>(text: &str) -> Option<[u64; N]> {
    let mut words = text.split_ascii_whitespace();
    let mut found = [0; N];
    for place in &mut found {
        *place = number(words.next()?)?;
    }
    words.next().is_none().then_some(found)
}

/// A number; the largest, if it is too large. None below 0: nothing here has a meaning there.
#[inline(never)]
pub(super) fn number(word: &str) -> Option<u64> {
    let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| word.parse().unwrap_or(u64::MAX))
}

/// The bytes of a line of /proc/meminfo, which has them in KiB.
#[inline(never)]
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = line.split_ascii_whitespace();
    let count = number(words.next()?)?;
    (words.next() == Some("kB")).then(|| count.saturating_mul(1024))
}

/// Whether /proc/self/uid_map is that of the first user namespace: in another, limits do not go up.
fn is_first(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether the effective capabilities of /proc/self/status have CAP_SYS_RESOURCE.
fn may_raise(text: &str) -> Option<bool> {
    let line = text.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let bits = u64::from_str_radix(line.trim(), 16).ok()?;
    Some(bits & CAP_SYS_RESOURCE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_garbage_is_not_there() {
        assert_eq!(
            numbers("4096\t131072\t6291456\n"),
            Some([4096, 131_072, 6_291_456])
        );
        assert_eq!(numbers("16\n"), Some([16]));
        for garbage in [
            "",
            "\n",
            "-1",
            "1 2",
            "0x10",
            "12a",
            "1.5",
            "\u{661}",
            "+4",
            "1\u{fffd}",
        ] {
            assert_eq!(numbers::<1>(garbage), None, "{garbage:?}");
        }
        assert_eq!(numbers::<3>("1 2"), None);
        assert_eq!(numbers::<3>("1 2 3 4"), None);
        // One more than 64 bits hold, and many more.
        assert_eq!(numbers("18446744073709551615"), Some([u64::MAX]));
        assert_eq!(numbers("18446744073709551616"), Some([u64::MAX]));
        assert_eq!(numbers(&"9".repeat(5000)), Some([u64::MAX]));
    }

    #[test]
    fn memory_is_in_kibibytes() {
        let text = "MemTotal:          59840 kB\nMemFree:  1 kB\nMemAvailable:  28000 kB\n";
        assert_eq!(kibibytes(text, "MemTotal:"), Some(59_840 << 10));
        assert_eq!(kibibytes(text, "MemAvailable:"), Some(28_000 << 10));
        for garbage in [
            "",
            "MemTotal:",
            "MemTotal: x kB",
            "MemTotal: 1",
            "MemTotal: 1 MB",
        ] {
            assert_eq!(kibibytes(garbage, "MemTotal:"), None, "{garbage:?}");
        }
        let huge = format!("MemTotal: {} kB", u64::MAX);
        assert_eq!(kibibytes(&huge, "MemTotal:"), Some(u64::MAX));
    }

    #[test]
    fn who_may_raise_limits_says_so_in_his_capabilities() {
        let of = |bits: &str| may_raise(&format!("Name:\tadieu\nCapEff:\t{bits}\nCapBnd:\t1\n"));
        assert_eq!(of("000001ffffffffff"), Some(true));
        assert_eq!(of("0000000001000000"), Some(true));
        assert_eq!(of("0000000000000000"), Some(false));
        assert_eq!(of("x"), None);
        assert_eq!(of(&"f".repeat(17)), None);
        assert_eq!(may_raise(""), None);
        assert!(is_first("         0          0 4294967295\n"));
        assert!(!is_first("         0       1000          1\n") && !is_first(""));
    }

    #[test]
    fn without_any_file_everything_is_unknown() {
        assert_eq!(Readings::of_files(&|_| None), Readings::default());
        let garbage = Readings::of_files(&|_| Some("\u{fffd} -1 x\n\n::".to_owned()));
        assert_eq!(garbage, Readings::default());
    }

    #[test]
    fn this_system_is_read() {
        let readings = Readings::of_system(&Config::default());
        assert!(readings.open_files.is_some() && readings.page_bytes.is_some());
        assert!(readings.memory_bytes >= readings.available_bytes);
        assert!(readings.memory_bytes.is_some());
        assert!(read("/proc/self").is_none(), "a directory is no file");
    }
}
