//! A new configuration while the server serves.
//!
//! Owns the order of a reload, and the sites of before it for as long as an answer is made from
//! them. It must not read a configuration: it asks [`Reread`]. Invariants: a configuration is taken
//! whole, but for the keys that need a restart, or not at all; a refused one changes nothing; no
//! answer that has begun is lost by it.
//!
//! It allocates and opens directories, on the loop: whoever asks for it waits, and so does
//! everybody else for that moment.

use super::Reactor;
use super::idle_keys;
use super::net::Net;
use super::scripts::start_starter;
use super::verdicts::start_helper;
use crate::config::{AccessFormat, Changes, Config, StartError, changed};
use crate::helper::Helper;
use crate::report::access::Access;
use crate::report::sink;
use crate::sandbox::{self, Logs};
use crate::script::Starter;
use crate::site::Site;
use std::io;
use std::rc::Rc;

/// Reads the configuration once more, as the start did.
pub type Reread = Box<dyn FnMut() -> Result<Config, StartError>>;

/// Processes beside the server that were started and have no work yet.
#[derive(Debug, Default)]
struct Beside {
    helper: Option<Helper>,
    starter: Option<Starter>,
}

/// What is served now, and what answers that have begun are made from.
#[derive(Debug)]
pub(super) struct Sites {
    current: Site,
    /// Counts the reloads; it wraps.
    epoch: u16,
    retired: Vec<(u16, Site)>,
}

impl Sites {
    pub(super) fn new(site: Site) -> Self {
        Self {
            current: site,
            epoch: 0,
            retired: Vec::new(),
        }
    }

    /// What is served now.
    pub(super) fn current(&mut self) -> &mut Site {
        &mut self.current
    }

    /// The number of what is served now.
    pub(super) fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The site that an answer of this epoch is made from.
    pub(super) fn of(&mut self, epoch: u16) -> Option<&mut Site> {
        if epoch == self.epoch {
            return Some(&mut self.current);
        }
        let mut retired = self.retired.iter_mut();
        retired.find(|(of, _)| *of == epoch).map(|(_, site)| site)
    }

    /// Serves another one from now on.
    fn replace(&mut self, site: Site) {
        let old = std::mem::replace(&mut self.current, site);
        self.retired.push((self.epoch, old));
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Lets go of those that no answer is made from.
    pub(super) fn forget(&mut self, used: impl Fn(u16) -> bool) {
        self.retired.retain(|(epoch, _)| used(*epoch));
    }
}

impl<N: Net> Reactor<N> {
    /// Reads the configuration again and serves by it. If that fails the old one goes on.
    pub(super) fn reload(&mut self) {
        let Some(reread) = &mut self.reread else {
            log::warn!("not reloaded: there is nothing to read again");
            return;
        };
        self.herald.reloading();
        let read = reread().map_err(|error| self.confined.explain(error));
        let outcome = read.and_then(|new| self.take(new));
        let now = self.net.now();
        self.herald.ready(now);
        match outcome {
            Ok(changes) => {
                self.counters.reload();
                self.reopen_logs();
                let names: Vec<&str> = changes.reload.iter().map(|key| key.name).collect();
                log::info!("reloaded: {}", listed(&names));
                let names: Vec<&str> = changes.restart.iter().map(|key| key.name).collect();
                if !names.is_empty() {
                    log::warn!("a restart is needed for {}", names.join(", "));
                }
                for line in idle_keys::lines(&self.config) {
                    log::warn!("{line}");
                }
            }
            Err(error) => {
                self.counters.refuse_reload();
                log::error!("not reloaded, the old configuration goes on: {error}");
            }
        }
    }

    /// Opens log files anew: somebody has moved them away. One that cannot be had stays as it is.
    pub(super) fn reopen_logs(&mut self) {
        if let Err(error) = sink::reopen() {
            let line = self.not_reopened("log.target", &error, [true, false]);
            log::warn!("{line}");
            // That may be a file which nobody looks at any more.
            sink::aside(&line);
        }
        if let Err(error) = self.reopen_access() {
            let line = self.not_reopened("log.access_target", &error, [false, true]);
            log::warn!("{line}");
        }
    }

