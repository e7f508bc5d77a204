//! Unidirectional streams of a client (RFC 9114 section 6.2): settings and what follows them, and QPACK's streams, on which
//! there is nothing to say without a dynamic table.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use headworks_message::h3::{Code, FrameKind, Settings, integer, stream};

use super::Shared;
use super::frames::{Fault, Frames};

/// The longest SETTINGS, and the longest frame of those that hold one number.
const SETTINGS_LIMIT: u64 = 4096;
const NUMBER_LIMIT: u64 = 8;

/// The streams of which there may be one each.
#[derive(Default)]
pub(super) struct Critical {
    control: Cell<bool>,
    encoder: Cell<bool>,
    decoder: Cell<bool>,
}

/// Reads a stream until it ends, and ends the connection if it breaks the rules.
pub(super) async fn run(mut frames: Frames, shared: Rc<Shared>) {
    if let Err(Fault::Connection(code)) = read(&mut frames, &shared).await {
        shared.evict(code);
    }
}

async fn read(frames: &mut Frames, shared: &Shared) -> Result<(), Fault> {
    // one that ends before it says what it is may be given up
    let Ok(Some(kind)) = poll_fn(|cx| frames.poll_stream_type(cx)).await else { return Ok(()) };
    let is_second = |seen: &Cell<bool>| seen.replace(true);
    let critical = &shared.critical;
    match kind {
        stream::PUSH => Err(Fault::Connection(Code::StreamCreationError)),
        stream::CONTROL if is_second(&critical.control) => Err(Fault::Connection(Code::StreamCreationError)),
        stream::QPACK_ENCODER if is_second(&critical.encoder) => Err(Fault::Connection(Code::StreamCreationError)),
        stream::QPACK_DECODER if is_second(&critical.decoder) => Err(Fault::Connection(Code::StreamCreationError)),
        stream::CONTROL => control(frames, shared).await,
        stream::QPACK_ENCODER => {
            instructions(frames, Code::QpackEncoderStreamError, |byte| byte == SET_CAPACITY_0).await
        }
        stream::QPACK_DECODER => instructions(frames, Code::QpackDecoderStreamError, |_| false).await,
        _ => {
            // section 6.2: one nobody knows is no error
            frames.stop(Code::StreamCreationError);
            shared.spend();
            Ok(())
        }
    }
}

/// RFC 9204 section 4.3.1.
const SET_CAPACITY_0: u8 = 0x20;

/// The control stream: SETTINGS first, then what concerns the connection.
async fn control(frames: &mut Frames, shared: &Shared) -> Result<(), Fault> {
    let mut payload = Vec::new();
    let mut push_limit = 0;
    let mut is_first = true;
    loop {
        let frame = poll_fn(|cx| frames.poll_head(cx)).await.map_err(critical)?;
        let frame = frame.ok_or(Fault::Connection(Code::ClosedCriticalStream))?;
        if is_first != (frame.kind == FrameKind::Settings) {
            let code = if is_first { Code::MissingSettings } else { Code::FrameUnexpected };
            return Err(Fault::Connection(code));
        }
        is_first = false;
        let limit = match frame.kind {
            FrameKind::Settings => SETTINGS_LIMIT,
            FrameKind::GoAway | FrameKind::MaxPushId | FrameKind::CancelPush => NUMBER_LIMIT,
            FrameKind::Unknown => {
                poll_fn(|cx| frames.poll_skip(cx)).await.map_err(critical)?;
                shared.spend();
                continue;
            }
            _ => return Err(Fault::Connection(Code::FrameUnexpected)),
        };
        if frame.length > limit {
            return Err(Fault::Connection(Code::ExcessiveLoad));
        }
        payload.clear();
        poll_fn(|cx| frames.poll_whole(&mut payload, cx)).await.map_err(critical)?;
        if frame.kind == FrameKind::Settings {
            let settings = Settings::parse(&payload).map_err(Fault::Connection)?;
            shared.section_limit.set(settings.max_field_section_size.unwrap_or(u64::MAX));
            continue;
        }
        let number = integer(&payload).filter(|(_, length)| *length == payload.len());
        let (number, _) = number.ok_or(Fault::Connection(Code::FrameError))?;
        shared.spend();
        match frame.kind {
            // section 7.2.7: it must not shrink
            FrameKind::MaxPushId if number < push_limit => return Err(Fault::Connection(Code::IdError)),
            FrameKind::MaxPushId => push_limit = number,
            // section 7.2.3: nothing was ever promised
            FrameKind::CancelPush => return Err(Fault::Connection(Code::IdError)),
            // the client goes when its requests are answered, as it would anyway
            _ => {}
        }
    }
}

/// A stream of QPACK instructions, of which none but those that `takes` has can be: each is a byte without a dynamic table.
/// A stream cancellation, which any decoder may send, is one more (RFC 9204 section 4.4.2).
async fn instructions(frames: &mut Frames, wrong: Code, takes: impl Fn(u8) -> bool) -> Result<(), Fault> {
    let mut in_cancellation = false;
    while let Some(byte) = poll_fn(|cx| frames.poll_byte(cx)).await.map_err(critical)? {
        let is_cancellation = wrong == Code::QpackDecoderStreamError && (in_cancellation || byte & 0xc0 == 0x40);
        if is_cancellation {
            // the stream's number goes on while its bytes say so (RFC 7541 section 5.1)
            in_cancellation = if in_cancellation { byte & 0x80 != 0 } else { byte & 0x3f == 0x3f };
        } else if !takes(byte) {
            return Err(Fault::Connection(wrong));
        }
    }
    Err(Fault::Connection(Code::ClosedCriticalStream))
}

/// Section 6.2.1: a stream that must stay open and does not.
fn critical(fault: Fault) -> Fault {
    match fault {
        Fault::Gone | Fault::Stream(_) => Fault::Connection(Code::ClosedCriticalStream),
        fault => fault,
    }
}
