//! From one text to the groups of rules whose patterns it could match.

use regex::bytes::{RegexSet, RegexSetBuilder};

use crate::exact::Exact;
use crate::trie::{Direction, Trie};
use crate::wildcard::{Case, Key};

/// Whole texts in a map, beginnings and endings in tries, regular expressions in sets.
#[derive(Debug)]
pub(crate) struct TextIndex {
    exact: Option<Exact>,
    prefixes: Option<Trie>,
    suffixes: Option<Trie>,
    /// Where the patterns that have no literal part lead to.
    any: Option<u32>,
    sets: Box<[Expressions]>,
}

/// Up to [`SET`] expressions that are searched for at once.
#[derive(Debug)]
struct Expressions {
    set: RegexSet,
    /// The rule of each expression, ascending.
    rules: Box<[u32]>,
}

/// What a text led to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hit {
    /// A node of the tree.
    Group(u32),
    /// A rule with an expression that matches.
    Rule(u32),
}

/// Expressions to a set: more make a set's automaton outgrow its cache, fewer make more passes over the text.
const SET: usize = 64;

impl TextIndex {
    /// `keys`, each distinct, lead to nodes, `expressions` (text, rule; ascending by rule) to rules. Each expression is
    /// known to compile.
    pub(crate) fn new(case: Case, keys: Vec<(Key<'_>, u32)>, expressions: &[(&str, u32)]) -> TextIndex {
        let (mut exact, mut prefixes, mut suffixes, mut any) = (Vec::new(), Vec::new(), Vec::new(), None);
        for (key, node) in keys {
            match key {
                Key::Exact(key) => exact.push((key, node)),
                Key::Prefix(key) => prefixes.push((key, node)),
                Key::Suffix(key) => suffixes.push((key, node)),
                Key::None => any = Some(node),
            }
        }
        let trie = |direction, entries: Vec<_>| (!entries.is_empty()).then(|| Trie::new(direction, case, entries));
        let mut sets = Vec::new();
        expressions.chunks(SET).for_each(|chunk| Expressions::add(chunk, case, &mut sets));
        TextIndex {
            exact: (!exact.is_empty()).then(|| Exact::new(case, &exact)),
            prefixes: trie(Direction::Forward, prefixes),
            suffixes: trie(Direction::Backward, suffixes),
            any,
            sets: sets.into(),
        }
    }

    /// Calls `hit` for everything that `text` leads to. `best`, and what `hit` returns, is the rule to be beaten: sets
    /// that cannot beat it are not searched.
    #[inline]
    pub(crate) fn search(&self, text: &[u8], mut best: u32, mut hit: impl FnMut(Hit) -> u32) {
        if let Some(node) = self.exact.as_ref().and_then(|exact| exact.find(text)) {
            best = hit(Hit::Group(node));
        }
        for trie in [&self.prefixes, &self.suffixes].into_iter().flatten() {
            trie.walk(text, |node| best = hit(Hit::Group(node)));
        }
        if let Some(node) = self.any {
            best = hit(Hit::Group(node));
        }
        for expressions in &self.sets {
            if expressions.rules.first().is_none_or(|first| *first >= best) {
                return;
            }
            // `is_match` needs no memory of its own; `matches` does.
            if expressions.set.is_match(text) {
                for matched in &expressions.set.matches(text) {
                    if let Some(rule) = expressions.rules.get(matched) {
                        best = hit(Hit::Rule(*rule));
                    }
                }
            }
        }
    }
}

impl Expressions {
    /// Appends the set of `chunk`, or sets of its halves when it is too large for the engine.
    fn add(chunk: &[(&str, u32)], case: Case, sets: &mut Vec<Expressions>) {
        let set = RegexSetBuilder::new(chunk.iter().map(|(text, _)| text))
            .case_insensitive(case == Case::Insensitive)
            .build();
        match set {
            Ok(set) => sets.push(Expressions { set, rules: chunk.iter().map(|(_, rule)| *rule).collect() }),
            Err(_) if chunk.len() > 1 => {
                let (low, high) = chunk.split_at(chunk.len() / 2);
                Expressions::add(low, case, sets);
                Expressions::add(high, case, sets);
            }
            // An expression that compiles alone compiles as a set of one, under the same limit. Were it not so, a set
            // that matches everything keeps the index generous.
            Err(_) => {
                if let Ok(set) = RegexSet::new([""]) {
                    sets.push(Expressions { set, rules: chunk.iter().map(|(_, rule)| *rule).collect() });
                }
            }
        }
    }
}
