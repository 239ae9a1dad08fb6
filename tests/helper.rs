//! The helper as a process: how it starts, what it answers, and above all how it ends.
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

use adieu::config::AuthConfig;
use adieu::connection::client::Client;
use adieu::connection::time::Ms;
use adieu::helper::credentials::{Credentials, Looked};
use adieu::helper::{self, Asked, Heard, Helper, Question, Verdict};
use adieu::maker::Maker;
use adieu::script::Confinement;
use adieu::sys::clock;
use std::alloc::{GlobalAlloc, Layout, System};
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
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

/// htpasswd -nbB -C 4 alice wonderland; openssl passwd -apr1 -salt ab wonderland;
/// mkpasswd -m sha-512 -R 12345 wonderland
const USERS: &str = "\
alice:$2y$04$Zmh1ITXEUKfZO6W.aQJhSO6HA9fUCUzhcXraJPCS8yyIQbQfbDS/C
bob:$apr1$ab$1NDg3q7t1vFBIqKhpTlIi1
carol:$6$rounds=12345$.qbwUJAiEbEPOaul$9HQWX6OGkX65RkTI4wyxjfJzSl.4zs5ifxfitSuoF4Q69d0EUA8Mt8kV\
Yjx.D4dilwB1xasxYW6cZ8l89ZWF71
dave:wonderland
";

/// mkpasswd -m sha-512 -R 100000 -S adieu wonderland
const SLOW: &str = "\
erin:$6$rounds=100000$adieu$TIrU.x0BiYXlNWF40e1QDTn2nrrKmuY6QYiETXFOfe1Pxs8OkRSFQKJVo83DIwA8r2FXk\
1uOQTnfGDpXg/lFO1
";

