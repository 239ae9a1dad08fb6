//! What changes the whole process: its rights, its session, its standard streams, its limits.
//!
//! Each case runs in a process of its own, which has one thread. No harness gives that, and without
//! it fork(2) cannot be tried at all. And the harness of the library must not start processes in
//! numbers: until its exec, each holds a copy of every socket whose end another test waits for.
//!
//! `cargo test --test process WORD...` runs the cases with such a word in their names.
#![allow(
    unsafe_code,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, which sets up by system calls what the library does not offer"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, process, thread};

use adieu::config::rules::Rule as _;
use adieu::config::{Config, UploadRule};
use adieu::site::Site;
use adieu::sys::capability::{self, Capabilities};
use adieu::sys::confine::{self, Access, Answer, Beside};
use adieu::sys::privilege::{become_user, change_root, is_root, real_user};
use adieu::sys::process::{Fork, ended, fork, kill, leave_standard, new_session, with_umask};
use adieu::sys::{inherit, notify, rights, signal};

/// In the environment: the case this process is for.
const CASE: &str = "ADIEU_TEST_CASE";
/// In the environment: a descriptor that was handed over.
const HANDED: &str = "ADIEU_TEST_HANDED";

/// A user and a group that need not be known to the system.
const UID: u32 = 54_321;
const GID: u32 = 54_322;

struct Case {
    name: &'static str,
    takes_root: bool,
    run: fn(),
}

const fn case(name: &'static str, run: fn()) -> Case {
    let takes_root = false;
    Case {
        name,
        takes_root,
        run,
    }
}

const fn root(name: &'static str, run: fn()) -> Case {
    let takes_root = true;
    Case {
        name,
        takes_root,
        run,
    }
}

const CASES: &[Case] = &[
    case("an_id_that_means_leave_is_refused", leave),
    root("every_right_goes_and_a_second_time_needs_none", all_rights),
    root("root_that_stays_root_loses_other_groups", root_stays),
    root("who_may_not_give_up_groups_is_refused", groups_stay),
    root("an_effective_user_in_reserve_goes_too", reserve),
    root("a_saved_user_in_reserve_is_not_overlooked", saved_reserve),
    root("a_process_that_can_be_root_again_is_refused", root_again),
    root("a_changed_root_is_where_the_process_is", other_root),
    root("all_of_roots_power_goes_from_every_set", power),
    root(
        "what_is_kept_of_it_is_kept_and_nothing_comes_back",
        kept_power,
    ),
    case("who_has_no_power_gives_up_none", no_power),
    case("inside_what_is_granted_is_done_and_nothing_else", granted),
    case("a_fork_is_two_processes_and_takes_one_thread", forks),
    case("a_child_is_killed_whatever_it_ignores", kills),
    case("a_process_that_ignores_them_all_goes_on", ignored_signals),
    case("a_new_session_is_led_and_not_made_twice", session),
    case("the_standard_streams_are_left_for_the_null_device", streams),
    case("a_missing_standard_stream_is_opened", closed_streams),
    case("the_mask_holds_during_the_call_only", mask),
    case("descriptors_come_by_number_through_exec", handed_over),
    case(
        "descriptors_beyond_the_limit_are_an_error_and_none_stays",
        limit,
    ),
    case(
        "a_directory_of_uploads_that_cannot_be_opened_is_not_one_that_is_missing",
        unopened,
    ),
    case(
        "a_receiver_that_is_gone_is_an_error_and_no_signal",
        no_signal,
    ),
];

