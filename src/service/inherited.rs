//! What a supervisor hands over: sockets (sd_listen_fds(3)), its own socket (sd_notify(3)), a
//! descriptor that is told when the server serves (s6).
//!
//! Owns the environment and the numbers of descriptors. It must not look at what the sockets are.
//! Invariant: all numbers are claimed before anything else is opened, so that none is taken for
//! what it is not; what is meant for another process is left alone.

use crate::config::{LISTENERS_MAX, StartError};
use crate::reactor::listeners::LISTEN_FDS_START;
use crate::report::herald::Herald;
use crate::sys::inherit;
use crate::sys::notify;
use std::env;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

/// What was handed over.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) listeners: Vec<OwnedFd>,
    ready: Option<File>,
}

impl Inherited {
    /// Claims all of it. `ready_fd`: the descriptor that is told; 0: none.
    ///
    /// # Errors
    /// A descriptor that is named and not open.
    pub(super) fn claim(ready_fd: u16) -> Result<Self, StartError> {
        let listeners = listeners()?;
        // A number is claimed once.
        let behind = LISTEN_FDS_START.saturating_add(i32::try_from(listeners.len()).unwrap_or(0));
        let ready = match ready_fd {
            0 => None,
            number if (LISTEN_FDS_START..behind).contains(&number.into()) => {
                let what = format!("descriptor {number} is a socket of LISTEN_FDS");
                let cure =
                    "let the supervisor open the two under different numbers, or set it to 0";
                return Err(StartError::configuration("service.ready_fd", what, cure));
            }
            number => Some(File::from(ready_descriptor(number)?)),
        };
        Ok(Self { listeners, ready })
    }

    /// The server serves.
    pub(super) fn tell_ready(&mut self) {
        if let Some(mut ready) = self.ready.take()
            && let Err(error) = ready.write_all(b"\n")
        {
            log::warn!("service.ready_fd: nobody was told: {error}");
        }
    }
}

fn ready_descriptor(number: u16) -> Result<OwnedFd, StartError> {
    inherit::claim(number.into()).map_err(|error| {
        let what = format!("descriptor {number} is not open: {error}");
        let cure = "let it be the number in the file notification-fd of s6, or 0";
        StartError::configuration("service.ready_fd", what, cure)
    })
}

/// The sockets, if they are meant for this process.
fn listeners() -> Result<Vec<OwnedFd>, StartError> {
    let mine = env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let Some(count) = env::var_os("LISTEN_FDS").filter(|_| mine) else {
        return Ok(vec![]);
    };
    let fault = |what: String| {
        let cure = "let the supervisor set it, as sd_listen_fds(3) says";
        StartError::configuration("LISTEN_FDS", what, cure)
    };
    let number = count.to_str().and_then(|text| text.parse::<u8>().ok());
    let Some(number) = number.filter(|n| *n <= LISTENERS_MAX) else {
        let shown = count.to_string_lossy();
        return Err(fault(format!(
            "\"{shown}\" is no number from 0 to {LISTENERS_MAX}"
        )));
    };
    (0..number)
        .map(|n| {
            let fd = LISTEN_FDS_START.saturating_add(n.into());
            inherit::claim(fd).map_err(|error| fault(format!("descriptor {fd}: {error}")))
        })
        .collect()
}

/// Who tells the supervisor, if there is one. One that cannot be told is no reason not to serve.
/// `starter`: the process that the supervisor started.
pub(super) fn herald(starter: u32) -> Herald {
    let variable = |name| env::var(name).ok();
    let address = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
    let supervisor = address.and_then(|address| match notify::connect(&address) {
        Ok(supervisor) => Some(supervisor),
        Err(error) => {
            log::warn!("NOTIFY_SOCKET: the supervisor cannot be told: {error}");
            None
        }
    });
    let period_us = variable("WATCHDOG_USEC");
    Herald::new(
        supervisor,
        beat_ms(period_us, variable("WATCHDOG_PID"), starter),
    )
}

/// Twice as often as the supervisor asks for (sd_watchdog_enabled(3)), ms; 0: not asked for.
fn beat_ms(period_us: Option<String>, pid: Option<String>, starter: u32) -> u32 {
    let mine = pid.is_none_or(|pid| pid == starter.to_string());
    let period_us = period_us.and_then(|text| text.parse::<u64>().ok());
    let half_ms = period_us.filter(|_| mine).map_or(0, |us| match us {
        0 => 0,
        us => (us / 2000).max(1),
    });
    u32::try_from(half_ms).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_hears_twice_as_often_as_it_asks() {
        let text = |text: &str| Some(text.to_owned());
        let own = text("77");
        for (period, pid, ms) in [
            (None, None, 0),
            (text("0"), None, 0),
            (text("30000000"), None, 15_000),
            (text("30000000"), own, 15_000),
            (text("30000000"), text("1"), 0),
            (text("1"), None, 1),
            (text("many"), None, 0),
            (text("18446744073709551615"), None, u32::MAX),
        ] {
            assert_eq!(beat_ms(period, pid, 77), ms);
        }
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_named() {
        let error = ready_descriptor(1023).unwrap_err().to_string();
        assert!(error.starts_with("service.ready_fd: descriptor 1023 is not open"));
    }
}
