//! Frames as they come in (RFC 9113 section 6), each held against the rules before anything comes of it.

use std::rc::Rc;

use headworks_message::h2::{self, Code, FRAME_HEAD, FRAME_LIMIT, FrameHead, FrameKind, content, flag, number};
use headworks_message::hpack;
use headworks_message::request::HEAD_LIMIT;
use headworks_message::section::{Fault as Undecodable, FieldSection};

use super::closed::{By, Fate};
use super::session::Session;
use super::state::{State, TooWide};
use crate::l7::codec::translate;

/// Of a field block, the bytes and frames that are taken in before it is whole. The fields themselves are bounded by
/// [`HEAD_LIMIT`].
const BLOCK_LIMIT: usize = 2 * HEAD_LIMIT;
const BLOCK_FRAMES: u32 = 64;
/// Empty frames that a client earns with a request: it may be given up, and its window moved.
const EACH_REQUEST: u32 = 4;

/// Why a frame cannot be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It ends its stream (section 5.4.2).
    Stream(Code),
    /// It ends the connection (section 5.4.1).
    Connection(Code),
}

use Fault::{Connection, Stream};

/// What the client has been found to say besides what concerns streams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// It goes, and opens no more streams (section 6.8).
    pub(super) goaway: bool,
    /// It has answered our farewell: what it asked before has come.
    pub(super) pong: bool,
}

/// The payload of the PING that goes with a farewell.
pub(super) const FAREWELL: &[u8; 8] = b"farewell";

/// What reading a client's frames needs.
pub(super) struct Receiver {
    session: Rc<Session>,
    decoder: hpack::Decoder,
    /// A field block that is not whole.
    block: Option<Block>,
    has_begun: bool,
    /// Our settings have been taken in.
    acknowledged: bool,
    /// The greatest stream that the client has used.
    pub(super) last: u32,
    /// Streams above this are not taken any more.
    pub(super) bar: u32,
    /// Requests so far.
    pub(super) requests: u64,
    pub(super) said: Said,
}

struct Block {
    stream: u32,
    ends: bool,
    fragment: Vec<u8>,
    frames: u32,
}

impl Receiver {
    pub(super) fn new(session: Rc<Session>) -> Receiver {
        Receiver {
            session,
            decoder: hpack::Decoder::default(),
            block: None,
            has_begun: false,
            acknowledged: false,
            last: 0,
            bar: h2::GREATEST,
            requests: 0,
            said: Said::default(),
        }
    }

    /// Whether a head has begun to come and is not whole, with `rest` behind the last whole frame.
    pub(super) fn is_in_head(&self, rest: &[u8]) -> bool {
        const HEADERS: u8 = FrameKind::Headers as u8;
        self.block.is_some() || !self.has_begun || rest.get(3) == Some(&HEADERS)
    }

