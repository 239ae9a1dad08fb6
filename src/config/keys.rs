//! The key table: every setting once, with its unit, bounds, meaning and place in the
//! [`Config`](super::Config).
//!
//! It feeds `--set`, `--help`, the effective configuration of `-t` and the manual. It must not hold
//! defaults (those are `Config::default()`) nor check two keys against each other (that is the
//! draft's work). Invariants: names are unique and sorted by section; every value that its kind
//! admits fits its field.

pub use super::key::{Apply, Key};
use super::key::{Place, distance};
use super::value::{Kind, Lines, Unit};
use crate::connection::limits::FIELDS_MAX;

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key whose name is most like `name`, unless all are quite unlike it.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static Key> {
    let (distance, key) = KEYS
        .iter()
        .map(|key| (distance(name, key.name), key))
        .min_by_key(|(d, _)| *d)?;
    (distance <= name.len().max(4) / 2).then_some(key)
}

/// One row whose value is a whole number.
macro_rules! number {
    ($name:literal, $unit:ident, $min:expr, $max:expr, $apply:ident, $($field:ident).+,
     $meaning:literal) => {
        number!($name, $unit, $min, $max, $apply, $($field).+, $meaning, "")
    };
    ($name:literal, $unit:ident, $min:expr, $max:expr, $apply:ident, $($field:ident).+,
     $meaning:literal, $why:literal) => {
        Key {
            name: $name,
            kind: Kind::Number { unit: Unit::$unit, min: $min, max: $max },
            meaning: $meaning,
            why: $why,
            apply: Apply::$apply,
            place: Place::Server {
                own: |config| &mut config.$($field).+,
                seen: |config| &config.$($field).+,
            },
        }
    };
}

/// One row of another kind.
macro_rules! other {
    ($place:ident, $name:literal, $kind:expr, $apply:ident, $($field:ident).+,
     $meaning:literal) => {
        Key {
            name: $name,
            kind: $kind,
            meaning: $meaning,
            why: "",
            apply: Apply::$apply,
            place: Place::$place {
                own: |config| &mut config.$($field).+,
                seen: |config| &config.$($field).+,
            },
        }
    };
}

/// One row of a site that is rules, a line each.
macro_rules! rules {
    ($name:literal, $rule:ident, $field:ident, $meaning:literal) => {
        other!(
            Site,
            $name,
            Kind::Lines(Lines::$rule),
            Reload,
            $field,
            $meaning
        )
    };
}

/// An hour: longer timeouts hide a fault.
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// 1 TiB: the bound of what is counted but not held.
const TIB: u64 = 1 << 40;
/// Slots: the index of a token has 16 bits, and the listeners need some.
pub const CONNECTIONS_MAX: u16 = 65_000;
/// Smallest socket buffer: the kernel's own lower bound for SO_SNDBUF.
pub(crate) const SOCKET_BYTES_MIN: u64 = 4608;
/// Largest socket buffer: the measured peaks of the memory plan are not stretched further.
const SOCKET_BYTES_MAX: u64 = 8 << 20;

/// A log file of less would be renamed at every other line.
const LOG_BYTES_MIN: u64 = 4096;

