//! A radix trie over bytes: finds all the keys that a text begins (or ends) with in one walk.
//!
//! The work is bounded by the length of the text whatever a client sends, nothing is copied or lower-cased first, and
//! there is no length a text must keep to. Built once, never changed. Nodes are laid out breadth first in one vector, so
//! that siblings are neighbours.

use std::borrow::Cow;
use std::ops::Range;

use crate::wildcard::Case;

/// From which end texts are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the first byte: finds prefixes.
    Forward,
    /// From the last byte: finds suffixes.
    Backward,
}

/// The finished trie. Its values are whatever the index counts with.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    direction: Direction,
    case: Case,
    nodes: Box<[Node]>,
    /// First byte of each node's label, in the order of `nodes`.
    firsts: Box<[u8]>,
    /// Labels, each in the direction of the text.
    labels: Box<[u8]>,
}

/// No value.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    label: u32,
    label_len: u32,
    children: u32,
    children_len: u32,
    value: u32,
}

impl Node {
    fn label(&self) -> Range<usize> {
        self.label as usize..(self.label + self.label_len) as usize
    }
}

impl Direction {
    #[inline]
    fn first(self, text: &[u8]) -> Option<&u8> {
        match self {
            Direction::Forward => text.first(),
            Direction::Backward => text.last(),
        }
    }

    /// The first `len` bytes to be read, and those after them.
    #[inline]
    fn split(self, text: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
        match self {
            Direction::Forward => text.split_at_checked(len),
            Direction::Backward => {
                let (left, piece) = text.split_at_checked(text.len().checked_sub(len)?)?;
                Some((piece, left))
            }
        }
    }
}

impl Trie {
    /// Builds a trie of `entries`, whose keys are distinct, in the direction of the text, and lower case when `case` is
    /// insensitive.
    pub(crate) fn new(direction: Direction, case: Case, mut entries: Vec<(Cow<'_, [u8]>, u32)>) -> Trie {
        if direction == Direction::Backward {
            for (key, _) in &mut entries {
                key.to_mut().reverse();
            }
        }
        entries.sort_unstable();
        let mut builder = Builder { direction, nodes: Vec::new(), firsts: Vec::new(), labels: Vec::new() };
        builder.build(&entries);
        Trie {
            direction,
            case,
            nodes: builder.nodes.into(),
            firsts: builder.firsts.into(),
            labels: builder.labels.into(),
        }
    }

    /// Calls `hit` with the value of every key that `text` begins (ends) with; shortest first.
    #[inline]
    pub(crate) fn walk(&self, text: &[u8], mut hit: impl FnMut(u32)) {
        let mut rest = text;
        let Some(mut node) = self.nodes.first() else { return };
        loop {
            if node.value != NONE {
                hit(node.value);
            }
            let Some(next) = self.direction.first(rest) else { return };
            let Some(child) = self.child(node, self.case.fold(*next)) else { return };
            let Some((piece, left)) = self.direction.split(rest, child.label_len as usize) else { return };
            // The first byte is known to be the same, and most labels of a crowded trie are one byte.
            if child.label_len > 1 && !self.labels.get(child.label()).is_some_and(|label| self.case.equal(piece, label))
            {
                return;
            }
            rest = left;
            node = child;
        }
    }

    #[inline]
    fn child(&self, node: &Node, byte: u8) -> Option<&Node> {
        let start = node.children as usize;
        let firsts = self.firsts.get(start..start + node.children_len as usize)?;
        let place = match firsts {
            [only] => (*only == byte).then_some(0),
            few if few.len() <= 8 => few.iter().position(|b| *b == byte),
            many => memchr::memchr(byte, many),
        };
        self.nodes.get(start + place?)
    }
}

struct Builder {
    direction: Direction,
    nodes: Vec<Node>,
    firsts: Vec<u8>,
    labels: Vec<u8>,
}

impl Builder {
    /// Breadth first over ranges of the sorted entries that share their first `depth` bytes.
    fn build(&mut self, entries: &[(Cow<'_, [u8]>, u32)]) {
        self.push(&[]);
        let mut waiting = std::collections::VecDeque::from([(0_usize, 0_usize, entries)]);
        while let Some((at, depth, mut entries)) = waiting.pop_front() {
            let own = entries.iter().take_while(|(key, _)| key.len() == depth).count();
            let children = self.nodes.len();
            if let Some(node) = self.nodes.get_mut(at) {
                for (_, value) in entries.iter().take(own) {
                    node.value = *value;
                }
                node.children = children as u32;
            }
            entries = entries.get(own..).unwrap_or_default();
            while let (Some((first, _)), rest) = (entries.first(), entries) {
                let byte = first.get(depth).copied();
                let group = rest.partition_point(|(key, _)| key.get(depth).copied() <= byte);
                let (group, rest) = rest.split_at(group);
                let end = group.last().map_or(depth, |(last, _)| common(first, last));
                self.push(first.get(depth..end).unwrap_or_default());
                waiting.push_back((self.nodes.len() - 1, end, group));
                entries = rest;
            }
            let count = self.nodes.len() - children;
            if let Some(node) = self.nodes.get_mut(at) {
                node.children_len = count as u32;
            }
        }
    }

    /// Adds a node whose label, in the direction of the walk, is `label`.
    fn push(&mut self, label: &[u8]) {
        let start = self.labels.len() as u32;
        match self.direction {
            Direction::Forward => self.labels.extend_from_slice(label),
            Direction::Backward => self.labels.extend(label.iter().rev()),
        }
        self.firsts.push(label.first().copied().unwrap_or_default());
        let label_len = label.len() as u32;
        self.nodes.push(Node { label: start, label_len, children: 0, children_len: 0, value: NONE });
    }
}

/// Number of bytes that two texts begin with alike.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(direction: Direction, case: Case, keys: &[&str], text: &str, expected: &[u32]) {
        let entries = keys.iter().zip(0..).map(|(k, i)| (k.as_bytes().into(), i)).collect();
        let mut hits = Vec::new();
        Trie::new(direction, case, entries).walk(text.as_bytes(), |v| hits.push(v));
        assert_eq!(hits, expected, "{text}");
    }

