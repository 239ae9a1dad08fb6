//! The starter as a process: what a script is started with, what of it is reported, and above all
//! how scripts end.
//!
//! It has no harness, for that has threads, and a process of several is not forked. Its tests run
//! one after the other; names on the command line choose among them, as usual.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use adieu::script::{self, Bounds, Confinement, Descriptors, Frame, Heard, How, Launched, Starter};
use adieu::sys::{clock, file, memory, pipe};
use std::alloc::{GlobalAlloc, Layout, System};
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Calls of the allocator, of the one thread there is.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// The system's allocator, counted.
struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Far beyond what any of these tests needs, so that only a real failure meets it.
const PATIENCE_MS: u64 = 20_000;
/// The argument of a process that is a server, for a test to end it.
const SERVER: &str = "--be-a-server";
/// The argument of a process that starts a bomb as a user that is bound.
const BOMB: &str = "--be-a-bomb";
/// Users of which there are none: each process of this test has one of its own.
const USERS: u32 = 60_000;

/// The names of the tests, and they.
macro_rules! tests {
    ($($name:ident,)*) => {
        const TESTS: &[(&str, fn())] = &[$((stringify!($name), $name)),*];
    };
}

tests! {
    a_script_has_its_environment_and_nothing_else,
    a_script_has_three_descriptors,
    a_script_has_the_signals_of_the_system,
    a_script_is_as_important_as_the_server,
    what_goes_in_comes_out_by_pipe_by_file_and_by_nothing,
    an_interpreter_gets_the_script_and_its_path,
    codes_and_signals_are_reported_with_their_tickets,
    lines_of_standard_error_arrive_before_the_end,
    lines_that_nobody_hears_are_counted_and_cost_the_script_nothing,
    what_cannot_be_executed_is_reported,
    a_launch_whose_descriptors_are_lost_is_reported,
    a_stubborn_script_and_its_children_are_killed,
    a_script_that_obeys_takes_its_children_with_it,
    who_holds_the_streams_does_not_hold_the_end,
    who_left_the_session_lives_on,
    an_end_of_nobody_changes_nothing,
    files_are_brought_to_their_disk_while_scripts_run,
    launching_and_hearing_allocates_nothing,
    when_too_much_waits_nothing_blocks,
    memory_and_time_are_bounded,
    a_fork_bomb_is_bounded,
    a_dismissed_starter_ends_all_scripts_and_says_so,
    a_killed_starter_is_gone_and_so_are_its_scripts,
    all_ends_with_the_server_whatever_that_died_of,
    a_process_of_several_threads_gets_none,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == SERVER) {
        return be_a_server();
    }
    if arguments.iter().any(|argument| argument == BOMB) {
        return be_a_bomb();
    }
    if !script::STARTER_BUILT {
        assert_eq!(
            script::start(&Confinement::default()).unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
        return ExitCode::SUCCESS;
    }
    if !script::BUILT {
        println!("SKIP: this build starts no scripts");
        return ExitCode::SUCCESS;
    }
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let meant = |name: &str| {
        let fits = |wanted: &&String| name == **wanted || !exact && name.contains(wanted.as_str());
        names.is_empty() || names.iter().any(fits)
    };
    for (name, test) in TESTS.iter().filter(|(name, _)| meant(name)) {
        if arguments.iter().any(|argument| argument == "--list") {
            println!("{name}: test");
            continue;
        }
        print!("test {name} ... ");
        io::stdout().flush().unwrap();
        test();
        println!("ok");
    }
    ExitCode::SUCCESS
}

/// Starts a stubborn script, says its number and the starter's, and waits for an order how to end.
fn be_a_server() -> ExitCode {
    let folder = Folder::new();
    let mut starter = Starting::new();
    folder.script("stubborn", STUBBORN);
    let mut run = starter.run(&folder, "stubborn", &[]);
    let script = run.line();
    let child = run.line();
    println!("{} {script} {child}", starter.starter.pid().unwrap());
    // What holds the folder would not go with a killed server.
    drop(folder);
    let mut order = String::new();
    io::stdin().read_line(&mut order).unwrap();
    match order.trim() {
        "return" => ExitCode::SUCCESS,
        "abort" => std::process::abort(),
        _ => std::process::exit(3),
    }
}