const TESTS: &[(&str, fn())] = &[
    ("questions_are_answered_in_their_order", in_order),
    ("a_file_that_changes_is_read_again", changes),
    ("what_is_too_long_is_not_sent", too_long),
    ("when_too_many_questions_wait_nothing_blocks", full),
    ("asking_and_hearing_allocates_nothing", allocates_nothing),
    ("it_holds_nothing_of_the_server", holds_nothing),
    (
        "it_has_a_name_and_lets_the_server_go_first",
        name_and_priority,
    ),
    (
        "hashes_take_only_time_that_nobody_else_wants",
        in_spare_time,
    ),
    (
        "where_a_core_is_always_wanted_passwords_are_looked_at",
        on_a_busy_core,
    ),
    ("signals_do_not_end_it", signals),
    ("a_killed_helper_is_gone_and_leaves_nothing", killed),
    (
        "a_silent_helper_is_killed_for_good",
        a_silent_helper_is_killed_for_good,
    ),
    ("a_dismissed_helper_answers_first", dismissed),
    ("a_dropped_helper_ends_while_another_lives", dropped),
    (
        "it_ends_with_its_server_whatever_that_died_of",
        ends_with_server,
    ),
    (
        "one_that_another_process_started_is_killed_by_it",
        made_elsewhere,
    ),
    ("the_code_behind_the_start_runs_once", runs_once),
    ("a_process_of_several_threads_gets_none", several_threads),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == SERVER) {
        return be_a_server();
    }
    if !helper::BUILT {
        assert_eq!(
            helper::start().unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
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

/// Starts a helper, says its number, and waits for an order how to end.
fn be_a_server() -> ExitCode {
    let mut helper = start();
    let answered = ask_all(&mut helper, Path::new("/dev/null"), &[("nobody", "x")]);
    assert_eq!(answered, [Verdict::Failed]);
    println!("{}", helper.pid().unwrap());
    let mut order = String::new();
    io::stdin().read_line(&mut order).unwrap();
    match order.trim() {
        "return" => ExitCode::SUCCESS,
        "abort" => std::process::abort(),
        // With a question that nobody will hear the answer to.
        _ => {
            let users = Users::new(USERS);
            assert_eq!(ask(&mut helper, 1, &users.0, ("carol", "x")), Asked::Sent);
            std::process::exit(3)
        }
    }
}

/// A file that goes with the test.
struct Users(PathBuf);

impl Users {
    fn new(text: &str) -> Self {
        let name = format!("adieu-helper-{}", std::process::id());
        let users = Self(env::temp_dir().join(name));
        fs::write(&users.0, text).unwrap();
        users
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn start() -> Helper {
    helper::start().unwrap()
}

fn ask(helper: &mut Helper, id: u32, file: &Path, who: (&str, &str)) -> Asked {
    let question = Question {
        file: file.as_os_str().as_encoded_bytes(),
        user: who.0.as_bytes(),
        password: who.1.as_bytes(),
        plain: false,
    };
    helper.ask(id, &question)
}

/// What it says, when it says something.
fn hear(helper: &mut Helper) -> Heard {
    let mut heard = Heard::Nothing;
    until(|| {
        heard = helper.hear();
        heard != Heard::Nothing
    });
    heard
}

/// Asks for each of them, and hears the verdicts in the same order.
fn ask_all(helper: &mut Helper, file: &Path, all: &[(&str, &str)]) -> Vec<Verdict> {
    for (id, who) in (70_000..).zip(all) {
        assert_eq!(ask(helper, id, file, *who), Asked::Sent);
    }
    let verdicts = (70_000..).zip(all).map(|(id, _)| match hear(helper) {
        Heard::Verdict(number, verdict) if number == id => verdict,
        other @ (Heard::Verdict(..) | Heard::Nothing | Heard::Gone) => {
            panic!("{other:?} is no verdict on {id}")
        }
    });
    verdicts.collect()
}

/// It works as it should.
fn works(helper: &mut Helper) -> bool {
    let users = Users::new(USERS);
    let all = [("alice", "wonderland"), ("alice", "wonderlanD")];
    ask_all(helper, &users.0, &all) == [Verdict::Yes, Verdict::No]
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
    assert!(
        Command::new("sh")
            .args(["-c", &line])
            .status()
            .unwrap()
            .success()
    );
}

/// The process has ended. If its parent has, whoever takes orphans here may be slow.
fn has_ended(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().unwrap().starts_with(" Z"),
        Err(_) => true,
    }
}

// ---- the tests --------------------------------------------------------------------------------

fn in_order() {
    let users = Users::new(USERS);
    let mut helper = start();
    // The first takes longest.
    let all = [
        ("carol", "wonderland"),
        ("bob", "wonderland"),
        ("bob", ""),
        ("alice", "wonderland"),
        ("nobody", "wonderland"),
        ("dave", "wonderland"),
        ("carol", "wonder"),
    ];
    let (yes, no) = (Verdict::Yes, Verdict::No);
    for _ in 0..3 {
        assert_eq!(helper.hear(), Heard::Nothing);
        let verdicts = ask_all(&mut helper, &users.0, &all);
        assert_eq!(verdicts, [yes, yes, no, yes, no, no, no]);
    }
    let question = Question {
        file: users.0.as_os_str().as_encoded_bytes(),
        user: b"dave",
        password: b"wonderland",
        plain: true,
    };
    assert_eq!(helper.ask(u32::MAX, &question), Asked::Sent);
    assert_eq!(hear(&mut helper), Heard::Verdict(u32::MAX, yes));
}

fn changes() {
    let mut helper = start();
    let users = Users::new(USERS);
    let mut is = |verdict| {
        let verdicts = ask_all(&mut helper, &users.0, &[("bob", "wonderland")]);
        assert_eq!(verdicts, [verdict]);
    };
    is(Verdict::Yes);
    fs::write(&users.0, USERS.replace("bob", "rob")).unwrap();
    is(Verdict::No);
    fs::remove_file(&users.0).unwrap();
    is(Verdict::Failed);
    fs::write(&users.0, USERS).unwrap();
    is(Verdict::Yes);
}

fn too_long() {
    let mut helper = start();
    let (fits, long) = ("x".repeat(255), "x".repeat(256));
    let file = Path::new(&fits);
    assert_eq!(
        ask(&mut helper, 1, Path::new(&long), ("", "")),
        Asked::TooLong
    );
    assert_eq!(ask(&mut helper, 2, file, (&long, "")), Asked::TooLong);
    assert_eq!(ask(&mut helper, 3, file, ("", &long)), Asked::TooLong);
    assert_eq!(ask(&mut helper, 4, file, (&fits, &fits)), Asked::Sent);
    assert_eq!(hear(&mut helper), Heard::Verdict(4, Verdict::Failed));
    assert!(works(&mut helper));
}

fn full() {
    let mut helper = start();
    let pid = helper.pid().unwrap().to_string();
    signal(&pid, "STOP");
    let long = "x".repeat(255);
    let mut sent = 0;
    let refused = loop {
        match ask(&mut helper, sent, Path::new(&long), (&long, &long)) {
            Asked::Sent => sent += 1,
            other @ (Asked::TooLong | Asked::Full | Asked::Gone) => break other,
        }
    };
    assert_eq!(refused, Asked::Full);
    assert!(sent >= 64, "{sent} questions are too few");
    assert_eq!(helper.hear(), Heard::Nothing);
    signal(&pid, "CONT");
    for id in 0..sent {
        assert_eq!(hear(&mut helper), Heard::Verdict(id, Verdict::Failed));
    }
    assert!(works(&mut helper));
}

fn allocates_nothing() {
    let mut helper = start();
    let users = Users::new(USERS);
    let before = CALLS.load(Ordering::Relaxed);
    for id in 0..50 {
        assert_eq!(
            ask(&mut helper, id, &users.0, ("bob", "wonderland")),
            Asked::Sent
        );
        assert_eq!(hear(&mut helper), Heard::Verdict(id, Verdict::Yes));
        assert_eq!(helper.hear(), Heard::Nothing);
    }
    assert_eq!(CALLS.load(Ordering::Relaxed), before);
}

fn holds_nothing() {
    let file = fs::File::open("/dev/zero").unwrap();
    let _more: Vec<_> = (0..50).map(|_| file.try_clone().unwrap()).collect();
    let _pair = UnixStream::pair().unwrap();
    let mut first = start();
    let mut helper = start();
    for helper in [&mut first, &mut helper] {
        assert!(works(helper));
        let open = fs::read_dir(format!("/proc/{}/fd", helper.pid().unwrap())).unwrap();
        let mut others = Vec::new();
        for entry in open {
            let path = entry.unwrap().path();
            let number: i32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            if number > 2 {
                others.push(fs::read_link(&path).unwrap());
            }
        }
        assert_eq!(others.len(), 1, "{others:?}");
        // It is the other end of ours, which has another number than any end here.
        let theirs = others[0].to_str().unwrap();
        assert!(theirs.starts_with("socket:"), "{theirs}");
        let ours = fs::read_link(format!("/proc/self/fd/{}", helper.fd().as_raw_fd())).unwrap();
        assert_ne!(ours, others[0]);
    }
}

fn name_and_priority() {
    let mut helper = start();
    assert!(works(&mut helper));
    let (name, nice) = name_and_nice(&helper.pid().unwrap().to_string());
    assert_eq!(name, "adieu-helper");
    assert_eq!(nice, (name_and_nice("self").1 + 10).min(19));
}

/// What ps(1) calls this process, and how many steps it lets others go first.
fn name_and_nice(pid: &str) -> (String, i32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (name, rest) = stat.rsplit_once(") ").unwrap();
    let name = name.split_once('(').unwrap().1.to_owned();
    // The 19th, of which two are in front.
    (name, rest.split(' ').nth(16).unwrap().parse().unwrap())
}

/// Its threads, by number: what it said of itself is whether it waits for spare time.
fn threads(helper: &Helper) -> Vec<(String, bool)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", helper.pid().unwrap())).unwrap();
    let thread = |task: io::Result<fs::DirEntry>| {
        let task = task.unwrap();
        let stat = fs::read_to_string(task.path().join("stat")).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        // The 41st, of which two are in front.
        let policy: i32 = rest.trim().split(' ').nth(38).unwrap().parse().unwrap();
        let number = task.file_name().into_string().unwrap();
        (number, policy == libc::SCHED_IDLE)
    };
    tasks.map(thread).collect()
}

/// How long each kind of its threads had a core, ns: the helper's own, and the one for spare time.
fn spent_ns(helper: &Helper) -> [u64; 2] {
    let mut spent = [0; 2];
    for (number, spare) in threads(helper) {
        let path = format!("/proc/{}/task/{number}/schedstat", helper.pid().unwrap());
        let text = fs::read_to_string(path).unwrap();
        let ns: u64 = text.split(' ').next().unwrap().parse().unwrap();
        spent[usize::from(spare)] += ns;
    }
    spent
}

/// Asks about a hash that takes some time; how much each kind of thread had for it, ns.
fn look_at_a_slow_one(helper: &mut Helper) -> [u64; 2] {
    let users = Users::new(SLOW);
    let before = spent_ns(helper);
    let verdicts = ask_all(helper, &users.0, &[("erin", "wonderland")]);
    assert_eq!(verdicts, [Verdict::Yes]);
    let after = spent_ns(helper);
    [after[0] - before[0], after[1] - before[1]]
}

fn in_spare_time() {
    let mut helper = start();
    assert!(works(&mut helper));
    let kinds: Vec<bool> = threads(&helper)
        .into_iter()
        .map(|(_, spare)| spare)
        .collect();
    assert_eq!(kinds, [false, true]);
    // Whatever else runs here leaves it some in the end.
    until(|| {
        let [own, spare] = look_at_a_slow_one(&mut helper);
        own < spare / 2
    });
}

/// Somebody who always wants the core: a loop, or so many that weigh together as much as one of ten
/// steps down does. Under nice(1) a single one leaves more to who waits for spare time than is too
/// little.
struct Hog(Vec<std::process::Child>);

impl Hog {
    /// On the first core, with the helper.
    fn beside(helper: &Helper) -> Option<Self> {
        let cores = fs::read_to_string("/proc/self/status").unwrap();
        let line = cores
            .lines()
            .find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
        let core = line
            .unwrap()
            .trim()
            .split([',', '-'])
            .next()
            .unwrap()
            .to_owned();
        let pid = helper.pid().unwrap().to_string();
        let pinned = Command::new("taskset")
            .args(["-a", "-c", "-p", &core, &pid])
            .stdout(Stdio::null())
            .status();
        if !pinned.ok()?.success() {
            return None;
        }
        let hog = |_| {
            Command::new("taskset")
                .args(["-c", &core, "sh", "-c", "while :; do :; done"])
                .spawn()
                .unwrap()
        };
        // Three steps halve what one weighs; see sched(7).
        let steps = name_and_nice("self").1 - 10;
        let doublings = (steps.max(0) + 2) / 3;
        Some(Self((0..1 << doublings).map(hog).collect()))
    }

    /// It is the loop by now, and gets its core.
    fn always_wants_it(&self) {
        for hog in &self.0 {
            let path = format!("/proc/{}/schedstat", hog.id());
            until(|| {
                let text = fs::read_to_string(&path).unwrap();
                text.split(' ').next().unwrap().parse::<u64>().unwrap() > 20_000_000
            });
        }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            drop(hog.kill());
            drop(hog.wait());
        }
    }
}

fn on_a_busy_core() {
    let mut helper = start();
    assert!(works(&mut helper));
    let Some(hog) = Hog::beside(&helper) else {
        println!("SKIP: taskset cannot pin a process here");
        return;
    };
    hog.always_wants_it();
    let [own, spare] = look_at_a_slow_one(&mut helper);
    assert!(own > spare, "{own} and {spare} ns");
    // The next one does not wait for the thread that is behind.
    let [own, spare] = look_at_a_slow_one(&mut helper);
    assert!(own > spare, "{own} and {spare} ns");
    drop(hog);
    // It makes up for it, and is asked again.
    until(|| {
        let [own, spare] = look_at_a_slow_one(&mut helper);
        own < spare
    });
}

fn signals() {
    let mut helper = start();
    assert!(works(&mut helper));
    let pid = helper.pid().unwrap().to_string();
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "PIPE"] {
        signal(&pid, name);
        assert!(works(&mut helper), "{name}");
    }
    assert!(!helper.reap());
}

