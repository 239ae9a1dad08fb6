//! Systems as they are met, and what the doctor says of each; then each check by itself.

use super::*;
use crate::config::{Draft, Sizes};
use crate::sys::confine::Answer;

const MIB: u64 = 1 << 20;

/// The configuration with these keys.
fn setup(keys: &[&str]) -> Setup {
    let mut draft = Draft::new();
    for pair in keys {
        let (name, value) = pair.split_once('=').unwrap();
        draft.set(name, value, name).unwrap();
    }
    draft.finish(&Sizes::sample()).unwrap()
}

fn judged(keys: &[&str], teardown: Teardown, readings: &Readings) -> Report {
    let setup = setup(keys);
    judge(&Case {
        config: &setup.config,
        plan: &setup.plan,
        teardown,
        readings,
    })
}

fn found<'a>(report: &'a Report, name: &str) -> &'a Finding {
    let mut all = report.findings.iter();
    let found = all.find(|(n, _)| *n == name);
    &found.unwrap_or_else(|| panic!("no check {name}")).1
}

/// The checks that are at least so bad.
fn at_least(report: &Report, severity: Severity) -> Vec<&'static str> {
    let all = report.findings.iter();
    all.filter(|(_, f)| f.severity >= severity)
        .map(|(name, _)| *name)
        .collect()
}

const PROBE: Probe = Probe {
    discards: true,
    counts: true,
    lingers: true,
    bounds: true,
    receive_bytes: 32_768,
    send_bytes: 32_768,
};

/// A NAS with 2 GB, as it comes.
fn nas() -> Readings {
    Readings {
        somaxconn: Some(4096),
        rmem_max: Some(212_992),
        wmem_max: Some(212_992),
        tcp_rmem: Some([4096, 131_072, 6_291_456]),
        tcp_wmem: Some([4096, 16_384, 4_194_304]),
        tcp_mem: Some([22_890, 30_520, 45_780]),
        tcp_max_orphans: Some(8192),
        tcp_fin_timeout: Some(60),
        tcp_max_tw_buckets: Some(16_384),
        tcp_abort_on_overflow: Some(0),
        file_max: Some(i64::MAX.try_into().unwrap()),
        files_taken: Some(2400),
        nr_open: Some(1_048_576),
        open_files: Some((1024, 524_288)),
        may_raise: Some(false),
        memory_bytes: Some(1992 * MIB),
        available_bytes: Some(1500 * MIB),
        group: Some(Group {
            counts_sockets: true,
            ..Group::default()
        }),
        page_bytes: Some(4096),
        landlock: Some(Answer::Abi(7)),
        probe: Some(PROBE),
    }
}

/// A router with 64 MB, of which the firmware leaves 26.
fn router() -> Readings {
    Readings {
        rmem_max: Some(163_840),
        wmem_max: Some(163_840),
        tcp_mem: Some([636, 850, 1272]),
        tcp_max_orphans: Some(256),
        tcp_max_tw_buckets: Some(256),
        file_max: Some(5700),
        files_taken: Some(480),
        open_files: Some((1024, 4096)),
        memory_bytes: Some(57 * MIB),
        available_bytes: Some(26 * MIB),
        group: None,
        ..nas()
    }
}

/// A container of 16 MiB with a network of its own, on a large host.
fn container() -> Readings {
    Readings {
        rmem_max: None,
        wmem_max: None,
        tcp_mem: None,
        tcp_max_orphans: None,
        memory_bytes: Some(64 << 30),
        available_bytes: Some(40 << 30),
        group: Some(Group {
            max_bytes: Some(16 * MIB),
            high_bytes: None,
            counts_sockets: true,
        }),
        open_files: Some((1_048_576, 1_048_576)),
        ..nas()
    }
}

