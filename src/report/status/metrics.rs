//! The status in the text format of Prometheus, 0.0.4.
//!
//! Owns the names of the metrics. Invariants: each metric has one HELP and one TYPE before its
//! samples; what counts up ends in `_total`; times are in seconds and sizes in bytes; what is not
//! known has no sample.

use super::super::goodbyes::Histogram;
use super::Snapshot;
use std::fmt::{Display, Result, Write};

/// Groups of counters: their metric, its label and its help.
const GROUPS: [(&str, &str, &str, &str); 5] = [
    (
        "response",
        "responses",
        "class",
        "Responses that were begun, by class of status.",
    ),
    (
        "reject",
        "rejects",
        "reason",
        "Requests that were refused, by reason.",
    ),
    (
        "close",
        "closes",
        "reason",
        "Connections that ended, by reason.",
    ),
    ("misuse", "misuses", "reason", "Faults of adieu itself."),
    (
        "evicted",
        "evictions",
        "class",
        "Connections that gave way, by class.",
    ),
];

/// Writes all of it.
pub(super) fn write(of: &Snapshot, to: &mut dyn Write) -> Result {
    head(to, "info", "gauge", "The version; the value is always 1.")?;
    let version = env!("CARGO_PKG_VERSION");
    writeln!(to, "adieu_info{{version=\"{version}\"}} 1")?;
    head(to, "uptime_seconds", "gauge", "Time since the start.")?;
    writeln!(to, "adieu_uptime_seconds {}", Seconds(of.uptime_ms))?;
    head(to, "stopping", "gauge", "1: it stops, or has handed over.")?;
    writeln!(to, "adieu_stopping {}", u8::from(of.stopping))?;
    head(to, "connections", "gauge", "Live connections by state.")?;
    samples(to, "connections", "state", &mut of.states())?;
    pools(of, to)?;
    counters(of, to)?;
    let help = "From the shutting of the write side to the close.";
    histogram(
        to,
        "goodbye_seconds",
        help,
        &of.goodbyes.durations_ms,
        Seconds,
    )?;
    let help = "Bytes read off in a goodbye.";
    histogram(
        to,
        "goodbye_drained_bytes",
        help,
        &of.goodbyes.drained_bytes,
        |n| n,
    )?;
    kernel(of, to)?;
    memory(of, to)
}

/// Milliseconds, in seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// HELP and TYPE of a metric.
fn head(to: &mut dyn Write, name: &str, kind: &str, help: &str) -> Result {
    writeln!(to, "# HELP adieu_{name} {help}\n# TYPE adieu_{name} {kind}")
}

