//! From a checked configuration to a server that serves, and to its end: all that makes it a good
//! service.
//!
//! Owns the order of the start: signals are held before all, what was inherited is claimed before
//! anything else is opened, the background comes before any file, sockets before rights are given
//! up, and all that is served or written after that; the server before stops only when this one is
//! ready. It must not serve.
//! Its rooms: `inherited` (what a supervisor hands over), `background` (`-b`), `predecessor` (the
//! server before), `pidfile`, `remover` (what a start that fails has made), `user` (`-u`, chroot).
//!
//! Invariants: whatever fails before the server is ready leaves the server before as it was, and no
//! file that it has made; a step that gives up rights and fails ends the start.

mod background;
mod inherited;
mod pidfile;
mod predecessor;
mod remover;
mod user;

use crate::config::{Config, StartError};
use crate::helper::Helper;
use crate::maker::Maker;
use crate::reactor::kernel::{Before, Kernel};
use crate::reactor::listeners::{Given, Ids};
use crate::reactor::socket_files::SocketFiles;
use crate::reactor::{self, Reactor, Reread, idle_keys, scripts, teardown, verdicts};
use crate::report::access::Access;
use crate::report::herald::Herald;
use crate::report::sink;
use crate::sandbox::{self, Plan, grants};
use crate::script::Starter;
use crate::site::Site;
use crate::sys::{confine, privilege, signal};
use background::Parent;
use inherited::Inherited;
use pidfile::Pidfile;
use predecessor::Predecessor;
use remover::Remover;
use std::path::Path;

/// Looks for what `config` names without opening any of it for good, as `-t` does.
///
/// # Errors
/// A [`StartError`] for the first that is not there.
pub fn check(config: &Config) -> Result<(), StartError> {
    user::named(&config.service.user, "service.user")?;
    user::named(&config.unix_owner, "listen.unix_owner")?;
    reactor::check(config)
}

/// Lets a reload and the like that is asked for before the server serves wait until it does. The
/// first thing of a process, which does not know yet what it is for.
pub fn hold_signals() {
    // Without it they end a start, and nothing else.
    let _ = signal::hold();
}

/// This process will not serve: every signal does what it does by default.
pub fn let_signals_through() {
    let _ = signal::let_through();
}

/// Starts the server and runs it until it is stopped. `file`: where `config` was read, and will be
/// again.
///
/// # Errors
/// A [`StartError`] when something that was asked for cannot be had.
pub fn serve(
    config: &Config,
    file: Option<&Path>,
    in_background: bool,
    reread: Reread,
) -> Result<(), StartError> {
    let inherited = Inherited::claim(config.service.ready_fd)?;
    let starter = std::process::id();
    let mut parent = match in_background {
        true => Some(Parent::leave()?),
        false => None,
    };
    sink::install(config.log_level);
    let herald = inherited::herald(starter);
    let from = (file, reread);
    let outcome = run(config, inherited, herald, &mut parent, from);
    if let (Err(error), Some(parent)) = (&outcome, parent) {
        parent.told(error.code);
    }
    sink::flush();
    outcome
}

fn run(
    config: &Config,
    mut inherited: Inherited,
    herald: Herald,
    parent: &mut Option<Parent>,
    (file, reread): (Option<&Path>, Reread),
) -> Result<(), StartError> {
    let user = user::named(&config.service.user, "service.user")?;
    let unix_owner = user::named(&config.unix_owner, "listen.unix_owner")?;
    // Dropped last, when what this process could remove is removed.
    let mut remover = Remover::default();
    let mut before = Before {
        files: SocketFiles::new(unix_owner),
        ..Before::default()
    };
    let predecessor = find(&config.service.control, &mut before)?;
    let sockets = std::mem::take(&mut inherited.listeners);
    let handed_over = !sockets.is_empty();
    if handed_over {
        before.listeners = Given::Exactly(sockets);
    }
    let kernel = Kernel::open(config, &mut before)?;
    if handed_over {
        log::info!("LISTEN_FDS: listen.address is not used, but what was handed over");
    }
    let mut pidfile = Pidfile::open(&config.service.pidfile, predecessor.is_some())?;
    let loses_rights = user.is_some() || predecessor.is_some();
    remover.stand_by(loses_rights, &before.files, pidfile.as_ref());
    let (plan, maker) = outside(config, user)?;
    // Where it is not built, none of what it does is in the program.
    let mut plan = plan.filter(|_| sandbox::BUILT);
    user::give_up(&config.service.chroot, user)?;
    // From here on nothing is opened that the server could not open again.
    sink::direct(config)?;
    warn_of_lines_that_wait(config);
    let site = Site::new(config)?;
    let access = Access::open(config)?;
    let (helper, starter) = beside(config, &maker)?;
    let announcement = kernel.announcement(config);
    let grants = plan.as_ref().map(|_| grants::at_start(config, &site, file));
    let grants = grants.transpose()?.unwrap_or_default();
    let mut reactor = Reactor::new(kernel, site, config, teardown::BUILT)
        .with_reread(beneath(config.service.chroot.clone(), reread))
        .with_maker(maker)
        .with_herald(herald);
    reactor.log_accesses(access);
    employ(&mut reactor, helper, starter);
    if let Some(plan) = &mut plan {
        reactor.confine(plan.enter(&grants)?, file);
    }
    drop(grants);
    if let Some(predecessor) = predecessor {
        predecessor.take_over()?;
        reactor.net().prepare_listeners();
    }
    // Nothing ends the start from here on: nobody else would serve.
    before.files.keep();
    remover.keep();
    if let Some(pidfile) = &mut pidfile {
        pidfile.write();
    }
    announce(&announcement, plan.as_ref(), config);
    sink::ready();
    reactor.ready();
    inherited.tell_ready();
    if let Some(parent) = parent.take() {
        parent.ready();
    }
    until_the_end(reactor, pidfile)
}

