//! `headworks rotate-key`: another key in the place of the one that secrets are sealed with, while nobody has them open.

use std::io;
use std::process::ExitCode;

use headworks_control::{Place, rotate};

use crate::check::{complain, say};
use crate::cli::RotateKey;
use crate::file;
use crate::takeover::door::Door;

pub(crate) fn main(args: &RotateKey) -> ExitCode {
    let loaded = match file::load(&args.file.config) {
        Ok(loaded) => loaded,
        Err(refused) => {
            complain(refused);
            return ExitCode::from(crate::check::REFUSED);
        }
    };
    let admin = &loaded.config.admin;
    // as long as it is ours, nobody else's process begins with this data folder unseen
    let door = match Door::open(&admin.data) {
        Ok(door) => door,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            complain(format_args!(
                "{}: an instance runs with it, and has its key: stop it first",
                admin.data.display()
            ));
            return ExitCode::FAILURE;
        }
        Err(error) => {
            complain(format_args!("{}: {error}", admin.data.display()));
            return ExitCode::FAILURE;
        }
    };
    let done = rotate(&Place::of(admin), args.to.as_deref());
    door.close();
    match done {
        Ok(()) => {
            say("all that is secret is sealed with another key. Sessions of roles have ended");
            match (&args.to, &admin.key_file) {
                (Some(to), Some(place)) => {
                    say(format_args!(
                        "put {} in the place of {} before the program starts",
                        to.display(),
                        place.display()
                    ));
                }
                _ => say("keep a copy of control.key: backups from before need the key from before"),
            }
            ExitCode::SUCCESS
        }
        Err(what) => {
            complain(what);
            ExitCode::FAILURE
        }
    }
}
