//! `headworks reload`: have the running instance apply its file again, and say how that went.

use std::process::ExitCode;
use std::time::Duration;

use hyper::{Method, StatusCode};

use crate::check::{REFUSED, complain, say};
use crate::cli::File;
use crate::client::ask_instance_of;

pub(crate) fn main(args: &File) -> ExitCode {
    match ask_instance_of(&args.config, Method::POST, "/v1/reload", Duration::from_secs(120)) {
        Ok((_, StatusCode::OK, answer)) => {
            let changes = answer.get("changes").and_then(|c| c.as_array()).map_or(&[][..], Vec::as_slice);
            changes.iter().filter_map(|c| c.as_str()).for_each(say);
            say(format_args!("applied, {} changes", changes.len()));
            ExitCode::SUCCESS
        }
        Ok((_, _, answer)) => {
            let errors = answer.get("errors").and_then(|e| e.as_array()).map_or(&[][..], Vec::as_slice);
            let lines: Vec<&str> = errors.iter().filter_map(|error| error.get("message")?.as_str()).collect();
            match lines.as_slice() {
                [] => complain(answer.get("detail").and_then(|detail| detail.as_str()).unwrap_or("refused")),
                lines => lines.iter().for_each(complain),
            }
            ExitCode::from(REFUSED)
        }
        Err(exit) => exit,
    }
}
