//! `adieu doctor`: the real program on this system, in namespaces of its own, and with limits that
//! are too low; and conf/sysctl.conf, whose values are judged as if they were in force.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::config::{Draft, Setup};
use adieu::connection::state::Teardown;
use adieu::doctor::{BUILT, CHECKS, Case, Readings, Report, Severity, judge};
use adieu::reactor::sizes;
use common::child::{Run, adieu, after, as_other, refused, run};
use common::namespace::is_alone;
use common::place::Place;
use common::skip;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What it said of a check.
#[derive(Debug)]
struct Said {
    mark: String,
    value: String,
    /// The lines beneath: the reason and the cures.
    rest: String,
}

/// What a run said of all of them.
fn said(run: &Run) -> BTreeMap<String, Said> {
    assert_eq!(run.err, "", "{run:?}");
    let mut all: BTreeMap<String, Said> = BTreeMap::new();
    let mut last = String::new();
    let mut lines = run.out.lines();
    for line in lines.by_ref() {
        if line.starts_with("doctor: ") {
            break;
        }
        if let Some(more) = line.strip_prefix("      ") {
            let said = all.get_mut(&last).expect("a check before it");
            said.rest += more;
            said.rest.push('\n');
            continue;
        }
        let (mark, rest) = line.split_at(6);
        let (name, value) = rest.split_once(": ").expect("a value");
        last = name.to_owned();
        let said = Said {
            mark: mark.trim_end().to_owned(),
            value: value.to_owned(),
            rest: String::new(),
        };
        assert!(all.insert(last.clone(), said).is_none(), "{name} twice");
    }
    assert_eq!(all.len(), CHECKS.len(), "{run:?}");
    // The summary and the exit code are what the lines say.
    let has = |mark: &str| all.values().any(|said| said.mark == mark);
    let code = match (has("bad"), has("warn")) {
        (true, _) => Report::BAD,
        (false, true) => Report::WARN,
        (false, false) => 0,
    };
    assert_eq!(run.code, i32::from(code), "{run:?}");
    all
}

fn doctor(arguments: &[&str]) -> BTreeMap<String, Said> {
    said(&run(command(arguments)))
}

fn command(arguments: &[&str]) -> Command {
    adieu(&[&["doctor"], arguments].concat())
}

/// This build has one; else says so, for the test of this name.
fn is_built(name: &str) -> bool {
    if !BUILT {
        skip(name, "this build has no doctor");
    }
    BUILT
}

#[test]
fn a_build_without_it_says_so() {
    if !BUILT {
        refused(
            command(&[]),
            2,
            "doctor",
            "this build has none",
            "feature doctor",
        );
    }
}

// ---- this system ------------------------------------------------------------------------------

