//! Whom the server becomes, and where its / is.
//!
//! Owns the order of giving up rights: names are looked up first, while their files are there; then
//! the root directory, then groups, group, user. It must not open anything of the server.
//! Invariant: every step is checked, and one that fails ends the start.

use crate::config::{Owner, StartError};
use crate::reactor::listeners::Ids;
use crate::sys::{account, privilege};
use std::io;
use std::path::Path;

/// The numbers for `USER[:GROUP]`, the value of `key`; an empty word is nobody.
///
/// # Errors
/// There is no such user or group.
pub(super) fn named(word: &str, key: &'static str) -> Result<Option<Ids>, StartError> {
    // The configuration was checked: what is no owner is empty.
    let Some(owner) = Owner::parse(word) else {
        return Ok(None);
    };
    let unknown = |what: String| {
        let cure = "name one of /etc/passwd and /etc/group, or give numbers: 65534:65534";
        StartError::configuration(key, what, cure)
    };
    let failed = |error: io::Error| StartError {
        code: StartError::RUNTIME,
        ..unknown(format!("cannot look {word} up: {error}"))
    };
    let user = match (number(&owner.user), &owner.group) {
        (Some(uid), Some(_)) => account::User { uid, gid: uid },
        (Some(uid), None) => account::user_of(uid).map_err(failed)?.ok_or_else(|| {
            let what = format!("user {uid} is unknown, and so is its group");
            unknown(what)
        })?,
        (None, _) => account::user(&owner.user)
            .map_err(failed)?
            .ok_or_else(|| unknown(format!("there is no user {}", owner.user)))?,
    };
    let gid = match &owner.group {
        None => user.gid,
        Some(group) => match number(group) {
            Some(gid) => gid,
            None => account::group(group)
                .map_err(failed)?
                .ok_or_else(|| unknown(format!("there is no group {group}")))?,
        },
    };
    Ok(Some(Ids { uid: user.uid, gid }))
}

fn number(name: &str) -> Option<u32> {
    let plain = name.bytes().all(|b| b.is_ascii_digit());
    // The largest one means "leave it as it is" to the kernel.
    name.parse().ok().filter(|n| plain && *n != u32::MAX)
}

/// Takes `chroot` for /, if it is not empty, and becomes this user.
///
/// # Errors
/// A step was refused.
pub(super) fn give_up(chroot: &str, user: Option<Ids>) -> Result<(), StartError> {
    if !chroot.is_empty() {
        if user.is_none_or(|ids| ids.uid == 0) {
            let what = "root walks out of a chroot";
            let cure = "name another user in service.user";
            return Err(StartError::configuration("service.chroot", what, cure));
        }
        privilege::change_root(Path::new(chroot)).map_err(|error| {
            let what = format!("cannot take {chroot} for /: {error}");
            let cure = match error.kind() == io::ErrorKind::PermissionDenied {
                true => "start adieu as root, which becomes service.user then",
                false => "name a directory that is there",
            };
            StartError::runtime("service.chroot", what, cure).lasting_if_forbidden(&error)
        })?;
    }
    let Some(Ids { uid, gid }) = user else {
        return Ok(());
    };
    privilege::become_user(uid, gid).map_err(|refused| {
        let what = format!(
            "cannot become user {uid}, group {gid}: {}: {}",
            refused.step, refused.error
        );
        let cure = match refused.step {
            "setgroups" => "start adieu as root, or as that user without further groups",
            _ => "start adieu as root, or as that user",
        };
        let fault = StartError::runtime("service.user", what, cure);
        fault.lasting_if_forbidden(&refused.error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_looked_up() {
        let found = |word: &str| {
            let ids = named(word, "service.user").unwrap();
            ids.map(|Ids { uid, gid }| (uid, gid))
        };
        assert_eq!(found(""), None);
        assert_eq!(found("root"), Some((0, 0)));
        assert_eq!(found("0"), Some((0, 0)));
        assert_eq!(found("12345:23456"), Some((12_345, 23_456)));
        assert_eq!(found("root:7"), Some((0, 7)));
    }

    #[test]
    fn who_is_unknown_is_named() {
        for (word, what) in [
            ("nobody-at-all", "there is no user nobody-at-all"),
            ("root:nobody-at-all", "there is no group nobody-at-all"),
            ("4000000", "user 4000000 is unknown, and so is its group"),
        ] {
            let error = named(word, "service.user").unwrap_err();
            assert_eq!(
                (error.place.as_str(), error.what.as_ref()),
                ("service.user", what)
            );
            assert_eq!(error.code, 78);
        }
    }
}
