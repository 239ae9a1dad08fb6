//! Is the memory there that the plan reckons with?
//!
//! Owns the judgement of MemTotal, MemAvailable, the control group and net.ipv4.tcp_mem. It must
//! not reckon anew: the figures are those of the plan.

use super::super::{Case, Cure, Finding};
use super::{UNIX_ONLY, connections, is_unix_only, key, shown, sysctl, three};
use crate::config::plan;
use crate::connection::state::Teardown;

/// A total below this holds hardly a connection.
const TOTAL_MIB_MIN: u64 = 5;

/// Three quarters of what is there, in whole MiB: the rest is for others.
fn smaller(there: u64) -> Cure {
    match (there / 4).saturating_mul(3) >> 20 {
        mib if mib >= TOTAL_MIB_MIN => key("memory.total", &format!("{mib}MiB")),
        _ => Cure::Other("lower memory.backlog and memory.connections; see adieu -t".to_owned()),
    }
}

/// The plan in a sentence.
fn planned(case: &Case<'_>) -> String {
    let sum = shown(case.plan.sum_bytes);
    format!("The plan has {sum} at worst (adieu -t)")
}

/// MemTotal and MemAvailable.
pub(super) fn memory(case: &Case<'_>) -> Option<Finding> {
    let all = case.readings.memory_bytes?;
    let available = case.readings.available_bytes;
    let value = match available {
        Some(bytes) => format!("{}, {} available", shown(all), shown(bytes)),
        None => shown(all),
    };
    let planned = planned(case);
    if case.plan.sum_bytes > all {
        let why = format!("{planned}: more than there is. The kernel then ends processes.");
        return Some(Finding::bad(value, why).or(smaller(available.unwrap_or(all))));
    }
    if let Some(available) = available.filter(|_| is_short(case)) {
        let why = format!(
            "{planned}: more than is available now, unless it is a running adieu that has the rest."
        );
        return Some(Finding::warn(value, why).or(smaller(available)));
    }
    Some(match beside(case) {
        Some(scripts) => Finding::note(value, format!("{planned}; {scripts}.")),
        None => Finding::fine(value, format!("{planned}.")),
    })
}

/// The plan does not fit what is available.
fn is_short(case: &Case<'_>) -> bool {
    let available = case.readings.available_bytes.or(case.readings.memory_bytes);
    available.is_some_and(|available| case.plan.sum_bytes > available)
}

/// Scripts, which are not in the plan, where they could take what is left.
fn beside(case: &Case<'_>) -> Option<String> {
    let places = u64::from(case.config.script_places());
    let each = case.config.script.memory_bytes;
    if places == 0 {
        return None;
    }
    if each == 0 {
        return Some(format!("beside it {places} scripts run without a bound"));
    }
    let there = case
        .readings
        .available_bytes
        .or(case.readings.memory_bytes)?;
    let sum = places.saturating_mul(each);
    let left = there.saturating_sub(case.plan.sum_bytes);
    let each = shown(each);
    (sum > left).then(|| format!("beside it {places} scripts run, each in up to {each}"))
}

/// The limits of the control group. In version 1 what sockets hold is counted elsewhere, and not
/// bounded unless somebody asked for it.
pub(super) fn group(case: &Case<'_>) -> Option<Finding> {
    let group = case.readings.group?;
    let beside = match group.counts_sockets {
        true => 0,
        false => plan::queues_bytes(case.config),
    };
    let sum = case.plan.sum_bytes.saturating_sub(beside);
    let value = match (group.max_bytes, group.high_bytes) {
        (None, None) => {
            return Some(Finding::fine(
                "no limit".to_owned(),
                "Nothing bounds it but the system.",
            ));
        }
        (Some(max), None) => shown(max),
        (None, Some(high)) => format!("no limit, high {}", shown(high)),
        (Some(max), Some(high)) => format!("{}, high {}", shown(max), shown(high)),
    };
    let planned = match beside {
        0 => planned(case),
        _ => format!("{}, {} of it counted here", planned(case), shown(sum)),
    };
    let cured = |finding: Finding, limit: u64| {
        // Its total has the queues in it, wherever they are counted.
        let total = smaller(limit.saturating_add(beside));
        let more = format!("let its group have {} (container, unit)", shown(sum));
        finding.or(total).or(Cure::Other(more))
    };
    let over = |limit: Option<u64>| limit.filter(|limit| sum > *limit);
    Some(match (over(group.max_bytes), over(group.high_bytes)) {
        (Some(max), _) => {
            let why = format!("{planned}: more than its control group. The kernel then ends it.");
            cured(Finding::bad(value, why), max)
        }
        (None, Some(high)) => {
            let why = format!("{planned}. Above its high the kernel slows the group down.");
            cured(Finding::warn(value, why), high)
        }
        (None, None) => Finding::fine(value, format!("{planned}.")),
    })
}

/// net.ipv4.tcp_mem, in pages: what the queues of all sockets may hold. Needed are those of the
/// plan; in the plain flavour those of orphans beside them, one for each slot.
pub(super) fn tcp_mem(case: &Case<'_>) -> Option<Finding> {
    let [low, pressure, most] = case.readings.tcp_mem?;
    let page = case.readings.page_bytes?;
    let value = three([low, pressure, most]);
    if is_unix_only(case) {
        return Some(Finding::fine(value, UNIX_ONLY));
    }
    let config = case.config;
    let slots = u64::from(config.connections);
    let orphan = match case.teardown {
        Teardown::Plain => plan::send_peak_bytes(config.send_bytes.into()),
        Teardown::Linger | Teardown::SoLinger => 0,
    };
    let each = plan::connection_queues_bytes(config).saturating_add(orphan);
    let bytes = plan::queues_bytes(config).saturating_add(orphan.saturating_mul(slots));
    let need = bytes.div_ceil(page);
    let needs = format!(
        "At worst queues hold {need} pages of {page} for memory.connections={slots}, beside those \
         of other programs"
    );
    let finding = match need {
        _ if need > most => {
            let what = "Above the third number no socket gets more: answers get stuck";
            Finding::bad(value, format!("{needs}. {what}."))
        }
        _ if need > pressure => {
            let what = "Above the second number the kernel keeps queues small: answers get slow";
            Finding::warn(value, format!("{needs}. {what}."))
        }
        _ => return Some(Finding::fine(value, format!("{needs}."))),
    };
    if is_short(case) {
        // More than is there must not be promised to anybody.
        let first = Cure::Other("cure memory first, and ask again".to_owned());
        return Some(finding.or(first));
    }
    let better = [
        low.max(need - need / 4),
        pressure.max(need),
        most.max(need.saturating_add(need / 2)),
    ];
    let queued = bytes.saturating_sub(each.saturating_mul(slots));
    let left = pressure.saturating_mul(page).saturating_sub(queued);
    Some(
        finding
            .or(sysctl("net.ipv4.tcp_mem", &three(better)))
            .or_if(connections(left / each.max(1))),
    )
}
