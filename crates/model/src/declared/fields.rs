//! The keys of one mapping while it is read.

use super::{Cx, Step, nearest};
use crate::yaml::{Entry, Mark, Node};

/// A mapping, or a single value that stands for one of its keys.
pub(crate) struct Fields<'a> {
    node: &'a Node<'a>,
    entries: &'a [Entry<'a>],
    short: Option<&'static str>,
}

impl<'a> Fields<'a> {
    /// Takes `node` as a mapping and faults its unknown keys. A value that is no mapping is taken for the key `short`.
    pub(crate) fn of(
        node: &'a Node<'a>,
        keys: &[&str],
        short: Option<&'static str>,
        expected: impl FnOnce() -> String,
        cx: &mut Cx<'a>,
    ) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            if short.is_some() && !node.is_null() {
                return Some(Self { node, entries: &[], short });
            }
            cx.wrong_kind(node, expected());
            return None;
        };
        for entry in entries {
            if !keys.contains(&&*entry.key) {
                unknown(entry, keys, cx);
            }
        }
        Some(Self { node, entries, short: None })
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node<'a>> {
        match self.short {
            Some(short) => (short == key).then_some(self.node),
            None => self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
        }
    }

    /// Whether a key has a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| !node.is_null())
    }

    /// Whether it is a single value that stands for a key.
    pub(crate) fn is_short(&self) -> bool {
        self.short.is_some()
    }

    /// Where the mapping begins.
    pub(crate) fn mark(&self) -> Mark {
        self.node.mark
    }

    /// A key that must be there is not.
    pub(crate) fn missing(&self, key: &'static str, expected: impl Into<String>, cx: &mut Cx<'a>) {
        cx.within(Step::Key(key), |cx| cx.fault(self.node.mark, "is missing", Some(expected.into())));
    }

    /// A key has a value that does not go with the others.
    pub(crate) fn wrong(
        &self,
        key: &'static str,
        what: impl Into<String>,
        expected: impl Into<String>,
        cx: &mut Cx<'a>,
    ) {
        let mark = self.get(key).map_or(self.node.mark, |node| node.mark);
        cx.within(Step::Key(key), |cx| cx.fault(mark, what, Some(expected.into())));
    }

    /// A key is given that has no meaning here: `why`.
    pub(crate) fn only_with(&self, key: &'static str, why: &str, cx: &mut Cx<'a>) {
        if self.has(key) {
            self.wrong(key, "has no meaning here", why, cx);
        }
    }
}

impl<'a> Fields<'a> {
    /// A key inside the mapping of another is given that has no meaning here: `why`.
    pub(crate) fn inner_only_with(&self, key: &'static str, inner: &'static str, why: &str, cx: &mut Cx<'a>) {
        let node = self.get(key).and_then(|node| node.get(inner)).filter(|node| !node.is_null());
        if let Some(node) = node {
            let fault = |cx: &mut Cx<'a>| cx.fault(node.mark, "has no meaning here", Some(why.to_owned()));
            cx.within(Step::Key(key), |cx| cx.within(Step::Key(inner), fault));
        }
    }
}

/// Faults an unknown key, with what it may have been meant to be.
pub(crate) fn unknown<'a>(entry: &'a Entry, keys: &[&str], cx: &mut Cx<'a>) {
    let hint = nearest(&entry.key, keys.iter().copied()).map(|near| format!(" (did you mean {near}?)"));
    let expected = format!("one of {}{}", keys.join(", "), hint.unwrap_or_default());
    cx.within(Step::Key(&entry.key), |cx| cx.fault(entry.mark, "unknown key", Some(expected)));
}
