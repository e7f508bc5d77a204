//! What is kept: the audit trail, and the whole state, saved and put back.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use headworks_store::Store;
use hyper::Method;
use serde_json::Value;

use super::command::{Audit, AuditList, Backup, Restore};
use super::connect::encoded;
use super::output::{Format, row, show};
use super::{Connection, Failed};
use crate::check::{REFUSED, complain, say};
use crate::file;
use crate::takeover::door::Door;

pub(super) fn audit(command: &Audit) -> Result<(), Failed> {
    match command {
        Audit::List(args) => list(args),
        Audit::Export(asking) => {
            let answer = Connection::of(asking)?.ask(Method::GET, "/v1/audit/export", &[], None)?;
            let written = std::io::stdout().write_all(&answer.body);
            written.map_err(|error| Failed::with(error.to_string()))
        }
        Audit::Verify(asking) => {
            let verdict = Connection::of(asking)?.json(Method::GET, "/v1/audit/verify", None)?;
            let text = |key: &str| verdict.get(key).map_or(String::new(), ToString::to_string);
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

fn list(args: &AuditList) -> Result<(), Failed> {
    let given = [("principal", &args.principal), ("action", &args.action), ("outcome", &args.outcome)];
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
    let answer = Connection::of(&args.asking)?.ask(Method::GET, "/v1/backup", &[], None)?;
    let io = |error: std::io::Error| Failed::with(format!("{label}: {error}"));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.to).map_err(io)?;
    file.write_all(&answer.body).and_then(|()| file.sync_all()).map_err(io)?;
    if args.asking.output == Format::Table {
        say(format_args!(
            "{label}: {} bytes. Secrets in it are sealed with control.key of the data folder: keep that too",
            answer.body.len()
        ));
    }
    Ok(())
}

pub(super) fn restore(args: &Restore) -> Result<(), Failed> {
    let loaded = file::load(&args.asking.file()).map_err(|refused| Failed::wrong(refused.to_string()))?;
    let admin = &loaded.config.admin;
    let io = |error: std::io::Error| Failed::with(format!("{}: {error}", admin.data.display()));
    std::fs::create_dir_all(&admin.data).map_err(io)?;
    let door = match Door::open(&admin.data) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => return Err(runs(&admin.data)),
        opened => opened.map_err(io)?,
    };
    let restored = replace(&admin.data, &args.from);
    door.close();
    restored
}

/// Why nothing is restored below a process that runs, and what to do.
fn runs(data: &Path) -> Failed {
    let lines = [
        format!("{}: an instance runs with it, and would write what it knows over what is restored", data.display()),
        "to restore: stop it (systemctl stop headworks), restore, start it again".to_owned(),
        "to undo changes without stopping it: headworks history, then headworks rollback REVISION".to_owned(),
    ];
    Failed { lines: lines.into(), status: 1 }
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
