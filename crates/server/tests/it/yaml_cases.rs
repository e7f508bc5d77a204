//! Reads the outside cases: YAML as a tree of texts, and the requests that it describes.

use saphyr_parser::{Event, Parser};

/// A YAML node; scalars stay text, because a header's value is text whatever it looks like.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads one document.
    pub(crate) fn read(text: &str) -> Node {
        let mut open: Vec<Node> = vec![Node::List(Vec::new())];
        let mut keys: Vec<Option<String>> = vec![None];
        for event in Parser::new_from_str(text) {
            let (event, span) = event.unwrap_or_else(|error| panic!("{error}"));
            let done = match event {
                Event::Scalar(text, ..) => {
                    let is_key = matches!(open.last(), Some(Node::Map(_))) && keys.last().is_some_and(Option::is_none);
                    if is_key {
                        keys.pop();
                        keys.push(Some(text.into_owned()));
                        continue;
                    }
                    Node::Text(text.into_owned())
                }
                Event::SequenceStart(..) | Event::MappingStart(..) => {
                    let is_list = matches!(event, Event::SequenceStart(..));
                    open.push(if is_list { Node::List(Vec::new()) } else { Node::Map(Vec::new()) });
                    keys.push(None);
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    keys.pop();
                    open.pop().unwrap_or_else(|| panic!("{span:?} ends nothing"))
                }
                _ => continue,
            };
            match (open.last_mut(), keys.last_mut()) {
                (Some(Node::Map(entries)), Some(key)) => entries.push((key.take().unwrap_or_default(), done)),
                (Some(Node::List(items)), _) => items.push(done),
                _ => panic!("{span:?} is in nothing"),
            }
        }
        match open.pop() {
            Some(Node::List(mut documents)) if documents.len() == 1 => documents.remove(0),
            other => panic!("not one document: {other:?}"),
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match self {
            Node::List(items) => items,
            // what is left empty is no list, and has no items
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> &Node {
        static NOTHING: Node = Node::List(Vec::new());
        match self {
            Node::Map(entries) => entries.iter().find(|(k, _)| k == key).map_or(&NOTHING, |(_, node)| node),
            _ => &NOTHING,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Node::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }
}

/// How characters beyond ASCII become bytes. The cases write `"\xa0"`, which YAML makes a character; AWS's own tests hand
/// it on as UTF-8, an attacker would more likely send the byte. Both are tried wherever they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Latin1,
}

/// One case: a request and the tier it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) method: String,
    uri: String,
    version: String,
    headers: Vec<(String, String)>,
    pub(crate) tier: String,
    pub(crate) reason: String,
}

impl Case {
    fn read(file: &str, node: &Node) -> Case {
        let text = |key: &str| node.get(key).text().to_owned();
        let header = |node: &Node| (node.get("name").text().to_owned(), node.get("value").text().to_owned());
        Case {
            file: file.to_owned(),
            name: text("name"),
            method: text("method"),
            uri: text("uri"),
            version: text("version"),
            headers: node.get("headers").items().iter().map(header).collect(),
            tier: node.get("expected").get("tier").text().to_owned(),
            reason: node.get("expected").get("reason").text().to_owned(),
        }
    }

    fn head(&self) -> String {
        let mut head = format!("{} {}", self.method, self.uri);
        if !self.version.is_empty() {
            head.push(' ');
            head.push_str(&self.version);
        }
        head.push_str("\r\n");
        // the cases leave it out, and no HTTP/1.1 request may
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }

    /// The encodings in which its bytes differ.
    pub(crate) fn encodings(&self) -> Vec<Encoding> {
        let head = self.head();
        let latin1 = !head.is_ascii() && head.chars().all(|c| u32::from(c) < 256);
        if latin1 { vec![Encoding::Utf8, Encoding::Latin1] } else { vec![Encoding::Utf8] }
    }

    /// The head as it goes over the wire.
    pub(crate) fn bytes(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Utf8 => self.head().into_bytes(),
            Encoding::Latin1 => self.head().chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
        }
    }
}

/// All cases that are not skipped, and how many are.
pub(crate) fn cases() -> (Vec<Case>, usize) {
    // asked when it runs: a test binary may have been built in another clone that shares the target folder
    let crate_folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = format!("{crate_folder}/../../conformance");
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    let folder = std::fs::read_dir(format!("{root}/desync")).unwrap_or_else(|error| panic!("no cases: {error}"));
    let mut files: Vec<String> = folder
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|n| n.ends_with(".yaml"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in &files {
        let node = Node::read(&read(&format!("{root}/desync/{file}")));
        all.extend(node.items().iter().map(|case| Case::read(file, case)));
    }
    let skips = Node::read(&read(&format!("{root}/desync-skip.yaml")));
    let count = all.len();
    for skip in skips.items() {
        let (file, name) = (skip.get("file").text(), skip.get("name").text());
        assert!(!skip.get("reason").text().is_empty(), "{file}, {name} is skipped without a reason");
        let before = all.len();
        all.retain(|case| case.file != file || case.name != name);
        assert!(all.len() < before, "{file} has no {name} that could be skipped");
    }
    let skipped = count - all.len();
    (all, skipped)
}
