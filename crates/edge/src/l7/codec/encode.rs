//! Bodies on their way into a content coding: an encoder for one response, and the worker's store of those that can be used
//! again.
//!
//! What an encoder holds is bounded by its window, how many there are by [`MOST`]; what it gives goes out before it is fed
//! again. Deliberately absent: when to encode; `headworks_message::encoding` decides that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use flate2::{Compress, Compression, FlushCompress, Status};
use headworks_message::Body;
use headworks_message::chunked::Malformed;
use headworks_message::encoding::ContentCoding;
use headworks_message::number::hex;
use zstd::stream::raw::{CParameter, Encoder as Zstd, InBuffer, Operation as _, OutBuffer};

use crate::observe::record::Compressed;

/// Responses that one worker encodes at once; more are sent as they are. An encoder of the usual levels holds 0.4 (gzip),
/// 1.4 (zstd) or 2.3 MiB (brotli), at the highest level 5.
const MOST: usize = 128;
/// Encoders kept for later.
const KEPT: usize = 8;
/// Window of zstd and brotli, as a power of two. Larger ones pay on bodies of many megabytes only, and every client has to
/// hold them as well.
const WINDOW: u32 = 18;
/// From this level on, zstd would take tables far larger than the window that they are of.
const LARGE_TABLES: u8 = 5;
/// Room that is made for output at a time.
const ROOM: usize = 4096;

/// The encoders of one worker.
#[derive(Default)]
pub(crate) struct Encoders {
    idle: RefCell<Vec<(Kind, Engine)>>,
    lent: Cell<usize>,
}

/// A coding at a level.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    coding: ContentCoding,
    level: u8,
}

enum Engine {
    Gzip(Compress),
    Zstd(Zstd<'static>),
    Brotli(Box<BrotliEncoderStateStruct<StandardAlloc>>),
}

/// What of its input an encoder must give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Give {
    /// What it likes.
    Some,
    /// All, so that a reader sees it.
    All,
    /// All, and the end.
    End,
}

/// Why content cannot be encoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EncodeError {
    /// The body's own framing is broken.
    Malformed,
    /// The encoder refused its input, which it does only when it is used wrongly or out of memory.
    Failed,
}

impl From<Malformed> for EncodeError {
    fn from(_: Malformed) -> EncodeError {
        EncodeError::Malformed
    }
}

/// An encoder, lent to one response.
pub(crate) struct Encoder {
    kind: Kind,
    engine: Option<Engine>,
    home: Rc<Encoders>,
    /// Content without its chunks.
    plain: Vec<u8>,
    /// It has taken content that it has not given yet, as far as is known.
    holds: bool,
    /// What it gives goes out in chunks, the last one included; else as it is.
    chunked: bool,
    tally: Compressed,
}

impl Encoders {
    /// An encoder for a response of this length, if that is known. None when too many are in use.
    pub(crate) fn begin(self: &Rc<Self>, coding: ContentCoding, level: u8, length: Option<u64>) -> Option<Encoder> {
        if self.lent.get() >= MOST {
            return None;
        }
        let kind = Kind { coding, level };
        let mut idle = self.idle.borrow_mut();
        let engine = match idle.iter().position(|(idle, _)| *idle == kind) {
            Some(at) => idle.swap_remove(at).1,
            None => Engine::new(kind, length).ok()?,
        };
        self.lent.set(self.lent.get() + 1);
        let home = self.clone();
        let tally = Compressed { coding, content: 0, encoded: 0 };
        Some(Encoder { kind, engine: Some(engine), home, plain: Vec::new(), holds: false, chunked: true, tally })
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.home.lent.set(self.home.lent.get().saturating_sub(1));
        let mut idle = self.home.idle.borrow_mut();
        if let Some(engine) = self.engine.take().and_then(Engine::renewed) {
            // the oldest goes: it may be of a level that nobody asks for any more
            if idle.len() >= KEPT {
                idle.remove(0);
            }
            idle.push((self.kind, engine));
        }
    }
}

impl Encoder {
    /// For a destination that has frames of its own.
    pub(crate) fn unframed(mut self) -> Encoder {
        self.chunked = false;
        self
    }

    /// What it has done so far.
    pub(crate) fn tally(&self) -> Compressed {
        self.tally
    }

    /// Takes what of `data` belongs to the body, and appends what comes of it to `out` as a chunk; with the body's end, the
    /// last chunk. The number is that of the bytes taken.
    ///
    /// # Errors
    /// When the body's own framing is broken, or the encoder fails; nothing of `out` may be sent on then.
    pub(crate) fn take(&mut self, body: &mut Body, data: &[u8], out: &mut Vec<u8>) -> Result<usize, EncodeError> {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let (taken, content) = if matches!(body, Body::Chunked(_)) {
            (body.take_decoded(data, &mut plain)?, plain.as_slice())
        } else {
            let taken = body.take(data)?.kept;
            (taken, data.get(..taken).unwrap_or(&[]))
        };
        if body.is_done() {
            self.last(content, out)?;
        } else if !content.is_empty() {
            self.chunk(content, Give::Some, out)?;
        }
        self.plain = plain;
        Ok(taken)
    }