/// Samples that one label tells apart.
fn samples(
    to: &mut dyn Write,
    name: &str,
    label: &str,
    all: &mut dyn Iterator<Item = (&'static str, u64)>,
) -> Result {
    for (of, value) in all {
        writeln!(to, "adieu_{name}{{{label}=\"{of}\"}} {value}")?;
    }
    Ok(())
}

fn pools(of: &Snapshot, to: &mut dyn Write) -> Result {
    let all = || of.pools.iter();
    head(to, "pool_used", "gauge", "What is taken of each pool.")?;
    let mut used = all().map(|pool| (pool.name, pool.used));
    samples(to, "pool_used", "pool", &mut used)?;
    head(to, "pool_most", "gauge", "The size of each pool.")?;
    let mut most = all().map(|pool| (pool.name, pool.most));
    samples(to, "pool_most", "pool", &mut most)?;
    head(to, "pool_peak", "gauge", "The most that was taken at once.")?;
    let mut peaks = all().filter_map(|pool| Some((pool.name, pool.peak?)));
    samples(to, "pool_peak", "pool", &mut peaks)
}

/// Each group has its metric, whose HELP and TYPE stand before its first sample.
fn counters(of: &Snapshot, to: &mut dyn Write) -> Result {
    let mut open = "";
    of.counters.visit(&mut |group, name, value| {
        let mut groups = GROUPS.iter();
        let Some((_, metric, label, help)) = groups.find(|(of, ..)| *of == group) else {
            let metric = Name(name);
            return writeln!(
                to,
                "# HELP adieu_{metric}_total The counter {name} of the log.\n\
                 # TYPE adieu_{metric}_total counter\nadieu_{metric}_total {value}"
            );
        };
        if group != open {
            writeln!(
                to,
                "# HELP adieu_{metric}_total {help}\n# TYPE adieu_{metric}_total counter"
            )?;
            open = group;
        }
        writeln!(to, "adieu_{metric}_total{{{label}=\"{name}\"}} {value}")
    })
}

/// A name of the log as one of a metric.
struct Name(&'static str);

impl Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> Result {
        for (index, word) in self.0.split('-').enumerate() {
            f.write_str(if index == 0 { "" } else { "_" })?;
            f.write_str(word)?;
        }
        Ok(())
    }
}

fn histogram<const N: usize, T: Display>(
    to: &mut dyn Write,
    name: &str,
    help: &str,
    of: &Histogram<N>,
    unit: impl Fn(u64) -> T,
) -> Result {
    head(to, name, "histogram", help)?;
    let mut below = 0_u64;
    for (bound, count) in of.buckets() {
        below = below.saturating_add(count);
        match bound {
            Some(bound) => {
                let bound = unit(bound);
                writeln!(to, "adieu_{name}_bucket{{le=\"{bound}\"}} {below}")?;
            }
            None => writeln!(to, "adieu_{name}_bucket{{le=\"+Inf\"}} {below}")?,
        }
    }
    let (sum, total) = (unit(of.sum()), of.total());
    writeln!(to, "adieu_{name}_sum {sum}\nadieu_{name}_count {total}")
}

/// One sample, if it is known.
fn perhaps(to: &mut dyn Write, name: &str, help: &str, value: Option<u64>) -> Result {
    let Some(value) = value else { return Ok(()) };
    head(to, name, "gauge", help)?;
    writeln!(to, "adieu_{name} {value}")
}

fn kernel(of: &Snapshot, to: &mut dyn Write) -> Result {
    let sockets = of.survey.sockets.as_ref();
    if let Some(sockets) = sockets {
        let help = "TCP sockets of our ports in the kernel, by state.";
        head(to, "kernel_sockets", "gauge", help)?;
        samples(to, "kernel_sockets", "state", &mut sockets.each())?;
    }
    let waiting = sockets.map(|all| all.waiting.into());
    let help = "Connections that wait to be accepted.";
    perhaps(to, "kernel_accept_queue", help, waiting)?;
    let help = "Memory of what was received at our ports and not read.";
    let bytes = sockets.map(|all| all.receive_bytes);
    perhaps(to, "kernel_receive_bytes", help, bytes)?;
    let help = "Memory of what was sent at our ports and not acknowledged.";
    perhaps(
        to,
        "kernel_send_bytes",
        help,
        sockets.map(|all| all.send_bytes),
    )?;
    let host = of.survey.host;
    let help = "TCP sockets of the whole machine that nobody owns.";
    perhaps(to, "host_orphans", help, host.map(|host| host.orphans))?;
    let help = "Memory of TCP of the whole machine.";
    perhaps(
        to,
        "host_tcp_bytes",
        help,
        host.map(|host| host.memory_bytes),
    )
}

fn memory(of: &Snapshot, to: &mut dyn Write) -> Result {
    let help = "Memory of the process that is there, without its helpers.";
    perhaps(to, "resident_bytes", help, of.survey.resident_bytes)?;
    head(
        to,
        "memory_plan_bytes",
        "gauge",
        "The memory plan, line by line.",
    )?;
    for line in &of.plan.lines {
        let (what, owner, bytes) = (line.what, line.owner, line.total_bytes());
        writeln!(
            to,
            "adieu_memory_plan_bytes{{what=\"{what}\",owner=\"{owner}\"}} {bytes}"
        )?;
    }
    head(
        to,
        "memory_used_bytes",
        "gauge",
        "What is used of a line, where that is known.",
    )?;
    for line in &of.plan.lines {
        if let Some(bytes) = of.used_bytes(line.what, line.unit_bytes) {
            let (what, owner) = (line.what, line.owner);
            writeln!(
                to,
                "adieu_memory_used_bytes{{what=\"{what}\",owner=\"{owner}\"}} {bytes}"
            )?;
        }
    }
    Ok(())
}