/// Says its own number and that of a child, and ends by KILL alone.
const STUBBORN: &str = "trap '' TERM HUP INT; echo $$
sh -c 'echo $$; while :; do sleep 1; done' & while :; do sleep 1; done";

/// A folder of scripts that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("adieu-starter-{}-{count}", std::process::id());
        let folder = Self(env::temp_dir().join(name));
        fs::create_dir(&folder.0).unwrap();
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    fn file(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        self.file(name, &format!("#!/bin/sh\n{text}\n"), 0o755);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What the starter said, by value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Ended(u32, How),
    Failed(u32, i32),
    Said(u32, String),
    Gone,
}

impl Word {
    /// Who has ended, and how; anything else fails the test.
    fn ended(self) -> (u32, How) {
        let Self::Ended(ticket, how) = self else {
            panic!("{self:?} is no end");
        };
        (ticket, how)
    }
}

/// A starter, and what it said that nobody has asked about yet.
struct Starting {
    starter: Starter,
    frame: Frame,
    next: u32,
    bounds: Bounds,
}

/// A script that was launched.
struct Run {
    ticket: u32,
    output: OwnedFd,
    read: Vec<u8>,
}

impl Starting {
    fn new() -> Self {
        Self {
            starter: script::start(&Confinement::default()).unwrap(),
            frame: Frame::new(),
            next: 70_000,
            bounds: Bounds {
                kill_ms: 300,
                ..Bounds::default()
            },
        }
    }

    fn launch(&mut self, folder: &Folder, name: &str, input: Option<&OwnedFd>) -> Run {
        let (ours, theirs) = pipe::from_program().unwrap();
        let directory = file::open_root(&folder.0).unwrap();
        self.next += 1;
        let descriptors = Descriptors {
            directory: directory.as_fd(),
            input: input.map(AsFd::as_fd),
            output: theirs.as_fd(),
        };
        assert!(!name.is_empty());
        let bounds = self.bounds;
        let launched = self
            .starter
            .launch(self.next, &mut self.frame, descriptors, &bounds);
        assert_eq!(launched, Launched::Sent);
        Run {
            ticket: self.next,
            output: ours,
            read: Vec::new(),
        }
    }

    /// Launches the file with these variables.
    fn run(&mut self, folder: &Folder, name: &str, variables: &[(&str, &str)]) -> Run {
        self.run_with(folder, (name, None), variables, None)
    }

    fn run_with(
        &mut self,
        folder: &Folder,
        (name, interpreter): (&str, Option<&str>),
        variables: &[(&str, &str)],
        input: Option<&OwnedFd>,
    ) -> Run {
        let interpreter = interpreter.map(str::as_bytes);
        self.frame.begin(name.as_bytes(), interpreter).unwrap();
        for (name, value) in variables {
            self.frame.variable(name, &[value.as_bytes()]).unwrap();
        }
        self.launch(folder, name, input)
    }

    /// A script of this text, run to its end: what it wrote, and how it ended.
    fn sh(&mut self, text: &str) -> (String, Word) {
        let folder = Folder::new();
        folder.script("script", text);
        let mut run = self.run(&folder, "script", &[]);
        let written = run.all();
        let word = self.hear();
        (written, word)
    }

    /// What it says, when it says something.
    fn hear(&mut self) -> Word {
        let mut room = script::ROOM;
        let mut word = None;
        until(|| {
            word = match self.starter.hear(&mut room) {
                Heard::Nothing => None,
                Heard::Ended(ticket, how) => Some(Word::Ended(ticket, how)),
                Heard::Failed(ticket, errno) => Some(Word::Failed(ticket, errno)),
                Heard::Said(ticket, line) => {
                    Some(Word::Said(ticket, String::from_utf8_lossy(line).into()))
                }
                Heard::Gone => Some(Word::Gone),
            };
            word.is_some()
        });
        word.unwrap()
    }

    fn is_silent(&mut self) -> bool {
        matches!(self.starter.hear(&mut script::ROOM.clone()), Heard::Nothing)
    }

    /// It works as it should.
    fn works(&mut self) -> bool {
        let (written, word) = self.sh("echo here; exit 5");
        written == "here\n" && word == Word::Ended(self.next, How::Exited(5))
    }
}

