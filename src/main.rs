//! adieu, the program: arguments, configuration, start, exit code; nothing else.

use adieu::cli::{self, Command};
use adieu::config::StartError;
use adieu::reactor;
use adieu::report::sink;
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
    let arguments = std::env::args_os().skip(1);
    match cli::parse(arguments, &reactor::sizes())? {
        Command::Help => cli::say(&cli::help()),
        Command::Version => cli::say(&cli::version(reactor::teardown::name(
            reactor::teardown::BUILT,
        ))),
        Command::Test(setup) => {
            reactor::check(&setup.config)?;
            cli::say(&setup.to_string())
        }
        Command::Serve(setup) => {
            sink::install(setup.config.log_level);
            let served = reactor::serve(&setup.config);
            sink::flush();
            served
        }
    }
}
