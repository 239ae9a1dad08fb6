//! The sandbox, on the real program: what the kernel refuses, what goes on inside, and what is said
//! where the kernel lacks it. Where the tests run as root all of it is done once more as another
//! user.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; one filters system calls"
)]

mod common;

use adieu::sys::confine::{self, Answer};
use common::auth::ALICE;
use common::auth::{Users, alice, basic, helpers, status, zombies};
use common::child::{NOBODY, Ours, as_other, by, is_root, refused, signal, told};
use common::place::{Place, permit};
use common::scripts::Site;
use common::server::Server;
use common::uploads::{alone, bare, content, put};
use common::{eventually, skip};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether the kernel has Landlock, of this ABI at least; says so if not.
fn has(name: &str, least: u32) -> bool {
    let answer = confine::ask();
    let has = matches!(answer, Answer::Abi(abi) if abi >= least);
    if !has {
        skip(name, &format!("it takes Landlock ABI {least}: {answer}"));
    }
    has
}

/// The keys of each user that the server can be here: whoever starts it, and another one.
fn users() -> Vec<Vec<String>> {
    let own = vec![];
    match is_root() {
        true => vec![own, vec![format!("service.user={NOBODY}:{NOBODY}")]],
        false => vec![own],
    }
}

/// A server with a configuration file of its own, in a directory of its own.
struct Configured {
    place: Place,
    keys: Vec<String>,
}

impl Configured {
    fn new(keys: &[String]) -> Self {
        let place = Place::new();
        place.site("www", "one");
        place.site("other", "two");
        place.directory("etc");
        for name in ["log", "www/inbox", "www/public", "www/inbox/deep"] {
            place.directory(name);
        }
        // Where the server is another user.
        for name in ["log", "www", "www/inbox", "www/public", "www/inbox/deep"] {
            permit(&place.path(name), 0o777);
        }
        Self {
            place,
            keys: keys.to_vec(),
        }
    }

