//! Files that are kept for the next request, and connections that are held back: on real sockets,
//! with the real kernel telling of changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::http::{Answer, answers, read_answer};
use common::outside::descriptors;
use common::root::Root;
use common::server::Server;
use common::{eventually, uploads};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;

/// Asks on an open connection, as a client that takes gzip.
fn ask(stream: &mut TcpStream, path: &str) -> Answer {
    let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(stream, false)
}

/// Which of its files the server has open.
fn open_files(server: &Server, name: &str) -> usize {
    let all = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().contains(name))
        .count()
}

#[test]
fn the_next_request_sees_every_change() {
    let root = Root::new();
    fs::create_dir(root.path().join("d")).unwrap();
    let path = root.path().join("d/f.txt");
    fs::write(&path, "start").unwrap();
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    for round in 0..40 {
        eventually("it is kept", || {
            ask(&mut stream, "/d/f.txt");
            open_files(&server, "f.txt") + open_files(&server, "other") > 0
        });
        let text = format!("round {round}");
        match round % 4 {
            0 => fs::write(&path, &text).unwrap(),
            1 => {
                fs::write(root.path().join("new"), &text).unwrap();
                fs::rename(root.path().join("new"), &path).unwrap();
            }
            2 => {
                fs::write(root.path().join("other"), &text).unwrap();
                fs::remove_file(&path).unwrap();
                symlink("../other", &path).unwrap();
            }
            _ => {
                fs::rename(root.path().join("d"), root.path().join(format!("d{round}"))).unwrap();
                assert_eq!(ask(&mut stream, "/d/f.txt").status, 404);
                fs::create_dir(root.path().join("d")).unwrap();
                fs::write(&path, &text).unwrap();
            }
        }
        let answer = ask(&mut stream, "/d/f.txt");
        assert_eq!(answer.status, 200);
        assert_eq!(String::from_utf8(answer.body).unwrap(), text);
    }
    drop(stream);
    server.stop();
}

#[test]
fn a_sibling_that_comes_or_goes_is_seen() {
    let root = Root::new();
    let (path, packed) = (root.path().join("f.txt"), root.path().join("f.txt.gz"));
    fs::write(path, "plain").unwrap();
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    for _ in 0..5 {
        for _ in 0..3 {
            assert_eq!(ask(&mut stream, "/f.txt").body, b"plain");
        }
        fs::write(&packed, "packed").unwrap();
        for _ in 0..3 {
            let answer = ask(&mut stream, "/f.txt");
            assert_eq!(answer.body, b"packed");
            assert_eq!(answer.field("content-encoding"), Some("gzip"));
            assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
        }
        fs::remove_file(&packed).unwrap();
    }
    drop(stream);
    server.stop();
}

#[test]
fn what_nobody_asks_for_is_closed_by_itself() {
    let root = Root::new();
    fs::write(root.path().join("kept.bin"), vec![7; 100_000]).unwrap();
    let server = Server::start(root.path(), &[]);
    let before = descriptors(server.pid());
    let mut stream = server.connect();
    eventually("it is kept", || {
        assert_eq!(ask(&mut stream, "/kept.bin").body.len(), 100_000);
        open_files(&server, "kept.bin") > 0
    });
    drop(stream);
    eventually("the file is closed", || {
        open_files(&server, "kept.bin") == 0
    });
    eventually("nothing else is open", || {
        descriptors(server.pid()) == before
    });
    server.stop();
}

#[test]
fn what_is_put_or_deleted_is_seen_at_once() {
    let root = uploads::inbox();
    let server = uploads::start(&root, &[]);
    let mut stream = server.connect();
    for round in 0..10 {
        let text = format!("round {round}");
        let put = uploads::put("/inbox/f", "", text.as_bytes());
        assert!(matches!(uploads::ask(&mut stream, &put).status, 201 | 204));
        for _ in 0..3 {
            assert_eq!(ask(&mut stream, "/inbox/f").body, text.as_bytes());
        }
        if round % 2 == 0 {
            let delete = uploads::bare("DELETE", "/inbox/f", "");
            assert_eq!(uploads::ask(&mut stream, &delete).status, 204);
            assert_eq!(ask(&mut stream, "/inbox/f").status, 404);
        }
    }
    drop(stream);
    server.stop();
}

#[test]
fn without_a_cache_everything_is_as_it_was() {
    for key in ["memory.cache_files=0", "memory.cache_bytes=0"] {
        let root = Root::new();
        fs::write(root.path().join("f.txt"), "text").unwrap();
        let server = Server::start(root.path(), &[key]);
        let mut stream = server.connect();
        for _ in 0..4 {
            assert_eq!(ask(&mut stream, "/f.txt").body, b"text");
        }
        assert_eq!(open_files(&server, "f.txt"), 0);
        assert_eq!(open_files(&server, "inotify"), 0);
        drop(stream);
        server.stop();
    }
}

#[test]
fn a_pipeline_of_small_files_is_whole_and_in_order() {
    let root = Root::new();
    // None of them has room behind three others.
    for n in 0..8 {
        let text = n.to_string().repeat(2500);
        fs::write(root.path().join(n.to_string()), text).unwrap();
    }
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    for _ in 0..3 {
        let heads = (0..40).map(|n| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", n % 8));
        stream
            .write_all(heads.collect::<String>().as_bytes())
            .unwrap();
        let mut bytes = Vec::new();
        while answers(&bytes, false).0.len() < 40 {
            let mut room = [0; 65_536];
            let n = stream.read(&mut room).unwrap();
            assert!(n > 0);
            bytes.extend_from_slice(&room[..n]);
        }
        let (all, rest) = answers(&bytes, false);
        assert!(rest.is_empty());
        for (n, answer) in all.iter().enumerate() {
            assert_eq!(answer.body, (n % 8).to_string().repeat(2500).as_bytes());
        }
    }
    drop(stream);
    server.stop();
}

#[test]
fn who_says_nothing_is_not_taken_in_where_that_is_wanted() {
    let root = Root::new();
    let held_back = ["listen.defer_accept_s=60"];
    for (keys, connections) in [(&held_back[..], 0), (&[], 1)] {
        let server = Server::start(root.path(), keys);
        let before = descriptors(server.pid());
        let mut silent = server.connect();
        server.serves_a_good_client(); // who came later has been taken in
        eventually("the good client is gone", || {
            descriptors(server.pid()) <= before + connections
        });
        assert_eq!(descriptors(server.pid()), before + connections);
        assert_eq!(
            ask(&mut silent, "/").status,
            200,
            "it is served when it asks"
        );
        drop(silent);
        server.stop();
    }
}
