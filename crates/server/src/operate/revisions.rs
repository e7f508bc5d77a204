//! Revisions: what was done, and undoing it.

use headworks_iam::percent::encoded;
use hyper::Method;
use serde_json::Value;

use super::command::{History, Rollback};
use super::output::{Format, row, show};
use super::resources::{Doing, changed, kind_of};
use super::{Connection, Failed};
use crate::check::say;

pub(super) fn history(args: &History) -> Result<(), Failed> {
    let connection = Connection::of(&args.asking)?;
    if let Some(revision) = args.revision {
        let found = connection.json(Method::GET, &format!("/v1/revisions/{revision}"), None)?;
        if args.asking.output != Format::Table {
            show(args.asking.output, &found, Vec::new);
            return Ok(());
        }
        let changes = found.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
        changes.iter().filter_map(Value::as_str).for_each(say);
        return Ok(());
    }
    let of = match (&args.kind, &args.name) {
        (None, _) => String::new(),
        (Some(kind), Some(name)) => format!("&resource={}.{}", kind_of(kind)?.collection(), encoded(name)),
        (Some(_), None) => return Err(Failed::wrong("of which? expected a kind and a name, or neither")),
    };
    let path = format!("/v1/revisions?limit={}{of}", args.limit.clamp(1, 500));
    let found = connection.json(Method::GET, &path, None)?;
    show(args.asking.output, &found, || revision_rows(&found));
    Ok(())
}

/// Revisions as a table.
pub(super) fn revision_rows(found: &Value) -> Vec<Vec<String>> {
    let mut rows = vec![row(["REVISION", "AT", "WHO", "WHAT", "WHY"])];
    for revision in found.get("revisions").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| revision.get(key).and_then(Value::as_str).unwrap_or_default();
        let number = revision.get("revision").map_or(String::new(), ToString::to_string);
        let resources = revision.get("resources").and_then(Value::as_array).cloned().unwrap_or_default();
        let resources: Vec<&str> = resources.iter().filter_map(Value::as_str).collect();
        let what = match resources.as_slice() {
            [first, second, third, _, ..] => format!("{first}, {second}, {third} and {} more", resources.len() - 3),
            few => few.join(", "),
        };
        rows.push(row([&number, text("at"), text("principal"), &what, text("reason")]));
    }
    rows
}

pub(super) fn rollback(args: &Rollback) -> Result<(), Failed> {
    let connection = Connection::of(&args.asking)?;
    let doing = Doing::of(args.dry_run);
    let path = format!("/v1/revisions/{}/restore{}", args.revision, doing.query(&args.reason));
    let answer = connection.json(Method::POST, &path, None)?;
    changed(args.asking.output, &answer, doing);
    Ok(())
}
