//! Identities: which credentials there are, and what they were used for.

use std::io::Write;

use hyper::Method;
use serde_json::Value;

use super::command::Iam;
use super::connect::encoded;
use super::output::{row, show};
use super::{Connection, Failed};

pub(super) fn main(command: &Iam) -> Result<(), Failed> {
    match command {
        Iam::CredentialReport(asking) => {
            let report = Connection::of(asking)?.ask(Method::GET, "/v1/iam/credential-report", &[], None)?;
            std::io::stdout().write_all(&report.body).map_err(|error| Failed::with(error.to_string()))
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
