//! What is looked at, and what is made of it.
//!
//! Owns [`CHECKS`], the table, and what all judgements share. It must not read anything of the
//! system. Invariant: the name of a check with a dot in it is that of a sysctl, and
//! conf/sysctl.conf has a paragraph for it.

mod closing;
mod files;
mod memory;
mod queues;
mod sandbox;

use super::{Case, Check, Cure};

/// Every check.
#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    Check { name: "open files", judge: files::open_files },
    Check { name: "fs.nr_open", judge: files::nr_open },
    Check { name: "fs.file-max", judge: files::file_max },
    Check { name: "memory", judge: memory::memory },
    Check { name: "memory of its group", judge: memory::group },
    Check { name: "net.ipv4.tcp_mem", judge: memory::tcp_mem },
    Check { name: "net.ipv4.tcp_rmem", judge: queues::tcp_rmem },
    Check { name: "net.ipv4.tcp_wmem", judge: queues::tcp_wmem },
    Check { name: "net.core.rmem_max", judge: queues::rmem_max },
    Check { name: "net.core.wmem_max", judge: queues::wmem_max },
    Check { name: "net.core.somaxconn", judge: queues::somaxconn },
    Check { name: "net.ipv4.tcp_abort_on_overflow", judge: queues::abort_on_overflow },
    Check { name: "net.ipv4.tcp_max_orphans", judge: closing::max_orphans },
    Check { name: "net.ipv4.tcp_fin_timeout", judge: closing::fin_timeout },
    Check { name: "net.ipv4.tcp_max_tw_buckets", judge: closing::max_tw_buckets },
    Check { name: "sandbox", judge: sandbox::landlock },
    Check { name: "goodbye", judge: closing::goodbye },
];

/// `NAME = VALUE` for /etc/sysctl.conf.
#[inline(never)]
fn sysctl(name: &str, value: &dyn std::fmt::Display) -> Cure {
    Cure::Sysctl(format!("{name} = {value}"))
}

/// `NAME=VALUE` for --set.
#[inline(never)]
fn key(name: &str, value: &dyn std::fmt::Display) -> Cure {
    Cure::Key(format!("{name}={value}"))
}

/// Fewer connections than this are no cure: a browser alone has six.
const CONNECTIONS_MIN: u64 = 8;

/// So many connections instead, unless they are hardly any.
#[inline(never)]
fn connections(count: u64) -> Option<Cure> {
    (count >= CONNECTIONS_MIN).then(|| key("memory.connections", &count))
}

/// Bytes, rounded up, as people read them.
#[inline(never)]
fn shown(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

/// Three numbers of a sysctl, as the system writes them.
#[inline(never)]
fn three([a, b, c]: [u64; 3]) -> String {
    format!("{a} {b} {c}")
}

/// No listener is TCP: what the kernel does with TCP is nothing to it.
#[inline(never)]
fn is_unix_only(case: &Case<'_>) -> bool {
    let mut listeners = case.config.listen.iter();
    listeners.all(|listen| matches!(listen, crate::config::Listen::Unix(_)))
}

/// What is said then.
const UNIX_ONLY: &str = "Not needed: every listener is a unix socket.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_rounded_up() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 KiB"),
            (10_241, "11 KiB"),
            (10_485_760, "10 MiB"),
            (10_485_761, "11 MiB"),
            (u64::MAX, "17592186044416 MiB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }
}
