//! One direction of an exchange: a head that has been made, then a body that streams through as it arrives.
//!
//! Back-pressure is natural: nothing is read while what was read is not written. Head and first body bytes go out in one
//! write.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use headworks_message::send::Reframe;
use headworks_message::{Body, Framing};
use tokio::io::{AsyncRead, AsyncWrite};

use super::encode::{EncodeError, Encoder};
use super::link::Link;
use crate::runtime::pace::{Demand, Pace};
use crate::runtime::pool::Pool;

/// Up to this size, copying body bytes behind the head beats a second slice in the system call.
const COPY: usize = 8 * 1024;

/// Where one direction stands.
pub(crate) struct Flow {
    /// Bytes of the head that have been sent.
    head_sent: usize,
    /// Bytes of the source's buffer that belong to the body and may be sent.
    approved: usize,
    /// Bytes behind the approved ones that are let go of: trailers that must not be sent on.
    dropped: usize,
    body: Body,
    reframe: Reframe,
    /// Of [`Reframe::Encode`].
    encoder: Option<Box<Encoder>>,
    /// It has worked in this poll: once is enough, others wait.
    encoded: bool,
    /// Up to this many bytes, what was taken is kept behind the head, so that it can be sent again.
    keep: usize,
    /// All that was taken so far stands in or behind the head.
    whole: bool,
    /// Everything has been sent.
    done: bool,
    /// Bytes sent so far, heads and framing included.
    pub(crate) sent: u64,
    /// Bytes of the body taken from the source so far, framing included.
    pub(crate) taken: u64,
    /// Something moved in the last poll.
    pub(crate) moved: bool,
    /// The source is what the last poll waited for.
    pub(crate) waits_for_source: bool,
    /// Of a client that must keep a rate, from when it is first waited for.
    pace: Option<Box<Pace>>,
}

/// Why a direction stopped.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The source ended before the body did.
    Ended,
    /// The source failed, or what encodes its content.
    Source,
    /// The body's framing is broken.
    Malformed,
    /// The destination failed.
    Destination,
}

impl From<EncodeError> for Broken {
    fn from(error: EncodeError) -> Broken {
        match error {
            EncodeError::Malformed => Broken::Malformed,
            EncodeError::Failed => Broken::Source,
        }
    }
}

impl Flow {
    pub(crate) fn new(framing: Framing, reframe: Reframe) -> Flow {
        Flow {
            head_sent: 0,
            approved: 0,
            dropped: 0,
            body: Body::new(framing),
            reframe,
            encoder: None,
            encoded: false,
            keep: 0,
            whole: true,
            done: false,
            sent: 0,
            taken: 0,
            moved: false,
            waits_for_source: false,
            pace: None,
        }
    }

    /// With the content in another coding.
    pub(crate) fn encoded(framing: Framing, encoder: Encoder) -> Flow {
        Flow { encoder: Some(Box::new(encoder)), ..Flow::new(framing, Reframe::Encode) }
    }

    /// One that can begin anew as long as it has not grown beyond so many bytes.
    pub(crate) fn keeping(self, keep: usize) -> Flow {
        Flow { keep, ..self }
    }

    /// One whose head went out another way, and that has no body.
    pub(crate) fn gone(sent: u64) -> Flow {
        Flow { sent, done: true, ..Flow::new(Framing::None, Reframe::Keep) }
    }

