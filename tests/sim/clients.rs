//! The plans of all kinds of clients.
//!
//! Owns [`Kind`] and how each is made from chance. It must not run them. Invariant: a plan of a
//! well-behaved kind fits every deadline of the server on the links that [`link`] makes.

use crate::answers::{
    BIG, BIG_IN_PARTS, Expected, FEW, LAST, MANY, SMALL, SMALL_IN_PARTS, asked, is_listed, kept,
    kept_name, status,
};
use crate::peer::{Client, Reads, Step};
use crate::rng::Rng;
use crate::tcp::Link;

/// What a client is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One request, reads all, closes.
    Polite,
    /// Several requests, one after the other.
    KeepAlive,
    /// Twenty requests at once, a malformed one among them.
    Pipeliner,
    /// A large upload that is refused; sends all before it reads.
    WriterFirst,
    /// Puts files, several in one go.
    Uploader,
    /// Reads its answers and never closes.
    NeverFin,
    /// Its machine goes off.
    Vanisher,
    /// Shuts its side right behind the request.
    HalfCloser,
    /// Reads little at a time.
    SlowReader,
    /// Sends byte by byte.
    ByteWise,
    /// Never finishes its head, or its body.
    HalfHead,
    /// Resets in the middle of the answer.
    Resetter,
    /// Is refused and goes on sending a byte now and then.
    Dribbler,
    /// Never reads its large answer.
    Stuck,
    /// Is refused, and sends without end.
    Flooder,
    /// Asks again when the server is about to say goodbye.
    Racer,
    /// Asks on behind the request that it said was its last.
    Overrunner,
}

/// All kinds; those that come often stand twice.
const KINDS: [Kind; 23] = [
    Kind::Polite,
    Kind::Polite,
    Kind::Polite,
    Kind::KeepAlive,
    Kind::KeepAlive,
    Kind::Pipeliner,
    Kind::Pipeliner,
    Kind::WriterFirst,
    Kind::Uploader,
    Kind::Uploader,
    Kind::NeverFin,
    Kind::Vanisher,
    Kind::HalfCloser,
    Kind::HalfCloser,
    Kind::SlowReader,
    Kind::ByteWise,
    Kind::HalfHead,
    Kind::Resetter,
    Kind::Dribbler,
    Kind::Stuck,
    Kind::Flooder,
    Kind::Racer,
    Kind::Overrunner,
];

/// Those on a path so long that little goes over it.
const FAR: [Kind; 5] = [
    Kind::Polite,
    Kind::WriterFirst,
    Kind::HalfCloser,
    Kind::Dribbler,
    Kind::Overrunner,
];

/// More than the server reads off.
const FLOOD_BYTES: usize = 5 << 20;
/// A little before an idle connection's deadline, seen from the client, ms.
const RACE_MS: u64 = 15_000 - 20;

impl Kind {
    /// It is owed whole answers, no failing send, no RST and a FIN.
    pub(crate) fn is_good(self) -> bool {
        !matches!(
            self,
            Self::Vanisher | Self::Resetter | Self::Dribbler | Self::Stuck | Self::Flooder
        )
    }
}

/// A link to a client. `near`: for runs in which slots are short and a second decides.
pub(crate) fn link(rng: &mut Rng, near: bool) -> Link {
    let burst = rng.pick(&[1_460, 5_840, 16_384]);
    if near {
        return Link {
            rtt_ms: rng.range(0, 40),
            rate: rng.range(1_000, 10_000),
            loss: 0,
            burst,
            delayed_ack_ms: rng.pick(&[0, 40]),
        };
    }
    Link {
        rtt_ms: rng.pick(&[0, 1, 10, 40, 120, 600]) + rng.range(0, 5),
        rate: rng.pick(&[200, 1_000, 10_000]),
        loss: rng.pick(&[0, 0, 5, 20]),
        burst,
        delayed_ack_ms: rng.pick(&[0, 40]),
    }
}

/// Four retransmissions take longer than a peer may be silent.
fn is_far(link: Link) -> bool {
    link.rtt_ms > 500
}

fn get(file: usize, close: bool) -> Vec<u8> {
    let close = if close { "Connection: close\r\n" } else { "" };
    let (name, range) = asked(file);
    format!("GET /{name} HTTP/1.1\r\nHost: sim\r\n{close}{range}\r\n").into_bytes()
}

/// The same in HTTP/1.0, where only the close ends a listing.
fn get_old(file: usize) -> Vec<u8> {
    format!("GET /{} HTTP/1.0\r\nHost: sim\r\n\r\n", asked(file).0).into_bytes()
}

fn whole(bytes: Vec<u8>) -> Step {
    pieces(bytes, usize::MAX, 0)
}

fn pieces(bytes: Vec<u8>, piece: usize, pause_ms: u64) -> Step {
    Step::Send {
        bytes,
        done: 0,
        piece,
        pause_ms,
    }
}

fn file(file: usize) -> Expected {
    Expected {
        status: status(file),
        file: Some(file),
        old: false,
    }
}

