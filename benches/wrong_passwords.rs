//! What two hundred wrong passwords a second cost everybody else: next to nothing.
//!
//! Runs the built program once for each cost of a hash. A client asks for a static file two
//! thousand times a second, in rounds with and without somebody who tries passwords, in turns: so
//! that whatever else the machine does, it does to both. Who has to wait asks for the next one
//! late, and is as late with that: time counts from when it was due. Every try comes from another
//! address, by way of a trusted proxy, and has another password, so that neither the pause nor the
//! memory hides what it costs. Prints a table, and fails if the tries make others wait.
//!
//! How "makes them wait" is judged: each round with tries is compared with the one without beside
//! it, by the 99th percentile, and of all these the middle one counts. It must stand out from what
//! the machine does anyway: the quiet quarter of the rounds with tries is above the noisy quarter
//! of those without. Where hashes are slow most tries are turned away with 429, for the helper
//! computes one at a time: that is counted, too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench: whatever is wrong here shall stop it"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Rounds with tries, and as many without.
const ROUNDS: usize = 16;
const ROUND: Duration = Duration::from_millis(450);
/// Between two requests for the file.
const PACE: Duration = Duration::from_micros(500);
/// Each of these tries a password every `PERIOD`: two hundred a second in all.
const TRIERS: usize = 40;
const PERIOD: Duration = Duration::from_millis(200);
/// Fewer a second prove nothing.
const LEAST: usize = 100;
/// The 99th percentile with tries may be so many times that without, in the middle of all pairs of
/// rounds. A server that hashed on its loop would be at hundreds.
const TIMES: f64 = 2.0;
/// How long anybody waits before he gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const REQUEST: &[u8] = b"GET /kibibyte HTTP/1.1\r\nHost: h\r\n\r\n";

/// Made by htpasswd -nbB -C 5 alice wonderland, and the same with -C 10.
const USERS: [(&str, &str); 2] = [
    (
        "bcrypt, cost 5",
        "alice:$2y$05$FcaMZ9ZPD5Ww//T16FGXyecWAY4dT9BhVH02Vj3zfj3rbalrIAw92\n",
    ),
    (
        "bcrypt, cost 10",
        "alice:$2y$10$CZeRdpu0J53.hR1QGVUeTuTNH9FcHTfXycrAWT0q.s4IJz0AvTjXq\n",
    ),
];

#[allow(
    clippy::disallowed_methods,
    reason = "a bench has no turn of a loop whose clock it could use"
)]
fn now() -> Instant {
    Instant::now()
}

// ---- who tries ----------------------------------------------------------------------------------

/// What the triers share.
#[derive(Default)]
struct Tries {
    /// They try now.
    on: AtomicBool,
    over: AtomicBool,
    /// Those that wait for an answer.
    busy: AtomicUsize,
    /// Numbers that were given out: no address and no password comes twice.
    next: AtomicUsize,
    /// Answers by status.
    wrong: AtomicUsize,
    turned_away: AtomicUsize,
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let sign = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap();
            text.push(match at <= part.len() {
                true => char::from(SIGNS[sign]),
                false => '=',
            });
        }
    }
    text
}

impl Tries {
    /// Tries a password every period while it is time to, each time from another address.
    fn run(&self, address: SocketAddr, place: u32) {
        let (keep, ticks) = mpsc::channel::<()>();
        let mut stream = connect(address);
        // They do not all come at the same moment.
        let mut next = now() + PERIOD / u32::try_from(TRIERS).unwrap() * place;
        while !self.over.load(Ordering::SeqCst) {
            let _ = ticks.recv_timeout(next.saturating_duration_since(now()));
            next = (next + PERIOD).max(now());
            self.busy.fetch_add(1, Ordering::SeqCst);
            if self.on.load(Ordering::SeqCst) {
                self.attempt(&mut stream);
            }
            self.busy.fetch_sub(1, Ordering::SeqCst);
        }
        drop(keep);
    }

    fn attempt(&self, stream: &mut TcpStream) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let pair = base64(format!("alice:wrong-{number}").as_bytes());
        let (high, low) = (number / 250, number % 250);
        let request = format!(
            "GET /admin/x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.{}.{}.{}\r\n\
             Authorization: Basic {pair}\r\n\r\n",
            high / 250,
            high % 250,
            low + 1,
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = vec![0; 4096];
        let mut got = 0;
        while !is_whole(&answer[..got]) {
            match stream.read(&mut answer[got..]) {
                Ok(n @ 1..) => got += n,
                ended => panic!("no answer to a try: {ended:?}"),
            }
        }
        let status = match answer.get(9..12) {
            Some(b"401") => &self.wrong,
            Some(b"429") => &self.turned_away,
            _ => panic!("{}", String::from_utf8_lossy(&answer[..got])),
        };
        status.fetch_add(1, Ordering::SeqCst);
    }

    /// Nobody tries from now on, and everybody has his answer.
    fn rest(&self) {
        self.on.store(false, Ordering::SeqCst);
        let began = now();
        while self.busy.load(Ordering::SeqCst) > 0 {
            assert!(began.elapsed() < PATIENCE, "a try has no answer");
            thread::yield_now();
        }
    }
}

/// A head, and what its Content-Length announces.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let lines = head.split("\r\n");
    let mut lengths = lines.filter_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = lengths.next().unwrap().parse().unwrap();
    answer.len() >= end + 4 + length
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

// ---- the server ---------------------------------------------------------------------------------

