//! HTTP/2 from clients (RFC 9113): one connection, whose streams each go the way of a request.
//!
//! [`receive`] takes frames in, [`session`] is what streams share and where answers wait for the socket. A stream is a
//! [`Client`] of its own, so that everything behind a request's head is the same for all versions.

mod closed;
mod content;
mod receive;
mod session;
mod state;
mod stream;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use headworks_message::h2::{self, Code, DEFAULT_WINDOW, GREATEST, Offer, PREFACE};
use headworks_message::request::HEAD_LIMIT;
use headworks_message::section::{self, FieldSection};
use headworks_message::{Framing, Version};

use self::receive::{FAREWELL, Receiver};
use self::session::Session;
use self::stream::Stream;
use super::codec::link::{Client, Stopped};
use super::connection::{Connection, Ending};
use super::lay_out;
use super::multiplexed::{CONCURRENT_STREAMS, CONNECTION_WINDOW, Leaving, NOTICE, REQUESTS, STREAM_WINDOW};
use crate::error::ProxyError;
use crate::runtime::pool::Scratch;

/// Time for a client to take a last word in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the client speaks HTTP/2 from the start: what it has sent begins with the preface (section 3.4).
pub(super) async fn is_spoken<C: Client>(connection: &mut Connection<C>) -> bool {
    connection.timer.arm(connection.slot.table().plan.header_timeout);
    loop {
        let data = connection.client.buffer.data();
        let length = data.len().min(PREFACE.len());
        if data.get(..length) != PREFACE.get(..length) {
            return false;
        }
        if length == PREFACE.len() {
            return true;
        }
        // a preface that breaks off is for the parser of HTTP/1.1 to judge
        if let Err(Stopped::Ended | Stopped::Failed | Stopped::TimedOut) =
            connection.client.fill(&connection.worker.pool, &mut connection.timer).await
        {
            return false;
        }
    }
}

/// Serves a client that speaks HTTP/2, until it is gone.
pub(crate) async fn serve<C: Client>(connection: &mut Connection<C>) {
    if !is_spoken(connection).await {
        return;
    }
    connection.client.buffer.consume(PREFACE.len(), &connection.worker.pool);
    let session = Session::new(connection.worker.clone(), connection.peer.clone(), connection.slot.clone());
    session.put(|out| {
        let offer = Offer {
            concurrent_streams: CONCURRENT_STREAMS,
            initial_window: STREAM_WINDOW,
            header_list: HEAD_LIMIT as u32,
        };
        offer.put(out);
        h2::put_window_update(out, 0, CONNECTION_WINDOW - DEFAULT_WINDOW);
    });
    let plan = session.slot.table().plan.clone();
    connection.timer.arm(plan.header_timeout);
    let mut conversation = Conversation {
        receiver: Receiver::new(session.clone()),
        session,
        idle_timeout: plan.idle_timeout,
        header_timeout: plan.header_timeout,
        leaving: Leaving::No,
        in_head: true,
        is_evicted: false,
        sent: 0,
        connection,
    };
    let ending = poll_fn(|cx| conversation.poll(cx)).await;
    conversation.session.end();
    conversation.connection.ending = ending;
}

/// What carries a connection's bytes, and says when it ends.
struct Conversation<'a, C> {
    connection: &'a mut Connection<C>,
    session: Rc<Session>,
    receiver: Receiver,
    idle_timeout: Duration,
    header_timeout: Duration,
    leaving: Leaving,
    /// A head has begun to come and is not whole.
    in_head: bool,
    /// The client has broken the rules, and has been told so: nothing is read any more.
    is_evicted: bool,
    /// Bytes that went out since the timer was looked at.
    sent: usize,
}

