//! Counters: what happened since the start, by reason.
//!
//! Owns the numbers and their names. It must not log or decide. Invariants: counting allocates
//! nothing and never overflows; every [`CloseReason`], [`Reject`], [`Misuse`] and [`Eviction`] has
//! one counter.

use crate::connection::reason::{CloseReason, Misuse, Reject};
use crate::connection::reply::Status;
use std::fmt;

/// Gives each variant of an enum its counter: a list, and a name that no variant can do without.
macro_rules! counted {
    ($(#[$doc:meta])* $list:ident, $name:ident,
     $kind:ident { $($variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        pub const $list: &[$kind] = &[$($kind::$variant,)*];

        /// The name of its counter.
        const fn $name(of: $kind) -> &'static str {
            match of { $($kind::$variant => $word,)* }
        }
    };
}

/// Which connection gave its slot to a new one, in the order in which they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Lingering, FIN acknowledged, nothing to drain.
    LingerAcked,
    /// Lingering, FIN acknowledged, older than one idle period.
    LingerOld,
    /// Idle between requests.
    Idle,
    /// Lingering, FIN acknowledged, younger than one idle period.
    LingerYoung,
    /// Lingering, FIN not acknowledged: reset.
    LingerUnacked,
    /// Head or Body with the least progress, after a grace.
    Stalled,
    /// Requests behind a flowing file, written off because a buffer was needed.
    Pipeline,
    /// A response whose acknowledgements rested for an idle period: reset.
    Stuck,
}

counted! {
    /// Every class, in the order in which they are looked for.
    EVICTIONS, eviction_name, Eviction {
        LingerAcked = "linger-acked",
        LingerOld = "linger-old",
        Idle = "idle",
        LingerYoung = "linger-young",
        LingerUnacked = "linger-unacked",
        Stalled = "stalled",
        Pipeline = "pipeline",
        Stuck = "stuck",
    }
}

counted! {
    /// Every refusal, in the order of the counters.
    REJECTS, reject_name, Reject {
        BadPreface = "bad-preface",
        BadRequestLine = "bad-request-line",
        BadField = "bad-field",
        BadHost = "bad-host",
        BadTarget = "bad-target",
        BadFraming = "bad-framing",
        BadChunk = "bad-chunk",
        UnknownCoding = "unknown-coding",
        LateHead = "late-head",
        LateBody = "late-body",
        LateVerdict = "late-verdict",
        NoPlace = "no-place",
        LateScript = "late-script",
        BodyTooLarge = "body-too-large",
        TargetTooLong = "target-too-long",
        UnknownExpectation = "unknown-expectation",
        HeadTooLarge = "head-too-large",
        UnknownVersion = "unknown-version",
        GaveWay = "gave-way",
        StorageFull = "storage-full",
        Internal = "internal",
    }
}

counted! {
    /// Every fault of ours, in the order of the counters.
    MISUSES, misuse_name, Misuse {
        NoTransition = "no-transition",
        ReplyOverflow = "reply-overflow",
        Overrun = "overrun",
        WrongPiece = "wrong-piece",
    }
}

/// The classes of statuses: 1xx to 5xx.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What is done with the group, name and value of each counter.
pub type Show<'s> = &'s mut dyn FnMut(&'static str, &'static str, u64) -> fmt::Result;

/// Everything counted. For one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    accepted: u64,
    refused_address: u64,
    accept_pauses: u64,
    helpers_replaced: u64,
    uploads_abandoned: u64,
    scripts: u64,
    reloads: u64,
    refused_reloads: u64,
    requests: u64,
    responses: [u64; CLASSES.len()],
    rejects: [u64; REJECTS.len()],
    closes: [u64; CloseReason::ALL.len()],
    misuses: [u64; MISUSES.len()],
    evicted: [u64; EVICTIONS.len()],
    bytes_sent: u64,
    bytes_discarded: u64,
    log_dropped: u64,
    access_dropped: u64,
}

/// One more of `of`.
fn count<T: PartialEq>(all: &[T], counters: &mut [u64], of: &T) {
    if let Some((_, counter)) = all.iter().zip(counters).find(|(one, _)| *one == of) {
        *counter = counter.saturating_add(1);
    }
}

/// The count of `of`.
fn counted<T: PartialEq>(all: &[T], counters: &[u64], of: &T) -> u64 {
    all.iter()
        .zip(counters)
        .find(|(one, _)| *one == of)
        .map_or(0, |(_, counter)| *counter)
}

