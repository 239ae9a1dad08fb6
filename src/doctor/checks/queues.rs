//! Do sockets get the queues that were configured?
//!
//! Owns the judgement of net.core.rmem_max, wmem_max and somaxconn, net.ipv4.tcp_rmem, tcp_wmem and
//! tcp_abort_on_overflow. It must not open a socket.

use super::super::{Case, Finding};
use super::{UNIX_ONLY, is_unix_only, key, shown, sysctl, three};
use crate::config::plan;

/// The default of net.ipv4.tcp_rmem with which the queue of those who wait was measured.
const WAITING_DEFAULT_BYTES: u64 = 131_072;
/// The first number of tcp_rmem and tcp_wmem in every kernel that nobody has changed: a page.
const LEAST_BYTES: u64 = 4096;
/// The smallest memory.receive_bytes and memory.send_bytes.
const SIZE_BYTES_MIN: u64 = crate::config::keys::SOCKET_BYTES_MIN;

/// net.core.rmem_max caps SO_RCVBUF. Where it cannot be read, a socket tells.
pub(super) fn rmem_max(case: &Case<'_>) -> Option<Finding> {
    let in_force = case.readings.probe.map(|probe| probe.receive_bytes);
    let most = case.readings.rmem_max.or(of_socket(in_force))?;
    let config = case.config;
    let usual = u64::from(config.receive_bytes);
    let name = "net.core.rmem_max";
    // A socket tells about the usual size alone.
    let is_read = case.readings.rmem_max.is_some();
    if is_read && most >= usual && config.large_room_bytes() > 0 {
        return Some(large(most, config.large_bytes.into(), name));
    }
    let why = "a smaller receive buffer costs more for each byte";
    Some(capped(most, usual, [name, "memory.receive_bytes", why]))
}

/// net.core.wmem_max caps SO_SNDBUF. Where it cannot be read, a socket tells.
pub(super) fn wmem_max(case: &Case<'_>) -> Option<Finding> {
    let in_force = case.readings.probe.map(|probe| probe.send_bytes);
    let most = case.readings.wmem_max.or(of_socket(in_force))?;
    let size = u64::from(case.config.send_bytes);
    let name = "net.core.wmem_max";
    let is_read = case.readings.wmem_max.is_some();
    if is_read && most >= size && case.config.large_room_bytes() > 0 {
        return Some(large(most, case.config.large_bytes.into(), name));
    }
    let why = "less leaves in one round trip";
    Some(capped(most, size, [name, "memory.send_bytes", why]))
}

/// The kernel doubles what it is told.
fn of_socket(in_force: Option<u32>) -> Option<u64> {
    in_force.map(|bytes| u64::from(bytes) / 2)
}

/// What a transfer that moves may grow to: less is enough for all but long paths.
fn large(most: u64, size: u64, name: &str) -> Finding {
    let value = most.to_string();
    let set_by = "memory.large_bytes";
    if most >= size {
        return Finding::fine(value, format!("{set_by}={size} is not cut by it."));
    }
    let why = format!("The kernel cuts {set_by}={size} to it: long paths get slower.");
    Finding::note(value, why).or(sysctl(name, &size))
}

fn capped(most: u64, size: u64, [name, set_by, what]: [&str; 3]) -> Finding {
    let value = most.to_string();
    if most >= size {
        return Finding::fine(value, format!("{set_by}={size} is not cut by it."));
    }
    let why = format!("The kernel cuts {set_by}={size} to it: {what}.");
    let smaller = (most >= SIZE_BYTES_MIN).then(|| key(set_by, &most));
    Finding::warn(value, why)
        .or(sysctl(name, &size))
        .or_if(smaller)
}

