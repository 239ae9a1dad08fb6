//! Buffers that grow for transfers that move, and the one pipe of all uploads, on real sockets.
//!
//! What a socket may hold is asked of ss(8), from outside. Far clients, which downloads need, are
//! the matter of `benches/transfers`: there is no far client on the loopback.
#![cfg(feature = "upload")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::http::read_answer;
use common::server::Server;
use common::uploads::{alone, content, head, inbox, noise, nothing_is_left, put, start};
use common::{eventually, skip};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

/// What a socket of the server may hold that has not grown, as the kernel doubles it.
const USUAL: u64 = 2 * 16 * 1024;

/// SO_RCVBUF of the server's sockets, each with the port of its client.
fn buffers(server: &Server) -> Option<Vec<(u16, u64)>> {
    let port = format!(":{}", server.port());
    let own = ["-tmnHO", "state", "established", "sport", "="];
    let output = Command::new("ss").args(own).arg(port).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let each = text.lines().filter_map(|line| {
        let peer = line.split_whitespace().nth(3)?.rsplit(':').next()?;
        let size = line.split("rb").nth(1)?.split(',').next()?;
        Some((peer.parse().ok()?, size.parse().ok()?))
    });
    Some(each.collect())
}

/// What this client's socket at the server may hold.
fn buffer(server: &Server, client: &TcpStream) -> u64 {
    let port = client.local_addr().unwrap().port();
    let all = buffers(server).unwrap();
    let found = all.iter().find(|(peer, _)| *peer == port);
    found.map_or(0, |(_, size)| *size)
}

/// What all of them may hold over the usual, as sizes.
fn grown(server: &Server) -> u64 {
    let all = buffers(server).unwrap();
    let over = all.iter().map(|(_, size)| size.saturating_sub(USUAL));
    over.sum::<u64>() / 2
}

fn has_ss(name: &str) -> bool {
    let has = Command::new("ss").arg("-V").output().is_ok();
    if !has {
        skip(name, "ss(8) is not installed");
    }
    has
}

#[test]
fn the_buffer_of_an_upload_grows_and_comes_back() {
    if !has_ss("the_buffer_of_an_upload_grows_and_comes_back") {
        return;
    }
    let root = inbox();
    let server = start(&root, &[]);
    let body = noise(4 << 20, 1);
    let mut client = server.connect();
    eventually("it is accepted", || buffer(&server, &client) == USUAL);
    client
        .write_all(&head("PUT", "/inbox/x", "", body.len()))
        .unwrap();
    client.write_all(&body[..3 << 20]).unwrap();
    eventually("it has grown", || {
        buffer(&server, &client) == 2 * 512 * 1024
    });
    client.write_all(&body[3 << 20..]).unwrap();
    assert_eq!(read_answer(&mut client, false).status, 201);
    eventually("it is home", || buffer(&server, &client) == USUAL);
    assert_eq!(content(&server, "/inbox/x"), (200, body));
    drop(client);
    server.comes_home();
    server.stop();
}

/// Many begin an upload, get what there is, and move no more. One that moves has its part of the
/// room in the end.
#[test]
fn who_moves_is_not_kept_out_by_who_does_not() {
    if !has_ss("who_moves_is_not_kept_out_by_who_does_not") {
        return;
    }
    let root = inbox();
    let keys = [
        "memory.growth_bytes=256KiB",
        "upload.at_once=64",
        "timeout.body_window_bytes=0", // nobody is late
    ];
    let server = start(&root, &keys);
    let piece = noise(32 << 10, 2);
    let begins = |number: usize| {
        let mut client = server.connect();
        let target = format!("/inbox/{number}");
        client
            .write_all(&head("PUT", &target, "", 60 << 20))
            .unwrap();
        client.write_all(&piece).unwrap();
        client
    };
    let idle: Vec<TcpStream> = (0..20).map(begins).collect();
    eventually("all is taken", || grown(&server) == 256 * 1024);
    let mut client = begins(99);
    eventually("it has grown", || {
        // ss(8) asks for one after the other while they change; once in 100 ms at most.
        assert!(grown(&server).min(grown(&server)) <= 256 * 1024);
        client.write_all(&piece).unwrap();
        buffer(&server, &client) > USUAL
    });
    drop((idle, client));
    server.comes_home();
    nothing_is_left(&root);
    server.stop();
}

/// Each upload that is refused in the middle has left bytes in the pipe.
#[test]
fn no_byte_of_an_upload_that_failed_reaches_another() {
    let root = inbox();
    let mut command = Command::new("sh");
    let keys = "--set 'site.uploads=/inbox 64MiB' --set limits.connections_per_address=128";
    let line = format!(
        "ulimit -f 256; exec '{}' -p 127.0.0.1:0 -d '{}' {keys}",
        env!("CARGO_BIN_EXE_adieu"),
        root.path().display()
    );
    command.args(["-c", &line]);
    let server = Server::run(command);
    for round in 0..20 {
        // The limit is 128 or 256 KiB, depending on the shell.
        let secret = vec![b'S'; 600_000];
        let refused = alone(&server, &put("/inbox/large", "", &secret));
        assert_eq!(refused.status, 507);
        let body = noise(50_000, round);
        let target = format!("/inbox/{round}");
        assert_eq!(alone(&server, &put(&target, "", &body)).status, 201);
        assert!(content(&server, &target) == (200, body), "round {round}");
    }
    server.comes_home();
    nothing_is_left(&root);
    server.stop();
}
