//! Is the memory there that the plan reckons with?
//!
//! Owns the judgement of MemTotal, MemAvailable, the control group and net.ipv4.tcp_mem. It must not
//! reckon anew: the figures are those of the plan.

use super::super::{Case, Cure, Finding};
use super::{UNIX_ONLY, connections, is_unix_only, key, shown, sysctl, three};
use crate::config::plan;
use crate::connection::state::Teardown;

/// Three quarters of what is there, in whole MiB: the rest is for others. None below 4 MiB, which
/// holds no server.
fn total(there: u64) -> Option<Cure> {
    let mib = (there / 4).saturating_mul(3) >> 20;
    (mib >= 4).then(|| key("memory.total", format!("{mib}MiB")))
}

/// What else can be done, where memory is so short that no total helps.
fn smaller(there: u64) -> Cure {
    total(there).unwrap_or_else(|| {
        let what = "lower memory.connections, memory.backlog, memory.receive_bytes";
        Cure::Other(format!("{what}; see adieu -t"))
    })
}

/// MemTotal and MemAvailable.
pub(super) fn memory(case: &Case<'_>) -> Option<Finding> {
    let all = case.readings.memory_bytes?;
    let sum = case.plan.sum_bytes;
    let needs = format!("the plan has {} at worst (adieu -t)", shown(sum));
    let Some(available) = case.readings.available_bytes else {
        let value = shown(all);
        return Some(match sum > all {
            true => Finding::bad(value, format!("Too little: {needs}.")).or(smaller(all)),
            false => Finding::fine(value, format!("Enough: {needs}.")),
        });
    };
    let value = format!("{}, {} available", shown(all), shown(available));
    Some(if sum > all {
        let why = format!("Too little: {needs}. The kernel then ends processes.");
        Finding::bad(value, why).or(smaller(available))
    } else if sum > available {
        let why = format!(
            "{}; what is available now is less, if adieu does not run yet.",
            capital(&needs)
        );
        Finding::warn(value, why).or(smaller(available))
    } else {
        Finding::fine(value, format!("Enough: {needs}."))
    })
}

/// The limits of the control group. In version 1 what sockets hold is counted elsewhere, and not
/// bounded unless somebody asked for it.
pub(super) fn group(case: &Case<'_>) -> Option<Finding> {
    let group = case.readings.group?;
    let queues = plan::queues_bytes(case.config);
    let (sum, what) = match group.counts_sockets {
        true => (case.plan.sum_bytes, "the plan has"),
        false => (
            case.plan.sum_bytes.saturating_sub(queues),
            "without the queues of TCP, which do not count here, the plan has",
        ),
    };
    let needs = format!("{what} {} at worst (adieu -t)", shown(sum));
    let limit = |limit: Option<u64>| limit.map_or_else(|| "none".to_owned(), shown);
    let value = match group.high_bytes {
        Some(high) => format!("{}, high {}", limit(group.max_bytes), shown(high)),
        None => limit(group.max_bytes),
    };
    let over = |limit: Option<u64>| limit.filter(|limit| sum > *limit);
    // Its total has the queues in it, whoever counts them.
    let total = |limit: u64| match group.counts_sockets {
        true => smaller(limit),
        false => smaller(limit.saturating_add(queues)),
    };
    Some(if let Some(max) = over(group.max_bytes) {
        let why = format!("Too little: {needs}. The kernel then ends the server.");
        Finding::bad(value, why)
            .or(total(max))
            .or(Cure::Other(raised(sum)))
    } else if let Some(high) = over(group.high_bytes) {
        let why = format!(
            "{}; above its high the kernel slows it down.",
            capital(&needs)
        );
        Finding::warn(value, why)
            .or(total(high))
            .or(Cure::Other(raised(sum)))
    } else if group.max_bytes.is_none() && group.high_bytes.is_none() {
        Finding::fine(value, "Its control group has no limit.")
    } else {
        Finding::fine(value, format!("Enough: {needs}."))
    })
}

fn raised(sum: u64) -> String {
    format!("give its group (container, MemoryMax=) {}", shown(sum))
}

/// net.ipv4.tcp_mem, in pages: what the queues of all sockets may hold. It is the plan's, with the
/// orphans of the plain flavour beside it, one for each slot.
pub(super) fn tcp_mem(case: &Case<'_>) -> Option<Finding> {
    let [low, pressure, most] = case.readings.tcp_mem?;
    let page = case.readings.page_bytes?;
    let value = three([low, pressure, most]);
    if is_unix_only(case) {
        return Some(Finding::fine(value, UNIX_ONLY));
    }
    let config = case.config;
    let slots = u64::from(config.connections);
    let send = plan::send_peak_bytes(config.send_bytes.into());
    let orphans = match case.teardown {
        Teardown::Plain => slots.saturating_mul(send),
        Teardown::Linger | Teardown::SoLinger => 0,
    };
    let bytes = plan::queues_bytes(config).saturating_add(orphans);
    let need = bytes.div_ceil(page);
    let needs = format!(
        "at worst queues hold {need} pages of {page} for memory.connections={slots}, beside those \
         of other programs"
    );
    let each = bytes / slots.max(1);
    let fitting = pressure.saturating_mul(page) / each.max(1);
    let better = [
        low.max(need.saturating_sub(need / 4)),
        pressure.max(need),
        most.max(need.saturating_add(need / 2)),
    ];
    let cured = |finding: Finding| {
        finding
            .or(sysctl("net.ipv4.tcp_mem", three(better)))
            .or_if(connections(fitting))
    };
    let needs = capital(&needs);
    Some(if need > most {
        cured(Finding::bad(
            value,
            format!("{needs}. Above the third number no socket gets more: answers get stuck."),
        ))
    } else if need > pressure {
        cured(Finding::warn(
            value,
            format!("{needs}. Above the second number the kernel makes queues smaller: slow."),
        ))
    } else {
        Finding::fine(value, format!("{needs}."))
    })
}

/// The same, with a capital letter in front.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}
