//! A start that is refused: one line with its cure, the exit code, and nothing half-started: no
//! pidfile, no socket file, and a server that was there before goes on as it was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::child::{NOBODY, adieu, as_other, is_root, page_at, refused, run};
use common::place::{Place, permit};
use common::server::Server;
use common::{eventually, skip};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a server makes before it serves, beneath its place.
const MADE: &[&str] = &["run/socket", "run/status", "run/control", "run/pid"];

/// The command for a server that makes all of it, with these further flags.
fn all_of_it(place: &Place, flags: &[&str]) -> Command {
    place.site("www", "good day");
    let at = |name: &str| place.shown(&format!("run/{name}"));
    let mut command = adieu(&["-p", &format!("unix:{}", at("socket"))]);
    command.arg("-d").arg(place.path("www"));
    for key in [
        format!("service.pidfile={}", at("pid")),
        format!("service.control={}", at("control")),
    ] {
        command.args(["--set", &key]);
    }
    if has_status() {
        let key = format!("status.socket={}", at("status"));
        command.args(["--set", &key]);
    }
    command.args(flags);
    command
}

/// This build has a status.
fn has_status() -> bool {
    let version = run(adieu(&["-V"])).out;
    version.split([' ', ',', ';']).any(|word| word == "status")
}

/// A place whose directory `run` everybody may write to.
fn open_place() -> Place {
    let place = Place::new();
    permit(&place.directory("run"), 0o777);
    place
}

