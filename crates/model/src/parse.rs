//! From text to a [`Config`], and from a [`Config`] to JSON and its schema.

use serde_json::{Value, json};

use crate::acme;
use crate::certificate::Certificate;
use crate::config::Config;
use crate::declared::{Cx, Declared as _, Defs, Referable as _};
use crate::fault::{Fault, Faults};
use crate::guard::{NetworkAcl, SecurityGroup};
use crate::health_check;
use crate::redact::secret_paths;
use crate::resolve::Resolve;
use crate::resource::Kind;
use crate::target_group::TargetGroup;
use crate::yaml::{self, Document, Node};

/// A configuration that is right, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What is declared.
    pub config: Config,
    /// What is right, but likely not what was meant; by place.
    pub warnings: Vec<Fault>,
    /// Paths of values that came from `${env:...}` and `${file:...}`, or are secrets however they are written, for
    /// [`crate::redact`].
    pub secrets: Vec<String>,
}

impl Config {
    /// Reads YAML. `file_label` is what faults call the text.
    ///
    /// # Errors
    /// All that is wrong, by place; a text that is no YAML has one fault.
    pub fn parse(file_label: &str, text: &str, resolver: &dyn Resolve) -> Result<Parsed, Faults> {
        let document = yaml::read(text, resolver);
        let mut cx = Cx::new(file_label);
        for mistake in document.mistakes {
            cx.mistake(mistake.mark, mistake.path, mistake.what);
        }
        read(document.root.as_ref(), document.has_secrets, cx)
    }

    /// Reads what [`Config::to_json`] wrote, or an API was sent. Nothing in it is replaced; faults have no line.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn from_json(value: &Value) -> Result<Parsed, Faults> {
        read(Some(&Node::from_json(value)), false, Cx::new(""))
    }

    /// The canonical form: the YAML's words and shapes, defaults spelled out, secrets included.
    pub fn to_json(&self) -> Value {
        self.write()
    }
}

/// An empty text.
static NOTHING: Node = Node::empty_map();

fn read<'a>(root: Option<&'a Node>, has_secrets: bool, mut cx: Cx<'a>) -> Result<Parsed, Faults> {
    let mut config = None;
    let mut secrets = Vec::new();
    if let Some(root) = root {
        for collection in
            [TargetGroup::COLLECTION, Certificate::COLLECTION, SecurityGroup::COLLECTION, NetworkAcl::COLLECTION]
        {
            cx.declare(collection, root);
        }
        if has_secrets {
            secrets = secret_paths(root);
        }
        for secret in declared_secrets(root) {
            if !secrets.contains(&secret) {
                secrets.push(secret);
            }
        }
        config = if root.is_null() { Config::read(&NOTHING, &mut cx) } else { Config::read(root, &mut cx) };
    }
    let (faults, warnings) = cx.finish();
    match config {
        Some(config) if faults.is_empty() => Ok(Parsed { config, warnings, secrets }),
        _ => Err(Faults(faults)),
    }
}

/// The paths of what is a secret by its key, as far as it is there.
fn declared_secrets(root: &Node) -> Vec<String> {
    let has = |node: &Node, path: &str| path.split('.').try_fold(node, |node, key| node.get(key)).is_some();
    let account = has(root, acme::SECRET).then(|| acme::SECRET.to_owned());
    let groups = root.get(TargetGroup::COLLECTION).and_then(Node::as_map).unwrap_or_default();
    let groups = groups.iter().filter(|group| has(&group.node, health_check::SECRET));
    let passwords = groups.map(|group| format!("{}.{}.{}", TargetGroup::COLLECTION, group.key, health_check::SECRET));
    account.into_iter().chain(passwords).collect()
}

/// The JSON Schema (draft 2020-12) of a configuration file, so that editors complete and explain it.
pub fn schema() -> Value {
    let mut defs = Defs::default();
    let root = Config::schema(&mut defs);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Headworks configuration",
        "$ref": root.get("$ref"),
        "$defs": defs.0,
    })
}

/// The schemas of named resources, by kind, as references into the second: what they and their parts look like. `prefix` is
/// where the second will stand, such as `#/components/schemas/`.
pub fn schemas(prefix: &str) -> (Vec<(Kind, Value)>, Value) {
    let mut defs = Defs::default();
    let schema = |kind: Kind| {
        let mut schema = kind.schema(&mut defs);
        moved(&mut schema, prefix);
        (kind, schema)
    };
    let kinds = Kind::ALL.map(schema).into();
    let mut defs = Value::Object(defs.0);
    moved(&mut defs, prefix);
    (kinds, defs)
}

/// References lead below `prefix` instead of `#/$defs/`.
fn moved(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(entries) => {
            for (key, inner) in entries.iter_mut() {
                match (key.as_str(), inner.as_str().and_then(|text| text.strip_prefix("#/$defs/"))) {
                    ("$ref", Some(name)) => *inner = format!("{prefix}{name}").into(),
                    _ => moved(inner, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| moved(inner, prefix)),
        _ => {}
    }
}

/// YAML as JSON, whatever it says: for what is sent to an instance, which judges it.
///
/// # Errors
/// When it is no YAML, or what it refers to is missing.
pub fn json_of_yaml(file_label: &str, text: &str, resolver: &dyn Resolve) -> Result<Value, Faults> {
    let Document { root, mistakes, .. } = yaml::read(text, resolver);
    let mut cx = Cx::new(file_label);
    for mistake in mistakes {
        cx.mistake(mistake.mark, mistake.path, mistake.what);
    }
    let (faults, _) = cx.finish();
    match root {
        Some(root) if faults.is_empty() => Ok(root.to_json()),
        _ => Err(Faults(faults)),
    }
}

/// Where a path of a fault, such as `load_balancers.shop.listeners.http`, stands in a text: line and column, from 1. The
/// deepest part of the path that the text has; none for a text that is no YAML.
pub fn place(text: &str, path: &str) -> Option<(u32, u32)> {
    let Document { root, .. } = yaml::read(text, &crate::resolve::Nothing);
    let mut node = root.as_ref()?;
    let mut mark = node.mark;
    let mut rest = path;
    while !rest.is_empty() {
        let next = match (rest.strip_prefix('['), node.as_map()) {
            (Some(index), _) => index.split_once(']').and_then(|(index, rest)| {
                let node = node.items().get(index.parse::<usize>().ok()?)?;
                Some((node, node.mark, rest))
            }),
            // names may have dots in them, so the longest key that fits is the one
            (None, Some(entries)) => entries
                .iter()
                .filter_map(|entry| Some((entry, rest.strip_prefix(&*entry.key)?)))
                .filter(|(_, rest)| rest.is_empty() || rest.starts_with(['.', '[']))
                .max_by_key(|(entry, _)| entry.key.len())
                .map(|(entry, rest)| (&entry.node, entry.mark, rest)),
            (None, None) => None,
        };
        let Some((deeper, at, left)) = next else { break };
        (node, mark, rest) = (deeper, at, left.strip_prefix('.').unwrap_or(left));
    }
    Some((mark.line, mark.column))
}