fn main() -> ExitCode {
    if let Ok(name) = env::var(CASE) {
        let case = CASES.iter().find(|case| case.name == name);
        (case.unwrap().run)();
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wanted = |case: &&Case| words.is_empty() || words.iter().any(|w| case.name.contains(w));
    let (mut passed, mut failed) = (0, 0);
    for case in CASES.iter().filter(wanted) {
        if case.takes_root && !is_root() {
            println!("SKIP {}: it takes root", case.name);
            continue;
        }
        let output = again(case.name).output().unwrap();
        if output.status.success() {
            println!("test {} ... ok", case.name);
            passed += 1;
        } else {
            let told = String::from_utf8_lossy(&output.stderr);
            println!("test {} ... FAILED\n{}\n{told}", case.name, output.status);
            failed += 1;
        }
    }
    println!("\ntest result: {passed} passed; {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

/// This program once more, for one case.
fn again(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(CASE, name);
    command
}

// ---- the sandbox ------------------------------------------------------------------------------

/// What /proc says of a set of capabilities.
fn set(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

const SETS: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];

fn power() {
    assert!(set("CapBnd:") != 0 && set("CapEff:") != 0);
    assert!(capability::bound(Capabilities::NONE).unwrap());
    capability::keep(Capabilities::NONE).unwrap();
    assert_eq!(SETS.map(set), [0; 5]);
    // It is root, and may do no more than others.
    assert!(is_root() && fs::read("/proc/1/environ").is_err());
    assert!(!capability::bound(Capabilities::NONE).is_ok_and(|_| set("CapBnd:") != 0));
}

fn kept_power() {
    let files = Capabilities::FILES.0 & set("CapPrm:");
    assert!(capability::bound(Capabilities::FILES).unwrap());
    capability::keep(Capabilities::FILES).unwrap();
    assert_eq!(SETS.map(set), [0, files, files, files, 0]);
    // Asking for more than there is gives nothing.
    capability::keep(Capabilities(u64::MAX)).unwrap();
    assert_eq!(capability::permitted().unwrap().0, files);
    capability::keep(Capabilities::NONE).unwrap();
    capability::keep(Capabilities::FILES).unwrap();
    assert_eq!(SETS.map(set), [0, 0, 0, files, 0]);
}

fn no_power() {
    if is_root() {
        become_user(UID, GID).unwrap();
    }
    let before = set("CapBnd:");
    assert_eq!(capability::bound(Capabilities::NONE).unwrap(), before == 0);
    capability::keep(Capabilities::NONE).unwrap();
    assert_eq!(SETS.map(set), [0, 0, 0, before, 0]);
}

/// For each ABI, in a process of its own: on a newer kernel it is as on one of that ABI, for
/// nothing is asked of it that the older one would not know.
fn granted() {
    let Answer::Abi(newest) = confine::ask() else {
        println!(
            "SKIP inside_what_is_granted_is_done_and_nothing_else: {}",
            confine::ask()
        );
        return;
    };
    for abi in 1..=newest.min(confine::ABI_MAX) {
        let dir = Dir::new();
        match fork().unwrap() {
            Fork::Child => {
                inside(abi, &dir.0);
                // The directory is the parent's.
                process::exit(0);
            }
            Fork::Parent(_) => assert_eq!(child_status(), 0, "ABI {abi}"),
        }
    }
}

fn inside(abi: u32, dir: &Path) {
    let at = |name: &str| dir.join(name);
    for name in ["read", "one", "two", "log", "none"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("f"), "x").unwrap();
    }
    let open: Vec<_> = ["read", "one", "two", "log"]
        .map(|name| confine::name(&at(name)).unwrap())
        .into();
    let kinds = [Access::Read, Access::Change, Access::Change, Access::Log];
    let rules: Vec<_> = open.iter().map(AsFd::as_fd).zip(kinds).collect();
    let beside = Beside {
        tcp: true,
        scopes: true,
    };
    // A listener to connect to, and what was open before.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut before = OpenOptions::new().append(true).open(at("none/f")).unwrap();
    confine::no_new_privileges().unwrap();
    confine::restrict(abi, &rules, beside).unwrap();
    let is = |result: io::Result<()>, errno: Option<i32>, what: &str| {
        assert_eq!(result.err().and_then(|e| e.raw_os_error()), errno, "{what}");
    };
    let refused = Some(libc::EACCES);
    let read = |name: &str| fs::read(at(name)).map(drop);
    let write = |name: &str| fs::write(at(name), "y");
    is(read("read/f"), None, "read");
    is(write("read/f"), refused, "write what is read");
    is(write("read/g"), refused, "make what is read");
    is(read("none/f"), refused, "read elsewhere");
    is(write("none/g"), refused, "make elsewhere");
    is(fs::remove_file(at("none/f")), refused, "remove elsewhere");
    is(
        fs::read_dir(at("none")).map(drop),
        refused,
        "list elsewhere",
    );
    is(write("one/f"), None, "write");
    is(write("one/g"), None, "make");
    is(fs::create_dir(at("one/d")), refused, "make a directory");
    is(fs::rename(at("one/g"), at("one/h")), None, "rename");
    let across = if abi >= confine::ABI_RENAMES {
        None
    } else {
        Some(libc::EXDEV)
    };
    is(
        fs::rename(at("one/h"), at("two/h")),
        across,
        "rename across",
    );
    is(
        fs::rename(at("one/f"), at("none/i")).map_err(|_| io::Error::from_raw_os_error(1)),
        Some(1),
        "move out",
    );
    is(read("log/f"), refused, "read a log");
    let append = OpenOptions::new()
        .append(true)
        .create(true)
        .open(at("log/g"));
    is(append.map(drop), None, "begin a log");
    is(fs::rename(at("log/g"), at("log/g.1")), None, "rename a log");
    is(before.write_all(b"z"), None, "what was open");
    outside(abi, &listener);
}

/// What is refused beside the file system.
fn outside(abi: u32, listener: &std::net::TcpListener) {
    let is = |result: io::Result<()>, errno: Option<i32>, what: &str| {
        assert_eq!(result.err().and_then(|e| e.raw_os_error()), errno, "{what}");
    };
    let refused = Some(libc::EACCES);
    let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).map(drop);
    let bound = std::net::TcpListener::bind("127.0.0.1:0").map(drop);
    let tcp = if abi >= confine::ABI_TCP {
        refused
    } else {
        None
    };
    is(connected, tcp, "connect");
    is(bound, tcp, "bind");
    let parent = std::os::unix::process::parent_id().try_into().unwrap();
    // SAFETY: the call takes two numbers; 0 is no signal, but a question.
    let told = match unsafe { libc::kill(parent, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    let scoped = if abi >= confine::ABI_SCOPES {
        Some(libc::EPERM)
    } else {
        None
    };
    is(told, scoped, "signal");
    assert!(matches!(confine::ask(), Answer::Abi(_)));
}

// ---- rights -----------------------------------------------------------------------------------

fn leave() {
    let before = status("/proc/self/status", "Groups:");
    for (uid, gid) in [(u32::MAX, 1), (1, u32::MAX), (u32::MAX, u32::MAX)] {
        let refused = become_user(uid, gid).unwrap_err();
        assert_eq!(refused.error.raw_os_error(), Some(libc::EINVAL));
    }
    assert_eq!(status("/proc/self/status", "Groups:"), before);
}

fn all_rights() {
    set_groups(&[7, GID, 8]);
    // A thread that is there already, and the capabilities, lose them as well.
    let (_alive, wait) = mpsc::channel::<()>();
    let _thread = thread::spawn(move || wait.recv());
    become_user(UID, GID).unwrap();
    let mut threads = 0;
    for thread in fs::read_dir("/proc/self/task").unwrap() {
        let path = thread.unwrap().path().join("status");
        let path = path.to_str().unwrap();
        assert_eq!(status(path, "Uid:"), [UID; 4]);
        assert_eq!(status(path, "Gid:"), [GID; 4]);
        assert_eq!(status(path, "Groups:"), [0; 0]);
        threads += 1;
    }
    assert_eq!(threads, 2);
    assert!(!is_root());
    assert_eq!(real_user(), UID);

    become_user(UID, GID).unwrap();
    // Another one it cannot be any more, not even root; the first step is what it lacks.
    for (uid, gid) in [(0, 0), (UID, 0), (UID, GID + 1), (UID + 1, GID)] {
        let refused = become_user(uid, gid).unwrap_err();
        assert_eq!(refused.step, "setgroups");
        assert_eq!(refused.error.raw_os_error(), Some(libc::EPERM));
    }
    let error = change_root(Path::new("/")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

fn root_stays() {
    // In its own group once more: nothing is set.
    set_groups(&[0]);
    become_user(0, 0).unwrap();
    assert_eq!(status("/proc/self/status", "Groups:"), [0]);
    set_groups(&[0, 7]);
    become_user(0, 0).unwrap();
    assert_eq!(status("/proc/self/status", "Groups:"), [0; 0]);
}

fn groups_stay() {
    set_groups(&[GID, 7]);
    set_group_ids([GID; 3]);
    set_user_ids([UID; 3]);
    assert_eq!(become_user(UID, GID).unwrap_err().step, "setgroups");
    // The own group once more is none of the others.
    assert_eq!(status("/proc/self/status", "Groups:"), [7, GID]);
}

fn reserve() {
    // The effective user is root, which may change all.
    set_groups(&[]);
    set_group_ids([GID; 3]);
    set_user_ids([UID, 0, UID]);
    become_user(UID, GID).unwrap();
    assert_eq!(status("/proc/self/status", "Uid:"), [UID; 4]);
}

fn saved_reserve() {
    // Only the saved user is root: it has no right to change the groups, and that is told.
    set_groups(&[]);
    set_group_ids([GID; 3]);
    set_user_ids([UID, UID, 0]);
    assert_eq!(become_user(UID, GID).unwrap_err().step, "setgroups");
}

fn root_again() {
    // capabilities(7): with this bit they outlive the change of the user, and so does setuid(2).
    let bits = libc::c_long::from(libc::SECBIT_NO_SETUID_FIXUP);
    // SAFETY: the call takes numbers and no memory of ours.
    must(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits) });
    let refused = become_user(UID, GID).unwrap_err();
    assert_eq!(refused.step, "the check that root is gone");
    assert_eq!(refused.error.raw_os_error(), Some(libc::EPERM));
}

fn other_root() {
    let error = change_root(Path::new("/no\0where")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    let dir = Dir::new();
    fs::write(dir.0.join("inside"), "here").unwrap();
    let error = change_root(&dir.0.join("none")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    // The supervisor stays where it was, and the message still arrives.
    let path = dir.0.join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    let notify = notify::connect(path.as_os_str()).unwrap();

    // The child changes its root; the parent takes the directory away.
    if fork().unwrap() == Fork::Child {
        change_root(&dir.0).unwrap();
        assert_eq!(env::current_dir().unwrap(), Path::new("/"));
        for path in ["inside", "/inside", "../inside"] {
            assert_eq!(fs::read_to_string(path).unwrap(), "here");
        }
        assert!(!Path::new("/proc").exists());
        become_user(UID, GID).unwrap();
        notify.send(b"READY=1").unwrap();
        // Without /proc it is trusted to have one thread.
        match fork().unwrap() {
            Fork::Child => process::exit(0),
            Fork::Parent(_) => process::exit(child_status()),
        }
    }
    assert_eq!(child_status(), 0);
    let mut room = [0; 100];
    assert_eq!(supervisor.recv(&mut room).unwrap(), 7);
}

// ---- into the background ----------------------------------------------------------------------

fn forks() {
    let parent = process::id();
    assert_eq!(threads(), 1);
    let (mut read, write) = UnixStream::pair().unwrap();
    if fork().unwrap() == Fork::Child {
        let right = process::id() != parent && std::os::unix::process::parent_id() == parent;
        process::exit(if right { 42 } else { 1 });
    }
    assert_eq!(process::id(), parent);
    assert_eq!(child_status(), 42);

    let (alive, wait) = mpsc::channel::<()>();
    let other = thread::spawn(move || wait.recv());
    let error = fork().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    drop(alive);
    other.join().unwrap().unwrap_err();
    until(|| threads() == 1);
    if fork().unwrap() == Fork::Child {
        process::exit(43);
    }
    assert_eq!(child_status(), 43);
    // Nothing was made twice: no other process holds the socket.
    drop(write);
    assert_eq!(read.read(&mut [0; 1]).unwrap(), 0);
}

fn kills() {
    let (mut read, mut write) = UnixStream::pair().unwrap();
    let child = match fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            signal::ignore().unwrap();
            drop(read);
            write.write_all(b"x").unwrap();
            // Nobody says anything, until the parent has ended, too.
            let _ = write.read(&mut [0; 1]);
            process::exit(1)
        }
    };
    assert_eq!(read.read(&mut [0; 1]).unwrap(), 1);
    assert!(!ended(child).unwrap());
    kill(child).unwrap();
    until(|| ended(child).unwrap());
    // Nothing is left of it.
    let error = ended(child).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
}

fn ignored_signals() {
    signal::ignore().unwrap();
    for number in [
        libc::SIGTERM,
        libc::SIGQUIT,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGPIPE,
        libc::SIGXFSZ,
    ] {
        // SAFETY: the call takes a number; the signal is ignored, or ends this process, which is
        // what would be wrong.
        assert_eq!(unsafe { libc::raise(number) }, 0);
    }
}

fn session() {
    // SAFETY: the call takes a number and no memory of ours.
    let session = || u32::try_from(unsafe { libc::getsid(0) }).unwrap();
    assert_ne!(session(), process::id());
    new_session().unwrap();
    assert_eq!(session(), process::id());
    let error = new_session().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

fn streams() {
    let (before, null) = (open(), null());
    leave_standard(null.as_fd()).unwrap();
    drop(null);
    assert_null();
    assert_eq!(open(), before);
}

fn closed_streams() {
    // As some start a daemon. A failure is told by the exit code alone.
    let all = open();
    // As the server does it: opened while there are others, used later.
    let null = null();
    for closed in [&[0][..], &[1], &[0, 1], &[0, 1, 2]] {
        for number in closed {
            // SAFETY: nobody owns the number, and nobody uses it before it is open again.
            must(unsafe { libc::close(*number) });
        }
        leave_standard(null.as_fd()).unwrap();
        assert_null();
    }
    drop(null);
    assert_eq!(open(), all);
}

fn null() -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).open("/dev/null").unwrap()
}

fn assert_null() {
    for number in 0..3 {
        let path = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
        assert_eq!(path, Path::new("/dev/null"));
        assert_eq!(flags(number, libc::F_GETFD), 0);
        assert_eq!(flags(number, libc::F_GETFL) & libc::O_ACCMODE, libc::O_RDWR);
    }
}

fn mask() {
    let dir = Dir::new();
    let made = |name| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o666);
        let file = options.open(dir.0.join(name)).unwrap();
        file.metadata().unwrap().mode() & 0o777
    };
    // SAFETY: the call takes a number and cannot fail.
    unsafe { libc::umask(0o022) };
    assert_eq!(with_umask(0o117, || made("during")), 0o660);
    assert_eq!(made("after"), 0o644);
}

