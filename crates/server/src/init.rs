//! `headworks init`: the identity that an installation begins with. Its secret is printed once, and kept sealed.

use std::process::ExitCode;

use headworks_model::config::AdminAuth;
use serde_json::json;

use crate::check::{REFUSED, complain, say};
use crate::cli::Init;
use crate::file;

pub(crate) fn main(args: &Init) -> ExitCode {
    let loaded = match file::load(&args.file.config) {
        Ok(loaded) => loaded,
        Err(refused) => {
            complain(refused);
            return ExitCode::from(REFUSED);
        }
    };
    let admin = &loaded.config.admin;
    match headworks_control::initialise(&admin.data, args.replace) {
        Ok(Some((id, secret))) if args.json => {
            say(json!({ "access_key_id": id, "secret_access_key": secret }));
            ExitCode::SUCCESS
        }
        Ok(Some((id, secret))) => {
            say(format_args!("access key:  {id}\nsecret:      {secret}"));
            say("This is the root identity, and the only time that its secret is shown. Use it to make users with");
            say("policies of their own, and keep it for when nothing else helps.");
            if admin.auth == AdminAuth::None {
                say("The file says auth: none, so that nobody is asked for a key yet: say auth: required.");
            }
            ExitCode::SUCCESS
        }
        Ok(None) => {
            complain("there is a root identity already; --replace makes another key in place of those that it has");
            ExitCode::FAILURE
        }
        Err(what) => {
            complain(what);
            ExitCode::FAILURE
        }
    }
}
