//! Network namespaces of a test's own: interfaces that can be made and changed, and ports that
//! nobody else has.

use super::child::{Ours, by, is_root};
use super::{eventually, skip};
use std::fs;
use std::process::Command;

/// Set for a test that runs in a namespace.
const MARK: &str = "ADIEU_TEST_NAMESPACE";

/// True: the test goes on, and is in a namespace of its own, in which `lo` is up. False: it has run
/// there, in a process of its own, or was left out. `name` is the test's.
pub(crate) fn is_alone(name: &str) -> bool {
    if std::env::var_os(MARK).is_some() {
        // Addresses of IPv6 are there at once, and not when nobody else was found to have them.
        let _ = fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
        ip(&["link", "set", "lo", "up"]);
        return true;
    }
    // Not root: a namespace of users makes it so, where the system lets everybody have one.
    let flags = if is_root() { "-n" } else { "-rn" };
    let works = |mut command: Command| command.output().is_ok_and(|out| out.status.success());
    if !works(by(&["unshare", flags], Command::new("ip").arg("link"))) {
        skip(
            name,
            "no network namespace: it takes root, unshare(1) and ip(8)",
        );
        return false;
    }
    let mut own = Command::new(std::env::current_exe().unwrap());
    own.args([name, "--exact", "--nocapture"]).env(MARK, "1");
    let output = by(&["unshare", flags], &own).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    print!("{said}");
    assert!(output.status.success(), "{failed}");
    assert!(said.contains(" 1 passed"), "no test {name}: {said}");
    false
}

/// Runs ip(8), here.
pub(crate) fn ip(arguments: &[&str]) {
    succeeds(Command::new("ip").args(arguments));
}

fn succeeds(command: &mut Command) {
    let output = command.output().expect("ip(8)");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Another namespace, joined to this one by `here0` (10.9.0.1) and `there0` (10.9.0.2).
pub(crate) struct Neighbour(Ours);

impl Neighbour {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["-n", "tail", "-f", "/dev/null"]);
        let neighbour = Self(Ours::start(command));
        let own = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        eventually("a namespace of its own", || {
            own(&neighbour.pid()) != own("self")
        });
        let pair = ["link", "add", "here0", "type", "veth", "peer", "name"];
        ip(&[&pair[..], &["there0", "netns", &neighbour.pid()]].concat());
        ip(&["addr", "add", "10.9.0.1/24", "dev", "here0"]);
        ip(&["link", "set", "here0", "up"]);
        neighbour.ip(&["link", "set", "lo", "up"]);
        neighbour.ip(&["addr", "add", "10.9.0.2/24", "dev", "there0"]);
        neighbour.ip(&["link", "set", "there0", "up"]);
        neighbour
    }

    fn pid(&self) -> String {
        self.0.0.id().to_string()
    }

    /// The same command, there.
    pub(crate) fn there(&self, command: &Command) -> Command {
        by(&["nsenter", "-t", &self.pid(), "-n"], command)
    }

    /// Runs ip(8), there.
    pub(crate) fn ip(&self, arguments: &[&str]) {
        succeeds(&mut self.there(Command::new("ip").args(arguments)));
    }
}
