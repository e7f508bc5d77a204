//! HTTP/3 from clients (RFC 9114): one QUIC connection, whose streams each go the way of a request.
//!
//! QUIC is the `quinn` crate's; frames and fields are ours. A stream is a [`Client`](super::codec::link::Client) of its own,
//! so that everything behind a request's head is the same for all versions.

mod control;
mod frames;
mod outbox;
mod request;
mod stream;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use headworks_message::h3::{self, Code, INTEGER_MAX, Settings};
use headworks_message::request::HEAD_LIMIT;
use headworks_message::section::{self, FieldSection};
use headworks_message::{Framing, Version};
use quinn::{RecvStream, SendStream};

use self::control::Critical;
use self::frames::{Fault, Frames, number};
use self::outbox::Outbox;
use self::request::{Head, Incoming};
use self::stream::Stream;
use super::connection::{Connection, Ending, Open, Peer};
use super::lay_out;
use super::multiplexed::{Allowance, Leaving, NOTICE, REQUESTS};
use crate::error::ProxyError;
use crate::listen::slot::ListenerSlot;
use crate::runtime::deadline::Timer;
use crate::runtime::pool::Scratch;
use crate::runtime::worker::Worker;

/// What the streams of a connection share.
pub(super) struct Shared {
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    slot: Rc<ListenerSlot>,
    quic: quinn::Connection,
    critical: Critical,
    /// The longest field section that the client takes.
    section_limit: Cell<u64>,
    /// Requests given up, streams and frames that nobody knows.
    allowance: Allowance,
    /// Once it has begun, streams wait until what they said has arrived.
    leaving: Cell<Leaving>,
    /// Streams that are being answered.
    open: Cell<u32>,
    /// Woken when the last of them ends, if that is waited for.
    waiting: RefCell<Option<Waker>>,
}

impl Shared {
    /// Ends the connection for the client's error.
    fn evict(&self, code: Code) {
        self.quic.close(number(code), b"");
    }

    /// The client has done something that leads nowhere.
    fn spend(&self) {
        if !self.allowance.spend(self.worker.clock.tick()) {
            self.slot.table().plan.guard.offended(&self.peer.admission);
            self.evict(Code::ExcessiveLoad);
        }
    }

    /// The client has asked for something and taken the answer.
    fn earn(&self) {
        self.allowance.earn(1);
    }
}

/// What the connection has to say.
enum Event {
    Request(SendStream, RecvStream),
    /// It should end; the streams that are open may finish.
    Leave,
    /// It is over.
    Over,
}

