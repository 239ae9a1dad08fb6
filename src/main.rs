//! adieu, the program: arguments, configuration, start, exit code; nothing else.

use adieu::cli::{self, Command, Errand, Start};
use adieu::config::StartError;
use adieu::reactor::{self, idle_keys, teardown};
use adieu::report::sink;
use adieu::{doctor, service, status};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    service::hold_signals();
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            sink::last_words(&error);
            ExitCode::from(error.code)
        }
    }
}

/// Does what the command line asks for; the exit code.
fn run() -> Result<u8, StartError> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let command = cli::parse(arguments.clone(), &reactor::sizes())?;
    if !matches!(command, Command::Serve(..)) {
        service::let_signals_through();
    }
    match command {
        Command::Help => cli::say(&cli::help())?,
        Command::Version => cli::say(&cli::version(teardown::name(teardown::BUILT)))?,
        Command::Test(setup) => {
            let checked = service::check(&setup.config);
            checked.map_err(|error| setup.origins.locate(error))?;
            cli::say(&setup.to_string())?;
            idle_keys::lines(&setup.config).iter().for_each(sink::aside);
        }
        Command::Errand(Errand::Doctor, behind) => return doctor(behind),
        Command::Errand(Errand::Status, behind) => cli::say(&status::run(behind)?)?,
        Command::Serve(setup, start) => {
            // The same flags, and the file as it is then.
            let reread = move || match cli::parse(arguments.clone(), &reactor::sizes())? {
                Command::Serve(setup, _) | Command::Test(setup) => Ok(setup.config),
                Command::Help | Command::Version | Command::Errand(..) => Err(cli::not_to_serve()),
            };
            let in_background = start == Start::Background;
            let file = setup.origins.file();
            let served = service::serve(&setup.config, file, in_background, Box::new(reread));
            served.map_err(|error| setup.origins.locate(error))?;
        }
    }
    Ok(0)
}

/// Says what the configuration of these arguments needs of the system; the exit code.
fn doctor(arguments: Vec<OsString>) -> Result<u8, StartError> {
    let setup = match cli::parse(arguments, &reactor::sizes())? {
        Command::Serve(setup, _) => setup,
        Command::Help => return cli::say(&cli::help()).map(|()| 0),
        Command::Test(_) | Command::Version | Command::Errand(..) => return Err(cli::not_beside()),
    };
    let flavour = teardown::name(teardown::BUILT);
    let (text, code) = doctor::examine(&setup, teardown::BUILT, flavour)?;
    cli::say(&text)?;
    Ok(code)
}