fn desktop() -> Readings {
    Readings {
        tcp_mem: Some([287_898, 383_867, 575_796]),
        tcp_max_orphans: Some(131_072),
        tcp_max_tw_buckets: Some(131_072),
        memory_bytes: Some(32 << 30),
        available_bytes: Some(20 << 30),
        ..nas()
    }
}

#[test]
fn a_nas_and_a_desktop_are_fine_as_they_come_but_for_long_paths() {
    for readings in [nas(), desktop()] {
        for teardown in [Teardown::Linger, Teardown::Plain, Teardown::SoLinger] {
            let report = judged(&[], teardown, &readings);
            let capped = ["net.core.rmem_max", "net.core.wmem_max"];
            assert_eq!(at_least(&report, Severity::Unknown), capped);
            assert_eq!(report.count(Severity::Note), 2, "of long paths");
            assert_eq!(report.code(), 0);
        }
    }
}

#[test]
fn a_small_router_is_told_to_take_less_and_to_let_tcp_have_it() {
    let report = judged(&[], Teardown::Linger, &router());
    assert_eq!(
        at_least(&report, Severity::Warn),
        ["memory", "net.ipv4.tcp_mem"],
        "{report}"
    );
    assert_eq!(report.code(), Report::BAD);
    let total = "memory.total=19MiB";
    assert_eq!(
        found(&report, "memory").cures,
        [Cure::Key(total.to_owned())]
    );
    // It must not let TCP have what is not there.
    let first = found(&report, "net.ipv4.tcp_mem").cures.clone();
    assert!(matches!(first[..], [Cure::Other(_)]), "{first:?}");
    // Who does as he is told, step by step, comes to an end.
    let report = judged(&[total], Teardown::Linger, &router());
    assert_eq!(
        at_least(&report, Severity::Warn),
        ["net.ipv4.tcp_mem"],
        "{report}"
    );
    let [Cure::Sysctl(line)] = &found(&report, "net.ipv4.tcp_mem").cures[..] else {
        panic!("{report}");
    };
    let numbers = line.strip_prefix("net.ipv4.tcp_mem = ").unwrap();
    let numbers: Vec<u64> = numbers.split(' ').map(|n| n.parse().unwrap()).collect();
    let cured = Readings {
        tcp_mem: numbers.try_into().ok(),
        ..router()
    };
    let report = judged(&[total], Teardown::Linger, &cured);
    assert_eq!((report.code(), report.count(Severity::Bad)), (0, 0));
    assert_eq!(
        at_least(&report, Severity::Note),
        [
            "net.core.rmem_max",
            "net.core.wmem_max",
            "net.ipv4.tcp_max_tw_buckets"
        ]
    );
}

#[test]
fn a_container_is_held_to_its_limit_and_what_it_hides_is_no_failure() {
    let report = judged(&[], Teardown::Linger, &container());
    assert_eq!(at_least(&report, Severity::Warn), ["memory of its group"]);
    assert_eq!(report.code(), Report::BAD);
    assert_eq!(report.count(Severity::Unknown), 2, "{report}");
    let cures = &found(&report, "memory of its group").cures;
    assert_eq!(cures[0], Cure::Key("memory.total=12MiB".to_owned()));
    let report = judged(&["memory.total=12MiB"], Teardown::Linger, &container());
    assert_eq!(report.code(), 0, "{report}");
    // The caps are hidden, but a socket felt them.
    let cut = Readings {
        probe: Some(Probe {
            send_bytes: 9216,
            receive_bytes: 4608,
            ..PROBE
        }),
        ..container()
    };
    let report = judged(&["memory.total=12MiB"], Teardown::Linger, &cut);
    assert_eq!(
        at_least(&report, Severity::Warn),
        ["net.core.rmem_max", "net.core.wmem_max"]
    );
    assert_eq!(found(&report, "net.core.wmem_max").value, "4608");
    assert_eq!(report.code(), Report::WARN);
}

