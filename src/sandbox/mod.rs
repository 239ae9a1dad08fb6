//! The sandbox: once it serves, the process reaches what its configuration names and nothing else.
//!
//! Owns what is given up and when, what the kernel's answer means, and the one line about it. It
//! must not open anything for use. Its rooms: `grants` (what a configuration needs), `granted`
//! (what was granted, for a reload).
//!
//! Invariants: what cannot be had because of the kernel is said in one line, and is no failure
//! unless it was required; a step that the kernel has and that fails ends the start; nothing here
//! gives the process back what it gave up.

mod granted;
pub mod grants;

pub use granted::Granted;
pub use grants::{Grant, Logs};

use crate::config::{Config, Sandbox as Mode, StartError};
use crate::script::Confinement;
use crate::site::Site;
use crate::sys::capability::{self, Capabilities};
use crate::sys::confine::{self, ABI_RENAMES, ABI_SCOPES, ABI_TCP, Access, Answer, Beside};
use std::fmt::Write as _;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// This build has it.
pub const BUILT: bool = confine::BUILT;

/// What will be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The ABI of Landlock, if it is used.
    abi: Option<u32>,
    /// Why it is not.
    without: String,
    required: bool,
    /// What is kept, as far as it is there.
    kept: Capabilities,
    /// What was left of it.
    left: Capabilities,
    /// Links may lead out of a root, and nothing is granted there.
    narrow: bool,
    /// What it had besides `kept` it still has: a filter of system calls forbids to give it up.
    stays: bool,
}

impl Plan {
    /// What is to be given up by this configuration on a kernel that answers so, for a server that
    /// stays who it is or becomes somebody else; `None`: nothing.
    ///
    /// # Errors
    /// The kernel lacks what is required.
    pub fn of(config: &Config, answer: Answer, stays: bool) -> Result<Option<Self>, StartError> {
        let required = match config.service.sandbox {
            Mode::Off => return Ok(None),
            Mode::On if !BUILT || answer == Answer::NotBuilt => return Ok(None),
            Mode::On => false,
            Mode::Require => true,
        };
        let (abi, without) = match answer {
            Answer::Abi(abi) if abi < ABI_RENAMES && config.takes_uploads() => {
                let why = "which renames no file from one directory to another, as uploads do";
                (None, format!("{answer}, {why}"))
            }
            Answer::Abi(abi) => (Some(abi), String::new()),
            Answer::Off => {
                let cure = "add landlock to lsm= of the kernel's command line";
                (None, format!("{answer}: {cure}"))
            }
            Answer::None | Answer::Forbidden(_) | Answer::NotBuilt => (None, answer.to_string()),
        };
        if required && abi.is_none() {
            let cure = "set service.sandbox to on, which does what can be done, or to off";
            return Err(StartError::runtime("service.sandbox", without, cure).lasting());
        }
        Ok(Some(Self {
            abi,
            without,
            required,
            kept: match stays {
                true => Capabilities::FILES,
                false => Capabilities::NONE,
            },
            left: Capabilities::NONE,
            narrow: abi.is_some() && grants::lacks_targets(config),
            stays: false,
        }))
    }

    /// Takes from the process what nobody that it executes shall get, while it still may: before it
    /// becomes another user.
    ///
    /// # Errors
    /// The kernel does not know how.
    pub fn bound(&self) -> Result<(), StartError> {
        // One that may not has less already.
        capability::bound(self.kept)
            .map(drop)
            .map_err(|error| refused("the bounding set of capabilities stays", &error))
    }

    /// Goes in. There is no way back.
    ///
    /// # Errors
    /// A step was refused.
    pub fn enter(&mut self, grants: &[Grant]) -> Result<Granted, StartError> {
        let mut granted = Granted::default();
        match confine::no_new_privileges() {
            Err(error) if self.required || self.abi.is_some() => {
                return Err(refused("no_new_privs cannot be had", &error));
            }
            Ok(()) | Err(_) => {}
        }
        match capability::keep(self.kept) {
            // As systemd's unit does it: it left one, and no call to change that.
            Err(error) if is_forbidden(&error) && !self.required => self.stays = true,
            kept => kept.map_err(|error| refused("capabilities cannot be given up", &error))?,
        }
        // What cannot be looked at was looked at by the step before.
        self.left = capability::permitted().unwrap_or_default();
        if let Some(abi) = self.abi {
            for Grant {
                at, access, shown, ..
            } in grants
            {
                let added = granted.add(at.as_fd(), *access, shown);
                added.map_err(|error| refused("a path cannot be looked at", &error))?;
            }
            let rules = grants.iter().map(|one| (one.at.as_fd(), one.access));
            let rules: Vec<_> = rules.collect();
            let beside = Beside {
                tcp: true,
                scopes: true,
            };
            confine::restrict(abi, &rules, beside)
                .map_err(|error| refused("Landlock cannot be had", &error))?;
            granted.hold();
        }
        Ok(granted)
    }

