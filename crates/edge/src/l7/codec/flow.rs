//! One direction of an exchange: a head that has been made, then a body that streams through as it arrives.
//!
//! Back-pressure is natural: nothing is read while what was read is not written. Head and first body bytes go out in one
//! write.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use headworks_message::send::Reframe;
use headworks_message::{Body, Framing};
use tokio::io::{AsyncRead, AsyncWrite};

use super::link::Link;
use crate::runtime::pool::Pool;

/// Up to this size, copying body bytes behind the head beats a second slice in the system call.
const COPY: usize = 8 * 1024;

/// Where one direction stands.
pub(crate) struct Flow {
    /// Bytes of the head that have been sent.
    head_sent: usize,
    /// Bytes of the source's buffer that belong to the body and may be sent.
    approved: usize,
    body: Body,
    reframe: Reframe,
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
}

/// Why a direction stopped.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The source ended before the body did.
    Ended,
    /// The source failed.
    Source,
    /// The body's framing is broken.
    Malformed,
    /// The destination failed.
    Destination,
}

impl Flow {
    pub(crate) fn new(framing: Framing, reframe: Reframe) -> Flow {
        Flow {
            head_sent: 0,
            approved: 0,
            body: Body::new(framing),
            reframe,
            done: false,
            sent: 0,
            taken: 0,
            moved: false,
            waits_for_source: false,
        }
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
        loop {
            if self.approved == 0 && !self.body.is_done() && !from.buffer.is_empty() {
                self.approve(head, from, pool)?;
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
                self.approved -= n;
                from.buffer.consume(n, pool);
            } else if self.body.is_done() {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken::Destination)?;
                self.done = true;
                return Poll::Ready(Ok(()));
            } else {
                self.waits_for_source = true;
                let filled = from.poll_fill(pool, cx);
                if filled.is_pending() {
                    // what TLS could not write yet must not wait for what the source says next
                    let flushed = Pin::new(&mut *to).poll_flush(cx);
                    if let Poll::Ready(Err(_)) = flushed {
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

    fn count(&mut self, n: usize) {
        self.sent += n as u64;
        self.moved = true;
    }

    /// Finds out how much of what was read belongs to the body.
    fn approve<A>(&mut self, head: &mut Vec<u8>, from: &mut Link<A>, pool: &Pool) -> Result<(), Broken> {
        let data = from.buffer.data();
        match self.reframe {
            Reframe::Keep => {
                self.approved = self.body.take(data).map_err(|_| Broken::Malformed)?;
                self.taken += self.approved as u64;
                if self.head_sent < head.len() && self.approved <= COPY {
                    head.extend_from_slice(data.get(..self.approved).unwrap_or(&[]));
                    from.buffer.consume(std::mem::take(&mut self.approved), pool);
                }
            }
            Reframe::Chunk => {
                self.start_piece(head);
                let taken = self.body.take(data).map_err(|_| Broken::Malformed)?;
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
        }
        Ok(())
    }

    fn start_piece(&mut self, head: &mut Vec<u8>) {
        if self.head_sent == head.len() {
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
        if self.reframe == Reframe::Chunk {
            self.start_piece(head);
            head.extend_from_slice(b"0\r\n\r\n");
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
        self.approved -= n - of_head;
        from.buffer.consume(n - of_head, pool);
        Poll::Ready(Ok(()))
    }
}