    /// What is said of this log, which is not opened anew because of an error.
    fn not_reopened(&self, key: &str, error: &io::Error, log: Logs) -> String {
        let line = format!("{key}: not opened anew, the one that is open goes on: {error}");
        let granted = &self.confined.granted;
        match sandbox::BUILT.then(|| sandbox::look_at_logs(granted, &self.config, log)) {
            Some(Err(StartError { what, cure, .. })) => format!("{line}; {what}; {cure}"),
            Some(Ok(())) | None => line,
        }
    }

    /// Serves by `new`, as far as a reload can.
    fn take(&mut self, new: Config) -> Result<Changes, StartError> {
        let changes = changed(&self.config, &new);
        let mut config = new;
        for key in &changes.restart {
            // It came from there, so it fits.
            let _ = key.set(&mut config, key.value(&self.config));
        }
        // What was checked together need not be sound beside the old values.
        config.verify()?;
        let differs = |start| changes.reload.iter().any(|key| key.name.starts_with(start));
        let opens_access = differs("log.access") && config.access != AccessFormat::Off;
        let site = Site::check(&config)?;
        if sandbox::BUILT && self.confined.granted.is_held() {
            let opened = [differs("log.target"), opens_access];
            sandbox::look(&self.confined.granted, &config, &site, opened)?;
        }
        let site = site.furnish()?;
        let access = match differs("log.access") {
            true => Some(Access::open(&config)?),
            false => None,
        };
        let beside = self.start_beside(&config)?;
        if differs("log.target")
            && let Err(error) = sink::direct(&config)
        {
            self.turn_away(beside);
            return Err(error);
        }
        // Nothing fails from here on.
        self.cache.clear();
        if let Some(access) = access {
            self.log_accesses(access);
        }
        self.sites.replace(site);
        self.forget_sites();
        self.limits = Rc::new(config.limits.clone());
        self.per_address = config.connections_per_address;
        self.works.divide(self.per_address, config.connections);
        self.uploads.divide(self.per_address, config.connections);
        self.net.retune(&config);
        self.credentials.retune(config.auth.clone());
        log::set_max_level(config.log_level);
        self.config = config;
        self.prepare_uploads();
        self.scripts.retune(&self.config);
        self.showings.retune(&self.config);
        self.employ_beside(beside);
        Ok(changes)
    }

    /// Starts the processes that `config` needs and that are not there.
    fn start_beside(&mut self, config: &Config) -> Result<Beside, StartError> {
        let mut beside = Beside::default();
        if config.asks_who() && !self.credentials.has_helper() {
            beside.helper = Some(start_helper(&self.confined.maker)?);
        }
        if config.needs_starter() && !self.scripts.has_starter() {
            match start_starter(&self.confined.maker, config) {
                Ok(starter) => beside.starter = Some(starter),
                Err(error) => {
                    self.turn_away(beside);
                    return Err(error);
                }
            }
        }
        Ok(beside)
    }

    /// They are not needed after all.
    fn turn_away(&mut self, beside: Beside) {
        let now = self.net.now();
        if let Some(helper) = beside.helper {
            self.credentials.turn_away(helper, now);
        }
        if let Some(starter) = beside.starter {
            self.scripts.turn_away(starter);
        }
    }

    /// They work from now on; who is needed no longer goes.
    fn employ_beside(&mut self, beside: Beside) {
        if beside.helper.is_some() {
            self.employ(beside.helper);
        } else if !self.config.asks_who() {
            self.credentials.dismiss();
        }
        if beside.starter.is_some() {
            self.employ_starter(beside.starter);
        }
    }

    /// Lets go of sites of before a reload that no answer needs any more.
    pub(super) fn forget_sites(&mut self) {
        let (works, uploads) = (&self.works, &self.uploads);
        self.sites
            .forget(|epoch| works.is_used(epoch) || uploads.is_used(epoch));
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "nothing has changed; the directories are opened anew".to_owned(),
        names => names.join(", "),
    }
}