    /// Files are held, and nothing that the configuration asks for is lost by it. Else whoever
    /// hears warnings only shall hear the line, too.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.abi.is_some() && !self.narrow
    }

    /// The line that says what holds and what does not.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = String::from("service.sandbox: ");
        match self.abi {
            None => {
                let _ = write!(line, "files are not held ({})", self.without);
            }
            Some(abi) => {
                let lacks = [(ABI_TCP, "TCP"), (ABI_SCOPES, "signals")];
                let of = |has: bool| {
                    let own = lacks.iter().filter(move |(from, _)| (abi >= *from) == has);
                    own.map(|(_, what)| *what).collect::<Vec<_>>()
                };
                let held: Vec<_> = ["files"].into_iter().chain(of(true)).collect();
                let _ = write!(line, "{} are held (Landlock ABI {abi}", held.join(", "));
                if let [_, ..] = of(false).as_slice() {
                    let _ = write!(line, ", without {}", of(false).join(" and "));
                }
                line.push(')');
            }
        }
        line.push_str(match self.stays {
            true => {
                ", no new privileges; capabilities stay, for a filter of system calls hides capset"
            }
            false => ", no new privileges, no capabilities",
        });
        if !self.stays && self.left != Capabilities::NONE {
            let _ = write!(line, " but {}", self.left);
        }
        if self.narrow {
            line.push_str(
                "; links out of a root lead where service.sandbox_read names, and no further",
            );
        }
        line
    }
}

/// What scripts may do, by this configuration on a kernel that answers so.
///
/// # Errors
/// The kernel lacks what is asked for.
pub fn of_scripts(config: &Config, answer: Answer) -> Result<Confinement, StartError> {
    let script = &config.script;
    let read = script.sandbox_read.iter().map(|p| (p, Access::Execute));
    let write = script.sandbox_write.iter().map(|p| (p, Access::Own));
    let paths = read
        .chain(write)
        .map(|(path, access)| (PathBuf::from(path), access));
    let paths: Vec<_> = paths.collect();
    let paths = match (paths.is_empty(), answer) {
        (true, _) => None,
        (false, Answer::Abi(abi)) => Some((abi, paths)),
        (false, _) => {
            let cure = "take script.sandbox_read and script.sandbox_write away";
            let what = format!("scripts cannot be confined: {answer}");
            return Err(StartError::runtime("script.sandbox_read", what, cure).lasting());
        }
    };
    Ok(Confinement {
        no_new_privileges: script.no_new_privs,
        paths,
    })
}

/// Looks whether what a new configuration needs was granted. A log that is open needs nothing, so
/// only those are looked at that will be opened.
///
/// # Errors
/// Something was not: key, path and cure.
pub fn look(
    granted: &Granted,
    config: &Config,
    site: &Site,
    opened: Logs,
) -> Result<(), StartError> {
    if !granted.is_held() {
        return Ok(());
    }
    grants::of(config, site, opened, &mut |grant| {
        is_granted(granted, &grant)
    })
}

/// Looks whether what these logs need was granted.
///
/// # Errors
/// As [`look`].
pub fn look_at_logs(granted: &Granted, config: &Config, logs: Logs) -> Result<(), StartError> {
    if !granted.is_held() {
        return Ok(());
    }
    grants::of_logs(config, logs).try_for_each(|grant| is_granted(granted, &grant))
}

/// Looks whether the configuration file can be read again; if not, that is said of `error`, which
/// came of it.
#[must_use]
pub fn explain(granted: &Granted, file: &Path, error: StartError) -> StartError {
    if !granted.is_held() {
        return error;
    }
    let mut needed = grants::of_configuration(file);
    match needed.try_for_each(|grant| is_granted(granted, &grant)) {
        Ok(()) => error,
        Err(StartError { what, cure, .. }) => StartError {
            what: format!("{}; {what}", error.what).into(),
            cure,
            ..error
        },
    }
}

fn is_granted(granted: &Granted, grant: &Grant) -> Result<(), StartError> {
    let Grant {
        at,
        above,
        access,
        key,
        shown,
    } = grant;
    let above = above.as_ref().map(AsFd::as_fd);
    let has = granted.has(at.as_fd(), above, *access);
    if has.map_err(|error| grants::unseen(key, &error))? {
        return Ok(());
    }
    let list = match access {
        Access::Read | Access::Execute => "service.sandbox_read",
        Access::Change
        | Access::Fill
        | Access::Own
        | Access::Log
        | Access::Write
        | Access::Remove => "service.sandbox_write",
    };
    let what = match granted.names(shown) {
        true => "is another one than when the server went into its sandbox, and was not granted",
        false => "was not granted when the server went into its sandbox",
    };
    let what = format!("{shown} {what}");
    let cure = format!("start adieu anew, or name what is above it in {list} before");
    Err(StartError::runtime(key, what, cure))
}

/// Looks whether a server of this configuration would go into its sandbox. Changes nothing.
///
/// # Errors
/// As [`Plan::of`] and [`of_scripts`]; a path that a key names is not there.
pub fn check(config: &Config) -> Result<(), StartError> {
    let answer = confine::ask();
    of_scripts(config, answer)?;
    let plan = Plan::of(config, answer, false)?;
    // What is named beneath another root is not seen from here.
    if plan.is_some() && config.service.chroot.is_empty() {
        grants::of_lists(config)?;
    }
    Ok(())
}

