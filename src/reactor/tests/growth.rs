//! Which transfer gets a large buffer, and when it comes home.

use super::*;
use crate::config::UploadRule;
use crate::config::rules::Rule as _;
use crate::site::upload::BUILT;

const KIB: usize = 1024;
const REFUSED: &[u8] =
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\nConnection: close\r\n\r\n";

/// A reactor of so many slots, and a request of each of so many clients.
fn with(connections: u16, clients: u8, request: &[u8]) -> Reactor<Told> {
    let reactor = reactor(connections, connections);
    asked(reactor, clients, request)
}

fn asked(mut reactor: Reactor<Told>, clients: u8, request: &[u8]) -> Reactor<Told> {
    for client in 1..=clients {
        reactor.net().accepts.push_back(from(client));
        reactor.net().receives.push_back(Ok(request.to_vec()));
        knock(&mut reactor);
        reactor.turn().unwrap();
    }
    reactor.check();
    reactor
}

/// The client that came as number `index` has sent on in its goodbye.
fn sends_on(reactor: &mut Reactor<Told>, index: usize, bytes: usize) {
    reactor.net().discards.push_back(bytes);
    let token = reactor.net().registered[index];
    reactor.net().events.push(readable(token));
    reactor.turn().unwrap();
    assert!(reactor.net().discards.is_empty(), "all of it was read off");
    reactor.check();
}

fn resized(reactor: &mut Reactor<Told>) -> Vec<(Side, u32)> {
    std::mem::take(&mut reactor.net().resized)
}

const fn receive(kib: u32) -> (Side, u32) {
    (Side::Receive, kib << 10)
}

const fn send(kib: u32) -> (Side, u32) {
    (Side::Send, kib << 10)
}

#[test]
fn who_sends_on_in_its_goodbye_gets_more_step_by_step() {
    let mut reactor = with(128, 1, REFUSED);
    sends_on(&mut reactor, 0, 16 * KIB - 1);
    assert_eq!(resized(&mut reactor), []);
    sends_on(&mut reactor, 0, 1);
    assert_eq!(resized(&mut reactor), [receive(64)]);
    sends_on(&mut reactor, 0, 64 * KIB - 1);
    assert_eq!(resized(&mut reactor), []);
    for _ in 0..20 {
        sends_on(&mut reactor, 0, 64 * KIB);
    }
    assert_eq!(resized(&mut reactor), [receive(256), receive(512)]);
    sends_on(&mut reactor, 0, 0); // its FIN
    assert_eq!(reactor.large_room_home(), (2 << 20, 2 << 20));
}

#[test]
fn who_is_slow_gets_nothing() {
    let mut reactor = with(128, 1, REFUSED);
    for _ in 0..25 {
        reactor.net().now_ms += 1_000;
        sends_on(&mut reactor, 0, 4 * KIB - 1);
    }
    assert_eq!(resized(&mut reactor), []);
}

#[test]
fn the_room_is_not_exceeded_and_a_close_brings_all_home() {
    let mut reactor = with(8, 3, REFUSED);
    for client in 0..3 {
        sends_on(&mut reactor, client, 64 * KIB);
    }
    // 128 KiB over what they have anyway.
    assert_eq!(
        resized(&mut reactor),
        [receive(64), receive(64), receive(48)]
    );
    assert_eq!(reactor.large_room_home(), (0, 128 << 10));
    sends_on(&mut reactor, 0, 64 * KIB);
    assert_eq!(resized(&mut reactor), []);
    sends_on(&mut reactor, 1, 0); // its FIN
    sends_on(&mut reactor, 2, 64 * KIB);
    assert_eq!(resized(&mut reactor), [receive(96)]);
}

#[test]
fn who_moves_no_more_gives_it_up_when_another_one_wants_it() {
    let mut reactor = with(8, 3, REFUSED);
    for client in [0, 1] {
        for bytes in [16, 64] {
            sends_on(&mut reactor, client, bytes * KIB);
        }
    }
    let before = [receive(64), receive(144), receive(48)];
    assert_eq!(resized(&mut reactor)[..2], before[..2]);
    // One of them goes on, at half of its size in a window.
    reactor.net().now_ms += 2_000;
    sends_on(&mut reactor, 1, 40 * KIB);
    resized(&mut reactor);
    reactor.net().now_ms += 2_500;
    sends_on(&mut reactor, 2, 16 * KIB);
    let after = resized(&mut reactor);
    assert_eq!(after.first(), Some(&receive(16)), "the first one's");
    assert_eq!(after.last(), Some(&receive(64)), "{after:?}");
}