    /// The file says this; put in its place as editors do.
    fn write(&self, text: &str) {
        self.place.file("etc/draft", text.as_bytes());
        fs::rename(self.place.path("etc/draft"), self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.place.path("etc/adieu.toml")
    }

    fn site(&self, root: &str, more: &str) -> String {
        format!("[site]\nroot = \"{}\"\n{more}", self.place.shown(root))
    }

    fn start(&self, text: &str, keys: &[&str]) -> Server {
        Server::run(self.command(text, keys))
    }

    fn command(&self, text: &str, keys: &[&str]) -> Command {
        self.write(text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
        command.args(["-p", "127.0.0.1:0", "-c"]).arg(self.file());
        for key in self
            .keys
            .iter()
            .map(String::as_str)
            .chain(keys.iter().copied())
        {
            command.args(["--set", key]);
        }
        command
    }

    /// A server that logs elsewhere; what it says on the standard error stands in `err`.
    fn start_aside(&self, text: &str, keys: &[&str]) -> Ours {
        let mut command = self.command(text, keys);
        command.stderr(fs::File::create(self.place.path("err")).unwrap());
        Ours::start(command)
    }

    /// What it says to the `count`th reload, with this in the file.
    fn reload(&self, server: &Server, count: usize, text: &str) -> String {
        self.write(text);
        server.signal("HUP");
        let said = |line: &String| line.contains(" reloaded: ") || line.contains(" not reloaded, ");
        server.line(count, said)
    }
}

fn page(server: &Server, target: &str) -> (u16, String) {
    let answer = common::scripts::ask(&mut server.connect(), &bare("GET", target, ""));
    (answer.status, String::from_utf8(answer.body).unwrap())
}

fn sandbox_lines(lines: &[String]) -> Vec<&String> {
    let all = lines.iter();
    all.filter(|line| line.contains("service.sandbox"))
        .collect()
}

#[test]
fn the_kernel_refuses_a_path_outside() {
    const NAME: &str = "the_kernel_refuses_a_path_outside";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        own.place.directory("secret");
        own.place.file("secret/s.txt", b"secret");
        symlink(own.place.path("secret/s.txt"), own.place.path("www/link")).unwrap();
        let text = own.site("www", "symlinks = \"follow\"\n");
        let granted = format!("service.sandbox_read={}", own.place.shown("secret"));
        for (key, status) in [
            ("service.sandbox=off", 200),
            ("service.sandbox=on", 403),
            ("service.sandbox=require", 403),
            (&granted, 200),
        ] {
            let server = own.start(&text, &[key]);
            assert_eq!(page(&server, "/link").0, status, "{key} {keys:?}");
            assert_eq!(page(&server, "/"), (200, "one".to_owned()), "{key}");
            let stopped = server.stop();
            let lines = sandbox_lines(&stopped.lines);
            assert_eq!(lines.is_empty(), key.ends_with("off"), "{lines:?}");
        }
    }
}

#[test]
fn what_was_given_up_is_seen_from_outside() {
    const NAME: &str = "what_was_given_up_is_seen_from_outside";
    for keys in users() {
        let own = Configured::new(&keys);
        let server = own.start(&own.site("www", ""), &[]);
        let word = |name: &str| told(server.pid(), "status", name).concat();
        assert_eq!(word("NoNewPrivs:"), "1");
        // Root keeps what it needs for the files of others; who is somebody else keeps nothing.
        let stays_root = is_root() && keys.is_empty();
        let kept = if stays_root {
            "000000000000000e"
        } else {
            "0000000000000000"
        };
        for set in ["CapInh:", "CapAmb:"] {
            assert_eq!(word(set), "0000000000000000", "{set} {keys:?}");
        }
        for set in ["CapPrm:", "CapEff:"] {
            assert_eq!(word(set), kept, "{set} {keys:?}");
        }
        // Who is not root may not take from this set; without new privileges it gives nothing.
        match is_root() {
            true => assert_eq!(word("CapBnd:"), kept, "{keys:?}"),
            false => skip(NAME, "the bounding set needs root"),
        }
        drop(server.stop());
        let server = own.start(&own.site("www", ""), &["service.sandbox=off"]);
        assert_eq!(told(server.pid(), "status", "NoNewPrivs:"), ["0"]);
        drop(server.stop());
    }
}

/// As an init gives it to a user (AmbientCapabilities= of systemd).
#[test]
fn a_capability_for_files_stays_with_the_user_who_has_it() {
    const NAME: &str = "a_capability_for_files_stays_with_the_user_who_has_it";
    if !is_root() || !has(NAME, 1) {
        return skip(NAME, "another user with a capability needs root");
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return skip(NAME, "there is no setpriv");
    }
    let place = Place::new();
    let root = place.site("www", "one");
    place.file("www/secret", b"secret");
    permit(&place.path("www/secret"), 0o600);
    let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    let who = ["setpriv", &user, &group, "--clear-groups"];
    let owner = format!("service.user={NOBODY}:{NOBODY}");
    for (caps, keys, set, status, left) in [
        ("-all", &[][..], 0, 403, ""),
        ("+dac_read_search", &[], 4, 200, " but CAP_DAC_READ_SEARCH"),
        (
            "+dac_read_search",
            &[&*owner],
            4,
            200,
            " but CAP_DAC_READ_SEARCH",
        ),
        ("+net_bind_service", &[], 0, 403, ""),
    ] {
        let inherited = format!("--inh-caps={caps}");
        let ambient = format!("--ambient-caps={caps}");
        let words: Vec<&str> = who.into_iter().chain([&*inherited, &*ambient]).collect();
        let server = Server::run(by(&words, &Server::command("127.0.0.1:0", &root, keys)));
        for name in ["CapEff:", "CapPrm:"] {
            let held = told(server.pid(), "status", name).concat();
            assert_eq!(held, format!("{set:016x}"), "{name} {caps} {keys:?}");
        }
        assert_eq!(page(&server, "/secret").0, status, "{caps} {keys:?}");
        let line = server.line(1, |line| line.contains("service.sandbox: "));
        let end = format!(", no new privileges, no capabilities{left}");
        assert!(line.ends_with(&end), "{line}");
        drop(server.stop());
    }
}

#[test]
fn a_reload_works_for_what_was_granted_and_names_what_was_not() {
    const NAME: &str = "a_reload_works_for_what_was_granted_and_names_what_was_not";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        own.place.site("www/sub", "beneath");
        let server = own.start(&own.site("www", ""), &[]);
        // Another file of the same name, and what lies beneath what was granted.
        let said = own.reload(&server, 1, &own.site("www/sub", ""));
        assert!(said.contains(" reloaded: site.root"), "{said}");
        assert_eq!(page(&server, "/"), (200, "beneath".to_owned()));
        // A root beside it.
        let said = own.reload(&server, 2, &own.site("other", ""));
        let other = fs::canonicalize(own.place.path("other")).unwrap();
        let what = format!(
            "site.root: {}/ was not granted when the server went into its sandbox; start adieu \
             anew, or name what is above it in service.sandbox_read before",
            other.display()
        );
        assert!(
            said.contains(" not reloaded, ") && said.ends_with(&what),
            "{said}"
        );
        // A log elsewhere, uploads where none were, passwords and scripts where none were.
        for (more, key) in [
            (
                format!(
                    "[log]\ntarget = \"file:{}\"\n",
                    own.place.shown("other/log")
                ),
                "log.target: ",
            ),
            ("uploads = [\"/inbox 1MiB\"]\n".to_owned(), "site.uploads: "),
            (
                "auth = [\"/admin * /etc/passwd Realm\"]\n".to_owned(),
                "site.auth: the server is in its sandbox, where it can start no further process; \
                 start adieu anew",
            ),
            (
                "scripts = [\"/cgi-bin\"]\n".to_owned(),
                "site.scripts: the server is in its sandbox",
            ),
        ] {
            let count = own.counted(&server);
            let said = own.reload(&server, count, &own.site("www/sub", &more));
            assert!(
                said.contains(" not reloaded, ") && said.contains(key),
                "{said}"
            );
            assert_eq!(page(&server, "/"), (200, "beneath".to_owned()));
        }
        // A directory that has taken the name of the granted one.
        fs::rename(own.place.path("www"), own.place.path("was")).unwrap();
        own.place.site("www", "new");
        let count = own.counted(&server);
        let said = own.reload(&server, count, &own.site("www", ""));
        assert!(
            said.contains("/was/ ")
                || said.contains("/www/ is another one than when the server went into its sandbox"),
            "{said}"
        );
        assert_eq!(page(&server, "/"), (200, "beneath".to_owned()));
        drop(server.stop());
    }
}

impl Configured {
    /// Which reload is the next.
    fn counted(&self, server: &Server) -> usize {
        let counted =
            server.said(|line| line.contains(" reloaded: ") || line.contains(" not reloaded, "));
        counted + 1
    }
}

#[test]
fn a_root_that_is_switched_is_found_where_the_one_above_is_granted() {
    const NAME: &str = "a_root_that_is_switched_is_found_where_the_one_above_is_granted";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        own.place.site("releases/1", "first");
        own.place.site("releases/2", "second");
        own.place.directory("releases");
        let current = own.place.path("current");
        symlink("releases/1", &current).unwrap();
        let above = format!("service.sandbox_read={}", own.place.shown("releases"));
        for (key, after) in [("service.sandbox=on", "first"), (&above, "second")] {
            let text = own.site("current", "");
            let server = own.start(&text, &[key]);
            assert_eq!(page(&server, "/").1, "first");
            fs::remove_file(&current).unwrap();
            symlink("releases/2", &current).unwrap();
            own.reload(&server, 1, &text);
            assert_eq!(page(&server, "/").1, after, "{key}");
            drop(server.stop());
            fs::remove_file(&current).unwrap();
            symlink("releases/1", &current).unwrap();
        }
    }
}