/// Says where it serves, what holds it there, and what of its configuration is for another build.
fn announce(announcement: &str, plan: Option<&Plan>, config: &Config) {
    log::info!("{announcement}");
    if let Some(plan) = plan {
        match plan.is_whole() {
            true => log::info!("{}", plan.line()),
            false => log::warn!("{}", plan.line()),
        }
    }
    for line in idle_keys::lines(config) {
        log::warn!("{line}");
    }
}

/// What the server will give up, and who starts processes beside it then, outside of the sandbox
/// but as the user that the server is about to become.
fn outside(config: &Config, user: Option<Ids>) -> Result<(Option<Plan>, Maker), StartError> {
    let answer = confine::ask();
    let confinement = sandbox::of_scripts(config, answer)?;
    let stays = user.is_none_or(|Ids { uid, .. }| uid == 0 || uid == privilege::real_user());
    let plan = Plan::of(config, answer, stays)?.filter(|_| sandbox::BUILT);
    let Some(plan) = plan else {
        return Ok((None, Maker::Ourselves(confinement)));
    };
    let maker = match config.needs_maker() {
        false => Maker::Nobody,
        true => {
            let first = || user::give_up(&config.service.chroot, user).is_ok();
            Maker::fork(&confinement, first).map_err(|error| {
                let what = format!("no process that stays outside: {error}");
                let cure = "free memory for one more process, or set service.sandbox to off";
                StartError::runtime("service.sandbox", what, cure)
            })?
        }
    };
    plan.bound()?;
    Ok((Some(plan), maker))
}

/// The processes beside the server that `config` needs.
fn beside(config: &Config, maker: &Maker) -> Result<(Option<Helper>, Option<Starter>), StartError> {
    let helper = config.asks_who().then(|| verdicts::start_helper(maker));
    let starter = config
        .needs_starter()
        .then(|| scripts::start_starter(maker, config));
    let (mut helper, mut starter) = (helper.transpose()?, starter.transpose()?);
    let settled = maker.settle();
    let gone =
        helper.as_mut().is_some_and(Helper::reap) || starter.as_mut().is_some_and(Starter::reap);
    match settled {
        Ok(()) if !gone => Ok((helper, starter)),
        _ => {
            let what = "a process that looks at passwords or starts scripts cannot be made";
            let cure = "free memory for one more process, or allow more of them (ulimit -u)";
            Err(StartError::runtime("start", what.to_owned(), cure))
        }
    }
}

/// They work for it.
fn employ(reactor: &mut Reactor<Kernel>, helper: Option<Helper>, starter: Option<Starter>) {
    if helper.is_some() {
        reactor.employ(helper);
    }
    if starter.is_some() {
        reactor.employ_starter(starter);
    }
}

/// The server before this one; what it offers comes into `before`.
fn find(control: &str, before: &mut Before) -> Result<Option<Predecessor>, StartError> {
    let Some((predecessor, offer)) = Predecessor::find(control)? else {
        return Ok(None);
    };
    before.control = Some(offer.control);
    before.listeners = match offer.of_supervisor {
        true => Given::Exactly(offer.listeners),
        false => Given::Offered(offer.listeners),
    };
    Ok(Some(predecessor))
}

/// A log that nobody reads yet is no reason not to serve, but the operator would look for lines.
fn warn_of_lines_that_wait(config: &Config) {
    if sink::is_reached() {
        return;
    }
    let beneath = match config.service.chroot.as_str() {
        "" => String::new(),
        chroot => format!(" beneath {chroot}"),
    };
    let target = &config.log_target;
    sink::aside(&format!(
        "log.target={target}: nobody is there{beneath}; lines wait for him"
    ));
}

/// What is read again is looked for beneath the root directory that the server took.
fn beneath(chroot: String, mut reread: Reread) -> Reread {
    Box::new(move || {
        reread().map_err(|error| {
            if chroot.is_empty() {
                return error;
            }
            let cure = format!(
                "{} (all of it beneath {chroot}, which is / now)",
                error.cure
            );
            StartError {
                cure: cure.into(),
                ..error
            }
        })
    })
}

/// Serves until it is stopped, and leaves nothing behind.
fn until_the_end(mut reactor: Reactor<Kernel>, pidfile: Option<Pidfile>) -> Result<(), StartError> {
    let outcome = reactor.run();
    reactor.end_access();
    for line in reactor.counters().lines() {
        log::info!("stopped: {line}");
    }
    // A successor's number stands in it, or is about to.
    if let Some(pidfile) = pidfile.filter(|_| !reactor.has_handed_over()) {
        pidfile.remove();
    }
    reactor::of_loop(outcome)
}
