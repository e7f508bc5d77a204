//! Growing the tree: rules are told apart by host, then path, then a header, then a parameter, while that helps.

use crate::condition::{HeaderTest, QueryTest, Subject, Test};
use crate::exact::Exact;
use crate::index::text::TextIndex;
use crate::index::{Branch, By, Index, Keyed, Kind, Node};
use crate::matcher::{Matcher, Values};
use crate::wildcard::{Case, Key, Wildcard};

/// What a branch can read, in the order in which it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dimension {
    Host,
    Path,
    Header,
    Query,
}

const DIMENSIONS: &[Dimension] = &[Dimension::Host, Dimension::Path, Dimension::Header, Dimension::Query];

/// A list of up to so many rules is checked faster than divided.
const FEW: usize = 8;

/// Regular expressions fewer than this are searched one by one.
const FEW_EXPRESSIONS: usize = 4;

/// Rules with many hosts and many paths stand in hosts x paths lists: past so many entries, groups stay undivided.
const ENTRIES_PER_RULE: usize = 32;
const ENTRIES: usize = 1 << 16;

/// What one value of a condition asks of the text.
enum Want<'r> {
    Literal(Key<'r>),
    Expression(&'r str),
}

/// One value of a rule, with the name it is under (empty for host and path).
struct Entry<'r> {
    name: &'r [u8],
    want: Want<'r>,
    rule: u32,
}

struct Builder<'r> {
    rules: &'r [Box<[Test]>],
    nodes: Vec<Node>,
    lists: Vec<u32>,
    limit: usize,
}

/// Builds the index of `rules`, of which there are fewer than `u32::MAX`.
pub(crate) fn build(rules: &[Box<[Test]>]) -> Index {
    let limit = rules.len().saturating_mul(ENTRIES_PER_RULE).max(ENTRIES);
    let mut builder = Builder { rules, nodes: Vec::new(), lists: Vec::new(), limit };
    let possible = rules.iter().zip(0..).filter(|(tests, _)| !tests.iter().any(|t| matches!(t, Test::Never)));
    let root = builder.node(&possible.map(|(_, rule)| rule).collect::<Vec<_>>(), DIMENSIONS);
    Index { nodes: builder.nodes.into(), lists: builder.lists.into(), root }
}

impl<'r> Builder<'r> {
    /// Adds a node for `group` (ascending), told apart by what is left of the dimensions.
    fn node(&mut self, group: &[u32], dimensions: &[Dimension]) -> u32 {
        if group.len() > FEW && self.lists.len() < self.limit {
            let mut left = dimensions;
            while let Some((dimension, rest)) = left.split_first() {
                left = rest;
                let (keyed, others) = self.divide(group, *dimension, rest);
                // Dividing must leave less behind, or it is not worth its own cost.
                if others.len() + FEW <= group.len() {
                    return self.branch(*dimension, &keyed, &others, rest);
                }
            }
        }
        self.list(group)
    }

    fn list(&mut self, group: &[u32]) -> u32 {
        let start = self.lists.len() as u32;
        self.lists.extend_from_slice(group);
        self.push(group.first().copied(), Kind::List(start, self.lists.len() as u32))
    }

    fn branch(&mut self, dimension: Dimension, keyed: &[u32], others: &[u32], rest: &[Dimension]) -> u32 {
        let first = keyed.first().copied().into_iter().chain(others.first().copied()).min();
        let mut entries: Vec<Entry<'r>> = Vec::with_capacity(keyed.len());
        for rule in keyed {
            self.told(*rule, dimension).into_iter().for_each(|told| told.put(*rule, &mut entries));
        }
        let by = match dimension {
            Dimension::Host => By::Text(Subject::Host, self.text(Subject::Host.case(), entries, rest)),
            Dimension::Path => By::Text(Subject::Path, self.text(Subject::Path.case(), entries, rest)),
            Dimension::Header => By::Header(self.keyed(entries, rest)),
            Dimension::Query => By::Query(self.keyed(entries, rest)),
        };
        let others = if others.is_empty() { None } else { Some(self.node(others, rest)) };
        self.push(first, Kind::Branch(Box::new(Branch { by, others })))
    }

    fn push(&mut self, first: Option<u32>, kind: Kind) -> u32 {
        self.nodes.push(Node { first: first.unwrap_or(u32::MAX), kind });
        (self.nodes.len() - 1) as u32
    }

    /// The rules that the dimension tells apart, and those that it does not.
    fn divide(&self, group: &[u32], dimension: Dimension, later: &[Dimension]) -> (Vec<u32>, Vec<u32>) {
        let mut plain = Vec::with_capacity(group.len());
        let (mut expressions, mut others) = (Vec::new(), Vec::new());
        for rule in group {
            match self.told(*rule, dimension) {
                None => others.push(*rule),
                Some(told) if told.has_expression() => {
                    // A literal further down tells more, and for less, than an expression here.
                    let later = later.iter().filter_map(|d| self.told(*rule, *d)).any(|told| !told.has_expression());
                    if later { others.push(*rule) } else { expressions.push(*rule) }
                }
                Some(_) => plain.push(*rule),
            }
        }
        if expressions.len() < FEW_EXPRESSIONS { &mut others } else { &mut plain }.append(&mut expressions);
        plain.sort_unstable();
        others.sort_unstable();
        (plain, others)
    }