#[test]
fn logs_are_rotated_inside() {
    const NAME: &str = "logs_are_rotated_inside";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        let access = format!("log.access_target=file:{}", own.place.shown("log/access"));
        let keys = [
            access.as_str(),
            "log.access=common",
            "log.access_bytes=4KiB",
        ];
        let server = own.start(&own.site("www", ""), &keys);
        let text = |name: &str| own.place.text(name).unwrap_or_default();
        assert_eq!(page(&server, "/first").0, 404);
        eventually("a line", || text("log/access").contains("/first"));
        // By somebody who moves it away.
        fs::rename(own.place.path("log/access"), own.place.path("log/old")).unwrap();
        server.signal("USR1");
        eventually("a new file", || own.place.path("log/access").exists());
        assert_eq!(page(&server, "/second").0, 404);
        eventually("the new one", || text("log/access").contains("/second"));
        assert!(!text("log/old").contains("/second"));
        // By itself, when it is full.
        for _ in 0..100 {
            assert_eq!(page(&server, "/third").0, 404);
        }
        eventually("it was full", || text("log/access.1").contains("/third"));
        drop(server.stop());
    }
}

#[test]
fn a_configuration_that_was_switched_is_refused_with_the_cure() {
    const NAME: &str = "a_configuration_that_was_switched_is_refused_with_the_cure";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        let text = own.site("www", "");
        for release in ["release-1", "release-2"] {
            own.place.directory(release);
            own.place
                .file(&format!("{release}/adieu.toml"), text.as_bytes());
        }
        let current = own.place.path("current");
        symlink("release-1", &current).unwrap();
        let start = |more: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
            let file = current.join("adieu.toml");
            command.args(["-p", "127.0.0.1:0", "-c"]).arg(file);
            for key in own
                .keys
                .iter()
                .map(String::as_str)
                .chain(more.iter().copied())
            {
                command.args(["--set", key]);
            }
            Server::run(command)
        };
        let switch = |to: &str| {
            fs::remove_file(&current).unwrap();
            symlink(to, &current).unwrap();
        };
        let server = start(&[]);
        switch("release-2");
        server.signal("HUP");
        let line = server.line(1, |line| line.contains(" not reloaded, "));
        let second = fs::canonicalize(own.place.path("release-2")).unwrap();
        let what = format!(
            "/current/adieu.toml: cannot read it: Permission denied (os error 13); {} was not \
             granted when the server went into its sandbox; start adieu anew, or name what is \
             above it in service.sandbox_read before",
            second.display()
        );
        assert!(line.ends_with(&what), "{line}");
        // What is wrong with a file that can be read has nothing to do with it.
        switch("release-1");
        own.place.file("release-1/adieu.toml", b"[sit");
        server.signal("HUP");
        let line = server.line(2, |line| line.contains(" not reloaded, "));
        assert!(!line.contains("sandbox"), "{line}");
        drop(server.stop());
        own.place.file("release-1/adieu.toml", text.as_bytes());
        let server = start(&[&format!(
            "service.sandbox_read={}",
            own.place.root().display()
        )]);
        switch("release-2");
        server.signal("HUP");
        server.says("adieu: reloaded: ");
        drop(server.stop());
    }
}

/// A reload that does not need a log's directory goes through, and what cannot be had is said.
#[test]
fn a_directory_of_logs_that_was_made_anew_stops_no_reload() {
    const NAME: &str = "a_directory_of_logs_that_was_made_anew_stops_no_reload";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        own.place.site("www/sub", "beneath");
        let more = |format: &str| {
            let file = |name: &str| own.place.shown(&format!("log/{name}"));
            format!(
                "[log]\ntarget = \"file:{}\"\naccess = \"{format}\"\naccess_target = \
                 \"file:{}\"\n",
                file("own"),
                file("access")
            )
        };
        let text = |root: &str, format: &str| own.site(root, &more(format));
        let mut child = own.start_aside(&text("www", "common"), &[]);
        let told = |name: &str| own.place.text(name).unwrap_or_default();
        eventually("it serves", || told("log/own").contains("Landlock ABI"));
        let hear = |name: &str, word: &str| {
            eventually(word, || told(name).contains(word));
            told(name)
        };
        // What is open can be read by another name.
        own.place.directory("kept");
        for name in ["own", "access"] {
            let (from, to) = (format!("log/{name}"), format!("kept/{name}"));
            fs::hard_link(own.place.path(&from), own.place.path(&to)).unwrap();
        }
        fs::remove_dir_all(own.place.path("log")).unwrap();
        own.place.directory("log");
        permit(&own.place.path("log"), 0o777);
        let why = "is another one than when the server went into its sandbox, and was not granted; \
                   start adieu anew, or name what is above it in service.sandbox_write before";
        let log = own.place.shown("log");
        let line = |key: &str| {
            let what = "not opened anew, the one that is open goes on: Permission denied";
            format!("{key}: {what} (os error 13); {log} {why}")
        };
        let count = |name: &str, word: &str| told(name).matches(word).count();
        signal(child.0.id(), "USR1");
        hear("kept/own", &line("log.access_target"));
        assert_eq!(count("kept/own", &line("log.target")), 1);
        // The first is said where it can be heard, too.
        assert_eq!(count("err", &line("log.target")), 1, "{}", told("err"));
        own.write(&text("www/sub", "common"));
        signal(child.0.id(), "HUP");
        hear("kept/own", "reloaded: site.root");
        assert_eq!(count("kept/own", &line("log.access_target")), 2);
        // Where one must be opened there is no other way.
        own.write(&text("www/sub", "json"));
        signal(child.0.id(), "HUP");
        let what =
            format!("not reloaded, the old configuration goes on: log.access_target: {log} ");
        hear("kept/own", &(what + why));
        own.write(&text("www/sub", "off"));
        signal(child.0.id(), "HUP");
        hear("kept/own", "reloaded: log.access\n");
        signal(child.0.id(), "TERM");
        assert_eq!(child.ends().code(), Some(0));
    }
}

