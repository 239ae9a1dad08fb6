//! `-c FILE`: what the program makes of a file, of none, and of what is no file at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::config::file;
use common::root::Root;
use common::server::Server;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_adieu");

/// Runs adieu in this directory, to its end.
fn run(directory: &Path, arguments: &[&str]) -> Output {
    // The default site, for a test of the configuration opens it.
    fs::create_dir_all(directory.join("conf/www")).unwrap();
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::null()).output().expect("it runs")
}

/// A directory with this configuration in it, and what it says beside `-t`.
fn tested(text: &str, arguments: &[&str]) -> (i32, String, String) {
    let room = Root::new();
    fs::write(room.path().join("a.toml"), text).unwrap();
    let output = run(room.path(), &[&["-t", "-c", "a.toml"], arguments].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// This build cannot: said, and the test is over.
fn cannot() -> bool {
    if !file::BUILT {
        println!("SKIP: this build reads no configuration file");
    }
    !file::BUILT
}

#[test]
fn a_build_without_it_says_so() {
    if file::BUILT {
        println!("SKIP: this build reads configuration files");
        return;
    }
    let (code, out, err) = tested("", &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "adieu: error: -c: this build reads no configuration file; use --set KEY=VALUE, or build \
         adieu with the feature config-file\n"
    );
}

#[test]
fn the_test_says_which_file_it_read_and_what_it_came_to() {
    if cannot() {
        return;
    }
    let text = "[linger]\nidle_ms = \"1s\"\n[site]\nfields = ['/ X-A: 1', '/ X-B: 2']\n\
                [sites.cam]\nhosts = ['cam.lan']\n";
    let (code, out, err) = tested(
        text,
        &[
            "--set",
            "linger.total_ms=9s",
            "--set",
            "sites.cam.symlinks=none",
        ],
    );
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "Effective configuration, from a.toml and the command line:",
        "  linger.idle_ms = 1000",
        "  linger.total_ms = 9000",
        "  site.fields = / X-A: 1",
        "  site.fields = / X-B: 2",
        "  sites.cam.hosts = cam.lan",
        "  sites.cam.symlinks = none",
    ] {
        assert!(out.lines().any(|l| l == line), "{line}\n{out}");
    }
}

#[test]
fn the_command_line_goes_before_the_file_wherever_it_stands() {
    if cannot() {
        return;
    }
    let room = Root::new();
    let text = "[listen]\naddress = ['81', '82']\n[site]\nroot = 'a'\n[log]\nlevel = 'error'\n";
    fs::write(room.path().join("a.toml"), text).unwrap();
    fs::create_dir(room.path().join("b")).unwrap();
    for arguments in [
        ["-t", "-p", "83", "-d", "b", "-v", "-c", "a.toml"],
        ["-c", "a.toml", "-t", "-p", "83", "-d", "b", "-v"],
        ["-v", "-t", "-p", "83", "--config", "a.toml", "-d", "b"],
    ] {
        let output = run(room.path(), &arguments);
        let out = String::from_utf8(output.stdout).unwrap();
        for line in [
            "  listen.address = 0.0.0.0:83",
            "  site.root = b",
            "  log.level = debug",
        ] {
            assert!(out.lines().any(|l| l == line), "{line}\n{out}");
        }
    }
}

#[test]
fn faults_name_file_and_line_and_end_with_78() {
    if cannot() {
        return;
    }
    for (text, line) in [
        (
            "[linger]\n\nidel_ms = 5\n",
            "a.toml:3: there is no key linger.idel_ms; did you mean linger.idle_ms? adieu --help \
             lists the keys",
        ),
        (
            "[linger]\nidle_ms = \"31s\"\n",
            "a.toml:2: linger.idle_ms must not exceed linger.total_ms; lower the first or raise \
             the second",
        ),
        (
            "[site]\nroot = \"a\" \u{1}\n",
            "a.toml:2: site.root: unexpected key or value: the end of the line or # is expected; \
             write [section], and beneath it key = \"text\", key = 5, key = true or key = \
             [\"one\", \"two\"]",
        ),
    ] {
        let (code, out, err) = tested(text, &[]);
        assert_eq!((code, out.as_str()), (78, ""), "{err}");
        assert_eq!(err, format!("adieu: error: {line}\n"));
    }
}

#[test]
fn what_cannot_be_opened_later_names_its_line_too() {
    if cannot() {
        return;
    }
    let room = Root::new();
    let text = "[listen]\naddress = ['127.0.0.1:0']\n[site]\nroot = 'nowhere'\n";
    fs::write(room.path().join("a.toml"), text).unwrap();
    let output = run(room.path(), &["-c", "a.toml"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    let start = "adieu: error: a.toml:4: site.root: cannot serve nowhere: ";
    assert!(err.starts_with(start), "{err}");
}

#[test]
fn the_key_of_a_part_that_this_build_lacks_is_named_with_its_line() {
    if cannot() {
        return;
    }
    for (feature, lines) in [
        ("auth", "auth = ['/ * /etc/adieu/users R']"),
        ("cgi", "scripts = ['/cgi-bin']"),
        ("upload", "uploads = ['/in 1MiB']"),
        ("listing", "listing = true"),
    ] {
        for (section, above) in [("site", ""), ("sites.cam", "hosts = ['cam.lan']\n")] {
            let text = format!("[{section}]\n{above}{lines}\n");
            let line = text.lines().count();
            let (code, _, err) = tested(&text, &[]);
            if !adieu::cli::version("").contains(feature) {
                let key = lines.split(' ').next().unwrap();
                let head = format!("adieu: error: a.toml:{line}: {section}.{key}: this build ");
                assert!(err.starts_with(&head), "{head:?} {err}");
                let cure = format!("; build adieu with the feature {feature}, or ");
                assert!(err.contains(&cure), "{err}");
                assert_eq!((code, err.lines().count()), (78, 1), "{err}");
            }
            assert_eq!(code == 0, err.is_empty(), "{err}");
        }
    }
}

#[test]
fn what_is_no_file_to_read_is_said() {
    if cannot() {
        return;
    }
    let room = Root::new();
    let inside = |name: &str| room.path().join(name);
    fs::create_dir(inside("directory")).unwrap();
    fs::write(inside("long"), "#".repeat(256 * 1024 + 1)).unwrap();
    fs::write(inside("most"), "#".repeat(256 * 1024)).unwrap();
    fs::write(inside("latin"), b"# one\n[site]\nroot = \"\xe4\"\n").unwrap();
    let made = Command::new("mkfifo").arg(inside("pipe")).status();
    assert!(made.expect("mkfifo(1)").success());
    let name = "name a file, such as adieu.toml";
    for (file, line) in [
        (
            "missing",
            "missing: cannot read it: No such file or directory (os error 2); name a file that \
             this user may read",
        ),
        (
            "directory",
            &format!("directory: it is no regular file; {name}"),
        ),
        ("pipe", &format!("pipe: it is no regular file; {name}")),
        (
            "/dev/zero",
            &format!("/dev/zero: it is no regular file; {name}"),
        ),
        (
            "long",
            "long: it is longer than 262144 bytes; name a configuration file; comments can be \
             shortened",
        ),
        (
            "latin",
            "latin:3: a byte that is no UTF-8; write the file in UTF-8",
        ),
    ] {
        let output = run(room.path(), &["-t", "-c", file]);
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(err, format!("adieu: error: {line}\n"));
        assert_eq!(output.status.code(), Some(78), "{err}");
    }
    assert!(run(room.path(), &["-t", "-c", "most"]).status.success());
    let twice = run(room.path(), &["-c", "most", "-c", "most"]);
    assert_eq!(twice.status.code(), Some(2));
    let err = String::from_utf8(twice.stderr).unwrap();
    assert_eq!(
        err,
        "adieu: error: -c: a configuration file is named twice; name one\n"
    );
}

#[test]
fn without_a_flag_no_file_is_read() {
    let room = Root::new();
    fs::write(room.path().join("adieu.toml"), "nonsense").unwrap();
    let output = run(room.path(), &["-t"]);
    assert_eq!(output.status.code(), Some(0));
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("\nEffective configuration:\n"), "{out}");
}

#[test]
fn the_annotated_file_is_accepted_as_it_lies_there() {
    if cannot() {
        return;
    }
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = run(project, &["-c", "conf/adieu.toml", "-t"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // It is exactly the defaults: the head line alone tells the two apart.
    let text = |output: Output| {
        let text = String::from_utf8(output.stdout).unwrap();
        text.replace(", from conf/adieu.toml and the command line:", ":")
    };
    assert_eq!(text(output), text(run(project, &["-t"])));
}

#[test]
fn a_server_serves_what_its_file_says() {
    if cannot() {
        return;
    }
    let root = Root::new();
    let text = format!(
        "[listen]\naddress = [\"127.0.0.1:0\"]\n[site]\nroot = \"{}\"\n",
        root.path().display()
    );
    let file = root.path().join("a.toml");
    fs::write(&file, text).unwrap();
    let mut command = Command::new(BINARY);
    command.arg("-c").arg(&file);
    let server = Server::run(command);
    assert!(server.address.is_some());
    assert!(server.stop().status.success());
}