impl Run {
    /// Reads on; false at the end.
    fn more(&mut self) -> bool {
        let mut room = [0; 4096];
        let mut count = None;
        until(|| match pipe::read(self.output.as_fd(), &mut room) {
            Ok(n) => {
                count = Some(n);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                false
            }
        });
        self.read.extend(&room[..count.unwrap()]);
        count != Some(0)
    }

    /// Everything until the end.
    fn all(&mut self) -> String {
        while self.more() {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// The next line.
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(end + 1);
                let line = std::mem::replace(&mut self.read, rest);
                return String::from_utf8(line).unwrap().trim().to_owned();
            }
            assert!(self.more(), "it ended before a line did");
        }
    }
}

fn until(mut condition: impl FnMut() -> bool) {
    let start = clock::monotonic_ms();
    while !condition() {
        let waited_ms = clock::monotonic_ms() - start;
        assert!(waited_ms < PATIENCE_MS, "the condition did not come");
        thread::yield_now();
    }
}

fn signal(pid: &str, name: &str) {
    let line = format!("kill -{name} {pid}");
    let mut command = Command::new("sh");
    assert!(command.args(["-c", &line]).status().unwrap().success());
}

/// The process has ended. If its parent has, whoever takes orphans here may be slow.
fn has_ended(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().unwrap().starts_with(" Z"),
        Err(_) => true,
    }
}

/// A line of /proc/PID/status.
fn status<'s>(text: &'s str, name: &str) -> &'s str {
    let mut lines = text.lines();
    lines
        .find_map(|line| line.strip_prefix(name))
        .unwrap()
        .trim()
}

// ---- the tests --------------------------------------------------------------------------------

fn a_script_has_its_environment_and_nothing_else() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    // The shell adds some of its own: the kernel knows what it was given.
    folder.script("env", "tr '\\0' '\\n' < /proc/$$/environ; pwd -P");
    let given = [("A", "1"), ("HTTP_X", "a b=c;'\"$(id)"), ("EMPTY", "")];
    let mut run = starter.run(&folder, "env", &given);
    let mut lines: Vec<String> = run.all().lines().map(str::to_owned).collect();
    let directory = lines.pop().unwrap();
    assert_eq!(Path::new(&directory), folder.0.canonicalize().unwrap());
    lines.sort();
    assert_eq!(lines, ["A=1", "EMPTY=", "HTTP_X=a b=c;'\"$(id)"]);
    assert_eq!(starter.hear(), Word::Ended(run.ticket, How::Exited(0)));
}

fn a_script_has_three_descriptors() {
    // Whatever the server has open, close-on-exec or not, a script has none of it.
    let file = fs::File::open("/dev/zero").unwrap();
    let _more: Vec<_> = (0..20).map(|_| file.try_clone().unwrap()).collect();
    let _pair = UnixStream::pair().unwrap();
    let mut first = Starting::new();
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("wait", "read line");
    let (_input, theirs) = pipe::to_program().unwrap();
    let _other = starter.run_with(&folder, ("wait", None), &[], Some(&theirs));
    for starting in [&mut starter, &mut first] {
        let (written, _) = starting.sh("exec ls /proc/self/fd");
        // The fourth is the directory that ls reads.
        assert_eq!(written, "0\n1\n2\n3\n");
    }
}

fn a_script_has_the_signals_of_the_system() {
    // A server that ignores a signal, and one whose starter ignores more.
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("status", "exec cat /proc/self/status");
    let mut run = starter.run(&folder, "status", &[]);
    let text = run.all();
    // Two signals are the C library's own: it lets nobody change what was inherited of them.
    let of_library = 0b11 << 31;
    for set in ["SigBlk:", "SigIgn:", "SigPnd:", "ShdPnd:"] {
        let bits = u64::from_str_radix(status(&text, set), 16).unwrap();
        assert_eq!(bits & !of_library, 0, "{set}");
    }
    // A group of its own, in the server's session.
    let (written, _) = starter.sh("cut -d' ' -f1,5,6 /proc/$$/stat");
    let numbers: Vec<&str> = written.split_whitespace().collect();
    assert_eq!(numbers[0], numbers[1]);
    assert_ne!(numbers[0], numbers[2]);
}

