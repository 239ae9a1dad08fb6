//! Snapshots in all forms.

use super::*;
use crate::config::{Config, Sizes};
use crate::connection::reason::CloseReason;

fn snapshot(survey: Survey) -> Snapshot {
    let mut states = [0; State::ALL.len()];
    states[0] = 3;
    states[10] = 65_000;
    let pool = Pool {
        name: "slots",
        used: 65_000,
        most: 65_000,
        peak: Some(65_000),
        plan: "slots",
    };
    let mut counters = Counters::new();
    let mut goodbyes = Goodbyes::new();
    for reason in CloseReason::ALL {
        counters.close(*reason);
        goodbyes.count(1234, 5_000_000);
    }
    counters.sent(u64::MAX);
    Snapshot {
        pid: 4_194_304,
        uptime_ms: u64::MAX,
        unix_s: Some(1_764_000_000),
        stopping: true,
        states,
        pools: [pool; POOLS],
        counters,
        goodbyes,
        survey,
        plan: Rc::new(Plan::of(&Config::default(), &Sizes::sample())),
    }
}

fn known() -> Survey {
    Survey {
        sockets: Some(Sockets {
            states: [7; TCP_STATES.len()],
            waiting: 5,
            receive_bytes: 1 << 30,
            send_bytes: 2 << 30,
        }),
        host: Some(Host {
            orphans: 11,
            memory_bytes: 1 << 33,
        }),
        resident_bytes: Some(3 << 20),
        age_ms: 900,
    }
}

fn whole(of: &Snapshot, form: Form, piece: usize) -> String {
    let mut all = Vec::new();
    loop {
        let mut room = vec![0; piece];
        let (bytes, last) = of.write(form, all.len(), &mut room);
        assert!(bytes <= piece);
        all.extend_from_slice(&room[..bytes]);
        if last {
            return String::from_utf8(all).unwrap();
        }
        assert!(bytes > 0, "a piece without bytes");
    }
}

#[test]
fn every_form_is_the_same_in_pieces_of_any_size() {
    let snapshot = snapshot(known());
    for (form, name) in Form::ALL {
        let all = whole(&snapshot, form, 1 << 20);
        for piece in [1, 17, 2035, 4096, all.len()] {
            assert_eq!(whole(&snapshot, form, piece), all, "{name} {piece}");
        }
    }
}

#[test]
fn what_is_not_known_is_unknown_and_never_a_zero() {
    let unknown = snapshot(Survey::default());
    let json = whole(&unknown, Form::Json, 1 << 20);
    for part in [
        "\"sockets\":null",
        "\"accept_queue\":null",
        "\"receive_bytes\":null",
        "\"send_bytes\":null",
        "\"orphans\":null",
        "\"tcp_memory_bytes\":null",
        "\"resident_bytes\":null",
    ] {
        assert!(json.contains(part), "{part}");
    }
    let metrics = whole(&unknown, Form::Metrics, 1 << 20);
    for name in ["adieu_kernel_", "adieu_host_", "adieu_resident_bytes"] {
        assert!(!metrics.contains(name), "{name}");
    }
    let text = whole(&unknown, Form::Text, 1 << 20);
    assert!(text.contains("in the kernel\n  unknown\n"));
    assert!(text.contains("unknown orphans, unknown bytes"));
}

#[test]
fn the_text_fits_a_terminal_and_is_no_markup() {
    let text = whole(&snapshot(known()), Form::Text, 1 << 20);
    for line in text.lines() {
        assert!(line.len() <= 80 && line.is_ascii(), "{line}");
        assert!(!line.contains(['<', '>', '&']), "{line}");
        assert!(!line.ends_with(' '), "{line:?}");
    }
}

#[test]
fn every_group_of_counters_has_its_metric() {
    let metrics = whole(&snapshot(known()), Form::Metrics, 1 << 20);
    let counters = Counters::new();
    for (group, name, _) in counters.each() {
        let line = match group {
            "" => format!("\nadieu_{}_total ", name.replace('-', "_")),
            _ => format!("=\"{name}\"}} "),
        };
        assert!(metrics.contains(&line), "{group} {name}");
    }
}

#[test]
fn the_page_is_small_and_asks_nobody_else() {
    let page = include_str!("page.html");
    assert!(page.len() <= 8192, "{} bytes", page.len());
    assert_eq!(page.matches("<!--text-->").count(), 1);
    for word in ["http:", "https:", "//", "src=", "@import", "url("] {
        // The name of SVG is an address that nobody asks.
        let rest = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!rest.contains(word), "{word}");
    }
    let shown = whole(&snapshot(known()), Form::Page, 1 << 20);
    assert!(shown.starts_with("<!doctype html>") && shown.ends_with("</html>\n"));
}
