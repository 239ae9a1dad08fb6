//! adieu, the program: arguments, configuration, start, exit code; nothing else.

use adieu::cli::{self, Command, Start};
use adieu::config::StartError;
use adieu::report::sink;
use adieu::{reactor, service};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            sink::last_words(&error);
            ExitCode::from(error.code)
        }
    }
}

/// Does what the command line asks for.
fn run() -> Result<(), StartError> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match cli::parse(arguments.clone(), &reactor::sizes())? {
        Command::Help => cli::say(&cli::help()),
        Command::Version => cli::say(&cli::version(reactor::teardown::name(
            reactor::teardown::BUILT,
        ))),
        Command::Test(setup) => {
            let checked = reactor::check(&setup.config);
            checked.map_err(|error| setup.origins.locate(error))?;
            cli::say(&setup.to_string())
        }
        Command::Serve(setup, start) => {
            // The same flags, and the file as it is then.
            let reread = move || match cli::parse(arguments.clone(), &reactor::sizes())? {
                Command::Serve(setup, _) | Command::Test(setup) => Ok(setup.config),
                Command::Help | Command::Version => Err(cli::not_to_serve()),
            };
            let in_background = start == Start::Background;
            let served = service::serve(&setup.config, in_background, Box::new(reread));
            served.map_err(|error| setup.origins.locate(error))
        }
    }
}