#[test]
fn of_version_1_the_queues_of_tcp_do_not_count() {
    let with = |max_bytes: u64| {
        let group = Some(Group {
            max_bytes: Some(max_bytes),
            ..Group::default()
        });
        let readings = Readings { group, ..nas() };
        let report = judged(&[], Teardown::Linger, &readings);
        found(&report, "memory of its group").severity
    };
    let plan = setup(&[]).plan.sum_bytes;
    let queues = crate::config::plan::queues_bytes(&setup(&[]).config);
    assert_eq!(with(plan - queues), Severity::Fine);
    assert_eq!(with(plan - queues - 1), Severity::Bad);
}

#[test]
fn who_serves_unix_sockets_alone_needs_nothing_of_tcp() {
    let nothing = Readings {
        tcp_rmem: Some([1, u64::MAX, 1]),
        tcp_wmem: Some([1, 1, 1]),
        tcp_mem: Some([0, 0, 0]),
        tcp_max_orphans: Some(0),
        tcp_fin_timeout: Some(0),
        tcp_max_tw_buckets: Some(0),
        tcp_abort_on_overflow: Some(1),
        ..nas()
    };
    let unix = ["listen.address=unix:/run/adieu.sock"];
    let report = judged(&unix, Teardown::Plain, &nothing);
    assert_eq!(at_least(&report, Severity::Note), Vec::<&str>::new());
    // Its queue is capped as any other.
    let short = Readings {
        somaxconn: Some(8),
        ..nothing
    };
    let report = judged(&unix, Teardown::Plain, &short);
    assert_eq!(at_least(&report, Severity::Note), ["net.core.somaxconn"]);
}

#[test]
fn scripts_are_named_beside_the_plan() {
    let scripts = "site.scripts=/cgi-bin";
    let memory = |keys: &[&str], readings: Readings| {
        let report = judged(keys, Teardown::Linger, &readings);
        let finding = found(&report, "memory").clone();
        (finding.severity, finding.why)
    };
    assert_eq!(memory(&[scripts], nas()).0, Severity::Fine);
    let (severity, why) = memory(&[scripts, "memory.total=22MiB"], router());
    assert_eq!(severity, Severity::Note);
    assert!(
        why.ends_with("; beside it 3 scripts run, each in up to 256 MiB."),
        "{why}"
    );
    let (severity, why) = memory(&[scripts, "script.memory_bytes=0"], nas());
    assert_eq!(severity, Severity::Note);
    assert!(
        why.ends_with("; beside it 4 scripts run without a bound."),
        "{why}"
    );
}

/// A system that has this number everywhere.
fn everywhere(n: u64) -> Readings {
    Readings {
        somaxconn: Some(n),
        rmem_max: Some(n),
        wmem_max: Some(n),
        tcp_rmem: Some([n; 3]),
        tcp_wmem: Some([n; 3]),
        tcp_mem: Some([n; 3]),
        tcp_max_orphans: Some(n),
        tcp_fin_timeout: Some(n),
        tcp_max_tw_buckets: Some(n),
        tcp_abort_on_overflow: Some(n),
        file_max: Some(n),
        files_taken: Some(u64::MAX - n),
        nr_open: Some(n),
        open_files: Some((n, n)),
        may_raise: Some(false),
        memory_bytes: Some(n),
        available_bytes: Some(n),
        group: Some(Group {
            max_bytes: Some(n),
            high_bytes: Some(n),
            counts_sockets: false,
        }),
        page_bytes: Some(n.max(1)),
        landlock: Some(Answer::Abi(u32::try_from(n).unwrap_or(u32::MAX))),
        probe: Some(PROBE),
    }
}

// ---- each check -------------------------------------------------------------------------------

/// A change of the NAS, what a check then says, a word of the reason, and the first cure.
type Row = (
    &'static str,
    fn(&mut Readings),
    Severity,
    &'static str,
    &'static str,
);

