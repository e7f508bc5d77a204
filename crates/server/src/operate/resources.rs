//! Resources: shown, described, applied, deleted, exported.

use headworks_iam::percent::encoded;
use std::path::Path;

use headworks_model::{Kind, json_of_yaml};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::command::{Apply, Delete, Get};
use super::connect::{json_of, refused_at};
use super::output::{Format, row, show, yaml};
use super::revisions::revision_rows;
use super::{Asking, Connection, Failed};
use crate::check::say;
use crate::file::{self, Surroundings};

/// Whether something is changed or only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Change,
    Look,
}

impl Doing {
    /// What a command does that was told `--dry-run`, or was not.
    pub(super) fn of(is_dry: bool) -> Self {
        if is_dry { Self::Look } else { Self::Change }
    }

    /// What stands behind the path of a change that is made for this reason.
    pub(super) fn query(self, reason: &str) -> String {
        let dry = if self == Self::Look { "&dry_run=true" } else { "" };
        format!("?reason={}{dry}", encoded(reason))
    }
}

/// `target-groups`, `target-group`, `target_groups`, or the first letters of its words.
pub(super) fn kind_of(text: &str) -> Result<Kind, Failed> {
    let plain = text.to_ascii_lowercase().replace('_', "-");
    let fits = |kind: &Kind| {
        let all = segment(*kind);
        let one = all.strip_suffix('s').unwrap_or(&all).to_owned();
        let short: String = all.split('-').filter_map(|word| word.chars().next()).collect();
        plain == all || plain == one || (short.len() > 1 && plain == short)
    };
    Kind::ALL.into_iter().find(fits).ok_or_else(|| {
        let all: Vec<String> = Kind::ALL.into_iter().map(segment).collect();
        Failed::wrong(format!("there is no kind {text:?}, expected one of {}", all.join(", ")))
    })
}

pub(super) fn segment(kind: Kind) -> String {
    kind.collection().replace('_', "-")
}

pub(super) fn path_of(kind: Kind, name: &str) -> String {
    format!("/v1/{}/{}", segment(kind), encoded(name))
}

/// Resources by name, and what is known about each.
type Listed = (Map<String, Value>, Map<String, Value>);

/// All pages of a list: resources, and what is known about them.
fn all(connection: &Connection, kind: Kind, query: &str) -> Result<Listed, Failed> {
    let (mut resources, mut metas) = (Map::new(), Map::new());
    let mut after = String::new();
    loop {
        let path = format!("/v1/{}?limit=500{query}{after}", segment(kind));
        let mut page = connection.json(Method::GET, &path, None)?;
        let mut take = |key: &str| match page.get_mut(key).map(Value::take) {
            Some(Value::Object(entries)) => entries,
            _ => Map::new(),
        };
        resources.extend(take(kind.collection()));
        metas.extend(take("meta"));
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={}", encoded(next)),
            None => return Ok((resources, metas)),
        }
    }
}

pub(super) fn get(args: &Get) -> Result<(), Failed> {
    let (kind, connection) = (kind_of(&args.kind)?, Connection::of(&args.asking)?);
    if let Some(name) = &args.name {
        let resource = connection.json(Method::GET, &path_of(kind, name), None)?;
        // one resource is no table
        let format = if args.asking.output == Format::Table { Format::Yaml } else { args.asking.output };
        show(format, &resource, Vec::new);
        return Ok(());
    }
    let (resources, metas) = all(&connection, kind, "")?;
    let table = || {
        let mut rows = vec![row(["NAME", "FROM", "REVISION", "WHAT"])];
        rows.extend(resources.iter().map(|(name, resource)| {
            let meta = |key: &str| metas.get(name).and_then(|meta| meta.get(key)).cloned().unwrap_or_default();
            let revision = meta("revision").as_u64().map_or("-".to_owned(), |revision| revision.to_string());
            row([name, meta("origin").as_str().unwrap_or("-"), &revision, &summary(kind, resource)])
        }));
        rows
    };
    show(args.asking.output, &json!({ kind.collection(): resources }), table);
    Ok(())
}

/// What a resource is, in a few words.
fn summary(kind: Kind, resource: &Value) -> String {
    let count = |key: &str| match resource.get(key) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(entries)) => entries.len(),
        _ => 0,
    };
    let text = |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or("-");
    match kind {
        Kind::LoadBalancer => format!("{}, {} listeners", text("type"), count("listeners")),
        Kind::TargetGroup => format!("{}, {} targets, {}", text("protocol"), count("targets"), text("algorithm")),
        Kind::Certificate => text("certificate").to_owned(),
        Kind::SecurityGroup | Kind::NetworkAcl => format!("{} rules", count("inbound")),
    }
}

