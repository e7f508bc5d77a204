//! `headworks check`: is the file right, and what would it change? And `headworks schema`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use headworks_edge::CannotRun;
use headworks_model::{Change, Config, Reach, difference_of_json};
use hyper::{Method, StatusCode};
use serde_json::Value;

use crate::acme;
use crate::cli::File;
use crate::client::{self, Instance, Question};
use crate::descriptors;
use crate::file::{self, Loaded, Refused};

/// Exit status for a file that is refused.
pub(crate) const REFUSED: u8 = 2;

/// Prints a line; a reader that went away is no error.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line to standard error.
pub(crate) fn complain(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What stands in the way of running a configuration, as far as that can be told without touching the machine.
pub(crate) fn in_the_way(config: &Config) -> Vec<CannotRun> {
    let mut errors = headworks_edge::validate(config);
    errors.extend(acme::validate(config));
    errors
}

/// Loads a file and makes sure that this version can run it.
///
/// # Errors
/// With all that is wrong.
pub(crate) fn validated(path: &std::path::Path) -> Result<Loaded, Refused> {
    let loaded = file::load(path)?;
    let errors = in_the_way(&loaded.config);
    if errors.is_empty() { Ok(loaded) } else { Err(loaded.placed(&errors)) }
}

/// The same for a command, which ends with this status where the file is refused; what is wrong has been said then.
///
/// # Errors
/// With the command's exit status.
pub(crate) fn accepted(path: &std::path::Path) -> Result<Loaded, ExitCode> {
    validated(path).map_err(|refused| {
        complain(refused);
        ExitCode::from(REFUSED)
    })
}

pub(crate) fn main(args: &File) -> ExitCode {
    let loaded = match accepted(&args.config) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    loaded.warnings.iter().for_each(|warning| complain(format_args!("warning: {warning}")));
    let shortage = descriptors::shortage(&loaded.config, descriptors::most());
    shortage.for_each(|shortage| complain(format_args!("warning: {shortage}")));
    // the machine that it is for may permit it
    let unpermitted = loaded.places(&headworks_edge::unpermitted(&loaded.config));
    unpermitted.iter().for_each(|what| complain(format_args!("warning: {what}")));
    say(format_args!("{} is valid", args.config.display()));
    for reach in loaded.config.reaches() {
        let place = reach.place();
        let Reach { load_balancer, target_group, by, .. } = reach;
        if let Some(by) = by {
            say(format_args!("{load_balancer} reaches {place} of {target_group}: {by}"));
        }
    }
    let (instance, admin) = (Instance::of_file(&loaded.config), loaded.config.admin.address);
    let question = Question { method: Method::GET, path: "/v1/config", fields: &[], body: None };
    let running = client::wait_for(client::ask(&instance, &question, Duration::from_secs(5)));
    let running = running.map(|answer| (answer.status, serde_json::from_slice::<Value>(&answer.body)));
    match running {
        Ok((StatusCode::OK, Ok(running))) => print_difference(&running, &loaded.shown().value()),
        Ok((status, _)) => say(format_args!("the running instance at {admin} answers {status}")),
        Err(error) => say(format_args!("{admin}: {error}; nothing to compare with")),
    }
    ExitCode::SUCCESS
}

fn print_difference(running: &Value, file: &Value) {
    let changes: Vec<Change> = difference_of_json(running, file);
    if changes.is_empty() {
        say("the running instance has this configuration");
        return;
    }
    say(format_args!("the running instance would change ({}):", changes.len()));
    changes.iter().for_each(say);
}

pub(crate) fn schema() -> ExitCode {
    match serde_json::to_string_pretty(&headworks_model::schema()) {
        Ok(text) => {
            say(text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}