/// A new FIFO at this path, open for its reader, who waits for nobody.
fn fifo(path: &Path) -> fs::File {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
    permit(path, 0o666);
    let mut options = fs::OpenOptions::new();
    // Open for both sides it never ends.
    let options = options.read(true).write(true);
    options.custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

#[test]
fn a_fifo_that_its_reader_makes_anew_is_opened_again() {
    const NAME: &str = "a_fifo_that_its_reader_makes_anew_is_opened_again";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        let path = own.place.path("log/fifo");
        let mut reader = fifo(&path);
        let target = format!("log.access_target=file:{}", path.display());
        let server = own.start(&own.site("www", ""), &["log.access=common", &target]);
        let heard = |reader: &mut fs::File, word: &str| {
            let mut text = String::new();
            eventually(word, || {
                let _ = reader.read_to_string(&mut text);
                text.contains(word)
            });
        };
        page(&server, "/first");
        heard(&mut reader, "/first");
        drop(reader);
        fs::remove_file(&path).unwrap();
        let mut reader = fifo(&path);
        page(&server, "/second");
        eventually("it is missed", || {
            page(&server, "/third");
            server.said(|line| line.contains("the access log is not there: Broken pipe")) == 1
        });
        heard(&mut reader, "/third");
        // It is read by its path alone: nothing can be made beside it.
        drop(reader);
        fs::remove_file(&path).unwrap();
        fs::remove_dir(own.place.path("log")).unwrap();
        own.place.directory("log");
        let reader = fifo(&path);
        let why = "the access log is not there: Permission denied (os error 13); if it was made \
                   anew after the server went into its sandbox, start adieu anew";
        let said = |line: &str| line.ends_with(why);
        eventually("it is denied", || {
            page(&server, "/fourth");
            server.said(said) == 1
        });
        for _ in 0..500 {
            page(&server, &format!("/{}", "x".repeat(200)));
        }
        drop(reader);
        assert_eq!(server.said(said), 1);
        assert!(server.stop().counter("access-dropped") > 0);
    }
}

/// What the log cannot tell of itself is said on the standard error.
#[test]
fn a_log_that_is_denied_is_told_aside() {
    const NAME: &str = "a_log_that_is_denied_is_told_aside";
    if !has(NAME, 1) {
        return;
    }
    let own = Configured::new(&[]);
    let path = own.place.path("log/fifo");
    let reader = fifo(&path);
    let target = format!("log.target=file:{}", path.display());
    let mut child = own.start_aside(&own.site("www", ""), &[&target]);
    let mut text = String::new();
    eventually("it serves", || {
        let _ = (&reader).read_to_string(&mut text);
        text.contains("Landlock ABI")
    });
    drop(reader);
    fs::remove_dir_all(own.place.path("log")).unwrap();
    own.place.directory("log");
    let reader = fifo(&path);
    let told = || own.place.text("err").unwrap_or_default();
    let line = "warning: log.target is not there: Permission denied (os error 13); if it was made";
    eventually(line, || {
        signal(child.0.id(), "USR1");
        told().contains(line)
    });
    assert_eq!(told().matches(line).count(), 1);
    drop(reader);
    signal(child.0.id(), "TERM");
    assert_eq!(child.ends().code(), Some(0));
}

#[test]
fn uploads_work_inside_and_nothing_else_is_written() {
    const NAME: &str = "uploads_work_inside_and_nothing_else_is_written";
    // Before, uploads and Landlock do not go together.
    if !has(NAME, confine::ABI_RENAMES) {
        return;
    }
    for keys in users() {
        for sync in ["upload.sync=off", "upload.sync=on"] {
            let own = Configured::new(&keys);
            symlink("../public", own.place.path("www/inbox/out")).unwrap();
            let text = own.site("www", "uploads = [\"/inbox 1MiB\"]\n");
            let server = own.start(&text, &[sync]);
            for target in ["/inbox/a", "/inbox/deep/a"] {
                for (body, status) in [(&b"new"[..], 201), (b"replaced", 204)] {
                    assert_eq!(alone(&server, &put(target, "", body)).status, status);
                    assert_eq!(content(&server, target), (200, body.to_vec()));
                }
                assert_eq!(alone(&server, &bare("DELETE", target, "")).status, 204);
                assert_eq!(content(&server, target).0, 404);
            }
            // The rule is about the path, and the link stays inside of the root: only the kernel
            // says no.
            let outside = put("/inbox/out/x", "", b"x");
            assert_eq!(alone(&server, &outside).status, 403);
            // A reload opens the directories anew.
            let said = own.reload(&server, 1, &text);
            assert!(said.contains(" reloaded: "), "{said}");
            assert_eq!(alone(&server, &put("/inbox/b", "", b"b")).status, 201);
            drop(server.stop());
            let server = own.start(&text, &["service.sandbox=off"]);
            assert_eq!(alone(&server, &outside).status, 201);
            drop(server.stop());
        }
    }
}

