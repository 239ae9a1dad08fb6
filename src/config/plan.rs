//! The memory plan: what adieu and the kernel hold for it at worst, as one sum.
//!
//! Owns the arithmetic, and adieu's own lines. It must not measure or allocate what it names.
//! Invariant: the sum grows with the number of connections and never overflows (it saturates).

mod cached;
mod kernel;
mod shown;

pub use kernel::{
    connection_queues_bytes, leftovers, queues_bytes, receive_peak_bytes, send_peak_bytes, waiting,
    waiting_peak_bytes,
};

use super::{AccessFormat, Config, StartError};
use std::fmt;

/// A block of memory of a fixed size: a log ring, a scratch buffer, a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// What it is, at most 20 columns.
    pub what: &'static str,
    /// Whose it is, at most 7 columns: `reactor`, `report`, `site`.
    pub owner: &'static str,
    /// Its size.
    pub bytes: usize,
}

/// Sizes that only the owners of the memory know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// `size_of` one slot, with what its table adds to it.
    pub slot_bytes: usize,
    /// What stands beside each slot: generation, timer, place in the run queue.
    pub slot_side_bytes: usize,
    /// What is kept of an answer in pieces, for each buffer.
    pub work_bytes: usize,
    /// Where the names of listings are put in order, if a site lists directories.
    pub shelf_bytes: usize,
    /// What is kept of an upload, for each that is on its way.
    pub upload_bytes: usize,
    /// What bodies flow through that are kept.
    pub through_bytes: usize,
    /// The pipe through which bodies flow that are kept.
    pub tube_bytes: usize,
    /// What is kept of a script, for each that runs.
    pub script_bytes: usize,
    /// What is kept of a response for the access log, for each slot and each buffer.
    pub access_line_bytes: usize,
    /// What the access log takes beside that.
    pub access_bytes: usize,
    /// What is kept of an answer about the status, for each place.
    pub status_bytes: usize,
    /// What is kept of a file in the cache, for each place.
    pub cached_bytes: usize,
    /// Blocks that do not depend on the number of connections.
    pub fixed: Vec<Fixed>,
}

#[cfg(test)]
impl Sizes {
    /// Near enough for tests, but for what is fixed.
    pub(crate) fn sample() -> Self {
        Self {
            slot_bytes: 256,
            slot_side_bytes: 24,
            work_bytes: 400,
            shelf_bytes: 82_000,
            upload_bytes: 450,
            script_bytes: 18_000,
            through_bytes: 65_536,
            tube_bytes: 262_144,
            access_line_bytes: 450,
            access_bytes: 40_000,
            status_bytes: 1200,
            cached_bytes: 150,
            fixed: vec![],
        }
    }
}

/// One line of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub what: &'static str,
    /// Whose it is.
    pub owner: &'static str,
    /// How many.
    pub count: u64,
    /// Size of one, bytes.
    pub unit_bytes: u64,
    /// The key that bounds the count or the size, or where the figure comes from.
    pub bound: &'static str,
}

impl Line {
    /// Count times size; saturates.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.count.saturating_mul(self.unit_bytes)
    }
}

/// The memory plan of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The lines, adieu's first, then the kernel's.
    pub lines: Vec<Line>,
    /// The sum of the lines, bytes; saturates.
    pub sum_bytes: u64,
}

/// What the sum leaves out, and why.
pub const NOT_BOUNDED: &[(&str, &str)] = &[
    (
        "page cache of served files",
        "the kernel gives it back under pressure",
    ),
    ("parsing the configuration", "before \"ready\", given back"),
    ("the second configuration", "while reloading, given back"),
    (
        "the server before",
        "as much again, while it ends after a hand-over",
    ),
    (
        "a helper started later",
        "without a sandbox: what the server wrote before",
    ),
    (
        "clients on unix sockets",
        "what they sent counts as theirs until it is read",
    ),
];

