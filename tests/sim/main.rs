//! The simulation: the real reactor, heart and site over a fake kernel with a virtual clock.
//!
//! `ADIEU_SEED=n cargo test --test sim -- --nocapture` replays one seed with a trace;
//! `ADIEU_SEEDS=n` runs so many.
//!
//! What holds after every turn, for everybody, is in `law`. Who is owed what at the end: with slots
//! and buffers for all, every well-behaved client gets its whole answers, no failing send, no RST
//! and a FIN. Where they are short, that holds for who asks once; for the others what has begun
//! becomes whole. The same goes for who lets the server wait where an address has its share. Who
//! asks again at the moment of the goodbye has a whole answer or a FIN. While the server stops, and
//! where the machine stands still for longer than a deadline, nothing garbled is all that is owed;
//! nor is more to a client for which epoll had no memory.
//!
//! Not modelled: congestion beyond a growing window, reordering, SACK, Nagle, zero-window probes
//! (no acknowledgement is lost, data is), ETIMEDOUT of the kernel itself, TIME_WAIT and the reuse
//! of ports, unix sockets, sendfile(2) refused by a file system, files that change while they are
//! sent, memory. The handshake takes one round trip and loses nothing but what the full accept
//! queue drops. EINTR is a poll(2) that returns early with nothing, as the real `Net` makes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test may fail loudly; the lint's own exception knows only #[test] functions"
)]

mod answers;
mod clients;
mod end;
mod fifo;
mod kernel;
mod law;
mod peer;
mod rng;
mod tcp;
mod wire;
mod world;

use adieu::connection::state::Teardown;
use answers::Root;
use clients::Kind;
use peer::Client;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use world::{Outcome, run};

/// Seeds of one flavour.
const SEEDS: u64 = 256;

/// The counters of all seeds together.
type Met = BTreeMap<String, u64>;

/// What the seeds of the lingering flavour meet at least once between them.
const MEETS: [&str; 18] = [
    "close.acked",
    "close.drained",
    "close.evicted",
    "close.linger-bytes",
    "close.linger-idle",
    "close.linger-total",
    "close.peer-fin",
    "close.reset-by-peer",
    "close.stopped",
    "close.timeout-write",
    "evicted.idle",
    "evicted.linger-young",
    "evicted.stalled",
    "reject.gave-way",
    "reject.late-body",
    "reject.late-head",
    "refused-address",
    "large buffers",
];

/// Runs every seed, or the one of the environment; names the seed of a failure.
fn each_seed(teardown: Teardown, mut judge: impl FnMut(&Outcome)) -> Met {
    let asked = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let one = asked("ADIEU_SEED");
    let all = 0..asked("ADIEU_SEEDS").unwrap_or(SEEDS);
    let seeds = one.map_or(all, |seed| seed..seed + 1);
    let root = Root::new(&format!("{teardown:?}"));
    let (mut turns, mut parcels, mut clients, mut ms, mut met) = (0, 0, 0, 0, Met::new());
    for seed in seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let outcome = run(seed, teardown, &root, one.is_some());
            judge(&outcome);
            outcome
        }));
        let outcome = outcome.unwrap_or_else(|panic| {
            eprintln!("{teardown:?}: ADIEU_SEED={seed} shows it");
            resume_unwind(panic)
        });
        turns += outcome.turns;
        clients += outcome.clients.len();
        ms += outcome.ms;
        parcels += outcome.parcels;
        *met.entry("large buffers".to_owned()).or_default() += outcome.large_peak;
        for (group, name, n) in outcome.counters.each() {
            let dot = if group.is_empty() { "" } else { "." };
            *met.entry(format!("{group}{dot}{name}")).or_default() += n;
        }
    }
    println!(
        "{teardown:?}: {clients} clients, {turns} turns, {parcels} parcels, {} s",
        ms / 1_000
    );
    met
}

/// What is wrong with what a client got, for any client under any flavour.
fn garbled(client: &Client) -> Option<String> {
    if let Some(wrong) = &client.answers.wrong {
        return Some(wrong.clone());
    }
    let loose = client.answers.loose();
    (loose > 0 && client.saw_end && !client.saw_reset)
        .then(|| format!("{loose} bytes of an answer, then a FIN as if it were whole"))
}