#[test]
fn a_directory_of_uploads_that_was_made_anew_is_named_once() {
    const NAME: &str = "a_directory_of_uploads_that_was_made_anew_is_named_once";
    if !has(NAME, confine::ABI_RENAMES) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        let text = own.site("www", "uploads = [\"/inbox 1MiB\"]\n");
        let anew = || {
            let inbox = own.place.path("www/inbox");
            fs::remove_dir_all(&inbox).unwrap();
            fs::create_dir(&inbox).unwrap();
            permit(&inbox, 0o777);
            fs::canonicalize(inbox).unwrap()
        };
        let server = own.start(&text, &["upload.sync=off"]);
        let warned = |line: &str| line.contains("warning: site.uploads: ");
        assert_eq!(alone(&server, &put("/inbox/a", "", b"a")).status, 201);
        let inbox = anew();
        // A DELETE is no better, whichever comes first.
        own.place.file("www/inbox/b", b"b");
        assert_eq!(alone(&server, &bare("DELETE", "/inbox/b", "")).status, 403);
        let line = server.line(1, |line| warned(line));
        let what = format!(
            "files in {} are not changed: it was not granted when the server went into its \
             sandbox; if it was made anew since, start adieu anew",
            inbox.display()
        );
        assert!(line.ends_with(&what), "{line}");
        for _ in 0..3 {
            assert_eq!(alone(&server, &put("/inbox/a", "", b"a")).status, 403);
        }
        assert_eq!(server.said(warned), 1);
        drop(server.stop());
        // An upload that is refused first is told as well.
        let server = own.start(&text, &["upload.sync=off"]);
        anew();
        assert_eq!(alone(&server, &put("/inbox/a", "", b"a")).status, 403);
        assert!(server.line(1, |line| warned(line)).ends_with(&what));
        // So does a reload, and of where unfinished ones grow.
        let said = own.reload(&server, 1, &text);
        let why = "is another one than when the server went into its sandbox, and was not granted; \
                   start adieu anew, or name what is above it in service.sandbox_write before";
        assert!(
            said.ends_with(&format!("site.uploads: /inbox {why}")),
            "{said}"
        );
        fs::remove_dir_all(own.place.path("www/.adieu-uploads")).unwrap();
        let said = own.reload(&server, 2, &text);
        assert!(said.contains("/.adieu-uploads is another one"), "{said}");
        drop(server.stop());
    }
}

#[test]
fn what_permissions_refuse_is_not_said_of_the_sandbox() {
    const NAME: &str = "what_permissions_refuse_is_not_said_of_the_sandbox";
    if !has(NAME, confine::ABI_RENAMES) || !is_root() {
        return skip(NAME, "it takes Landlock, and root to be another user");
    }
    let own = Configured::new(&[format!("service.user={NOBODY}:{NOBODY}")]);
    own.place.file("www/inbox/b", b"b");
    permit(&own.place.path("www/inbox"), 0o1777);
    let text = own.site("www", "uploads = [\"/inbox 1MiB\"]\n");
    let server = own.start(&text, &["upload.sync=off"]);
    // Another's file, in a directory where everybody removes only his own.
    assert_eq!(alone(&server, &bare("DELETE", "/inbox/b", "")).status, 403);
    server.stop().never_said("site.uploads: ");
}

/// The starter does more than to start scripts.
#[test]
fn the_first_file_to_be_waited_for_takes_a_start_and_is_refused_by_its_key() {
    const NAME: &str = "the_first_file_to_be_waited_for_takes_a_start_and_is_refused_by_its_key";
    if !has(NAME, confine::ABI_RENAMES) {
        return;
    }
    let own = Configured::new(&[]);
    let text = own.site("www", "uploads = [\"/inbox 1MiB\"]\n");
    let server = own.start(&text, &[]);
    let synced = format!("{text}[upload]\nsync = true\n");
    let said = own.reload(&server, 1, &synced);
    let what = ": upload.sync: the server is in its sandbox, where it can start no further \
                process; start adieu anew, which then does so before its sandbox";
    assert!(said.ends_with(what), "{said}");
    assert_eq!(alone(&server, &put("/inbox/a", "", b"a")).status, 201);
    drop(server.stop());
}

#[test]
fn a_rule_that_was_taken_away_comes_back_inside() {
    const NAME: &str = "a_rule_that_was_taken_away_comes_back_inside";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        let own = Configured::new(&keys);
        let file = Users::new(ALICE);
        permit(file.path(), 0o644);
        let users = file.path().display();
        let guarded = own.site("www", &format!("auth = [\"/ * {users} Realm\"]\n"));
        let server = own.start(&guarded, &[]);
        assert_eq!(status(&server, "/", &alice()), 200);
        let said = own.reload(&server, 1, &own.site("www", ""));
        assert!(said.contains(" reloaded: site.auth"), "{said}");
        assert_eq!(page(&server, "/").0, 200);
        eventually("no helper", || helpers(&server).is_empty());
        let said = own.reload(&server, 2, &guarded);
        assert!(said.contains(" reloaded: site.auth"), "{said}");
        assert_eq!(status(&server, "/", ""), 401);
        eventually("Alice", || status(&server, "/", &alice()) == 200);
        drop(server.stop());
    }
}

/// The number of the process of this name beside the server.
fn beside(server: &Server, name: &str) -> Option<u32> {
    let mut all = helpers(server).into_iter();
    all.find(|pid| comm(*pid).is_some_and(|own| own == name))
}

fn comm(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(text.trim_end().to_owned())
}

/// The process that starts the others.
fn maker(server: &Server) -> u32 {
    let children = format!("/proc/{0}/task/{0}/children", server.pid());
    let text = fs::read_to_string(children).unwrap();
    let mut pids = text.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.find(|pid| comm(*pid).is_some_and(|own| own == "adieu-maker"))
        .expect("a maker")
}

fn kill(pid: u32) {
    let pid = pid.to_string();
    let told = Command::new("kill").args(["-s", "KILL", &pid]).status();
    assert!(told.expect("kill(1)").success());
}