/// The program text, its stack and the runtime: assumed, to be replaced by a measurement.
const PROGRAM_BYTES: u64 = 1 << 20;
/// The helper, beside what it shares with the server: 792 KiB with eight files of users of 64 KiB
/// and every kind of hash (smaps_rollup, Private; 184 KiB before the first question), and 15 %.
const HELPER_BYTES: u64 = 920 * 1024;
/// The process outside of the sandbox, beside what it shares with the server: 68 KiB at most
/// (smaps_rollup, Private; 24 of a static program), and 15 %.
const MAKER_BYTES: u64 = 80 * 1024;
/// `usize` never has more than 64 bits here; if it had, the sum saturates.
fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Plan {
    /// The plan of `config`, settled first if it is not, for memory of these `sizes`.
    #[must_use]
    pub fn of(config: &Config, sizes: &Sizes) -> Self {
        let mut config = config.clone();
        config.settle();
        let mut lines = own_lines(&config, sizes);
        lines.extend(kernel::lines(&config));
        let sum_bytes = lines
            .iter()
            .map(Line::total_bytes)
            .fold(0, u64::saturating_add);
        Self { lines, sum_bytes }
    }
}

/// What adieu holds itself.
fn own_lines(config: &Config, sizes: &Sizes) -> Vec<Line> {
    let connections = u64::from(config.connections);
    let buffers = u64::from(config.buffers);
    let both_halves = u64::from(config.buffer_bytes).saturating_mul(2);
    let slots = |what, bytes| {
        line(
            what,
            "reactor",
            connections,
            wide(bytes),
            "memory.connections",
        )
    };
    let mut lines = vec![
        slots("slots", sizes.slot_bytes),
        slots("beside the slots", sizes.slot_side_bytes),
        line(
            "buffers, both halves",
            "reactor",
            buffers,
            both_halves,
            "memory.buffers",
        ),
        line(
            "answers in pieces",
            "site",
            buffers,
            wide(sizes.work_bytes),
            "memory.buffers",
        ),
    ];
    if config.lists() {
        lines.push(line(
            "shelf of listings",
            "site",
            1,
            wide(sizes.shelf_bytes),
            "site.listing",
        ));
    }
    lines.extend(cached::lines(config, sizes));
    lines.extend(upload_lines(config, sizes));
    lines.extend(script_lines(config, sizes));
    lines.extend(access_lines(config, sizes));
    lines.extend(shown::lines(config, sizes));
    let fixed = sizes.fixed.iter();
    lines.extend(fixed.map(|fixed| line(fixed.what, fixed.owner, 1, wide(fixed.bytes), "fixed")));
    if config.asks_who() {
        lines.push(line("helper's own", "helper", 1, HELPER_BYTES, "site.auth"));
    }
    let maker = line("maker's own", "maker", 1, MAKER_BYTES, "service.sandbox");
    lines.extend(config.needs_maker().then_some(maker));
    lines.push(line(
        "program and runtime",
        "program",
        1,
        PROGRAM_BYTES,
        "assumed",
    ));
    lines
}

const fn line(
    what: &'static str,
    owner: &'static str,
    count: u64,
    unit_bytes: u64,
    bound: &'static str,
) -> Line {
    Line {
        what,
        owner,
        count,
        unit_bytes,
        bound,
    }
}

/// What uploads take, if any are taken.
fn upload_lines(config: &Config, sizes: &Sizes) -> Vec<Line> {
    if !config.takes_uploads() {
        return vec![];
    }
    let line = |what, count, bytes| line(what, "reactor", count, wide(bytes), "upload.at_once");
    vec![
        line(
            "uploads on their way",
            config.upload_places().into(),
            sizes.upload_bytes,
        ),
        line("room of uploads", 1, sizes.through_bytes),
        Line {
            owner: "kernel",
            ..line("pipe of uploads", 1, sizes.tube_bytes)
        },
    ]
}

/// What scripts take, if any are run. They themselves are beyond it.
fn script_lines(config: &Config, sizes: &Sizes) -> Vec<Line> {
    if !config.runs_scripts() {
        return vec![];
    }
    let count = u64::from(config.script_places());
    let spool_bytes = u64::from(config.script.spool_bytes);
    let own = wide(sizes.script_bytes);
    let line = |what, owner, bytes, bound| line(what, owner, count, bytes, bound);
    vec![
        line("scripts on their way", "reactor", own, "script.at_once"),
        line(
            "bodies for scripts",
            "kernel",
            spool_bytes,
            "script.spool_bytes",
        ),
        line(
            "pipes of scripts",
            "kernel",
            kernel::PIPES_BYTES,
            "script.at_once",
        ),
    ]
}

