//! Identities: which credentials there are, and what they were used for.

use headworks_iam::percent::encoded;
use std::io::Write;

use hyper::Method;
use serde_json::{Map, Value};

use super::command::Iam;
use super::output::{Format, row, show};
use super::{Connection, Failed};

pub(super) fn main(command: &Iam) -> Result<(), Failed> {
    match command {
        Iam::CredentialReport(asking) => {
            let report = Connection::of(asking)?.ask(Method::GET, "/v1/iam/credential-report", &[], None)?;
            std::io::stdout().write_all(&report.body).map_err(|error| Failed::with(error.to_string()))
        }
        Iam::Session { role, session_name, code, duration, asking } => {
            let mut body = Map::new();
            body.extend(code.as_ref().map(|code| ("code".to_owned(), code.as_str().into())));
            body.extend(duration.map(|seconds| ("duration_seconds".to_owned(), seconds.into())));
            let path = match role {
                None => "/v1/iam/session-token".to_owned(),
                Some(role) => {
                    body.insert("session_name".to_owned(), session_name.as_str().into());
                    format!("/v1/iam/roles/{}/sessions", encoded(role))
                }
            };
            let given = Connection::of(asking)?.json(Method::POST, &path, Some(&body.into()))?;
            if asking.output != Format::Table {
                show(asking.output, &given, Vec::new);
                return Ok(());
            }
            let lines = [
                ("HEADWORKS_ACCESS_KEY_ID", "access_key_id"),
                ("HEADWORKS_SECRET_ACCESS_KEY", "secret_access_key"),
                ("HEADWORKS_SESSION_TOKEN", "session_token"),
            ]
            .map(|(variable, key)| {
                format!("export {variable}={}\n", given.get(key).and_then(Value::as_str).unwrap_or_default())
            });
            std::io::stdout().write_all(lines.concat().as_bytes()).map_err(|error| Failed::with(error.to_string()))
        }
        Iam::LastAccessed { identity, asking } => {
            let (kind, name) = identity.split_once('/').unwrap_or(("user", identity));
            if !["user", "role"].contains(&kind) {
                return Err(Failed::wrong(format!("{identity}: expected user/NAME or role/NAME")));
            }
            let path = format!("/v1/iam/{kind}s/{}/last-accessed", encoded(name));
            let accessed = Connection::of(asking)?.json(Method::GET, &path, None)?;
            show(asking.output, &accessed, || {
                let mut rows = vec![row(["ACTION", "AT", "FROM"])];
                rows.extend(accessed.get("actions").and_then(Value::as_array).into_iter().flatten().map(|one| {
                    let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or("-");
                    row([text("action"), text("at"), text("source")])
                }));
                rows
            });
            Ok(())
        }
    }
}