// ---- descriptors ------------------------------------------------------------------------------

fn handed_over() {
    let Some(number) = env::var_os(HANDED) else {
        return hand_over();
    };
    let number: RawFd = number.to_str().unwrap().parse().unwrap();
    assert_eq!(flags(number, libc::F_GETFD), 0);
    for (number, own) in [(number, true), (0, false)] {
        let claimed = inherit::claim(number).unwrap();
        assert_eq!(claimed.as_raw_fd() == number, own);
        assert!(claimed.as_raw_fd() > 2);
        assert_eq!(flags(claimed.as_raw_fd(), libc::F_GETFD), libc::FD_CLOEXEC);
        assert!(inherit::listens(claimed.as_fd()).unwrap());
        UnixListener::from(claimed).accept().unwrap();
    }
    // Standard input stays, and what was claimed is closed.
    assert!(inherit::listens(io::stdin().as_fd()).unwrap());
    let error = inherit::claim(number).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
}

/// Hands a listener over under its number, and another as standard input, as inetd does.
fn hand_over() {
    let dir = Dir::new();
    let listeners = ["a", "b"].map(|name| UnixListener::bind(dir.0.join(name)).unwrap());
    let _clients = ["a", "b"].map(|name| UnixStream::connect(dir.0.join(name)).unwrap());
    let [first, second] = listeners.map(OwnedFd::from);
    // SAFETY: F_SETFD takes a number.
    must(unsafe { libc::fcntl(first.as_raw_fd(), libc::F_SETFD, 0) });
    let mut command = again("descriptors_come_by_number_through_exec");
    command.env(HANDED, first.as_raw_fd().to_string());
    let status = command.stdin(Stdio::from(second)).status().unwrap();
    assert!(status.success());
}

