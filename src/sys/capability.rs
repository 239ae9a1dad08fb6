//! What of root's power the process has (capabilities(7)).
//!
//! Owns: capget(2), capset(2), prctl(2) with PR_CAPBSET_READ, PR_CAPBSET_DROP and
//! PR_CAP_AMBIENT_CLEAR_ALL. Must not: choose what is kept, nor give a process anything.
//!
//! Invariants: nothing here adds a capability to any set; nothing counts as given up before the
//! kernel has said so. The calls change the calling thread: the process has one.
#![allow(unsafe_code, reason = "capget(2), capset(2), prctl(2)")]

use std::fmt;
use std::io;

use libc::{c_int, c_ulong};

use super::call::{checked, fit};

/// Some of them, as the kernel numbers them: bit N is capability N.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);
    /// Those by which root reads and changes files of others: CAP_DAC_OVERRIDE,
    /// CAP_DAC_READ_SEARCH, CAP_FOWNER.
    pub const FILES: Self = Self(1 << 1 | 1 << 2 | 1 << 3);

    fn has(self, number: c_ulong) -> bool {
        self.0
            .checked_shr(u32::try_from(number).unwrap_or(u32::MAX))
            .unwrap_or(0)
            & 1
            == 1
    }
}

impl fmt::Display for Capabilities {
    /// Names of those that can be left; numbers of others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = (0..COUNT_MAX).filter(|number| self.has(*number));
        for (at, number) in own.enumerate() {
            let gap = if at == 0 { "" } else { ", " };
            match number {
                1 => write!(f, "{gap}CAP_DAC_OVERRIDE")?,
                2 => write!(f, "{gap}CAP_DAC_READ_SEARCH")?,
                3 => write!(f, "{gap}CAP_FOWNER")?,
                other => write!(f, "{gap}{other}")?,
            }
        }
        Ok(())
    }
}

/// The version of the structs below (_LINUX_CAPABILITY_VERSION_3, Linux 2.6.26).
const VERSION_3: u32 = 0x2008_0522;
/// No kernel has more.
const COUNT_MAX: c_ulong = 64;

/// struct __user_cap_header_struct
#[repr(C)]
struct Header {
    version: u32,
    pid: c_int,
}

impl Header {
    /// About the calling thread.
    const fn ours() -> Self {
        Self {
            version: VERSION_3,
            pid: 0,
        }
    }
}

/// struct __user_cap_data_struct; two of them have all bits.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Takes all but `kept` out of the bounding set, which is the most that whatever is executed can
/// get. True: that was done; false: this process may not, and then nothing has changed. **While it
/// may**: before it becomes another user.
///
/// # Errors
///
/// None but those of prctl(2) for a kernel before 2.6.25.
pub fn bound(kept: Capabilities) -> io::Result<bool> {
    for number in 0..COUNT_MAX {
        // SAFETY: the call takes numbers.
        match checked(unsafe { libc::prctl(libc::PR_CAPBSET_READ, number) }) {
            // The kernel knows no more of them.
            Err(_) if number > 0 => return Ok(true),
            Err(error) => return Err(error),
            Ok(0) => continue,
            Ok(_) if kept.has(number) => continue,
            Ok(_) => {}
        }
        // SAFETY: the call takes numbers.
        match checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number) }) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(false),
            outcome => outcome?,
        };
    }
    Ok(true)
}

/// Gives up all but `kept`, for good: effective, permitted, inheritable and ambient. What the
/// process had not it does not get.
///
/// # Errors
///
/// EPERM where the kernel has not done it; see capset(2).
pub fn keep(kept: Capabilities) -> io::Result<()> {
    let (all, unused): (c_ulong, c_ulong) = (fit(libc::PR_CAP_AMBIENT_CLEAR_ALL)?, 0);
    // SAFETY: the call takes numbers. Before Linux 4.3 there is no ambient set, and EINVAL.
    let _none = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, all, unused, unused, unused) };
    let is_all = |data: &[Data; 2]| {
        let mut halves = data.iter().zip(halves(kept));
        halves.all(|(half, kept)| {
            (half.permitted | half.effective) & !kept == 0 && half.inheritable == 0
        })
    };
    let mut data = get()?;
    if is_all(&data) {
        return Ok(()); // also where a filter forbids the call
    }
    for (half, kept) in data.iter_mut().zip(halves(kept)) {
        half.permitted &= kept;
        half.effective &= kept;
        half.inheritable = 0;
    }
    set(&data)?;
    match is_all(&get()?) {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::EPERM)),
    }
}

/// The permitted ones.
///
/// # Errors
///
/// None that capget(2) names for a valid call.
pub fn permitted() -> io::Result<Capabilities> {
    let [low, high] = get()?;
    let high = u64::from(high.permitted);
    Ok(Capabilities(high << 32 | u64::from(low.permitted)))
}

/// The lower and the higher bits.
fn halves(of: Capabilities) -> [u32; 2] {
    let low = u32::try_from(of.0 & u64::from(u32::MAX)).unwrap_or(0);
    [low, u32::try_from(of.0 >> 32).unwrap_or(0)]
}

fn get() -> io::Result<[Data; 2]> {
    let mut header = Header::ours();
    let mut data = [Data::default(); 2];
    let into = data.as_mut_ptr();
    // SAFETY: the call writes two structs for this version, and both outlive it.
    match unsafe { libc::syscall(libc::SYS_capget, &raw mut header, into) } {
        0 => Ok(data),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set(data: &[Data; 2]) -> io::Result<()> {
    let mut header = Header::ours();
    // SAFETY: the call reads two structs for this version, and both outlive it.
    match unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What changes the process is tested by processes that have nothing else to do:
    // tests/process.rs.

    #[test]
    fn what_the_process_has_is_known() {
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("CapPrm:"));
        let shown = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
        assert_eq!(permitted().unwrap(), Capabilities(shown));
    }

    #[test]
    fn bits_are_capabilities() {
        assert!(Capabilities::FILES.has(1) && Capabilities::FILES.has(3));
        assert!(!Capabilities::FILES.has(0) && !Capabilities::FILES.has(64));
        assert_eq!(halves(Capabilities(1 << 33 | 1)), [1, 2]);
        let shown = Capabilities(1 << 40 | 1 << 2).to_string();
        assert_eq!(shown, "CAP_DAC_READ_SEARCH, 40");
        assert_eq!(Capabilities::NONE.to_string(), "");
    }
}