fn page(status: u16) -> Expected {
    Expected {
        status,
        file: None,
        old: false,
    }
}

/// A preface of the PROXY protocol, for one of a few clients.
pub(crate) fn preface(rng: &mut Rng) -> Vec<u8> {
    let last = rng.range(1, 5) as u8;
    match rng.range(0, 2) {
        0 => format!("PROXY TCP4 192.0.2.{last} 10.0.0.1 4711 80\r\n").into_bytes(),
        1 => b"PROXY UNKNOWN\r\n".to_vec(),
        _ => {
            let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
            bytes.extend([192, 0, 2, last, 10, 0, 0, 1, 0x12, 0x67, 0, 80]);
            bytes
        }
    }
}

/// A client of a random kind.
pub(crate) fn client(rng: &mut Rng, link: Link) -> Client {
    let kind = match is_far(link) {
        true => rng.pick(&FAR),
        false => rng.pick(&KINDS),
    };
    let (plan, expected) = made(kind, rng, link);
    let reads = match kind {
        Kind::WriterFirst | Kind::Stuck => Reads::Never,
        Kind::SlowReader => Reads::Slow(rng.size(2_000, 8_000), rng.range(20, 100)),
        Kind::Polite
        | Kind::KeepAlive
        | Kind::Pipeliner
        | Kind::Uploader
        | Kind::NeverFin
        | Kind::Vanisher
        | Kind::HalfCloser
        | Kind::ByteWise
        | Kind::HalfHead
        | Kind::Resetter
        | Kind::Dribbler
        | Kind::Flooder
        | Kind::Racer
        | Kind::Overrunner => Reads::Eager,
    };
    Client::new(kind, plan, expected, reads)
}

type Made = (Vec<Step>, Vec<Expected>);

/// What a client of this kind does, and what it is owed.
fn made(kind: Kind, rng: &mut Rng, link: Link) -> Made {
    let one = match is_far(link) {
        true => SMALL,
        false => rng.size(SMALL, LAST),
    };
    let old = is_listed(one) && rng.chance(400);
    let ask = |close| if old { get_old(one) } else { get(one, close) };
    let request = whole(ask(rng.chance(700)));
    let answer = vec![Expected { old, ..file(one) }];
    match kind {
        Kind::Polite | Kind::SlowReader => (vec![request, Step::End, Step::Close], answer),
        Kind::KeepAlive => keep_alive(rng),
        Kind::Pipeliner => pipeliner(rng),
        Kind::WriterFirst => writer_first(rng, link),
        Kind::Uploader => uploader(rng),
        Kind::NeverFin => (vec![request, Step::End, Step::Hold], answer),
        Kind::Vanisher => vanisher(rng),
        Kind::HalfCloser => {
            let request = whole(ask(false));
            (vec![request, Step::Shut, Step::End, Step::Close], answer)
        }
        Kind::ByteWise => {
            let request = pieces(ask(true), 1, rng.range(1, 50));
            (vec![request, Step::End, Step::Close], answer)
        }
        Kind::HalfHead => {
            // A body that is not wanted does not keep its answer back; one that is, is waited for.
            let (mut half, refused) = upload(20_000, "");
            let wanted = rng.chance(500);
            if wanted {
                half.splice(..4, *b"GET");
            }
            half.extend_from_slice(&[b'h'; 10_000]);
            let bytes = rng.pick(&[1, 10, half.len()]);
            let answer = match wanted || bytes < half.len() {
                true => vec![page(408)],
                false => refused,
            };
            half.truncate(bytes);
            (vec![whole(half), Step::End, Step::Close], answer)
        }
        Kind::Resetter => {
            let pause = Step::Pause(rng.range(0, 500));
            (vec![request, pause, Step::Abort], answer)
        }
        Kind::Dribbler => {
            let (head, refused) = upload(1 << 20, "");
            let piece = rng.pick(&[1, 600]);
            let drip = pieces(vec![b'd'; 100 * piece], piece, rng.range(100, 900));
            (vec![whole(head), drip, Step::Hold], refused)
        }
        Kind::Flooder => {
            let (head, refused) = upload(1 << 30, "");
            let flood = pieces(vec![b'f'; FLOOD_BYTES], 65_536, 0);
            (vec![whole(head), flood, Step::Hold], refused)
        }
        Kind::Racer => racer(rng, link),
        Kind::Overrunner => {
            let mut bytes = get(one, true);
            bytes.extend(get(SMALL, false).repeat(rng.size(1, 40)));
            let said = pieces(bytes, rng.pick(&[100, usize::MAX]), 0);
            (vec![said, Step::End, Step::Close], vec![file(one)])
        }
        Kind::Stuck => {
            let big = rng.pick(&[BIG, BIG_IN_PARTS, MANY]);
            (vec![whole(get(big, false)), Step::Hold], vec![file(big)])
        }
    }
}