#[test]
fn it_says_what_this_system_has() {
    if !is_built("it_says_what_this_system_has") {
        return;
    }
    let all = doctor(&[]);
    for (name, said) in &all {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let Some(text) = fs::read_to_string(&path)
            .ok()
            .filter(|_| name.contains('.'))
        else {
            continue;
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(said.value.starts_with(&words.join(" ")), "{said:?}");
        assert_ne!(said.mark, "?");
    }
    assert_ne!(all["open files"].mark, "?");
    assert_ne!(all["memory"].mark, "?");
}

#[test]
fn it_judges_for_the_configuration_that_it_is_given() {
    if !is_built("it_judges_for_the_configuration_that_it_is_given") {
        return;
    }
    // What nobody has.
    let keys = [
        "memory.connections=65000",
        "memory.send_bytes=8MiB",
        "memory.receive_bytes=8MiB",
    ];
    let arguments: Vec<&str> = keys.iter().flat_map(|key| ["--set", key]).collect();
    let all = doctor(&arguments);
    let memory = &all["memory"];
    assert_eq!(memory.mark, "bad", "{memory:?}");
    assert!(
        memory.rest.contains("do: --set memory.total="),
        "{memory:?}"
    );
    if !adieu::config::file::BUILT {
        return;
    }
    let place = Place::new();
    place.file(
        "a.toml",
        b"[memory]\nconnections = 65000\nsend_bytes = \"8MiB\"\n",
    );
    let path = place.shown("a.toml");
    let of_file = doctor(&["-c", &path]);
    assert_eq!(of_file["memory"].mark, "bad", "{of_file:?}");
    // The command line goes before it, for doctor, too.
    let run = run(command(&["-c", &path, "--set", "memory.connections=9"]));
    assert!(run.out.contains("for: memory.connections=9, "), "{run:?}");
}

#[test]
fn it_serves_nothing_and_needs_no_site() {
    if !is_built("it_serves_nothing_and_needs_no_site") {
        return;
    }
    let all = doctor(&["-d", "/nowhere/at/all", "-b", "-p", "1"]);
    assert_ne!(all["goodbye"].mark, "bad", "{all:?}");
}

#[test]
fn a_configuration_that_is_wrong_has_its_own_codes() {
    let fails = |arguments: &[&str], code| {
        let run = run(command(arguments));
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{run:?}");
        assert!(run.err.starts_with("adieu: error: "), "{run:?}");
    };
    fails(&["--set", "memory.conections=1"], 2);
    fails(&["--set", "memory.total=1MiB"], 78);
    fails(&["-t"], 2);
    if adieu::config::file::BUILT {
        let place = Place::new();
        fails(&["-c", &place.shown("none.toml")], 78);
        place.file("bad.toml", b"[memory\n");
        fails(&["-c", &place.shown("bad.toml")], 78);
        place.file("raw.toml", b"\xff\xfe\x00");
        fails(&["-c", &place.shown("raw.toml")], 78);
    }
}

// ---- a system that is changed -----------------------------------------------------------------

#[test]
fn a_hard_limit_that_is_too_low_is_bad_for_who_may_not_raise_it() {
    const NAME: &str = "a_hard_limit_that_is_too_low_is_bad_for_who_may_not_raise_it";
    if !is_built(NAME) {
        return;
    }
    let limited = |files: u64| {
        let command = after(&format!("ulimit -n {files}"), &command(&[]));
        as_other(&command).map(|command| said(&run(command)))
    };
    let Some(all) = limited(64) else {
        skip(NAME, "the binary is root's own");
        return;
    };
    let few = &all["open files"];
    assert_eq!(
        (few.mark.as_str(), few.value.as_str()),
        ("bad", "64, hard 64")
    );
    let (_, need) = few.rest.split_once("do: ulimit -n ").unwrap();
    let need: u64 = need.split(' ').next().unwrap().parse().unwrap();
    // Its own cure helps, and one less would not.
    assert_eq!(limited(need).unwrap()["open files"].mark, "fine");
    assert_eq!(limited(need - 1).unwrap()["open files"].mark, "bad");
}

#[test]
fn a_buffer_that_the_kernel_cuts_is_named_with_both_cures() {
    const NAME: &str = "a_buffer_that_the_kernel_cuts_is_named_with_both_cures";
    if !is_built(NAME) {
        return;
    }
    let most = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
        text.trim().parse().ok().filter(|most| *most < 8 << 20)
    };
    for (sysctl, key) in [
        ("rmem_max", "memory.receive_bytes"),
        ("wmem_max", "memory.send_bytes"),
    ] {
        let Some(most) = most(sysctl) else {
            skip(NAME, "this system cuts nothing that adieu may ask for");
            continue;
        };
        let said = |size: u64| {
            let all = doctor(&["--set", &format!("{key}={size}")]);
            let Said { mark, rest, .. } = &all[&format!("net.core.{sysctl}")];
            (mark.clone(), rest.clone())
        };
        assert_eq!(said(most).0, "fine");
        let (mark, rest) = said(most + 1);
        assert_eq!(mark, "warn", "{rest}");
        let first = format!("do: /etc/sysctl.conf: net.core.{sysctl} = {}\n", most + 1);
        let second = format!("or: --set {key}={most}\n");
        assert!(rest.contains(&first) && rest.ends_with(&second), "{rest}");
    }
}

/// Writes a sysctl of this namespace; false where the system refuses.
fn write(name: &str, value: &str) -> bool {
    fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value).is_ok()
}

