//! The audit trail: searched, exported, verified.

use axum::http::{Method, StatusCode};
use headworks_store::Query;
use serde_json::{Map, Value, json};

use super::{Route, route, schema};
use crate::call::{Call, Reply};
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let text = || json!({ "type": "string" });
    vec![
        route(Method::GET, "/v1/audit", "ListAuditEntries", "audit", |call| Box::pin(list(call)))
            .about("Attempts, allowed and denied, the newest first.")
            .pages()
            .asks("before", json!({ "type": "integer", "minimum": 1 }), "Those below this number.")
            .asks("principal", text(), "Those of this principal.")
            .asks("action", text(), "Those of this action, as headworks:PutTargetGroup.")
            .asks("resource", text(), "Those about this resource, as hrn:headworks:target-group/web.")
            .asks("outcome", json!({ "enum": ["allowed", "denied"] }), "Those of which this became.")
            .answers(
                200,
                json!({ "type": "object", "properties": {
                "entries": { "type": "array", "items": schema("AuditEntry") },
                "next": { "type": "integer", "description": "Given as `before`, the page that follows." },
            }, "required": ["entries"] }),
            ),
        route(Method::GET, "/v1/audit/export", "ExportAudit", "audit", |call| Box::pin(export(call)))
            .about("The whole trail, the oldest first, as lines of JSON.")
            .answers(200, json!({ "type": "string" })),
        route(Method::GET, "/v1/audit/verify", "VerifyAudit", "audit", |call| Box::pin(verify(call)))
            .about("Whether the chain holds from its beginning to its end, and the hash of its end.")
            .answers(200, json!({ "type": "object" })),
    ]
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let limit = call.query.number("limit", 1, 500)?.unwrap_or(100);
    let limit = usize::try_from(limit).unwrap_or(100);
    let get = |name: &str| call.query.get(name).map(str::to_owned);
    if get("outcome").is_some_and(|outcome| !["allowed", "denied"].contains(&outcome.as_str())) {
        return Err(Problem::invalid("?outcome", "is neither allowed nor denied"));
    }
    let query = Query {
        before: call.query.number("before", 1, u64::MAX >> 1)?,
        principal: get("principal"),
        action: get("action"),
        resource: get("resource"),
        outcome: get("outcome"),
    };
    let found = call.plane.blocking(move |kept| Ok(kept.store.audit(&query, limit)?)).await?;
    let next = found.last().map(|last| last.number).filter(|last| found.len() == limit && *last > 1);
    let mut answer = Map::new();
    answer.insert("entries".to_owned(), json!(found));
    answer.extend(next.map(|next| ("next".to_owned(), Value::from(next))));
    Ok(Reply::ok(&answer.into()))
}

async fn export(call: Call) -> Result<Reply, Problem> {
    let lines = call.plane.blocking(|kept| {
        let mut lines = Vec::new();
        kept.store.export(&mut |linked| {
            serde_json::to_writer(&mut lines, linked)?;
            lines.push(b'\n');
            Ok(())
        })?;
        Ok(lines)
    });
    Ok(Reply::text(StatusCode::OK, "application/jsonl", lines.await?))
}

async fn verify(call: Call) -> Result<Reply, Problem> {
    let verdict = call.plane.blocking(|kept| Ok(kept.store.verify()?)).await?;
    Ok(Reply::ok(&match verdict {
        Ok(verified) => {
            let headworks_store::Verified { from, entries, head } = verified;
            json!({ "intact": true, "from": from, "entries": entries, "head": head })
        }
        Err(broken) => json!({ "intact": false, "entry": broken.number, "what": broken.what }),
    }))
}