fn keep_alive(rng: &mut Rng) -> Made {
    let requests = rng.size(2, 6);
    let (mut plan, mut expected) = (vec![], vec![]);
    for n in 1..=requests {
        let one = rng.size(SMALL, LAST);
        let close = n == requests && rng.chance(300);
        plan.extend([whole(get(one, close)), Step::Answers(n)]);
        if n < requests {
            plan.push(Step::Pause(rng.pick(&[0, 0, 1, 300, 3_000, 6_000])));
        }
        expected.push(file(one));
    }
    if rng.chance(500) {
        plan.push(Step::Shut);
    }
    plan.extend([Step::End, Step::Close]);
    (plan, expected)
}

/// The second answer is a wish: the server may have said goodbye before it heard of it.
fn racer(rng: &mut Rng, link: Link) -> Made {
    let about_ms = RACE_MS - link.rtt_ms + rng.range(0, 2 * link.rtt_ms + 40);
    let one = rng.size(SMALL, LAST);
    let plan = vec![
        whole(get(one, false)),
        Step::Answers(1),
        Step::Pause(about_ms),
        Step::IfOpen,
        pieces(
            get(one, false),
            rng.pick(&[10, usize::MAX]),
            rng.range(0, 2),
        ),
        Step::End,
        Step::Close,
    ];
    (plan, vec![file(one), file(one)])
}

fn pipeliner(rng: &mut Rng) -> Made {
    let bad = rng.size(5, 15);
    let (mut bytes, mut expected) = (vec![], vec![]);
    for n in 0..20 {
        let one = rng.pick(&[SMALL, 1, 1, BIG, BIG_IN_PARTS, SMALL_IN_PARTS, FEW, MANY]);
        if n < bad {
            bytes.extend(get(one, false));
            expected.push(file(one));
        } else if n == bad {
            bytes.extend(b"GET /small.txt HTTP/1.1\r\nHost: sim\r\nA malformed field\r\n\r\n");
            expected.push(page(400));
        } else {
            bytes.extend(get(one, false));
        }
    }
    (vec![whole(bytes), Step::End, Step::Close], expected)
}

/// The head of an upload, and its refusal.
fn upload(length: usize, field: &str) -> (Vec<u8>, Vec<Expected>) {
    let framing = match length {
        0 => "Transfer-Encoding: chunked".to_owned(),
        length => format!("Content-Length: {length}"),
    };
    let head = format!("POST /small.txt HTTP/1.1\r\nHost: sim\r\n{framing}\r\n{field}\r\n");
    (head.into_bytes(), vec![page(405)])
}

fn writer_first(rng: &mut Rng, link: Link) -> Made {
    // What a window per round trip carries within the longest goodbye.
    let most = match link.loss {
        _ if is_far(link) => 100,
        0 => 2_048,
        _ => 512,
    };
    let length = rng
        .pick(&[64, 65, 100, 100, 300, 300, 1_000, 2_048])
        .min(most)
        * 1_024;
    let field = rng.pick(&["", "", "Connection: close\r\n", "Expect: 100-continue\r\n"]);
    let chunked = rng.chance(200);
    let (mut bytes, expected) = upload(if chunked { 0 } else { length }, field);
    if chunked {
        bytes.extend_from_slice(format!("{length:x}\r\n").as_bytes());
    }
    bytes.extend_from_slice(&vec![b'u'; length]);
    if chunked {
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    }
    let think = Step::Pause(rng.pick(&[0, 100, 5_000]));
    let plan = vec![whole(bytes), Step::Read, Step::End, think, Step::Close];
    (plan, expected)
}

/// Files of names that nobody else has, by length or in chunks, and sometimes in a pipeline.
fn uploader(rng: &mut Rng) -> Made {
    let (mut bytes, mut expected) = (vec![], vec![]);
    let uploads = rng.size(1, 3);
    for n in 1..=uploads {
        let length = rng.pick(&[0, 1, 1_000, 5_000, 20_000, 100_000]);
        let name = kept_name(rng.range(0, u64::MAX - 1), length);
        let body = kept(length);
        let close = match n == uploads && rng.chance(500) {
            true => "Connection: close\r\n",
            false => "",
        };
        let chunked = rng.chance(400);
        let framing = match chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {length}"),
        };
        let head = format!("PUT /in/{name} HTTP/1.1\r\nHost: sim\r\n{close}{framing}\r\n\r\n");
        bytes.extend_from_slice(head.as_bytes());
        if chunked {
            for chunk in body.chunks(rng.pick(&[700, 4_000, 30_000])) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&body);
        }
        expected.push(page(201));
    }
    let sends = match rng.chance(300) {
        true => pieces(bytes, 5_000, rng.range(0, 20)),
        false => whole(bytes),
    };
    (vec![sends, Step::Shut, Step::End, Step::Close], expected)
}

fn vanisher(rng: &mut Rng) -> Made {
    let one = rng.size(SMALL, LAST);
    let mut plan = vec![];
    if rng.chance(800) {
        plan.push(whole(get(one, rng.chance(500))));
    }
    plan.extend([Step::Pause(rng.range(0, 400)), Step::Vanish]);
    (plan, vec![file(one)])
}
