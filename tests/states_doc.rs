//! `docs/states.md` is printed from the state table. This test fails when the file is stale; with
//! ADIEU_BLESS=1 it writes it anew.

#![allow(
    clippy::panic,
    reason = "a test fails by panicking, helpers of tests too"
)]

use adieu::connection::state::{
    Deadline, Event, State, Teardown, deadline, interest, meaning, next,
};
use std::fmt::Write;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/states.md");

fn clock(state: State) -> &'static str {
    match deadline(state) {
        Deadline::Idle => "keep-alive idle (before the first request: head)",
        Deadline::Head => "head, total",
        Deadline::Verdict => "verdict, total",
        Deadline::Queue => "waiting for a script, total",
        Deadline::Script => "minimum rate of bodies, then the script's first word",
        Deadline::Body | Deadline::Rest => "body, total and minimum rate",
        Deadline::Store => "upload, total, and the minimum rate of bodies",
        Deadline::Write => "write: progress in acknowledged bytes",
        Deadline::Linger => "linger idle and linger total",
        Deadline::None => "none",
    }
}

fn directions(state: State) -> &'static str {
    match interest(state) {
        (true, true) => "read, write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "none",
    }
}

fn table(page: &mut String, teardown: Teardown) -> std::fmt::Result {
    writeln!(page, "\n## Teardown: {teardown:?}\n")?;
    write!(page, "| event |")?;
    for state in State::ALL {
        write!(page, " {state:?} |")?;
    }
    writeln!(page, "\n|---|{}", "---|".repeat(State::ALL.len()))?;
    for event in Event::ALL {
        write!(page, "| {event:?} |")?;
        for state in State::ALL {
            match next(state, event, teardown) {
                Some(to) => write!(page, " {to:?} |")?,
                None => write!(page, " - |")?,
            }
        }
        writeln!(page)?;
    }
    Ok(())
}

fn page() -> Result<String, std::fmt::Error> {
    let mut page = String::from(
        "# The states of a connection\n\n\
         Printed from `src/connection/state.rs` by `tests/states_doc.rs`; do not edit. To print\n\
         it anew: `ADIEU_BLESS=1 cargo test --test states_doc`.\n\n\
         | state | what holds | may ask for | deadline |\n|---|---|---|---|\n",
    );
    for state in State::ALL {
        let (means, asks, clock) = (meaning(state), directions(state), clock(state));
        writeln!(page, "| {state:?} | {means} | {asks} | {clock} |")?;
    }
    page.push_str(
        "\nBelow: the state that follows when an event (row) meets a state (column). `-` cannot\n\
         happen: it is a fault of ours, counted, and the connection closes.\n",
    );
    for teardown in Teardown::ALL {
        table(&mut page, teardown)?;
    }
    Ok(page)
}

#[test]
fn the_page_is_what_the_table_says() {
    let page = page().expect("writing into a String");
    if std::env::var_os("ADIEU_BLESS").is_some() {
        std::fs::write(PATH, &page).expect("docs/states.md can be written");
    }
    let on_disk = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        on_disk == page,
        "docs/states.md is stale: ADIEU_BLESS=1 cargo test --test states_doc"
    );
}
