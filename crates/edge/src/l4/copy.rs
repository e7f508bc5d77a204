//! Carrying bytes both ways until both sides have said their last, one resets, or nothing moves for the idle timeout (N2).
//!
//! An end is passed on as an end, a reset as a reset. What has been read is given before more is read, so that whoever is
//! slow slows the other down; while there is nothing to give, no buffer is held. Where both ends are plain and bytes come
//! in bulk, the kernel moves them by itself.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use super::connect::Through;
use super::end::{End, Taking};
use super::first_words::FirstWords;
use super::flow::Flow;
use super::taker::Taker;
use crate::l7::codec::buffer::Buffer;
use crate::observe::flow::Ended;
use crate::runtime::pipe::Pipe;
use crate::runtime::pool::Pool;
use crate::runtime::socket::Ending;

/// A read of so much is one of many to come.
const BULK: usize = 16 * 1024;
/// After so much in bulk the kernel moves bytes by itself: answers of 1 MiB then cost a quarter of what copying them does,
/// of 256 KiB two fifths, while those of 64 KiB cost the same.
const SPLICE_AFTER: usize = 256 * 1024;
/// What is remembered of bulk at most: a few small reads end it.
const MOST_BULK: usize = 2 * SPLICE_AFTER;
/// A first write up to this size is one segment on any path, and leaves at once by itself.
const SEGMENT: usize = 1024;
/// Reads of one direction after which others have their turn.
const TURNS: u32 = 4;

/// Carries a flow to its end. `opening` is what has been read from the client already.
pub(super) async fn run<C: End, T: End>(
    flow: &mut Flow,
    mut client: C,
    mut target: T,
    opening: Buffer,
    through: &Through,
) -> Ended {
    let pool = &flow.worker.pool;
    let mut up = Direction { buffer: opening, ..Direction::default() };
    // clients' sockets have been told by their listener's
    let mut down = Direction { is_prompt: true, ..Direction::default() };
    flow.timer.arm(flow.idle_timeout);
    let mut taker = Taker::new(flow);
    let habit = &flow.slot.habit;
    let mut first_words = FirstWords::Awaited;
    let mut a_while = pin!(habit.a_while());
    let ended = poll_fn(|cx| {
        let before = (up.moved, down.moved);
        let polled = poll(&mut up, &mut down, &mut client, &mut target, pool, cx);
        let moved = (up.moved - before.0, down.moved - before.1);
        if moved != (0, 0) {
            flow.timer.arm(flow.idle_timeout);
            flow.slot.counters().received_bytes.add(moved.0);
            flow.slot.counters().sent_bytes.add(moved.1);
        }
        if polled.is_ready() {
            return polled;
        }
        first_words.heard(up.moved, down.moved, habit);
        // a client that has not spoken by then may wait for its target to speak
        if first_words == FirstWords::Awaited && a_while.as_mut().poll(cx).is_ready() {
            first_words = FirstWords::Free;
            target.socket().acknowledge();
        }
        if let Some(cut) = through.cut() {
            return Poll::Ready(cut);
        }
        if flow.worker.is_stopping() {
            return Poll::Ready(Ended::Stopping);
        }
        if flow.timer.poll_expired(cx) {
            return Poll::Ready(Ended::IdleTimeout);
        }
        if let Some(taker) = &mut taker
            && taker.poll_too_slow(&down, client.socket(), cx)
        {
            return Poll::Ready(Ended::ClientTooSlow);
        }
        Poll::Pending
    })
    .await;
    if ended == Ended::ClientTooSlow {
        flow.offended();
    }
    if ended != Ended::Closed {
        client.socket().reset_on_close();
        target.socket().reset_on_close();
    }
    flow.record.received += up.moved;
    flow.record.sent += down.moved;
    up.release(pool);
    down.release(pool);
    ended
}

/// Moves what can be moved; ready when the flow is over.
fn poll<C: End, T: End>(
    up: &mut Direction,
    down: &mut Direction,
    client: &mut C,
    target: &mut T,
    pool: &Pool,
    cx: &mut Context<'_>,
) -> Poll<Ended> {
    if let Poll::Ready(Err(broken)) = up.poll(client, target, down.is_done(), pool, cx) {
        return Poll::Ready(broken.of(Ended::ClientReset, Ended::TargetReset));
    }
    if let Poll::Ready(Err(broken)) = down.poll(target, client, up.is_done(), pool, cx) {
        return Poll::Ready(broken.of(Ended::TargetReset, Ended::ClientReset));
    }
    // nothing is read any more from a side that has said its last, so that its reset has to be looked for
    match (up.is_done(), down.is_done()) {
        (true, true) => Poll::Ready(Ended::Closed),
        (true, false) if client.socket().poll_hung_up(cx).is_ready() => Poll::Ready(Ended::ClientReset),
        (false, true) if target.socket().poll_hung_up(cx).is_ready() => Poll::Ready(Ended::TargetReset),
        _ => Poll::Pending,
    }
}