/// net.ipv4.tcp_rmem: who waits to be accepted still has its default; the least is what a socket
/// gets when memory is short. Its most is for sizes that the kernel chooses.
pub(super) fn tcp_rmem(case: &Case<'_>) -> Option<Finding> {
    let [least, default, most] = case.readings.tcp_rmem?;
    let value = three([least, default, most]);
    if is_unix_only(case) {
        return Some(Finding::fine(value, UNIX_ONLY));
    }
    let backlog = case.config.backlog;
    let better = [
        least.max(LEAST_BYTES),
        default.min(WAITING_DEFAULT_BYTES),
        most.max(LEAST_BYTES),
    ];
    let better = sysctl("net.ipv4.tcp_rmem", &three(better));
    if default > WAITING_DEFAULT_BYTES {
        let waiting = plan::waiting(case.config, case.config.listen.len());
        let more = shown((default - WAITING_DEFAULT_BYTES).saturating_mul(waiting));
        let why = format!(
            "Who waits to be accepted may fill the second number; the plan reckons with \
             {WAITING_DEFAULT_BYTES}, so memory.backlog={backlog} may take {more} more."
        );
        return Some(Finding::warn(value, why).or(better));
    }
    if least < LEAST_BYTES {
        return Some(Finding::warn(value, starved("receive")).or(better));
    }
    let why = "adieu sets the size itself when it has accepted; who waits for that may fill the \
               second number, as the plan says.";
    Some(Finding::fine(value, why))
}

/// net.ipv4.tcp_wmem: the least is what a socket gets when memory is short. The rest is for sizes
/// that the kernel chooses.
pub(super) fn tcp_wmem(case: &Case<'_>) -> Option<Finding> {
    let [least, default, most] = case.readings.tcp_wmem?;
    let value = three([least, default, most]);
    if is_unix_only(case) {
        return Some(Finding::fine(value, UNIX_ONLY));
    }
    if least < LEAST_BYTES {
        let better = three([LEAST_BYTES, default.max(LEAST_BYTES), most.max(LEAST_BYTES)]);
        let finding = Finding::warn(value, starved("send"));
        return Some(finding.or(sysctl("net.ipv4.tcp_wmem", &better)));
    }
    let why = "adieu sets the size itself (memory.send_bytes); only the first number counts: what \
               each socket gets when memory is short.";
    Some(Finding::fine(value, why))
}

fn starved(what: &str) -> String {
    format!(
        "The first number is what each socket may {what} when memory is short: below \
         {LEAST_BYTES} connections may stand still then."
    )
}

/// net.core.somaxconn caps the backlog of every listener, unix sockets included.
pub(super) fn somaxconn(case: &Case<'_>) -> Option<Finding> {
    let most = case.readings.somaxconn?;
    let backlog = u64::from(case.config.backlog);
    let value = most.to_string();
    if most >= backlog {
        let why = format!("memory.backlog={backlog} is not cut by it.");
        return Some(Finding::fine(value, why));
    }
    let why = format!(
        "The kernel cuts memory.backlog={backlog} to it: of many who come at once more must knock \
         again, a second later."
    );
    let smaller = (most > 0).then(|| key("memory.backlog", &most));
    Some(
        Finding::warn(value, why)
            .or(sysctl("net.core.somaxconn", &backlog))
            .or_if(smaller),
    )
}

/// net.ipv4.tcp_abort_on_overflow: whether who finds the queue full is reset.
pub(super) fn abort_on_overflow(case: &Case<'_>) -> Option<Finding> {
    let on = case.readings.tcp_abort_on_overflow?;
    let value = on.to_string();
    if is_unix_only(case) {
        return Some(Finding::fine(value, UNIX_ONLY));
    }
    if on == 0 {
        let why = "Who finds the queue full knocks again by himself.";
        return Some(Finding::fine(value, why));
    }
    let backlog = case.config.backlog;
    let why = format!(
        "Who finds the queue full (memory.backlog={backlog}) is reset: while all slots are taken, \
         clients report errors instead of waiting."
    );
    Some(Finding::warn(value, why).or(sysctl("net.ipv4.tcp_abort_on_overflow", &0)))
}