    /// Whether it can be sent again after some of it has gone: it has no body so far, or all of it is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.whole && (self.taken == 0 || self.keep > 0)
    }

    /// Whether the whole message stands in and behind the head.
    pub(crate) fn stands_whole(&self) -> bool {
        self.whole && self.body.is_done()
    }

    /// Whether nothing of it has gone, so that it can be sent from its beginning.
    pub(crate) fn is_untouched(&self) -> bool {
        self.whole && self.sent == 0
    }

    /// Begins anew, for another destination. What has been taken stands behind the head, which is to be the same.
    pub(crate) fn rewind(&mut self) {
        self.head_sent = 0;
        self.sent = 0;
        self.done = false;
        self.encoded = false;
    }

    /// What encodes the content.
    pub(crate) fn encoder(&self) -> Option<&Encoder> {
        self.encoder.as_deref()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The rest is given up.
    pub(crate) fn abandon(&mut self) {
        self.done = true;
    }

    /// Moves what can be moved, until everything is sent. `head` is sent first; with a reframed body it is also where the
    /// pieces are made.
    pub(crate) fn poll<A, B>(
        &mut self,
        head: &mut Vec<u8>,
        from: &mut Link<A>,
        to: &mut B,
        pool: &Pool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>>
    where
        A: AsyncRead + Unpin,
        B: AsyncWrite + Unpin,
    {
        self.moved = false;
        self.waits_for_source = false;
        self.encoded = false;
        loop {
            while self.approved == 0 && !self.body.is_done() && !from.buffer.is_empty() {
                if !self.approve(head, from, pool)? {
                    break;
                }
            }
            if self.head_sent < head.len() {
                ready!(self.poll_head(head, from, to, pool, cx))?;
            } else if self.approved > 0 {
                let piece = from.buffer.data().get(..self.approved).unwrap_or(&[]);
                let n = ready!(Pin::new(&mut *to).poll_write(cx, piece)).map_err(|_| Broken::Destination)?;
                if n == 0 {
                    return Poll::Ready(Err(Broken::Destination));
                }
                self.count(n);
                self.whole = false;
                self.pass(n, from, pool);
            } else if self.body.is_done() {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken::Destination)?;
                self.done = true;
                return Poll::Ready(Ok(()));
            } else if self.encoded {
                // the next block after others have had their turn
                cx.waker().wake_by_ref();
                return Poll::Pending;
            } else {
                self.waits_for_source = true;
                let filled = from.poll_fill(pool, cx);
                if filled.is_pending() {
                    if self.flush(head)? {
                        self.waits_for_source = false;
                        continue;
                    }
                    // what TLS could not write yet must not wait for what the source says next
                    if let Poll::Ready(Err(_)) = Pin::new(&mut *to).poll_flush(cx) {
                        return Poll::Ready(Err(Broken::Destination));
                    }
                }
                let n = ready!(filled).map_err(|_| Broken::Source)?;
                self.waits_for_source = false;
                self.moved = true;
                if n == 0 {
                    self.end(head)?;
                }
            }
        }
    }

    /// How long a client is waited for, `wait` at most, that must be so fast and has moved so many bytes at tick `now`. None
    /// when it has been too slow.
    #[cold]
    pub(crate) fn patience(&mut self, wait: Duration, demand: Demand, moved: u64, now: u32) -> Option<Duration> {
        if self.pace.is_none() {
            self.pace = Pace::new(demand).map(Box::new);
        }
        let Some(pace) = &mut self.pace else { return Some(wait) };
        pace.patience(moved, now, wait)
    }

    /// Whether it is known how much there is of it.
    pub(crate) fn has_length(&self) -> bool {
        matches!(self.body, Body::Length(_))
    }

    /// Whether the client has been waited for that must keep a pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// It is not the client that is waited for.
    pub(crate) fn rest(&mut self, moved: u64, now: u32) {
        if let Some(pace) = &mut self.pace {
            pace.rests(moved, now);
        }
    }

    fn count(&mut self, n: usize) {
        self.sent += n as u64;
        self.moved = true;
    }

    /// Lets go of approved bytes that have been sent, and with the last of them of what is dropped behind.
    #[inline]
    fn pass<A>(&mut self, n: usize, from: &mut Link<A>, pool: &Pool) {
        self.approved -= n;
        let dropped = if self.approved == 0 { std::mem::take(&mut self.dropped) } else { 0 };
        from.buffer.consume(n + dropped, pool);
    }

    /// Finds out how much of what was read belongs to the body. False when that cannot be told without more bytes.
    fn approve<A>(&mut self, head: &mut Vec<u8>, from: &mut Link<A>, pool: &Pool) -> Result<bool, Broken> {
        let data = from.buffer.data();
        let before = self.taken;
        match self.reframe {
            Reframe::Keep => {
                let taken = self.body.take(data).map_err(|_| Broken::Malformed)?;
                (self.approved, self.dropped) = (taken.kept, taken.dropped);
                self.taken += taken.total() as u64;
                let joins_head = self.head_sent < head.len() && self.approved <= COPY;
                if joins_head || self.whole && head.len() + self.approved <= self.keep {
                    head.extend_from_slice(data.get(..self.approved).unwrap_or(&[]));
                    self.pass(self.approved, from, pool);
                } else if self.approved == 0 {
                    self.pass(0, from, pool);
                }
            }
            Reframe::Chunk => {
                self.start_piece(head);
                let taken = self.body.take(data).map_err(|_| Broken::Malformed)?.kept;
                self.taken += taken as u64;
                head.extend_from_slice(&headworks_message::number::hex::<8>(taken as u64));
                head.extend_from_slice(b"\r\n");
                head.extend_from_slice(data.get(..taken).unwrap_or(&[]));
                head.extend_from_slice(b"\r\n");
                from.buffer.consume(taken, pool);
            }
            Reframe::Unchunk => {
                self.start_piece(head);
                let taken = self.body.take_decoded(data, head).map_err(|_| Broken::Malformed)?;
                self.taken += taken as u64;
                from.buffer.consume(taken, pool);
            }
            Reframe::Encode => {
                self.start_piece(head);
                let encoder = self.encoder.as_mut().ok_or(Broken::Source)?;
                let taken = encoder.take(&mut self.body, data, head)?;
                // where nothing could be taken, only more bytes change anything
                self.encoded |= taken > 0;
                self.taken += taken as u64;
                from.buffer.consume(taken, pool);
            }
        }
        Ok(self.taken > before)
    }

    /// The source has nothing right now: what an encoder holds back goes out. False when that is nothing.
    fn flush(&mut self, head: &mut Vec<u8>) -> Result<bool, Broken> {
        if self.encoder.is_none() {
            return Ok(false);
        }
        self.start_piece(head);
        Ok(self.encoder.as_mut().ok_or(Broken::Source)?.flush(head)?)
    }

    fn start_piece(&mut self, head: &mut Vec<u8>) {
        let is_kept = self.whole && head.len() < self.keep;
        if self.head_sent == head.len() && !is_kept {
            self.whole &= head.is_empty();
            head.clear();
            self.head_sent = 0;
        }
    }

    /// The source has ended, which only a body until close may do.
    fn end(&mut self, head: &mut Vec<u8>) -> Result<(), Broken> {
        if !matches!(self.body, Body::UntilClose) {
            return Err(Broken::Ended);
        }
        self.body = Body::Done;
        match self.reframe {
            Reframe::Keep | Reframe::Unchunk => {}
            Reframe::Chunk => {
                self.start_piece(head);
                head.extend_from_slice(b"0\r\n\r\n");
            }
            Reframe::Encode => {
                self.start_piece(head);
                self.encoder.as_mut().ok_or(Broken::Source)?.end(head)?;
            }
        }
        Ok(())
    }

    fn poll_head<A, B: AsyncWrite + Unpin>(
        &mut self,
        head: &mut [u8],
        from: &mut Link<A>,
        to: &mut B,
        pool: &Pool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        let rest = head.get(self.head_sent..).unwrap_or(&[]);
        let n = if self.approved == 0 {
            ready!(Pin::new(&mut *to).poll_write(cx, rest))
        } else {
            let piece = from.buffer.data().get(..self.approved).unwrap_or(&[]);
            ready!(Pin::new(&mut *to).poll_write_vectored(cx, &[IoSlice::new(rest), IoSlice::new(piece)]))
        };
        let n = n.map_err(|_| Broken::Destination)?;
        if n == 0 {
            return Poll::Ready(Err(Broken::Destination));
        }
        let of_head = n.min(rest.len());
        self.count(n);
        self.head_sent += of_head;
        self.whole &= n == of_head;
        self.pass(n - of_head, from, pool);
        Poll::Ready(Ok(()))
    }
}
