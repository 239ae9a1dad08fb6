//! What a log's target costs the clients when it is full, stuck, removed or replaced: nothing.
//!
//! Runs the built program once for each case, all at the same time, and asks them in turns: so
//! that whatever else the machine does, it does to all of them. Prints a table, and fails if lines
//! are neither written nor counted, or if a target makes its clients wait.
//!
//! How "makes them wait" is judged: of each round of a case, the time within which 99 of 100
//! requests were answered. A target that blocks does so in every round, also in the quiet ones; a
//! busy machine does so now and then, to every case. So the quiet quarter of a case's rounds is
//! compared with the noisy quarter of those of a regular file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench: whatever is wrong here shall stop it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 60;
/// Requests of one round, on one connection.
const REQUESTS: usize = 250;
/// Asked before anything is measured: more than a pipe and the ring of the log hold, and more than
/// a small file is given.
const WARM_UP: usize = 1500;
/// From this round on the file that was removed is a directory.
const REPLACED: usize = ROUNDS / 2;
/// A file of this size is full: after some eight hundred lines.
const SMALL_BYTES: u64 = 64 * 1024;
/// In its quiet rounds no case may be so many times slower than a regular file in its noisy ones.
/// Quiet they are 50 to 100 us, so that a wait of a millisecond is seen.
const TIMES: f64 = 10.0;
/// How long a client waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const REQUEST: &[u8] = b"GET /kibibyte HTTP/1.1\r\nHost: h\r\n\r\n";
const FILE_BYTES: usize = 1024;

#[allow(
    clippy::disallowed_methods,
    reason = "a bench has no turn of a loop whose clock it could use"
)]
fn now() -> Instant {
    Instant::now()
}

// ---- targets ------------------------------------------------------------------------------------

/// What becomes of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Off,
    /// The control.
    Regular,
    /// At its size, and its second name cannot be had.
    NoSecondName,
    DevFull,
    /// Somebody has it open and does not read.
    Fifo,
    /// The same on the standard output.
    Stdout,
    /// Removed in every round, then replaced by a directory.
    Replaced,
    /// A daemon that does not read.
    Syslog,
}

const KINDS: [(Kind, &str); 8] = [
    (Kind::Off, "no access log"),
    (Kind::Regular, "regular file"),
    (Kind::NoSecondName, "file at its size, no second name"),
    (Kind::DevFull, "/dev/full"),
    (Kind::Fifo, "FIFO that nobody reads"),
    (Kind::Stdout, "standard output that nobody reads"),
    (Kind::Replaced, "file, removed again and again"),
    (Kind::Syslog, "syslog socket that nobody reads"),
];

/// The other end of a target, held so that what arrived can be counted.
#[derive(Default)]
struct Held {
    /// Files that had the name, by their number: a handle keeps a removed one.
    files: BTreeMap<u64, File>,
    fifo: Option<File>,
    stdout: Option<ChildStdout>,
    daemon: Option<UnixDatagram>,
}

impl Held {
    /// Takes hold of the files that have the name now.
    fn look(&mut self, path: &Path) {
        for path in [path.to_path_buf(), second_name(path)] {
            let file = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
            if let Ok((stat, file)) = file
                && stat.is_file()
            {
                self.files.entry(stat.ino()).or_insert(file);
            }
        }
    }

    /// Lines that arrived, whole ones; those that say how many were dropped are no responses.
    fn lines(&mut self) -> usize {
        let mut text = Vec::new();
        for file in self.files.values_mut() {
            file.read_to_end(&mut text).unwrap();
        }
        // The writer is gone, so these end. Of our own end of the FIFO they would not.
        if let Some(fifo) = &mut self.fifo {
            read_what_is_there(fifo, &mut text);
        }
        if let Some(stdout) = &mut self.stdout {
            stdout.read_to_end(&mut text).unwrap();
        }
        if let Some(daemon) = &self.daemon {
            daemon.set_nonblocking(true).unwrap();
            let mut room = [0; 4096];
            while let Ok(n) = daemon.recv(&mut room) {
                text.extend_from_slice(&room[..n]);
                text.push(b'\n');
            }
        }
        let (whole, _) = text.split_at(text.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1));
        let line = |line: &&[u8]| line.windows(14).any(|w| w == b"GET /kibibyte ");
        whole.split(|b| *b == b'\n').filter(line).count()
    }
}