/// What the access log takes, if one is kept.
fn access_lines(config: &Config, sizes: &Sizes) -> Vec<Line> {
    if config.access == AccessFormat::Off {
        return vec![];
    }
    let line = |what, count, bytes| line(what, "report", count, wide(bytes), "log.access");
    let places = u64::from(config.connections).saturating_add(config.buffers.into());
    vec![
        line("access log: lines", places, sizes.access_line_bytes),
        line("access log: ring", 1, sizes.access_bytes),
    ]
}

/// Derives `connections` from `memory_total_bytes`: the most slots whose plan fits it. With
/// `connections_given` the number stands, and the plan must fit.
///
/// # Errors
/// When not even one connection fits, or not those that were asked for; the arithmetic is in
/// `what`.
pub(super) fn fit(
    config: &mut Config,
    sizes: &Sizes,
    connections_given: bool,
) -> Result<(), StartError> {
    let total = config.memory_total_bytes;
    let sum = |connections| {
        let derived = Config {
            connections,
            ..config.clone()
        };
        Plan::of(&derived, sizes).sum_bytes
    };
    if total == 0 {
        return Ok(());
    }
    let smallest = if connections_given {
        config.connections
    } else {
        config.buffers.max(1)
    };
    let smallest_bytes = sum(smallest);
    if smallest_bytes > total {
        let fixed = sum(0);
        let what = format!(
            "{total} bytes do not hold {smallest} connection{}: {fixed} are fixed, {} for the \
             connection{0}",
            if smallest == 1 { "" } else { "s" },
            smallest_bytes.saturating_sub(fixed),
        );
        let cure = format!(
            "the smallest total that works is {smallest_bytes}; or lower memory.backlog, \
             memory.growth_bytes, memory.receive_bytes or memory.send_bytes \
             (see adieu -t without a total)"
        );
        return Err(StartError::configuration("memory.total", what, cure));
    }
    if connections_given {
        return Ok(());
    }
    // `fits` does, `above` does not or is past the end.
    let (mut fits, mut above) = (smallest, super::keys::CONNECTIONS_MAX + 1);
    while above - fits > 1 {
        let middle = fits + (above - fits) / 2;
        if sum(middle) <= total {
            fits = middle
        } else {
            above = middle
        }
    }
    config.connections = fits;
    Ok(())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:<7} {:>6} {:>8} {:>13}  bounded by",
            "memory", "owner", "count", "bytes", "total"
        )?;
        for line in &self.lines {
            writeln!(
                f,
                "{:<20} {:<7} {:>6} {:>8} {:>13}  {}",
                line.what,
                line.owner,
                line.count,
                line.unit_bytes,
                line.total_bytes(),
                line.bound
            )?;
        }
        let mib = self.sum_bytes.div_ceil(1 << 20);
        writeln!(f, "{:<44} {:>13}  about {mib} MiB", "sum", self.sum_bytes)?;
        writeln!(
            f,
            "\nLeftovers assume that every slot closes once a second and its client never"
        )?;
        writeln!(
            f,
            "sends a FIN: each stays for linger.kernel_fin_wait_s, and 60 s in TIME-WAIT.\n\n\
             Not bounded by adieu:"
        )?;
        for (what, why) in NOT_BOUNDED {
            writeln!(f, "  {what:<27}  {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rules::Rule as _;
    use crate::config::{ScriptRule, UploadRule};

    fn sizes() -> Sizes {
        let fixed = vec![Fixed {
            what: "log ring",
            owner: "report",
            bytes: 16_384,
        }];
        Sizes {
            fixed,
            ..Sizes::sample()
        }
    }

    fn with_total(total: u64) -> Config {
        Config {
            memory_total_bytes: total,
            ..Config::default()
        }
    }

    #[test]
    fn measured_peaks_lie_below_the_formulas() {
        for (size, peak) in [(8192, 87_143), (32_768, 99_584), (65_536, 192_882)] {
            assert!(receive_peak_bytes(size) > peak, "receive {size}");
        }
        for (size, peak) in [(4608, 48_448), (16_384, 56_396), (65_536, 166_416)] {
            assert!(send_peak_bytes(size) > peak, "send {size}");
        }
        assert!(receive_peak_bytes(u64::MAX) > 0 && send_peak_bytes(u64::MAX) > 0);
    }

    #[test]
    fn the_sum_is_the_sum_of_its_lines() {
        let plan = Plan::of(&Config::default(), &sizes());
        assert_eq!(
            plan.sum_bytes,
            plan.lines.iter().map(Line::total_bytes).sum::<u64>()
        );
        let total = |what| {
            plan.lines
                .iter()
                .find(|l| l.what == what)
                .unwrap()
                .total_bytes()
        };
        assert_eq!(total("slots"), 128 * 256);
        assert_eq!(total("beside the slots"), 128 * 24);
        assert_eq!(total("buffers, both halves"), 32 * 16_384);
        assert_eq!(total("log ring"), 16_384);
        assert_eq!(total("connections: objects"), 128 * 3848);
        assert_eq!(total("connections: receive"), 128 * 131892);
        assert_eq!(total("connections: send"), 128 * 84788);
        assert_eq!(total("accept queue"), 17 * 244_941);
        assert_eq!(total("leftovers of closing"), 128 * 65 * 256);
    }

    #[test]
    fn uploads_are_in_the_plan_when_they_are_taken() {
        let mut config = Config::default();
        let off = Plan::of(&config, &sizes()).sum_bytes;
        config.site.uploads = vec![UploadRule::parse("/inbox 1MiB").unwrap()];
        assert_eq!(
            Plan::of(&config, &sizes()).sum_bytes - off,
            16 * 450 + 65_536 + 262_144
        );
    }

    #[test]
    fn scripts_are_in_the_plan_when_they_are_run() {
        let mut config = Config::default();
        let off = Plan::of(&config, &sizes()).sum_bytes;
        config.site.scripts = vec![ScriptRule::parse("/cgi-bin").unwrap()];
        let bytes = Plan::of(&config, &sizes()).sum_bytes - off;
        let maker = u64::from(crate::config::SANDBOX_BUILT) * MAKER_BYTES;
        assert_eq!(bytes, 4 * (18_000 + 65_536 + 131_072) + maker);
    }

    #[test]
    fn the_access_log_is_in_the_plan_when_it_is_on() {
        let with = |access| Config {
            access,
            ..Config::default()
        };
        let off = Plan::of(&with(AccessFormat::Off), &sizes()).sum_bytes;
        let on = Plan::of(&with(AccessFormat::Json), &sizes()).sum_bytes;
        assert_eq!(on - off, (128 + 32) * 450 + 40_000);
    }

    #[test]
    fn the_helper_is_in_the_plan_when_somebody_is_asked_who_he_is() {
        let mut config = Config::default();
        let without = Plan::of(&config, &sizes()).sum_bytes;
        let rule = crate::config::AuthRule {
            pattern: crate::config::pattern::Pattern::parse("/").unwrap(),
            methods: vec![],
            file: "/etc/users".into(),
            realm: "Realm".into(),
        };
        config.site.auth.push(rule);
        let with = Plan::of(&config, &sizes()).sum_bytes;
        let maker = u64::from(crate::config::SANDBOX_BUILT) * MAKER_BYTES;
        assert_eq!(with - without, HELPER_BYTES + maker);
        config.service.sandbox = crate::config::Sandbox::Off;
        let outside = Plan::of(&config, &sizes()).sum_bytes;
        assert_eq!(outside - without, HELPER_BYTES);
    }

    #[test]
    fn every_listener_has_a_queue_of_its_own() {
        let mut config = Config::default();
        let one = Plan::of(&config, &sizes()).sum_bytes;
        config
            .listen
            .push(super::super::Listen::Unix("/run/a".into()));
        assert_eq!(Plan::of(&config, &sizes()).sum_bytes - one, 17 * 244_941);
    }

    #[test]
    fn the_queues_are_those_lines_of_the_plan_that_tcp_fills() {
        let mut config = Config::default();
        let plan = Plan::of(&config, &sizes());
        let filled = [
            "connections: receive",
            "connections: send",
            "large buffers",
            "accept queue",
        ];
        let lines = plan.lines.iter().filter(|l| filled.contains(&l.what));
        let sum = lines.map(Line::total_bytes).sum::<u64>();
        assert_eq!(queues_bytes(&config), sum);
        // A queue of a unix socket is beside it, and connections that are all unix, too.
        config
            .listen
            .push(super::super::Listen::Unix("/run/a".into()));
        assert_eq!(queues_bytes(&config), sum);
        config.listen.remove(0);
        assert_eq!(queues_bytes(&config), 0);
    }

    #[test]
    fn a_total_derives_the_most_connections_that_fit() {
        let mut seen = 0;
        for step in 0..400_u64 {
            let total = 6_400_000 + step * step * 7919;
            let mut config = with_total(total);
            fit(&mut config, &sizes(), false).unwrap();
            assert!(Plan::of(&config, &sizes()).sum_bytes <= total);
            assert!(config.connections >= seen, "more memory, fewer slots");
            seen = config.connections;
            config.connections += 1;
            assert!(
                Plan::of(&config, &sizes()).sum_bytes > total,
                "{total}: one more fits"
            );
        }
        assert!(seen > 1000);
        let mut config = with_total(1 << 40);
        fit(&mut config, &sizes(), false).unwrap();
        assert_eq!(config.connections, super::super::keys::CONNECTIONS_MAX);
    }

    #[test]
    fn a_total_that_is_too_small_shows_the_arithmetic_and_the_smallest_that_works() {
        let error = fit(&mut with_total(1 << 20), &sizes(), false).unwrap_err();
        assert_eq!((error.code, error.place.as_str()), (78, "memory.total"));
        assert_eq!(
            error.what,
            "1048576 bytes do not hold 1 connection: 5573405 are fixed, 291916 for the connection"
        );
        let smallest = 5_573_405 + 291_916;
        assert!(
            error
                .cure
                .starts_with(&format!("the smallest total that works is {smallest};"))
        );
        assert!(fit(&mut with_total(smallest - 1), &sizes(), false).is_err());
        let mut config = with_total(smallest);
        fit(&mut config, &sizes(), false).unwrap();
        assert_eq!(config.connections, 1);
    }

    #[test]
    fn connections_that_were_asked_for_stand_or_are_refused() {
        let mut config = with_total(40 << 20);
        fit(&mut config, &sizes(), true).unwrap();
        assert_eq!(config.connections, 128);
        let error = fit(&mut with_total(8 << 20), &sizes(), true).unwrap_err();
        assert!(
            error
                .what
                .starts_with("8388608 bytes do not hold 128 connections: ")
        );
    }

    #[test]
    fn given_buffers_bound_the_connections_from_below() {
        let mut config = Config {
            buffers: 20,
            ..with_total(1 << 30)
        };
        fit(&mut config, &sizes(), false).unwrap();
        assert!(config.connections > 20 && config.buffers == 20);
        let error = fit(
            &mut Config {
                buffers: 200,
                ..with_total(8 << 20)
            },
            &sizes(),
            false,
        );
        assert!(error.unwrap_err().what.contains("200 connections"));
    }

    #[test]
    fn the_largest_of_everything_saturates_or_fits_and_stays_readable() {
        for config in [
            Config::default(),
            Config {
                connections: 65_000,
                buffers: 65_000,
                buffer_bytes: 65_535,
                backlog: 4096,
                receive_bytes: 8 << 20,
                send_bytes: 8 << 20,
                linger2_s: 60,
                ..Config::default()
            },
        ] {
            let text = Plan::of(&config, &sizes()).to_string();
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
                assert_eq!(line.trim_end(), line);
            }
        }
        let huge = Sizes {
            slot_bytes: usize::MAX,
            ..sizes()
        };
        let sum = Plan::of(&Config::default(), &huge).sum_bytes;
        assert!(sum == u64::MAX || usize::BITS < 64, "{sum}");
    }

    #[test]
    fn the_names_of_the_plan_fit_their_columns() {
        let plan = Plan::of(&Config::default(), &sizes());
        assert!(
            plan.lines
                .iter()
                .all(|l| l.what.len() <= 20 && l.owner.len() <= 7)
        );
    }
}
