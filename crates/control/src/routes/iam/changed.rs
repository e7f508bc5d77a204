//! Changing identities by a call, or saying what would change.

use axum::http::StatusCode;
use headworks_iam::Directory;
use headworks_iam::seal::Sealer;

use super::super::resources::judged;
use crate::call::{Call, Reply};
use crate::change::{Outcome, Run};
use crate::identities::Named;
use crate::problem::Problem;

/// Changes identities: `reply` makes the answer of what `change` has brought, and has this status. Where it is only asked what would
/// change, that is the answer, and nothing that was made for it is told.
pub(super) async fn changed<T: Send + 'static>(
    call: &Call,
    status: StatusCode,
    change: impl FnOnce(&mut Directory, &Sealer) -> Result<(T, Vec<Named>), Problem>,
    reply: impl FnOnce(T) -> Reply,
) -> Result<Reply, Problem> {
    match call.run()? {
        Run::Dry => {
            let changes = call.plane.judge(|identity| call.asker.knows_identity(&call.plane, identity), change).await?;
            Ok(judged(&Outcome { changes, ..Outcome::default() }))
        }
        Run::Wet => {
            let mut entry = call.entry.clone();
            entry.status = status.as_u16();
            Ok(reply(call.plane.identities(entry, change).await?).noted())
        }
    }
}

/// The same with nothing to tell.
pub(super) async fn done(
    call: &Call,
    change: impl FnOnce(&mut Directory, &Sealer) -> Result<Vec<Named>, Problem>,
) -> Result<Reply, Problem> {
    let change = |directory: &mut Directory, sealer: &Sealer| Ok(((), change(directory, sealer)?));
    changed(call, StatusCode::NO_CONTENT, change, |()| Reply::nothing()).await
}