/// A directory that goes with the bench. Its path has no blank, for it stands in a rule.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let name = format!("adieu-wrong-passwords-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("www")).unwrap();
        fs::write(path.join("www/kibibyte"), [b'k'; 1024]).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(dir: &Path, users: &str) -> Self {
        let file = dir.join("users");
        fs::write(&file, users).unwrap();
        let rule = format!("site.auth=/admin * {} Administration", file.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
        command
            .args(["-p", "127.0.0.1:0", "-d"])
            .arg(dir.join("www"));
        let keys = [
            rule.as_str(),
            "proxy.trusted=127.0.0.1",
            "keepalive.requests=65535",
            "keepalive.idle_ms=10m",
            "timeout.head_ms=10m",
        ];
        for key in keys {
            command.args(["--set", key]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary");
        let mut first = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        let (_, address) = first.split_once("http://").expect("it serves");
        let address = address.trim().trim_end_matches('/').parse().unwrap();
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// ---- what is measured ---------------------------------------------------------------------------

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
}

/// The time within which so many of a hundred lie. They are sorted.
fn at(times: &[Duration], percent: usize) -> Duration {
    let last = times.len().saturating_sub(1);
    times[(times.len() * percent / 100).min(last)]
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// How many times the one is the other, in the middle of all pairs. They are in the order in which
/// they were measured.
fn middle_ratio(with: &[Duration], without: &[Duration]) -> f64 {
    let pairs = with.iter().zip(without);
    let mut ratios: Vec<f64> = pairs.map(|(one, other)| us(*one) / us(*other)).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// Asks for the file at its pace for one round.
fn round(stream: &mut TcpStream, asked: &mut usize) -> Vec<Duration> {
    let (began, mut times) = (now(), Vec::new());
    let mut answer = vec![0; 4096];
    let mut due = began;
    while due < began + ROUND {
        // How late this wakes up is no matter of the server; how late it was answered before is.
        let was_answered = now();
        while now() < due {
            thread::park_timeout(due.saturating_duration_since(now()));
        }
        let asks = if was_answered < due { now() } else { due };
        due += PACE;
        stream.write_all(REQUEST).unwrap();
        let mut got = 0;
        while !is_whole(&answer[..got]) {
            match stream.read(&mut answer[got..]) {
                Ok(n @ 1..) => got += n,
                ended => panic!("no answer: {ended:?}"),
            }
        }
        times.push(asks.elapsed());
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        *asked += 1;
    }
    times
}

/// Both kinds of rounds with one file of users; what is wrong.
fn case(dir: &Path, name: &str, users: &str) -> Vec<String> {
    let server = Server::start(dir, users);
    let tries = Tries::default();
    let (mut without, mut with) = (Times::default(), Times::default());
    thread::scope(|scope| {
        for place in 0..u32::try_from(TRIERS).unwrap() {
            let (tries, address) = (&tries, server.address);
            scope.spawn(move || tries.run(address, place));
        }
        let mut stream = connect(server.address);
        let mut asked = 0;
        round(&mut stream, &mut asked);
        for number in 0..2 * ROUNDS {
            if asked > 40_000 {
                // A connection has its most requests.
                stream = connect(server.address);
                asked = 0;
            }
            // Each kind comes first as often as second.
            let tried = number % 4 == 1 || number % 4 == 2;
            tries.on.store(tried, Ordering::SeqCst);
            let times = round(&mut stream, &mut asked);
            tries.rest();
            match tried {
                true => with.round(times),
                false => without.round(times),
            }
        }
        tries.over.store(true, Ordering::SeqCst);
    });
    let ratio = middle_ratio(&with.rounds, &without.rounds);
    without.sort();
    with.sort();
    let count = |of: &AtomicUsize| of.load(Ordering::SeqCst) * 1000 / (ROUNDS * 450);
    let (wrong, turned_away) = (count(&tries.wrong), count(&tries.turned_away));
    for (kind, times, ratio, told) in [
        ("nobody tries", &without, 1.0, "0 | 0".to_owned()),
        ("tries", &with, ratio, format!("{wrong} | {turned_away}")),
    ] {
        println!(
            "| {name} | {kind} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {told} |",
            times.all.len(),
            us(at(&times.all, 50)),
            us(at(&times.all, 99)),
            us(times.all[times.all.len() - 1]),
            us(at(&times.rounds, 50)),
            ratio,
        );
    }
    let mut faults = Vec::new();
    let (quiet, noisy) = (at(&with.rounds, 25), at(&without.rounds, 75));
    if ratio > TIMES && quiet > noisy {
        faults.push(format!(
            "{name}: others wait: with tries the 99th percentile is {ratio:.2} times that without"
        ));
    }
    if wrong + turned_away < LEAST || wrong == 0 {
        faults.push(format!(
            "{name}: {wrong} tries a second were looked at and {turned_away} turned away: that \
             proves nothing"
        ));
    }
    faults
}

fn main() -> ExitCode {
    let dir = Dir::new();
    println!(
        "A static file while passwords are tried; times in us, of a round the 99th percentile."
    );
    println!(
        "\n| hashes | | requests | p50 | p99 | max | p99, middle round | to nobody tries | \
         tries looked at a second | turned away |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let cases = USERS.iter().flat_map(|(name, users)| {
        let faults = case(&dir.0, name, users);
        // A machine that has much else to do may spoil it once; a fault of the server stays.
        match faults.is_empty() {
            true => faults,
            false => case(&dir.0, name, users),
        }
    });
    let faults: Vec<String> = cases.collect();
    for fault in &faults {
        println!("FAIL: {fault}");
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