fn limit() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    rights::send(ours.as_fd(), b"x", &[file.as_fd(); 50]).unwrap();
    rights::send(ours.as_fd(), b"x", &[file.as_fd(); 6]).unwrap();
    let before = open();
    let mut free = (0..).filter(|number| !before.contains(number));
    // Six numbers below it are free.
    let most = u64::try_from(free.nth(6).unwrap()).unwrap();
    let limit = libc::rlimit64 {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: `limit` outlives the call, which only reads it.
    must(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &raw const limit) });
    // Six have come when it fails.
    let error = rights::receive(theirs.as_fd(), &mut [0; 8]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    assert_eq!(open(), before);
    let (count, fds) = rights::receive(theirs.as_fd(), &mut [0; 8]).unwrap();
    assert_eq!((count, fds.len()), (1, 6));
}

/// What is granted for uploads is the nearest directory that is there, and only what is missing is
/// a reason to look above it.
fn unopened() {
    let dir = Dir::new();
    fs::create_dir_all(dir.0.join("in/box")).unwrap();
    let mut config = Config::default();
    config.site.root.clone_from(&dir.0);
    config.site.uploads = vec![UploadRule::parse("/in/box/new 1").unwrap()];
    let Ok(site) = Site::new(&config) else {
        println!("SKIP a_directory_of_uploads_that_cannot_be_opened: it takes the feature upload");
        return;
    };
    let mut reached = Vec::new();
    site.reach(&mut |reach| {
        reached.push(reach);
        true
    })
    .unwrap();
    // The root, where they grow, and the directory above the one that is not there.
    let inode = |fd: &OwnedFd| adieu::sys::file::stat(fd.as_fd()).unwrap().inode;
    let box_inode = fs::metadata(dir.0.join("in/box")).unwrap().ino();
    assert_eq!((reached.len(), inode(&reached[2].at)), (3, box_inode));
    let mut count = 0;
    let outcome = site.reach(&mut |_| {
        count += 1;
        if count == 2 {
            let limit = libc::rlimit64 {
                rlim_cur: 0,
                rlim_max: 1024,
            };
            // SAFETY: `limit` outlives the call, which only reads it.
            must(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &raw const limit) });
        }
        true
    });
    assert!(outcome.is_err(), "{count} were reached");
}