fn killed() {
    let mut helper = start();
    assert!(works(&mut helper));
    let pid = helper.pid().unwrap().to_string();
    // Once while it waits, once with questions of which it has read none.
    for waiting in [0, 3] {
        let mut helper = start();
        let pid = helper.pid().unwrap().to_string();
        signal(&pid, "STOP");
        for id in 0..waiting {
            assert_eq!(
                ask(&mut helper, id, Path::new("/x"), ("x", "x")),
                Asked::Sent
            );
        }
        signal(&pid, "KILL");
        assert_eq!(hear(&mut helper), Heard::Gone);
        assert_eq!(hear(&mut helper), Heard::Gone);
        assert_eq!(
            ask(&mut helper, 9, Path::new("/x"), ("x", "x")),
            Asked::Gone
        );
        until(|| helper.reap());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        assert!(helper.reap());
    }
    assert!(works(&mut helper), "{pid} has nothing to do with it");
}

/// The live children of a process, the names of their programs and their numbers.
fn children(parent: u32) -> Vec<(String, u32)> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let pids = fs::read_to_string(path).unwrap_or_default();
    let pids = pids.split_whitespace().map(|pid| pid.parse().unwrap());
    let named = pids.filter_map(|pid: u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some((name.trim_end().to_owned(), pid))
    });
    named.collect()
}