pub(super) fn describe(args: &Get) -> Result<(), Failed> {
    let (kind, connection) = (kind_of(&args.kind)?, Connection::of(&args.asking)?);
    let Some(name) = &args.name else { return Err(Failed::wrong("describe what? expected a kind and a name")) };
    let path = path_of(kind, name);
    let resource = connection.json(Method::GET, &path, None)?;
    let health = match kind {
        Kind::TargetGroup => Some(connection.json(Method::GET, &format!("{path}/health"), None)?),
        _ => None,
    };
    let query = format!("/v1/revisions?limit=10&resource={}.{}", kind.collection(), encoded(name));
    let history = connection.json(Method::GET, &query, None)?;
    if args.asking.output != Format::Table {
        let all = json!({ "resource": resource, "health": health, "history": history.get("revisions") });
        show(args.asking.output, &all, Vec::new);
        return Ok(());
    }
    say(yaml(&json!({ name.as_str(): resource })).trim_end());
    if let Some(targets) = health.as_ref().and_then(|health| health.get("targets")).and_then(Value::as_array) {
        let text = |target: &Value, key: &str| target.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let number = |target: &Value, key: &str| target.get(key).map_or("-".to_owned(), ToString::to_string);
        let mut rows = vec![row(["TARGET", "STATE", "WEIGHT", "REQUESTS", "IN FLIGHT", "WHY"])];
        rows.extend(targets.iter().map(|target| {
            let [weight, requests, flying] = ["weight", "requests", "in_flight"].map(|key| number(target, key));
            let [address, state, why] = ["address", "state", "description"].map(|key| text(target, key));
            vec![address, state, weight, requests, flying, why]
        }));
        say("");
        super::output::lines(&rows).iter().for_each(say);
    }
    say("");
    super::output::lines(&revision_rows(&history)).iter().for_each(say);
    Ok(())
}

/// The text of a file; `-` is standard input.
pub(super) fn text_of(path: &Path) -> Result<String, Failed> {
    let read =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    read.map_err(|error| Failed::wrong(format!("{}: {error}", path.display())))
}

/// The file as a change: all of it is put, and with `prune` the rest of what came by the API is deleted.
fn change_of(args: &Apply, text: &str, connection: &Connection) -> Result<Value, Failed> {
    let (label, folder) = (args.file.display().to_string(), file::folder(&args.file));
    let put = json_of_yaml(&label, text, &Surroundings(&folder)).map_err(|faults| Failed::wrong(faults.to_string()))?;
    let put = if put.is_null() { json!({}) } else { put };
    let mut delete = Map::new();
    for kind in Kind::ALL.into_iter().filter(|_| args.prune) {
        let (ours, _) = all(connection, kind, "&origin=api")?;
        let stays = |name: &String| put.get(kind.collection()).is_some_and(|named| named.get(name).is_some());
        let gone: Vec<Value> = ours.keys().filter(|name| !stays(name)).map(|name| name.as_str().into()).collect();
        if !gone.is_empty() {
            delete.insert(kind.collection().to_owned(), gone.into());
        }
    }
    Ok(json!({ "put": put, "delete": delete }))
}

pub(super) fn apply(args: &Apply, doing: Doing) -> Result<(), Failed> {
    let connection = Connection::of(&args.asking)?;
    let text = text_of(&args.file)?;
    let change = change_of(args, &text, &connection)?;
    let path = format!("/v1/changes{}", doing.query(&args.reason));
    let answer = connection.send(Method::POST, &path, &[], Some(&change))?;
    if !answer.status.is_success() {
        let label = args.file.display().to_string();
        return Err(refused_at(&answer, |path| {
            in_file(path.strip_prefix("put.").unwrap_or(path), &change, (&label, &text))
        }));
    }
    changed(args.asking.output, &json_of(&answer)?, doing);
    Ok(())
}

/// Where something stands in a file, and its path there; none of what is not in it.
fn in_file<'p>(path: &'p str, change: &Value, (label, text): (&str, &str)) -> Option<(String, &'p str)> {
    let (collection, rest) = path.split_once('.').unwrap_or((path, ""));
    let there = change.get("put")?.get(collection)?;
    let starts = |name: &String| {
        rest.strip_prefix(name.as_str()).is_some_and(|tail| tail.is_empty() || tail.starts_with(['.', '[']))
    };
    if !rest.is_empty() && !there.as_object()?.keys().any(starts) {
        return None;
    }
    let (line, column) = headworks_model::place(text, path)?;
    Some((format!("{label}:{line}:{column}"), path))
}

/// What changed, or would.
pub(super) fn changed(format: Format, answer: &Value, doing: Doing) {
    if format != Format::Table {
        return show(format, answer, Vec::new);
    }
    let texts = |key: &str| {
        let list = answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        list.into_iter().filter_map(|line| line.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    texts("warnings").iter().for_each(|warning| crate::check::complain(format_args!("warning: {warning}")));
    let changes = texts("changes");
    changes.iter().for_each(say);
    match (doing, answer.get("revision").and_then(Value::as_u64)) {
        (_, Some(revision)) => say(format_args!("revision {revision}, {} changes", changes.len())),
        (Doing::Look, None) => say(format_args!("{} changes, nothing was done", changes.len())),
        (Doing::Change, None) => say("nothing to change"),
    }
}

pub(super) fn delete(args: &Delete) -> Result<(), Failed> {
    let (kind, connection) = (kind_of(&args.kind)?, Connection::of(&args.asking)?);
    let doing = Doing::of(args.dry_run);
    let path = format!("{}{}", path_of(kind, &args.name), doing.query(&args.reason));
    let answer = connection.json(Method::DELETE, &path, None)?;
    match doing {
        Doing::Look => changed(args.asking.output, &answer, doing),
        Doing::Change => say(format_args!("{} {} is gone", kind.called(), args.name)),
    }
    Ok(())
}

pub(super) fn export(asking: &Asking) -> Result<(), Failed> {
    let connection = Connection::of(asking)?;
    let mut whole = Map::new();
    for kind in Kind::ALL {
        let (resources, _) = all(&connection, kind, "&origin=api")?;
        if !resources.is_empty() {
            whole.insert(kind.collection().to_owned(), resources.into());
        }
    }
    let format = if asking.output == Format::Table { Format::Yaml } else { asking.output };
    show(format, &whole.into(), Vec::new);
    Ok(())
}