fn cured(finding: &Finding) -> Vec<String> {
    let line = |cure: &Cure| match cure {
        Cure::Sysctl(line) | Cure::Key(line) | Cure::Other(line) => line.clone(),
    };
    finding.cures.iter().map(line).collect()
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("open files", |r| r.open_files = Some((64, 100)), Severity::Bad,
        "it will not start", "ulimit -n 340 where it is started, or LimitNOFILE=340 in its unit"),
    ("open files", |r| r.open_files = Some((64, 340)), Severity::Fine, "raises the soft limit", ""),
    ("open files", |r| (r.open_files, r.may_raise) = (Some((64, 100)), Some(true)), Severity::Note,
        "raises the hard limit", ""),
    ("open files", |r| (r.open_files, r.may_raise) = (Some((64, 100)), None), Severity::Bad,
        "memory.connections=128 needs 340", "ulimit -n 340 where"),
    ("fs.nr_open", |r| (r.nr_open, r.open_files) = (Some(274), Some((64, 274))), Severity::Bad,
        "no start", "fs.nr_open = 340"),
    ("fs.nr_open", |r| r.nr_open = Some(100), Severity::Note, "from before", ""),
    ("fs.file-max", |r| r.file_max = Some(274), Severity::Bad,
        "alone needs 340", "fs.file-max = 5480"),
    ("fs.file-max", |r| r.file_max = Some(2600), Severity::Warn, "340", "fs.file-max = 5480"),
    ("memory", |r| r.memory_bytes = Some(16 * MIB), Severity::Bad,
        "ends processes", "memory.total=1125MiB"),
    ("memory", |r| (r.memory_bytes, r.available_bytes) = (Some(16 * MIB), None), Severity::Bad,
        "more than there is", "memory.total=12MiB"),
    ("memory", |r| r.available_bytes = Some(20 * MIB), Severity::Warn,
        "available now", "memory.total=15MiB"),
    ("memory", |r| r.available_bytes = Some(5 * MIB), Severity::Warn,
        "available now", "lower memory.backlog and memory.connections"),
    ("memory of its group", |r| r.group = Some(Group { max_bytes: Some(8 * MIB),
        high_bytes: Some(4 * MIB), counts_sockets: true }), Severity::Bad,
        "ends it", "memory.total=6MiB"),
    ("memory of its group", |r| r.group = Some(Group { max_bytes: Some(64 * MIB),
        high_bytes: Some(16 * MIB), counts_sockets: true }), Severity::Warn,
        "slows", "memory.total=12MiB"),
    ("net.ipv4.tcp_mem", |r| r.tcp_mem = Some([5000, 8965, 9000]), Severity::Warn,
        "hold 8966 pages of 4096", "net.ipv4.tcp_mem = 6725 8966 13449"),
    ("net.ipv4.tcp_mem", |r| r.tcp_mem = Some([5000, 6000, 8965]), Severity::Bad,
        "get stuck", "net.ipv4.tcp_mem = 6725 8966 13449"),
    ("net.ipv4.tcp_mem", |r| (r.tcp_mem, r.page_bytes) = (Some([400, 460, 1000]), Some(65_536)),
        Severity::Warn, "hold 561 pages of 65536", "net.ipv4.tcp_mem = 421 561 1000"),
    ("net.ipv4.tcp_rmem", |r| r.tcp_rmem = Some([4096, 1_048_576, 6_291_456]), Severity::Warn,
        "15 MiB more", "net.ipv4.tcp_rmem = 4096 131072 6291456"),
    ("net.ipv4.tcp_rmem", |r| r.tcp_rmem = Some([256, 87_380, 6_291_456]), Severity::Warn,
        "may receive when memory is short", "net.ipv4.tcp_rmem = 4096 87380 6291456"),
    ("net.ipv4.tcp_wmem", |r| r.tcp_wmem = Some([1, 2, 3]), Severity::Warn,
        "may send when memory is short", "net.ipv4.tcp_wmem = 4096 4096 4096"),
    ("net.core.rmem_max", |r| r.rmem_max = Some(8192), Severity::Warn,
        "memory.receive_bytes=16384", "net.core.rmem_max = 16384"),
    ("net.core.wmem_max", |r| r.wmem_max = Some(2304), Severity::Warn,
        "memory.send_bytes=16384", "net.core.wmem_max = 16384"),
    ("net.core.rmem_max", |r| r.rmem_max = Some(212_992), Severity::Note,
        "memory.large_bytes=524288", "net.core.rmem_max = 524288"),
    ("net.core.wmem_max", |r| r.wmem_max = Some(524_287), Severity::Note,
        "memory.large_bytes=524288", "net.core.wmem_max = 524288"),
    ("net.core.wmem_max", |r| r.wmem_max = Some(524_288), Severity::Fine, "is not cut", ""),
    ("net.core.somaxconn", |r| r.somaxconn = Some(15), Severity::Warn,
        "memory.backlog=16", "net.core.somaxconn = 16"),
    ("net.ipv4.tcp_abort_on_overflow", |r| r.tcp_abort_on_overflow = Some(1), Severity::Warn,
        "is reset", "net.ipv4.tcp_abort_on_overflow = 0"),
    ("net.ipv4.tcp_fin_timeout", |r| r.tcp_fin_timeout = Some(4), Severity::Note,
        "linger.kernel_fin_wait_s=5", ""),
    ("net.ipv4.tcp_max_tw_buckets", |r| r.tcp_max_tw_buckets = Some(639), Severity::Note,
        "8320 closed", ""),
    ("net.ipv4.tcp_max_tw_buckets", |r| r.tcp_max_tw_buckets = Some(127), Severity::Warn,
        "TIME-WAIT", "net.ipv4.tcp_max_tw_buckets = 8320"),
    ("sandbox", |r| r.landlock = Some(Answer::Abi(5)), Severity::Note, "signals (Linux 6.12)", ""),
    ("sandbox", |r| r.landlock = Some(Answer::Abi(1)), Severity::Note, "TCP (Linux 6.7)", ""),
    ("sandbox", |r| r.landlock = Some(Answer::Off), Severity::Note, "takes landlock in lsm=", ""),
    ("sandbox", |r| r.landlock = Some(Answer::None), Severity::Note, "a kernel from 5.13", ""),
    ("sandbox", |r| r.landlock = Some(Answer::Forbidden(1)), Severity::Note, "a container", ""),
    ("sandbox", |r| r.landlock = Some(Answer::NotBuilt), Severity::Note, "the feature", ""),
    ("goodbye", |r| r.probe = Some(Probe { discards: false, counts: false, ..PROBE }),
        Severity::Bad, "lacks MSG_TRUNC (what is not read", "run it on a kernel of Linux itself"),
    ("goodbye", |r| r.probe = Some(Probe { lingers: false, ..PROBE }), Severity::Warn,
        "TCP_LINGER2", "net.ipv4.tcp_fin_timeout = 5"),
    ("goodbye", |r| r.probe = Some(Probe { bounds: false, ..PROBE }), Severity::Fine, "did", ""),
];

