//! The dynamic table of a decoder (RFC 7541 section 2.3.2).

use std::collections::VecDeque;

use crate::section::FIELD_OVERHEAD;

/// SETTINGS_HEADER_TABLE_SIZE as long as nobody says otherwise (RFC 9113 section 6.5.2), and we do not.
const LIMIT: usize = 4096;

/// Fields that were sent before; the oldest give way.
#[derive(Debug)]
pub(super) struct Dynamic {
    /// Names and values, the oldest first, behind those that have given way.
    text: Vec<u8>,
    /// The oldest first.
    entries: VecDeque<Entry>,
    /// Bytes as the RFC counts them (section 4.1).
    size: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    middle: usize,
    end: usize,
}

impl Entry {
    fn size(self) -> usize {
        self.end - self.start + FIELD_OVERHEAD
    }
}

impl Default for Dynamic {
    fn default() -> Dynamic {
        Dynamic { text: Vec::new(), entries: VecDeque::new(), size: 0, limit: LIMIT }
    }
}

impl Dynamic {
    /// The entry that is so many older than the newest.
    pub(super) fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let at = self.entries.len().checked_sub(age + 1)?;
        let Entry { start, middle, end } = *self.entries.get(at)?;
        Some((self.text.get(start..middle)?, self.text.get(middle..end)?))
    }

    /// Puts a field in; one that is longer than all the table empties it (section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + FIELD_OVERHEAD;
        self.shrink(self.limit.saturating_sub(size));
        if size > self.limit {
            return;
        }
        self.compact();
        let start = self.text.len();
        self.text.extend_from_slice(name);
        let middle = self.text.len();
        self.text.extend_from_slice(value);
        self.entries.push_back(Entry { start, middle, end: self.text.len() });
        self.size += size;
    }

    /// Changes the size. False when it may not be that much.
    pub(super) fn resize(&mut self, limit: u64) -> bool {
        let Some(limit) = usize::try_from(limit).ok().filter(|limit| *limit <= LIMIT) else { return false };
        self.limit = limit;
        self.shrink(limit);
        true
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Lets go of the oldest entries until no more than `limit` bytes are left.
    fn shrink(&mut self, limit: usize) {
        while self.size > limit
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
        }
        if self.entries.is_empty() {
            self.text.clear();
        }
    }

    /// Lets go of the text of entries that are gone, when it is as much as what is left: each byte is moved about once.
    fn compact(&mut self) {
        let gone = self.entries.front().map_or(0, |oldest| oldest.start);
        if gone > LIMIT {
            self.text.drain(..gone);
            for entry in &mut self.entries {
                *entry = Entry { start: entry.start - gone, middle: entry.middle - gone, end: entry.end - gone };
            }
        }
    }
}
