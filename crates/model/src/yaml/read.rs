//! Reads YAML into nodes. Bounded in size, depth and in what aliases may multiply; a key twice is a mistake.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::node::{Entry, Mark, Node, NodeValue, Scalar, Style};
use super::simple;
use crate::resolve::{Resolve, resolve};

/// The longest text, in bytes: 100,000 generous rules.
const LONGEST: usize = 64 << 20;
/// The most nodes, aliases spelled out.
const MOST_NODES: usize = 8_000_000;
/// The most nodes that aliases may add.
const MOST_ALIASED: usize = 1_000_000;
/// How deep lists and mappings may nest.
const DEEPEST: usize = 64;

/// Something wrong with the text as YAML.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) mark: Mark,
    /// The key it is about, when it is about one.
    pub(crate) path: String,
    pub(crate) what: String,
}

/// What was read.
pub(crate) struct Document<'t> {
    /// The tree, as long as the syntax is right, whatever else is wrong. What can be is a part of the text.
    pub(crate) root: Option<Node<'t>>,
    pub(crate) mistakes: Vec<Mistake>,
    /// Something in it came from `${env:...}` or `${file:...}`.
    pub(crate) has_secrets: bool,
}

/// Reads one document.
pub(crate) fn read<'t>(text: &'t str, from: &dyn Resolve) -> Document<'t> {
    let mut builder = Builder::new(from);
    let simple =
        text.len() <= LONGEST && simple::events(text, &mut |event, mark| builder.event(event, mark).ok()).is_some();
    let outcome = if simple {
        Ok(())
    } else {
        builder = Builder::new(from);
        builder.run(text)
    };
    let Builder { root, mut mistakes, has_secrets, .. } = builder;
    let root = match outcome {
        Ok(()) => Some(root.unwrap_or_else(Node::empty_map)),
        Err(mistake) => {
            mistakes.push(mistake);
            None
        }
    };
    Document { root, mistakes, has_secrets }
}

struct Builder<'t, 'f> {
    from: &'f dyn Resolve,
    open: Vec<Open<'t>>,
    /// Finished nodes of the lists that are open, and entries of the mappings: each has its own behind those of the one around it.
    nodes: Vec<Node<'t>>,
    entries: Vec<Entry<'t>>,
    /// Finished nodes that have an anchor, with how many nodes each is.
    anchors: HashMap<usize, (Node<'t>, usize)>,
    root: Option<Node<'t>>,
    count: usize,
    aliased: usize,
    mistakes: Vec<Mistake>,
    has_secrets: bool,
}

/// A list or mapping whose end has not come yet.
struct Open<'t> {
    mark: Mark,
    anchor: usize,
    /// How many nodes there were when it began.
    before: usize,
    /// Where its own begin among what is finished.
    start: usize,
    inside: Inside<'t>,
}

enum Inside<'t> {
    List,
    Map { seen: Seen<'t>, key: Option<Key<'t>> },
}

/// Mappings of up to so many keys are searched faster than hashed.
const FEW: usize = 16;

/// The keys of a mapping that has many; empty as long as they are few.
#[derive(Default)]
struct Seen<'t>(HashSet<Cow<'t, str>>);

impl<'t> Seen<'t> {
    /// Whether `key` is not among those of `entries`, which it will be from now on.
    fn is_new(&mut self, key: &Scalar<'t>, entries: &[Entry<'t>]) -> bool {
        if entries.len() < FEW {
            return entries.iter().all(|entry| entry.key != key.text);
        }
        if self.0.is_empty() {
            self.0.extend(entries.iter().map(|entry| entry.key.clone()));
        }
        self.0.insert(key.text.clone())
    }
}

/// A key that waits for its value.
struct Key<'t> {
    text: Cow<'t, str>,
    mark: Mark,
    /// The value is dropped: the key was there before, or was no text.
    unusable: bool,
}

impl<'t, 'f> Builder<'t, 'f> {
    fn new(from: &'f dyn Resolve) -> Self {
        Self {
            from,
            open: Vec::new(),
            nodes: Vec::new(),
            entries: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            count: 0,
            aliased: 0,
            mistakes: Vec::new(),
            has_secrets: false,
        }
    }