/// Whoever has a capability may give it up, unless a filter is before that.
fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn refused(what: &'static str, error: &io::Error) -> StartError {
    let cure = "set service.sandbox to off, and report it: this is a fault of adieu or the system";
    StartError::runtime("service.sandbox", format!("{what}: {error}"), cure)
        .lasting_if_forbidden(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UploadRule;
    use crate::config::rules::Rule as _;

    fn config(mode: Mode, uploads: bool) -> Config {
        let mut config = Config::default();
        config.service.sandbox = mode;
        if uploads {
            config.site.uploads = vec![UploadRule::parse("/inbox 1").unwrap()];
        }
        config
    }

    /// What the kernel answers, whether there are uploads, and the line without its ends.
    const LINES: &[(Answer, bool, &str)] = &[
        (
            Answer::Abi(7),
            true,
            "files, TCP, signals are held (Landlock ABI 7)",
        ),
        (
            Answer::Abi(6),
            false,
            "files, TCP, signals are held (Landlock ABI 6)",
        ),
        (
            Answer::Abi(4),
            false,
            "files, TCP are held (Landlock ABI 4, without signals)",
        ),
        (
            Answer::Abi(3),
            true,
            "files are held (Landlock ABI 3, without TCP and signals)",
        ),
        (
            Answer::Abi(1),
            false,
            "files are held (Landlock ABI 1, without TCP and signals)",
        ),
        (
            Answer::Abi(1),
            true,
            "files are not held (Landlock ABI 1, which renames no file from one directory to \
             another, as uploads do)",
        ),
        (
            Answer::Off,
            false,
            "files are not held (the kernel has Landlock, but does not use it: add landlock to \
             lsm= of the kernel's command line)",
        ),
        (
            Answer::None,
            false,
            "files are not held (the kernel has no Landlock)",
        ),
        (
            Answer::Forbidden(1),
            false,
            "files are not held (a filter of system calls hides Landlock (errno 1))",
        ),
    ];

    #[test]
    fn each_kernel_has_its_line() {
        if !BUILT {
            return; // see the next test
        }
        let rest = ", no new privileges, no capabilities";
        for &(answer, uploads, line) in LINES {
            let plan = Plan::of(&config(Mode::On, uploads), answer, false)
                .unwrap()
                .unwrap();
            assert_eq!(plan.line(), format!("service.sandbox: {line}{rest}"));
            let required = Plan::of(&config(Mode::Require, uploads), answer, false);
            match line.contains("not held") {
                true => {
                    let error = required.unwrap_err();
                    assert_eq!((error.code, error.place.as_str()), (78, "service.sandbox"));
                }
                false => assert!(required.unwrap().is_some()),
            }
            assert_eq!(
                Plan::of(&config(Mode::Off, uploads), answer, false).unwrap(),
                None
            );
        }
        let mut follows = config(Mode::On, false);
        follows.site.symlinks = crate::config::Symlinks::Follow;
        let plan = Plan::of(&follows, Answer::Abi(6), false).unwrap();
        assert!(plan.unwrap().line().ends_with("names, and no further"));
        let root = Plan::of(&config(Mode::On, false), Answer::Abi(6), true).unwrap();
        let mut root = root.unwrap();
        assert!(root.line().ends_with(rest));
        root.left = Capabilities::FILES;
        let all = "CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER";
        assert!(root.line().ends_with(&format!("{rest} but {all}")));
    }

    #[test]
    fn a_build_without_it_says_so_to_who_requires_it() {
        let of = |mode| Plan::of(&config(mode, false), Answer::NotBuilt, false);
        assert_eq!(of(Mode::On).unwrap(), None);
        assert_eq!(of(Mode::Off).unwrap(), None);
        let error = of(Mode::Require).unwrap_err().to_string();
        assert!(
            error.starts_with("service.sandbox: this build has no sandbox; "),
            "{error}"
        );
    }

    #[test]
    fn scripts_are_confined_where_the_kernel_can_and_refused_where_it_cannot() {
        let mut config = Config::default();
        let none = of_scripts(&config, Answer::None).unwrap();
        assert!(none.paths.is_none() && !none.no_new_privileges);
        config.script.sandbox_read = vec!["/usr".to_owned()];
        config.script.sandbox_write = vec!["/srv".to_owned()];
        let (abi, paths) = of_scripts(&config, Answer::Abi(3)).unwrap().paths.unwrap();
        let expected = [
            ("/usr".into(), Access::Execute),
            ("/srv".into(), Access::Own),
        ];
        assert_eq!((abi, paths.as_slice()), (3, &expected[..]));
        for answer in [
            Answer::None,
            Answer::Off,
            Answer::Forbidden(1),
            Answer::NotBuilt,
        ] {
            let error = of_scripts(&config, answer).unwrap_err();
            assert_eq!(
                (error.code, error.place.as_str()),
                (78, "script.sandbox_read")
            );
        }
    }
}