    #[test]
    fn finds_every_prefix() {
        let keys = ["/", "/api/", "/apple", "/api/v1"];
        let check = |text, expected| check(Direction::Forward, Case::Sensitive, &keys, text, expected);
        check("/", &[0]);
        check("", &[]);
        check("/api", &[0]);
        check("/api/", &[0, 1]);
        check("/api/v1", &[0, 1, 3]);
        check("/api/v12", &[0, 1, 3]);
        check("/apple", &[0, 2]);
        check("/appl", &[0]);
        check("/API/", &[0]);
        check("x", &[]);
    }

    #[test]
    fn finds_every_suffix_without_case() {
        let keys = [".example.com", "a.example.com", ".com", ""];
        let check = |text, expected| check(Direction::Backward, Case::Insensitive, &keys, text, expected);
        check("a.example.com", &[3, 2, 0, 1]);
        check("A.EXAMPLE.com", &[3, 2, 0, 1]);
        check("b.a.example.com", &[3, 2, 0, 1]);
        check("example.COM", &[3, 2]);
        check("com", &[3]);
        check(&"x.".repeat(1_000), &[3]);
    }

    #[test]
    fn finds_each_of_many() {
        let keys: Vec<String> = (0..300_u32).map(|i| format!("{}{}", char::from((i % 23) as u8 + b'a'), i)).collect();
        let entries = keys.iter().zip(0..).map(|(k, i)| (k.as_bytes().into(), i)).collect();
        let trie = Trie::new(Direction::Forward, Case::Sensitive, entries);
        for (key, place) in keys.iter().zip(0..) {
            let mut last = None;
            trie.walk(key.as_bytes(), |v| last = Some(v));
            assert_eq!(last, Some(place));
        }
    }

    #[test]
    fn an_empty_trie_finds_nothing() {
        check(Direction::Forward, Case::Sensitive, &[], "x", &[]);
    }
}
