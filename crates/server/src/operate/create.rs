//! `headworks create`: a resource that is not there yet, from a file or from settings on the command line.

use std::path::Path;

use headworks_model::json_of_yaml;
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::command::Create;
use super::connect::{json_of, refused};
use super::output::show;
use super::resources::{Doing, changed, kind_of, path_of, text_of};
use super::{Connection, Failed};
use crate::check::say;
use crate::file::{self, Surroundings};

pub(super) fn create(args: &Create) -> Result<(), Failed> {
    let (kind, connection) = (kind_of(&args.kind)?, Connection::of(&args.asking)?);
    let mut body = match &args.file {
        Some(path) => from(path)?,
        None => json!({}),
    };
    for setting in &args.set {
        set(&mut body, setting)?;
    }
    let doing = Doing::of(args.dry_run);
    let path = format!("{}{}", path_of(kind, &args.name), doing.query(&args.reason));
    let absent = [("if-none-match", "*".to_owned())];
    let answer = connection.send(Method::PUT, &path, &absent, Some(&body))?;
    if answer.status == StatusCode::PRECONDITION_FAILED {
        let what = format!("there is a {} {:?} already: edit changes it", kind.called(), args.name);
        return Err(Failed::wrong(what));
    }
    if !answer.status.is_success() {
        return Err(refused(&answer));
    }
    let made = json_of(&answer)?;
    if args.dry_run {
        changed(args.asking.output, &made, doing);
        return Ok(());
    }
    show(args.asking.output, &made, Vec::new);
    if args.asking.output == super::output::Format::Table {
        say(format_args!("{} {} is there", kind.called(), args.name));
    }
    Ok(())
}

/// What a resource is to be, without its name, in the shape of the file.
fn from(path: &Path) -> Result<Value, Failed> {
    let text = text_of(path)?;
    let label = path.display().to_string();
    let read = json_of_yaml(&label, &text, &Surroundings(&file::folder(path)));
    match read.map_err(|faults| Failed::wrong(faults.to_string()))? {
        Value::Null => Ok(json!({})),
        read => Ok(read),
    }
}

/// `health_check.path=/health`, `targets=[127.0.0.1:9001]`: keys with dots between them, and a value of YAML.
fn set(body: &mut Value, setting: &str) -> Result<(), Failed> {
    let wrong = |what: &str| Failed::wrong(format!("--set {setting}: {what}"));
    let (path, text) = setting.split_once('=').ok_or_else(|| wrong("expected key=value, or key.key=value"))?;
    let here = file::folder(Path::new("."));
    let value = json_of_yaml(&format!("--set {path}"), text, &Surroundings(&here));
    let value = value.map_err(|faults| Failed::wrong(faults.to_string()))?;
    let mut place = body;
    for key in path.split('.') {
        if key.is_empty() {
            return Err(wrong("has an empty key"));
        }
        if place.is_null() {
            *place = Map::new().into();
        }
        let entries = place.as_object_mut().ok_or_else(|| wrong("leads into what is no mapping"))?;
        place = entries.entry(key).or_insert(Value::Null);
    }
    *place = value;
    Ok(())
}