/// Non-blocking reads, until nothing is left.
fn read_what_is_there(fifo: &mut File, into: &mut Vec<u8>) {
    let mut room = vec![0; 64 * 1024];
    loop {
        match fifo.read(&mut room) {
            Ok(0) => return,
            Ok(n) => into.extend_from_slice(&room[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn second_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// A head, and behind it the file.
fn is_whole(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    head.is_some_and(|end| answer.len() >= end + 4 + FILE_BYTES)
}

// ---- servers ------------------------------------------------------------------------------------

/// What was measured of one case.
#[derive(Default)]
struct Times {
    all: Vec<Duration>,
    /// The 99th percentile of each round.
    rounds: Vec<Duration>,
}

impl Times {
    fn round(&mut self, mut times: Vec<Duration>) {
        times.sort_unstable();
        self.rounds.push(at(&times, 99));
        self.all.extend(times);
    }

    fn sort(&mut self) {
        self.all.sort_unstable();
        self.rounds.sort_unstable();
    }

    fn middle(&self) -> Duration {
        at(&self.rounds, 50)
    }

    /// So that three of four rounds were no quicker.
    fn quiet(&self) -> Duration {
        at(&self.rounds, 25)
    }

    /// So that three of four rounds were no slower.
    fn noisy(&self) -> Duration {
        at(&self.rounds, 75)
    }
}

/// The time within which so many of a hundred lie. They are sorted.
fn at(times: &[Duration], percent: usize) -> Duration {
    let last = times.len().saturating_sub(1);
    times
        .get((times.len() * percent / 100).min(last))
        .copied()
        .unwrap_or_default()
}

struct Case {
    kind: Kind,
    name: &'static str,
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: PathBuf,
    held: Held,
    stream: TcpStream,
    answer: Vec<u8>,
    asked: usize,
    times: Times,
    /// Once it is replaced.
    later: Times,
}

/// What a server said at its end.
struct Ended {
    responses: usize,
    dropped: usize,
    written: usize,
}

impl Case {
    fn start(dir: &Path, kind: Kind, name: &'static str) -> Self {
        let log = dir.join(format!("{kind:?}"));
        let mut held = Held::default();
        let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
        command
            .args(["-p", "127.0.0.1:0", "-d"])
            .arg(dir.join("www"));
        let mut set = |key: &str, value: &str| {
            command.args(["--set", &format!("{key}={value}")]);
        };
        set("keepalive.requests", "65535");
        set("keepalive.idle_ms", "10m");
        let file = format!("file:{}", log.display());
        let target = match kind {
            Kind::Off => None,
            Kind::Regular | Kind::Replaced => Some(file),
            Kind::NoSecondName => {
                fs::create_dir(second_name(&log)).unwrap();
                Some(file)
            }
            Kind::DevFull => Some("file:/dev/full".to_owned()),
            Kind::Fifo => {
                let made = Command::new("mkfifo").arg(&log).status();
                assert!(made.unwrap().success());
                held.fifo = Some(fifo(&log));
                Some(file)
            }
            Kind::Stdout => Some("stdout".to_owned()),
            Kind::Syslog => {
                held.daemon = Some(UnixDatagram::bind(&log).unwrap());
                Some(format!("syslog:{}", log.display()))
            }
        };
        if let Some(target) = target {
            set("log.access", "combined");
            set("log.access_target", &target);
        }
        if matches!(kind, Kind::NoSecondName | Kind::Replaced) {
            set("log.access_bytes", &SMALL_BYTES.to_string());
        } else {
            set("log.access_bytes", "1GiB");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary");
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        held.stdout = child.stdout.take();
        let mut first = String::new();
        stderr.read_line(&mut first).unwrap();
        let (_, address) = first.split_once("http://").expect("it serves");
        let stream = TcpStream::connect(address.trim().trim_end_matches('/')).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            kind,
            name,
            child,
            stderr,
            log,
            held,
            stream,
            answer: vec![0; 8 * 1024],
            asked: 0,
            times: Times::default(),
            later: Times::default(),
        }
    }

    /// One request, and how long it took.
    fn ask(&mut self) -> Duration {
        let began = now();
        self.stream.write_all(REQUEST).unwrap();
        let mut got = 0;
        while !is_whole(&self.answer[..got]) {
            match self.stream.read(&mut self.answer[got..]) {
                Ok(n @ 1..) => got += n,
                ended => panic!("{}: no answer: {ended:?}", self.name),
            }
        }
        let took = began.elapsed();
        assert!(self.answer.starts_with(b"HTTP/1.1 200 "), "{}", self.name);
        self.asked += 1;
        if self.asked % 100 == 0 {
            self.held.look(&self.log); // before a file of that name is gone for good
        }
        took
    }

    fn warm_up(&mut self) {
        for _ in 0..WARM_UP {
            self.ask();
        }
    }

    fn round(&mut self, number: usize) {
        if self.kind == Kind::Replaced {
            self.held.look(&self.log);
            let _ = fs::remove_file(&self.log);
            if number == REPLACED {
                fs::create_dir(&self.log).unwrap();
                self.warm_up(); // until the file that is still open is full
            }
        }
        let times = (0..REQUESTS).map(|_| self.ask()).collect();
        if self.kind == Kind::Replaced && number >= REPLACED {
            self.later.round(times);
        } else {
            self.times.round(times);
        }
    }

    /// Stops it: what became of its lines.
    fn end(&mut self) -> Ended {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(told.unwrap().success());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        self.held.look(&self.log);
        let counter = |name: &str| {
            said.lines()
                .filter_map(|line| line.strip_prefix("adieu: stopped: "))
                .flat_map(|line| line.split(' '))
                .filter_map(|pair| pair.split_once('='))
                .find(|(n, _)| *n == name)
                .map_or(0, |(_, value)| value.parse().unwrap())
        };
        Ended {
            responses: counter("response.2xx"),
            dropped: counter("access-dropped"),
            written: self.held.lines(),
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both ends of a FIFO, so that it has a reader; reads do not wait.
fn fifo(path: &Path) -> File {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .unwrap()
}

/// A directory that goes with the bench, its path short enough for a socket.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let name = format!("adieu-stuck-log-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("www")).unwrap();
        fs::write(path.join("www/kibibyte"), [b'k'; FILE_BYTES]).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// ---- the verdict --------------------------------------------------------------------------------

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// One line of the table, and what is wrong with it.
fn row(name: &str, times: &Times, control: &Times, lines: &str) -> Option<String> {
    let last = times.all.last().copied().unwrap_or_default();
    println!(
        "| {name} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {lines} |",
        times.all.len(),
        us(at(&times.all, 50)),
        us(at(&times.all, 99)),
        us(last),
        us(times.middle()),
        us(times.middle()) / us(control.middle()),
    );
    let (quiet, most) = (us(times.quiet()), us(control.noisy()) * TIMES);
    (quiet > most).then(|| {
        format!("{name}: its clients wait: {quiet:.0} us in its quiet rounds, {most:.0} allowed")
    })
}

fn head_of_table(what: &str, control: &Times) {
    println!("\n{what}; times in us, of a round the 99th percentile.");
    println!(
        "A regular file has {:.0} us in a noisy round; {TIMES} times that is allowed.\n",
        us(control.noisy())
    );
    println!(
        "| target | requests | p50 | p99 | max | p99, middle round | to a regular file | \
         lines written | dropped |\n|---|---|---|---|---|---|---|---|---|"
    );
}

/// What became of the lines is known of every one.
fn account(case: &Case, ended: &Ended, faults: &mut BTreeSet<String>) {
    let name = case.name;
    let (all, written, dropped) = (case.asked, ended.written, ended.dropped);
    if ended.responses != all {
        let counted = ended.responses;
        faults.insert(format!("{name}: {all} answers, {counted} counted"));
    }
    let expected = if case.kind == Kind::Off { 0 } else { all };
    if written + dropped != expected {
        faults.insert(format!(
            "{name}: {written} lines written and {dropped} dropped, of {expected}"
        ));
    }
    let loses = !matches!(case.kind, Kind::Off | Kind::Regular);
    if loses != (dropped > 0) {
        faults.insert(format!("{name}: {dropped} lines dropped"));
    }
}

/// The access log: a line for each request.
fn access_log(dir: &Path, faults: &mut BTreeSet<String>) {
    let mut cases: Vec<Case> = KINDS
        .iter()
        .map(|(kind, name)| Case::start(dir, *kind, name))
        .collect();
    cases.iter_mut().for_each(Case::warm_up);
    for number in 0..ROUNDS {
        // Each time another one is the first.
        let count = cases.len();
        for step in 0..count {
            cases[(number + step) % count].round(number);
        }
    }
    let ended: Vec<Ended> = cases.iter_mut().map(Case::end).collect();
    for case in &mut cases {
        case.times.sort();
        case.later.sort();
    }
    let control = cases.iter().find(|case| case.kind == Kind::Regular);
    let control = &control.unwrap().times;
    head_of_table("The access log", control);
    for (case, ended) in cases.iter().zip(&ended) {
        account(case, ended, faults);
        let lines = format!("{} | {}", ended.written, ended.dropped);
        faults.extend(row(case.name, &case.times, control, &lines));
        if case.kind == Kind::Replaced {
            let name = "the same, then replaced by a directory";
            faults.extend(row(name, &case.later, control, "above | above"));
        }
    }
}

// ---- the log of the server itself ---------------------------------------------------------------

/// At level debug the server has a line for each connection.
const LAST_REQUEST: &[u8] = b"GET /kibibyte HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
/// Connections of one round, and those before the first: what a pipe and the ring hold.
const CONNECTIONS: usize = 50;
const FILLING: usize = 5000;

struct Own {
    name: &'static str,
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    fifo: Option<File>,
    connections: usize,
    times: Times,
}

impl Own {
    fn start(dir: &Path, name: &'static str, file: &str) -> Self {
        let (socket, log) = (dir.join(format!("{file}.sock")), dir.join(file));
        let fifo = (file == "fifo").then(|| {
            let made = Command::new("mkfifo").arg(&log).status();
            assert!(made.unwrap().success());
            fifo(&log)
        });
        let log = if file == "full" {
            "/dev/full".into()
        } else {
            log
        };
        let child = Command::new(env!("CARGO_BIN_EXE_adieu"))
            .args(["-v", "-p", &format!("unix:{}", socket.display()), "-d"])
            .arg(dir.join("www"))
            .args(["--set", &format!("log.target=file:{}", log.display())])
            .args(["--set", "log.target_bytes=1GiB"])
            .spawn()
            .expect("the built binary");
        let mut own = Self {
            name,
            child,
            socket,
            log,
            fifo,
            connections: 0,
            times: Times::default(),
        };
        let began = now();
        while UnixStream::connect(&own.socket).is_err() {
            assert!(began.elapsed() < PATIENCE, "{name}: it does not serve");
            std::thread::yield_now();
        }
        own.connections = 1;
        own
    }

    /// One request on a connection of its own.
    fn ask(&mut self) -> Duration {
        let began = now();
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(LAST_REQUEST).unwrap();
        let mut answer = Vec::with_capacity(2 * FILE_BYTES);
        let answered = stream.read_to_end(&mut answer);
        let took = began.elapsed();
        let name = self.name;
        assert!(is_whole(&answer), "{name}: no answer: {answered:?}");
        self.connections += 1;
        took
    }

    fn round(&mut self) {
        let times = (0..CONNECTIONS).map(|_| self.ask()).collect();
        self.times.round(times);
    }

    /// Stops it: the lines that were written and those that were dropped; `None`: nobody can know.
    fn end(&mut self) -> Option<(usize, usize)> {
        let mut text = Vec::new();
        if let Some(fifo) = &mut self.fifo {
            // Who reads again is told: then the last lines find room, too.
            let began = now();
            while !String::from_utf8_lossy(&text).contains(" dropped\n") {
                assert!(
                    began.elapsed() < PATIENCE,
                    "nothing is said of what was dropped"
                );
                read_what_is_there(fifo, &mut text);
                std::thread::yield_now();
            }
        }
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(told.unwrap().success() && self.child.wait().unwrap().success());
        match &mut self.fifo {
            Some(fifo) => read_what_is_there(fifo, &mut text),
            None if self.log.starts_with("/dev") => return None,
            None => text = fs::read(&self.log).unwrap(),
        }
        let text = String::from_utf8(text).unwrap();
        let written = text.lines().filter(|line| line.contains(": slot ")).count();
        let noticed = text.lines().filter_map(|line| {
            let (number, _) = line.split_once(" log line")?;
            number.rsplit(' ').next()?.parse::<usize>().ok()
        });
        Some((written, noticed.sum()))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The log of the server itself: a line for each connection.
fn own_log(dir: &Path, faults: &mut BTreeSet<String>) {
    let mut cases = [
        Own::start(dir, "regular file", "regular"),
        Own::start(dir, "/dev/full", "full"),
        Own::start(dir, "FIFO that nobody reads", "fifo"),
    ];
    for case in &mut cases {
        for _ in 0..FILLING {
            case.ask();
        }
    }
    for number in 0..ROUNDS {
        for step in 0..cases.len() {
            cases[(number + step) % cases.len()].round();
        }
    }
    let ended = cases.each_mut().map(Own::end);
    cases.iter_mut().for_each(|case| case.times.sort());
    let control = &cases[0].times;
    head_of_table("The log of the server itself, at level debug", control);
    for (number, (case, lines)) in cases.iter().zip(ended).enumerate() {
        let (name, all) = (case.name, case.connections);
        let shown = lines.map_or("0 | unknown".to_owned(), |(written, dropped)| {
            format!("{written} | {dropped}")
        });
        faults.extend(row(name, &case.times, control, &shown));
        let Some((written, dropped)) = lines else {
            continue;
        };
        if written + dropped != all || (number > 0) != (dropped > 0) {
            faults.insert(format!(
                "{name}: {written} lines written and {dropped} dropped, of {all}"
            ));
        }
    }
}

fn main() -> ExitCode {
    let dir = Dir::new();
    let mut faults = BTreeSet::new();
    access_log(&dir.0, &mut faults);
    own_log(&dir.0, &mut faults);
    for fault in &faults {
        println!("FAIL: {fault}");
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
