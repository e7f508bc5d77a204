//! The way of a request. Read this first: [`serve`] is a connection's life, [`answer`] lists the stages of a request in
//! the order it meets them; each is the sibling module of that name.

mod challenge;
pub(crate) mod codec;
pub(crate) mod connection;
pub(crate) mod forward;
pub(crate) mod guard;
pub(crate) mod h2;
pub(crate) mod h3;
mod inject;
mod lay_out;
pub(crate) mod multiplexed;
mod read;
pub(crate) mod respond;
pub(crate) mod watch;
mod why;

use self::codec::link::Client;
use self::connection::{After, Connection};
use crate::compile::plan::ActionPlan;
use crate::error::{Kind, ProxyError};
use crate::runtime::pool::Scratch;
use crate::runtime::socket::Socket;

/// Serves one client connection until it ends.
pub(crate) async fn serve<C: Client>(mut connection: Box<Connection<C>>) {
    let mut begins = connection.request_begins().await;
    if begins && h2::is_spoken(&mut connection).await {
        // in a box: connections of HTTP/1.1 need no room for it
        return Box::pin(serve_http2(connection)).await;
    }
    while begins {
        let mut scratch = connection.worker.pool.scratch();
        let head = read::head(&mut connection, &mut scratch).await;
        let after = handle(&mut connection, scratch, head).await;
        begins = after == After::KeepOpen && connection.request_begins().await;
    }
    connection.close().await;
}

/// Answers a client that speaks plain HTTP where TLS is spoken.
pub(crate) async fn refuse_plain(mut connection: Box<Connection<Socket>>) {
    let scratch = connection.worker.pool.scratch();
    handle(&mut connection, scratch, Err(Kind::PlainHttp.into())).await;
    connection.close().await;
}

/// Serves a client that has agreed on HTTP/2 in its handshake.
pub(crate) async fn serve_http2<C: Client>(mut connection: Box<Connection<C>>) {
    h2::serve(&mut connection).await;
    connection.close().await;
}

/// One request whose head has been read, or could not be: what comes of it, told once.
async fn handle<C: Client>(
    connection: &mut Connection<C>,
    mut scratch: Box<Scratch>,
    head: Result<(), ProxyError>,
) -> After {
    let answered = match head {
        Ok(()) => answer(connection, &mut scratch).await,
        Err(error) => Err(error),
    };
    let after = match answered {
        Ok(after) => after,
        Err(error) => respond::error(connection, &mut scratch, error).await,
    };
    connection.finish_record(&mut scratch);
    connection.worker.pool.give_scratch(scratch);
    after
}

/// The stages behind a request's head, in order.
async fn answer<C: Client>(connection: &mut Connection<C>, scratch: &mut Scratch) -> Result<After, ProxyError> {
    let table = connection.slot.table();
    guard::admit(connection, &table, scratch)?;
    if let Some(answer) = challenge::pending(connection, &table, scratch) {
        return Ok(respond::challenge(connection, &answer, scratch).await);
    }
    if scratch.request.asks_why {
        why::note(connection, &table, scratch);
    }
    let rule = connection.route(&table, scratch);
    guard::spare(connection, rule)?;
    if let Some(injection) = &rule.injection {
        Box::pin(inject::faults(connection, injection, scratch)).await?;
    }
    match &rule.action {
        ActionPlan::Forward(forward) => forward::run(connection, &table, rule, forward, scratch).await,
        ActionPlan::Redirect(redirect) => respond::redirect(connection, &table, redirect, scratch).await,
        ActionPlan::Fixed(fixed) => respond::fixed(connection, fixed, scratch).await,
    }
}
