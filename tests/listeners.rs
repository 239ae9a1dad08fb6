//! Where adieu listens: addresses, interfaces, unix sockets. The built binary on real sockets, seen
//! from the client and by who starts it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::child::{adieu, after, as_other, is_root, page_at, page_on, refused, told};
use common::namespace::{Neighbour, ip, is_alone};
use common::place::{Place, permit};
use common::root::Root;
use common::server::Server;
use common::{PATIENCE, eventually, skip};
use std::fs;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

// By their numbers: musl has other words for them.
const IN_USE: &str = "(os error 98)";
const NOT_HERE: &str = "(os error 99)";

/// An address of a network for documents (RFC 5737), which no machine has.
const NOBODYS: &str = "203.0.113.77";

/// A connection with timeouts.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Who connects there right now is served: the page.
fn page(address: SocketAddr) -> String {
    page_on(&mut connect(address))
}

/// The same, where the kernel takes its time to know the address.
fn page_once_up(address: SocketAddr) -> String {
    eventually("an address that the kernel knows", || {
        TcpStream::connect(address).is_ok()
    });
    page(address)
}

/// The same port at the loopback's address of this family.
fn on_loopback(address: SocketAddr) -> SocketAddr {
    let host = if address.is_ipv4() {
        "127.0.0.1"
    } else {
        "::1"
    };
    SocketAddr::new(host.parse().unwrap(), address.port())
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

/// The command for a server at these addresses.
fn at(root: &Root, addresses: &[&str]) -> Command {
    let mut command = adieu(&["-d", root.path().to_str().unwrap()]);
    for address in addresses {
        command.args(["-p", address]);
    }
    command
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

// ---- addresses --------------------------------------------------------------------------------

#[test]
fn every_kind_of_address_is_served_at_once() {
    let (root, place) = (Root::new(), Place::new());
    let path = place.path("socket");
    let mut wanted = vec!["127.0.0.1:0", "0.0.0.0:0"];
    match has_ipv6() {
        true => wanted.extend(["[::1]:0", "[::]:0"]),
        false => skip("every_kind_of_address_is_served_at_once, half", "no IPv6"),
    }
    let mut command = at(&root, &wanted);
    command.args(["-p", &unix(&path)]);
    let server = Server::run(command);
    let addresses = server.addresses();
    assert_eq!(addresses.len(), wanted.len());
    for (address, wanted) in addresses.iter().zip(&wanted) {
        let wanted: SocketAddr = wanted.parse().unwrap();
        assert_eq!(address.ip(), wanted.ip());
        assert!(page(on_loopback(*address)).contains("good day"));
    }
    assert!(page_at(&path).contains("good day"));
    let accepted = u64::try_from(wanted.len() + 1).unwrap();
    assert_eq!(server.stop().counter("accepted"), accepted);
}

#[test]
fn ipv4_and_ipv6_of_one_port_live_together() {
    const NAME: &str = "ipv4_and_ipv6_of_one_port_live_together";
    if !is_alone(NAME) {
        return;
    }
    if !has_ipv6() {
        skip(NAME, "no IPv6");
        return;
    }
    let root = Root::new();
    for both in [["0.0.0.0:80", "[::]:80"], ["[::]:80", "80"]] {
        let server = Server::run(at(&root, &both));
        assert_eq!(server.addresses().len(), 2);
        for address in server.addresses() {
            assert_eq!(address.port(), 80);
            assert!(page(on_loopback(address)).contains("good day"));
        }
        assert_eq!(server.stop().counter("accepted"), 2);
    }
    // IPv6 alone is IPv6 alone.
    let server = Server::run(at(&root, &["[::]:80"]));
    assert!(page("[::1]:80".parse().unwrap()).contains("good day"));
    assert!(TcpStream::connect("127.0.0.1:80").is_err());
    drop(server.stop());
    // The other side: one that is taken is named, whichever of the two.
    let server = Server::run(at(&root, &["[::]:80"]));
    let what = IN_USE;
    let cure = "stop the server that holds it";
    refused(at(&root, &["80", "[::]:80"]), 1, "[::]:80", what, cure);
    drop(server.stop());
}

/// A link-local address: it, its interface, the number of that.
fn link_local() -> Option<(Ipv6Addr, String, u32)> {
    let text = fs::read_to_string("/proc/net/if_inet6").ok()?;
    let lines = text.lines().map(|line| line.split_whitespace().collect());
    let words = lines
        .into_iter()
        .find(|words: &Vec<&str>| words[3] == "20")?;
    let number = |digits: &str| u128::from_str_radix(digits, 16).unwrap();
    let index = u32::try_from(number(words[1])).unwrap();
    Some((number(words[0]).into(), words[5].to_owned(), index))
}

#[test]
fn a_scope_is_the_name_of_an_interface_or_its_number() {
    const NAME: &str = "a_scope_is_the_name_of_an_interface_or_its_number";
    if link_local().is_none() {
        if !is_alone(NAME) {
            return;
        }
        if !has_ipv6() {
            skip(NAME, "no IPv6");
            return;
        }
        let pair = ["link", "add", "one0", "type", "veth", "peer", "name"];
        ip(&[&pair[..], &["two0"]].concat());
        for name in ["one0", "two0"] {
            ip(&["link", "set", name, "up"]);
        }
        ip(&["addr", "add", "fe80::77/64", "dev", "one0", "nodad"]);
    }
    let (host, name, number) = link_local().expect("a link-local address");
    let root = Root::new();
    for scope in [&name, &number.to_string()] {
        let server = Server::run(at(&root, &[&format!("[{host}%{scope}]:0")]));
        let wanted = SocketAddrV6::new(host, server.port(), 0, number).into();
        assert_eq!(server.addresses(), [wanted]);
        assert!(page_once_up(wanted).contains("good day"));
        drop(server.stop());
    }
    // Of another interface it is another address, which nobody has.
    let listen = format!("[{host}%lo]:0");
    let mut command = at(&root, &[&listen]);
    command.args(["--set", "listen.freebind=off"]);
    let what = NOT_HERE;
    refused(
        command,
        1,
        &listen,
        what,
        "give an address that this machine has",
    );
}

#[test]
fn a_link_local_address_without_an_interface_is_told_what_it_lacks() {
    let root = Root::new();
    let place = "[fe80::1]:0";
    let command = Server::command(place, root.path(), &[]);
    let what = "cannot listen: Invalid argument";
    refused(
        command,
        78,
        place,
        what,
        "name its interface, as in [fe80::1%br0]:80",
    );
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let root = Root::new();
    let mut addresses = vec!["0.0.0.0%none0:0", "127.0.0.1%none0:0"];
    match has_ipv6() {
        true => addresses.extend(["[fe80::1%none0]:0", "[fe80::1%77777]:0", "[::]%none0:0"]),
        false => skip("an_interface_that_is_not_there_is_named, half", "no IPv6"),
    }
    for address in addresses {
        // It is the interface that is missing, not only the address.
        let what = "cannot listen: No such device";
        let cure = "name an interface that is there when adieu starts (ip link)";
        refused(at(&root, &[address]), 1, address, what, cure);
    }
    let what = "is no numeric address with a port";
    let place = "-p 0.0.0.0%a/b:0";
    refused(at(&root, &["0.0.0.0%a/b:0"]), 2, place, what, "[::]:8080");
}

#[test]
fn bound_to_an_interface_it_serves_there() {
    let root = Root::new();
    let mut addresses = vec!["0.0.0.0%lo:0"];
    match has_ipv6() {
        true => addresses.push("[::]%lo:0"),
        false => skip("bound_to_an_interface_it_serves_there, half", "no IPv6"),
    }
    let server = Server::run(at(&root, &addresses));
    for address in server.addresses() {
        assert!(page(on_loopback(address)).contains("good day"));
    }
    let accepted = u64::try_from(addresses.len()).unwrap();
    assert_eq!(server.stop().counter("accepted"), accepted);
}

#[test]
fn bound_to_an_interface_it_serves_nowhere_else() {
    if !is_alone("bound_to_an_interface_it_serves_nowhere_else") {
        return;
    }
    let (root, neighbour) = (Root::new(), Neighbour::new());
    let mut addresses = vec!["0.0.0.0%lo:81", "0.0.0.0%there0:82", "83"];
    let v6 = has_ipv6();
    if v6 {
        neighbour.ip(&["addr", "add", "fd00:9::2/64", "dev", "there0", "nodad"]);
        ip(&["addr", "add", "fd00:9::1/64", "dev", "here0", "nodad"]);
        addresses.extend(["[::]%lo:81", "[::]%there0:82", "[::]:83"]);
    }
    let server = Server::run(neighbour.there(&at(&root, &addresses)));
    let hosts = if v6 {
        &["10.9.0.2", "[fd00:9::2]"][..]
    } else {
        &["10.9.0.2"]
    };
    for host in hosts {
        let at = |port: u16| -> SocketAddr { format!("{host}:{port}").parse().unwrap() };
        // The way is there.
        assert!(page_once_up(at(83)).contains("good day"));
        assert!(page(at(82)).contains("good day"));
        assert!(TcpStream::connect(at(81)).is_err());
    }
    drop(server.stop());
}

#[test]
fn an_address_that_nobody_has_is_listened_on_or_refused() {
    let root = Root::new();
    let mut addresses = vec![format!("{NOBODYS}:0")];
    match has_ipv6() {
        true => addresses.push("[2001:db8::77]:0".to_owned()),
        false => skip(
            "an_address_that_nobody_has_is_listened_on_or_refused, half",
            "no IPv6",
        ),
    }
    for address in &addresses {
        let server = Server::run(at(&root, &[address]));
        server.says(&format!(
            "adieu: warning: {address}: no interface has this address yet; it is listened on"
        ));
        let wanted: SocketAddr = address.parse().unwrap();
        assert_eq!(server.addresses()[0].ip(), wanted.ip());
        drop(server.stop());
        let mut command = at(&root, &[address]);
        command.args(["--set", "listen.freebind=off"]);
        let what = NOT_HERE;
        let cure = "give an address that this machine has, with -p, or set listen.freebind to on";
        refused(command, 1, address, what, cure);
    }
    // One that is there is not warned about, whatever the key says.
    for freebind in ["listen.freebind=on", "listen.freebind=off"] {
        let server = Server::start(root.path(), &[freebind]);
        server.serves_a_good_client();
        server.stop().never_said("warning");
    }
}

#[test]
fn an_address_that_comes_after_the_start_is_served() {
    if !is_alone("an_address_that_comes_after_the_start_is_served") {
        return;
    }
    let root = Root::new();
    let mut late = vec![format!("{NOBODYS}:80")];
    if has_ipv6() {
        late.push("[2001:db8::77]:80".to_owned());
    }
    let addresses: Vec<&str> = late.iter().map(String::as_str).collect();
    let server = Server::run(at(&root, &addresses));
    for address in &late {
        let address: SocketAddr = address.parse().unwrap();
        assert!(TcpStream::connect(address).is_err());
        let length = if address.is_ipv4() { 32 } else { 128 };
        let one = format!("{}/{length}", address.ip());
        let mut arguments = vec!["addr", "add", &one, "dev", "lo"];
        if address.is_ipv6() {
            arguments.push("nodad");
        }
        ip(&arguments);
        assert!(page_once_up(address).contains("good day"));
    }
    drop(server.stop());
}

// ---- unix sockets -----------------------------------------------------------------------------

#[test]
fn a_unix_socket_has_its_mode_whatever_the_umask() {
    let (root, place) = (Root::new(), Place::new());
    for (mode, bits) in [("0600", 0o600), ("660", 0o660), ("0666", 0o666)] {
        for umask in ["000", "022", "777"] {
            let path = place.path(&format!("{mode}-{umask}"));
            let mut command = at(&root, &[&unix(&path)]);
            command.args(["--set", &format!("listen.unix_mode={mode}")]);
            let server = Server::run(after(&format!("umask {umask}"), &command));
            let permissions = fs::metadata(&path).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o7777, bits, "{mode}, {umask}");
            assert!(page_at(&path).contains("good day"));
            // Its own umask is what it was.
            let own = told(server.pid(), "status", "Umask:");
            assert_eq!(own, [format!("0{umask}")]);
            drop(server.stop());
        }
    }
    for wrong in ["888", "rw-", "4755"] {
        let pair = format!("listen.unix_mode={wrong}");
        let place = format!("--set {pair}");
        let cure = "write three octal digits such as 0660 or 0666";
        let what = format!("\"{wrong}\" are no permissions");
        refused(adieu(&["--set", &pair]), 2, &place, &what, cure);
    }
}

#[test]
fn a_unix_socket_is_given_away_by_root() {
    const NAME: &str = "a_unix_socket_is_given_away_by_root";
    let (root, place) = (Root::new(), Place::new());
    let owned = |path: &Path, owner: &str| {
        let mut command = at(&root, &[&unix(path)]);
        command.args(["--set", &format!("listen.unix_owner={owner}")]);
        command
    };
    let path = place.path("unknown");
    let command = owned(&path, "nobody-at-all");
    let what = "there is no user nobody-at-all";
    let cure = "name one of /etc/passwd and /etc/group, or give numbers";
    refused(command, 78, "listen.unix_owner", what, cure);
    assert!(!path.exists());
    // Who is not root: refused.
    let others = place.directory("others");
    permit(&others, 0o777);
    let path = others.join("socket");
    match as_other(&owned(&path, "0:0")) {
        Some(command) => {
            let what = format!(
                "cannot give {} away: Operation not permitted",
                path.display()
            );
            let cure = "only root gives sockets away; leave listen.unix_owner at none";
            refused(command, 78, "listen.unix_owner", &what, cure);
        }
        None => skip(NAME, "the binary is root's own"),
    }
    if !is_root() {
        skip(NAME, "giving away needs root");
        return;
    }
    for (owner, ids) in [
        ("54321:54322", (54_321, 54_322)),
        ("54321:root", (54_321, 0)),
        ("root:54322", (0, 54_322)),
    ] {
        let path = place.path(owner);
        let server = Server::run(owned(&path, owner));
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), ids);
        assert_eq!(found.permissions().mode() & 0o777, 0o660);
        assert!(page_at(&path).contains("good day"));
        drop(server.stop());
    }
}

