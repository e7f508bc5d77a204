//! The audit trail: searched, exported, verified.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures_util::stream;
use headworks_store::Query;
use serde_json::{Map, Value, json};

use super::{Route, route, schema};
use crate::call::{Call, Reply};
use crate::plane::Plane;
use crate::problem::Problem;
use crate::standing::Standing;

/// Bytes of the trail that are read at once.
const PART: usize = 256 << 10;

pub(super) fn routes() -> Vec<Route> {
    let text = || json!({ "type": "string" });
    let time = || json!({ "type": "string", "examples": ["2026-01-31T12:00:00Z", "2026-01-31"] });
    vec![
        route(Method::GET, "/v1/audit", "ListAuditEntries", "audit", |call| Box::pin(list(call)))
            .about("Attempts, allowed and denied, the newest first.")
            .pages()
            .asks("before", json!({ "type": "integer", "minimum": 1 }), "Those below this number.")
            .asks("principal", text(), "Those of this principal.")
            .asks("action", text(), "Those of this action, as headworks:PutTargetGroup.")
            .asks("resource", text(), "Those about this resource, as hrn:headworks:target-group/web.")
            .asks("outcome", json!({ "enum": ["allowed", "denied"] }), "Those of which this became.")
            .asks("from", time(), "Those of this time (RFC 3339) or later.")
            .asks("to", time(), "Those of before this time (RFC 3339).")
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
        from: call.query.time("from")?,
        to: call.query.time("to")?,
    };
    let found = call.plane.blocking(move |kept| Ok(kept.store.audit(&query, limit)?)).await?;
    let next = found.last().map(|last| last.number).filter(|last| found.len() == limit && *last > 1);
    let mut answer = Map::new();
    answer.insert("entries".to_owned(), json!(found));
    answer.extend(next.map(|next| ("next".to_owned(), Value::from(next))));
    Ok(Reply::ok(&answer.into()))
}

/// One who reads the whole trail.
struct Reader {
    standing: Standing,
    plane: Arc<Plane>,
    /// The number of the last entry that was read.
    after: u64,
    /// The newest when it began: what comes later is not waited for.
    to: u64,
}

async fn export(call: Call) -> Result<Reply, Problem> {
    let newest = call.plane.blocking(|kept| Ok(kept.store.audit(&Query::default(), 1)?)).await?;
    let to = newest.first().map_or(0, |newest| newest.number);
    let reader = Reader { standing: Standing::of(&call), plane: call.plane.clone(), after: 0, to };
    // it may be long: no more of it is in memory than what is on its way
    let parts = stream::try_unfold(reader, |mut reader| async move {
        let part = reader.next().await?;
        Ok::<_, std::io::Error>(part.map(|part| (part, reader)))
    });
    Ok(Reply::text(StatusCode::OK, "application/jsonl", Body::from_stream(parts)))
}

impl Reader {
    /// Some lines; none when that was all. Whoever may read no more is cut off, which is not taken for the end.
    async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.after >= self.to {
            return Ok(None);
        }
        if !self.standing.holds() {
            return Err(std::io::Error::other("it may be read no more"));
        }
        let after = self.after;
        let found = self.plane.blocking(move |kept| Ok(kept.store.entries(after, PART)?)).await;
        let mut found = found.map_err(|problem| std::io::Error::other(problem.detail().to_owned()))?;
        found.retain(|linked| linked.number <= self.to);
        // what has left since it began would be missing in the middle, and be taken for a chain that was broken
        if after > 0 && found.first().is_none_or(|next| next.number != after + 1) {
            return Err(std::io::Error::other("entries that were to follow are kept no longer"));
        }
        let Some(last) = found.last() else { return Ok(None) };
        self.after = last.number;
        let mut lines = Vec::with_capacity(2 * PART);
        for linked in &found {
            serde_json::to_writer(&mut lines, linked)?;
            lines.push(b'\n');
        }
        Ok(Some(lines))
    }
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
