//! Streams that were: what still comes for them is told from what comes for streams that never were (RFC 9113 section 5.1).

use std::collections::VecDeque;

/// Streams whose reset is remembered: what is still on its way for them is no error.
const RESETS: usize = 256;
/// Streams whose end is remembered.
const ENDS: usize = 32;

/// The last of them.
#[derive(Default)]
pub(super) struct Closed {
    resets: VecDeque<(u32, By)>,
    ends: VecDeque<u32>,
}

/// Who has reset a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Client,
    /// The client may not have known.
    Us,
}

/// What became of a stream that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Both sides have said their last.
    Ended,
    Reset(By),
    /// It never was, or that is long ago.
    Unknown,
}

impl Closed {
    pub(super) fn ended(&mut self, id: u32) {
        remember(&mut self.ends, ENDS, id);
    }

    pub(super) fn reset(&mut self, id: u32, by: By) {
        remember(&mut self.resets, RESETS, (id, by));
    }

    pub(super) fn fate(&self, id: u32) -> Fate {
        match self.resets.iter().rev().find(|(other, _)| *other == id) {
            Some((_, by)) => Fate::Reset(*by),
            None if self.ends.contains(&id) => Fate::Ended,
            None => Fate::Unknown,
        }
    }
}

fn remember<T>(memory: &mut VecDeque<T>, most: usize, item: T) {
    if memory.len() == most {
        memory.pop_front();
    }
    memory.push_back(item);
}