fn no_signal() {
    // As a process has it that does not start as Rust's do.
    // SAFETY: no handler is given.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let error = rights::send(ours.as_fd(), b"x", &[]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
}

// ---- what the cases share ---------------------------------------------------------------------

/// A directory that goes with the case.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("adieu-process-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What a status file of proc(5) says behind `name`, in numbers.
fn status(path: &str, name: &str) -> Vec<u32> {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let fields = line.unwrap().split_whitespace();
    fields.map(|field| field.parse().unwrap()).collect()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// The descriptors that are open, in order, without the one that looks.
fn open() -> Vec<RawFd> {
    let dir = fs::read_dir("/proc/self/fd").unwrap();
    let names: Vec<_> = dir.map(|entry| entry.unwrap().file_name()).collect();
    let numbers = names.iter().map(|name| name.to_str().unwrap().parse());
    let mut numbers: Vec<RawFd> = numbers.map(Result::unwrap).collect();
    // SAFETY: F_GETFD takes no further argument.
    numbers.retain(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0);
    numbers.sort_unstable();
    numbers
}

/// What fcntl(2) answers to `question`.
fn flags(number: RawFd, question: libc::c_int) -> libc::c_int {
    // SAFETY: F_GETFD and F_GETFL take no further argument.
    must(unsafe { libc::fcntl(number, question) })
}

/// The exit code of the next child that ends.
fn child_status() -> i32 {
    let mut status = 0;
    // SAFETY: `status` outlives the call, which writes that one int.
    must(unsafe { libc::waitpid(-1, &raw mut status, 0) });
    assert!(libc::WIFEXITED(status), "{status:x}");
    libc::WEXITSTATUS(status)
}

fn set_groups(groups: &[u32]) {
    // SAFETY: `groups` outlives the call, which only reads it.
    must(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) });
}

fn set_group_ids([real, effective, saved]: [u32; 3]) {
    // SAFETY: the call takes three numbers and no memory of ours.
    must(unsafe { libc::setresgid(real, effective, saved) });
}

fn set_user_ids([real, effective, saved]: [u32; 3]) {
    // SAFETY: the call takes three numbers and no memory of ours.
    must(unsafe { libc::setresuid(real, effective, saved) });
}

fn must(result: libc::c_int) -> libc::c_int {
    assert!(result >= 0, "{}", io::Error::last_os_error());
    result
}

/// Waits for a condition, and fails if it does not come.
#[allow(
    clippy::disallowed_methods,
    reason = "a test has no loop whose clock it could use"
)]
fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "it did not come");
        thread::yield_now();
    }
}