    /// Appends what is held back to `out` as a chunk. False when there is nothing.
    ///
    /// # Errors
    /// When the encoder fails.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        if !std::mem::take(&mut self.holds) {
            return Ok(false);
        }
        self.chunk(&[], Give::All, out)?;
        Ok(true)
    }

    /// The body has ended with its connection: the rest, and the last chunk.
    ///
    /// # Errors
    /// When the encoder fails.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.last(&[], out)
    }

    fn last(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.chunk(content, Give::End, out)?;
        if self.chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        Ok(())
    }

    fn chunk(&mut self, content: &[u8], give: Give, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        const SIZE: usize = 8;
        let start = out.len();
        if self.chunked {
            out.extend_from_slice(b"00000000\r\n");
        }
        let behind = out.len();
        self.engine.as_mut().ok_or(EncodeError::Failed)?.run(content, give, out)?;
        self.holds = give == Give::Some && (self.holds || !content.is_empty());
        let length = out.len() - behind;
        self.tally.content += content.len() as u64;
        self.tally.encoded += length as u64;
        if length == 0 {
            // a chunk of none would be the last
            out.truncate(start);
            return Ok(());
        }
        if self.chunked {
            if let Some(place) = out.get_mut(start..start + SIZE) {
                place.copy_from_slice(&hex::<SIZE>(length as u64));
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

impl Engine {
    fn new(kind: Kind, length: Option<u64>) -> Result<Engine, EncodeError> {
        let level = u32::from(kind.level);
        Ok(match kind.coding {
            ContentCoding::Gzip => Engine::Gzip(Compress::new_gzip(Compression::new(level), 15)),
            ContentCoding::Zstd => {
                let mut zstd = Zstd::new(i32::from(kind.level)).map_err(|_| EncodeError::Failed)?;
                let mut set = |parameter| zstd.set_parameter(parameter).map_err(|_| EncodeError::Failed);
                set(CParameter::WindowLog(WINDOW))?;
                if kind.level >= LARGE_TABLES {
                    set(CParameter::HashLog(WINDOW))?;
                    set(CParameter::ChainLog(WINDOW))?;
                }
                Engine::Zstd(zstd)
            }
            ContentCoding::Brotli => {
                let mut brotli = BrotliEncoderStateStruct::new(StandardAlloc::default());
                // a window that the body does not fill would be memory for nothing
                let window = length.map_or(WINDOW, |n| (u64::BITS - n.leading_zeros()).clamp(16, WINDOW));
                brotli.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, level);
                brotli.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, window);
                let hint = length.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX));
                brotli.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, hint);
                Engine::Brotli(Box::new(brotli))
            }
        })
    }

    /// As new, where that is cheaper than a new one.
    fn renewed(self) -> Option<Engine> {
        match self {
            Engine::Gzip(mut gzip) => {
                gzip.reset();
                Some(Engine::Gzip(gzip))
            }
            Engine::Zstd(mut zstd) => zstd.reinit().is_ok().then_some(Engine::Zstd(zstd)),
            Engine::Brotli(_) => None,
        }
    }

    /// Appends what comes of `content` to `out`.
    fn run(&mut self, content: &[u8], give: Give, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Engine::Gzip(gzip) => run_gzip(gzip, content, give, out),
            Engine::Zstd(zstd) => run_zstd(zstd, content, give, out),
            Engine::Brotli(brotli) => {
                run_brotli(brotli, content, out, BrotliEncoderOperation::BROTLI_OPERATION_PROCESS)?;
                match give {
                    Give::Some => Ok(()),
                    Give::All => run_brotli(brotli, &[], out, BrotliEncoderOperation::BROTLI_OPERATION_FLUSH),
                    Give::End => run_brotli(brotli, &[], out, BrotliEncoderOperation::BROTLI_OPERATION_FINISH),
                }
            }
        }
    }
}

fn run_gzip(gzip: &mut Compress, content: &[u8], give: Give, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let flush = match give {
        Give::Some => FlushCompress::None,
        Give::All => FlushCompress::Sync,
        Give::End => FlushCompress::Finish,
    };
    let mut rest = content;
    loop {
        out.reserve(ROOM);
        let before = gzip.total_in();
        let status = gzip.compress_vec(rest, out, flush).map_err(|_| EncodeError::Failed)?;
        let taken = (gzip.total_in() - before) as usize;
        rest = rest.get(taken..).unwrap_or(&[]);
        let is_over = match give {
            // room that is left says that nothing more was to be given
            Give::Some | Give::All => rest.is_empty() && out.len() < out.capacity(),
            Give::End => status == Status::StreamEnd,
        };
        if is_over {
            return Ok(());
        }
    }
}

fn run_zstd(zstd: &mut Zstd<'static>, content: &[u8], give: Give, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut input = InBuffer::around(content);
    loop {
        out.reserve(ROOM);
        let at = out.len();
        let mut output = OutBuffer::around_pos(out, at);
        let left = if input.pos() < content.len() {
            zstd.run(&mut input, &mut output).map(|_| usize::from(give != Give::Some || input.pos() < content.len()))
        } else {
            match give {
                Give::Some => Ok(0),
                Give::All => zstd.flush(&mut output),
                Give::End => zstd.finish(&mut output, true),
            }
        };
        if left.map_err(|_| EncodeError::Failed)? == 0 {
            return Ok(());
        }
    }
}

fn run_brotli(
    brotli: &mut BrotliEncoderStateStruct<StandardAlloc>,
    content: &[u8],
    out: &mut Vec<u8>,
    operation: BrotliEncoderOperation,
) -> Result<(), EncodeError> {
    let (mut left, mut at) = (content.len(), 0);
    loop {
        // no room of ours: what it gives is taken from its own storage
        let (mut room, mut written) = (0, 0);
        let is_fine = brotli.compress_stream(
            operation,
            &mut left,
            content,
            &mut at,
            &mut room,
            &mut [],
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !is_fine {
            return Err(EncodeError::Failed);
        }
        while brotli.has_more_output() {
            let mut size = 0;
            let given = brotli.take_output(&mut size);
            out.extend_from_slice(given.get(..size).unwrap_or(&[]));
        }
        if left == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
