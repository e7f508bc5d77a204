//! What is kept: the audit trail, and the whole state, saved and put back.

use headworks_iam::percent::encoded;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use headworks_store::Store;
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::command::{Audit, AuditList, Backup, Restore};
use super::connect::{Meant, json_of, succeeded};
use super::output::{Format, row, show};
use super::resources::{Doing, changed};
use super::{Connection, Failed};
use crate::check::{REFUSED, complain, say};
use crate::client::{Question, Sent};
use crate::file;
use crate::takeover::door::Door;

pub(super) fn audit(command: &Audit) -> Result<(), Failed> {
    match command {
        Audit::List(args) => list(args),
        Audit::Export(asking) => export(&Connection::of(asking)?),
        Audit::Verify(asking) => {
            let verdict = Connection::of(asking)?.json(Method::GET, "/v1/audit/verify", None)?;
            let text = |key: &str| match verdict.get(key) {
                Some(Value::String(text)) => text.clone(),
                other => other.map_or(String::new(), ToString::to_string),
            };
            if verdict.get("intact").and_then(Value::as_bool) == Some(true) {
                show(asking.output, &verdict, || {
                    let (entries, from, head) = (text("entries"), text("from"), text("head"));
                    vec![vec![format!("{entries} entries from number {from} on, none changed; the last is {head}")]]
                });
                return Ok(());
            }
            show(asking.output, &verdict, Vec::new);
            Err(Failed { lines: vec![format!("entry {} {}", text("entry"), text("what"))], status: REFUSED })
        }
    }
}

/// Prints entries as they come, each as a whole: what breaks off does not end within one.
fn export(connection: &Connection) -> Result<(), Failed> {
    let (mut out, mut rest, mut entries) = (std::io::stdout().lock(), Vec::new(), 0_usize);
    let poured = connection.pour("/v1/audit/export", &mut |bytes| {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (whole, begun) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
        if !whole.is_empty() {
            entries += whole.iter().filter(|byte| **byte == b'\n').count();
            out.write_all(&rest)?;
            out.write_all(whole)?;
            rest.clear();
        }
        rest.extend_from_slice(begun);
        Ok(())
    });
    match poured {
        Ok(()) => Ok(()),
        Err(failed) if entries == 0 => Err(failed),
        Err(Failed { lines, .. }) => {
            let why = lines.join("; ");
            Err(Failed::with(format!("it broke off after {entries} entries, and is not the whole trail: {why}")))
        }
    }
}

fn list(args: &AuditList) -> Result<(), Failed> {
    let given = [
        ("principal", &args.principal),
        ("action", &args.action),
        ("resource", &args.resource),
        ("outcome", &args.outcome),
        ("from", &args.from),
        ("to", &args.to),
    ];
    let filters: String =
        given.into_iter().filter_map(|(name, value)| Some(format!("&{name}={}", encoded(value.as_ref()?)))).collect();
    let path = format!("/v1/audit?limit={}{filters}", args.limit.clamp(1, 500));
    let found = Connection::of(&args.asking)?.json(Method::GET, &path, None)?;
    show(args.asking.output, &found, || {
        let mut rows = vec![row(["ENTRY", "AT", "WHO", "OUTCOME", "STATUS", "ACTION", "RESOURCE"])];
        for entry in found.get("entries").and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let number = |key: &str| entry.get(key).map_or(String::new(), ToString::to_string);
            let at = entry.get("at").and_then(Value::as_u64).unwrap_or(0) / 1000;
            let at = headworks_iam::time::iso(at);
            let (entry, status) = (number("number"), number("status"));
            rows.push(row([
                &entry,
                &at,
                text("principal"),
                text("outcome"),
                &status,
                text("action"),
                text("resource"),
            ]));
        }
        rows
    });
    Ok(())
}

pub(super) fn backup(args: &Backup) -> Result<(), Failed> {
    let label = args.to.display();
    let connection = Connection::of(&args.asking)?;
    let io = |error: std::io::Error| Failed::with(format!("{label}: {error}"));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.to).map_err(io)?;
    let mut length = 0;
    let poured = connection.pour("/v1/backup", &mut |bytes| {
        length += bytes.len();
        file.write_all(bytes)
    });
    if let Err(failed) = poured.and_then(|()| file.sync_all().map_err(io)) {
        // half of a backup is none
        let _ = std::fs::remove_file(&args.to);
        return Err(failed);
    }
    if args.asking.output == Format::Table {
        say(format_args!(
            "{label}: {length} bytes. Secrets in it are sealed with control.key of the data folder: keep that too"
        ));
    }
    Ok(())
}