impl Counters {
    /// All zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            accepted: 0,
            refused_address: 0,
            accept_pauses: 0,
            helpers_replaced: 0,
            uploads_abandoned: 0,
            scripts: 0,
            reloads: 0,
            refused_reloads: 0,
            requests: 0,
            responses: [0; CLASSES.len()],
            rejects: [0; REJECTS.len()],
            closes: [0; CloseReason::ALL.len()],
            misuses: [0; MISUSES.len()],
            evicted: [0; EVICTIONS.len()],
            bytes_sent: 0,
            bytes_discarded: 0,
            log_dropped: 0,
            access_dropped: 0,
        }
    }

    /// A connection was accepted and has a slot.
    pub fn accept(&mut self) {
        self.accepted = self.accepted.saturating_add(1);
    }

    /// A connection was refused: its address has its share already.
    pub fn refuse_address(&mut self) {
        self.refused_address = self.refused_address.saturating_add(1);
    }

    /// Accepting paused: no slot, or no file descriptor.
    pub fn pause_accept(&mut self) {
        self.accept_pauses = self.accept_pauses.saturating_add(1);
    }

    /// A new configuration was taken.
    pub fn reload(&mut self) {
        self.reloads = self.reloads.saturating_add(1);
    }

    /// A new configuration was refused.
    pub fn refuse_reload(&mut self) {
        self.refused_reloads = self.refused_reloads.saturating_add(1);
    }

    /// An upload ended before its body did, or was refused while it flowed.
    pub fn abandon_upload(&mut self) {
        self.uploads_abandoned = self.uploads_abandoned.saturating_add(1);
    }

    /// A script was asked for.
    pub fn script(&mut self) {
        self.scripts = self.scripts.saturating_add(1);
    }

    /// A helper that had ended has a successor.
    pub fn replace_helper(&mut self) {
        self.helpers_replaced = self.helpers_replaced.saturating_add(1);
    }

    /// A request head was read whole.
    pub fn request(&mut self) {
        self.requests = self.requests.saturating_add(1);
    }

    /// A response with this status was begun.
    pub fn response(&mut self, status: Status) {
        let class = usize::from(status.code() / 100).saturating_sub(1);
        if let Some(counter) = self.responses.get_mut(class) {
            *counter = counter.saturating_add(1);
        }
    }

    /// A request was refused.
    pub fn reject(&mut self, reject: Reject) {
        count(REJECTS, &mut self.rejects, &reject);
    }

    /// A connection ended.
    pub fn close(&mut self, reason: CloseReason) {
        count(CloseReason::ALL, &mut self.closes, &reason);
    }

    /// A fault of ours.
    pub fn misuse(&mut self, misuse: Misuse) {
        count(MISUSES, &mut self.misuses, &misuse);
    }

    /// A connection gave its slot to a new one; its close is counted apart.
    pub fn evict(&mut self, class: Eviction) {
        count(EVICTIONS, &mut self.evicted, &class);
    }

    /// Bytes the kernel took from us.
    pub fn sent(&mut self, bytes: u64) {
        self.bytes_sent = self.bytes_sent.saturating_add(bytes);
    }

    /// Bytes read off without being looked at.
    pub fn discarded(&mut self, bytes: u64) {
        self.bytes_discarded = self.bytes_discarded.saturating_add(bytes);
    }

    /// Log lines dropped since the start, in all.
    pub fn log_dropped(&mut self, total: u64) {
        self.log_dropped = total;
    }

    /// So many lines of the access log were dropped.
    pub fn access_dropped(&mut self, lines: u64) {
        self.access_dropped = self.access_dropped.saturating_add(lines);
    }

    /// Connections that ended for this reason.
    #[must_use]
    pub fn closes(&self, reason: CloseReason) -> u64 {
        counted(CloseReason::ALL, &self.closes, &reason)
    }

    /// Connections accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Connections ended, for all reasons; with the live ones they make the accepted.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.closes.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Every counter in a fixed order: group, empty for the plain ones; name; value.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        let plain = [
            ("", "accepted", self.accepted),
            ("", "refused-address", self.refused_address),
            ("", "accept-pauses", self.accept_pauses),
            ("", "helpers-replaced", self.helpers_replaced),
            ("", "uploads-abandoned", self.uploads_abandoned),
            ("", "scripts", self.scripts),
            ("", "reloads", self.reloads),
            ("", "refused-reloads", self.refused_reloads),
            ("", "requests", self.requests),
            ("", "bytes-sent", self.bytes_sent),
            ("", "bytes-discarded", self.bytes_discarded),
            ("", "log-dropped", self.log_dropped),
            ("", "access-dropped", self.access_dropped),
        ];
        let responses = CLASSES
            .iter()
            .zip(&self.responses)
            .map(|(c, n)| ("response", *c, *n));
        let rejects = REJECTS
            .iter()
            .zip(&self.rejects)
            .map(|(r, n)| ("reject", reject_name(*r), *n));
        let closes = CloseReason::ALL
            .iter()
            .zip(&self.closes)
            .map(|(c, n)| ("close", c.name(), *n));
        let misuses = MISUSES
            .iter()
            .zip(&self.misuses)
            .map(|(m, n)| ("misuse", misuse_name(*m), *n));
        let evicted = EVICTIONS
            .iter()
            .zip(&self.evicted)
            .map(|(e, n)| ("evicted", eviction_name(*e), *n));
        plain
            .into_iter()
            .chain(responses)
            .chain(rejects)
            .chain(closes)
            .chain(misuses)
            .chain(evicted)
    }

    /// Shows every counter, in the order of [`Counters::each`]. One copy of that for all forms of
    /// the status.
    ///
    /// # Errors
    /// The first of `show`.
    pub fn visit(&self, show: Show<'_>) -> fmt::Result {
        let mut all = self.each();
        all.try_for_each(|(group, name, value)| show(group, name, value))
    }

    /// The counter of this group and name; `None` when there is none.
    #[must_use]
    pub fn value(&self, group: &str, name: &str) -> Option<u64> {
        self.each()
            .find(|(g, n, _)| *g == group && *n == name)
            .map(|(_, _, value)| value)
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

/// A line of the log holds this much and its prefix.
const LINE_BYTES: usize = 400;

impl Counters {
    /// `name=value` of those above zero, in as many lines as the log needs. Allocates.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        for (group, name, value) in self.each().filter(|(_, _, value)| *value > 0) {
            let dot = if group.is_empty() { "" } else { "." };
            let pair = format!("{group}{dot}{name}={value}");
            match lines.last_mut() {
                Some(line) if line.is_empty() => *line = pair,
                Some(line) if line.len() + 1 + pair.len() <= LINE_BYTES => {
                    line.push(' ');
                    line.push_str(&pair);
                }
                Some(_) | None => lines.push(pair),
            }
        }
        if lines.iter().all(String::is_empty) {
            return vec!["nothing counted".to_owned()];
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_and_the_rest_is_not() {
        let mut counters = Counters::new();
        assert_eq!(counters.lines(), ["nothing counted"]);
        counters.accept();
        counters.accept();
        counters.request();
        counters.response(Status::OK);
        counters.response(Status::VERSION_NOT_SUPPORTED);
        counters.reject(Reject::UnknownVersion);
        counters.close(CloseReason::Drained);
        counters.misuse(Misuse::Overrun);
        counters.evict(Eviction::LingerOld);
        counters.sent(1 << 40);
        counters.sent(u64::MAX);
        counters.discarded(7);
        counters.log_dropped(3);
        counters.access_dropped(4);
        counters.access_dropped(1);
        counters.pause_accept();
        counters.refuse_address();
        assert_eq!(
            counters.lines().concat(),
            "accepted=2 refused-address=1 accept-pauses=1 requests=1 \
             bytes-sent=18446744073709551615 bytes-discarded=7 log-dropped=3 access-dropped=5 \
             response.2xx=1 response.5xx=1 reject.unknown-version=1 close.drained=1 \
             misuse.overrun=1 evicted.linger-old=1"
        );
    }

    #[test]
    fn what_is_too_long_for_one_line_is_said_in_several() {
        let mut counters = Counters::new();
        for reason in CloseReason::ALL {
            counters.close(*reason);
        }
        for class in EVICTIONS {
            counters.evict(*class);
        }
        for reject in REJECTS {
            counters.reject(*reject);
        }
        let lines = counters.lines();
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES));
        let pairs = lines.iter().flat_map(|line| line.split(' ')).count();
        assert_eq!(
            pairs,
            CloseReason::ALL.len() + EVICTIONS.len() + REJECTS.len()
        );
    }

    #[test]
    fn every_reason_has_one_counter_of_its_own() {
        let mut counters = Counters::new();
        let before = counters.each().count();
        for reason in CloseReason::ALL {
            counters.close(*reason);
            assert_eq!(counters.closes(*reason), 1);
            assert_eq!(counters.value("close", reason.name()), Some(1));
        }
        REJECTS.iter().for_each(|r| counters.reject(*r));
        MISUSES.iter().for_each(|m| counters.misuse(*m));
        EVICTIONS.iter().for_each(|e| counters.evict(*e));
        for (group, name, value) in counters
            .each()
            .filter(|(g, _, _)| !["", "response"].contains(g))
        {
            assert_eq!(value, 1, "{group}.{name}");
        }
        let mut names: Vec<_> = counters.each().map(|(g, n, _)| (g, n)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), before);
        assert_eq!(counters.closed(), 14);
        assert_eq!(counters.value("close", "boredom"), None);
    }
}