    fn run(&mut self, text: &'t str) -> Result<(), Mistake> {
        if text.len() > LONGEST {
            return Err(mistake(Mark { line: 1, column: 1 }, format!("the text is longer than {LONGEST} bytes")));
        }
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) =
                event.map_err(|error| mistake(place(error.marker()), format!("not YAML: {}", error.info())))?;
            self.event(event, place(&span.start))?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'t>, mark: Mark) -> Result<(), Mistake> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let before = self.count(mark, 1)?;
                let scalar = self.scalar(text, style, tag.as_deref(), mark);
                self.finished(Node { mark, value: NodeValue::Scalar(scalar) }, anchor, before)
            }
            Event::SequenceStart(anchor, tag) => {
                self.tagged(tag.as_deref(), "seq", mark);
                self.begin(mark, anchor, self.nodes.len(), Inside::List)
            }
            Event::MappingStart(anchor, tag) => {
                self.tagged(tag.as_deref(), "map", mark);
                self.begin(mark, anchor, self.entries.len(), Inside::Map { seen: Seen::default(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { mark, anchor, before, start, inside }) = self.open.pop() else { return Ok(()) };
                let value = match inside {
                    Inside::List => NodeValue::List(self.nodes.drain(start..).collect()),
                    Inside::Map { .. } => NodeValue::Map(self.entries.drain(start..).collect()),
                };
                self.finished(Node { mark, value }, anchor, before)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(mistake(mark, "an alias inside of what it stands for".to_owned()));
                };
                self.aliased(mark, size)?;
                let before = self.count(mark, size)?;
                self.deep(mark, depth(&node))?;
                self.finished(node, 0, before)
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(mistake(mark, "a second document, expected one".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, mark: Mark, anchor: usize, start: usize, inside: Inside<'t>) -> Result<(), Mistake> {
        let before = self.count(mark, 1)?;
        self.deep(mark, 1)?;
        self.open.push(Open { mark, anchor, before, start, inside });
        Ok(())
    }

    /// Puts a finished node where it belongs: under its key, into its list, or at the root.
    fn finished(&mut self, node: Node<'t>, anchor: usize, before: usize) -> Result<(), Mistake> {
        if anchor > 0 {
            let size = self.count - before;
            self.aliased(node.mark, size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List) => self.nodes.push(node),
            Some(Inside::Map { key: key @ Some(_), .. }) => {
                if let Some(Key { text, mark, unusable: false }) = key.take() {
                    self.entries.push(Entry { key: text, mark, node });
                }
            }
            Some(Inside::Map { .. }) => self.key(node),
        }
        Ok(())
    }

    /// A node that came where a key comes.
    fn key(&mut self, node: Node<'t>) {
        let mark = node.mark;
        let Some(Open { start, inside: Inside::Map { seen, key }, .. }) = self.open.last_mut() else { return };
        let entries = self.entries.get(*start..).unwrap_or_default();
        let (text, fault) = match node.value {
            NodeValue::Scalar(scalar) if !seen.is_new(&scalar, entries) => {
                (scalar.text, Some("the key is there twice"))
            }
            NodeValue::Scalar(scalar) => (scalar.text, None),
            _ => (Cow::Borrowed(""), Some("a list or mapping as a key, expected text")),
        };
        *key = Some(Key { text, mark, unusable: fault.is_some() });
        if let Some(what) = fault {
            let path = self.path();
            self.mistakes.push(Mistake { mark, path, what: what.to_owned() });
        }
    }

    fn scalar(&mut self, text: Cow<'t, str>, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Scalar<'t> {
        let mut style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Text };
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => style = Style::Text,
            Some(tag) if tag.is_yaml_core_schema() && ["int", "float", "bool", "null"].contains(&&*tag.suffix) => {
                style = Style::Plain;
            }
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => style = Style::Text,
            Some(_) => self.tagged(tag, "str", mark),
            None => {}
        }
        match resolve(&text, self.from) {
            None => Scalar { text, style, secret: false },
            Some(Ok(text)) => {
                self.has_secrets = true;
                let style = if style == Style::Plain { Style::Filled } else { style };
                Scalar { text: Cow::Owned(text), style, secret: true }
            }
            Some(Err(what)) => {
                self.has_secrets = true;
                let path = self.path();
                self.mistakes.push(Mistake { mark, path, what });
                Scalar { text: Cow::Borrowed(""), style: Style::Broken, secret: true }
            }
        }
    }

    fn tagged(&mut self, tag: Option<&Tag>, own: &str, mark: Mark) {
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == own)) {
            let path = self.path();
            self.mistakes.push(Mistake { mark, path, what: format!("the tag {tag} is not known") });
        }
    }

    /// The way from the root to where the next node comes.
    fn path(&self) -> String {
        use std::fmt::Write as _;
        let mut path = String::new();
        for (depth, open) in self.open.iter().enumerate() {
            match &open.inside {
                Inside::List => {
                    // its own are those before the first of the next list inside of it
                    let lists = self.open.iter().skip(depth + 1).filter(|open| matches!(open.inside, Inside::List));
                    let end = lists.map(|open| open.start).next().unwrap_or(self.nodes.len());
                    // Writing to a String cannot fail.
                    let _ = write!(path, "[{}]", end - open.start);
                }
                Inside::Map { key: Some(key), .. } => {
                    let _ = write!(path, "{}{}", if path.is_empty() { "" } else { "." }, key.text);
                }
                Inside::Map { key: None, .. } => {}
            }
        }
        path
    }

    fn count(&mut self, mark: Mark, more: usize) -> Result<usize, Mistake> {
        let before = self.count;
        self.count = self.count.saturating_add(more);
        if self.count > MOST_NODES {
            return Err(mistake(mark, format!("more than {MOST_NODES} values")));
        }
        Ok(before)
    }

    fn aliased(&mut self, mark: Mark, more: usize) -> Result<(), Mistake> {
        self.aliased = self.aliased.saturating_add(more);
        if self.aliased > MOST_ALIASED {
            return Err(mistake(mark, format!("aliases stand for more than {MOST_ALIASED} values")));
        }
        Ok(())
    }

    fn deep(&self, mark: Mark, more: usize) -> Result<(), Mistake> {
        if self.open.len() + more > DEEPEST {
            return Err(mistake(mark, format!("nested more than {DEEPEST} deep")));
        }
        Ok(())
    }
}

/// How many lists and mappings are inside of each other; at most [`DEEPEST`], or the node would not be there.
fn depth(node: &Node) -> usize {
    match &node.value {
        NodeValue::Scalar(_) => 0,
        NodeValue::List(nodes) => 1 + nodes.iter().map(depth).max().unwrap_or(0),
        NodeValue::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.node)).max().unwrap_or(0),
    }
}

fn mistake(mark: Mark, what: String) -> Mistake {
    Mistake { mark, path: String::new(), what }
}

fn place(marker: &Marker) -> Mark {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Mark { line: narrow(marker.line().max(1)), column: narrow(marker.col() + 1) }
}

#[cfg(test)]
mod tests;