    /// Takes in the frames that are whole: how many bytes they were.
    ///
    /// # Errors
    /// When the connection must end, and how.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Code> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..)
            && let Some(head) = FrameHead::parse(rest)
        {
            self.judge(&head)?;
            let Some(payload) = rest.get(FRAME_HEAD..FRAME_HEAD + head.length) else { break };
            at += FRAME_HEAD + head.length;
            match self.frame(&head, payload) {
                Ok(()) => {}
                Err(Connection(code)) => return Err(code),
                Err(Stream(code)) => {
                    self.session.reset(head.stream, code);
                    self.spend_request()?;
                }
            }
        }
        Ok(at)
    }

    /// A frame's head alone: whether the frame may be there at all.
    fn judge(&self, head: &FrameHead) -> Result<(), Code> {
        if !self.has_begun && (head.kind != FrameKind::Settings || head.has(flag::ACK)) {
            return Err(Code::ProtocolError);
        }
        let is_continued = match &self.block {
            Some(block) => head.kind == FrameKind::Continuation && head.stream == block.stream,
            None => head.kind != FrameKind::Continuation,
        };
        if !is_continued {
            return Err(Code::ProtocolError);
        }
        let is_on_fit_stream = match head.kind {
            FrameKind::Data | FrameKind::Headers | FrameKind::Priority | FrameKind::RstStream => head.stream != 0,
            FrameKind::Settings | FrameKind::Ping | FrameKind::GoAway => head.stream == 0,
            FrameKind::PushPromise => false,
            FrameKind::WindowUpdate | FrameKind::Continuation | FrameKind::Unknown => true,
        };
        if !is_on_fit_stream {
            return Err(Code::ProtocolError);
        }
        if head.length > FRAME_LIMIT || !head.is_of_fit_length() && head.kind != FrameKind::Priority {
            return Err(Code::FrameSizeError);
        }
        Ok(())
    }

    fn spend_request(&self) -> Result<(), Code> {
        let tick = self.session.worker.clock.tick();
        if self.session.futile_requests.spend(tick) { Ok(()) } else { Err(Code::EnhanceYourCalm) }
    }

    fn spend_frame(&self) -> Result<(), Fault> {
        let tick = self.session.worker.clock.tick();
        if self.session.empty_frames.spend(tick) { Ok(()) } else { Err(Connection(Code::EnhanceYourCalm)) }
    }

    fn frame(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        match head.kind {
            FrameKind::Data => return self.data(head, payload),
            FrameKind::Headers => return self.headers(head, payload),
            FrameKind::Continuation => return self.continuation(head, payload),
            _ => self.spend_frame()?,
        }
        match head.kind {
            FrameKind::Priority => self.priority(head, payload),
            FrameKind::RstStream => self.reset(head),
            FrameKind::Settings => self.settings(head, payload).map_err(Connection),
            FrameKind::WindowUpdate => self.window_update(head, number(payload).unwrap_or(0)),
            FrameKind::Ping if !head.has(flag::ACK) => {
                self.session.put(|out| h2::put_ping(out, true, payload));
                Ok(())
            }
            FrameKind::Ping => {
                self.said.pong |= payload == FAREWELL;
                Ok(())
            }
            FrameKind::GoAway => {
                self.said.goaway = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The stream, while it is open. One that was never used is none that a frame can be of (section 5.1).
    fn used(&self, id: u32) -> Result<Option<Rc<State>>, Fault> {
        if id > self.last || id.is_multiple_of(2) {
            return Err(Connection(Code::ProtocolError));
        }
        Ok(self.session.find(id))
    }

    /// Section 6.1.
    fn data(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let session = &self.session;
        // padding and what nobody waits for count as well
        let length = payload.len() as u32;
        session.receive(length).map_err(Connection)?;
        let (bytes, _) = content(head, payload).map_err(Connection)?;
        let Some(state) = self.used(head.stream)? else {
            session.release(length);
            return not_open(session.fate(head.stream), Code::StreamClosed);
        };
        let mut content = state.content.borrow_mut();
        let ends = head.has(flag::END_STREAM);
        let taken = if content.is_ended() { Err(Code::StreamClosed) } else { content.take(bytes, length) };
        session.release(length - if taken.is_ok() { bytes.len() as u32 } else { 0 });
        let taken = taken.and_then(|()| if ends { content.end(None) } else { Ok(()) });
        drop(content);
        taken.map_err(Stream)?;
        state.wake();
        if bytes.is_empty() && !ends {
            return self.spend_frame();
        }
        // of padding, and no more
        if length > bytes.len() as u32 {
            session.release_stream(&state);
        }
        Ok(())
    }

    /// Section 6.2.
    fn headers(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        self.session.empty_frames.earn(EACH_REQUEST);
        let (fragment, depends) = content(head, payload).map_err(Connection)?;
        let ends = head.has(flag::END_STREAM);
        if !head.has(flag::END_HEADERS) {
            let fragment = fragment.to_vec();
            self.block = Some(Block { stream: head.stream, ends, fragment, frames: 0 });
            return Ok(());
        }
        self.whole_block(head.stream, ends, fragment)?;
        // RFC 7540 section 5.3.1: priorities mean nothing any more, and this one never did
        if depends == Some(head.stream) { Err(Stream(Code::ProtocolError)) } else { Ok(()) }
    }

    /// Section 6.10.
    fn continuation(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let Some(mut block) = self.block.take() else { return Err(Connection(Code::ProtocolError)) };
        block.fragment.extend_from_slice(payload);
        block.frames += 1;
        if block.fragment.len() > BLOCK_LIMIT || block.frames > BLOCK_FRAMES {
            return Err(Connection(Code::EnhanceYourCalm));
        }
        if head.has(flag::END_HEADERS) {
            return self.whole_block(block.stream, block.ends, &block.fragment);
        }
        self.block = Some(block);
        Ok(())
    }

    /// A field block, which changes the decoder's table whatever it is for.
    fn whole_block(&mut self, id: u32, ends: bool, block: &[u8]) -> Result<(), Fault> {
        let mut section = self.session.worker.pool.section();
        let decoded = self.decoder.decode(block, HEAD_LIMIT, &mut section);
        let taken = match decoded {
            Err(Undecodable::Undecodable) => Err(Connection(Code::CompressionError)),
            Err(Undecodable::TooLarge) => self.section(id, ends, None),
            Ok(()) => self.section(id, ends, Some(&section)),
        };
        self.session.worker.pool.give_section(section);
        taken
    }

    /// A head, or trailers; none when there are too many of them.
    fn section(&mut self, id: u32, ends: bool, section: Option<&FieldSection>) -> Result<(), Fault> {
        // section 5.1.1
        if id.is_multiple_of(2) {
            return Err(Connection(Code::ProtocolError));
        }
        if id <= self.last {
            return self.trailers(id, ends, section);
        }
        self.last = id;
        if id > self.bar {
            return Err(Stream(Code::RefusedStream));
        }
        self.requests += 1;
        super::begin(&self.session, id, ends, section).map_err(Stream)
    }

    fn trailers(&self, id: u32, ends: bool, section: Option<&FieldSection>) -> Result<(), Fault> {
        let Some(state) = self.session.find(id) else {
            // section 5.1.1: a stream that was passed over
            return not_open(self.session.fate(id), Code::ProtocolError);
        };
        let mut content = state.content.borrow_mut();
        if content.is_ended() {
            return Err(Stream(Code::StreamClosed));
        }
        // section 8.1: nothing comes behind them
        if !ends {
            return Err(Stream(Code::ProtocolError));
        }
        let section = section.ok_or(Stream(Code::EnhanceYourCalm))?;
        let trailers = translate::trailers(section).map_err(|_| Stream(Code::ProtocolError))?;
        let ended = content.end(Some(trailers));
        drop(content);
        state.wake();
        ended.map_err(Stream)
    }

    /// Section 6.3: it means nothing any more.
    fn priority(&self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let fault = match (head.is_of_fit_length(), number(payload)) {
            (false, _) => Code::FrameSizeError,
            (true, Some(on)) if on == head.stream => Code::ProtocolError,
            (true, _) => return Ok(()),
        };
        // of a stream that is not open there is nothing to reset
        Err(if self.session.find(head.stream).is_some() { Stream(fault) } else { Connection(fault) })
    }

    /// Section 6.4.
    fn reset(&self, head: &FrameHead) -> Result<(), Fault> {
        if let Some(state) = self.used(head.stream)? {
            self.session.reset_by_client(&state);
            self.spend_request().map_err(Connection)?;
        }
        Ok(())
    }

    /// Section 6.5.
    fn settings(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Code> {
        self.has_begun = true;
        if head.has(flag::ACK) {
            // there is but one to be acknowledged
            let is_second = std::mem::replace(&mut self.acknowledged, true);
            return if is_second { Err(Code::ProtocolError) } else { Ok(()) };
        }
        self.session.update(payload)?;
        self.session.put(|out| h2::put_frame_head(out, FrameKind::Settings, flag::ACK, 0, 0));
        Ok(())
    }

    /// Section 6.9.
    fn window_update(&self, head: &FrameHead, increment: u32) -> Result<(), Fault> {
        if head.stream == 0 {
            if increment == 0 {
                return Err(Connection(Code::ProtocolError));
            }
            return self.session.open_window(increment).map_err(|TooWide| Connection(Code::FlowControlError));
        }
        // one that is not open any more may have been when this was sent
        let Some(state) = self.used(head.stream)? else { return Ok(()) };
        if increment == 0 {
            return Err(Stream(Code::ProtocolError));
        }
        state.move_window(increment.into()).map_err(|TooWide| Stream(Code::FlowControlError))
    }
}

/// What a frame for a stream that is not open any more comes to (section 5.1); `unknown` where nothing is known of it.
fn not_open(fate: Fate, unknown: Code) -> Result<(), Fault> {
    match fate {
        Fate::Reset(By::Us) => Ok(()),
        Fate::Reset(By::Client) => Err(Stream(Code::StreamClosed)),
        Fate::Ended => Err(Connection(Code::StreamClosed)),
        Fate::Unknown => Err(Connection(unknown)),
    }
}
