//! The whole state: saved while the program runs, and brought back while it does.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures_util::stream;
use headworks_store::StoreError;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::batch::{Said, permitted, told};
use super::revisions::steps_to;
use super::{Route, route};
use crate::call::{Call, Reply};
use crate::change::Run;
use crate::problem::Problem;
use crate::restore::Saved;
use crate::upload::Aside;

/// The media type of what is saved. It is taken as any bytes, by which name tools know how to send a file.
pub(crate) const MEDIA: &str = "application/vnd.sqlite3";

/// Bytes of a backup that are read at once.
const PART: usize = 256 << 10;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/backup", "CreateBackup", "backup", |call| Box::pin(backup(call)))
            .about("The whole state as a database of SQLite, as it is now. Secrets in it are sealed: keep the key file too.")
            .answers(200, json!({ "type": "string", "format": "binary" })),
        route(Method::GET, "/v1/restore", "GetRevision", "revision/*", |call| Box::pin(newest(call)))
            .about(
                "The newest revision, with the tag of all that a backup brings back, identities included: `If-Match` of a restore \
                 is held against it. A backup, and what a restore is answered with, have it too.",
            )
            .answers(200, json!({ "type": "object", "properties": { "revision": { "type": "integer" } }, "required": ["revision"] })),
        route(Method::POST, "/v1/restore", "RestoreBackup", "backup", |call| Box::pin(restore(call)))
            .about(
                "Makes all that comes by the API, and all identities but root, what they were when a backup was made, as one \
                 change. Revisions and the audit trail go on. Each resource is permitted as if it came alone; whoever may do \
                 this decides who may do what. Where calls are signed, `x-amz-content-sha256` says the hash of the body.",
            )
            .changes()
            .takes_file("application/octet-stream")
            .answers(200, json!({ "type": "object" })),
    ]
}

async fn newest(call: Call) -> Result<Reply, Problem> {
    let tag = call.plane.whole_tag().await?;
    let revision = call.plane.desired().revision();
    call.represented(&tag, || Reply::ok(&json!({ "revision": revision })))
}

async fn backup(call: Call) -> Result<Reply, Problem> {
    // of what was there before: what changes meanwhile may be in it, and is not what the tag stands for
    let tag = call.plane.whole_tag().await?;
    let saved = call.plane.blocking(|kept| {
        let aside = Aside::new(&kept.folder, "backup")?;
        kept.store.backup(aside.path())?;
        let file = std::fs::File::open(aside.path()).map_err(StoreError::from)?;
        let length = file.metadata().map_err(StoreError::from)?.len();
        Ok((aside, tokio::fs::File::from_std(file), length))
    });
    let (aside, file, length) = saved.await?;
    // it may be long: no more of it is in memory than what is on its way
    let parts = stream::try_unfold((aside, file), |(aside, mut file)| async {
        let mut part = Vec::with_capacity(PART);
        let read = (&mut file).take(PART as u64).read_to_end(&mut part).await?;
        Ok::<_, std::io::Error>((read > 0).then_some((part, (aside, file))))
    });
    let reply = Reply::text(StatusCode::OK, MEDIA, Body::from_stream(parts));
    Ok(reply.with("content-length", &length.to_string()).with("etag", &tag))
}

async fn restore(mut call: Call) -> Result<Reply, Problem> {
    let upload =
        call.upload.take().ok_or_else(|| Problem::bad_request("expected a file that was saved by /v1/backup"))?;
    let file = upload.save(&call.plane.kept()?.folder, "restore").await?;
    let Saved { resources, directory } = call.plane.blocking(move |kept| Saved::read(file.path(), kept)).await?;
    let steps = steps_to(&resources, &call.plane.desired());
    let change = permitted(&call, steps, Said::Before)?;
    let run = change.run;
    let (outcome, tag) = call.plane.restore(change, directory).await?;
    // identities alone are written down with what was done as well; what was only judged was not done
    let is_noted = run == Run::Wet && !outcome.changes.is_empty();
    Ok(told(&call, run, &outcome).noted_if(is_noted).with("etag", &tag))
}
