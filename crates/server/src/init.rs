//! `headworks init`: the identity that an installation begins with, and a first user of the console. What is secret is printed
//! once, and kept sealed or hashed.

use std::process::ExitCode;

use headworks_control::Place;
use headworks_model::config::{Admin, AdminAuth};
use serde_json::{Map, Value};

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
    let mut made = Vec::new();
    let done = make(&Place::of(admin), args, &mut made);
    show(&made, args, admin);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            complain(what);
            ExitCode::FAILURE
        }
    }
}

/// What was made before something failed is shown all the same: nothing shows it again.
fn show(made: &[(&'static str, String)], args: &Init, admin: &Admin) {
    if made.is_empty() {
        return;
    }
    if args.json {
        let made = made.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into()));
        say(Value::Object(made.collect::<Map<_, _>>()));
        return;
    }
    for (key, value) in made {
        say(format_args!("{:<20} {value}", format!("{}:", key.replace('_', " "))));
    }
    if made.iter().any(|(key, _)| *key == "access_key_id") {
        say(
            "This is the key of the root identity, and the only time that its secret is shown. Use it to make users with",
        );
        say("policies of their own, and keep it for when nothing else helps.");
    }
    if made.iter().any(|(key, _)| *key == "password") {
        say(format_args!("The console at http://{}/ asks for the password, and then for another.", admin.address));
    }
    if admin.auth == AdminAuth::None {
        say("The file says auth: none, so that nobody is asked for anything yet: say auth: required.");
    }
}

/// What was made, in the words of the API.
fn make(place: &Place, args: &Init, made: &mut Vec<(&'static str, String)>) -> Result<(), String> {
    if let Some((id, secret)) = headworks_control::initialise(place, args.replace)? {
        made.extend([("access_key_id", id), ("secret_access_key", secret)]);
    } else if args.user.is_none() {
        return Err(
            "there is a root identity already; --replace makes another key in place of those that it has".into()
        );
    }
    if let Some(name) = &args.user {
        let password = headworks_control::first_user(place, name)?;
        let password = password.ok_or_else(|| {
            format!("there is a user {name:?} already; `PUT /v1/iam/users/{name}/password` gives it another password")
        })?;
        made.extend([("user", name.clone()), ("password", password)]);
    }
    Ok(())
}