/// What a well-behaved client was owed and did not get.
fn owed(client: &Client) -> Option<String> {
    let statuses = &client.answers.statuses;
    if client.answers.whole != client.expected.len() {
        return Some(format!("answers {statuses:?} of {:?}", client.expected));
    }
    if statuses.len() != client.expected.len() {
        return Some(format!("turned away: {statuses:?}"));
    }
    if client.send_failed || client.saw_reset {
        return Some("a send failed, or RST".to_owned());
    }
    (!client.saw_end).then(|| "no FIN".to_owned())
}

/// When slots or buffers are short, only who asks once and at once is owed everything; the others
/// are owed that what has begun becomes whole.
fn owed_in_short(client: &Client) -> Option<String> {
    if client.kind == Kind::Polite {
        return owed(client);
    }
    let loose = client.answers.loose();
    (loose > 0).then(|| format!("{loose} bytes of an answer that never became whole"))
}

/// Who asks again while the server says goodbye is answered whole, or finds the end, and never an
/// error.
fn owed_in_race(client: &Client) -> Option<String> {
    let answers = client.answers.statuses.len();
    if !(1..=2).contains(&answers) || client.answers.whole != answers {
        return Some(format!("answers {:?}", client.answers.statuses));
    }
    if client.send_failed || client.saw_reset {
        return Some("a send failed, or RST".to_owned());
    }
    (!client.saw_end).then(|| "no FIN".to_owned())
}

/// Its address has its share: it did not come in, and is told nothing.
fn is_turned_away(client: &Client) -> bool {
    let heard = !client.answers.statuses.is_empty() || client.answers.loose() > 0;
    !heard && (client.saw_end || client.saw_reset)
}

/// Who lets the server wait may give way to its neighbours, and they may have the works.
fn gives_way(client: &Client) -> bool {
    let waits = matches!(client.kind, Kind::KeepAlive | Kind::Racer | Kind::HalfHead);
    waits || client.answers.statuses.contains(&503)
}

fn owed_in_peace(client: &Client) -> Option<String> {
    if client.answers.statuses.contains(&503) {
        return Some("no work for it, and there is one for each".to_owned());
    }
    if client.kind == Kind::Racer {
        owed_in_race(client)
    } else {
        owed(client)
    }
}

fn claims(outcome: &Outcome) -> Vec<String> {
    let scene = &outcome.scene;
    let good = outcome.clients.iter().enumerate();
    good.filter(|(_, client)| client.kind.is_good() && !client.unlucky)
        .filter_map(|(at, client)| {
            let claim = match () {
                () if scene.stops || scene.stalls => None,
                () if scene.crowded && is_turned_away(client) => None,
                () if scene.short || scene.crowded && gives_way(client) => owed_in_short(client),
                () => owed_in_peace(client),
            };
            claim.map(|claim| format!("client {at}, {:?}: {claim}", client.kind))
        })
        .collect()
}

fn nothing_garbled(outcome: &Outcome) {
    // Who could not be watched is let go in the middle of its answer; it is not counted as a cut.
    let is_cut =
        |client: &&Client| client.answers.loose() > 0 && client.saw_reset && !client.unlucky;
    let cut = outcome.clients.iter().filter(is_cut).count() as u64;
    let each = |name: &&str| outcome.counters.value("close", name).unwrap_or(0);
    let counted: u64 = law::CUTS.iter().map(each).sum();
    assert!(
        cut <= counted,
        "{cut} answers are cut and {counted} counted"
    );
    for (at, client) in outcome.clients.iter().enumerate() {
        let wrong = garbled(client);
        assert!(wrong.is_none(), "client {at}, {:?}: {wrong:?}", client.kind);
    }
}

#[test]
fn linger_owes_nobody_anything() {
    let met = each_seed(Teardown::Linger, |outcome| {
        nothing_garbled(outcome);
        let claims = claims(outcome);
        assert!(
            claims.is_empty(),
            "{claims:#?}\n{:#?}",
            outcome.counters.lines()
        );
    });
    let sum = |name: &&str| met.get(*name).copied().unwrap_or(0);
    let missed: Vec<_> = MEETS.iter().filter(|name| sum(name) == 0).collect();
    let one = std::env::var_os("ADIEU_SEED").is_some();
    assert!(one || missed.is_empty(), "no seed meets {missed:?}");
}

#[test]
fn plain_loses_answers_or_resets_good_clients() {
    let mut lost = 0;
    each_seed(Teardown::Plain, |outcome| {
        nothing_garbled(outcome);
        lost += claims(outcome).len();
    });
    assert!(lost > 0, "the simulation cannot fail");
}

#[test]
fn so_linger_ends_and_garbles_nothing() {
    each_seed(Teardown::SoLinger, nothing_garbled);
}