/// One direction.
#[derive(Default)]
pub(super) struct Direction {
    stage: Stage,
    /// What has been read and not given.
    buffer: Buffer,
    /// The same, where the kernel moves bytes.
    pipe: Option<Pipe>,
    /// Bytes that came in bulk lately.
    bulk: usize,
    /// Bytes given.
    moved: u64,
    /// Small segments no longer wait for each other.
    is_prompt: bool,
    /// What follows what is held, as far as is known.
    ending: Ending,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The source has said its last, which the sink has to be told.
    Ending,
    Done,
}

/// Which side a direction broke off at.
enum Broken {
    Source,
    Sink,
}

impl Broken {
    fn of(self, source: Ended, sink: Ended) -> Ended {
        match self {
            Broken::Source => source,
            Broken::Sink => sink,
        }
    }
}

impl Direction {
    fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether the sink has something to take.
    pub(super) fn is_held(&self) -> bool {
        !self.buffer.is_empty() || self.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty())
    }

    /// Bytes given.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Moves what can be moved; ready when all of it has been. `is_last`: the other direction is done.
    fn poll<S: End, D: End>(
        &mut self,
        source: &mut S,
        sink: &mut D,
        is_last: bool,
        pool: &Pool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        for _ in 0..TURNS {
            match self.stage {
                Stage::Open => {
                    ready!(self.poll_give(sink, pool, cx)).map_err(|_| Broken::Sink)?;
                    if self.ending == Ending::Next {
                        self.stage = Stage::Ending;
                        continue;
                    }
                    match self.poll_take::<S, D>(source, pool, cx) {
                        Poll::Ready(Ok(0)) => self.stage = Stage::Ending,
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Source)),
                        Poll::Pending => {
                            let _ = Pin::new(sink).poll_flush(cx).map_err(|_| Broken::Sink)?;
                            return Poll::Pending;
                        }
                    }
                }
                Stage::Ending => {
                    // of two plain ends, closing both says it; TLS has a word for it
                    if !(is_last && D::IS_PLAIN) {
                        // a sink that is gone already is no news: the other direction tells
                        let _ = ready!(Pin::new(&mut *sink).poll_shutdown(cx));
                    }
                    self.stage = Stage::Done;
                }
                Stage::Done => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Gives what is held; ready when nothing is.
    fn poll_give<D: End>(&mut self, sink: &mut D, pool: &Pool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            self.be_prompt(sink, self.buffer.data().len());
            let given = if D::IS_PLAIN && self.ending != Ending::Unknown {
                // one packet for the last bytes and the end
                ready!(sink.socket().poll_write_more(self.buffer.data(), cx))?
            } else {
                ready!(Pin::new(&mut *sink).poll_write(cx, self.buffer.data()))?
            };
            if given == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.consume(given, pool);
            self.moved += given as u64;
        }
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| !pipe.is_empty()) {
            let given = ready!(sink.socket().poll_splice_from(pipe, cx))?;
            self.moved += given as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes more; nothing is held before. 0 at the end.
    fn poll_take<S: End, D: End>(
        &mut self,
        source: &mut S,
        pool: &Pool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let taken = match self.pipe_for::<S, D>(pool) {
            Some(pipe) => source.socket().poll_splice_to(pipe, cx),
            None => self.buffer.poll_fill(&mut Taking(source), pool, cx),
        };
        match &taken {
            Poll::Ready(Ok(n)) if *n >= BULK => self.bulk = (self.bulk + n).min(MOST_BULK),
            Poll::Ready(_) => {
                self.bulk /= 2;
                if S::IS_PLAIN {
                    self.ending = source.socket().ending(self.buffer.has_room(), cx);
                }
            }
            Poll::Pending => {
                if let Some(pipe) = self.pipe.take() {
                    pool.give_pipe(pipe);
                }
            }
        }
        taken
    }

    /// An empty pipe, where one pays.
    fn pipe_for<S: End, D: End>(&mut self, pool: &Pool) -> Option<&mut Pipe> {
        if !(S::IS_PLAIN && D::IS_PLAIN) || self.bulk < SPLICE_AFTER {
            if let Some(pipe) = self.pipe.take() {
                pool.give_pipe(pipe);
            }
            return None;
        }
        if self.pipe.is_none() {
            self.pipe = pool.pipe();
        }
        self.pipe.as_mut()
    }

    /// Before a write that could wait for an acknowledgement of the one before it. Most short flows have none.
    fn be_prompt<D: End>(&mut self, sink: &D, length: usize) {
        if !self.is_prompt && (self.moved > 0 || length > SEGMENT) {
            self.is_prompt = true;
            // not over TCP, or gone: the write will tell
            let _ = sink.socket().send_at_once();
        }
    }

    fn release(&mut self, pool: &Pool) {
        self.buffer.release(pool);
        if let Some(pipe) = self.pipe.take() {
            pool.give_pipe(pipe);
        }
    }
}