fn a_script_is_as_important_as_the_server() {
    let mut starter = Starting::new();
    let nice = |stat: &str| -> i32 {
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(16).unwrap().parse().unwrap()
    };
    let (written, _) = starter.sh("cat /proc/$$/stat; umask; ulimit -c");
    let mut lines = written.lines();
    let own = fs::read_to_string("/proc/self/stat").unwrap();
    assert_eq!(nice(lines.next().unwrap()), nice(&own));
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let umask = status(&text, "Umask:");
    assert_eq!(
        lines.next().unwrap().trim_start_matches('0'),
        umask.trim_start_matches('0')
    );
    assert_eq!(lines.next(), Some("0"), "no core is written");
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", starter.starter.pid().unwrap())).unwrap();
    assert!(stat.contains("(adieu-starter)"), "{stat}");
    assert_eq!(nice(&stat), nice(&own));
    let directory = fs::read_link(format!("/proc/{}/cwd", starter.starter.pid().unwrap())).unwrap();
    assert_eq!(directory, Path::new("/"));
}

fn what_goes_in_comes_out_by_pipe_by_file_and_by_nothing() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("cat", "cat; echo end");
    let mut run = starter.run(&folder, "cat", &[]);
    assert_eq!(run.all(), "end\n");
    let spool = memory::file(c"spool").unwrap();
    memory::write_at(spool.as_fd(), b"a body\n", 0).unwrap();
    let mut run = starter.run_with(&folder, ("cat", None), &[], Some(&spool));
    assert_eq!(run.all(), "a body\nend\n");
    let (ours, theirs) = pipe::to_program().unwrap();
    let mut run = starter.run_with(&folder, ("cat", None), &[], Some(&theirs));
    drop(theirs);
    assert_eq!(pipe::write(ours.as_fd(), b"flows\n").unwrap(), 6);
    assert_eq!(run.line(), "flows");
    drop(ours);
    assert_eq!(run.all(), "end\n");
}

fn an_interpreter_gets_the_script_and_its_path() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    // Neither executable nor with a first line; and a name that could be an option.
    let text = "echo \"$0 $# $SCRIPT_FILENAME $REDIRECT_STATUS $A\"";
    folder.file("-c", text, 0o600);
    let mut run = starter.run_with(&folder, ("-c", Some("/bin/sh")), &[("A", "1")], None);
    let path = folder.0.canonicalize().unwrap().join("-c");
    assert_eq!(run.all(), format!("./-c 0 {} 200 1\n", path.display()));
}

fn codes_and_signals_are_reported_with_their_tickets() {
    let mut starter = Starting::new();
    let mut end = |text: &str| {
        let (ticket, how) = starter.sh(text).1.ended();
        assert_eq!(ticket, starter.next);
        how
    };
    assert_eq!(end("exit 0"), How::Exited(0));
    assert_eq!(end("exit 255"), How::Exited(255));
    assert_eq!(end("kill -KILL $$"), How::Killed(9));
    assert_eq!(end("kill -TERM $$"), How::Killed(15));
    // Many at once end in any order.
    let folder = Folder::new();
    folder.script("exit", "read code; exit $code");
    let mut expected = Vec::new();
    for code in 0..20_u8 {
        let input = memory::file(c"code").unwrap();
        memory::write_at(input.as_fd(), format!("{code}\n").as_bytes(), 0).unwrap();
        let run = starter.run_with(&folder, ("exit", None), &[], Some(&input));
        expected.push((run.ticket, How::Exited(code)));
    }
    let mut found: Vec<_> = (0..20).map(|_| starter.hear().ended()).collect();
    found.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(found, expected);
    assert!(starter.is_silent());
}

fn lines_of_standard_error_arrive_before_the_end() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    let long = "l".repeat(300);
    folder.script(
        "err",
        &format!("echo one >&2; echo {long} >&2; printf rest >&2; exit 1"),
    );
    for _ in 0..3 {
        let run = starter.run(&folder, "err", &[]);
        let said = |line: &str| Word::Said(run.ticket, line.to_owned());
        assert_eq!(starter.hear(), said("one"));
        assert_eq!(starter.hear(), said(&long[..script::LINE_MAX]));
        assert_eq!(starter.hear(), said(&long[script::LINE_MAX..]));
        assert_eq!(starter.hear(), said("rest"));
        assert_eq!(starter.hear(), Word::Ended(run.ticket, How::Exited(1)));
    }
}

