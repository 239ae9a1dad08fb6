//! What the kernel holds for adieu at worst.
//!
//! Owns the measured peaks and the formulas that rest on them. It must not measure anything.
//! Invariants: each measured peak lies below its formula; nothing overflows, it saturates.

use super::{Line, line, wide};
use crate::config::{Config, Listen};

/// One connection in the kernel: TCP 2368, socket inode 832, file 192, dentry 192, security module
/// 56, epoll 208 (Linux 6.18, slabinfo, 19,000 pairs).
const SLABS_BYTES: u64 = 3848;
/// A socket that waits to be accepted still has the default receive buffer, the second number of
/// net.ipv4.tcp_rmem. It is 131,072 on most kernels, which is what they make of this size.
const WAITING_SIZE_BYTES: u64 = 65_536;
/// What the kernel keeps of a closed socket that waits for the client's FIN, and of one in
/// TIME-WAIT behind it.
const LEFTOVER_BYTES: u64 = 256;
/// How long TIME-WAIT takes (TCP_TIMEWAIT_LEN of the kernel).
const TIME_WAIT_S: u64 = 60;
/// What the kernel lets in over the double that it makes of a receive size: one more packet, up to
/// 64 KiB and its book-keeping.
const RECEIVE_EXCESS_BYTES: u64 = 80 * 1024;
/// What it lets out over the double that it makes of a send size: one more buffer of 32 KiB and its
/// book-keeping.
const SEND_EXCESS_BYTES: u64 = 40 * 1024;

/// An open file: 192, its name 192, its inode in ext4 1128 (Linux 6.18, slabinfo).
pub(super) const OPEN_FILE_BYTES: u64 = 1512;
/// A directory that inotify looks at: its inode 1128, the mark 128, one event with the longest name
/// 352, and one without a name 64.
pub(super) const WATCHED_BYTES: u64 = 1672;

/// The two pipes of a script, 16 pages each (pipe(7)); the pages are taken as they fill.
pub(super) const PIPES_BYTES: u64 = 2 * 65_536;

/// The most one client can pin by sending what is not read, bytes; the size is SO_RCVBUF, set after
/// accept. The highest points that `tests/limits.rs` saw on Linux 6.18 over loopback, from segments
/// of one byte, and different in every run: above 87,143 at 8 KiB, 82,088 at 16 KiB, 99,584 at
/// 32 KiB, 192,882 at 64 KiB.
#[must_use]
pub const fn receive_peak_bytes(size_bytes: u64) -> u64 {
    with_margin(
        size_bytes
            .saturating_mul(2)
            .saturating_add(RECEIVE_EXCESS_BYTES),
    )
}

/// The most one client can pin while it waits to be accepted, bytes. From segments of one byte
/// 137,340 to 165,237 were seen in seven runs.
#[must_use]
pub const fn waiting_peak_bytes() -> u64 {
    receive_peak_bytes(WAITING_SIZE_BYTES)
}

/// The most one client can pin by not reading, bytes; the size is SO_SNDBUF. The highest points
/// that `tests/limits.rs` saw: 48,448 at 8 KiB, 56,396 at 16 KiB, 102,284 at 32 KiB, 166,416 at 64
/// KiB, 553,920 at 256 KiB.
#[must_use]
pub const fn send_peak_bytes(size_bytes: u64) -> u64 {
    with_margin(
        size_bytes
            .saturating_mul(2)
            .saturating_add(SEND_EXCESS_BYTES),
    )
}

/// A peak and 15 %, rounded up: other kernels count their segments differently.
const fn with_margin(peak_bytes: u64) -> u64 {
    peak_bytes.saturating_mul(115).div_ceil(100)
}

/// What may wait to be accepted, at all of `listeners`: the kernel admits one more than listen(2)
/// was told.
#[must_use]
pub fn waiting(config: &Config, listeners: usize) -> u64 {
    wide(listeners).saturating_mul(u64::from(config.backlog) + 1)
}

/// Closed sockets of which the kernel keeps something, if each slot is turned over once a second:
/// an assumption, for nothing holds clients to it. adieu closes first mostly, so TIME-WAIT is here.
#[must_use]
pub fn leftovers(config: &Config) -> u64 {
    let seconds = u64::from(config.linger2_s).saturating_add(TIME_WAIT_S);
    u64::from(config.connections).saturating_mul(seconds)
}

/// What all TCP queues hold at worst, bytes: all that net.ipv4.tcp_mem counts. None where no
/// listener is TCP.
#[must_use]
pub fn queues_bytes(config: &Config) -> u64 {
    let is_tcp = |listen: &&Listen| matches!(listen, Listen::Tcp(_));
    let listeners = config.listen.iter().filter(is_tcp).count();
    if listeners == 0 {
        return 0;
    }
    let queued = waiting(config, listeners).saturating_mul(waiting_peak_bytes());
    connection_queues_bytes(config)
        .saturating_mul(config.connections.into())
        .saturating_add(large_bytes(config))
        .saturating_add(queued)
}

/// What all connections together may hold more while their transfers move, bytes: a peak grows
/// with its size alone.
#[must_use]
pub(super) fn large_bytes(config: &Config) -> u64 {
    with_margin(config.large_room_bytes().saturating_mul(2))
}

/// What the queues of one connection hold at worst, bytes.
#[must_use]
pub fn connection_queues_bytes(config: &Config) -> u64 {
    receive_peak_bytes(config.receive_bytes.into())
        .saturating_add(send_peak_bytes(config.send_bytes.into()))
}

/// What the kernel holds for adieu.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    let connections = u64::from(config.connections);
    // Those of status.socket beside them; what they send counts as theirs.
    let shown = config.socket_slots();
    let all = connections.saturating_add(shown.into());
    let line = |what, count, bytes, bound| line(what, "kernel", count, bytes, bound);
    let listeners = config.listen.len().saturating_add((shown > 0).into());
    let waiting = waiting(config, listeners);
    let leftovers = leftovers(config);
    vec![
        line(
            "connections: objects",
            all,
            SLABS_BYTES,
            "memory.connections",
        ),
        line(
            "connections: receive",
            connections,
            receive_peak_bytes(config.receive_bytes.into()),
            "memory.receive_bytes",
        ),
        line(
            "connections: send",
            all,
            send_peak_bytes(config.send_bytes.into()),
            "memory.send_bytes",
        ),
        line(
            "large buffers",
            1,
            large_bytes(config),
            "memory.growth_bytes",
        ),
        line(
            "accept queue",
            waiting,
            waiting_peak_bytes(),
            "memory.backlog",
        ),
        line(
            "leftovers of closing",
            leftovers,
            LEFTOVER_BYTES,
            "assumed, see below",
        ),
    ]
}
