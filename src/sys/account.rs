//! The system's database of users and groups.
//!
//! Owns: getpwnam_r(3), getpwuid_r(3), getgrnam_r(3) and the room they write names into. Must not:
//! read a number as a name or a name as a number, nor decide who the process becomes.
//!
//! Invariants: "there is none" is `None` and never an error; nothing that points into the room
//! leaves with an answer. What the database is made of (/etc/passwd, NSS) is the C library's own.
#![allow(
    unsafe_code,
    reason = "getpwnam_r(3), getpwuid_r(3), getgrnam_r(3), and the record they fill"
)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_char, c_int};

use super::call::invalid;

/// The first room for the names of a record, in bytes: enough for nearly all.
const ROOM_FIRST: usize = 1024;
/// The most room: a group's record names all its members.
const ROOM_MOST: usize = 64 * 1024;

/// One user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's primary group.
    pub gid: u32,
}

/// The user of that name, or `None` if there is none.
///
/// # Errors
///
/// EINVAL for a name with a NUL; EMFILE, ENFILE, EACCES, EIO while the database is read; ERANGE for
/// a record of more than 64 KiB; see getpwnam(3).
pub fn user(name: &str) -> io::Result<Option<User>> {
    let name = CString::new(name).map_err(|_| invalid())?;
    looked_up(
        |record, room, length, found| {
            // SAFETY: `name` is a C string, `record` and `found` are valid for a write, and `room`
            // is valid for writes of `length` bytes; all outlive the call.
            unsafe { libc::getpwnam_r(name.as_ptr(), record, room, length, found) }
        },
        numbers,
    )
}

/// The user of that number, or `None` if there is none: to learn the primary group.
///
/// # Errors
///
/// As [`user`].
pub fn user_of(uid: u32) -> io::Result<Option<User>> {
    looked_up(
        |record, room, length, found| {
            // SAFETY: `record` and `found` are valid for a write, and `room` is valid for writes of
            // `length` bytes; all outlive the call.
            unsafe { libc::getpwuid_r(uid, record, room, length, found) }
        },
        numbers,
    )
}

/// The number of the group of that name, or `None` if there is none.
///
/// # Errors
///
/// As [`user`]; see getgrnam(3).
pub fn group(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name).map_err(|_| invalid())?;
    looked_up(
        |record, room, length, found| {
            // SAFETY: `name` is a C string, `record` and `found` are valid for a write, and `room`
            // is valid for writes of `length` bytes; all outlive the call.
            unsafe { libc::getgrnam_r(name.as_ptr(), record, room, length, found) }
        },
        |record: &libc::group| record.gr_gid,
    )
}

fn numbers(record: &libc::passwd) -> User {
    User {
        uid: record.pw_uid,
        gid: record.pw_gid,
    }
}

/// Calls with more room until the record fits, and picks from it what stays true without the room.
///
/// `call` is one of the three above: it answers an errno, and makes `found` null or the record.
fn looked_up<Record, Answer>(
    mut call: impl FnMut(*mut Record, *mut c_char, usize, *mut *mut Record) -> c_int,
    pick: impl FnOnce(&Record) -> Answer,
) -> io::Result<Option<Answer>> {
    let mut record = MaybeUninit::uninit();
    let mut room: Vec<c_char> = vec![0; ROOM_FIRST];
    loop {
        let mut found = ptr::null_mut();
        let (to, length) = (room.as_mut_ptr(), room.len());
        match call(record.as_mut_ptr(), to, length, &raw mut found) {
            0 if !found.is_null() => {
                // SAFETY: the call succeeded, and so `found` is `record`, which it has filled; the
                // names are in `room`. Neither moves or changes before the answer is picked.
                return Ok(Some(pick(unsafe { &*found })));
            }
            // getpwnam(3): which of these says that there is none depends on the system.
            0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(None),
            libc::EINTR => {}
            libc::ERANGE if length < ROOM_MOST => room.resize(length.saturating_mul(2), 0),
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use super::*;

    /// The lines of a database, in fields.
    fn lines(path: &str) -> Vec<Vec<String>> {
        let text = fs::read_to_string(path).unwrap();
        let fields = |line: &str| line.split(':').map(str::to_owned).collect();
        text.lines().map(fields).collect()
    }

    #[test]
    fn every_user_of_the_file_is_found_by_name_and_by_number() {
        let mut by_number = HashMap::new();
        for fields in lines("/etc/passwd") {
            let (uid, gid) = (fields[2].parse().unwrap(), fields[3].parse().unwrap());
            let found = user(&fields[0]).unwrap().unwrap();
            assert_eq!(found, User { uid, gid }, "{}", fields[0]);
            // Where two have one number, the first is meant.
            let first = *by_number.entry(uid).or_insert(found);
            assert_eq!(user_of(uid).unwrap(), Some(first));
        }
        assert!(!by_number.is_empty());
    }

    #[test]
    fn every_group_of_the_file_is_found_by_name() {
        let groups = lines("/etc/group");
        assert!(!groups.is_empty());
        for fields in groups {
            let gid = fields[2].parse().unwrap();
            assert_eq!(group(&fields[0]).unwrap(), Some(gid), "{}", fields[0]);
        }
    }

    #[test]
    fn nobody_is_not_an_error_and_a_nul_is() {
        assert_eq!(user("adieu-no-such-user").unwrap(), None);
        assert_eq!(user("").unwrap(), None);
        // A number is no name.
        assert_eq!(user("0").unwrap(), None);
        assert_eq!(user_of(3_999_999_999).unwrap(), None);
        assert_eq!(group("adieu-no-such-group").unwrap(), None);
        for error in [user("ro\0ot").unwrap_err(), group("ro\0ot").unwrap_err()] {
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
    }

    #[test]
    fn the_room_grows_until_the_record_fits_and_no_further_than_its_bound() {
        let mut tried = Vec::new();
        let found = looked_up(
            |record: *mut u32, _, length, found| {
                tried.push(length);
                if length < 5000 {
                    return libc::ERANGE;
                }
                // SAFETY: `record` is valid for a write.
                unsafe { record.write(7) };
                // SAFETY: `found` is valid for a write.
                unsafe { found.write(record) };
                0
            },
            |record| *record,
        );
        assert_eq!(found.unwrap(), Some(7));
        assert_eq!(tried, [1024, 2048, 4096, 8192]);

        let mut most = 0;
        let never = looked_up(
            |_: *mut u32, _, length, _| {
                most = length;
                libc::ERANGE
            },
            |record| *record,
        );
        assert_eq!(never.unwrap_err().raw_os_error(), Some(libc::ERANGE));
        assert_eq!(most, ROOM_MOST);
    }

    #[test]
    fn what_says_none_and_what_is_an_error_are_told_apart() {
        let answer = |code| looked_up(|_: *mut u32, _, _, _| code, |record| *record);
        for code in [0, libc::ENOENT, libc::ESRCH, libc::EBADF, libc::EPERM] {
            assert_eq!(answer(code).unwrap(), None);
        }
        for code in [libc::EIO, libc::EMFILE, libc::EACCES] {
            assert_eq!(answer(code).unwrap_err().raw_os_error(), Some(code));
        }
        let mut left = 2;
        let interrupted = looked_up(
            |_: *mut u32, _, _, _| {
                left -= 1;
                if left > 0 { libc::EINTR } else { 0 }
            },
            |record| *record,
        );
        assert_eq!(interrupted.unwrap(), None);
        assert_eq!(left, 0);
    }
}