fn lines_that_nobody_hears_are_counted_and_cost_the_script_nothing() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script(
        "flood",
        "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2; echo done",
    );
    let mut run = starter.run(&folder, "flood", &[]);
    // Nobody hears, and the script ends all the same.
    assert_eq!(run.all(), "done\n");
    let (mut said, mut lost) = (0, 0);
    let word = loop {
        match starter.hear() {
            Word::Said(_, line) => match line.strip_prefix("(lines lost: ") {
                Some(rest) => lost += rest.trim_end_matches(')').parse::<u32>().unwrap(),
                None => said += 1,
            },
            word @ (Word::Ended(..) | Word::Failed(..) | Word::Gone) => break word,
        }
    };
    assert_eq!(word, Word::Ended(run.ticket, How::Exited(0)));
    assert!(said > 0 && lost > 0, "{said} and {lost}");
    assert!(said + lost <= 20_000, "{said} and {lost}");
    assert!(starter.works());
}

fn what_cannot_be_executed_is_reported() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.file("bad", "#!/nowhere/at/all\n", 0o755);
    folder.file("plain", "#!/bin/sh\n", 0o644);
    fs::create_dir(folder.0.join("sub")).unwrap();
    folder.file("garbage", "\u{1}\0\u{2}garbage", 0o755);
    for (name, interpreter, errno) in [
        ("missing", None, 2),
        ("bad", None, 2),
        ("plain", None, 13),
        ("sub", None, 13),
        ("garbage", None, 8),
        ("plain", Some("/nowhere/at/all"), 2),
        ("plain", Some("/dev/null"), 13),
    ] {
        let mut run = starter.run_with(&folder, (name, interpreter), &[], None);
        assert_eq!(starter.hear(), Word::Failed(run.ticket, errno), "{name}");
        assert_eq!(run.all(), "");
    }
    assert!(starter.works());
    // A directory that is gone, where an interpreter would be told its path.
    let (_, theirs) = pipe::from_program().unwrap();
    let gone = Folder::new();
    let directory = file::open_root(&gone.0).unwrap();
    drop(gone);
    starter.frame.begin(b"x", Some(b"/bin/sh")).unwrap();
    let descriptors = Descriptors {
        directory: directory.as_fd(),
        input: None,
        output: theirs.as_fd(),
    };
    let launched = starter
        .starter
        .launch(1, &mut starter.frame, descriptors, &starter.bounds);
    assert_eq!(launched, Launched::Sent);
    assert_eq!(starter.hear(), Word::Failed(1, 2));
}

fn a_launch_whose_descriptors_are_lost_is_reported() {
    let mut starter = Starting::new();
    assert!(starter.works());
    let pid = starter.starter.pid().unwrap();
    let line = format!("command -v prlimit > /dev/null && prlimit --pid {pid} --nofile=7");
    let status = Command::new("sh").args(["-c", &line]).status().unwrap();
    if !status.success() {
        println!("SKIP: there is no prlimit");
        return;
    }
    let folder = Folder::new();
    folder.script("script", "exit 0");
    let mut run = starter.run(&folder, "script", &[]);
    assert_eq!(starter.hear(), Word::Failed(run.ticket, 24));
    assert_eq!(run.all(), "");
}

fn a_stubborn_script_and_its_children_are_killed() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("stubborn", STUBBORN);
    let mut run = starter.run(&folder, "stubborn", &[]);
    let pids = [run.line(), run.line()];
    let before = clock::monotonic_ms();
    assert!(starter.starter.end(run.ticket));
    // Once more changes nothing.
    assert!(starter.starter.end(run.ticket));
    assert_eq!(starter.hear(), Word::Ended(run.ticket, How::Killed(9)));
    let took = clock::monotonic_ms() - before;
    assert!(took >= 290, "{took} ms are no grace");
    for pid in pids {
        until(|| has_ended(&pid));
    }
    assert!(starter.works());
}