/// By its maker, for the server may signal nobody; and the maker ends with the server.
fn made_elsewhere() {
    if !adieu::sandbox::BUILT {
        return println!("SKIP one_that_another_process_started: this build has no sandbox");
    }
    let maker = Maker::fork(&Confinement::default(), || true).unwrap();
    let own = std::process::id();
    let mut found = None;
    until(|| {
        let mut all = children(own).into_iter();
        found = all.find(|(name, _)| name == "adieu-maker");
        found.is_some()
    });
    let process = found.unwrap().1;
    for _ in 0..3 {
        let mut helper = maker.helper().unwrap();
        assert!(works(&mut helper) && helper.pid().is_none() && !helper.reap());
        let (name, pid) = children(process).pop().unwrap();
        assert_eq!(name, "adieu-helper");
        signal(&pid.to_string(), "STOP");
        helper.kill();
        assert_eq!(hear(&mut helper), Heard::Gone);
        until(|| helper.reap());
        until(|| children(process).is_empty());
    }
    // One that ends by itself, and one that goes on without the maker.
    let mut helper = maker.helper().unwrap();
    helper.dismiss();
    assert_eq!(hear(&mut helper), Heard::Gone);
    drop(helper);
    until(|| children(process).is_empty());
    let mut helper = maker.helper().unwrap();
    assert!(works(&mut helper));
    drop(maker);
    until(|| has_ended(&process.to_string()));
    assert!(works(&mut helper));
}

