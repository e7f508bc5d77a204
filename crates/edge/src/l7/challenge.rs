//! The answer of `http-01` to an authority that asks for a token, before any rule is asked (stage 5).

use std::sync::Arc;

use headworks_message::RequestView;
use headworks_model::action::Scheme;

use super::codec::link::Client;
use super::connection::Connection;
use crate::listen::slot::ListenerTable;
use crate::runtime::pool::Scratch;

/// What the request is answered with, if it asks for a token that is pending. Listeners of `https` are not asked by
/// authorities, and answer as their rules say.
#[inline]
pub(crate) fn pending<C: Client>(
    connection: &Connection<C>,
    table: &ListenerTable,
    scratch: &Scratch,
) -> Option<Arc<str>> {
    if table.plan.scheme != Scheme::Http {
        return None;
    }
    let view = RequestView { bytes: connection.client.buffer.data(), head: &scratch.request };
    let answer = table.tables.plan.challenges.answer(view.path())?;
    matches!(view.method(), b"GET" | b"HEAD").then_some(answer)
}