fn a_script_that_obeys_takes_its_children_with_it() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script(
        "leader",
        "sh -c \"trap '' TERM; echo \\$\\$; while :; do sleep 1; done\" & wait",
    );
    let mut run = starter.run(&folder, "leader", &[]);
    let child = run.line();
    assert!(starter.starter.end(run.ticket));
    // The script itself goes at once, and that is reported; what it leaves is killed in time.
    assert_eq!(starter.hear(), Word::Ended(run.ticket, How::Killed(15)));
    until(|| has_ended(&child));
    // Stopped ones hear it too.
    folder.script("stopped", "echo $$; kill -STOP $$");
    let mut run = starter.run(&folder, "stopped", &[]);
    run.line();
    assert!(starter.starter.end(run.ticket));
    assert_eq!(starter.hear(), Word::Ended(run.ticket, How::Killed(15)));
}

fn who_holds_the_streams_does_not_hold_the_end() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("leaves", "sleep 100 & echo $!; exit 3");
    let mut run = starter.run(&folder, "leaves", &[]);
    let pid = run.line();
    assert_eq!(starter.hear(), Word::Ended(run.ticket, How::Exited(3)));
    // It holds the output, and nobody has told the script to end: it lives.
    assert!(!has_ended(&pid));
    let nothing = pipe::read(run.output.as_fd(), &mut [0; 8]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    assert!(starter.works());
    signal(&pid, "KILL");
    assert_eq!(run.all(), "");
}

fn who_left_the_session_lives_on() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script(
        "daemon",
        "setsid sh -c 'echo $$; exec sleep 100' < /dev/null 2> /dev/null & read x; sleep 100",
    );
    let (_input, theirs) = pipe::to_program().unwrap();
    let mut run = starter.run_with(&folder, ("daemon", None), &[], Some(&theirs));
    let pid = run.line();
    assert!(starter.starter.end(run.ticket));
    assert_eq!(starter.hear(), Word::Ended(run.ticket, How::Killed(15)));
    starter.starter.dismiss();
    assert_eq!(starter.hear(), Word::Gone);
    until(|| starter.starter.reap());
    assert!(!has_ended(&pid));
    signal(&pid, "KILL");
}

fn an_end_of_nobody_changes_nothing() {
    let mut starter = Starting::new();
    assert!(starter.starter.end(12));
    assert!(starter.works());
    assert!(starter.starter.end(starter.next));
    assert!(starter.works());
    assert!(starter.is_silent());
}

fn files_are_brought_to_their_disk_while_scripts_run() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("waits", "cat");
    let (input, ours) = {
        let (ours, theirs) = pipe::to_program().unwrap();
        (theirs, ours)
    };
    let run = starter.run_with(&folder, ("waits", None), &[], Some(&input));
    drop(input);
    let file = fs::File::create(folder.0.join("file")).unwrap();
    let directory = file::open_root(&folder.0).unwrap();
    let (_read, pipe) = pipe::from_program().unwrap();
    for (ticket, fd, code) in [
        (1001, file.as_fd(), 0),
        (1002, directory.as_fd(), 0),
        (1003, pipe.as_fd(), 22), // EINVAL: it has no disk
    ] {
        assert_eq!(starter.starter.sync(ticket, fd), Launched::Sent);
        assert_eq!(starter.hear().ended(), (ticket, How::Exited(code)));
    }
    assert!(starter.is_silent());
    drop(ours);
    assert_eq!(starter.hear().ended(), (run.ticket, How::Exited(0)));
}

fn launching_and_hearing_allocates_nothing() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("quick", "echo said >&2");
    let (_ours, theirs) = pipe::from_program().unwrap();
    let directory = file::open_root(&folder.0).unwrap();
    let mut room = script::ROOM;
    let before = CALLS.load(Ordering::Relaxed);
    for ticket in 0..10 {
        starter.frame.begin(b"quick", None).unwrap();
        starter.frame.variable("A", &[b"1", b"2"]).unwrap();
        let descriptors = Descriptors {
            directory: directory.as_fd(),
            input: None,
            output: theirs.as_fd(),
        };
        let bounds = starter.bounds;
        let launched = starter
            .starter
            .launch(ticket, &mut starter.frame, descriptors, &bounds);
        assert_eq!(launched, Launched::Sent);
        let mut said = false;
        until(|| match starter.starter.hear(&mut room) {
            Heard::Said(of, line) => {
                said = of == ticket && line == b"said";
                false
            }
            Heard::Ended(of, how) => of == ticket && how == How::Exited(0),
            Heard::Nothing => false,
            Heard::Failed(..) | Heard::Gone => panic!("it failed"),
        });
        assert!(said && starter.starter.end(ticket));
    }
    assert_eq!(CALLS.load(Ordering::Relaxed), before);
}

