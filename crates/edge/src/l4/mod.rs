//! The way of a flow: a client's connection whose bytes are carried to a target and back as they are. Read this first:
//! [`serve`] lists the stages in the order a flow meets them; each is the sibling module of that name.
//!
//! One task a flow, no buffer while nothing moves, one target for its life (N1). What happens to it is told once, by
//! [`Flow::finish`].

mod connect;
mod copy;
mod end;
pub(crate) mod first_words;
mod flow;
mod hello;
mod route;
mod source;
mod taker;
pub(crate) mod udp;

use std::rc::Rc;

use tokio_rustls::server::TlsStream;

use self::connect::Connected;
use self::end::{End, Target};
use self::flow::{Flow, Spoken};
use self::route::Transport;
use crate::compile::plan::FlowProtocol;
use crate::l7::codec::buffer::Buffer;
use crate::listen::arrival::Arrival;
use crate::listen::slot::ListenerSlot;
use crate::observe::flow::Ended;
use crate::runtime::socket::Socket;
use crate::runtime::worker::Worker;
use crate::tls::session::Session;

/// Carries one client connection until it ends.
pub(crate) async fn serve(
    mut client: Socket,
    arrival: Arrival,
    slot: Rc<ListenerSlot>,
    worker: Rc<Worker>,
    protocol: FlowProtocol,
) {
    let mut flow = Flow::open(arrival, slot, worker);
    let ended = match protocol {
        FlowProtocol::Tcp => carry(&mut flow, client, Buffer::default(), Spoken::Nothing).await,
        FlowProtocol::TlsPassthrough => match Box::pin(hello::read(&mut flow, &mut client)).await {
            Ok((hello, opening)) => carry(&mut flow, client, opening, Spoken::Hello(hello)).await,
            Err(ended) => ended,
        },
    };
    flow.finish(ended);
}

/// The same for a client whose TLS ends here: its handshake is over.
pub(crate) async fn serve_secured(
    client: TlsStream<Socket>,
    arrival: Arrival,
    slot: Rc<ListenerSlot>,
    worker: Rc<Worker>,
    session: Box<Session>,
) {
    let mut flow = Flow::open(arrival, slot, worker);
    let protocol = client.get_ref().1.alpn_protocol().map(Into::into);
    let ended = carry(&mut flow, client, Buffer::default(), Spoken::Tls { session, protocol }).await;
    flow.finish(ended);
}

/// The stages behind what the client has said of itself. `opening` has been read from it already and is the target's.
async fn carry<C: End>(flow: &mut Flow, client: C, opening: Buffer, spoken: Spoken) -> Ended {
    flow.remember(&spoken);
    let connected = match route::find(flow, &spoken, Transport::Tcp) {
        Ok(route) => connect::run(flow, &route, &spoken).await,
        Err(ended) => Err(ended),
    };
    // a flow may be long, and this has served its purpose
    drop(spoken);
    match connected {
        Ok(Connected { end: Target::Plain(target), through }) => {
            copy::run(flow, client, target, opening, &through).await
        }
        Ok(Connected { end: Target::Tls(target), through }) => {
            Box::pin(copy::run(flow, client, target, opening, &through)).await
        }
        Err(ended) => {
            // a plain end could be taken for an empty answer
            client.socket().reset_on_close();
            ended
        }
    }
}