impl<C: Client> Conversation<'_, C> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        self.session.wait(cx);
        if !self.is_evicted && !self.read(cx) {
            return Poll::Ready(Ending::Plain);
        }
        let is_sent = match self.session.poll_flush(&mut self.connection.client.stream, cx) {
            Poll::Ready(Ok(sent)) => {
                self.sent += sent;
                true
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Ending::Plain),
            Poll::Pending => false,
        };
        if is_sent && (self.is_evicted || self.leaving == Leaving::Said && self.session.is_idle()) {
            // what the client still sends must not turn the farewell into a reset
            return Poll::Ready(Ending::Lingering);
        }
        self.look_around(cx)
    }

    /// Takes in what has come. False when nothing will come any more.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let Connection { client, worker, .. } = &mut *self.connection;
        loop {
            if !client.buffer.is_empty() {
                match self.receiver.take(client.buffer.data()) {
                    Ok(taken) => client.buffer.consume(taken, &worker.pool),
                    Err(code) => {
                        client.buffer.release(&worker.pool);
                        self.evict(code);
                        return true;
                    }
                }
            }
            match client.poll_fill(&worker.pool, cx) {
                Poll::Ready(Ok(0) | Err(_)) => return false,
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
        }
        let in_head = self.receiver.is_in_head(client.buffer.data());
        if in_head != self.in_head {
            self.in_head = in_head;
            self.connection.timer.arm(if in_head { self.header_timeout } else { self.idle_timeout });
        }
        true
    }

    /// Whether the connection should end, for reasons that are not in what has come.
    fn look_around(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let Connection { timer, worker, slot, peer, .. } = &mut *self.connection;
        if worker.is_stopping() {
            return Poll::Ready(Ending::Plain);
        }
        let mut expired = timer.poll_expired(cx);
        if expired && (self.is_evicted || self.in_head) {
            if !self.is_evicted {
                slot.table().plan.guard.offended(&peer.admission);
            }
            return Poll::Ready(Ending::Plain);
        }
        let is_last = self.receiver.requests >= REQUESTS;
        let goes = worker.is_draining() || slot.is_closing() || worker.clock.tick() >= peer.expires || is_last;
        let said = self.receiver.said;
        match self.leaving {
            Leaving::No | Leaving::Noticed if said.goaway => return self.leave(Leaving::Said, cx),
            Leaving::No if goes => return self.leave(Leaving::Noticed, cx),
            Leaving::Noticed if expired || said.pong => return self.leave(Leaving::Said, cx),
            _ => {}
        }
        let is_idle = self.session.is_idle();
        while expired {
            // a stream has deadlines of its own; when it is over, its last bytes may still be on their way
            let moved = std::mem::take(&mut self.sent) > 0;
            if is_idle && !moved {
                return match self.leaving {
                    Leaving::No => self.leave(Leaving::Noticed, cx),
                    _ => Poll::Ready(Ending::Plain),
                };
            }
            self.connection.timer.arm(self.idle_timeout);
            expired = self.connection.timer.poll_expired(cx);
        }
        Poll::Pending
    }

    /// Tells the client which requests are still taken.
    fn leave(&mut self, how_far: Leaving, cx: &mut Context<'_>) -> Poll<Ending> {
        self.leaving = how_far;
        if how_far == Leaving::Noticed {
            self.session.put(|out| {
                h2::put_goaway(out, GREATEST, Code::NoError);
                h2::put_ping(out, false, FAREWELL);
            });
            self.connection.timer.arm(NOTICE.min(self.idle_timeout));
        } else {
            self.receiver.bar = self.receiver.last;
            self.session.put(|out| h2::put_goaway(out, self.receiver.last, Code::NoError));
            self.connection.timer.arm(PATIENCE.min(self.idle_timeout));
        }
        self.poll(cx)
    }

    /// Ends the connection for the client's error (section 5.4.1).
    fn evict(&mut self, code: Code) {
        self.is_evicted = true;
        let Connection { timer, slot, peer, .. } = &mut *self.connection;
        if code == Code::EnhanceYourCalm {
            slot.table().plan.guard.offended(&peer.admission);
        }
        self.session.put(|out| h2::put_goaway(out, self.receiver.last, code));
        timer.arm(PATIENCE.min(self.idle_timeout));
    }
}

/// A request begins, with a head, or with one of which is known only that it is too long.
///
/// # Errors
/// When it is none: how its stream ends.
fn begin(session: &Rc<Session>, id: u32, ends: bool, section: Option<&FieldSection>) -> Result<(), Code> {
    let pseudo = section.map(section::request).transpose().map_err(|_| Code::ProtocolError)?;
    let state = session.open(id, ends).ok_or(Code::RefusedStream)?;
    let stream = Stream::new(session.clone(), state);
    let Session { worker, peer, slot, .. } = &**session;
    let mut connection = Connection::for_stream(stream, peer.clone(), slot.clone(), worker.clone());
    let mut scratch = worker.pool.scratch();
    let head = match section.zip(pseudo) {
        Some((section, pseudo)) => {
            lay_out::section(&mut connection, section, &pseudo, ends, Version::Http2, &mut scratch)
        }
        None => Err(lay_out::too_large(&mut connection, Version::Http2, &mut scratch)),
    };
    if let Framing::Length(length) = scratch.request.framing {
        connection.client.stream.state.content.borrow_mut().promise(length);
    }
    tokio::task::spawn_local(exchange(connection, scratch, head));
    Ok(())
}

/// One request on a stream of its own.
async fn exchange(mut connection: Box<Connection<Stream>>, scratch: Box<Scratch>, head: Result<(), ProxyError>) {
    if connection.client.stream.state.is_broken() {
        // given up before anybody looked at it
        return connection.worker.pool.give_scratch(scratch);
    }
    super::handle(&mut connection, scratch, head).await;
    let cut = connection.ending == Ending::Reset;
    connection.client.stream.conclude(cut);
}