fn when_too_much_waits_nothing_blocks() {
    let mut starter = Starting::new();
    let pid = starter.starter.pid().unwrap().to_string();
    let folder = Folder::new();
    folder.script("quick", "exit 0");
    signal(&pid, "STOP");
    let directory = file::open_root(&folder.0).unwrap();
    let (_ours, theirs) = pipe::from_program().unwrap();
    starter.frame.begin(b"quick", None).unwrap();
    let long = vec![b'x'; 8000];
    starter.frame.variable("LONG", &[&long]).unwrap();
    let mut sent = 0;
    let refused = loop {
        let descriptors = Descriptors {
            directory: directory.as_fd(),
            input: None,
            output: theirs.as_fd(),
        };
        let bounds = starter.bounds;
        match starter
            .starter
            .launch(sent, &mut starter.frame, descriptors, &bounds)
        {
            Launched::Sent => sent += 1,
            other @ (Launched::TooLong | Launched::Full | Launched::Gone) => break other,
        }
    };
    assert_eq!(refused, Launched::Full);
    assert!(sent >= 4, "{sent} launches are too few");
    let mut orders = 0;
    while starter.starter.end(1_000_000) {
        orders += 1;
        assert!(orders < 1_000_000);
    }
    assert!(starter.is_silent());
    signal(&pid, "CONT");
    let mut ended: Vec<u32> = (0..sent)
        .map(|_| {
            let (ticket, how) = starter.hear().ended();
            assert_eq!(how, How::Exited(0));
            ticket
        })
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, (0..sent).collect::<Vec<_>>());
    assert!(starter.works());
}

fn memory_and_time_are_bounded() {
    let mut starter = Starting::new();
    starter.bounds.memory_bytes = 48 << 20;
    starter.bounds.cpu_s = 1;
    let (written, _) = starter.sh("ulimit -v; ulimit -t");
    assert_eq!(written, format!("{}\n1\n", 48 << 10));
    // A shell that keeps all it reads.
    let (written, word) = starter.sh("x=$(tr '\\0' x < /dev/zero | head -c 100000000); echo alive");
    assert_eq!(written, "");
    assert!(!matches!(word, Word::Ended(_, How::Exited(0))), "{word:?}");
    while !matches!(word, Word::Ended(..)) && !matches!(starter.hear(), Word::Ended(..)) {}
    // SIGXCPU after a second.
    let (_, word) = starter.sh("while :; do :; done");
    assert_eq!(word, Word::Ended(starter.next, How::Killed(24)));
    starter.bounds = Bounds::default();
    assert!(starter.works());
}

fn a_fork_bomb_is_bounded() {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let root = status(&text, "Uid:").starts_with("0\t");
    if !root {
        println!("SKIP: not root, and this user may have any number of processes");
        return;
    }
    // As somebody who has no other process, for root is not bound.
    let user = USERS + std::process::id() % 5000;
    let line = format!(
        "exec setpriv --reuid={user} --regid={user} --clear-groups \"$0\" {BOMB} {user} \"$1\""
    );
    let folder = Folder::new();
    // Forks up to fifty at once, and says when it cannot any more.
    folder.script(
        "bomb",
        "i=0; while [ $i -lt 50 ]; do sleep 2 & i=$((i+1)); done 2>/dev/null; echo all",
    );
    // Where the other user can read it.
    let program = folder.0.join("program");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &line]).arg(&program).arg(&folder.0);
    let output = command.output().unwrap();
    if !Path::new("/usr/bin/setpriv").exists() {
        println!("SKIP: there is no setpriv");
        return;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    assert_eq!(text.trim(), "bounded", "{error}");
}

