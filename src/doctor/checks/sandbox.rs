//! Does the kernel hold the sandbox?
//!
//! Owns the judgement of Landlock. It must not go in.

use super::super::{Case, Cure, Finding};
use super::key;
use crate::config::Sandbox;
use crate::sys::confine::{ABI_RENAMES, ABI_SCOPES, ABI_TCP, Answer};

/// What the kernel says of Landlock.
pub(super) fn landlock(case: &Case<'_>) -> Option<Finding> {
    let answer = case.readings.landlock?;
    let mode = case.config.service.sandbox;
    let value = match answer {
        Answer::Abi(abi) => format!("ABI {abi}"),
        Answer::Off => "built in, not used".to_owned(),
        Answer::None | Answer::NotBuilt => "none".to_owned(),
        Answer::Forbidden(errno) => format!("hidden by a filter, errno {errno}"),
    };
    if mode == Sandbox::Off {
        let why = "service.sandbox=off: the server reaches what its user may.";
        return Some(Finding::fine(value, why));
    }
    let helps = match answer {
        Answer::Abi(abi) if abi < ABI_RENAMES && case.config.takes_uploads() => "Linux 5.19",
        Answer::Abi(abi) => return Some(held(value, abi)),
        Answer::Off => "landlock in lsm= of the kernel's command line",
        Answer::None => "a kernel from 5.13 on, with CONFIG_SECURITY_LANDLOCK",
        Answer::Forbidden(_) => "a container whose filter lets landlock_create_ruleset through",
        Answer::NotBuilt => "a build with the feature sandbox",
    };
    Some(match mode {
        Sandbox::Require => {
            let why = "service.sandbox=require: it will not start.";
            Finding::bad(value, why)
                .or(Cure::Other(helps.to_owned()))
                .or(key("service.sandbox", &"on"))
        }
        Sandbox::On | Sandbox::Off => {
            let why = format!("The server reaches what its user may. To hold it takes {helps}.");
            Finding::note(value, why)
        }
    })
}

/// Files are held, and beside them what this ABI knows.
fn held(value: String, abi: u32) -> Finding {
    let lacks = match abi {
        _ if abi < ABI_TCP => "TCP (Linux 6.7) and signals (6.12)",
        _ if abi < ABI_SCOPES => "signals (Linux 6.12)",
        _ => return Finding::fine(value, "Files, TCP and signals are held once it serves."),
    };
    let why = format!("Files are held once it serves; this kernel does not hold {lacks}.");
    Finding::note(value, why)
}
