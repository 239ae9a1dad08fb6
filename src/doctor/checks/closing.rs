//! Does the kernel let connections end as this build ends them?
//!
//! Owns the judgement of net.ipv4.tcp_max_orphans, tcp_fin_timeout and tcp_max_tw_buckets, and of
//! what two sockets did. It must not know another flavour than the one it is given.

use super::super::{Case, Cure, Finding};
use super::{UNIX_ONLY, is_unix_only, shown, sysctl};
use crate::config::plan;
use crate::connection::state::Teardown;

/// net.ipv4.tcp_max_orphans: sockets that are closed and still have something to deliver. Above it
/// the kernel resets whoever is closed next. With a goodbye all is acknowledged before the close,
/// and a socket that waits for the client's FIN is no orphan.
pub(super) fn max_orphans(case: &Case<'_>) -> Option<Finding> {
    let most = case.readings.tcp_max_orphans?;
    let value = most.to_string();
    if is_unix_only(case) {
        return Some(Finding::fine(value, UNIX_ONLY));
    }
    match case.teardown {
        Teardown::Linger | Teardown::SoLinger => {
            let why = "This build closes when all is acknowledged, or resets: at most who gives \
                       way while idle leaves an orphan.";
            return Some(Finding::fine(value, why));
        }
        Teardown::Plain => {}
    }
    let slots = u64::from(case.config.connections);
    let orphan_ms = u64::from(case.config.limits.orphan_ms);
    // As in the plan: every slot closes once a second, and no client acknowledges anything.
    let need = slots.saturating_mul(orphan_ms.div_ceil(1000).max(1));
    let each = shown(plan::send_peak_bytes(case.config.send_bytes.into()));
    let left = format!(
        "This build closes before all is acknowledged: up to {need} orphans of {each}, if every \
         slot closes once a second and no client acknowledges for timeout.orphan_ms={orphan_ms}"
    );
    if most >= need {
        return Some(Finding::fine(value, format!("{left}.")));
    }
    let lost = "Above the limit the kernel resets whom it closes next, and the answer is lost";
    let finding = if most >= slots {
        Finding::warn(value, format!("{left}. {lost}."))
    } else {
        let all = format!("memory.connections={slots} closed at once are above it");
        Finding::bad(value, format!("{left}. {lost}; {all}."))
    };
    Some(
        finding
            .or(sysctl("net.ipv4.tcp_max_orphans", &need))
            .or(Cure::Other("a build without no-lingclose".to_owned())),
    )
}

/// net.ipv4.tcp_fin_timeout: how long a closed socket waits for the client's FIN, unless it was
/// told by TCP_LINGER2, as ours are. It does nothing to a socket that is open. Older kernels take
/// it for the most that TCP_LINGER2 may be.
pub(super) fn fin_timeout(case: &Case<'_>) -> Option<Finding> {
    let timeout_s = case.readings.tcp_fin_timeout?;
    let value = format!("{timeout_s}");
    if is_unix_only(case) {
        return Some(Finding::fine(value, UNIX_ONLY));
    }
    let own_s = case.config.linger2_s;
    let own = format!("linger.kernel_fin_wait_s={own_s}");
    if timeout_s >= u64::from(own_s) {
        let why = match case.teardown {
            Teardown::Linger | Teardown::SoLinger => format!(
                "It does not touch a goodbye, whose socket is open; after that {own} counts \
                 instead (TCP_LINGER2)."
            ),
            Teardown::Plain => format!("After close {own} counts instead (TCP_LINGER2)."),
        };
        return Some(Finding::fine(value, why));
    }
    let why = format!(
        "{own} counts instead (TCP_LINGER2), but older kernels take the smaller of the two. \
         Nothing is lost by that."
    );
    Some(Finding::note(value, why))
}

/// net.ipv4.tcp_max_tw_buckets: closed sockets that wait for the client's FIN, and those in
/// TIME-WAIT. The kernel does not keep what is above it.
pub(super) fn max_tw_buckets(case: &Case<'_>) -> Option<Finding> {
    let most = case.readings.tcp_max_tw_buckets?;
    let value = most.to_string();
    if is_unix_only(case) {
        return Some(Finding::fine(value, UNIX_ONLY));
    }
    let slots = u64::from(case.config.connections);
    let need = plan::leftovers(case.config);
    let left = format!(
        "Up to {need} closed connections are in TIME-WAIT, or wait for a FIN for \
         linger.kernel_fin_wait_s, if every slot closes once a second"
    );
    let better = sysctl("net.ipv4.tcp_max_tw_buckets", &need);
    Some(if most >= need {
        Finding::fine(value, format!("{left}."))
    } else if most >= slots {
        let why = format!(
            "{left}. The kernel forgets those above the limit: who sends something then is reset, \
             and packets of an old connection may come into a new one."
        );
        Finding::note(value, why)
    } else {
        let why = format!("{left}. The limit is below memory.connections={slots}.");
        Finding::warn(value, why).or(better)
    })
}

/// What two sockets did. Where one of these does nothing, it is another kernel than it seems.
pub(super) fn goodbye(case: &Case<'_>) -> Option<Finding> {
    let probe = case.readings.probe?;
    if is_unix_only(case) {
        return Some(Finding::fine("tried".to_owned(), UNIX_ONLY));
    }
    let lingers = case.teardown == Teardown::Linger;
    let plain = case.teardown == Teardown::Plain;
    // What this build uses, and what happens without it.
    let all = [
        (
            "MSG_TRUNC",
            probe.discards || !lingers,
            "what is not read cannot be thrown away",
        ),
        (
            "SIOCOUTQ",
            probe.counts || plain,
            "nobody knows when all is acknowledged",
        ),
        (
            "TCP_USER_TIMEOUT",
            probe.bounds || !plain,
            "orphans stay as long as the kernel likes",
        ),
    ];
    let missing: Vec<String> = all
        .iter()
        .filter(|(_, works, _)| !works)
        .map(|(name, _, without)| format!("{name} ({without})"))
        .collect();
    if !missing.is_empty() {
        let why = format!("This kernel lacks {}.", missing.join(", "));
        let cure = Cure::Other("run it on a kernel of Linux itself".to_owned());
        return Some(Finding::bad("broken".to_owned(), why).or(cure));
    }
    if !probe.lingers {
        let why = "This kernel lacks TCP_LINGER2: a client that sends no FIN stays with it for \
                   net.ipv4.tcp_fin_timeout.";
        let shorter = sysctl("net.ipv4.tcp_fin_timeout", &case.config.linger2_s);
        return Some(Finding::warn("short of TCP_LINGER2".to_owned(), why).or(shorter));
    }
    let why = "Two sockets on the loopback did what this build needs of the kernel.";
    Some(Finding::fine("tried".to_owned(), why))
}