/// Starts the bomb with a bound, and says whether that has held.
fn be_a_bomb() -> ExitCode {
    let folder = Folder(PathBuf::from(env::args().next_back().unwrap()));
    let user = env::args().nth(2).unwrap();
    let mut starter = Starting::new();
    starter.bounds.processes = 12;
    let mut run = starter.run(&folder, "bomb", &[]);
    // A shell that cannot fork ends, or goes on without.
    let mut most = 0;
    let mut room = script::ROOM;
    until(|| {
        most = most.max(processes_of(&user));
        matches!(starter.starter.hear(&mut room), Heard::Ended(..))
    });
    most = most.max(processes_of(&user));
    let _ = starter.starter.end(run.ticket);
    let wrote_all = pipe::read(run.output.as_fd(), &mut [0; 8]).is_ok_and(|count| count > 0);
    run.read.clear();
    // The kernel lets one more come, and a process that has ended is counted for a while.
    println!("{}", if most <= 16 { "bounded" } else { "unbounded" });
    eprintln!("{most} processes, wrote all: {wrote_all}");
    // The folder is another's.
    std::mem::forget(folder);
    ExitCode::SUCCESS
}

fn processes_of(user: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let texts = entries.filter_map(|e| fs::read_to_string(e.path().join("status")).ok());
    let own = |text: &String| status(text, "Uid:").split_whitespace().next() == Some(user);
    texts.filter(own).count()
}

fn a_dismissed_starter_ends_all_scripts_and_says_so() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("stubborn", STUBBORN);
    folder.script("obeys", "echo $$; sleep 100");
    let mut one = starter.run(&folder, "stubborn", &[]);
    let pids = [one.line(), one.line()];
    let mut other = starter.run(&folder, "obeys", &[]);
    other.line();
    let pid = starter.starter.pid().unwrap().to_string();
    starter.starter.dismiss();
    assert_eq!(starter.hear(), Word::Ended(other.ticket, How::Killed(15)));
    assert_eq!(starter.hear(), Word::Ended(one.ticket, How::Killed(9)));
    assert_eq!(starter.hear(), Word::Gone);
    until(|| starter.starter.reap());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    for pid in pids {
        until(|| has_ended(&pid));
    }
    starter.frame.begin(b"obeys", None).unwrap();
    let directory = file::open_root(&folder.0).unwrap();
    let descriptors = Descriptors {
        directory: directory.as_fd(),
        input: None,
        output: directory.as_fd(),
    };
    let launched = starter
        .starter
        .launch(1, &mut starter.frame, descriptors, &starter.bounds);
    assert_eq!(launched, Launched::Gone);
    assert!(starter.starter.end(1));
}

fn a_killed_starter_is_gone_and_so_are_its_scripts() {
    let mut starter = Starting::new();
    let folder = Folder::new();
    folder.script("obeys", "echo $$; sleep 100 & wait");
    let mut run = starter.run(&folder, "obeys", &[]);
    let script = run.line();
    let pid = starter.starter.pid().unwrap().to_string();
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "PIPE"] {
        signal(&pid, name);
        assert!(starter.works(), "{name}");
    }
    assert!(!starter.starter.reap());
    signal(&pid, "KILL");
    assert_eq!(starter.hear(), Word::Gone);
    assert_eq!(starter.hear(), Word::Gone);
    until(|| starter.starter.reap() && has_ended(&script));
}

fn all_ends_with_the_server_whatever_that_died_of() {
    for order in ["return", "abort", "exit", "KILL"] {
        let mut server = Command::new(env::current_exe().unwrap());
        server
            .arg(SERVER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = server.stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let pids: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(pids.len(), 3);
        assert!(pids.iter().all(|pid| !has_ended(pid)), "{line}");
        if order == "KILL" {
            server.kill().unwrap();
        } else {
            writeln!(server.stdin.take().unwrap(), "{order}").unwrap();
        }
        server.wait().unwrap();
        for pid in pids {
            until(|| has_ended(pid));
        }
    }
}

fn a_process_of_several_threads_gets_none() {
    let refused = thread::spawn(|| script::start(&Confinement::default()).map(|_| ()))
        .join()
        .unwrap();
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    assert!(Starting::new().works());
    let end = Starting::new();
    assert!(end.starter.fd().as_raw_fd() > 2);
}