#[test]
fn a_stale_unix_socket_is_replaced() {
    let (root, place) = (Root::new(), Place::new());
    let path = place.path("socket");
    let server = Server::run(at(&root, &[&unix(&path)]));
    server.signal("KILL");
    assert_eq!(server.wait().status.code(), None);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    assert!(UnixStream::connect(&path).is_err());
    let server = Server::run(at(&root, &[&unix(&path)]));
    assert!(page_at(&path).contains("good day"));
    assert_eq!(server.stop().counter("accepted"), 1);
}

#[test]
fn a_living_unix_socket_and_what_is_none_are_left_alone() {
    let (root, place) = (Root::new(), Place::new());
    let living = UnixListener::bind(place.path("living")).unwrap();
    living.set_nonblocking(true).unwrap();
    drop(UnixListener::bind(place.path("stale")).unwrap());
    place.file("file", b"what somebody wrote");
    place.directory("directory");
    symlink(place.path("stale"), place.path("link")).unwrap();
    symlink(place.path("nothing"), place.path("dangling")).unwrap();
    let inode = |name: &str| fs::symlink_metadata(place.path(name)).unwrap().ino();
    for name in ["living", "file", "directory", "link", "dangling"] {
        let before = inode(name);
        let listen = unix(&place.path(name));
        let what = IN_USE;
        let cure = "another server listens there, or it is no socket: choose another path";
        refused(at(&root, &[&listen]), 1, &listen, what, cure);
        assert_eq!(inode(name), before, "{name}");
    }
    assert!(living.accept().is_err(), "nobody has knocked");
    assert_eq!(place.text("file").unwrap(), "what somebody wrote");
    assert!(!place.path("nothing").exists());
    let listen = unix(&place.path("missing/socket"));
    let what = "cannot listen: No such file or directory";
    refused(
        at(&root, &[&listen]),
        1,
        &listen,
        what,
        "make its directory, or choose another path",
    );
}