/// An instance that runs is asked to do it, as one change; below one that does not, the database is put back whole, with its
/// revisions and its audit trail.
pub(super) fn restore(args: &Restore) -> Result<(), Failed> {
    let Meant::File(path) = Meant::by(&args.asking) else { return ask_to_restore(args) };
    let loaded = file::load(&path).map_err(|refused| Failed::wrong(refused.to_string()))?;
    let admin = &loaded.config.admin;
    let io = |error: std::io::Error| Failed::with(format!("{}: {error}", admin.data.display()));
    std::fs::create_dir_all(&admin.data).map_err(io)?;
    let door = match Door::open(&admin.data) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => return ask_to_restore(args),
        opened => opened.map_err(io)?,
    };
    let restored = if args.dry_run {
        Err(Failed::wrong("--dry-run: nothing runs there that could say what would change"))
    } else {
        replace(&admin.data, &args.from)
    };
    door.close();
    restored
}

/// What would change is told first, and is what is restored: if anything else has changed by then, nothing is.
fn ask_to_restore(args: &Restore) -> Result<(), Failed> {
    let label = args.from.display();
    let saved = std::fs::read(&args.from).map_err(|error| Failed::with(format!("{label}: {error}")))?;
    let saved = Bytes::from(saved);
    let connection = Connection::of(&args.asking)?;
    let give = |doing: Doing, fields: &[(&'static str, String)]| {
        let path = format!("/v1/restore{}", doing.query(&args.reason));
        let body = Some(Sent::database(saved.clone()));
        connection.put(&Question { method: Method::POST, path: &path, fields, body })
    };
    let taken = |answer| succeeded(answer).map_err(|failed| failed.of(&label.to_string()));
    let condition = if args.force {
        None
    } else {
        let would = taken(give(Doing::Look, &[])?)?;
        let has_asked = !args.dry_run && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if args.dry_run || has_asked {
            changed(args.asking.output, &json_of(&would)?, Doing::Look);
        }
        if args.dry_run || (has_asked && !is_agreed()?) {
            return Ok(());
        }
        let tag = would.fields.get("etag").and_then(|tag| tag.to_str().ok());
        Some(("if-match", tag.unwrap_or("*").to_owned()))
    };
    let answer = give(Doing::Change, condition.as_slice())?;
    if answer.status == StatusCode::PRECONDITION_FAILED {
        return Err(Failed::wrong(
            "somebody has changed resources or identities meanwhile, and nothing was restored. `--dry-run` says what would be \
             lost now; `--force` restores whatever it is",
        ));
    }
    changed(args.asking.output, &json_of(&taken(answer)?)?, Doing::Change);
    Ok(())
}

/// Asks whoever sits there.
fn is_agreed() -> Result<bool, Failed> {
    let io = |error: std::io::Error| Failed::with(format!("standard input: {error}"));
    let mut out = std::io::stderr();
    write!(out, "restore it? [y/N] ").and_then(|()| out.flush()).map_err(io)?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).map_err(io)?;
    Ok(["y", "yes"].contains(&typed.trim().to_ascii_lowercase().as_str()))
}

/// Puts the database `from` in the place of the one of a data folder.
fn replace(data: &Path, from: &Path) -> Result<(), Failed> {
    let io = |error: std::io::Error| Failed::with(format!("{}: {error}", data.display()));
    let label = from.display();
    let (aside, place) = (data.join(".restoring.db"), data.join(Store::FILE));
    let _ = std::fs::remove_file(&aside);
    std::fs::copy(from, &aside).map_err(|error| Failed::with(format!("{label}: {error}")))?;
    if let Err(error) = Store::examine(&aside) {
        let _ = std::fs::remove_file(&aside);
        return Err(Failed::wrong(format!("{label}: {error}")));
    }
    // what the database before had in files beside it is not this one's
    for left_over in ["-wal", "-shm"] {
        for path in [&aside, &place] {
            let _ = std::fs::remove_file(format!("{}{left_over}", path.display()));
        }
    }
    if place.exists() {
        let kept = data.join(format!("{}.before-restore", Store::FILE));
        std::fs::rename(&place, &kept).map_err(io)?;
        complain(format_args!("what was there is {} now", kept.display()));
    }
    std::fs::rename(&aside, &place).map_err(io)?;
    say(format_args!("restored; it is in place when the program runs"));
    Ok(())
}
