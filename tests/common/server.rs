//! The built binary as a child process.

use super::http::only;
use super::outside::{descriptors, socket_descriptors};
use super::{End, PATIENCE, eventually, hear};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A server that serves. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    listener: Option<JoinHandle<()>>,
    /// Where it listens, if on TCP.
    pub(crate) address: Option<SocketAddr>,
    /// Descriptors while nobody is connected.
    idle_descriptors: usize,
    /// Those of them that are sockets.
    idle_sockets: usize,
}

/// What a server left behind.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) status: ExitStatus,
    /// From its last lines; those that are 0 are not there.
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) lines: Vec<String>,
}

impl Stopped {
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// No line of its log has this word.
    pub(crate) fn never_said(&self, word: &str) {
        let said = self.lines.iter().any(|line| line.contains(word));
        assert!(!said, "{:?}", self.lines);
    }
}

impl Server {
    /// Serves `root` on a port of the system's choice, with these keys set.
    pub(crate) fn start(root: &Path, keys: &[&str]) -> Self {
        Self::on("127.0.0.1:0", root, keys)
    }

    /// As [`Server::start`], but on this address.
    pub(crate) fn on(listen: &str, root: &Path, keys: &[&str]) -> Self {
        Self::run(Self::command(listen, root, keys))
    }

    /// The command that starts it.
    pub(crate) fn command(listen: &str, root: &Path, keys: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
        command.args(["-p", listen, "-d"]).arg(root);
        for key in keys {
            command.args(["--set", key]);
        }
        command
    }

    /// Runs such a command until it serves.
    pub(crate) fn run(command: Command) -> Self {
        Self::run_with(command, Stdio::null())
    }

    /// The same, with this standard input.
    pub(crate) fn run_with(mut command: Command, stdin: impl Into<Stdio>) -> Self {
        let mut child = command
            .stdin(stdin)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary");
        let stderr = child.stderr.take().expect("a pipe");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let listener = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                heard.lock().expect("no poison").push(line);
            }
        });
        let mut server = Self {
            child,
            lines,
            listener: Some(listener),
            address: None,
            idle_descriptors: 0,
            idle_sockets: 0,
        };
        eventually("it serves, or says why not", || {
            let ended = server.child.try_wait().expect("our child");
            let lines = server.lines.lock().expect("no poison");
            assert!(ended.is_none(), "it did not start: {lines:?}");
            lines.iter().any(|line| line.starts_with("adieu: serving "))
        });
        server.address = server.addresses().first().copied();
        server.idle_descriptors = descriptors(server.pid());
        server.idle_sockets = socket_descriptors(server.pid());
        server
    }

    /// Everywhere it listens on TCP.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let line = self.line(1, |line| line.starts_with("adieu: serving "));
        let urls = line.split("http://").skip(1);
        let texts = urls.filter_map(|rest| rest.split('/').next());
        texts
            .map(|text| text.parse().expect("an address"))
            .collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.expect("TCP").port()
    }

    /// A new connection, with a read and a write timeout.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address.expect("TCP")).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("TCP");
        stream
    }

    /// Somebody who does nothing wrong comes and is served, whatever others do.
    pub(crate) fn serves_a_good_client(&self) {
        let mut stream = self.connect();
        let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        stream
            .write_all(request)
            .expect("a send that does not fail");
        let heard = hear(&mut stream);
        assert_eq!((only(&heard.bytes).status, heard.end), (200, End::Fin));
    }

    /// The same for a server whose address has a scope, or that is bound to an interface, lo.
    pub(crate) fn serves_a_good_client_at(&self, listen: &str) {
        let port = listen.rsplit_once(':').expect("a port").1;
        let host = match listen.split(['%', ']']).next().expect("a host") {
            "0.0.0.0" => "127.0.0.1".to_owned(),
            "[::" => "[::1]".to_owned(),
            scoped => format!("{scoped}%1]"),
        };
        let address: SocketAddr = format!("{host}:{port}").parse().expect("an address");
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("a send");
        let heard = hear(&mut stream);
        assert_eq!((only(&heard.bytes).status, heard.end), (200, End::Fin));
    }

    /// A file of /proc about this server.
    pub(crate) fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid())
    }

    /// Descriptors of connections.
    pub(crate) fn busy(&self) -> usize {
        socket_descriptors(self.pid()).saturating_sub(self.idle_sockets)
    }

    /// What is open that was not while nobody was connected.
    pub(crate) fn opened(&self) -> usize {
        descriptors(self.pid()).saturating_sub(self.idle_descriptors)
    }

    /// Waits until every slot is home, and every file is closed.
    pub(crate) fn comes_home(&self) {
        eventually("every slot comes home", || self.opened() == 0);
    }

    /// Waits until a line of its log begins so.
    pub(crate) fn says(&self, start: &str) {
        eventually(start, || {
            let lines = self.lines.lock().expect("no poison");
            lines.iter().any(|line| line.starts_with(start))
        });
    }

    /// Waits for the `count`th line of its log that is such a one.
    pub(crate) fn line(&self, count: usize, such: impl Fn(&String) -> bool) -> String {
        let mut found = None;
        eventually("a line of the log", || {
            let lines = self.lines.lock().expect("no poison");
            found = lines
                .iter()
                .filter(|line| such(line))
                .nth(count - 1)
                .cloned();
            found.is_some()
        });
        found.expect("a line")
    }

    /// How many lines of its log are such.
    pub(crate) fn said(&self, such: impl Fn(&str) -> bool) -> usize {
        let lines = self.lines.lock().expect("no poison");
        lines.iter().filter(|line| such(line)).count()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let told = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(told.expect("kill(1)").success());
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Stopped {
        let mut status = None;
        eventually("the server ends", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        if let Some(listener) = self.listener.take() {
            listener.join().expect("no panic");
        }
        let lines = self.lines.lock().expect("no poison").clone();
        let mut counters = BTreeMap::new();
        let said = lines
            .iter()
            .filter_map(|line| line.strip_prefix("adieu: stopped: "));
        for pair in said.flat_map(|line| line.split(' ')) {
            if let Some((name, value)) = pair.split_once('=') {
                counters.insert(name.to_owned(), value.parse().expect("a number"));
            }
        }
        Stopped {
            status: status.expect("it ended"),
            counters,
            lines,
        }
    }

    /// Stops it in peace and checks its books: every accepted connection ended once, without a
    /// fault of ours.
    pub(crate) fn stop(self) -> Stopped {
        self.signal("TERM");
        self.ends()
    }

    /// As [`Server::stop`], of one that was told to stop already.
    pub(crate) fn ends(self) -> Stopped {
        let stopped = self.wait();
        assert!(stopped.status.success(), "{stopped:?}");
        let sum = |group: &str| -> u64 {
            let of_group = stopped
                .counters
                .iter()
                .filter(|(n, _)| n.starts_with(group));
            of_group.map(|(_, value)| value).sum()
        };
        assert_eq!(sum("misuse."), 0, "{stopped:?}");
        assert_eq!(sum("close."), stopped.counter("accepted"), "{stopped:?}");
        stopped
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
