//! What this process may still reach: Landlock (landlock(7)), and no new privileges.
//!
//! Owns: the question which Landlock the kernel has, what each kind of access means to it, and the
//! step from which there is no way back; prctl(2) with PR_SET_NO_NEW_PRIVS. Must not: choose a path
//! or decide what follows from an answer.
//!
//! Invariants: nothing that a kernel of this ABI does not know is asked of it, so that a refusal is
//! an error and never silence; what is open stays open, with the rights it was opened with;
//! children inherit all of it. What later ABIs restrict is left alone until it was tried here:
//! [`ABI_MAX`].
#![allow(unsafe_code, reason = "landlock_create_ruleset(2) to ask, prctl(2)")]

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use libc::{c_ulong, size_t};

use super::call::checked;
use super::file;

/// This build knows Landlock.
pub const BUILT: bool = cfg!(feature = "sandbox");

/// The newest ABI whose restrictions are used.
pub const ABI_MAX: u32 = 6;
/// From this ABI on files can be renamed from one directory to another; before, Landlock refuses
/// all such renames, whatever is granted.
pub const ABI_RENAMES: u32 = 2;
/// From this ABI on it knows TCP ports.
pub const ABI_TCP: u32 = 4;
/// From this ABI on it knows signals and unix sockets without a name in the file system.
pub const ABI_SCOPES: u32 = 6;

/// What the kernel says of Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it, of this ABI.
    Abi(u32),
    /// It has it, but does not use it (`lsm=` at boot): EOPNOTSUPP.
    Off,
    /// It has none: ENOSYS. Or somebody emulates a kernel without it, as qemu-user does.
    None,
    /// Somebody filters system calls, and does not know this one: EPERM, or another errno.
    Forbidden(i32),
    /// This build does not ask.
    NotBuilt,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abi(abi) => write!(f, "Landlock ABI {abi}"),
            Self::Off => f.write_str("the kernel has Landlock, but does not use it"),
            Self::None => f.write_str("the kernel has no Landlock"),
            Self::Forbidden(errno) => {
                write!(f, "a filter of system calls hides Landlock (errno {errno})")
            }
            Self::NotBuilt => f.write_str("this build has no sandbox"),
        }
    }
}

/// Asks the kernel. Changes nothing.
#[must_use]
pub fn ask() -> Answer {
    if !BUILT {
        return Answer::NotBuilt;
    }
    const VERSION: libc::c_uint = 1;
    let (nothing, size): (*const u8, size_t) = (std::ptr::null(), 0);
    // SAFETY: with this flag the call reads no memory, and answers a number.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, size, VERSION) };
    match (
        u32::try_from(abi),
        io::Error::last_os_error().raw_os_error(),
    ) {
        (Ok(abi @ 1..), _) => Answer::Abi(abi),
        (Ok(0), _) | (_, None | Some(libc::ENOSYS)) => Answer::None,
        (_, Some(libc::EOPNOTSUPP)) => Answer::Off,
        (_, Some(errno)) => Answer::Forbidden(errno),
    }
}

/// What may be done beneath a directory, or with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Files are read, and names.
    Read,
    /// That, and programs are executed.
    Execute,
    /// Files are read, made, written, renamed and removed; no directories, devices or sockets.
    Change,
    /// That, and directories are made.
    Fill,
    /// That, with other names than those of files, and programs are executed.
    Own,
    /// Files are made, written, renamed and removed, but not read.
    Log,
    /// A file is written that is there.
    Write,
    /// Files are removed.
    Remove,
}

/// What a kind of access consists of, a bit each.
mod part {
    pub(super) const READ: u8 = 1;
    pub(super) const EXECUTE: u8 = 1 << 1;
    pub(super) const WRITE: u8 = 1 << 2;
    pub(super) const MAKE: u8 = 1 << 3;
    pub(super) const REMOVE: u8 = 1 << 4;
    pub(super) const MOVE: u8 = 1 << 5;
    pub(super) const DIRECTORY: u8 = 1 << 6;
    pub(super) const SHAPE: u8 = 1 << 7;
}

impl Access {
    /// Its parts, as bits: what has all bits of another allows all of that.
    #[must_use]
    pub const fn parts(self) -> u8 {
        use part::{DIRECTORY, EXECUTE, MAKE, MOVE, READ, REMOVE, SHAPE, WRITE};
        match self {
            Self::Read => READ,
            Self::Execute => READ | EXECUTE,
            Self::Change => READ | WRITE | MAKE | REMOVE | MOVE,
            Self::Fill => READ | WRITE | MAKE | REMOVE | MOVE | DIRECTORY,
            Self::Own => READ | EXECUTE | WRITE | MAKE | REMOVE | MOVE | DIRECTORY | SHAPE,
            Self::Log => WRITE | MAKE | REMOVE,
            Self::Write => WRITE,
            Self::Remove => REMOVE,
        }
    }
}

