//! Giving up rights.
//!
//! Owns: the ids and groups of the process, setgroups(2), setresgid(2), setresuid(2), and
//! chroot(2). Must not: choose the user, or go on after a failure: a process that was refused
//! half-way is neither what it was nor what it should be, and has to end.
//!
//! Invariants: the groups go before the user, who could not give them up; nothing counts as given
//! up before the kernel has said so. The C library changes all threads of the process.
#![allow(
    unsafe_code,
    reason = "getuid(2), setgroups(2), setresgid(2), setresuid(2) and their kin"
)]

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use super::call::{checked, invalid};

/// "Leave it as it is", in the calls that set an id.
const LEAVE: u32 = u32::MAX;

/// A right that was not given up, or not for good.
#[derive(Debug)]
pub struct Refused {
    /// What failed: a call, such as "setgroups", or a check after it, such as "the check of the
    /// groups".
    pub step: &'static str,
    /// Why; EPERM from a check that found something else than what was set.
    pub error: io::Error,
}

/// The real user of the process: who started it.
#[must_use]
pub fn real_user() -> u32 {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::getuid() }
}

/// Whether the effective user is root.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Becomes that user and that group, for good and without any other group; see setgroups(2),
/// setresgid(2), setresuid(2).
///
/// Then it looks: no further group, real, effective and saved ids all as wanted, and no way back
/// to root. A process that is that user and group already, and in no other group, needs no right
/// for this, and nothing is set.
///
/// After an error the process has to end: some rights may be gone, and others not. What only the
/// former user may open has to be open before; that includes the pipe or terminal behind standard
/// error, opened once more. The process no longer dumps core (`dumpable` in prctl(2)).
///
/// # Errors
///
/// EINVAL for an id of 2^32 - 1, which means "leave it"; EPERM for who may not, or from a check;
/// EAGAIN; see setresuid(2).
pub fn become_user(uid: u32, gid: u32) -> Result<(), Refused> {
    if uid == LEAVE || gid == LEAVE {
        return Err(refused("the look at the ids")(invalid()));
    }
    let already = is_exactly(uid, gid).map_err(refused("the look at the ids"))?;
    if !already {
        set(uid, gid)?;
    }
    let groups = groups().map_err(refused("the check of the groups"))?;
    // Who was that user already may have the own group listed once more.
    if !groups.iter().all(|group| already && *group == gid) {
        return Err(refused("the check of the groups")(forbidden()));
    }
    if group_ids().map_err(refused("the check of the group"))? != [gid; 3] {
        return Err(refused("the check of the group")(forbidden()));
    }
    if user_ids().map_err(refused("the check of the user"))? != [uid; 3] {
        return Err(refused("the check of the user")(forbidden()));
    }
    if uid != 0 && root_comes_back() {
        return Err(refused("the check that root is gone")(forbidden()));
    }
    Ok(())
}

/// Makes `path` the root of the file system for this process, and its working directory; see
/// chroot(2). Descriptors that are open stay open, and root can leave it again.
///
/// # Errors
///
/// EPERM for who may not; EINVAL for a path with a NUL; ENOENT, ENOTDIR, EACCES. Should the working
/// directory be refused, the root has changed: the process has to end.
pub fn change_root(path: &Path) -> io::Result<()> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(invalid());
    }
    std::os::unix::fs::chroot(path)?;
    std::env::set_current_dir("/")
}

/// Whether the process is that user and group in every respect, and in no other group.
fn is_exactly(uid: u32, gid: u32) -> io::Result<bool> {
    let own = groups()?.iter().all(|group| *group == gid);
    Ok(own && user_ids()? == [uid; 3] && group_ids()? == [gid; 3])
}

/// Gives up the groups, then sets the group, then the user.
fn set(uid: u32, gid: u32) -> Result<(), Refused> {
    // SAFETY: with a count of 0 the call reads no memory of ours.
    checked(unsafe { libc::setgroups(0, ptr::null()) }).map_err(refused("setgroups"))?;
    // SAFETY: the call takes three numbers and no memory of ours.
    checked(unsafe { libc::setresgid(gid, gid, gid) }).map_err(refused("setresgid"))?;
    // SAFETY: the call takes three numbers and no memory of ours.
    checked(unsafe { libc::setresuid(uid, uid, uid) }).map_err(refused("setresuid"))?;
    Ok(())
}

/// The groups besides the own one, which may be among them; getgroups(2).
fn groups() -> io::Result<Vec<u32>> {
    // SAFETY: with a count of 0 the call writes nothing, and answers how many there are.
    let count = checked(unsafe { libc::getgroups(0, ptr::null_mut()) })?;
    let mut groups = vec![0; usize::try_from(count).unwrap_or_default()];
    // SAFETY: `groups` has room for `count` numbers and outlives the call.
    let count = checked(unsafe { libc::getgroups(count, groups.as_mut_ptr()) })?;
    groups.truncate(usize::try_from(count).unwrap_or_default());
    Ok(groups)
}

/// The real, the effective and the saved group; getresgid(2).
fn group_ids() -> io::Result<[u32; 3]> {
    let mut ids = [0; 3];
    let [real, effective, saved] = &mut ids;
    // SAFETY: the three are valid for the write of a number each, and outlive the call.
    checked(unsafe { libc::getresgid(real, effective, saved) })?;
    Ok(ids)
}

/// The real, the effective and the saved user; getresuid(2).
fn user_ids() -> io::Result<[u32; 3]> {
    let mut ids = [0; 3];
    let [real, effective, saved] = &mut ids;
    // SAFETY: the three are valid for the write of a number each, and outlive the call.
    checked(unsafe { libc::getresuid(real, effective, saved) })?;
    Ok(ids)
}

/// Tries to become root again. Should that succeed, the process is root, and must end.
fn root_comes_back() -> bool {
    // SAFETY: the call takes a number and no memory of ours.
    checked(unsafe { libc::setuid(0) }).is_ok()
}

/// Names the step that an error is from.
fn refused(step: &'static str) -> impl FnOnce(io::Error) -> Refused {
    move |error| Refused { step, error }
}

/// What a check says that found rights which should be gone.
fn forbidden() -> io::Error {
    io::Error::from_raw_os_error(libc::EPERM)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    // What changes the process is tested by processes that have nothing else to do:
    // tests/process.rs.

    /// What /proc/self/status says behind `name`.
    fn status(name: &str) -> Vec<u32> {
        let text = fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let fields = line.unwrap().split_whitespace();
        fields.map(|field| field.parse().unwrap()).collect()
    }

    #[test]
    fn who_the_process_is_is_known() {
        let user = status("Uid:");
        assert_eq!(real_user(), user[0]);
        assert_eq!(is_root(), user[1] == 0);
        assert_eq!(user_ids().unwrap(), user[..3]);
        assert_eq!(group_ids().unwrap(), status("Gid:")[..3]);
        assert_eq!(groups().unwrap(), status("Groups:"));
    }
}
