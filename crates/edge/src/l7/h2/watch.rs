//! Frame heads on their way in: what the `h2` crate lets pass and we do not. Lengths that a frame's type cannot have, and
//! floods of frames that carry nothing: each is answered or thrown away at once, but nothing else would ever end them.
//!
//! Nothing is copied or held back: bytes are looked at where they were read, and at most cut short.

use ::h2::Reason;

/// Frames that carry nothing, which a client may send ahead of what it earns. Far above what any client needs.
const ALLOWANCE: u32 = 10_000;
/// What a client earns in a tick.
const EACH_TICK: u32 = 250;
/// What a client earns with a request: it may be given up, and its window moved.
const EACH_REQUEST: u32 = 4;
/// Bytes sent that earn a client one frame: whoever downloads acknowledges. Much longer than our answer to any such frame.
const EACH_BYTES: u32 = 128;

const HEAD: usize = 9;

/// What is known of a connection's frames.
pub(super) struct Watch {
    head: [u8; HEAD],
    /// Of the head, the bytes that have come.
    have: usize,
    /// Bytes until the next head.
    skip: usize,
    is_first: bool,
    allowance: u32,
    tick: u32,
    sent: u32,
}

impl Watch {
    /// Of a connection that begins with so many bytes that are no frame.
    pub(super) fn new(preface: usize, tick: u32) -> Watch {
        Watch { head: [0; HEAD], have: 0, skip: preface, is_first: true, allowance: ALLOWANCE, tick, sent: 0 }
    }

    /// Looks at what has been read.
    ///
    /// # Errors
    /// When the connection must end with one of the frames: the bytes before that frame, and why.
    pub(super) fn received(&mut self, bytes: &[u8], tick: u32) -> Result<(), (usize, Reason)> {
        let mut at = 0;
        while at < bytes.len() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len() - at);
                self.skip -= skipped;
                at += skipped;
                continue;
            }
            let from = at;
            while self.have < HEAD
                && let (Some(byte), Some(place)) = (bytes.get(at), self.head.get_mut(self.have))
            {
                *place = *byte;
                self.have += 1;
                at += 1;
            }
            if self.have == HEAD {
                self.have = 0;
                self.judge(tick).map_err(|reason| (from, reason))?;
            }
        }
        Ok(())
    }

    /// So many bytes went out.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.earn(self.sent / EACH_BYTES);
        self.sent %= EACH_BYTES;
    }

    fn earn(&mut self, frames: u32) {
        self.allowance = self.allowance.saturating_add(frames).min(ALLOWANCE);
    }

    /// Judges the frame whose head is whole (RFC 9113 sections 4.2 and 6).
    fn judge(&mut self, tick: u32) -> Result<(), Reason> {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.skip = length;
        let is_first = std::mem::replace(&mut self.is_first, false);
        let has = |flag: u8| flags & flag != 0;
        let fits = match kind {
            DATA => length >= usize::from(has(PADDED)),
            HEADERS => length >= usize::from(has(PADDED)) + if has(PRIORITIZED) { 5 } else { 0 },
            PRIORITY => length == 5,
            SETTINGS if has(ACK) => length == 0,
            SETTINGS => length.is_multiple_of(6),
            PING => length == 8,
            GOAWAY => length >= 8,
            RST_STREAM | WINDOW_UPDATE => length == 4,
            _ => true,
        };
        if is_first && (kind != SETTINGS || has(ACK)) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if !fits {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        match kind {
            HEADERS => self.earn(EACH_REQUEST),
            // how many of these may be small or empty is the crate's to say
            DATA | CONTINUATION => {}
            _ => {
                self.earn((tick.wrapping_sub(self.tick)).saturating_mul(EACH_TICK));
                self.tick = tick;
                self.allowance = self.allowance.checked_sub(1).ok_or(Reason::ENHANCE_YOUR_CALM)?;
            }
        }
        Ok(())
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const PADDED: u8 = 0x8;
const PRIORITIZED: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 0];
        frame.resize(HEAD + usize::from(length), 0);
        frame
    }

    /// However the bytes are cut, the same frame is refused.
    #[test]
    fn in_pieces() {
        let fine = [vec![7; 24], frame(SETTINGS, 6), frame(HEADERS, 30), frame(DATA, 200), frame(PING, 8)].concat();
        let bytes = [fine.clone(), frame(PING, 7), frame(DATA, 1)].concat();
        for piece in 1..=bytes.len() {
            let mut watch = Watch::new(24, 0);
            let mut passed = 0;
            for bytes in bytes.chunks(piece) {
                match watch.received(bytes, 0) {
                    Ok(()) => passed += bytes.len(),
                    Err((at, reason)) => {
                        assert_eq!(reason, Reason::FRAME_SIZE_ERROR);
                        passed += at;
                        break;
                    }
                }
            }
            // of a head that came in pieces, the first ones have passed: without its end it is nothing
            assert!((fine.len()..fine.len() + HEAD).contains(&passed), "{piece}: {passed}");
        }
    }

    /// What is spent and not earned ends the connection; what is earned does not.
    #[test]
    fn floods() {
        type Between = fn(&mut Watch);
        let rows: [(&str, u8, Between, bool); 5] = [
            ("pings", PING, |_| {}, true),
            ("pings and their answers", PING, |watch| watch.sent(17), true),
            ("window updates of a download", WINDOW_UPDATE, |watch| watch.sent(16384), false),
            (
                "resets of requests",
                RST_STREAM,
                |watch| assert_eq!(watch.received(&frame(HEADERS, 1), 0), Ok(())),
                false,
            ),
            ("types that are not known", 0xfa, |_| {}, true),
        ];
        for (name, kind, between, ends) in rows {
            let mut watch = Watch::new(0, 0);
            assert_eq!(watch.received(&frame(SETTINGS, 0), 0), Ok(()));
            let length = if kind == PING { 8 } else { 4 };
            let mut refused = None;
            for number in 0..3 * ALLOWANCE {
                between(&mut watch);
                if let Err((_, reason)) = watch.received(&frame(kind, length), 0) {
                    refused = Some((number, reason));
                    break;
                }
            }
            assert_eq!(refused.map(|r| r.1), ends.then_some(Reason::ENHANCE_YOUR_CALM), "{name}");
            assert!(refused.is_none_or(|(number, _)| number + 2 >= ALLOWANCE), "{name}: too early");
        }
    }

    #[test]
    fn time_earns() {
        let mut watch = Watch::new(0, 0);
        assert_eq!(watch.received(&frame(SETTINGS, 0), 0), Ok(()));
        for number in 0..5 * ALLOWANCE {
            assert_eq!(watch.received(&frame(PING, 8), number / 200), Ok(()), "{number}");
        }
    }
}
