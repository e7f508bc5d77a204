//! Requests over HTTP/2, many at once on each connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::{Error, Reason};
use http::Request;
use tokio::sync::Mutex;

use super::{Load, Outcome, Teller, Told, connect};

/// Streams that share a connection.
const STREAMS: usize = 32;
/// How often a client brings again what was turned away unseen.
const BROUGHT: u32 = 3;

/// All streams, until nothing more is due.
pub(super) async fn all<T: FnMut(Told)>(teller: &Teller<'_, T>, request: &Request<()>) {
    let mut places = Vec::new();
    let mut shared = Rc::new(Shared::default());
    for n in 0..teller.load.connections as usize {
        if n % STREAMS == 0 {
            shared = Rc::new(Shared::default());
        }
        let shared = shared.clone();
        places.push(async move {
            while let Some(due) = teller.next().await {
                teller.settle(due, ask(&shared, teller.load, request)).await;
            }
        });
    }
    futures_util::future::join_all(places).await;
}

/// A connection, opened again when it takes no more.
#[derive(Default)]
struct Shared {
    sender: RefCell<Option<SendRequest<Bytes>>>,
    /// Which of those that were opened one after the other it is.
    number: Cell<u32>,
    opening: Mutex<()>,
}

impl Shared {
    /// One that takes a request, and its number.
    async fn ready(&self, load: &Load) -> Option<(SendRequest<Bytes>, u32)> {
        let open = self.sender.borrow().clone();
        if let Some(sender) = open {
            let number = self.number.get();
            match sender.ready().await {
                Ok(sender) => return Some((sender, number)),
                Err(_) => self.leave(number),
            }
        }
        let _alone = self.opening.lock().await;
        let opened = self.sender.borrow().clone();
        let sender = match opened {
            Some(sender) => sender,
            None => {
                let (sender, connection) = client::handshake(connect(load).await.ok()?).await.ok()?;
                tokio::task::spawn_local(connection);
                self.number.set(self.number.get() + 1);
                *self.sender.borrow_mut() = Some(sender.clone());
                sender
            }
        };
        let number = self.number.get();
        Some((sender.ready().await.ok()?, number))
    }

    /// The connection of this number takes no more.
    fn leave(&self, number: u32) {
        if self.number.get() == number {
            *self.sender.borrow_mut() = None;
        }
    }
}

async fn ask(shared: &Shared, load: &Load, request: &Request<()>) -> Outcome {
    let mut brought = 0;
    loop {
        let Some((sender, number)) = shared.ready(load).await else { return Outcome::Refused };
        match exchange(sender, request).await {
            Ok(outcome) => return outcome,
            Err(error) => {
                if !error.is_reset() {
                    shared.leave(number);
                }
                // what is not looked at any client brings again (RFC 9113 section 8.7)
                brought += 1;
                if !is_unprocessed(&error) || brought > BROUGHT {
                    return Outcome::Reset;
                }
            }
        }
    }
}

/// Whether the peer says that it has not looked at the request: by its stream, or by a GOAWAY that leaves it out.
fn is_unprocessed(error: &Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

/// One request; an error before its answer began.
async fn exchange(mut sender: SendRequest<Bytes>, request: &Request<()>) -> Result<Outcome, Error> {
    let (answer, _) = sender.send_request(request.clone(), true)?;
    let (head, mut body) = answer.await?.into_parts();
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else { return Ok(Outcome::CutOff) };
        let _ = body.flow_control().release_capacity(piece.len());
    }
    Ok(Outcome::Answered(head.status.as_u16()))
}
