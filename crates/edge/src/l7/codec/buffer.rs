//! Bytes received and not yet consumed. Holds a pooled block only while there are any.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::runtime::pool::{BLOCK, Pool};

/// Room for the longest head and what may come with it; a head that does not fit a block moves here.
const LARGE: usize = 96 * 1024;
/// Up to so many bytes are worth being moved out of a block; of more, the block's room is no large part.
const SETTLED: usize = 8 * 1024;

/// A read buffer.
#[derive(Default)]
pub(crate) struct Buffer {
    block: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What has been received and not consumed.
    #[inline]
    pub(crate) fn data(&self) -> &[u8] {
        match &self.block {
            Some(block) => block.get(self.start..self.end).unwrap_or(&[]),
            None => &[],
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether more would have fitted behind what has been received.
    pub(crate) fn has_room(&self) -> bool {
        self.block.as_ref().is_some_and(|block| self.end < block.len())
    }

    /// Lets go of the first `n` bytes, and of the block when none is left.
    #[inline]
    pub(crate) fn consume(&mut self, n: usize, pool: &Pool) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.release(pool);
        }
    }

    /// Lets go of everything.
    pub(crate) fn release(&mut self, pool: &Pool) {
        self.start = 0;
        self.end = 0;
        if let Some(block) = self.block.take() {
            pool.give_block(block);
        }
    }

    /// Takes in what has come another way; the buffer must be empty. It gets no more room than that: of heads that come many
    /// at a time, each is consumed before more follows.
    pub(crate) fn load(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty());
        self.block = Some(bytes.into());
        self.start = 0;
        self.end = bytes.len();
    }

    /// Before a wait that may be long: what little has come is kept in no more room than it takes.
    pub(crate) fn settle(&mut self, pool: &Pool) {
        if self.block.as_ref().is_none_or(|block| block.len() < BLOCK) || self.end - self.start > SETTLED {
            return;
        }
        let kept: Box<[u8]> = self.data().into();
        self.release(pool);
        self.end = kept.len();
        self.block = Some(kept);
    }

    /// Reads more bytes; 0 at the end of the stream. One call of `recv` at most: `poll_read` clears the readiness after a
    /// short read, so that no speculative read follows a whole message.
    ///
    /// # Errors
    /// Those of the socket; `InvalidData` when the buffer is full.
    #[inline]
    pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        pool: &Pool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.block.as_ref().is_none_or(|b| self.end == b.len()) {
            self.make_room(pool)?;
        }
        let Some(free) = self.block.as_mut().and_then(|b| b.get_mut(self.end..)) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        let mut into = ReadBuf::new(free);
        let result = Pin::new(stream).poll_read(cx, &mut into);
        let read = into.filled().len();
        self.end += read;
        if self.start == self.end {
            self.release(pool);
        }
        ready!(result)?;
        Poll::Ready(Ok(read))
    }

    fn make_room(&mut self, pool: &Pool) -> io::Result<()> {
        match &mut self.block {
            None => self.block = Some(pool.block()),
            Some(block) if self.start > 0 && block.len() >= BLOCK => {
                block.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            Some(block) if block.len() < LARGE => {
                let mut larger = if block.len() < BLOCK { pool.block() } else { vec![0; LARGE].into_boxed_slice() };
                if let Some(place) = larger.get_mut(..self.end) {
                    place.copy_from_slice(block);
                }
                let old = std::mem::replace(block, larger);
                pool.give_block(old);
            }
            Some(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(())
    }
}
