//! The kernel's view: /proc.

use std::fs;

/// A state of a TCP socket, as /proc/net/tcp numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tcp {
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    LastAck,
    Closing,
}

impl Tcp {
    fn code(self) -> &'static str {
        match self {
            Self::Established => "01",
            Self::FinWait1 => "04",
            Self::FinWait2 => "05",
            Self::CloseWait => "08",
            Self::LastAck => "09",
            Self::Closing => "0B",
        }
    }
}

/// How many sockets that have `port` at our end are in one of `states`.
pub(crate) fn sockets(port: u16, states: &[Tcp]) -> usize {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let suffix = format!(":{port:04X}");
    let mut count = 0;
    for table in tables {
        // No IPv6: no table.
        let Ok(text) = fs::read_to_string(table) else {
            continue;
        };
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let state = words[3];
            if words[1].ends_with(&suffix) && states.iter().any(|one| one.code() == state) {
                count += 1;
            }
        }
    }
    count
}

/// Open descriptors of a process.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("a live process")
        .count()
}

/// Those of them that are sockets.
pub(crate) fn socket_descriptors(pid: u32) -> usize {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).expect("a live process");
    let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}

/// A number from a status file of /proc, such as `VmRSS`.
pub(crate) fn status(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("a status file");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let digits = line.expect("a line of that name").split_whitespace().next();
    digits.expect("a number").parse().expect("a number")
}

/// A process of one thread waits for something to happen: what had happened, it has dealt with.
/// What a write to a loopback socket wakes, it wakes before it returns.
pub(crate) fn rests(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a live process");
    let behind_name = text.rsplit_once(") ").expect("a name in brackets").1;
    behind_name.starts_with('S')
}
