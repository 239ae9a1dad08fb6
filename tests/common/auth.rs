//! Users, what they say, and the process that looks at their passwords.

use super::eventually;
use super::http::{Answer, read_answer};
use super::outside::rests;
use super::server::Server;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The password of everybody here who has no other.
pub(crate) const PASSWORD: &str = "wonderland";
/// htpasswd -nbB -C 5 alice wonderland
pub(crate) const ALICE: &str =
    "alice:$2y$05$FcaMZ9ZPD5Ww//T16FGXyecWAY4dT9BhVH02Vj3zfj3rbalrIAw92\n";
/// htpasswd -nbm bob wonderland
pub(crate) const BOB: &str = "bob:$apr1$qDSuvuUZ$9Wr/fFo03I1cXu5duFDW8/\n";
/// The most that is allowed: seconds, on whatever machine. htpasswd -nbB -C 14 slowest wonderland
pub(crate) const SLOWEST: &str =
    "slowest:$2y$14$ToafgjZuFtVTzMtLWc0x6eGdZGYU2BUmeNVmn9U2gaPIg3BP/Hh8i\n";

/// A file of users that goes with the test. Its path has no blank, for it stands in a rule.
#[derive(Debug)]
pub(crate) struct Users(PathBuf);

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Users {
    pub(crate) fn new(text: &str) -> Self {
        let users = Self::missing();
        users.write(text);
        users
    }

    /// A place for one.
    pub(crate) fn missing() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("adieu-users-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a file");
    }

    /// `site.auth` for these users: `rule` is the pattern and the methods.
    pub(crate) fn guard(&self, rule: &str, realm: &str) -> String {
        format!("site.auth={rule} {} {realm}", self.0.display())
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_dir(&self.0);
    }
}

/// Base64 with its padding, by an encoder of the tests' own.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let sign = usize::try_from(bits >> (18 - 6 * at) & 63).expect("six bits");
            text.push(if at <= part.len() {
                char::from(SIGNS[sign])
            } else {
                '='
            });
        }
    }
    text
}

/// The field of who shows this password.
pub(crate) fn basic(user: &str, password: &str) -> String {
    let pair = base64(format!("{user}:{password}").as_bytes());
    format!("Authorization: Basic {pair}\r\n")
}

/// The field of Alice.
pub(crate) fn alice() -> String {
    basic("alice", PASSWORD)
}

/// A request with these further fields.
pub(crate) fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

pub(crate) fn ask_on(stream: &mut TcpStream, method: &str, target: &str, fields: &str) -> Answer {
    let request = request(method, target, fields);
    stream.write_all(request.as_bytes()).expect("a send");
    read_answer(stream, method == "HEAD")
}

/// The answer to a GET on a connection of its own.
pub(crate) fn get(server: &Server, target: &str, fields: &str) -> Answer {
    ask_on(&mut server.connect(), "GET", target, fields)
}

/// Its status.
pub(crate) fn status(server: &Server, target: &str, fields: &str) -> u16 {
    get(server, target, fields).status
}

/// This is the refusal of who has not said who he is, with this realm, and the connection stays.
pub(crate) fn is_challenge(answer: &Answer, realm: &str) {
    assert_eq!(answer.status, 401, "{answer:?}");
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    assert_eq!(answer.field("www-authenticate"), Some(challenge.as_str()));
    assert!(!answer.closes(), "{answer:?}");
}

/// The children of a process that have ended (`Z`) and are not reaped, and those that have not.
fn children(pid: u32) -> (Vec<u32>, Vec<u32>) {
    let (mut dead, mut live) = (Vec::new(), Vec::new());
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        // It may have gone since.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let (name, words) = stat.rsplit_once(") ").expect("a name");
        let mut words = words.split(' ');
        let (state, parent) = (words.next(), words.next());
        if parent == Some(&pid.to_string()) {
            match state {
                Some("Z") => dead.push(child),
                // What it starts for the server stands for it.
                _ if name.ends_with("(adieu-maker") => {
                    let (its_dead, its_live) = children(child);
                    dead.extend(its_dead);
                    live.extend(its_live);
                }
                _ => live.push(child),
            }
        }
    }
    (dead, live)
}

/// Children that have ended and of which the system still keeps something.
pub(crate) fn zombies(server: &Server) -> usize {
    children(server.pid()).0.len()
}

/// The helpers of a server.
pub(crate) fn helpers(server: &Server) -> Vec<u32> {
    helpers_of(server.pid())
}

/// The helpers of the server with this number.
pub(crate) fn helpers_of(pid: u32) -> Vec<u32> {
    children(pid).1
}

/// The one helper of a server.
pub(crate) fn helper(server: &Server) -> u32 {
    let mut found = Vec::new();
    eventually("one helper", || {
        found = helpers(server);
        found.len() == 1
    });
    found[0]
}

/// Sends a signal to a process.
pub(crate) fn tell(pid: u32, signal: &str) {
    let told = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status();
    assert!(told.expect("kill(1)").success());
}

/// The helper of a server, stopped: whoever asks for a hash waits until this is dropped, however
/// quick the machine is.
#[derive(Debug)]
pub(crate) struct Halted(pub(crate) u32);

impl Halted {
    pub(crate) fn new(server: &Server) -> Self {
        let halted = Self(helper(server));
        tell(halted.0, "STOP");
        let path = format!("/proc/{}/stat", halted.0);
        eventually("it is stopped", || {
            fs::read_to_string(&path).is_ok_and(|stat| stat.contains(") T "))
        });
        halted
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        // It may have been killed.
        let pid = self.0.to_string();
        let _ = Command::new("kill").args(["-s", "CONT", &pid]).output();
    }
}

/// Waits until the server has dealt with all that was sent to it.
pub(crate) fn dealt_with(server: &Server) {
    eventually("it is dealt with", || rests(server.pid()));
}