#[test]
fn each_check_says_what_is_wrong_why_and_what_helps() {
    for (name, change, severity, why, cure) in ROWS {
        let mut readings = nas();
        change(&mut readings);
        let report = judged(&[], Teardown::Linger, &readings);
        let finding = found(&report, name);
        assert_eq!(finding.severity, *severity, "{name}: {finding:?}");
        assert!(finding.why.contains(why), "{name}: {finding:?}");
        let cures = cured(finding);
        let first = cures.first().map_or("", String::as_str);
        assert!(first.starts_with(cure), "{name}: {finding:?}");
        assert!(!cure.is_empty() || cures.is_empty(), "{name}: {finding:?}");
    }
}

#[test]
fn what_the_sandbox_lacks_matters_to_who_requires_it() {
    for (keys, answer, severity) in [
        (
            &["service.sandbox=require"][..],
            Answer::None,
            Severity::Bad,
        ),
        (&["service.sandbox=require"], Answer::Abi(1), Severity::Note),
        (
            &["service.sandbox=require", "site.uploads=/inbox 1MiB"],
            Answer::Abi(1),
            Severity::Bad,
        ),
        (&["service.sandbox=off"], Answer::None, Severity::Fine),
    ] {
        let readings = Readings {
            landlock: Some(answer),
            ..nas()
        };
        let report = judged(keys, Teardown::Linger, &readings);
        assert_eq!(
            found(&report, "sandbox").severity,
            severity,
            "{keys:?} {answer:?}"
        );
    }
}