#[test]
fn scripts_and_passwords_work_inside_also_after_their_processes_were_killed() {
    for keys in users() {
        let site = Site::with_echo();
        site.script(
            "rights",
            "printf 'Content-Type: text/plain\\n\\n'; \
             grep -E 'NoNewPrivs|CapBnd' /proc/self/status",
        );
        let users = Users::new(ALICE);
        permit(users.path(), 0o644);
        let guard = users.guard("/static.txt *", "Realm");
        let mut all: Vec<&str> = keys.iter().map(String::as_str).collect();
        all.push(&guard);
        let server = site.start(&all);
        for round in 0..3 {
            eventually("a script", || page(&server, "/cgi-bin/echo").0 == 200);
            eventually("Alice", || status(&server, "/static.txt", &alice()) == 200);
            assert_eq!(status(&server, "/static.txt", &basic("alice", "x")), 401);
            // Scripts are outside, as before.
            let rights = page(&server, "/cgi-bin/rights").1;
            assert!(rights.contains("NoNewPrivs:\t0"), "{rights}");
            assert!(!rights.contains("CapBnd:\t000000000000000"), "{rights}");
            let both = ["adieu-helper", "adieu-starter"];
            let was = both.map(|name| beside(&server, name).expect(name));
            kill(was[round % 2]);
            eventually("another one", || {
                let now = both.map(|name| beside(&server, name));
                now.iter().all(Option::is_some) && now != was.map(Some)
            });
            eventually("nothing is left", || zombies(&server) == 0);
        }
        drop(server.stop());
    }
}

/// The server is held, so that it orders nothing.
#[test]
fn nothing_is_left_of_what_the_maker_started_when_it_dies() {
    let site = Site::with_echo();
    let users = Users::new(ALICE);
    let guard = users.guard("/static.txt *", "Realm");
    let server = site.start(&[&guard]);
    eventually("Alice", || status(&server, "/static.txt", &alice()) == 200);
    let both = ["adieu-helper", "adieu-starter"].map(|name| beside(&server, name).expect(name));
    server.signal("STOP");
    for pid in both {
        kill(pid);
        let there = format!("/proc/{pid}");
        eventually("nothing is left", || !Path::new(&there).exists());
    }
    // It does not turn in circles for it.
    let maker = maker(&server);
    eventually("it rests", || told(maker, "status", "State:")[0] == "S");
    server.signal("CONT");
    eventually("a script", || page(&server, "/cgi-bin/echo").0 == 200);
    eventually("Alice", || status(&server, "/static.txt", &alice()) == 200);
    drop(server.stop());
}

#[test]
fn without_the_maker_what_runs_goes_on_and_it_is_said_once() {
    let site = Site::with_echo();
    let server = site.start(&[]);
    eventually("a script", || page(&server, "/cgi-bin/echo").0 == 200);
    let starter = common::scripts::starter(&server);
    kill(maker(&server));
    // What it has started lives on.
    assert_eq!(page(&server, "/cgi-bin/echo").0, 200);
    kill(starter);
    let why = "site.scripts: the server is in its sandbox, where it can start no further process; \
               start adieu anew";
    let said = |line: &str| line.contains(why);
    eventually("it is said", || server.said(said) > 0);
    // It is tried again, and not said again.
    let tried = || told(server.pid(), "status", "voluntary_ctxt_switches:").concat();
    let before: u64 = tried().parse().unwrap();
    eventually("some turns", || {
        tried().parse::<u64>().unwrap() > before + 2
    });
    assert_eq!(
        (page(&server, "/cgi-bin/echo").0, page(&server, "/").0),
        (503, 200)
    );
    assert_eq!(server.said(said), 1);
    drop(server.stop());
}

#[test]
fn the_maker_takes_no_more_than_the_plan_says() {
    let site = Site::with_echo();
    let server = site.start(&["memory.connections=1024"]);
    for _ in 0..20 {
        assert_eq!(page(&server, "/cgi-bin/echo").0, 200);
        assert_eq!(page(&server, "/").0, 200);
    }
    server.signal("HUP");
    server.says("adieu: reloaded: ");
    let Ok(text) = fs::read_to_string(format!("/proc/{}/smaps_rollup", maker(&server))) else {
        return skip("the memory of the maker", "no /proc/PID/smaps_rollup");
    };
    let own = text.lines().filter(|line| line.starts_with("Private_"));
    let kib = own.map(|line| line.split_whitespace().nth(1).unwrap());
    let kib: u64 = kib.map(|word| word.parse::<u64>().unwrap()).sum();
    println!("private memory of the maker: {kib} KiB");
    // MAKER_BYTES of the plan.
    assert!((1..=80).contains(&kib), "{kib} KiB");
    drop(server.stop());
}

#[test]
fn everything_beside_it_ends_with_the_server_whatever_that_died_of() {
    for signal in ["KILL", "TERM"] {
        let site = Site::with_echo();
        let users = Users::new(ALICE);
        let guard = users.guard("/static.txt *", "Realm");
        let server = site.start(&[&guard]);
        eventually("Alice", || status(&server, "/static.txt", &alice()) == 200);
        let mut all = helpers(&server);
        all.push(maker(&server));
        assert_eq!(all.len(), 3);
        server.signal(signal);
        drop(server.wait());
        common::scripts::all_end(&all);
    }
}

