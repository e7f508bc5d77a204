//! `headworks ready`: whether the running instance serves, for health checks of containers and scripts.

use std::process::ExitCode;
use std::time::Duration;

use hyper::Method;

use crate::check::say;
use crate::cli::File;
use crate::client::ask_instance_of;

pub(crate) fn main(args: &File) -> ExitCode {
    match ask_instance_of(&args.config, Method::GET, "/v1/status", Duration::from_secs(5)) {
        Ok((.., status)) => {
            let state = status.get("state").and_then(|state| state.as_str()).unwrap_or("unknown");
            say(state);
            if state == "serving" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(exit) => exit,
    }
}
