//! Are there descriptors enough?
//!
//! Owns the judgement of RLIMIT_NOFILE, fs.nr_open and fs.file-max. It must not raise a limit.

use super::super::{Case, Cure, Finding};
use super::{connections, sysctl};
use crate::config::Descriptors;

fn needed(case: &Case<'_>) -> u64 {
    let shown = usize::from(case.config.socket_slots() > 0); // status.socket
    let listeners = case.config.listen.len().saturating_add(shown);
    Descriptors::of(case.config, u64::try_from(listeners).unwrap_or(u64::MAX)).need
}

/// So many connections fit so many descriptors: two for each.
fn fitting(case: &Case<'_>, need: u64, there: u64) -> u64 {
    let too_many = need.saturating_sub(there).div_ceil(2);
    u64::from(case.config.connections).saturating_sub(too_many)
}

/// RLIMIT_NOFILE. The server raises it itself as far as it may, the hard limit only with
/// CAP_SYS_RESOURCE.
pub(super) fn open_files(case: &Case<'_>) -> Option<Finding> {
    let (soft, hard) = case.readings.open_files?;
    let need = needed(case);
    let value = format!("{soft}, hard {hard}");
    let slots = case.config.connections;
    let needs = format!("memory.connections={slots} needs {need}");
    if soft >= need {
        return Some(Finding::fine(value, format!("{needs}.")));
    }
    if hard >= need {
        let why = format!("{needs}: adieu raises the soft limit itself.");
        return Some(Finding::fine(value, why));
    }
    if case.readings.may_raise == Some(true) {
        let why = format!(
            "{needs}: adieu raises the hard limit itself, if it is started with the rights that \
             doctor has now."
        );
        return Some(Finding::note(value, why));
    }
    let why = format!("{needs}: it will not start.");
    let unit = format!("ulimit -n {need} where it is started, or LimitNOFILE={need} in its unit");
    Some(
        Finding::bad(value, why)
            .or(Cure::Other(unit))
            .or_if(connections(fitting(case, need, hard))),
    )
}

/// fs.nr_open: no limit of a process goes above it.
pub(super) fn nr_open(case: &Case<'_>) -> Option<Finding> {
    let most = case.readings.nr_open?;
    let need = needed(case);
    let value = most.to_string();
    if most >= need {
        let why = format!("No limit of open files goes above it; {need} are needed.");
        return Some(Finding::fine(value, why));
    }
    if case
        .readings
        .open_files
        .is_some_and(|(_, hard)| hard >= need)
    {
        let why = format!("{need} are needed, which the hard limit has from before.");
        return Some(Finding::note(value, why));
    }
    let why = format!("{need} are needed, and no limit of open files goes above it: no start.");
    Some(
        Finding::bad(value, why)
            .or(sysctl("fs.nr_open", &need))
            .or_if(connections(fitting(case, need, most))),
    )
}

/// fs.file-max: descriptors of all processes. Who is root may go above it.
pub(super) fn file_max(case: &Case<'_>) -> Option<Finding> {
    let most = case.readings.file_max?;
    let taken = case.readings.files_taken.unwrap_or(0);
    let need = needed(case);
    let value = format!("{most}, {taken} taken");
    if most.saturating_sub(taken) >= need {
        let why = format!("All processes together; adieu needs {need} of them.");
        return Some(Finding::fine(value, why));
    }
    // What others take is not ours to know: as much again.
    let better = sysctl("fs.file-max", &taken.saturating_add(need).saturating_mul(2));
    let finding = if most < need {
        let why = format!(
            "All processes together, and adieu alone needs {need}: clients wait in the queue for \
             descriptors."
        );
        Finding::bad(value, why)
    } else {
        let why = format!(
            "All processes together; adieu needs {need}, which are there only if it is one of \
             those that took them."
        );
        Finding::warn(value, why)
    };
    Some(
        finding
            .or(better)
            .or_if(connections(fitting(case, need, most.saturating_sub(taken)))),
    )
}