/// Every key, by section.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    other!(Server, "listen.address", Kind::Listen, Restart, listen,
        "Where to listen: PORT (all IPv4), ADDR:PORT, [IPV6]:PORT or unix:PATH."),
    other!(Server, "listen.freebind", Kind::Switch, Restart, freebind,
        "Listen on addresses that no interface has yet, and say so."),
    number!("listen.defer_accept_s", Seconds, 0, 60, Restart, defer_accept_s,
        "Take in who has sent something (TCP_DEFER_ACCEPT); 0: whoever connects."),
    other!(Server, "listen.unix_mode", Kind::Mode, Restart, unix_mode,
        "Permissions of unix sockets; who may write may connect."),
    other!(Server, "listen.unix_owner", Kind::Word, Restart, unix_owner,
        "USER or USER:GROUP to whom unix sockets belong."),
    other!(Server, "listen.unknown_host", Kind::Choice(&["serve", "refuse"]), Reload, unknown_host,
        "A Host that no site has: the default site, or 421 unless it is an address."),
    other!(Site, "site.hosts", Kind::Words, Reload, hosts,
        "Names the site answers to, without port; *.example.com for all beneath."),
    other!(Site, "site.root", Kind::Path, Reload, root, "The directory that is served."),
    other!(Site, "site.index", Kind::Words, Reload, index,
        "Names that stand for a directory, tried in order."),
    other!(Site, "site.symlinks", Kind::Choice(&["within", "none", "follow"]), Reload, symlinks,
        "Symbolic links: those that stay inside the root, none, or all."),
    other!(Site, "site.dotfiles", Kind::Choice(&["hide", "serve"]), Reload, dotfiles,
        "Names that begin with a dot: 404, or served. .well-known always is."),
    other!(Site, "site.precompressed", Kind::Words, Reload, precompressed,
        "Codings looked for beside a file (.br, .zst, .gz), preferred first."),
    other!(Site, "site.listing", Kind::Switch, Reload, listing,
        "Directories without an index are listed; else 403."),
    other!(Site, "site.fallback", Kind::Word, Reload, fallback,
        "The file for paths that lead nowhere and name no file, with status 200."),
    other!(Site, "site.charset", Kind::Word, Reload, charset,
        "The charset that text files are said to have."),
    rules!("site.types", MediaType, types,
        "Media types by extension, before the built-in ones."),
    rules!("site.aliases", Alias, aliases,
        "Directories outside the root, each beneath a path."),
    rules!("site.redirects", Redirect, redirects,
        "Paths that moved; a * at both ends stands for the same rest."),
    rules!("site.error_pages", ErrorPage, error_pages,
        "Files of the site that are sent with a refusal."),
    rules!("site.fields", ExtraField, fields,
        "Further response fields; of one name the last that matches counts."),
    rules!("site.access", Access, access,
        "Who may ask: every rule that matches must let the client in; else 403."),
    rules!("site.auth", AuthRule, auth,
        "Who must be a user of a file, for these methods (* for all); else 401."),
    rules!("site.bodies", UploadRule, bodies,
        "Largest request body at a path: above 413. Of several the last counts."),
    rules!("site.uploads", UploadRule, uploads,
        "Where PUT and DELETE change files, and the largest such file."),
    rules!("site.scripts", ScriptRule, scripts,
        "Files that are scripts: executed, or given to their interpreter."),
    number!("memory.total", Bytes, 0, TIB, Restart, memory_total_bytes,
        "All memory, the kernel's share included; derives the slots. 0: no total."),
    number!("memory.connections", Count, 1, 65_000, Restart, connections,
        "Slots: connections at the same time."),
    number!("memory.buffers", Count, 0, 65_000, Restart, buffers,
        "Buffers for heads and replies. 0: a quarter of the slots, at least 8."),
    number!("memory.buffer_bytes", Bytes, 2048, 65_535, Restart, buffer_bytes,
        "Size of either half of a buffer; bounds a request head."),
    number!("memory.backlog", Count, 1, 4096, Restart, backlog,
        "Connections that wait in the kernel, for each listener."),
    number!("memory.cache_files", Count, 0, 1024, Restart, cache_files,
        "Files that are kept open for a second for who asks next; 0: none."),
    number!("memory.cache_bytes", Bytes, 0, 64 << 20, Restart, cache_bytes,
        "Arena for the content of small ones among them; 0: no file is kept."),
    number!("memory.receive_bytes", Bytes, SOCKET_BYTES_MIN, SOCKET_BYTES_MAX, Restart,
        receive_bytes,
        "Receive buffer of a connection (SO_RCVBUF). Below 16KiB a byte costs more."),
    number!("memory.send_bytes", Bytes, SOCKET_BYTES_MIN, SOCKET_BYTES_MAX, Restart, send_bytes,
        "Send buffer of a connection (SO_SNDBUF). Rate = this / round trip."),
    number!("memory.large_bytes", Bytes, SOCKET_BYTES_MIN, SOCKET_BYTES_MAX, Restart, large_bytes,
        "The most that either may grow to while a transfer moves."),
    number!("memory.growth_bytes", Bytes, 0, TIB, Restart, growth_bytes,
        "What all may have over their usual sizes. 0: 16KiB for each slot."),
    number!("limits.connections_per_address", Count, 0, 65_000, Reload, connections_per_address,
        "Slots for one address (IPv4 /32, IPv6 /64). 0: three quarters of all."),
    number!("limits.target_bytes", Bytes, 64, 64_511, Reload, limits.target_bytes,
        "Longest request target; above: 414."),
    number!("limits.fields", Count, 8, 100, Reload, limits.fields,
        "Most field lines in a request head; above: 431."),
    number!("limits.body_bytes", Bytes, 0, TIB, Reload, limits.body_bytes,
        "Longest request body read off to keep a connection; above: 413."),
    number!("timeout.head_ms", Milliseconds, 100, HOUR_MS, Reload, limits.head_ms,
        "From the first byte of a request head to its end; above: 408."),
    number!("timeout.verdict_ms", Milliseconds, 100, HOUR_MS, Reload, limits.verdict_ms,
        "A request whose credentials are not looked at in so long gets 503."),
    number!("timeout.body_ms", Milliseconds, 100, HOUR_MS, Reload, limits.body_ms,
        "From the first byte of a request body to its end; above: 408."),
    number!("timeout.upload_ms", Milliseconds, 100, DAY_MS, Reload, limits.upload_ms,
        "From the first byte of an upload to its end; above: 408."),
    number!("timeout.body_window_ms", Milliseconds, 100, HOUR_MS, Reload, limits.body_window_ms,
        "The window in which a body must bring timeout.body_window_bytes."),
    number!("timeout.body_window_bytes", Bytes, 0, 1 << 20, Reload, limits.body_window_bytes,
        "A body slower than this in one window is late: 408. 0: no lower rate."),
    number!("timeout.write_ms", Milliseconds, 100, HOUR_MS, Reload, limits.write_ms,
        "A response of which nothing was acknowledged for so long is cut."),
    number!("timeout.stop_ms", Milliseconds, 0, HOUR_MS, Reload, limits.stop_ms,
        "A stopping server ends every connection after this."),
    number!("timeout.handover_ms", Milliseconds, 0, HOUR_MS, Reload, limits.handover_ms,
        "A server that handed over ends every connection after this."),
    number!("timeout.orphan_ms", Milliseconds, 100, HOUR_MS, Reload, limits.orphan_ms,
        "How long the kernel sends on for a socket that nobody has any more."),
    other!(Server, "keepalive.enabled", Kind::Switch, Reload, limits.keepalive,
        "Keep connections open after a response."),
    number!("keepalive.idle_ms", Milliseconds, 100, HOUR_MS, Reload, limits.keepalive_idle_ms,
        "A kept connection without a next request is closed after this."),
    number!("keepalive.requests", Count, 1, 65_535, Reload, limits.keepalive_requests,
        "Most requests on one connection."),
    other!(Server, "keepalive.off_agents", Kind::Words, Reload, limits.keepalive_off_agents,
        "User-Agents that begin so are never kept open."),
    number!("linger.idle_ms", Milliseconds, 10, HOUR_MS, Reload, limits.linger_idle_ms,
        "Goodbye: a client that moves less than 1 KiB in so long is gone."),
    number!("linger.total_ms", Milliseconds, 10, HOUR_MS, Reload, limits.linger_total_ms,
        "Goodbye: the longest one."),
    number!("linger.bytes", Bytes, 0, TIB, Reload, limits.linger_bytes,
        "Goodbye: the most that is read off, such as the rest of an upload."),
    number!("linger.kernel_fin_wait_s", Seconds, 1, 60, Reload, linger2_s,
        "After close the kernel waits this long for the client's FIN (TCP_LINGER2).",
        "above 60 the kernel waits about twice the excess instead (61 gives 2 s)"),
    number!("linger.so_linger_s", Seconds, 1, 3600, Reload, limits.so_linger_s,
        "Build so-linger: SO_LINGER before close."),
    other!(Server, "proxy.trusted", Kind::Networks, Restart, trusted,
        "Proxies believed about their clients: networks, unix, all."),
    other!(Server, "proxy.speaks",
        Kind::Choice(&["forwarded", "x-forwarded-for", "proxy-protocol"]), Restart, speaks,
        "What is believed of them, and nothing beside it."),
    other!(Server, "auth.plain", Kind::Switch, Reload, auth.plain,
        "Passwords may stand in a file of users as they are."),
    number!("auth.remember_ms", Milliseconds, 0, HOUR_MS, Reload, auth.remember_ms,
        "Credentials that were good are not looked at again for so long."),
    number!("auth.waiting", Count, 1, 64, Restart, auth.waiting,
        "Requests that wait for that, at most half of the buffers; above: 429."),
    number!("auth.failures", Count, 1, 1000, Reload, auth.failures,
        "Wrong passwords of one address before it must pause."),
    number!("auth.pause_ms", Milliseconds, 0, HOUR_MS, Reload, auth.pause_ms,
        "So long it must pause after each further one, and gets 429."),
    number!("upload.at_once", Count, 1, 1024, Restart, uploads,
        "Uploads on their way at the same time; above: 503."),
    other!(Server, "upload.sync", Kind::Switch, Reload, upload_sync,
        "Answer an upload when it is on its disk (fsync), not when it is written."),
    number!("script.at_once", Count, 1, 64, Restart, script.at_once,
        "Scripts that run at the same time; further requests wait."),
    number!("script.waiting", Count, 0, 256, Restart, script.waiting,
        "Requests that wait for a script to end; above: 503."),
    number!("script.queue_ms", Milliseconds, 0, HOUR_MS, Reload, limits.queue_ms,
        "A request that has waited so long gets 503."),
    number!("script.first_byte_ms", Milliseconds, 100, HOUR_MS, Reload, limits.first_byte_ms,
        "A script that has not begun its answer after this ends: 504."),
    number!("script.total_ms", Milliseconds, 100, 24 * HOUR_MS, Reload, script.total_ms,
        "A script ends after this, whatever it does: 504, or its answer is cut."),
    number!("script.kill_ms", Milliseconds, 0, 60_000, Reload, script.kill_ms,
        "From SIGTERM to SIGKILL, for a script that must end."),
    number!("script.body_bytes", Bytes, 0, TIB, Reload, script.body_bytes,
        "Longest request body that a script gets; above: 413."),
    number!("script.spool_bytes", Bytes, 0, 64 << 20, Reload, script.spool_bytes,
        "Longest body without a length, kept in memory; above: 413. 0: 411."),
    number!("script.output_bytes", Bytes, 0, TIB, Reload, script.output_bytes,
        "Longest answer of a script; above it is cut. 0: no bound."),
    number!("script.processes", Count, 0, 65_535, Reload, script.processes,
        "Processes of the server's user, for scripts (RLIMIT_NPROC). 0: no bound."),
    number!("script.memory_bytes", Bytes, 0, TIB, Reload, script.memory_bytes,
        "Address space of each process of a script (RLIMIT_AS). 0: no bound."),
    number!("script.cpu_s", Seconds, 0, 86_400, Reload, script.cpu_s,
        "Processor time of each process of a script (RLIMIT_CPU). 0: no bound."),
    other!(Server, "script.no_new_privs", Kind::Switch, Restart, script.no_new_privs,
        "Scripts and what they start gain no privileges: no setuid, no sudo."),
    other!(Server, "script.sandbox_read", Kind::Words, Restart, script.sandbox_read,
        "Scripts read and execute what is beneath these paths, and nothing else."),
    other!(Server, "script.sandbox_write", Kind::Words, Restart, script.sandbox_write,
        "Scripts also change what is beneath these."),
    other!(Server, "service.user", Kind::Word, Restart, service.user,
        "USER or USER:GROUP that the server becomes once it listens."),
    other!(Server, "service.chroot", Kind::Word, Restart, service.chroot,
        "Directory that is / once it listens: for sites, logs and reloads."),
    other!(Server, "service.pidfile", Kind::Word, Restart, service.pidfile,
        "File with the number of the process, while it lives."),
    other!(Server, "service.control", Kind::Word, Restart, service.control,
        "Unix socket at which the next adieu takes over from this one."),
    number!("service.ready_fd", Count, 0, 1023, Restart, service.ready_fd,
        "Descriptor that gets a line feed once the server serves (s6). 0: none."),
    other!(Server, "service.sandbox", Kind::Choice(&["on", "off", "require"]), Restart,
        service.sandbox,
        "Once it serves it reaches what this file names and nothing else."),
    other!(Server, "service.sandbox_read", Kind::Words, Restart, service.sandbox_read,
        "Further paths that it may read then, such as targets of links."),
    other!(Server, "service.sandbox_write", Kind::Words, Restart, service.sandbox_write,
        "Further directories in which it may change files then."),
    other!(Server, "status.path", Kind::Word, Reload, status.path,
        "Path of the default site that shows the status, such as /-/status."),
    other!(Server, "status.allow", Kind::Networks, Reload, status.allow,
        "Who sees it there: networks, unix, all. To others there is no such path."),
    other!(Server, "status.socket", Kind::Word, Restart, status.socket,
        "Unix socket that shows the status, also when all slots are taken."),
    other!(Server, "status.socket_mode", Kind::Mode, Restart, status.socket_mode,
        "Permissions of that socket; who may write may ask."),
    other!(Server, "log.level", Kind::Choice(&["off", "error", "warn", "info", "debug"]), Reload,
        log_level, "What is logged."),
    other!(Server, "log.target", Kind::Word, Reload, log_target,
        "Where it goes: stderr, stdout, syslog, syslog:PATH or file:PATH."),
    number!("log.target_bytes", Bytes, LOG_BYTES_MIN, TIB, Reload, log_target_bytes,
        "At this size its file is renamed to PATH.1, and a new one begun."),
    other!(Server, "log.access", Kind::Choice(&["off", "common", "combined", "json"]), Reload,
        access, "A line for each response, in this form."),
    other!(Server, "log.access_target", Kind::Word, Reload, access_target,
        "Where these lines go: as log.target."),
    number!("log.access_bytes", Bytes, LOG_BYTES_MIN, TIB, Reload, access_bytes,
        "At this size their file is renamed to PATH.1, and a new one begun."),
];

