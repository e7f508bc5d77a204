//! Which rules are worth a look for a request: a small decision tree over host, path, one header and one parameter.
//!
//! A branch reads one subject and has a [`TextIndex`] from the literal part of the rules' patterns to smaller groups of
//! rules, and another group for the rules that say nothing useful about the subject. A leaf is a list of rules, ascending.
//! The index only proposes: every proposed rule is checked in full, so that being too generous here is never wrong.
//! Every group knows its first rule and is skipped once a better one has matched.
//! Deliberately absent: an index by method or address (few distinct values, cheap to check).

mod build;
mod text;

use std::net::IpAddr;
use std::ops::Range;

use headworks_message::RequestView;

use crate::condition::{Subject, Test, parameters};
use crate::exact::Exact;
use crate::index::text::{Hit, TextIndex};

pub(crate) use crate::index::build::build;

/// The tree. Nodes refer to each other by place.
#[derive(Debug)]
pub(crate) struct Index {
    nodes: Box<[Node]>,
    /// The leaves' lists, one after the other.
    lists: Box<[u32]>,
    root: u32,
}

#[derive(Debug)]
struct Node {
    /// The first rule below; `u32::MAX` when there is none.
    first: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Rules, as a range of the lists.
    List(u32, u32),
    Branch(Box<Branch>),
}

#[derive(Debug)]
struct Branch {
    by: By,
    /// Rules that the subject does not tell apart.
    others: Option<u32>,
}

#[derive(Debug)]
enum By {
    Text(Subject, TextIndex),
    /// Field names to an index of values each.
    Header(Keyed),
    /// Parameter keys to an index of values each.
    Query(Keyed),
}

/// An index of values for each of several names.
#[derive(Debug)]
struct Keyed {
    names: Exact,
    values: Box<[TextIndex]>,
}

/// One request on its way through the tree.
struct Search<'t, 'r> {
    index: &'t Index,
    rules: &'t [Box<[Test]>],
    request: &'r RequestView<'r>,
    peer: IpAddr,
    /// The lowest rule that matched so far.
    best: u32,
}

impl Index {
    /// The first of `rules` that matches.
    #[inline]
    pub(crate) fn find(&self, rules: &[Box<[Test]>], request: &RequestView<'_>, peer: IpAddr) -> Option<u32> {
        let mut search = Search { index: self, rules, request, peer, best: u32::MAX };
        search.visit(self.root);
        (search.best != u32::MAX).then_some(search.best)
    }
}

impl Search<'_, '_> {
    fn visit(&mut self, node: u32) {
        let Some(node) = self.index.nodes.get(node as usize) else { return };
        if node.first >= self.best {
            return;
        }
        match &node.kind {
            // A list of one need not be read.
            Kind::List(start, end) if start + 1 == *end => self.try_rule(node.first),
            Kind::List(start, end) => self.list(*start as usize..*end as usize),
            Kind::Branch(branch) => {
                self.branch(&branch.by);
                if let Some(others) = branch.others {
                    self.visit(others);
                }
            }
        }
    }

    fn branch(&mut self, by: &By) {
        match by {
            By::Text(subject, index) => self.text(index, subject.of(self.request)),
            By::Header(keyed) => {
                for (name, value) in self.request.fields() {
                    self.keyed(keyed, name, value);
                }
            }
            By::Query(keyed) => {
                for (key, value) in parameters(self.request) {
                    self.keyed(keyed, key, value);
                }
            }
        }
    }

    fn keyed(&mut self, keyed: &Keyed, name: &[u8], value: &[u8]) {
        if let Some(index) = keyed.names.find(name).and_then(|place| keyed.values.get(place as usize)) {
            self.text(index, value);
        }
    }

    #[inline]
    fn text(&mut self, index: &TextIndex, text: &[u8]) {
        index.search(text, self.best, |hit| {
            match hit {
                Hit::Group(node) => self.visit(node),
                Hit::Rule(rule) => self.try_rule(rule),
            }
            self.best
        });
    }

    fn list(&mut self, range: Range<usize>) {
        for rule in self.index.lists.get(range).unwrap_or_default() {
            if *rule >= self.best {
                return;
            }
            self.try_rule(*rule);
        }
    }

    #[inline]
    fn try_rule(&mut self, rule: u32) {
        if rule < self.best
            && let Some(tests) = self.rules.get(rule as usize)
            && tests.iter().all(|test| test.holds(self.request, self.peer))
        {
            self.best = rule;
        }
    }
}