#[test]
fn scripts_are_confined_by_their_own_keys() {
    const NAME: &str = "scripts_are_confined_by_their_own_keys";
    if !has(NAME, 1) {
        return;
    }
    for keys in users() {
        for sandbox in ["on", "off"] {
            let site = Site::new();
            site.place.directory("drawer");
            permit(&site.place.path("drawer"), 0o777);
            site.place.file("secret", b"secret");
            site.script(
                "look",
                "printf 'Content-Type: text/plain\\n\\n'; \
                 cat ../../secret 2>/dev/null || echo closed; \
                 grep NoNewPrivs /proc/self/status; echo x >../../drawer/x && echo wrote; \
                 cat ../../drawer/x; rm ../../drawer/x; echo y >../../y || echo kept",
            );
            let sandbox = format!("service.sandbox={sandbox}");
            let scripts = site.place.shown("www/cgi-bin");
            let read = format!("script.sandbox_read=/usr,/bin,/lib,/lib64,/etc,/proc,{scripts}");
            let drawer = format!("script.sandbox_write={}", site.place.shown("drawer"));
            let own: Vec<&str> = keys.iter().map(String::as_str).chain([&*sandbox]).collect();
            for (more, words) in [
                (&[][..], "secretNoNewPrivs:\t0\nwrote\nx\n"),
                (
                    &["script.no_new_privs=on"],
                    "secretNoNewPrivs:\t1\nwrote\nx\n",
                ),
                (
                    &[read.as_str(), drawer.as_str()],
                    "closed\nNoNewPrivs:\t1\nwrote\nx\nkept\n",
                ),
            ] {
                let all: Vec<&str> = own.iter().chain(more).copied().collect();
                let server = site.start(&all);
                assert_eq!(
                    page(&server, "/cgi-bin/look"),
                    (200, words.to_owned()),
                    "{all:?}"
                );
                drop(server.stop());
            }
        }
    }
}

#[test]
fn a_hand_over_works_from_inside() {
    for keys in users() {
        let own = Configured::new(&keys);
        let control = format!("service.control={}", own.place.shown("control"));
        let pidfile = format!("service.pidfile={}", own.place.shown("pid"));
        let text = own.site("www", "");
        let first = own.start(&text, &[&control, &pidfile]);
        let address = format!("{}", first.address.unwrap());
        let next = own.start(
            &own.site("other", ""),
            &[&control, &pidfile, "listen.address=0"],
        );
        drop(address);
        assert_eq!(page(&next, "/").1, "two");
        drop(first.ends());
        assert_eq!(own.place.text("pid").unwrap(), format!("{}\n", next.pid()));
        drop(next.stop());
        // Its own directory: the file goes, unless the user may not.
        assert!(own.place.text("pid").is_none_or(|text| text.is_empty()));
    }
}

#[test]
fn beneath_another_root_it_reaches_what_lies_there() {
    const NAME: &str = "beneath_another_root_it_reaches_what_lies_there";
    if !is_root() {
        return skip(NAME, "another root needs root");
    }
    let place = Place::new();
    place.site("cage/www", "beneath");
    place.directory("cage");
    place.file("cage/users", ALICE.as_bytes());
    place.file("cage/far", b"far");
    symlink("/far", place.path("cage/www/link")).unwrap();
    let keys = [
        format!("service.chroot={}", place.shown("cage")),
        format!("service.user={NOBODY}:{NOBODY}"),
        "site.symlinks=follow".to_owned(),
        "site.auth=/admin * /users Realm".to_owned(),
    ];
    let server = Server::start("/www".as_ref(), &keys.each_ref().map(String::as_str));
    assert_eq!(page(&server, "/").1, "beneath");
    assert_eq!(page(&server, "/link"), (200, "far".to_owned()));
    let once = beside(&server, "adieu-helper").unwrap();
    for pid in [maker(&server), once] {
        let root = fs::read_link(format!("/proc/{pid}/root")).unwrap();
        assert_eq!(root, fs::canonicalize(place.path("cage")).unwrap());
        assert_eq!(told(pid, "status", "Uid:")[0], NOBODY.to_string());
    }
    assert_eq!(status(&server, "/admin", &alice()), 404);
    kill(once);
    eventually("Alice", || status(&server, "/admin?", &alice()) == 404);
    eventually("another one", || {
        beside(&server, "adieu-helper").is_some_and(|pid| pid != once)
    });
    server.signal("HUP");
    server.says("adieu: reloaded: ");
    assert_eq!(page(&server, "/").1, "beneath");
    drop(server.stop());
}

