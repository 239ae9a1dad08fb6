//! The status as JSON (RFC 8259); `docs/status.md` has its members.
//!
//! Owns the order and the names, which are those of the log. Invariant: every name is a constant of
//! ours without a quote or a backslash, so nothing is escaped.

use super::super::goodbyes::Histogram;
use super::{Perhaps, Snapshot};
use std::fmt::{Result, Write};

const NULL: &str = "null";

/// Writes all of it.
pub(super) fn write(of: &Snapshot, to: &mut dyn Write) -> Result {
    let unix_s = Perhaps(of.unix_s.and_then(|s| u64::try_from(s).ok()), NULL);
    write!(
        to,
        "{{\"version\":\"{}\",\"pid\":{},\"uptime_ms\":{},\"time_s\":{unix_s},\"stopping\":{}",
        env!("CARGO_PKG_VERSION"),
        of.pid,
        of.uptime_ms,
        of.stopping
    )?;
    to.write_str(",\n\"states\":")?;
    members(&mut of.states(), to)?;
    to.write_str(",\n\"pools\":{")?;
    for (index, pool) in of.pools.iter().enumerate() {
        write!(
            to,
            "{}\"{}\":{{\"used\":{},\"most\":{},\"peak\":{}}}",
            comma(index),
            pool.name,
            pool.used,
            pool.most,
            Perhaps(pool.peak, NULL)
        )?;
    }
    to.write_str("},\n\"counters\":{")?;
    counters(of, to)?;
    to.write_str("},\n\"goodbyes\":{\"duration_ms\":")?;
    histogram(&of.goodbyes.durations_ms, to)?;
    to.write_str(",\"drained_bytes\":")?;
    histogram(&of.goodbyes.drained_bytes, to)?;
    to.write_str("},\n\"kernel\":")?;
    kernel(of, to)?;
    to.write_str(",\n\"memory\":")?;
    memory(of, to)?;
    to.write_str("}\n")
}

/// What stands before a member.
fn comma(index: usize) -> &'static str {
    if index == 0 { "" } else { "," }
}

fn members(all: &mut dyn Iterator<Item = (&'static str, u64)>, to: &mut dyn Write) -> Result {
    to.write_str("{")?;
    for (index, (name, value)) in all.enumerate() {
        write!(to, "{}\"{name}\":{value}", comma(index))?;
    }
    to.write_str("}")
}

/// The plain ones, then an object for each group.
fn counters(of: &Snapshot, to: &mut dyn Write) -> Result {
    let mut open = "";
    let mut gap = "";
    of.counters.visit(&mut |group, name, value| {
        if group != open {
            let end = if open.is_empty() { "" } else { "}" };
            write!(to, "{end},\n\"{group}\":{{")?;
            gap = "";
            open = group;
        }
        write!(to, "{gap}\"{name}\":{value}")?;
        gap = ",";
        Ok(())
    })?;
    to.write_str(if open.is_empty() { "" } else { "}" })
}

/// Bounds, and how many lie at or below each and above the one before; the last count is the rest.
fn histogram<const N: usize>(of: &Histogram<N>, to: &mut dyn Write) -> Result {
    to.write_str("{\"bounds\":[")?;
    let bounds = of.buckets().filter_map(|(bound, _)| bound);
    for (index, bound) in bounds.enumerate() {
        write!(to, "{}{bound}", comma(index))?;
    }
    to.write_str("],\"counts\":[")?;
    for (index, (_, count)) in of.buckets().enumerate() {
        write!(to, "{}{count}", comma(index))?;
    }
    write!(to, "],\"sum\":{}}}", of.sum())
}

fn kernel(of: &Snapshot, to: &mut dyn Write) -> Result {
    to.write_str("{\"sockets\":")?;
    match &of.survey.sockets {
        Some(sockets) => {
            members(&mut sockets.each(), to)?;
            write!(
                to,
                ",\"accept_queue\":{},\"receive_bytes\":{},\"send_bytes\":{}",
                sockets.waiting, sockets.receive_bytes, sockets.send_bytes
            )?;
        }
        None => {
            let unknown = "null,\"accept_queue\":null,\"receive_bytes\":null,\"send_bytes\":null";
            to.write_str(unknown)?;
        }
    }
    let host = of.survey.host;
    write!(
        to,
        ",\"age_ms\":{},\"orphans\":{},\"tcp_memory_bytes\":{}}}",
        of.survey.age_ms,
        Perhaps(host.map(|host| host.orphans), NULL),
        Perhaps(host.map(|host| host.memory_bytes), NULL)
    )
}

fn memory(of: &Snapshot, to: &mut dyn Write) -> Result {
    write!(
        to,
        "{{\"plan_bytes\":{},\"resident_bytes\":{},\"lines\":[",
        of.plan.sum_bytes,
        Perhaps(of.survey.resident_bytes, NULL)
    )?;
    for (index, line) in of.plan.lines.iter().enumerate() {
        write!(
            to,
            "{}\n{{\"what\":\"{}\",\"owner\":\"{}\",\"count\":{},\"unit_bytes\":{},\
             \"plan_bytes\":{},\"used_bytes\":{}}}",
            comma(index),
            line.what,
            line.owner,
            line.count,
            line.unit_bytes,
            line.total_bytes(),
            Perhaps(of.used_bytes(line.what, line.unit_bytes), NULL)
        )?;
    }
    to.write_str("]}")
}