/// One grant: the directory or the file, open by name alone at least, and what may be done there.
pub type Rule<'f> = (BorrowedFd<'f>, Access);

/// What is refused beside the file system, as far as the ABI knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Connecting and binding TCP sockets.
    pub tcp: bool,
    /// Signals to, and unix sockets without a name of, processes outside.
    pub scopes: bool,
}

/// The process gains no privilege by executing anything, for good, and neither do its children; see
/// PR_SET_NO_NEW_PRIVS in prctl(2).
///
/// # Errors
///
/// EINVAL before Linux 3.5.
pub fn no_new_privileges() -> io::Result<()> {
    let (on, unused): (c_ulong, c_ulong) = (1, 0);
    // SAFETY: the call takes numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, unused, unused, unused) })?;
    Ok(())
}

/// From here on this process, of one thread, and what it starts may do in the file system what the
/// rules say and nothing else, for good. Needs [`no_new_privileges`] before, or CAP_SYS_ADMIN.
///
/// # Errors
///
/// EPERM; E2BIG for the 17th such step of a process; EBADFD; ENOMEM; EOPNOTSUPP in a build without
/// it. See landlock_restrict_self(2).
pub fn restrict(abi: u32, rules: &[Rule<'_>], beside: Beside) -> io::Result<()> {
    known::restrict(abi.min(ABI_MAX), rules, beside)
}

/// The directory or file at `path`, open by name alone, whatever it is.
///
/// # Errors
///
/// ENOENT, EACCES, ENOTDIR; EINVAL for a path with a NUL; see open(2).
pub fn name(path: &std::path::Path) -> io::Result<OwnedFd> {
    file::name(path, 0)
}

#[cfg(feature = "sandbox")]
mod known {
    use super::{ABI_SCOPES, ABI_TCP, Access, Beside, Rule, part};
    use crate::sys::file::{self, Kind};
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath,
        Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
        make_bitflags,
    };
    use std::io;

    pub(super) fn restrict(abi: u32, rules: &[Rule<'_>], beside: Beside) -> io::Result<()> {
        // Nothing but the kernel refuses what is asked here, and its errno stands until the next
        // refusal: the words of the crate would be another kilobyte.
        attempt(abi, rules, beside).map_err(|_| io::Error::last_os_error())
    }

    fn attempt(abi: u32, rules: &[Rule<'_>], beside: Beside) -> Result<(), RulesetError> {
        let known = ABI::from(i32::try_from(abi).unwrap_or(0));
        let all = AccessFs::from_all(known);
        let hard = CompatLevel::HardRequirement;
        let mut ruleset = Ruleset::default()
            .set_compatibility(hard)
            .handle_access(all)?;
        if beside.tcp && abi >= ABI_TCP {
            ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4))?;
        }
        if beside.scopes && abi >= ABI_SCOPES {
            ruleset = ruleset.scope(Scope::from_all(ABI::V6))?;
        }
        let mut created = ruleset.create()?.set_compatibility(hard);
        for (at, access) in rules {
            let mut wanted = flags(*access) & all;
            let stat = file::stat(*at);
            if !stat.is_ok_and(|stat| stat.kind == Kind::Directory) {
                wanted &= AccessFs::from_file(known);
            }
            if !wanted.is_empty() {
                created = created.add_rule(PathBeneath::new(*at, wanted))?;
            }
        }
        let status = created.no_new_privs(false).restrict_self()?;
        debug_assert!(status.ruleset == RulesetStatus::FullyEnforced);
        Ok(())
    }

    fn flags(access: Access) -> BitFlags<AccessFs> {
        let parts = [
            (part::READ, make_bitflags!(AccessFs::{ReadFile | ReadDir})),
            (part::EXECUTE, AccessFs::Execute.into()),
            (
                part::WRITE,
                make_bitflags!(AccessFs::{WriteFile | Truncate}),
            ),
            (part::MAKE, AccessFs::MakeReg.into()),
            (part::REMOVE, AccessFs::RemoveFile.into()),
            (part::MOVE, AccessFs::Refer.into()),
            (part::DIRECTORY, AccessFs::MakeDir.into()),
            (
                part::SHAPE,
                make_bitflags!(AccessFs::{RemoveDir | MakeSym | MakeFifo | MakeSock}),
            ),
        ];
        let own = parts.into_iter();
        let own = own.filter(|(part, _)| access.parts() & part != 0);
        own.fold(BitFlags::EMPTY, |all, (_, flags)| all | flags)
    }
}

#[cfg(not(feature = "sandbox"))]
mod known {
    use super::{Beside, Rule};
    use std::io;

    pub(super) fn restrict(_: u32, _: &[Rule<'_>], _: Beside) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
