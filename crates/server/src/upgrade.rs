//! `headworks upgrade`: this binary takes over from the instance that runs a file.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;

use crate::check::{REFUSED, accepted, complain, say};
use crate::cli::File;
use crate::takeover::door;
use crate::takeover::message::{Ask, Upgraded};
use crate::takeover::predecessor::NoEstate;

/// Beyond what the instance itself waits for the new one.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn main(args: &File) -> ExitCode {
    let loaded = match accepted(&args.config) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    let (data, ready_within) = (&loaded.config.admin.data, loaded.config.upgrade.ready_within);
    match runtime.block_on(async { timeout(ready_within + PATIENCE, ask(data, &args.config)).await }) {
        Ok(Ok(Upgraded::Serving { pid, replaced })) => {
            say(format_args!("pid {pid} serves in the place of pid {replaced}, which finishes what it has and ends"));
            ExitCode::SUCCESS
        }
        // it has said itself what is wrong
        Ok(Ok(Upgraded::Failed { status: Some(status), .. })) if status == i32::from(REFUSED) => {
            complain("the running instance goes on");
            ExitCode::from(REFUSED)
        }
        Ok(Ok(Upgraded::Failed { reason, .. })) => {
            complain(format_args!("the running instance goes on: {reason}"));
            ExitCode::FAILURE
        }
        Ok(Err(error)) => {
            complain(NoEstate::of(data, error));
            ExitCode::FAILURE
        }
        Err(_) => {
            complain("the running instance does not answer");
            ExitCode::FAILURE
        }
    }
}

/// Has the instance with this data folder start this program in its place.
async fn ask(data: &Path, file: &Path) -> io::Result<Upgraded> {
    let mut link = door::knock(data)?;
    let (program, file) = (std::env::current_exe()?, file.canonicalize()?);
    let errors: [OwnedFd; 1] = [io::stderr().as_fd().try_clone_to_owned()?];
    link.send(&Ask::Upgrade { program, file }, &errors).await?;
    Ok(link.receive().await?.0)
}