/// Serves a client that speaks HTTP/3, until it is gone.
pub(crate) async fn serve(
    quic: quinn::Connection,
    peer: Rc<Peer>,
    slot: Rc<ListenerSlot>,
    worker: Rc<Worker>,
    _open: Open,
) {
    let shared = Rc::new(Shared {
        worker: worker.clone(),
        peer: peer.clone(),
        slot: slot.clone(),
        quic: quic.clone(),
        critical: Critical::default(),
        section_limit: Cell::new(u64::MAX),
        allowance: Allowance::of_futile_requests(worker.clock.tick()),
        leaving: Cell::new(Leaving::No),
        open: Cell::new(0),
        waiting: RefCell::default(),
    });
    let plan = slot.table().plan.clone();
    let mut timer = Timer::new(&worker);
    timer.arm(plan.header_timeout);
    let Some(mut control) = begin(&quic, &worker, &mut timer).await else {
        return shared.evict(Code::StreamCreationError);
    };
    tokio::task::spawn_local(read_unidirectional(shared.clone()));
    let (mut requests, mut next) = (0, 0);
    timer.arm(plan.idle_timeout);
    loop {
        let mut accepting = pin!(quic.accept_bi());
        let leaving = shared.leaving.get();
        let event = poll_fn(|cx| {
            match accepting.as_mut().poll(cx) {
                Poll::Ready(Ok((send, recv))) => return Poll::Ready(Event::Request(send, recv)),
                Poll::Ready(Err(_)) => return Poll::Ready(Event::Over),
                Poll::Pending => {}
            }
            // what could not be said at once; an error is the connection's, and seen above
            let _ = control.poll_flush(cx);
            if worker.is_stopping() {
                return Poll::Ready(Event::Over);
            }
            let goes = worker.is_draining()
                || slot.has_left_http3()
                || worker.clock.tick() >= peer.expires
                || requests >= REQUESTS;
            if goes && leaving == Leaving::No {
                return Poll::Ready(Event::Leave);
            }
            let is_idle = shared.open.get() == 0;
            while timer.poll_expired(cx) {
                match leaving {
                    Leaving::No if is_idle => return Poll::Ready(Event::Leave),
                    Leaving::Noticed => return Poll::Ready(Event::Leave),
                    // a stream has deadlines of its own
                    _ => timer.arm(plan.idle_timeout),
                }
            }
            if leaving == Leaving::Said {
                if is_idle {
                    return Poll::Ready(Event::Over);
                }
                shared.waiting.replace(Some(cx.waker().clone()));
            }
            Poll::Pending
        })
        .await;
        match event {
            Event::Request(send, recv) => {
                let id = u64::from(send.id());
                if leaving == Leaving::Said && id >= next {
                    reject(send, recv);
                    continue;
                }
                next = next.max(id + 4);
                if leaving == Leaving::No {
                    timer.arm(plan.idle_timeout);
                }
                requests += 1;
                let place = Place::take(&shared);
                tokio::task::spawn_local(exchange(place, send, recv, peer.clone(), slot.clone(), worker.clone()));
            }
            Event::Leave if leaving == Leaving::No => {
                leave(&shared, Leaving::Noticed, &mut control, INTEGER_MAX - 3);
                timer.arm(NOTICE);
            }
            Event::Leave => {
                leave(&shared, Leaving::Said, &mut control, next);
                timer.arm(plan.idle_timeout);
            }
            Event::Over => break,
        }
    }
    quic.close(number(Code::NoError), b"");
}

