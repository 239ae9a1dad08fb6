//! How many files the process may have open, and what a program of ours may use.
//!
//! Owns: RLIMIT_NOFILE, and RLIMIT_NPROC, RLIMIT_AS, RLIMIT_CPU, RLIMIT_CORE (getrlimit(2)), and
//! the size of a page. Must not: know how much anybody needs. Invariant: the first is only ever
//! raised, the others only ever lowered.
#![allow(unsafe_code, reason = "getrlimit(2), setrlimit(2), sysconf(3)")]

use std::io;

use super::call::checked;

/// The soft limit, which is in force, and the hard one, up to which anyone may raise it.
///
/// # Errors
///
/// None that getrlimit(2) names for a valid call.
pub fn open_files() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` outlives the call, which writes that one struct.
    checked(unsafe { libc::getrlimit64(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Raises the soft limit to `need` if it is lower, and the hard limit with it where the process
/// may; answers the soft limit then in force, which is lower than `need` if the hard limit is and
/// cannot be raised.
///
/// # Errors
///
/// See setrlimit(2).
pub fn raise_open_files(need: u64) -> io::Result<u64> {
    let (soft, hard) = open_files()?;
    if soft >= need {
        return Ok(soft);
    }
    // Above the hard limit: for who has CAP_SYS_RESOURCE, up to fs.nr_open.
    if need > hard && set(need, need).is_ok() {
        return Ok(need);
    }
    let reachable = need.min(hard);
    if reachable > soft {
        set(reachable, hard)?;
    }
    Ok(reachable)
}

/// Bytes of a page of memory; 0 if the system does not say.
#[must_use]
pub fn page_bytes() -> u64 {
    // SAFETY: the call takes a number and no memory of ours.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(0)
}

/// What a process may use; see getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// RLIMIT_NPROC: processes of its user.
    Processes,
    /// RLIMIT_AS: bytes of its address space.
    Memory,
    /// RLIMIT_CPU: seconds of processor time. SIGXCPU comes at the end, SIGKILL a second after it.
    Seconds,
    /// RLIMIT_CORE: bytes of a core file.
    Core,
}

/// Lowers a limit to `most`, and the hard one with it; one that is lower already stays.
///
/// # Errors
///
/// None that setrlimit(2) names for a limit that is lowered.
pub fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let number = match resource {
        Resource::Processes => libc::RLIMIT_NPROC,
        Resource::Memory => libc::RLIMIT_AS,
        Resource::Seconds => libc::RLIMIT_CPU,
        Resource::Core => libc::RLIMIT_CORE,
    };
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` outlives the call, which writes that one struct.
    checked(unsafe { libc::getrlimit64(number, &raw mut limit) })?;
    let grace = u64::from(resource == Resource::Seconds);
    limit.rlim_cur = limit.rlim_cur.min(most);
    limit.rlim_max = limit.rlim_max.min(most.saturating_add(grace));
    // SAFETY: `limit` outlives the call, which only reads it.
    checked(unsafe { libc::setrlimit64(number, &raw const limit) })?;
    Ok(())
}

fn set(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` outlives the call, which only reads it.
    checked(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the limit is the process's.
    #[test]
    fn the_limit_is_raised_as_far_as_it_goes_and_never_lowered() {
        let (soft, hard) = open_files().unwrap();
        assert!(soft > 0 && soft <= hard);
        assert_eq!(raise_open_files(0).unwrap(), soft);
        assert_eq!(raise_open_files(soft).unwrap(), soft);
        if soft < hard {
            assert_eq!(raise_open_files(soft + 1).unwrap(), soft + 1);
            assert_eq!(open_files().unwrap(), (soft + 1, hard));
        }
        // Nobody gets this many (fs.nr_open): what is reachable is what comes back.
        let reached = raise_open_files(u64::MAX - 1).unwrap();
        assert_eq!(reached, open_files().unwrap().0);
        assert_eq!(reached, hard);
    }
}