#[test]
fn sysctls_of_a_namespace_change_what_it_says() {
    const NAME: &str = "sysctls_of_a_namespace_change_what_it_says";
    if !is_built(NAME) || !is_alone(NAME) {
        return;
    }
    let rows = [
        ("net.core.somaxconn", "4", "warn", "net.core.somaxconn = 16"),
        (
            "net.ipv4.tcp_abort_on_overflow",
            "1",
            "warn",
            "net.ipv4.tcp_abort_on_overflow = 0",
        ),
        (
            "net.ipv4.tcp_max_tw_buckets",
            "5",
            "warn",
            "net.ipv4.tcp_max_tw_buckets = 8320",
        ),
        ("net.ipv4.tcp_fin_timeout", "2", "note", ""),
        (
            "net.ipv4.tcp_rmem",
            "4096 1048576 6291456",
            "warn",
            "net.ipv4.tcp_rmem = 4096 131072 6291456",
        ),
        (
            "net.ipv4.tcp_wmem",
            "1024 16384 4194304",
            "warn",
            "net.ipv4.tcp_wmem = 4096 16384 4194304",
        ),
    ];
    let mut tried = 0;
    for (name, value, mark, cure) in rows {
        if !write(name, value) {
            println!("SKIP {NAME}, {name}: it is not this namespace's own");
            continue;
        }
        let run = run(command(&[]));
        let found = &said(&run)[name];
        assert_eq!((found.mark.as_str(), found.value.as_str()), (mark, value));
        if !cure.is_empty() {
            assert!(run.code >= i32::from(Report::WARN), "{run:?}");
            let line = format!("do: /etc/sysctl.conf: {cure}");
            assert!(found.rest.contains(&line), "{found:?}");
            let (name, value) = cure.split_once(" = ").unwrap();
            assert!(write(name, value));
        } else {
            assert!(write(name, "60"));
        }
        assert_eq!(doctor(&[])[name].mark, "fine");
        tried += 1;
    }
    assert!(tried > 0);
}

#[test]
fn without_a_network_it_still_says_the_rest() {
    const NAME: &str = "without_a_network_it_still_says_the_rest";
    if !is_built(NAME) || !is_alone(NAME) {
        return;
    }
    common::namespace::ip(&["link", "set", "lo", "down"]);
    let all = doctor(&[]);
    assert_eq!(all["goodbye"].mark, "?", "{all:?}");
    assert_ne!(all["open files"].mark, "?");
}

// ---- conf/sysctl.conf -------------------------------------------------------------------------

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The lines behind this mark: names and values.
fn lines<'a>(text: &'a str, mark: &str) -> Vec<(&'a str, &'a str)> {
    let all = text.lines().filter_map(|line| line.strip_prefix(mark));
    all.filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_once(" = "))
        .collect()
}

fn setup(keys: &[(&str, &str)]) -> Setup {
    let mut draft = Draft::new();
    for (name, value) in keys {
        draft.set(name, value, name).unwrap();
    }
    draft.finish(&sizes()).unwrap()
}

/// What is found on a system that has these sysctls, pages of 4096 bytes, and nothing else.
fn on(sysctls: &[(&str, &str)], setup: &Setup, teardown: Teardown) -> Report {
    let files: BTreeMap<String, String> = sysctls
        .iter()
        .map(|(name, value)| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            (path, format!("{value}\n"))
        })
        .collect();
    let readings = Readings {
        page_bytes: Some(4096),
        ..Readings::of_files(&|path| files.get(path).cloned())
    };
    judge(&Case {
        config: &setup.config,
        plan: &setup.plan,
        teardown,
        readings: &readings,
    })
}

#[test]
fn the_annotated_sysctls_are_those_that_it_looks_at_and_fine_for_the_defaults() {
    let text = fs::read_to_string(path("conf/sysctl.conf")).unwrap();
    let names: Vec<&str> = CHECKS
        .iter()
        .map(|check| check.name)
        .filter(|name| name.contains('.'))
        .collect();
    let small = [("memory.total", "16MiB")];
    for (mark, keys) in [("#", &[][..]), ("# On 64 MB: ", &small)] {
        let sysctls = lines(&text, mark);
        let mut written: Vec<&str> = sysctls.iter().map(|(name, _)| *name).collect();
        let mut expected = names.clone();
        written.sort_unstable();
        expected.sort_unstable();
        assert_eq!(written, expected, "{mark}");
        for teardown in [Teardown::Linger, Teardown::Plain, Teardown::SoLinger] {
            let report = on(&sysctls, &setup(keys), teardown);
            for (name, finding) in &report.findings {
                let expected = match names.contains(name) {
                    true => Severity::Fine,
                    false => Severity::Unknown,
                };
                assert_eq!(finding.severity, expected, "{mark}{name}: {finding:?}");
            }
        }
    }
    // What it says of the configurations is so.
    let config = setup(&small).config;
    let said = format!(
        "memory.total=16MiB, which is {} connections",
        config.connections
    );
    assert!(text.replace("\n# ", " ").contains(&said), "{said}");
    // Each has a reason above it, and nothing is in force.
    for paragraph in text.split("\n\n") {
        assert!(paragraph.lines().all(|line| line.starts_with('#')));
        let values = lines(paragraph, "#").len();
        let reasons = paragraph
            .lines()
            .filter(|line| line.starts_with("# "))
            .count();
        assert!(values <= 1 && reasons > 1, "{paragraph}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 105, "{line}");
    }
}