/// Opens the control stream and says the settings. None when the client does not let it be opened.
async fn begin(quic: &quinn::Connection, worker: &Worker, timer: &mut Timer) -> Option<Outbox> {
    let mut opening = pin!(quic.open_uni());
    let opened = poll_fn(|cx| match opening.as_mut().poll(cx) {
        Poll::Ready(opened) => Poll::Ready(opened.ok()),
        Poll::Pending if timer.poll_expired(cx) || worker.is_stopping() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let mut control = Outbox::new(opened.await?);
    let settings = Settings { max_field_section_size: Some(HEAD_LIMIT as u64), enable_connect_protocol: true };
    control.put(|out| h3::put_integer(out, h3::stream::CONTROL)).ok()?;
    control.put(|out| settings.put(out)).ok()?;
    Some(control)
}

/// Tells the client which requests are still taken: those on streams below `first_refused`.
fn leave(shared: &Shared, how_far: Leaving, control: &mut Outbox, first_refused: u64) {
    shared.leaving.set(how_far);
    // a client that has closed its side of it is on its way out
    let _ = control.put(|out| h3::put_goaway(out, first_refused));
}

/// A request that came too late; the client may ask again elsewhere (section 4.1.1).
fn reject(mut send: SendStream, mut recv: RecvStream) {
    let _ = send.reset(number(Code::RequestRejected));
    let _ = recv.stop(number(Code::RequestRejected));
}

/// Takes in the client's unidirectional streams until the connection ends. QUIC bounds how many there are at once.
async fn read_unidirectional(shared: Rc<Shared>) {
    while let Ok(stream) = shared.quic.accept_uni().await {
        tokio::task::spawn_local(control::run(Frames::new(stream), shared.clone()));
    }
}

/// A stream that is being answered.
struct Place(Rc<Shared>);

impl Place {
    fn take(shared: &Rc<Shared>) -> Place {
        shared.open.set(shared.open.get() + 1);
        Place(shared.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        if self.0.open.get() == 0
            && let Some(waker) = self.0.waiting.take()
        {
            waker.wake();
        }
    }
}

/// One request on a stream of its own.
async fn exchange(
    place: Place,
    send: SendStream,
    recv: RecvStream,
    peer: Rc<Peer>,
    slot: Rc<ListenerSlot>,
    worker: Rc<Worker>,
) {
    let shared = &place.0;
    let mut frames = Frames::new(recv);
    let mut section = worker.pool.section();
    let read = read_head(&mut frames, &mut section, &slot, &worker).await;
    let stream = Stream::new(shared.clone(), Incoming::new(frames), send);
    let mut connection = Connection::for_stream(stream, peer, slot, worker);
    let mut scratch = connection.worker.pool.scratch();
    let laid_out = match read {
        Ok(head) => lay_out(&mut connection, head, &section, &mut scratch),
        Err(fault) => Err(fault),
    };
    connection.worker.pool.give_section(section);
    let head = match laid_out {
        Ok(head) => head,
        Err(fault) => {
            connection.worker.pool.give_scratch(scratch);
            shared.spend();
            return connection.client.stream.refuse(fault);
        }
    };
    super::handle(&mut connection, scratch, head).await;
    conclude(&mut connection, shared).await;
}

/// Reads the head of a request in the time that a listener gives it.
async fn read_head(
    frames: &mut Frames,
    section: &mut FieldSection,
    slot: &ListenerSlot,
    worker: &Rc<Worker>,
) -> Result<Head, Fault> {
    let mut reading = pin!(request::head(frames, section));
    let mut timer = None;
    poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(read) = reading.as_mut().poll(cx) {
            return Poll::Ready(read);
        }
        // most heads have come whole when their stream is seen
        let timer = timer.get_or_insert_with(|| {
            let mut timer = Timer::new(worker);
            timer.arm(slot.table().plan.header_timeout);
            timer
        });
        if timer.poll_expired(cx) || worker.is_stopping() {
            return Poll::Ready(Err(Fault::Stream(Code::RequestIncomplete)));
        }
        Poll::Pending
    })
    .await
}

/// Lays the head out as every other head. Whether it can be answered; a request that cannot even be that is a fault.
fn lay_out(
    connection: &mut Connection<Stream>,
    head: Head,
    section: &FieldSection,
    scratch: &mut Scratch,
) -> Result<Result<(), ProxyError>, Fault> {
    let Head::Whole { bodiless } = head else {
        return Ok(Err(lay_out::too_large(connection, Version::Http3, scratch)));
    };
    let pseudo = section::request(section).map_err(|_| Fault::Stream(Code::MessageError))?;
    let laid_out = lay_out::section(connection, section, &pseudo, bodiless, Version::Http3, scratch);
    if let Framing::Length(length) = scratch.request.framing {
        connection.client.stream.request.promise(length);
    }
    Ok(laid_out)
}

/// Ends the stream as [`Connection::ending`] says, when all that was said is on its way; where the connection is about to
/// end, when it has arrived, because that would take it back.
async fn conclude(connection: &mut Connection<Stream>, shared: &Shared) {
    let Connection { client, timer, slot, worker, ending, .. } = connection;
    let stream = &mut client.stream;
    if stream.is_given_up() {
        shared.spend();
    } else {
        shared.earn();
    }
    if *ending == Ending::Reset {
        return stream.cut_off();
    }
    timer.arm(slot.table().plan.idle_timeout);
    let mut arriving = None;
    poll_fn(|cx| {
        if timer.poll_expired(cx) || worker.is_stopping() {
            stream.cut_off();
            return Poll::Ready(());
        }
        if arriving.is_none() {
            std::task::ready!(stream.poll_conclude(cx));
            if shared.leaving.get() == Leaving::No {
                return Poll::Ready(());
            }
        }
        arriving.get_or_insert_with(|| Box::pin(stream.arrived())).as_mut().poll(cx)
    })
    .await;
}