#[test]
fn who_cannot_have_one_takes_none() {
    let mut reactor = with(8, 2, REFUSED);
    reactor.net().stays = true; // a unix socket
    for _ in 0..3 {
        sends_on(&mut reactor, 0, 64 * KIB);
    }
    reactor.net().stays = false;
    sends_on(&mut reactor, 1, 64 * KIB);
    assert_eq!(resized(&mut reactor), [receive(64), receive(64)]);
    assert_eq!(reactor.large_room_home(), (80 << 10, 128 << 10));
}

#[test]
fn there_is_none_where_the_usual_ones_are_as_large() {
    let config = Config {
        receive_bytes: 512 << 10,
        send_bytes: 512 << 10,
        ..Config::default()
    };
    assert_eq!(config.large_room_bytes(), 0);
    let mut reactor = with(8, 1, REFUSED);
    reactor.growth = Growth::new(&config, 8);
    reactor.config = config;
    for _ in 0..20 {
        sends_on(&mut reactor, 0, 64 * KIB);
    }
    assert_eq!(resized(&mut reactor), []);
}

/// A site with a file of this size.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(file_bytes: u64) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("adieu-growth-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        let file = std::fs::File::create(path.join("large")).unwrap();
        file.set_len(file_bytes).unwrap();
        Self(path)
    }

    fn reactor(&self, connections: u16) -> Reactor<Told> {
        let config = Config {
            site: SiteConfig {
                root: self.0.clone(),
                uploads: match BUILT {
                    true => vec![UploadRule::parse("/ 1GiB").unwrap()],
                    false => vec![],
                },
                ..SiteConfig::default()
            },
            connections,
            connections_per_address: connections,
            buffers: 8,
            ..Config::default()
        };
        let site = Site::new(&config).unwrap();
        Reactor::new(Told::default(), site, &config, Teardown::Linger)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const GET: &[u8] = b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n";

/// The queue of this client's socket takes so many bytes, and then no more.
fn takes(reactor: &mut Reactor<Told>, index: usize, bytes: usize) {
    reactor.net().sends.extend([Ok(bytes), blocked()]);
    let token = reactor.net().registered[index];
    reactor.net().events.push(Event {
        writable: true,
        readable: false,
        ..readable(token)
    });
    reactor.turn().unwrap();
    assert!(reactor.net().sends.is_empty());
    reactor.check();
}

/// So many clients ask for the large file, and their queues are full with the head.
fn downloads(folder: &Folder, connections: u16, clients: u8) -> Reactor<Told> {
    let mut reactor = folder.reactor(connections);
    for client in 1..=clients {
        reactor.net().sends.push_back(blocked());
        reactor.net().accepts.push_back(from(client));
        reactor.net().receives.push_back(Ok(GET.to_vec()));
        knock(&mut reactor);
        reactor.turn().unwrap();
        let token = reactor.net().registered[usize::from(client) - 1];
        reactor.net().sends.extend([Ok(1000), blocked()]);
        reactor.net().events.push(Event {
            writable: true,
            ..readable(token)
        });
        reactor.turn().unwrap();
    }
    resized(&mut reactor);
    reactor
}

#[test]
fn a_download_that_moves_gets_more_and_one_that_does_not_gets_nothing() {
    let folder = Folder::new(64 << 20);
    let mut reactor = downloads(&folder, 128, 2);
    for _ in 0..20 {
        takes(&mut reactor, 0, 200 * KIB);
    }
    assert_eq!(resized(&mut reactor), [send(64), send(256), send(512)]);
    // What stands in a queue, however much, says nothing.
    for sent_kib in [100, 200] {
        reactor.net().unacknowledged = (sent_kib - 31) << 10;
        takes(&mut reactor, 1, 100 * KIB);
    }
    assert_eq!(resized(&mut reactor), []);
    // Nor does what is acknowledged too slowly.
    reactor.net().unacknowledged = 0;
    reactor.net().now_ms += 4_000;
    takes(&mut reactor, 1, 31 * KIB);
    assert_eq!(resized(&mut reactor), []);
}

#[test]
fn a_download_nearby_stays_as_it_is() {
    let folder = Folder::new(64 << 20);
    let mut reactor = downloads(&folder, 128, 1);
    reactor.net().near = true;
    for _ in 0..8 {
        takes(&mut reactor, 0, 200 * KIB);
    }
    assert_eq!(resized(&mut reactor), []);
    // It is looked again in the next window.
    reactor.net().near = false;
    reactor.net().now_ms += 4_000;
    takes(&mut reactor, 0, 200 * KIB);
    assert_eq!(resized(&mut reactor), [send(64)]);
}

#[test]
fn it_comes_home_when_the_response_is_over() {
    let folder = Folder::new(400 * 1024);
    let mut reactor = downloads(&folder, 128, 1);
    takes(&mut reactor, 0, 90 * KIB);
    assert_eq!(resized(&mut reactor), [send(64)]);
    let owed = 400 * KIB - 90 * KIB;
    takes(&mut reactor, 0, owed - 200 * KIB);
    let token = reactor.net().registered[0];
    reactor.net().events.push(Event {
        writable: true,
        ..readable(token)
    });
    reactor.turn().unwrap();
    assert_eq!(resized(&mut reactor).last(), Some(&send(16)));
    let (free, room) = reactor.large_room_home();
    assert_eq!(free, room);
}

/// What an ended download still holds in its queue is not free for others; what it does not is.
#[test]
fn what_stands_in_a_queue_is_not_given_to_another() {
    let folder = Folder::new(64 << 20);
    let mut reactor = downloads(&folder, 8, 2);
    for _ in 0..4 {
        takes(&mut reactor, 0, 200 * KIB);
    }
    assert_eq!(reactor.large_room_home().0, 0);
    reactor.net().unacknowledged = 100 << 10;
    reactor.net().now_ms += 20_000;
    resized(&mut reactor);
    takes(&mut reactor, 1, 200 * KIB);
    // 144 KiB were the first one's; 100 are in its queue.
    assert_eq!(resized(&mut reactor), [send(100), send(60)]);
    assert_eq!(reactor.large_room_home().0, 0);
}

#[test]
fn a_queue_that_nobody_empties_is_given_up_when_another_one_wants_the_room() {
    let folder = Folder::new(64 << 20);
    let mut reactor = downloads(&folder, 8, 2);
    for _ in 0..4 {
        takes(&mut reactor, 0, 200 * KIB);
    }
    reactor.net().unacknowledged = 144 << 10;
    for second in 1..45 {
        reactor.net().now_ms += 1_000;
        // It acknowledges a little now and then, and so is not stuck.
        reactor.net().unacknowledged -= 100;
        takes(&mut reactor, 1, 250 * KIB);
        let closed = reactor.net().closed.len();
        assert_eq!(closed, usize::from(second >= 40), "after {second} s");
    }
    assert_eq!(reactor.net().closed, [How::Reset]);
    assert_eq!(reactor.counters().value("close", "evicted"), Some(1));
}

#[test]
fn an_upload_that_moves_gets_more_and_gives_it_back_at_its_end() {
    if !BUILT {
        return; // this build takes none
    }
    let folder = Folder::new(0);
    let body = 600 * KIB;
    let head = format!("PUT /up HTTP/1.1\r\nHost: h\r\nContent-Length: {body}\r\n\r\n");
    let mut reactor = asked(folder.reactor(128), 1, head.as_bytes());
    let token = reactor.net().registered[0];
    for piece in [16, 64, 64, 64, 64, 64, 64, 64, 64, 64, 8] {
        reactor
            .net()
            .receives
            .push_back(Ok(vec![b'x'; piece * KIB]));
        reactor.net().events.push(readable(token));
        reactor.turn().unwrap();
        reactor.check();
    }
    let sizes = [receive(64), receive(256), receive(512), receive(16)];
    assert_eq!(resized(&mut reactor), sizes);
    assert_eq!(
        std::fs::metadata(folder.0.join("up")).unwrap().len(),
        600 << 10
    );
}
