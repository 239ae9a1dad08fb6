//! The status for a terminal, and for a browser without scripts.
//!
//! Owns the lines. It must not colour or move a cursor. Invariants: a line has at most 80 columns;
//! counters that are 0 are left out; there is no character that HTML would take for markup.

use super::super::goodbyes::Histogram;
use super::{Perhaps, Snapshot};
use std::fmt::{Display, Result, Write};

const UNKNOWN: &str = "unknown";

/// Writes all of it.
pub(super) fn write(of: &Snapshot, to: &mut dyn Write) -> Result {
    let what = if of.stopping { ", stopping" } else { "" };
    writeln!(
        to,
        "adieu {}, process {}, up {}{what}\n",
        env!("CARGO_PKG_VERSION"),
        of.pid,
        Span(of.uptime_ms)
    )?;
    writeln!(to, "{:<22} {:>10} {:>10} {:>10}", "", "used", "of", "peak")?;
    for pool in of.pools.iter().filter(|pool| pool.most > 0) {
        let peak = Perhaps(pool.peak, "-");
        let (name, used, most) = (pool.name, pool.used, pool.most);
        writeln!(
            to,
            "{name:<22} {used:>10} {most:>10} {:>10}",
            Padded(&peak, 10)
        )?;
    }
    to.write_str("\nconnections by state\n")?;
    pairs(&mut of.states(), true, to)?;
    counters(of, to)?;
    goodbyes(of, to)?;
    kernel(of, to)?;
    memory(of, to)
}

/// A time for people: the two largest units.
struct Span(u64);

impl Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> Result {
        let s = self.0 / 1000;
        match (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60) {
            (0, 0, 0, s) => write!(f, "{s} s"),
            (0, 0, m, s) => write!(f, "{m} min {s} s"),
            (0, h, m, _) => write!(f, "{h} h {m} min"),
            (d, h, ..) => write!(f, "{d} d {h} h"),
        }
    }
}

/// Something short with blanks before it, without a string of its own.
struct Padded<'d, D>(&'d D, usize);

impl<D: Display> Display for Padded<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> Result {
        struct Width(usize);
        impl Write for Width {
            fn write_str(&mut self, text: &str) -> Result {
                self.0 = self.0.saturating_add(text.len());
                Ok(())
            }
        }
        let mut width = Width(0);
        write!(width, "{}", self.0)?;
        for _ in width.0..self.1 {
            f.write_str(" ")?;
        }
        write!(f, "{}", self.0)
    }
}

/// Pairs in a row, three a line, each in 26 columns.
struct Pairs(u8);

impl Pairs {
    fn put(&mut self, name: &str, value: u64, to: &mut dyn Write) -> Result {
        let end = if self.0 == 2 { "\n" } else { "" };
        let gap = if self.0 == 0 { "  " } else { "   " };
        write!(to, "{gap}{name:<16} {value:>6}{end}")?;
        self.0 = (self.0 + 1) % 3;
        Ok(())
    }

    /// Ends a line that has begun.
    fn end(&mut self, to: &mut dyn Write) -> Result {
        let end = if self.0 == 0 { "" } else { "\n" };
        self.0 = 0;
        to.write_str(end)
    }
}

/// Those of 0 only where `zeros` are wanted.
fn pairs(
    all: &mut dyn Iterator<Item = (&'static str, u64)>,
    zeros: bool,
    to: &mut dyn Write,
) -> Result {
    let mut pairs = Pairs(0);
    for (name, value) in all.filter(|(_, value)| zeros || *value > 0) {
        pairs.put(name, value, to)?;
    }
    pairs.end(to)
}

/// The title of a group of counters.
fn title(group: &str) -> &'static str {
    match group {
        "response" => "\nresponses\n",
        "reject" => "\nrefused\n",
        "close" => "\ngoodbyes by reason\n",
        "evicted" => "\nevicted\n",
        "misuse" => "\nfaults of adieu itself\n",
        _ => "\nsince the start\n",
    }
}

/// A group stands there only if something of it was counted.
fn counters(of: &Snapshot, to: &mut dyn Write) -> Result {
    let mut open = None;
    let mut pairs = Pairs(0);
    of.counters.visit(&mut |group, name, value| {
        if value == 0 {
            return Ok(());
        }
        if open != Some(group) {
            pairs.end(to)?;
            to.write_str(title(group))?;
            open = Some(group);
        }
        pairs.put(name, value, to)
    })?;
    pairs.end(to)
}

fn goodbyes(of: &Snapshot, to: &mut dyn Write) -> Result {
    if of.goodbyes.durations_ms.total() == 0 {
        return Ok(());
    }
    to.write_str("\ngoodbyes by time, ms\n")?;
    histogram(&of.goodbyes.durations_ms, to)?;
    to.write_str("goodbyes by bytes read off\n")?;
    histogram(&of.goodbyes.drained_bytes, to)
}

fn histogram<const N: usize>(of: &Histogram<N>, to: &mut dyn Write) -> Result {
    for (bound, count) in of.buckets().filter(|(_, count)| *count > 0) {
        match bound {
            Some(bound) => writeln!(to, "  up to {bound:>10} {count:>10}")?,
            None => writeln!(to, "  {:>16} {count:>10}", "more")?,
        }
    }
    Ok(())
}

fn kernel(of: &Snapshot, to: &mut dyn Write) -> Result {
    to.write_str("\nTCP sockets of our ports in the kernel\n")?;
    match &of.survey.sockets {
        None => writeln!(to, "  {UNKNOWN}")?,
        Some(sockets) => {
            pairs(&mut sockets.each(), false, to)?;
            writeln!(
                to,
                "  {:<16} {:>6}\n  {:<22} {:>10}\n  {:<22} {:>10}",
                "accept-queue",
                sockets.waiting,
                "receive bytes",
                sockets.receive_bytes,
                "send bytes",
                sockets.send_bytes
            )?;
        }
    }
    let host = of.survey.host;
    let orphans = Perhaps(host.map(|host| host.orphans), UNKNOWN);
    let bytes = Perhaps(host.map(|host| host.memory_bytes), UNKNOWN);
    writeln!(
        to,
        "TCP of the whole machine: {orphans} orphans, {bytes} bytes"
    )
}

fn memory(of: &Snapshot, to: &mut dyn Write) -> Result {
    writeln!(
        to,
        "\n{:<22} {:<8} {:>14} {:>14}",
        "memory", "owner", "plan", "used"
    )?;
    for line in &of.plan.lines {
        let used = Perhaps(of.used_bytes(line.what, line.unit_bytes), "-");
        writeln!(
            to,
            "{:<22} {:<8} {:>14} {}",
            line.what,
            line.owner,
            line.total_bytes(),
            Padded(&used, 14)
        )?;
    }
    let resident = Perhaps(of.survey.resident_bytes, UNKNOWN);
    writeln!(
        to,
        "{:<31} {:>14}\n{:<31} {}",
        "sum",
        of.plan.sum_bytes,
        "resident, of this process",
        Padded(&resident, 14)
    )
}
