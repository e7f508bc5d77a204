//! Memory that a worker lends to connections only while they need it: read blocks and the scratch of a request.
//!
//! An idle connection holds neither; that is what keeps ten thousand of them cheap.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use headworks_message::section::FieldSection;
use headworks_message::{RequestHead, ResponseHead};

use super::pipe::Pipe;
use crate::l7::codec::encode::Encoders;
use crate::observe::record::Record;

/// Size of a read block.
pub(crate) const BLOCK: usize = 32 * 1024;
/// Blocks and scratches kept for later; more are given back to the allocator.
const KEPT: usize = 512;
/// A scratch buffer that grew beyond this is not kept.
const KEPT_BYTES: usize = 64 * 1024;
/// Pipes in all: each is two descriptors, which connections need more.
const PIPES: usize = 256;

/// Pooled memory of one worker.
#[derive(Default)]
pub(crate) struct Pool {
    blocks: RefCell<Vec<Box<[u8]>>>,
    #[expect(clippy::vec_box, reason = "a scratch is handed out and taken back as the box it is")]
    scratches: RefCell<Vec<Box<Scratch>>>,
    pipes: RefCell<Vec<Pipe>>,
    /// Those lent out.
    pipes_out: Cell<usize>,
    sections: RefCell<Vec<FieldSection>>,
    /// For heads of answers over HTTP/2 and HTTP/3: a parsed one, and for the latter one in fields. Nobody holds it while
    /// waiting.
    pub(crate) translation: RefCell<(ResponseHead, Vec<u8>)>,
    pub(crate) encoders: Rc<Encoders>,
}

/// What one request needs besides its connection's read block.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    /// The request head as sent to targets; kept for another attempt until a response has begun.
    pub(crate) to_target: Vec<u8>,
    /// The response head as sent to the client.
    pub(crate) to_client: Vec<u8>,
    /// Lines added to the response: cookies.
    pub(crate) lines: Vec<u8>,
    /// What the access log and the counters will say.
    pub(crate) record: Record,
}

impl Pool {
    pub(crate) fn block(&self) -> Box<[u8]> {
        self.blocks.borrow_mut().pop().unwrap_or_else(|| vec![0; BLOCK].into_boxed_slice())
    }

    pub(crate) fn give_block(&self, block: Box<[u8]>) {
        let mut blocks = self.blocks.borrow_mut();
        if block.len() == BLOCK && blocks.len() < KEPT {
            blocks.push(block);
        }
    }

    /// An empty pipe; none when all are lent out, or there are no descriptors left.
    pub(crate) fn pipe(&self) -> Option<Pipe> {
        let out = self.pipes_out.get();
        let pipe = self.pipes.borrow_mut().pop().or_else(|| (out < PIPES).then(Pipe::new)?.ok())?;
        self.pipes_out.set(out + 1);
        Some(pipe)
    }

    /// Takes a pipe back; one that still holds bytes is closed.
    pub(crate) fn give_pipe(&self, pipe: Pipe) {
        self.pipes_out.set(self.pipes_out.get().saturating_sub(1));
        if pipe.is_empty() {
            self.pipes.borrow_mut().push(pipe);
        }
    }

    /// What the fields of a head over HTTP/2 or HTTP/3 are read into.
    pub(crate) fn section(&self) -> FieldSection {
        self.sections.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_section(&self, section: FieldSection) {
        let mut sections = self.sections.borrow_mut();
        if sections.len() < KEPT && section.capacity() < KEPT_BYTES {
            sections.push(section);
        }
    }

    /// One for a request that begins.
    pub(crate) fn scratch(&self) -> Box<Scratch> {
        let mut scratch = self.scratches.borrow_mut().pop().unwrap_or_default();
        scratch.record.clear();
        scratch
    }

    pub(crate) fn give_scratch(&self, mut scratch: Box<Scratch>) {
        scratch.to_target.clear();
        scratch.to_client.clear();
        scratch.lines.clear();
        let held = scratch.to_target.capacity() + scratch.to_client.capacity() + scratch.record.capacity();
        let mut scratches = self.scratches.borrow_mut();
        if scratches.len() < KEPT && held < KEPT_BYTES {
            scratches.push(scratch);
        }
    }
}
