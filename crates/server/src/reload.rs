//! `headworks reload`: have the running instance apply its file again, and say how that went.

use std::process::ExitCode;
use std::time::Duration;

use hyper::{Method, StatusCode};

use crate::check::{REFUSED, complain, say, validated};
use crate::cli::File;
use crate::client;

pub(crate) fn main(args: &File) -> ExitCode {
    // a file that is wrong is said here, with its places; the running instance need not be asked
    let loaded = match validated(&args.config) {
        Ok(loaded) => loaded,
        Err(refused) => {
            complain(refused);
            return ExitCode::from(REFUSED);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    let admin = loaded.config.admin.address;
    match runtime.block_on(client::ask(admin, Method::POST, "/v1/reload", Duration::from_secs(120))) {
        Ok((StatusCode::OK, answer)) => {
            let changes = answer.get("changes").and_then(|c| c.as_array()).map_or(&[][..], Vec::as_slice);
            changes.iter().filter_map(|c| c.as_str()).for_each(say);
            say(format_args!("applied, {} changes", changes.len()));
            ExitCode::SUCCESS
        }
        Ok((_, answer)) => {
            let errors = answer.get("errors").and_then(|e| e.as_array()).map_or(&[][..], Vec::as_slice);
            errors.iter().filter_map(|e| e.as_str()).for_each(complain);
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            complain(format_args!("{admin}: {error}"));
            ExitCode::FAILURE
        }
    }
}