/// What the maker cannot fork is missed before the server says that it serves, not afterwards.
#[test]
fn a_starter_that_cannot_be_forked_ends_the_start() {
    const NAME: &str = "a_starter_that_cannot_be_forked_ends_the_start";
    /// Nobody else has this number, so that its processes can be counted.
    const UID: u32 = 61_234;
    if !is_root() {
        skip(NAME, "only root becomes another user");
        return;
    }
    let place = Place::new();
    let root = place.site("www", "one");
    permit(&root, 0o755);
    let most = |most: libc::rlim_t| {
        let mut command = Server::command("127.0.0.1:0", &root, &["site.scripts=/cgi-bin"]);
        command.uid(UID).gid(UID);
        let limit = move || {
            let limit = libc::rlimit {
                rlim_cur: most,
                rlim_max: most,
            };
            // SAFETY: the call reads the struct, which lives.
            match unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: the closure makes one system call and touches nothing else.
        unsafe { command.pre_exec(limit) };
        command
    };
    // The server, and the maker where there is one.
    let words = "a process that looks at passwords or starts scripts cannot be made";
    refused(
        most(2),
        1,
        "start",
        words,
        "free memory for one more process",
    );
    drop(Server::run(most(8)).stop());
}

// ---- kernels ----------------------------------------------------------------------------------

/// The same command, for which the kernel answers so to this system call.
fn answering(mut command: Command, call: libc::c_long, errno: i32) -> Command {
    let number = u32::try_from(call).unwrap();
    let errno = u32::try_from(errno).unwrap();
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    // The number of the call comes first in the struct that a filter sees.
    let program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | errno,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = move || {
        let mut program = program;
        let whole = libc::sock_fprog {
            len: 4,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: the call takes numbers.
        let first = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: the call reads `whole` and what it names; both live.
        let then = unsafe { libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const whole) };
        match first | then {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes two system calls and touches nothing else.
    unsafe { command.pre_exec(filter) };
    command
}

#[test]
fn where_the_kernel_lacks_it_one_line_says_so_and_the_rest_holds() {
    for (errno, words) in [
        (libc::ENOSYS, "the kernel has no Landlock"),
        (
            libc::EOPNOTSUPP,
            "the kernel has Landlock, but does not use it: add landlock to lsm= of the kernel's \
             command line",
        ),
        (
            libc::EPERM,
            "a filter of system calls hides Landlock (errno 1)",
        ),
    ] {
        let place = Place::new();
        let root = place.site("www", "one");
        let command = |keys: &[&str]| {
            let command = Server::command("127.0.0.1:0", &root, keys);
            answering(command, libc::SYS_landlock_create_ruleset, errno)
        };
        let server = Server::run(command(&["site.uploads=/inbox 1MiB"]));
        let line = server.line(1, |line| line.contains("service.sandbox"));
        let start =
            format!("adieu: warning: service.sandbox: files are not held ({words}), no new priv");
        assert!(line.starts_with(&start), "{line}");
        assert_eq!(told(server.pid(), "status", "NoNewPrivs:"), ["1"]);
        assert_eq!(alone(&server, &put("/inbox", "", b"x")).status, 201);
        server.signal("HUP");
        server.says("adieu: reloaded: ");
        let stopped = server.stop();
        assert_eq!(sandbox_lines(&stopped.lines).len(), 1);
        let cure = "set service.sandbox to on, which does what can be done, or to off";
        let required = command(&["service.sandbox=require"]);
        refused(required, 78, "service.sandbox", words, cure);
        let asked = command(&["script.sandbox_read=/usr"]);
        refused(
            asked,
            78,
            "script.sandbox_read",
            words.split(':').next().unwrap(),
            "take script.sandbox_read",
        );
    }
}

#[test]
fn where_a_filter_hides_capset_the_line_says_so_and_the_rest_holds() {
    const NAME: &str = "where_a_filter_hides_capset_the_line_says_so_and_the_rest_holds";
    if !has(NAME, 1) {
        return;
    }
    if !is_root() {
        skip(NAME, "there are no capabilities to give up without root");
        return;
    }
    let place = Place::new();
    let root = place.site("www", "one");
    let command = |keys: &[&str]| {
        let command = Server::command("127.0.0.1:0", &root, keys);
        answering(command, libc::SYS_capset, libc::EPERM)
    };
    let server = Server::run(command(&[]));
    let line = server.line(1, |line| line.contains("service.sandbox"));
    assert!(line.contains(" are held (Landlock ABI "), "{line}");
    assert!(
        line.contains("; capabilities stay, for a filter "),
        "{line}"
    );
    assert_ne!(
        told(server.pid(), "status", "CapEff:"),
        ["0000000000000000"]
    );
    assert_eq!(
        told(server.pid(), "status", "CapAmb:"),
        ["0000000000000000"]
    );
    assert_eq!(page(&server, "/").0, 200);
    drop(server.stop());
    let required = command(&["service.sandbox=require"]);
    let words = "capabilities cannot be given up";
    refused(
        required,
        78,
        "service.sandbox",
        words,
        "set service.sandbox to off",
    );
}

/// As in a container, whose runtime reads the other end.
#[test]
fn a_log_may_be_an_unnamed_pipe() {
    let place = Place::new();
    let root = place.site("www", "one");
    let server = Server::run(Server::command(
        "127.0.0.1:0",
        &root,
        &["log.access=common", "log.access_target=file:/dev/stderr"],
    ));
    server.signal("HUP");
    server.says("adieu: reloaded: ");
    assert_eq!(page(&server, "/").0, 200);
    drop(server.stop());
}

#[test]
fn a_log_that_is_a_link_is_opened_anew_where_it_leads() {
    let place = Place::new();
    let root = place.site("www", "one");
    fs::create_dir(place.path("a")).unwrap();
    fs::create_dir(place.path("b")).unwrap();
    symlink("../b/access.log", place.path("a/access.log")).unwrap();
    let target = place.path("a/access.log");
    let target = format!("log.access_target=file:{}", target.display());
    let keys = ["log.access=common", &target];
    let server = Server::run(Server::command("127.0.0.1:0", &root, &keys));
    let log = place.path("b/access.log");
    eventually("the log is there", || log.exists());
    fs::rename(&log, place.path("b/old.log")).unwrap();
    server.signal("USR1");
    eventually("a new one is there", || log.exists());
    drop(server.stop());
}

/// Who hears warnings only hears that files are not held.
#[test]
fn where_the_kernel_lacks_it_that_is_a_warning() {
    let place = Place::new();
    let root = place.site("www", "one");
    let keys = ["log.level=warn"];
    let command = Server::command("127.0.0.1:0", &root, &keys);
    let mut lacks = answering(command, libc::SYS_landlock_create_ruleset, libc::ENOSYS);
    let mut child = lacks.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let said = child.stderr.take().unwrap();
    BufReader::new(said).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        line.contains("warning: service.sandbox: files are not held"),
        "{line}"
    );
}

#[test]
fn who_is_not_root_goes_in_as_well() {
    const NAME: &str = "who_is_not_root_goes_in_as_well";
    if !has(NAME, 1) {
        return;
    }
    let place = Place::new();
    let root = place.site("www", "one");
    place.file("secret", b"secret");
    symlink(place.path("secret"), place.path("www/link")).unwrap();
    let keys = ["site.symlinks=follow"];
    let Some(command) = as_other(&Server::command("127.0.0.1:0", &root, &keys)) else {
        skip(NAME, "the binary is root's own");
        return;
    };
    let server = Server::run(command);
    assert_eq!(page(&server, "/link").0, 403);
    assert_eq!(page(&server, "/").0, 200);
    drop(server.stop());
}