/// Nothing of what a server makes is there.
fn is_clean(place: &Place) {
    let left: Vec<_> = fs::read_dir(place.path("run")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_a_server_makes_is_there_while_it_serves() {
    let place = open_place();
    let server = Server::run(all_of_it(&place, &[]));
    for name in MADE {
        let is_made = has_status() || *name != "run/status";
        assert_eq!(place.path(name).exists(), is_made, "{name}");
    }
    drop(server.stop());
}

#[test]
fn a_user_that_does_not_exist_is_named_with_and_without_a_test() {
    let place = open_place();
    let cure = "name one of /etc/passwd and /etc/group, or give numbers: 65534:65534";
    let what = "there is no user nobody-at-all";
    for flags in [&["-u", "nobody-at-all"][..], &["-u", "nobody-at-all", "-t"]] {
        let command = all_of_it(&place, flags);
        refused(command, 78, "service.user", what, cure);
        is_clean(&place);
    }
    let what = "there is no group nobody-at-all";
    for flag in ["-f", "-t"] {
        let owner = "listen.unix_owner=0:nobody-at-all";
        let command = all_of_it(&place, &["--set", owner, flag]);
        refused(command, 78, "listen.unix_owner", what, cure);
        is_clean(&place);
    }
}

#[test]
fn a_port_below_1024_without_the_right_leaves_nothing() {
    const NAME: &str = "a_port_below_1024_without_the_right_leaves_nothing";
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first: u16 = first.map_or(1024, |text| text.trim().parse().unwrap());
    if first < 2 {
        skip(NAME, "every user may have every port here");
        return;
    }
    let place = open_place();
    let listen = "127.0.0.1:1";
    let Some(command) = as_other(&all_of_it(&place, &["-p", listen])) else {
        skip(NAME, "the binary is root's own");
        return;
    };
    let what = "cannot listen: Permission denied";
    let cure = "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with -p";
    refused(command, 78, listen, what, cure);
    is_clean(&place);
}

#[test]
fn a_directory_of_logs_that_may_not_be_written_to_leaves_nothing() {
    const NAME: &str = "a_directory_of_logs_that_may_not_be_written_to_leaves_nothing";
    let place = open_place();
    permit(&place.directory("logs"), 0o555);
    if is_root() {
        place.give("logs", NOBODY);
    }
    let cure = "name a place that the server's user may write to";
    for (key, keys) in [
        ("log.target", &[][..]),
        ("log.access_target", &["--set", "log.access=common"]),
    ] {
        if key == "log.access_target" && !has_access_log() {
            continue;
        }
        let path = place.shown("logs/file");
        let setting = format!("{key}=file:{path}");
        let flags = [&["--set", &setting][..], keys].concat();
        let Some(command) = as_other(&all_of_it(&place, &flags)) else {
            skip(NAME, "the binary is root's own");
            return;
        };
        let what = format!("cannot open file:{path}: Permission denied");
        refused(command, 1, key, &what, cure);
        is_clean(&place);
    }
}

fn has_access_log() -> bool {
    let version = run(adieu(&["-V"])).out;
    version
        .split([' ', ',', ';'])
        .any(|word| word == "access-log")
}

#[test]
fn a_user_that_may_not_write_logs_leaves_nothing_of_what_root_has_made() {
    const NAME: &str = "a_user_that_may_not_write_logs_leaves_nothing_of_what_root_has_made";
    if !is_root() {
        skip(NAME, "becoming another user needs root");
        return;
    }
    // Rights are given up before logs are opened: who has become that user can remove nothing that
    // lies in a directory of root.
    let place = Place::new();
    place.directory("run");
    let setting = format!("log.target=file:{}", place.shown("none"));
    let flags = ["-u", "54321:54321", "--set", &setting];
    let what = format!(
        "cannot open file:{}: Permission denied",
        place.shown("none")
    );
    let cure = "name a place that the server's user may write to";
    for background in ["-f", "-b"] {
        let flags = [&flags[..], &[background]].concat();
        let command = all_of_it(&place, &flags);
        refused(command, 1, "log.target", &what, cure);
        is_clean(&place);
    }
    let server = Server::run(all_of_it(&place, &["-u", "54321:54321"]));
    page(&place.path("run/socket"));
    // Who would have removed its files has ended.
    let children = format!("task/{}/children", server.pid());
    let children = fs::read_to_string(server.proc(&children));
    assert_eq!(children.unwrap_or_default(), "");
    drop(server.stop());
}

fn page(path: &Path) {
    assert!(page_at(path).contains("good day"));
}

#[test]
fn a_second_server_with_the_same_pidfile_is_refused() {
    let place = open_place();
    let first = Server::run(all_of_it(&place, &[]));
    let number = format!("{}\n", first.pid());
    // Everything else is another's.
    let beside = || {
        let root = place.site("www", "good day");
        let mut command = adieu(&["-p", &format!("unix:{}", place.shown("other")), "-d"]);
        command.arg(root);
        let pidfile = format!("service.pidfile={}", place.shown("run/pid"));
        command.args(["--set", &pidfile]);
        command
    };
    let path = place.shown("run/pid");
    let pid = first.pid();
    let what = format!("cannot write {path}: process {pid} serves, and has its number in it");
    let cure = "stop that server first, or name another file";
    refused(beside(), 1, "service.pidfile", &what, cure);
    assert!(!place.path("other").exists());
    assert_eq!(place.text("run/pid").unwrap(), number);
    page(&place.path("run/socket"));
    // Whoever takes over from it is no second one, and is guarded as it was.
    let second = Server::run(all_of_it(&place, &[]));
    first.says("adieu: handed over: ");
    let successor = format!("{}\n", second.pid());
    assert_eq!(place.text("run/pid").unwrap(), successor);
    let pid = second.pid();
    let what = format!("process {pid} serves");
    refused(beside(), 1, "service.pidfile", &what, cure);
    drop(first.wait());
    refused(beside(), 1, "service.pidfile", &what, cure);
    // A crash leaves its number, and that keeps nobody away.
    second.signal("KILL");
    drop(second.wait());
    assert_eq!(place.text("run/pid").unwrap(), successor);
    let third = Server::run(beside());
    assert_eq!(place.text("run/pid").unwrap(), format!("{}\n", third.pid()));
    drop(third.stop());
    eventually("the file is gone", || place.text("run/pid").is_none());
}

#[test]
fn the_number_of_a_process_that_is_no_server_keeps_nobody_away() {
    let place = open_place();
    let own = format!("{}\n", std::process::id());
    place.file("run/pid", own.as_bytes());
    permit(&place.path("run/pid"), 0o666);
    let server = Server::run(all_of_it(&place, &[]));
    assert_eq!(
        place.text("run/pid").unwrap(),
        format!("{}\n", server.pid())
    );
    drop(server.stop());
}