#[test]
fn no_check_is_without_a_system_for_which_it_is_not_fine() {
    for check in CHECKS {
        let rows = ROWS.iter().filter(|row| row.2 != Severity::Fine);
        let mut names = rows.map(|row| row.0).chain(["net.ipv4.tcp_max_orphans"]);
        assert!(names.any(|name| name == check.name), "{}", check.name);
    }
}

#[test]
fn what_is_worse_than_a_note_has_a_cure() {
    for n in [0, 1, 20, 4096, 1 << 20, u64::MAX] {
        for teardown in [Teardown::Linger, Teardown::Plain, Teardown::SoLinger] {
            let report = judged(&["site.scripts=/cgi-bin"], teardown, &everywhere(n));
            for (name, finding) in &report.findings {
                let worse = finding.severity > Severity::Note;
                assert_eq!(worse, !finding.cures.is_empty(), "{name}: {finding:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_unknown_and_no_failure() {
    for teardown in [Teardown::Linger, Teardown::Plain, Teardown::SoLinger] {
        let report = judged(&[], teardown, &Readings::default());
        assert_eq!(report.count(Severity::Unknown), CHECKS.len(), "{report}");
        assert_eq!(report.code(), 0);
    }
}

#[test]
fn orphans_matter_to_who_leaves_some() {
    let of = |teardown, most| {
        let readings = Readings {
            tcp_max_orphans: Some(most),
            ..nas()
        };
        let report = judged(&[], teardown, &readings);
        found(&report, "net.ipv4.tcp_max_orphans").clone()
    };
    for teardown in [Teardown::Linger, Teardown::SoLinger] {
        assert_eq!(of(teardown, 0).severity, Severity::Fine);
    }
    assert_eq!(of(Teardown::Plain, 3840).severity, Severity::Fine);
    let some = of(Teardown::Plain, 3839);
    assert_eq!(some.severity, Severity::Warn);
    assert!(some.why.contains("3840 orphans of 83 KiB"), "{some:?}");
    assert_eq!(of(Teardown::Plain, 128).severity, Severity::Warn);
    let few = of(Teardown::Plain, 127);
    assert_eq!(few.severity, Severity::Bad);
    assert_eq!(cured(&few)[0], "net.ipv4.tcp_max_orphans = 3840");
}

#[test]
fn orphans_are_in_the_queues_of_who_leaves_them() {
    let readings = Readings {
        tcp_mem: Some([6725, 8966, 13_449]),
        ..nas()
    };
    let of = |teardown| {
        let report = judged(&[], teardown, &readings);
        found(&report, "net.ipv4.tcp_mem").severity
    };
    assert_eq!(of(Teardown::Linger), Severity::Fine);
    assert_eq!(of(Teardown::Plain), Severity::Warn);
}

#[test]
fn each_flavour_needs_what_it_uses() {
    let of = |teardown, probe| {
        let readings = Readings {
            probe: Some(probe),
            ..nas()
        };
        let report = judged(&[], teardown, &readings);
        found(&report, "goodbye").severity
    };
    let (no_discards, no_counts, no_bounds) = (
        Probe {
            discards: false,
            ..PROBE
        },
        Probe {
            counts: false,
            ..PROBE
        },
        Probe {
            bounds: false,
            ..PROBE
        },
    );
    let (fine, bad) = (Severity::Fine, Severity::Bad);
    for (teardown, expected) in [
        (Teardown::Linger, [bad, bad, fine]),
        (Teardown::Plain, [fine, fine, bad]),
        (Teardown::SoLinger, [fine, bad, fine]),
    ] {
        let found = [no_discards, no_counts, no_bounds].map(|probe| of(teardown, probe));
        assert_eq!(found, expected, "{teardown:?}");
    }
}

// ---- the text ---------------------------------------------------------------------------------

#[test]
fn the_text_fits_a_serial_console_and_ends_with_the_worst() {
    for readings in [Readings::default(), nas(), router(), container()] {
        for keys in [
            &[][..],
            &["memory.connections=65000", "memory.send_bytes=8MiB"],
        ] {
            let mut report = judged(keys, Teardown::Plain, &readings);
            report.about = "memory.connections=128, 33 MiB at worst, build linger".to_owned();
            let text = report.to_string();
            let severities: Vec<Severity> =
                report.findings.iter().map(|(_, f)| f.severity).collect();
            assert!(severities.is_sorted());
            for line in text.lines() {
                assert!(line.chars().count() <= 80 && line.is_ascii(), "{line}");
                assert_eq!(line.trim_end(), line);
            }
            let marks = text.lines().filter(|line| !line.starts_with(' ')).count();
            assert_eq!(marks, CHECKS.len() + 2, "{text}");
        }
    }
}

#[test]
fn the_text_has_mark_name_value_reason_and_cures() {
    let readings = Readings {
        somaxconn: Some(8),
        rmem_max: Some(524_288),
        wmem_max: Some(524_288),
        ..nas()
    };
    let mut report = judged(&[], Teardown::Linger, &readings);
    report.about = "memory.connections=128, 33 MiB at worst, build linger".to_owned();
    let text = report.to_string();
    let expected = "\
warn  net.core.somaxconn: 8
      The kernel cuts memory.backlog=16 to it: of many who come at once more
      must knock again, a second later.
      do: /etc/sysctl.conf: net.core.somaxconn = 16
      or: --set memory.backlog=8
doctor: 16 fine, 1 warn
for: memory.connections=128, 33 MiB at worst, build linger
";
    assert!(text.ends_with(expected), "{text}");
    assert!(
        text.starts_with("fine  open files: 1024, hard 524288\n"),
        "{text}"
    );
}

#[test]
fn marks_names_and_codes_are_told_apart() {
    for severity in Severity::ALL {
        assert!(severity.mark().len() <= 4);
    }
    assert!(Severity::ALL.is_sorted());
    for check in CHECKS {
        assert!(check.name.len() <= 32);
        let same = CHECKS.iter().filter(|other| other.name == check.name);
        assert_eq!(same.count(), 1);
    }
    for code in [Report::WARN, Report::BAD] {
        use crate::config::StartError as Error;
        let others = [0, Error::RUNTIME, Error::USAGE, Error::CONFIGURATION];
        assert!(!others.contains(&code));
    }
}

#[test]
fn the_largest_of_everything_does_not_overflow() {
    let keys = [
        "memory.connections=65000",
        "memory.backlog=4096",
        "memory.receive_bytes=8MiB",
        "memory.send_bytes=8MiB",
        "linger.kernel_fin_wait_s=60",
        "timeout.orphan_ms=1h",
        "site.scripts=/cgi-bin",
        "script.memory_bytes=1024GiB",
    ];
    for n in [0, 1, u64::MAX] {
        let readings = everywhere(n);
        for teardown in [Teardown::Linger, Teardown::Plain, Teardown::SoLinger] {
            assert!(!judged(&keys, teardown, &readings).to_string().is_empty());
            assert!(!judged(&[], teardown, &readings).to_string().is_empty());
        }
    }
}
