//! The built binary where it does not just serve: run to its end, refused, started by a shell or
//! as somebody else.

use super::{PATIENCE, eventually, hear, http, place::Place};
use adieu::sys::privilege;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A user that is not root and owns nothing.
pub(crate) const NOBODY: u32 = 65_534;

/// A child that does not outlive its test.
#[derive(Debug)]
pub(crate) struct Ours(pub(crate) Child);

impl Ours {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("a child"))
    }

    pub(crate) fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.0.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("it ended")
    }

    /// Stops it in peace.
    pub(crate) fn stop(self) {
        signal(self.0.id(), "TERM");
        self.ended();
    }

    /// It ends in peace.
    pub(crate) fn ended(mut self) {
        let status = self.ends();
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let told = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(told.expect("kill(1)").success());
}

/// The built binary.
pub(crate) fn adieu(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
    command.stdin(Stdio::null()).args(arguments);
    command
}

/// The same command, started by another, whose words go before it. Streams are not taken over.
pub(crate) fn by(words: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(words[0]);
    outer
        .stdin(Stdio::null())
        .args(&words[1..])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        outer.env(name, value.expect("a value"));
    }
    outer
}

/// The same command, for which a shell makes way when it has done this.
pub(crate) fn after(script: &str, command: &Command) -> Command {
    let script = format!("{script}; exec \"$0\" \"$@\"");
    by(&["sh", "-c", &script], command)
}

/// What a run that ended by itself left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs it to its end.
pub(crate) fn run(mut command: Command) -> Run {
    let place = Place::new();
    let file = |name: &str| File::create(place.path(name)).unwrap();
    command.stdout(file("out")).stderr(file("err"));
    let status = Ours::start(command).ends();
    let text = |name: &str| place.text(name).unwrap();
    Run {
        code: status.code().expect("no signal"),
        out: text("out"),
        err: text("err"),
    }
}

/// It ends with this code and says nothing but one line, which names the place, what was wrong and
/// the cure. That line without its prefix.
pub(crate) fn refused(command: Command, code: i32, place: &str, what: &str, cure: &str) -> String {
    let run = run(command);
    assert_eq!(run.err.lines().count(), 1, "{run:?}");
    run.is_refused(code, place, what, cure)
}

impl Run {
    /// It ended with this code, and its last line says so. That line without its prefix.
    pub(crate) fn is_refused(&self, code: i32, place: &str, what: &str, cure: &str) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        let text = self.err.strip_suffix('\n').expect("a whole line");
        let line = text.lines().last().unwrap();
        let line = line.strip_prefix("adieu: error: ").expect("a prefix");
        let rest = line.strip_prefix(place).and_then(|l| l.strip_prefix(": "));
        let rest = rest.unwrap_or_else(|| panic!("the place is not {place}: {line}"));
        let (first, second) = rest.split_once("; ").expect("a cure");
        assert!(first.contains(what), "{what:?} is not in {first:?}");
        assert!(second.contains(cure), "{cure:?} is not in {second:?}");
        line.to_owned()
    }
}

/// Whether there is such a program.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    privilege::is_root()
}

/// The same command as one who is not root: [`NOBODY`] where root starts it. `None` where the
/// binary lies in a directory that is root's own.
pub(crate) fn as_other(command: &Command) -> Option<Command> {
    let other = |command: &Command| {
        let mut other = by(&["env"], command);
        if is_root() {
            other.uid(NOBODY).gid(NOBODY);
        }
        other
    };
    let mut probe = other(&adieu(&["-V"]));
    let reaches = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    reaches.expect("env(1)").success().then(|| other(command))
}

/// A request after which the connection ends.
pub(crate) const GET_LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Who connects there right now is served: the page.
pub(crate) fn page_at(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    page_on(&mut stream)
}

/// The same on a connection.
pub(crate) fn page_on(stream: &mut (impl Read + Write)) -> String {
    stream.write_all(GET_LAST).expect("a send");
    let answer = http::only(&hear(stream).bytes);
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap()
}

/// What /proc says behind this name about a process: the words.
pub(crate) fn told(pid: u32, file: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a live process");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().map(str::to_owned).collect()
}