    /// The first test of `rule` on that dimension whose every value can be looked up.
    fn told(&self, rule: u32, dimension: Dimension) -> Option<Told<'r>> {
        let tests: &'r [Test] = self.rules.get(rule as usize)?;
        let is_told = |values: &Values| values.as_slice().iter().all(|value| !is_anything(value));
        tests.iter().find_map(|test| match (dimension, test) {
            (Dimension::Host, Test::Text(Subject::Host, values)) if is_told(values) => Some(Told::Text(values)),
            (Dimension::Path, Test::Text(Subject::Path, values)) if is_told(values) => Some(Told::Text(values)),
            (Dimension::Header, Test::Header(header)) => Some(Told::Header(header)),
            (Dimension::Query, Test::Query(wanted)) => {
                wanted.iter().all(|one| matches!(one.key, Wildcard::Exact(_))).then_some(Told::Query(wanted))
            }
            _ => None,
        })
    }

    /// An index of one text's values, with a node for each distinct value.
    fn text(&mut self, case: Case, entries: Vec<Entry<'r>>, rest: &[Dimension]) -> TextIndex {
        let (mut literals, mut expressions) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            match entry.want {
                Want::Literal(key) => literals.push((key, entry.rule)),
                Want::Expression(text) => expressions.push((text, entry.rule)),
            }
        }
        literals.sort_unstable();
        literals.dedup();
        let mut keys = Vec::new();
        for same in literals.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((key, _)) = same.first() else { continue };
            let group: Vec<u32> = same.iter().map(|(_, rule)| *rule).collect();
            keys.push((key.clone(), self.node(&group, rest)));
        }
        TextIndex::new(case, keys, &expressions)
    }

    /// An index of values for each name.
    fn keyed(&mut self, mut entries: Vec<Entry<'r>>, rest: &[Dimension]) -> Keyed {
        // Stable: within a name, rules stay ascending.
        entries.sort_by(|a, b| a.name.cmp(b.name));
        let (mut names, mut values) = (Vec::new(), Vec::new());
        let mut entries = entries.into_iter().peekable();
        while let Some(first) = entries.next() {
            let name = first.name;
            let mut same = vec![first];
            while let Some(entry) = entries.next_if(|e| e.name == name) {
                same.push(entry);
            }
            names.push((name, values.len() as u32));
            values.push(self.text(Case::Insensitive, same, rest));
        }
        Keyed { names: Exact::new(Case::Insensitive, &names), values: values.into() }
    }
}

/// A test that tells rules apart.
#[derive(Clone, Copy)]
enum Told<'r> {
    /// Of host or path.
    Text(&'r Values),
    /// Having the field at all tells enough where the value tells nothing.
    Header(&'r HeaderTest),
    /// Parameters with literal keys.
    Query(&'r [QueryTest]),
}

impl<'r> Told<'r> {
    fn has_expression(self) -> bool {
        match self {
            Told::Text(values) | Told::Header(HeaderTest { values, .. }) => {
                values.as_slice().iter().any(Matcher::is_regex)
            }
            Told::Query(_) => false,
        }
    }

    /// Appends an entry for each of its values.
    fn put(self, rule: u32, entries: &mut Vec<Entry<'r>>) {
        match self {
            Told::Text(values) => {
                entries.extend(values.as_slice().iter().map(|value| Entry { name: &[], want: want(value), rule }));
            }
            Told::Header(HeaderTest { name, values }) => {
                entries.extend(values.as_slice().iter().map(|value| Entry { name, want: want(value), rule }));
            }
            Told::Query(wanted) => entries.extend(wanted.iter().filter_map(|wanted| {
                let Wildcard::Exact(name) = &wanted.key else { return None };
                Some(Entry { name, want: Want::Literal(wanted.value.key()), rule })
            })),
        }
    }
}

/// Whether a value has no literal part.
fn is_anything(value: &Matcher) -> bool {
    match value {
        Matcher::Wildcard(Wildcard::Exact(_) | Wildcard::Prefix(_) | Wildcard::Suffix(_)) | Matcher::Regex(_) => false,
        Matcher::Wildcard(wildcard) => matches!(wildcard.key(), Key::None),
    }
}

fn want(value: &Matcher) -> Want<'_> {
    match value {
        Matcher::Wildcard(wildcard) => Want::Literal(wildcard.key()),
        Matcher::Regex(regex) => Want::Expression(regex.as_str()),
    }
}