// The literals of the table, for `From` is not const.
const _: () = assert!(FIELDS_MAX == 100 && CONNECTIONS_MAX == 65_000);

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::value::Value;
    use super::*;

    #[test]
    fn names_are_unique_meanings_short_and_sections_together() {
        let mut sections: Vec<&str> = Vec::new();
        for (index, key) in KEYS.iter().enumerate() {
            let (section, name) = key.name.split_once('.').unwrap();
            assert!(!name.is_empty() && !section.is_empty());
            assert!(
                KEYS.iter()
                    .skip(index + 1)
                    .all(|other| other.name != key.name),
                "{}",
                key.name
            );
            assert!(
                key.meaning.len() <= 75 && key.meaning.ends_with('.'),
                "{}",
                key.name
            );
            if sections.last() != Some(&section) {
                assert!(!sections.contains(&section), "{section} is torn apart");
                sections.push(section);
            }
        }
        assert_eq!(KEYS.len(), 101);
    }

    #[test]
    fn units_stand_last_in_the_names() {
        for key in KEYS {
            if let Kind::Number { unit, .. } = key.kind {
                let suffix = match unit {
                    Unit::Milliseconds => "_ms",
                    Unit::Seconds => "_s",
                    Unit::Bytes if ["memory.total", "linger.bytes"].contains(&key.name) => "",
                    Unit::Bytes => "_bytes",
                    Unit::Count => "",
                };
                assert!(key.name.ends_with(suffix), "{}", key.name);
            }
        }
    }

    #[test]
    fn every_default_and_every_bound_fits_its_field_and_is_read_back() {
        for key in KEYS {
            let mut texts = vec![key.value(&Config::default()).to_string()];
            match key.kind {
                Kind::Number { min, max, .. } => texts.extend([min.to_string(), max.to_string()]),
                Kind::Switch => texts.extend(["on".into(), "off".into()]),
                Kind::Path => texts.push("/srv/www".into()),
                Kind::Words => texts.extend(["none".into(), "a,b".into()]),
                Kind::Word => texts.extend(["none".into(), "/a".into()]),
                Kind::Lines(rule) => texts.extend(["none".into(), rule.example().to_owned()]),
                Kind::Choice(choices) => texts.extend(choices.iter().map(|c| (*c).to_owned())),
                Kind::Networks => texts.extend(["none".into(), "10.0.0.0/8,::1,unix".into()]),
                Kind::Listen => texts.push("[::1]:80,unix:/run/a,0.0.0.0%lo:1".into()),
                Kind::Mode => texts.push("0600".into()),
            }
            for text in texts {
                let mut config = Config::default();
                let value = key.kind.parse(&text).unwrap();
                assert_eq!(
                    key.set(&mut config, value.clone()),
                    Some(()),
                    "{} {text}",
                    key.name
                );
                assert_eq!(key.value(&config), value, "{}", key.name);
                assert_eq!(key.kind.parse(&value.to_string()), Ok(value));
                let touched = KEYS
                    .iter()
                    .filter(|k| k.value(&config) != k.value(&Config::default()));
                assert!(
                    touched.map(|k| k.name).all(|name| name == key.name),
                    "{}",
                    key.name
                );
            }
        }
    }

    #[test]
    fn every_key_refuses_what_lies_outside_and_what_is_not_of_its_kind() {
        for key in KEYS {
            let mut texts = vec![String::new()];
            match key.kind {
                Kind::Number { min, max, .. } => {
                    texts.extend(["x".into(), "-1".into(), (max + 1).to_string()]);
                    texts.extend(min.checked_sub(1).map(|n| n.to_string()));
                }
                Kind::Switch | Kind::Choice(_) => texts.push("perhaps".into()),
                Kind::Path => (),
                Kind::Words => texts.push("a,,b".into()),
                Kind::Word => texts.push("a b".into()),
                Kind::Lines(_) => texts.push("x".into()),
                Kind::Listen | Kind::Networks => texts.push("nowhere".into()),
                Kind::Mode => texts.extend(["rw".into(), "4755".into()]),
            }
            for text in texts {
                assert!(key.kind.parse(&text).is_err(), "{} {text}", key.name);
            }
        }
    }

    #[test]
    fn a_value_of_another_kind_changes_nothing() {
        for key in KEYS {
            let mut config = Config::default();
            let wrong = match key.kind {
                Kind::Switch => Value::Number(1, Unit::Count),
                Kind::Number { .. }
                | Kind::Path
                | Kind::Word
                | Kind::Words
                | Kind::Choice(_)
                | Kind::Lines(_)
                | Kind::Networks
                | Kind::Mode
                | Kind::Listen => Value::Switch(true),
            };
            assert_eq!(key.set(&mut config, wrong), None);
            assert_eq!(config, Config::default());
        }
    }

    #[test]
    fn the_nearest_key_is_named_only_when_it_is_near() {
        for (typed, meant) in [
            ("linger.idel_ms", Some("linger.idle_ms")),
            ("linger.idle", Some("linger.idle_ms")),
            ("limit.fields", Some("limits.fields")),
            ("site.rot", Some("site.root")),
            ("memory.conections", Some("memory.connections")),
            ("zzzzzzzzzzzzzzzzzzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed).map(|key| key.name), meant, "{typed}");
        }
    }
}