/// As the loop has it, at the times that it would look.
fn a_silent_helper_is_killed_for_good() {
    let users = Users::new(USERS);
    let file = users.0.as_os_str().as_encoded_bytes();
    let mut credentials = Credentials::new(AuthConfig::default(), 8);
    let ask = |credentials: &mut Credentials, now| {
        credentials.begin(1, true);
        credentials.look(file, (b"alice", b"wonderland"), &Client::Unix, Ms(now))
    };
    let first = start();
    let pid = first.pid().unwrap().to_string();
    signal(&pid, "STOP");
    credentials.employ(Some(first), Ms(0));
    let Looked::Wait(ticket) = ask(&mut credentials, 0) else {
        panic!("nobody was asked")
    };
    credentials.wait(ticket);
    let due = credentials.due().unwrap();
    assert!(!credentials.kill_if_silent(Ms(due.0 - 1)));
    assert!(credentials.kill_if_silent(due));
    assert_eq!(credentials.next_answered(), Some(1));
    assert_eq!(ask(&mut credentials, due.0), Looked::Failed);
    credentials.forget(1);
    let mut now = due.0;
    until(|| {
        now += 1000;
        let is_due = credentials.wants_another(Ms(now));
        is_due && !Path::new(&format!("/proc/{pid}")).exists()
    });
    credentials.employ(Some(start()), Ms(now));
    let Looked::Wait(ticket) = ask(&mut credentials, now) else {
        panic!("nobody was asked")
    };
    credentials.wait(ticket);
    until(|| {
        assert!(!credentials.hear(Ms(now)));
        credentials.next_answered() == Some(1)
    });
    assert_eq!(ask(&mut credentials, now), Looked::Yes);
}

fn dismissed() {
    let users = Users::new(USERS);
    let mut helper = start();
    let pid = helper.pid().unwrap().to_string();
    for id in 0..5 {
        assert_eq!(
            ask(&mut helper, id, &users.0, ("carol", "wonderland")),
            Asked::Sent
        );
    }
    helper.dismiss();
    assert_eq!(ask(&mut helper, 5, &users.0, ("carol", "x")), Asked::Gone);
    for id in 0..5 {
        assert_eq!(hear(&mut helper), Heard::Verdict(id, Verdict::Yes));
    }
    assert_eq!(hear(&mut helper), Heard::Gone);
    until(|| helper.reap());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

fn dropped() {
    let first = start();
    let mut second = start();
    let pid = first.pid().unwrap().to_string();
    assert!(works(&mut second));
    drop(first);
    until(|| has_ended(&pid));
    assert!(works(&mut second));
}

fn ends_with_server() {
    for order in ["return", "abort", "exit while it works", "KILL"] {
        let mut server = Command::new(env::current_exe().unwrap());
        server
            .arg(SERVER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut server = server.stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let pid = line.trim();
        assert!(!pid.is_empty() && !has_ended(pid));
        if order == "KILL" {
            server.kill().unwrap();
        } else {
            writeln!(server.stdin.take().unwrap(), "{order}").unwrap();
        }
        server.wait().unwrap();
        until(|| has_ended(pid));
        // Nobody has said anything behind the start.
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}

fn runs_once() {
    let (mut reader, mut writer) = UnixStream::pair().unwrap();
    let before = std::process::id();
    let mut helper = start();
    writer.write_all(b"x").unwrap();
    assert_eq!(std::process::id(), before);
    assert!(works(&mut helper));
    helper.dismiss();
    until(|| helper.reap());
    drop(writer);
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"x");
}

fn several_threads() {
    let refused = thread::spawn(|| helper::start().map(|_| ()))
        .join()
        .unwrap();
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    assert!(works(&mut start()));
}
